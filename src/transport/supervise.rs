//! How a server watches over the streams on its connections without the protocols knowing it.
//!
//! A server puts a [`Supervision`] into the extensions of each request. A protocol that turns the
//! request into a long-lived stream enters it there and stays a member until it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// HTTP requests, answered one by one.
    Http,
    /// A stream of Server-Sent Events.
    Sse,
    /// A WebSocket.
    WebSocket,
    /// A request that is answered when there is something to answer.
    LongPoll,
}

/// A limit of a single stream that a peer has run into; each has a counter in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// A WebSocket message or frame was larger than allowed.
    MessageSize,
    /// More WebSocket messages came in a second than allowed.
    MessageRate,
    /// The peer took no bytes, or answered no ping, for too long.
    PeerTimeout,
    /// The WebSocket handshake was not finished in time.
    HandshakeTimeout,
    /// Nothing was said by either side for too long.
    IdleTimeout,
}

/// A long-lived stream, as its server sees it. All methods return at once.
pub trait Supervised: Send + Sync {
    /// Ends the stream kindly: a WebSocket is closed with 1001, an event stream is told to come
    /// back after `retry` and ended after what is queued.
    fn drain(&self, retry: Duration);

    /// Ends the stream kindly with a WebSocket close code and reason (RFC 6455 §7.4), which an
    /// event stream has no room for and ignores.
    fn close(&self, code: u16, reason: &str);

    /// Ends the stream without a word; what is queued is lost.
    fn abort(&self);

    /// Bytes that wait to be sent.
    fn queued_bytes(&self) -> usize;

    /// Messages queued since this was last called. None for a stream that counts them itself.
    fn take_messages(&self) -> u64 {
        0
    }
}

/// Messages and payload bytes that went through the streams of one kind.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Messages received.
    pub messages_in: AtomicU64,
    /// Payload bytes received.
    pub bytes_in: AtomicU64,
    /// Messages queued to be sent.
    pub messages_out: AtomicU64,
    /// Encoded bytes handed to the kernel.
    pub bytes_out: AtomicU64,
}

impl Traffic {
    /// Adds to what was received.
    pub fn received(&self, messages: u64, bytes: u64) {
        self.messages_in.fetch_add(messages, Relaxed);
        self.bytes_in.fetch_add(bytes, Relaxed);
    }

    /// Adds to what was queued to be sent.
    pub fn queued(&self, messages: u64) {
        self.messages_out.fetch_add(messages, Relaxed);
    }

    /// Adds to what the kernel took.
    pub fn sent(&self, bytes: u64) {
        self.bytes_out.fetch_add(bytes, Relaxed);
    }
}

/// A server, as the streams on one of its connections see it.
pub trait Supervisor: Send + Sync + 'static {
    /// Takes a stream into the registry and returns its number there.
    fn enter(&self, kind: Kind, stream: Arc<dyn Supervised>) -> u64;

    /// Forgets the stream with that number.
    fn leave(&self, id: u64);

    /// The counters of that kind of stream.
    fn traffic(&self, kind: Kind) -> &Traffic;

    /// Counts a peer that ran into a limit.
    fn limit_hit(&self, limit: Limit);
}

/// The request extension by which a protocol finds its supervisor.
#[derive(Clone)]
pub struct Supervision(pub Arc<dyn Supervisor>);

impl Supervision {
    /// Enters a stream; it is a member until the value returned is dropped.
    pub fn enter(self, kind: Kind, stream: Arc<dyn Supervised>) -> Membership {
        let id = self.0.enter(kind, stream);
        Membership { supervisor: self.0, kind, id }
    }
}

/// A stream's place in the registry of its server, given up when dropped.
pub struct Membership {
    supervisor: Arc<dyn Supervisor>,
    kind: Kind,
    id: u64,
}

impl Membership {
    /// The number of the stream in the registry.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The counters that the stream adds to.
    pub fn traffic(&self) -> &Traffic {
        self.supervisor.traffic(self.kind)
    }

    /// Counts a peer that ran into a limit.
    pub fn limit_hit(&self, limit: Limit) {
        self.supervisor.limit_hit(limit);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.supervisor.leave(self.id);
    }
}

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Config, Event, Sse};
use crate::transport::queue::{Piece, Queue, Unsent};
#[cfg(feature = "ffi")]
use crate::transport::{
    cork::Mailbox,
    events::{Host, Tag},
};

/// An event stream and the sender that feeds it.
///
/// ```
/// use lithe::sse::{self, Sse};
///
/// async fn ticks() -> Sse {
///     let (events, response) = sse::channel();
///     tokio::spawn(async move {
///         for n in 0u64.. {
///             tokio::time::sleep(std::time::Duration::from_secs(1)).await;
///             if events.send(format!("tick {n}")).await.is_err() {
///                 break; // The client is gone.
///             }
///         }
///     });
///     response
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(ticks));
/// ```
pub fn channel() -> (Sender, Sse) {
    channel_with(Config::default())
}

/// Like [`channel`], with other than the default settings.
pub fn channel_with(config: Config) -> (Sender, Sse) {
    let queue = Arc::new(Queue::new(config.send_queue));
    queue.add_sender();
    (Sender { queue: queue.clone() }, Sse::queued(queue, &config))
}

/// Why an event was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The stream has ended: the client is gone, or one side has closed it.
    #[error("the event stream is closed")]
    Closed,
    /// The queue is full: the client reads too slowly.
    #[error("the event stream's send queue is full; wait with `send` or drop the client")]
    Full,
    /// The queue was still full when the time was up.
    #[error("the event stream's send queue stayed full until the timeout")]
    Timeout,
}

impl From<Unsent> for SendError {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Closed => SendError::Closed,
            Unsent::Full => SendError::Full,
            Unsent::Timeout => SendError::Timeout,
        }
    }
}

/// The sending side of an event stream; clones send on the same one.
///
/// Events are queued up to a bound in bytes ([`Config::send_queue`]). A byte counts as queued
/// until whatever writes the response has taken it *and asks for more*: over HTTP/1.1 that is when
/// the write buffer of the connection has room again, over HTTP/2 when the client has opened its
/// window further. So a client that does not read fills the queue and slows its senders down.
///
/// The stream ends after what is queued when [`close`](Self::close) is called or the last sender
/// is dropped. When the client goes away every later call says [`SendError::Closed`].
pub struct Sender {
    queue: Arc<Queue>,
}

impl Sender {
    /// Queues an event; waits while the queue is full.
    ///
    /// Cancel safe: dropped before it is done, it has queued nothing. Waiting senders are not
    /// served in any particular order.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`].
    pub async fn send(&self, event: impl Into<Event>) -> Result<(), SendError> {
        let piece = Piece::Owned(event.into().into_vec());
        Ok(self.queue.send(piece).await?)
    }

    /// Queues an event if there is room for it. Returns at once.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], [`SendError::Closed`].
    pub fn try_send(&self, event: impl Into<Event>) -> Result<(), SendError> {
        Ok(self.queue.try_send(Piece::Owned(event.into().into_vec()))?)
    }

    /// Queues an event; blocks the thread while the queue is full, for ever or up to `timeout`.
    /// For threads without an async runtime: a task that calls it keeps its worker from serving
    /// others.
    ///
    /// # Errors
    ///
    /// [`SendError::Timeout`], [`SendError::Closed`].
    pub fn send_blocking(
        &self,
        event: impl Into<Event>,
        timeout: Option<Duration>,
    ) -> Result<(), SendError> {
        Ok(self.queue.send_blocking(Piece::Owned(event.into().into_vec()), timeout)?)
    }

    /// Queues the bytes of one or more whole events, as [`Event::encode`] makes them; waits while
    /// the queue is full. Cancel safe like [`send`](Self::send).
    ///
    /// Encode a broadcast once and send it to all:
    ///
    /// ```
    /// use lithe::sse::{Event, SendError, Sender};
    ///
    /// fn broadcast(event: Event, subscribers: &mut Vec<Sender>) {
    ///     let encoded = event.encode();
    ///     // Whoever is too slow reconnects later.
    ///     subscribers.retain(|subscriber| subscriber.try_send_encoded(encoded.clone()).is_ok());
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`].
    pub async fn send_encoded(&self, events: Bytes) -> Result<(), SendError> {
        Ok(self.queue.send(Piece::Shared(events)).await?)
    }

    /// Queues the bytes of one or more whole events if there is room for them. Returns at once.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`], [`SendError::Closed`].
    pub fn try_send_encoded(&self, events: Bytes) -> Result<(), SendError> {
        Ok(self.queue.try_send(Piece::Shared(events))?)
    }

    /// Ends the stream after what is queued.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Waits until nothing more can be sent: the client is gone, or one side has closed the
    /// stream. Cancel safe.
    pub async fn closed(&self) {
        self.queue.ended().await;
    }

    /// Whether nothing more can be sent.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Bytes that wait to be sent; see [`Sender`] for what counts.
    pub fn queued_bytes(&self) -> usize {
        self.queue.queued_bytes()
    }

    /// A host program drives the stream.
    #[cfg(feature = "ffi")]
    pub(crate) fn wake_by(&self, mailbox: Arc<Mailbox>) {
        self.queue.wake_by(mailbox);
    }

    /// From here on, what happens on the stream is told to the host.
    #[cfg(feature = "ffi")]
    pub(crate) fn report_to(&self, host: Arc<dyn Host>, tag: Tag) {
        self.queue.report_to(host, tag);
    }

    /// The host wants to hear no more.
    #[cfg(feature = "ffi")]
    pub(crate) fn report_to_nobody(&self) {
        self.queue.report_to_nobody();
    }

    /// Whether a sender waits for room.
    #[cfg(test)]
    pub(super) fn is_starved(&self) -> bool {
        self.queue.is_starved()
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        self.queue.add_sender();
        Sender { queue: self.queue.clone() }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.queue.remove_sender();
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("queued_bytes", &self.queued_bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

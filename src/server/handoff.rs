//! Event streams over HTTP/1, from the moment that their head is out: the HTTP library is left
//! behind, and the body goes straight into the socket.

use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connection::{Connection, Signal};
use crate::transport::{self, Membership, Stream, Supervised, scratch};

/// How many bytes a client may send on a stream that only goes to it.
const MAX_DISCARDED: usize = 64 * 1024;

// The states of a hand-off, after none at all.
/// The response with the body has been given to the HTTP library.
const WAITING: u8 = 1;
/// The HTTP library has encoded the head and asks for the body.
const ASKED: u8 = 2;
/// The head is in the kernel.
const READY: u8 = 3;

/// Where a connection keeps a body that it is going to take over from the HTTP library.
#[derive(Default)]
pub(super) struct HandOff {
    state: AtomicU8,
    stream: Mutex<Option<Box<EventStream>>>,
}

impl HandOff {
    pub(super) fn put(&self, stream: EventStream) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(stream));
        self.state.store(WAITING, SeqCst);
    }

    /// What was put, if it was not taken yet.
    pub(super) fn take(&self) -> Option<Box<EventStream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The HTTP library asks for the body.
    pub(super) fn asked(&self) {
        let _ = self.state.compare_exchange(WAITING, ASKED, SeqCst, SeqCst);
    }

    /// Something was written, of which it is not known that it is in the kernel.
    pub(super) fn wrote(&self) {
        let _ = self.state.compare_exchange(READY, ASKED, SeqCst, SeqCst);
    }

    /// All that was written is in the kernel.
    pub(super) fn flushed(&self) {
        let _ = self.state.compare_exchange(ASKED, READY, SeqCst, SeqCst);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state.load(SeqCst) == READY
    }
}

/// An endless body, with its place in the registry.
pub(super) struct EventStream {
    pub(super) body: Body,
    pub(super) stream: Arc<dyn Supervised>,
    pub(super) membership: Membership,
    /// Whether in chunked coding (RFC 9112 §7.1), or to the end of the connection for HTTP/1.0.
    pub(super) chunked: bool,
}

impl EventStream {
    /// The task that drives the stream from now on.
    pub(super) fn run(
        self,
        io: Stream,
        connection: Arc<Connection>,
    ) -> impl Future<Output = ()> + Send {
        let EventStream { body, stream, membership, chunked } = self;
        give_up_after(&io, connection.server.config.write_timeout);
        Writer {
            io,
            body,
            stream,
            membership,
            connection,
            unsent: Bytes::new(),
            blocked: false,
            stalled: None,
            discarded: 0,
            chunked,
            ending: false,
        }
    }
}

/// Has the kernel give a peer up that acknowledges nothing, or takes nothing, for so long. The
/// kernel takes what little an event stream sends long after the peer is gone.
#[cfg_attr(not(target_os = "linux"), expect(unused_variables, reason = "there is no such option"))]
fn give_up_after(io: &Stream, timeout: Duration) {
    #[cfg(target_os = "linux")]
    if let Stream::Tcp(socket) = io {
        // The kernel counts milliseconds in 32 bits, and 0 stands for its default.
        let timeout =
            timeout.clamp(Duration::from_millis(1), Duration::from_millis(i32::MAX as u64));
        let set = socket2::SockRef::from(socket).set_tcp_user_timeout(Some(timeout));
        if let Err(error) = set {
            tracing::debug!(%error, "cannot set the time after which a peer is given up");
        }
    }
}

struct Writer {
    io: Stream,
    body: Body,
    /// Counts the events in the body.
    stream: Arc<dyn Supervised>,
    membership: Membership,
    connection: Arc<Connection>,
    /// What the kernel has not taken of the last piece.
    unsent: Bytes,
    /// There is something that the kernel does not take.
    blocked: bool,
    /// Runs while the kernel takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    discarded: usize,
    chunked: bool,
    /// The body has ended, and its last bytes are on their way.
    ending: bool,
}

impl Future for Writer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.connection.register(cx.waker());
        if this.connection.signal() == Signal::Cut {
            return Poll::Ready(());
        }
        let mut result = this.poll_peer(cx);
        if result.is_pending() {
            result = this.poll_events(cx);
        }
        if result.is_pending() {
            result = this.poll_stalled(cx);
        }
        if let Err(error) = ready!(result) {
            if error.kind() == io::ErrorKind::TimedOut {
                this.membership.limit_hit(transport::Limit::PeerTimeout);
            }
            tracing::debug!(peer = %this.connection.peer, %error, "event stream cut");
        }
        Poll::Ready(())
    }
}

impl Writer {
    /// Ready when the peer has gone, or sends more than anybody has a reason to.
    fn poll_peer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = [0; 512];
        while self.discarded <= MAX_DISCARDED {
            let mut buffer = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                break;
            }
            self.discarded += buffer.filled().len();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what the body gives. Each piece of it holds all that there was to send, and it is
    /// not asked for the next before the kernel has taken the last.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_unsent(cx))?;
            if self.ending {
                return Pin::new(&mut self.io).poll_shutdown(cx);
            }
            let piece = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // An event stream has no trailers.
                Some(frame) => frame.map_err(io::Error::other)?.into_data().unwrap_or_default(),
                None => {
                    self.ending = true;
                    Bytes::new()
                }
            };
            self.membership.traffic().queued(self.stream.take_messages());
            scratch::with_output(|output| {
                self.encode(&piece, output);
                self.write_first(cx, output)
            })?;
        }
    }

    fn encode(&self, piece: &[u8], output: &mut Vec<u8>) {
        if !self.chunked {
            output.extend_from_slice(piece);
            return;
        }
        if !piece.is_empty() {
            // Cannot fail: the output is memory.
            let _ = write!(output, "{:x}\r\n", piece.len());
            output.extend_from_slice(piece);
            output.extend_from_slice(b"\r\n");
        }
        if self.ending {
            output.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Writes what the kernel takes at once, and keeps the rest.
    fn write_first(&mut self, cx: &mut Context<'_>, output: &[u8]) -> io::Result<()> {
        let written = match Pin::new(&mut self.io).poll_write(cx, output) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        self.wrote(written);
        self.unsent = Bytes::copy_from_slice(&output[written..]);
        Ok(())
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.blocked = true;
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(written);
            self.unsent.advance(written);
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.unsent = Bytes::new();
        self.stalled = None;
        self.blocked = false;
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, len: usize) {
        if len > 0 {
            self.membership.traffic().sent(len as u64);
            self.stalled = None;
        }
    }

    /// Ready when the kernel has taken nothing for too long, although there is something.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.blocked {
            return Poll::Pending;
        }
        let timeout = self.connection.server.config.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

//! Event streams over HTTP/1, from the moment that their head is out: the HTTP library is left
//! behind, and the body goes straight into the socket.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::connection::{Connection, Signal};
use crate::transport::{self, Membership, Stream, scratch};

/// How much is taken from a body before it is written, unless a single piece is larger.
const BATCH: usize = 64 * 1024;
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
    pub(super) membership: Membership,
    /// Whether in chunked coding (RFC 9112 §7.1), or to the end of the connection for HTTP/1.0.
    pub(super) chunked: bool,
}

impl EventStream {
    /// The task that drives the stream from now on.
    pub(super) fn run(
        self: Box<Self>,
        io: Stream,
        connection: Arc<Connection>,
    ) -> impl Future<Output = ()> + Send {
        let EventStream { body, membership, chunked } = *self;
        Writer {
            io,
            body,
            membership,
            connection,
            unsent: Vec::new(),
            stalled: None,
            discarded: 0,
            chunked,
            ending: false,
        }
    }
}

struct Writer {
    io: Stream,
    body: Body,
    membership: Membership,
    connection: Arc<Connection>,
    /// What the kernel has not taken of the last batch.
    unsent: Vec<u8>,
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
        if this.connection.signal() == Signal::Cut || this.poll_peer(cx).is_ready() {
            return Poll::Ready(());
        }
        match this.poll_events(cx) {
            Poll::Ready(result) => {
                if let Err(error) = result {
                    tracing::debug!(peer = %this.connection.peer, %error, "event stream cut");
                }
                Poll::Ready(())
            }
            Poll::Pending => this.poll_stalled(cx),
        }
    }
}

/// What came out of a body at one time.
struct Batch {
    pieces: Vec<Bytes>,
    size: usize,
    /// There is nothing more for now, and the task is woken when there is.
    last: bool,
}

thread_local! {
    /// The pieces of a batch, so that it needs no allocation of its own.
    static PIECES: Cell<Vec<Bytes>> = const { Cell::new(Vec::new()) };
}

impl Writer {
    /// Ready when the peer has gone, or sends more than anybody has a reason to.
    fn poll_peer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut buffer = [0; 512];
        while self.discarded <= MAX_DISCARDED {
            let mut buffer = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.discarded += buffer.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// Writes what the body gives, as long as it gives something and the kernel takes it.
    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_unsent(cx))?;
            if self.ending {
                return Pin::new(&mut self.io).poll_shutdown(cx);
            }
            let batch = self.gather(cx)?;
            let last = batch.last;
            if !batch.pieces.is_empty() || self.ending {
                scratch::with_output(|output| {
                    self.encode(&batch, output);
                    self.write_first(cx, output)
                })?;
            }
            PIECES.set({
                let mut pieces = batch.pieces;
                pieces.clear();
                pieces
            });
            if last && !self.ending {
                ready!(self.poll_unsent(cx))?;
                return Poll::Pending;
            }
        }
    }

    fn gather(&mut self, cx: &mut Context<'_>) -> io::Result<Batch> {
        let mut batch = Batch { pieces: PIECES.take(), size: 0, last: false };
        while batch.size < BATCH {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // An event stream has no trailers.
                    let piece = frame.into_data().unwrap_or_default();
                    if !piece.is_empty() {
                        batch.size += piece.len();
                        batch.pieces.push(piece);
                    }
                }
                Poll::Ready(Some(Err(error))) => return Err(io::Error::other(error)),
                Poll::Ready(None) => {
                    self.ending = true;
                    break;
                }
                Poll::Pending => {
                    batch.last = true;
                    break;
                }
            }
        }
        Ok(batch)
    }

    fn encode(&self, batch: &Batch, output: &mut Vec<u8>) {
        if self.chunked && batch.size > 0 {
            // Cannot fail: the output is memory.
            let _ = write!(output, "{:x}\r\n", batch.size);
        }
        for piece in &batch.pieces {
            output.extend_from_slice(piece);
        }
        if self.chunked && batch.size > 0 {
            output.extend_from_slice(b"\r\n");
        }
        if self.chunked && self.ending {
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
        self.unsent = output[written..].to_vec();
        Ok(())
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.unsent))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.wrote(written);
            self.unsent.drain(..written);
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.unsent = Vec::new();
        self.stalled = None;
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, len: usize) {
        if len > 0 {
            self.membership.traffic().sent(len as u64);
            self.stalled = None;
        }
    }

    /// Ready when the kernel has taken nothing for too long, although there is something.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.connection.set_unwritten(self.unsent.len());
        if self.unsent.is_empty() {
            return Poll::Pending;
        }
        let timeout = self.connection.server.config.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stalled.as_mut().poll(cx));
        self.membership.limit_hit(transport::Limit::PeerTimeout);
        Poll::Ready(())
    }
}

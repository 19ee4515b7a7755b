//! Bytes on their way to a socket: a queue that is bounded in bytes on the senders' side, and a
//! writer that empties it in as few system calls as the socket allows.

use std::collections::VecDeque;
#[cfg(feature = "ws")]
use std::io::{self, IoSlice};
#[cfg(feature = "ws")]
use std::pin::Pin;
#[cfg(feature = "ws")]
use std::task::{Context, Poll, ready};

use bytes::Bytes;
#[cfg(feature = "ws")]
use tokio::io::AsyncWrite;

#[cfg(feature = "ws")]
use super::scratch;

/// Chunks below this size are gathered into one buffer; larger ones are written from where they
/// are.
const SMALL: usize = 8 * 1024;
/// Up to this size, small pieces that follow each other share a chunk.
const JOINED: usize = 32 * 1024;

/// Chunks from this size on are not copied to join others.
#[cfg(feature = "sse")]
const LARGE: usize = 64 * 1024;

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Owned(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }

    #[cfg(feature = "sse")]
    fn into_bytes(self) -> Bytes {
        match self {
            Chunk::Owned(bytes) => Bytes::from(bytes),
            Chunk::Shared(bytes) => bytes,
        }
    }
}

/// The senders' side. Lives under the lock of a connection's shared state.
///
/// Counts a byte as queued until the kernel has taken it, so that the bound holds for everything
/// the connection keeps in memory.
#[derive(Debug)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    queued: usize,
    limit: usize,
}

impl Outbox {
    /// From this size on, sharing a payload is worth more than copying it.
    #[cfg(feature = "ws")]
    pub(crate) const SHARE: usize = SMALL;

    pub(crate) fn new(limit: usize) -> Self {
        Outbox { chunks: VecDeque::new(), queued: 0, limit }
    }

    /// Bytes not yet taken by the kernel.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Whether `len` more bytes may be queued. One message larger than the whole limit is let in
    /// when nothing else is queued, or it could never be sent.
    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.queued == 0 || self.queued.saturating_add(len) <= self.limit
    }

    /// Queues bytes that all receivers of a broadcast share.
    pub(crate) fn push_shared(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        self.chunks.push_back(Chunk::Shared(bytes));
    }

    /// Queues what `encode` appends; small pieces that follow each other share one allocation.
    #[cfg(feature = "ws")]
    pub(crate) fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        match self.chunks.back_mut() {
            Some(Chunk::Owned(tail)) if tail.len() < JOINED => {
                let before = tail.len();
                encode(tail);
                self.queued += tail.len() - before;
            }
            _ => {
                let mut bytes = scratch::take_spare();
                encode(&mut bytes);
                self.queued += bytes.len();
                self.chunks.push_back(Chunk::Owned(bytes));
            }
        }
    }

    /// Queues bytes that are encoded already. Small ones join what was queued before them.
    #[cfg(feature = "sse")]
    pub(crate) fn push_owned(&mut self, bytes: Vec<u8>) {
        self.queued += bytes.len();
        match self.chunks.back_mut() {
            Some(Chunk::Owned(tail)) if tail.len() < JOINED && bytes.len() < SMALL => {
                tail.extend_from_slice(&bytes);
            }
            _ => self.chunks.push_back(Chunk::Owned(bytes)),
        }
    }

    /// Takes chunks from the front, joined into one piece of at most `max` bytes. A single chunk,
    /// or one too large to be worth a copy, is taken as it is. Does not count as written yet.
    #[cfg(feature = "sse")]
    pub(crate) fn take_merged(&mut self, max: usize) -> Option<Bytes> {
        let mut len = 0;
        let joined = self.chunks.iter().take_while(|chunk| {
            len += chunk.bytes().len();
            chunk.bytes().len() < LARGE && len <= max
        });
        let joined = joined.count();
        let piece = if joined > 1 {
            let len = self.chunks.iter().take(joined).map(|chunk| chunk.bytes().len()).sum();
            let mut piece = Vec::with_capacity(len);
            for chunk in self.chunks.drain(..joined) {
                piece.extend_from_slice(chunk.bytes());
            }
            Bytes::from(piece)
        } else {
            self.chunks.pop_front()?.into_bytes()
        };
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
        Some(piece)
    }

    /// Whether so much is written that senders who wait for room may go on.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.queued <= self.limit / 2
    }

    /// Notes that the kernel took `len` bytes.
    pub(crate) fn written(&mut self, len: usize) {
        self.queued -= len;
    }

    /// Forgets everything, for a connection that has ended.
    pub(crate) fn discard(&mut self) {
        self.chunks = VecDeque::new();
        self.queued = 0;
    }
}

/// The connection task's side: chunks taken from the [`Outbox`], on their way into the socket.
#[cfg(feature = "ws")]
#[derive(Debug, Default)]
pub(crate) struct WriteQueue {
    chunks: VecDeque<Chunk>,
    /// How much of the first chunk is written already.
    offset: usize,
}

#[cfg(feature = "ws")]
impl WriteQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Moves all that is queued over. Does not count as written yet.
    pub(crate) fn take_from(&mut self, outbox: &mut Outbox) {
        if self.chunks.is_empty() {
            self.chunks = std::mem::take(&mut outbox.chunks);
        } else {
            self.chunks.append(&mut outbox.chunks);
        }
    }

    /// Writes until all is written (`Ready(Ok)`) or the socket takes no more (`Pending`); adds
    /// what was written to `written` in every case.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.chunks.is_empty() {
            let n = ready!(self.poll_write_once(cx, io))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += n;
            self.advance(n);
        }
        self.chunks = VecDeque::new();
        Poll::Ready(Ok(()))
    }

    fn poll_write_once<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut W,
    ) -> Poll<io::Result<usize>> {
        let first = &self.chunks[0].bytes()[self.offset..];
        if self.chunks.len() == 1 {
            return Pin::new(io).poll_write(cx, first);
        }
        scratch::with_output(|gathered| {
            let mut rest = self.chunks.iter();
            let mut next = rest.next().map(|_| first);
            while let Some(bytes) = next {
                if bytes.len() >= SMALL || gathered.len() + bytes.len() > scratch::WRITE {
                    break;
                }
                gathered.extend_from_slice(bytes);
                next = rest.next().map(Chunk::bytes);
            }
            let large = next.unwrap_or_default();
            if large.is_empty() {
                Pin::new(io).poll_write(cx, gathered)
            } else if gathered.is_empty() {
                let after = rest.next().map(Chunk::bytes).unwrap_or_default();
                Pin::new(io).poll_write_vectored(cx, &[IoSlice::new(large), IoSlice::new(after)])
            } else {
                Pin::new(io).poll_write_vectored(cx, &[IoSlice::new(gathered), IoSlice::new(large)])
            }
        })
    }

    fn advance(&mut self, mut n: usize) {
        while n > 0 {
            let left = self.chunks[0].bytes().len() - self.offset;
            if n < left {
                self.offset += n;
                return;
            }
            n -= left;
            self.offset = 0;
            if let Some(Chunk::Owned(bytes)) = self.chunks.pop_front() {
                scratch::give_spare(bytes);
            }
        }
    }
}

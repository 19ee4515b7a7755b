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
/// How many large chunks leave with one system call, each between gathered small ones.
#[cfg(feature = "ws")]
const VECTORED: usize = 16;
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

    /// Forgets everything, for a connection that has ended. What is returned is to be dropped when
    /// the lock is released: shared bytes may run code of their owner's then.
    pub(crate) fn discard(&mut self) -> Discarded {
        self.queued = 0;
        Discarded { _chunks: std::mem::take(&mut self.chunks) }
    }
}

/// What will not be sent any more.
#[must_use]
pub(crate) struct Discarded {
    _chunks: VecDeque<Chunk>,
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
        if self.chunks.len() == 1 {
            return Pin::new(io).poll_write(cx, &self.chunks[0].bytes()[self.offset..]);
        }
        let pieces = || {
            let skipped = std::iter::once(self.offset).chain(std::iter::repeat(0));
            self.chunks.iter().zip(skipped).map(|(chunk, skip)| &chunk.bytes()[skip..])
        };
        scratch::with_output(|gathered| {
            let (mut taken, mut large) = (0, 0);
            for piece in pieces() {
                if piece.len() >= SMALL {
                    large += 1;
                } else if gathered.len() + piece.len() <= scratch::WRITE {
                    gathered.extend_from_slice(piece);
                } else {
                    break;
                }
                taken += 1;
                if large == VECTORED {
                    break;
                }
            }
            let mut slices = [IoSlice::new(&[]); 2 * VECTORED + 1];
            let (mut count, mut copied, mut begin) = (0, 0, 0);
            let mut push = |bytes| {
                slices[count] = IoSlice::new(bytes);
                count += 1;
            };
            for piece in pieces().take(taken) {
                if piece.len() < SMALL {
                    copied += piece.len();
                    continue;
                }
                if begin < copied {
                    push(&gathered[begin..copied]);
                }
                push(piece);
                begin = copied;
            }
            if begin < copied {
                push(&gathered[begin..copied]);
            }
            match &slices[..count] {
                [only] => Pin::new(io).poll_write(cx, only),
                several => Pin::new(io).poll_write_vectored(cx, several),
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

#[cfg(all(test, feature = "ws"))]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes at a time, and remembers each call.
    struct Calls {
        takes: usize,
        made: Vec<Vec<u8>>,
    }

    impl AsyncWrite for Calls {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all = slices.iter().flat_map(|slice| slice.iter().copied());
            let taken: Vec<u8> = all.take(self.takes).collect();
            let len = taken.len();
            self.made.push(taken);
            Poll::Ready(Ok(len))
        }

        fn is_write_vectored(&self) -> bool {
            true
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Queues shared chunks of these lengths, writes them, and says how many calls it took.
    fn write(lengths: &[usize], takes: usize) -> usize {
        let mut outbox = Outbox::new(usize::MAX);
        let mut expected = Vec::new();
        for (&len, fill) in lengths.iter().zip((b'a'..=b'z').cycle()) {
            expected.resize(expected.len() + len, fill);
            outbox.push_shared(vec![fill; len].into());
        }
        let mut queue = WriteQueue::default();
        queue.take_from(&mut outbox);
        let (mut io, mut written) = (Calls { takes, made: Vec::new() }, 0);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(queue.poll_write(&mut cx, &mut io, &mut written).is_ready());
        assert!(queue.is_empty());
        assert_eq!(written, expected.len());
        assert!(io.made.concat() == expected, "{lengths:?} by {takes}");
        io.made.len()
    }

    #[test]
    fn chunks_of_all_sizes_leave_with_one_call() {
        for lengths in [
            &[10][..],
            &[10, 20, 30],
            &[100_000],
            &[10, 100_000],
            &[100_000, 10],
            &[10, 100_000, 10, 100_000, 10],
            &[10, 20, 100_000, 100_000, SMALL, 10, SMALL - 1, 20],
        ] {
            assert_eq!(write(lengths, usize::MAX), 1, "{lengths:?}");
        }
    }

    #[test]
    fn a_queue_of_any_length_leaves_in_a_few_calls() {
        assert_eq!(write(&[10, 100_000].repeat(VECTORED * 3), usize::MAX), 3);
        assert_eq!(write(&[1000; 1000], usize::MAX), 4);
    }

    #[test]
    fn a_socket_that_takes_little_gets_all_in_order() {
        for takes in [1, 7, 9_999, 10_000, 10_001] {
            write(&[10, 10_000, 20, 30, 10_000, 10_000, 5], takes);
        }
    }
}

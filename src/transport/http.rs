//! The byte stream below the HTTP library, in a server of our own: it can be taken out again, and
//! tells its connection what happens on it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Stream, scratch};

/// How much is read at once before it is known which protocol the peer speaks.
const FIRST_READ: usize = 8 * 1024;

/// What a connection wants to know of its byte stream.
pub(crate) trait Watch: Send + Sync {
    /// The peer sent `len` bytes.
    fn read(&self, len: usize);

    /// The kernel took `len` bytes.
    fn wrote(&self, len: usize);

    /// The kernel takes no more bytes for now.
    fn blocked(&self);

    /// Everything written so far has been passed on.
    fn flushed(&self);
}

/// A byte stream with the bytes that were read ahead of the HTTP library.
pub(crate) struct HttpStream {
    stream: Stream,
    prefix: Bytes,
    watch: Arc<dyn Watch>,
}

impl HttpStream {
    pub(crate) fn new(stream: Stream, watch: Arc<dyn Watch>) -> Self {
        HttpStream { stream, prefix: Bytes::new(), watch }
    }

    /// Reads more of what the peer says first, to be looked at in [`prefix`](Self::prefix) before
    /// the HTTP library sees it. Says whether there was more, or the end.
    pub(crate) fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        scratch::with_input(|buffer| {
            let mut buffer = ReadBuf::new(&mut buffer[..FIRST_READ]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            let read = buffer.filled();
            self.watch.read(read.len());
            self.prefix = join(std::mem::take(&mut self.prefix), read);
            Poll::Ready(Ok(!read.is_empty()))
        })
    }

    /// What was read ahead.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// Gives the stream back, with the bytes that were read and not yet processed, of which
    /// `read` left this wrapper first.
    pub(crate) fn into_stream(self, read: Bytes) -> (Stream, Bytes) {
        (self.stream, join(read, &self.prefix))
    }
}

/// Both in one, which takes no memory when there is nothing in it.
fn join(first: Bytes, second: &[u8]) -> Bytes {
    if first.is_empty() {
        return Bytes::copy_from_slice(second);
    }
    if second.is_empty() {
        return first;
    }
    let mut joined = BytesMut::with_capacity(first.len() + second.len());
    joined.extend_from_slice(&first);
    joined.extend_from_slice(second);
    joined.freeze()
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let len = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix[..len]);
            self.prefix.advance(len);
            if self.prefix.is_empty() {
                self.prefix = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.watch.read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl HttpStream {
    fn note(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(len)) => self.watch.wrote(*len),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.blocked(),
        }
        result
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        match &result {
            Poll::Ready(Ok(())) => self.watch.flushed(),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.watch.blocked(),
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

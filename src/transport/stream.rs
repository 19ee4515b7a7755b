//! The byte stream below a protocol, recovered from under the HTTP library where that is possible,
//! so that nothing of HTTP stays in memory after the hand-over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

#[cfg(feature = "ws")]
use bytes::Bytes;
#[cfg(feature = "ws")]
use hyper::upgrade::Upgraded;
#[cfg(feature = "ws")]
use hyper_util::rt::TokioIo;
#[cfg(feature = "ws")]
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(all(feature = "ws", feature = "server"))]
use super::http::HttpStream;

/// A byte stream of any kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A plain TCP socket, kept as such because it is the case that has to be fast, or anything else.
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg_attr(
        not(any(feature = "ws", feature = "tls")),
        expect(dead_code, reason = "only TLS and upgrades make one")
    )]
    Other(Box<dyn Duplex>),
}

#[cfg(feature = "ws")]
impl Stream {
    /// Takes the stream out of an upgraded HTTP connection, with the bytes that were read past
    /// the request.
    pub(crate) fn from_upgraded(upgraded: Upgraded) -> (Stream, Bytes) {
        match Stream::recover(upgraded) {
            // Nothing, in what is still the read buffer of the HTTP library.
            (stream, read) if read.is_empty() => (stream, Bytes::new()),
            found => found,
        }
    }

    fn recover(upgraded: Upgraded) -> (Stream, Bytes) {
        #[cfg(feature = "server")]
        let upgraded = match upgraded.downcast::<TokioIo<HttpStream>>() {
            Ok(parts) => return parts.io.into_inner().into_stream(parts.read_buf),
            Err(upgraded) => upgraded,
        };
        let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) => return (Stream::Tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => upgraded,
        };
        // `axum::serve` looks at the first bytes before it decides for an HTTP version.
        match auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded) {
            Ok(parts) => (Stream::Tcp(parts.io.into_inner()), parts.read_buf),
            Err(upgraded) => (Stream::Other(Box::new(TokioIo::new(upgraded))), Bytes::new()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Stream::Other(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Stream::Other(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Stream::Other(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(io) => io.is_write_vectored(),
            Stream::Other(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_flush(cx),
            Stream::Other(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Stream::Other(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

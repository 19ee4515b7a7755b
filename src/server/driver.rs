//! The task of a connection while it speaks HTTP.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::connection::{Connection, Phase, Signal};
use super::limits::Limit;
use super::service::Service;
use super::timer::Timer;
use crate::transport::{HttpStream, Stream, scratch};

/// How an HTTP/2 connection begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const REQUEST_TIMEOUT: &[u8] =
    b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// How long the rest of what a peer sends is read, so that it gets to see the answer: closing a
/// socket with unread bytes resets the connection.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a connection until it ends, or has become something else than HTTP.
pub(super) async fn serve(http: Http, socket: TcpStream) {
    let connection = &http.connection;
    let now = std::time::Instant::now();
    let mut timer = pin!(Timer::new(connection.due().map_or(now, |(due, _)| due)));
    let Ok((stream, mut is_http2)) = handshake(connection, timer.as_mut(), socket).await else {
        return;
    };
    let mut io = HttpStream::new(stream, connection.clone());
    if !is_http2 {
        match speaks_http2(connection, timer.as_mut(), &mut io).await {
            Ok(found) => is_http2 = found,
            Err(_) => return,
        }
    }
    if is_http2 {
        Box::pin(http2(connection, timer, io)).await;
    } else {
        http1(connection, timer, io).await;
    }
}

/// Ends what a connection is while it speaks HTTP, however its driver ends, and if it never runs.
pub(super) struct Http {
    pub(super) connection: Arc<Connection>,
}

impl Drop for Http {
    fn drop(&mut self) {
        self.connection.unregister();
        // A body that was never handed off holds on to the connection.
        drop(self.connection.hand_off.take());
        self.connection.server.registry.close_http(&self.connection);
    }
}

/// Why a connection is not waited for any longer.
enum Stop {
    Cut,
    Due(Option<Limit>),
}

/// Drives `poll`, which is told whether to finish, until it is done, the connection is cut, or it
/// has been given time enough.
async fn watch<T>(
    connection: &Connection,
    mut timer: Pin<&mut Timer>,
    mut poll: impl FnMut(&mut Context<'_>, bool) -> Poll<T>,
) -> Result<T, Stop> {
    poll_fn(|cx| {
        connection.register(cx.waker());
        let signal = connection.signal();
        if signal == Signal::Cut {
            return Poll::Ready(Err(Stop::Cut));
        }
        if let Poll::Ready(done) = poll(cx, signal == Signal::Finish) {
            return Poll::Ready(Ok(done));
        }
        match connection.due() {
            Some((due, limit)) if timer.as_mut().is_past(cx, due) => {
                if let Some(limit) = limit {
                    connection.limit_reached(limit);
                }
                Poll::Ready(Err(Stop::Due(limit)))
            }
            _ => Poll::Pending,
        }
    })
    .await
}

/// Does the TLS handshake where there is TLS. Says whether HTTP/2 was agreed on.
#[cfg_attr(not(feature = "tls"), expect(unused_variables, clippy::unused_async))]
async fn handshake(
    connection: &Connection,
    timer: Pin<&mut Timer>,
    socket: TcpStream,
) -> Result<(Stream, bool), Stop> {
    #[cfg(feature = "tls")]
    if let Some(tls) = &connection.server.tls {
        let mut accept = Box::pin(tls.accept(socket));
        let accepted = watch(connection, timer, |cx, finish| match accept.as_mut().poll(cx) {
            Poll::Pending if finish => {
                Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()))
            }
            accepted => accepted,
        });
        return match accepted.await? {
            Ok(stream) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(super::tls::HTTP_2);
                Ok((Stream::Other(Box::new(stream)), is_http2))
            }
            Err(error) => {
                tracing::debug!(peer = %connection.peer, %error, "TLS handshake failed");
                Err(Stop::Cut)
            }
        };
    }
    Ok((Stream::Tcp(socket), false))
}

/// Reads until it is clear which version of HTTP the peer speaks.
async fn speaks_http2(
    connection: &Connection,
    timer: Pin<&mut Timer>,
    io: &mut HttpStream,
) -> Result<bool, Stop> {
    watch(connection, timer, |cx, finish| {
        loop {
            let read = io.prefix();
            if read.len() >= PREFACE.len() || !PREFACE.starts_with(read) {
                return Poll::Ready(Ok(read.starts_with(PREFACE)));
            }
            match io.poll_read_ahead(cx) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(_) => return Poll::Ready(Err(Stop::Cut)),
                Poll::Pending if finish => return Poll::Ready(Err(Stop::Cut)),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await?
}

enum End {
    Done(hyper::Result<()>),
    HandOff,
}

async fn http1(connection: &Arc<Connection>, timer: Pin<&mut Timer>, io: HttpStream) {
    connection.enter_phase(Phase::Http1);
    let service = Service::new(connection.clone());
    let builder = &connection.server.http1;
    let mut http = builder.serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut finishing = false;
    let end = watch(connection, timer, |cx, finish| {
        if finish && !std::mem::replace(&mut finishing, true) {
            Pin::new(&mut http).graceful_shutdown();
        }
        if let Poll::Ready(result) = Pin::new(&mut http).poll(cx) {
            return Poll::Ready(End::Done(result));
        }
        if connection.hand_off.is_ready() { Poll::Ready(End::HandOff) } else { Poll::Pending }
    })
    .await;

    let answer_408 = matches!(end, Err(Stop::Due(Some(Limit::HeaderTime))));
    let linger = match &end {
        Ok(End::HandOff) => true,
        Ok(End::Done(Ok(()))) => connection.is_unread() || connection.refused.is_some(),
        Ok(End::Done(Err(error))) => failed(connection, error),
        Err(_) => answer_408,
    };
    // There are none when the connection was upgraded.
    let Some(parts) = http.into_parts().filter(|_| linger) else { return };
    let (mut stream, read) = parts.io.into_inner().into_stream(parts.read_buf);
    drop((parts.service, read));
    if matches!(end, Ok(End::HandOff)) {
        if let Some(events) = connection.hand_off.take() {
            tokio::spawn(events.run(stream, connection.clone()));
        }
        return;
    }
    let last_words = if answer_408 { REQUEST_TIMEOUT } else { b"" };
    // Boxed, as hardly any connection comes to this.
    let _ = Box::pin(tokio::time::timeout(LINGER, part(&mut stream, last_words))).await;
}

/// Counts what went wrong; says whether the peer is to be told by the HTTP library's own answer.
fn failed(connection: &Connection, error: &hyper::Error) -> bool {
    if error.is_parse_too_large() {
        connection.limit_reached(Limit::HeaderSize);
    } else {
        tracing::debug!(peer = %connection.peer, %error, "connection failed");
    }
    error.is_parse()
}

/// Closes a connection on which the peer may still be sending.
async fn part(stream: &mut Stream, last_words: &[u8]) -> std::io::Result<()> {
    stream.write_all(last_words).await?;
    stream.shutdown().await?;
    while discard(stream).await? > 0 {}
    Ok(())
}

/// Reads once and forgets it. Says how much that was.
async fn discard(stream: &mut Stream) -> std::io::Result<usize> {
    poll_fn(|cx| {
        scratch::with_input(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(buffer.filled().len()))
        })
    })
    .await
}

async fn http2(connection: &Arc<Connection>, timer: Pin<&mut Timer>, io: HttpStream) {
    connection.enter_phase(Phase::Http2);
    let service = Service::new(connection.clone());
    let builder = &connection.server.http2;
    let mut http = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut finishing = false;
    let end = watch(connection, timer, |cx, finish| {
        if finish && !std::mem::replace(&mut finishing, true) {
            http.as_mut().graceful_shutdown();
        }
        http.as_mut().poll(cx)
    })
    .await;
    if let Ok(Err(error)) = end {
        tracing::debug!(peer = %connection.peer, %error, "connection failed");
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use tokio::net::TcpListener;

    use super::*;
    use crate::server::config::Config;
    use crate::server::shared::Shared;

    #[tokio::test]
    async fn a_connection_that_never_has_its_turn_holds_on_to_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let shared = Arc::new(Shared::new(Config::default(), Router::new(), 1));
        let peer = socket.local_addr().unwrap();
        shared.admission.enter(&shared.config, peer.ip(), 0);
        let connection = Connection::new(shared.clone(), 0, peer, None);
        let driver = serve(Http { connection }, socket);
        assert_eq!(shared.registry.len(), 1);
        drop(driver);
        assert_eq!(shared.registry.len(), 0);
        assert_eq!(Arc::strong_count(&shared), 1);
    }
}

//! The other end of what the examples serve.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// `host:port` out of a line with a URL in it.
pub fn address(line: &str) -> String {
    let after = line.split_once("://").expect("a line with a URL").1;
    after.split(' ').next().unwrap_or(after).to_owned()
}

pub fn test(steps: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, steps).await.expect("stuck") });
}

/// A GET request on a bare socket.
pub struct Get(pub BufReader<TcpStream>);

impl Get {
    pub async fn send(address: &str, path: &str, headers: &str) -> Get {
        let stream = connect_tcp(address).await;
        Get::write(stream, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")).await
    }

    /// The body of a streamed response, as it is: HTTP/1.0 has no chunks.
    pub async fn stream(stream: TcpStream, path: &str) -> Get {
        let mut get = Get::write(stream, format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        let head = get.until("\r\n\r\n").await;
        assert!(head.contains(" 200 ") && head.contains("text/event-stream"), "{head}");
        get
    }

    /// Sends a request that was written by hand.
    pub async fn write(mut stream: TcpStream, request: String) -> Get {
        stream.write_all(request.as_bytes()).await.unwrap();
        Get(BufReader::new(stream))
    }

    /// What comes up to and with `end`.
    pub async fn until(&mut self, end: &str) -> String {
        let last = *end.as_bytes().last().expect("an end to wait for");
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            let read = self.0.read_until(last, &mut got).await;
            if !matches!(read, Ok(1..)) || got.last() != Some(&last) {
                panic!("{read:?} after {:?}", String::from_utf8_lossy(&got));
            }
        }
        String::from_utf8(got).unwrap()
    }
}

pub async fn connect(address: &str, path: &str) -> Socket {
    connect_async(format!("ws://{address}{path}")).await.unwrap().0
}

pub async fn next_text(socket: &mut Socket) -> String {
    socket.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

pub async fn connect_tcp(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// A connection on which little waits in the kernel, so that a client that does not read is soon
/// slow to the server.
pub async fn connect_narrow(address: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(128 * 1024).unwrap();
    socket.connect(address.parse().unwrap()).await.unwrap()
}

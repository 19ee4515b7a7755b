//! An HTTP/1.1 client that shows what a library would hide: where one chunk ends and the next
//! begins.
//!
//! Several test crates include this file, and none of them uses all of it.
#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

pub struct RawResponse {
    /// Status line and headers, in lower case.
    pub head: String,
    stream: BufReader<TcpStream>,
}

/// Sends a GET request with these header lines, each ended by CRLF, and reads the response's head.
pub async fn get(server: SocketAddr, path: &str, headers: &str) -> RawResponse {
    get_on(TcpSocket::new_v4().unwrap(), server, path, headers).await
}

/// Like [`get`], on a socket that was set up before.
pub async fn get_on(
    socket: TcpSocket,
    server: SocketAddr,
    path: &str,
    headers: &str,
) -> RawResponse {
    let mut stream = socket.connect(server).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "closed within {head:?}");
    }
    RawResponse { head: head.to_lowercase(), stream }
}

impl RawResponse {
    /// The next chunk of a chunked body (RFC 9112 §7.1), `None` for the last one.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let mut size = String::new();
        assert_ne!(self.stream.read_line(&mut size).await.unwrap(), 0, "closed within the body");
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await.unwrap();
        assert_eq!(chunk.split_off(size), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// Whether the connection is closed before the next chunk, instead of ending its body.
    pub async fn is_cut_off(&mut self) -> bool {
        self.stream.read_u8().await.is_err()
    }
}

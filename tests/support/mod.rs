//! A client that shows every byte, and what else the server's tests share.
#![allow(dead_code, reason = "each test program uses a part of it")]

mod patience;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use axum::Router;
use lithe::server::{Builder, Server};
use lithe::transport::Kind;

pub(crate) use patience::*;

/// A builder for a server with one worker.
pub(crate) fn server(router: Router) -> Builder {
    Server::builder().router(router).workers(1)
}

/// A blocking HTTP/1 client on a raw socket.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(server: &Server) -> Client {
        Client::on(TcpStream::connect(server.local_addr()).unwrap())
    }

    /// Connects from the given loopback address.
    pub(crate) fn connect_from(server: &Server, local: &str) -> Client {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let local: SocketAddr = format!("{local}:0").parse().unwrap();
        socket.bind(&local.into()).unwrap();
        socket.connect(&server.local_addr().into()).unwrap();
        Client::on(socket.into())
    }

    pub(crate) fn on(socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { socket, read: Vec::new() }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.socket.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Sends a request without a body.
    pub(crate) fn get(&mut self, path: &str) -> &mut Self {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"))
    }

    /// What one `read` of the socket gives; empty at the end.
    pub(crate) fn read_once(&mut self) -> io::Result<Vec<u8>> {
        if !self.read.is_empty() {
            return Ok(std::mem::take(&mut self.read));
        }
        let mut buffer = vec![0; 64 * 1024];
        let len = self.socket.read(&mut buffer)?;
        buffer.truncate(len);
        Ok(buffer)
    }

    /// Reads up to and including the given text.
    pub(crate) fn read_until(&mut self, end: &str) -> String {
        let mut read = std::mem::take(&mut self.read);
        loop {
            if let Some(at) = read.windows(end.len()).position(|w| w == end.as_bytes()) {
                self.read = read.split_off(at + end.len());
                return String::from_utf8(read).unwrap();
            }
            let mut buffer = [0; 4096];
            let len = self.socket.read(&mut buffer).unwrap();
            assert!(len > 0, "no {end:?} in {:?}", String::from_utf8_lossy(&read));
            read.extend_from_slice(&buffer[..len]);
        }
    }

    /// Reads the head of a response.
    pub(crate) fn head(&mut self) -> String {
        self.read_until("\r\n\r\n")
    }

    /// Reads a response whose length is given.
    pub(crate) fn response(&mut self) -> (String, String) {
        let head = self.head();
        let len = header(&head, "content-length").map_or(0, |len| len.parse().unwrap());
        while self.read.len() < len {
            let mut buffer = [0; 4096];
            let len = self.socket.read(&mut buffer).unwrap();
            assert!(len > 0, "the body ends too early");
            self.read.extend_from_slice(&buffer[..len]);
        }
        let rest = self.read.split_off(len);
        let body = std::mem::replace(&mut self.read, rest);
        (head, String::from_utf8(body).unwrap())
    }

    /// Reads to the end.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.read);
        self.socket.read_to_end(&mut rest).unwrap();
        String::from_utf8(rest).unwrap()
    }

    /// Waits for the server to close the connection without another byte.
    pub(crate) fn closed(&mut self) {
        assert_eq!(self.read, b"");
        match self.socket.read(&mut [0; 1024]) {
            Ok(0) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            other => panic!("not closed but {other:?}"),
        }
    }

    pub(crate) fn finish_sending(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

/// How many connections of that kind are in the registry.
pub(crate) fn count(server: &Server, kind: Kind) -> usize {
    server.connections().iter().filter(|connection| connection.kind == kind).count()
}

/// How often clients have run into that limit.
pub(crate) fn hits(server: &Server, limit: &str) -> u64 {
    server.metrics().limits[limit]
}

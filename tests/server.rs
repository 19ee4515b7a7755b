//! The server through its public API, over real sockets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use lithe::server::Server;

fn start(router: Router) -> Server {
    Server::builder().router(router).workers(1).start().unwrap()
}

fn exchange(server: &Server, request: &str) -> String {
    let mut socket = TcpStream::connect(server.local_addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_router_answers_over_http1() {
    let server = start(Router::new().route("/", get(|| async { "hello" })));
    let answer = exchange(&server, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[test]
fn nobody_listens_once_the_server_is_dropped() {
    let server = start(Router::new());
    let address = server.local_addr();
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn an_idle_connection_is_drained_at_once() {
    let server = start(Router::new());
    let mut socket = TcpStream::connect(server.local_addr()).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut byte = [0];
    socket.read_exact(&mut byte).unwrap();
    assert_eq!(server.connection_count(), 1);
    let report = server.drain_blocking(Duration::from_secs(60));
    assert_eq!((report.drained, report.cut), (1, 0));
}

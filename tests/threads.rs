//! Connections whose handlers live on threads without a runtime.
#![cfg(all(feature = "server", feature = "sse", feature = "ws"))]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use lithe::server::Server;
use lithe::sse;
use lithe::ws::{RecvError, SendError, Socket, WebSocketUpgrade};

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const GET: &str = "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Handlers {
    server: Server,
    sockets: mpsc::Receiver<Socket>,
    events: mpsc::Receiver<sse::Sender>,
}

fn start() -> Handlers {
    let (give_socket, sockets) = mpsc::channel();
    let (give_events, events) = mpsc::channel();
    let websocket = async move |upgrade: WebSocketUpgrade| match upgrade.accept() {
        Ok((socket, response)) => {
            give_socket.send(socket).unwrap();
            response
        }
        Err(error) => error.into_response(),
    };
    let stream = async move || {
        let (sender, response) = sse::channel();
        give_events.send(sender).unwrap();
        response
    };
    let router = Router::new().route("/ws", get(websocket)).route("/events", get(stream));
    let server = Server::builder().bind("127.0.0.1:0").workers(1).router(router).start().unwrap();
    Handlers { server, sockets, events }
}

/// Sends a request and waits for the head of its answer.
fn request(server: &Server, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    client
}

#[test]
fn thread_that_receives_learns_that_the_server_was_dropped() {
    let Handlers { server, sockets, .. } = start();
    let _client = request(&server, HANDSHAKE);
    let socket = sockets.recv().unwrap();
    let sender = socket.sender();
    let receiver = thread::spawn(move || socket.recv_blocking(None));
    drop(server);
    let Err(RecvError::Closed(closed)) = receiver.join().unwrap() else { panic!("a message") };
    assert_eq!((closed.code, closed.clean), (1006, false));
    assert_eq!(sender.send_blocking("late", None), Err(SendError::Closed));
}

#[test]
fn thread_that_sends_learns_that_the_server_was_dropped() {
    let Handlers { server, sockets, .. } = start();
    let _client = request(&server, HANDSHAKE);
    let sender = sockets.recv().unwrap();
    let sender = thread::spawn(move || {
        let message = vec![0; 64 * 1024];
        while sender.sender().send_blocking(message.clone(), None).is_ok() {}
    });
    drop(server);
    sender.join().unwrap();
}

#[test]
fn thread_that_sends_events_learns_that_the_server_was_dropped() {
    let Handlers { server, events, .. } = start();
    let _client = request(&server, GET);
    let sender = events.recv().unwrap();
    let sender = thread::spawn(move || {
        let event = "x".repeat(64 * 1024);
        while sender.send_blocking(event.clone(), None).is_ok() {}
    });
    drop(server);
    sender.join().unwrap();
}

#[test]
fn handshake_that_is_cut_short_by_the_servers_end_is_reported() {
    let Handlers { server, sockets, .. } = start();
    let mut client = TcpStream::connect(server.local_addr()).unwrap();
    client.write_all(HANDSHAKE.as_bytes()).unwrap();
    let socket = sockets.recv().unwrap();
    drop(server);
    assert!(matches!(socket.recv_blocking(None), Err(RecvError::Closed(_))));
}

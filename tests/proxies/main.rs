//! Lithe behind nginx and Caddy, as Debian packages them, with the very configuration that
//! `docs/deploy.md` shows.
#![cfg(all(feature = "sse", feature = "ws", feature = "server"))]

mod proxy;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{any, get};
use futures_util::{SinkExt, StreamExt};
use lithe::server::Server;
use lithe::sse;
use lithe::ws::{CloseCode, Socket, WebSocketUpgrade};
use proxy::{Proxy, reserve_port, within_reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::{WebSocketStream, client_async};

/// A server, and what its handlers hand over to the test.
struct Backend {
    server: Server,
    streams: mpsc::UnboundedReceiver<sse::Sender>,
    sockets: mpsc::UnboundedReceiver<Socket>,
}

impl Backend {
    fn start() -> Self {
        let (give_stream, streams) = mpsc::unbounded_channel();
        let (give_socket, sockets) = mpsc::unbounded_channel();
        let router = Router::new()
            .route(
                "/events",
                get(async move || {
                    let (events, response) = sse::channel();
                    give_stream.send(events).unwrap();
                    response
                }),
            )
            .route(
                "/socket",
                any(async move |upgrade: WebSocketUpgrade| {
                    upgrade.on_upgrade(async move |socket| give_socket.send(socket).unwrap())
                }),
            )
            .route("/client", get(client));
        // All connections come from the proxy.
        let server = Server::builder().router(router).max_connections_per_ip(0).start().unwrap();
        Backend { server, streams, sockets }
    }

    /// The sender of the event stream that was opened next.
    async fn stream(&mut self) -> sse::Sender {
        within_reason("the request for events", self.streams.recv()).await.unwrap()
    }

    /// The WebSocket that was opened next.
    async fn socket(&mut self) -> Socket {
        within_reason("the handshake", self.sockets.recv()).await.unwrap()
    }
}

/// Whom the proxy says it speaks for.
async fn client(headers: HeaderMap) -> String {
    let of = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
    format!("{} by {}", of("x-forwarded-for"), of("x-forwarded-proto"))
}

/// An HTTP response as it comes.
struct Response {
    socket: TcpStream,
    received: String,
}

impl Response {
    async fn get(proxy: &Proxy, path: &str) -> Self {
        Response::get_accepting(proxy, path, "*/*").await
    }

    async fn get_accepting(proxy: &Proxy, path: &str, media: &str) -> Self {
        let mut socket = TcpStream::connect(proxy.address).await.unwrap();
        let host = proxy.address;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\naccept: {media}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Response { socket, received: String::new() }
    }

    /// Reads until `text` has come, and takes everything up to it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.received.find(text) {
                return self.received.drain(..at + text.len()).collect();
            }
            let mut buffer = [0; 4096];
            let read = within_reason(text, self.socket.read(&mut buffer)).await.unwrap();
            assert_ne!(read, 0, "{text:?} never came, only {:?}", self.received);
            self.received.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    }
}

/// Opens a WebSocket as a page would that the proxy itself has served.
async fn open_socket(proxy: &Proxy) -> WebSocketStream<TcpStream> {
    let mut request = format!("ws://{}/socket", proxy.address).into_client_request().unwrap();
    let origin = format!("http://{}", proxy.address).parse().unwrap();
    request.headers_mut().insert("origin", origin);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    within_reason("the handshake", client_async(request, stream)).await.unwrap().0
}

async fn events_pass_one_by_one(start: fn(SocketAddr) -> Proxy) {
    let mut backend = Backend::start();
    let proxy = start(backend.server.local_addr());
    let mut response = Response::get(&proxy, "/events").await;
    let events = backend.stream().await;
    for n in 0..10 {
        // A proxy that held this event back would wait in vain for more.
        events.send(format!("event {n}")).await.unwrap();
        response.until(&format!("data: event {n}\n\n")).await;
    }
    events.close();
    response.until("\r\n0\r\n\r\n").await;
}

async fn a_client_that_leaves_its_event_stream_is_noticed(start: fn(SocketAddr) -> Proxy) {
    let mut backend = Backend::start();
    let proxy = start(backend.server.local_addr());
    let mut response = Response::get(&proxy, "/events").await;
    let events = backend.stream().await;
    events.send("hello").await.unwrap();
    response.until("data: hello\n\n").await;
    drop(response);
    within_reason("the client to be missed", events.closed()).await;
}

async fn messages_and_close_codes_pass_both_ways(start: fn(SocketAddr) -> Proxy) {
    let mut backend = Backend::start();
    let proxy = start(backend.server.local_addr());
    for client_closes in [true, false] {
        let mut client = open_socket(&proxy).await;
        let mut socket = backend.socket().await;
        for message in [Message::text("Grüße"), Message::binary(vec![7; 300_000])] {
            client.send(message.clone()).await.unwrap();
            let received = within_reason("the message", socket.recv()).await.unwrap();
            socket.send(received).await.unwrap();
            let echoed = within_reason("the echo", client.next()).await.unwrap().unwrap();
            assert_eq!(echoed, message);
        }
        if client_closes {
            let frame = CloseFrame { code: WireCode::Library(4001), reason: "bye".into() };
            client.close(Some(frame)).await.unwrap();
            assert_eq!(within_reason("the close frame", socket.recv()).await, None);
            let closed = within_reason("the end", socket.sender().closed()).await;
            assert_eq!((closed.code, &*closed.reason), (4001, "bye"));
        } else {
            socket.close(CloseCode::new(4002).unwrap(), "enough");
            let last = within_reason("the close frame", client.next()).await.unwrap().unwrap();
            let frame = CloseFrame { code: WireCode::Library(4002), reason: "enough".into() };
            assert_eq!(last, Message::Close(Some(frame)));
        }
    }
}

async fn a_client_that_leaves_its_socket_is_noticed(start: fn(SocketAddr) -> Proxy) {
    let mut backend = Backend::start();
    let proxy = start(backend.server.local_addr());
    let client = open_socket(&proxy).await;
    let mut socket = backend.socket().await;
    drop(client);
    assert_eq!(within_reason("the client to be missed", socket.recv()).await, None);
    assert_eq!(socket.closed().map(|closed| (closed.code, closed.clean)), Some((1006, false)));
}

async fn a_drain_reaches_the_clients(start: fn(SocketAddr) -> Proxy) {
    let mut backend = Backend::start();
    let proxy = start(backend.server.local_addr());
    let mut response = Response::get(&proxy, "/events").await;
    let events = backend.stream().await;
    events.send("hello").await.unwrap();
    response.until("data: hello\n\n").await;
    let mut client = open_socket(&proxy).await;
    let _socket = backend.socket().await;

    let clients = async {
        response.until("retry: ").await;
        response.until("\r\n0\r\n\r\n").await;
        let last = within_reason("the close frame", client.next()).await.unwrap().unwrap();
        let Message::Close(Some(frame)) = last else { panic!("closed by {last:?}") };
        assert_eq!(frame.code, WireCode::Away);
        assert!(client.next().await.is_none());
    };
    let drain = backend.server.drain(Duration::from_secs(60));
    let ((), report) = tokio::join!(clients, drain);
    assert_eq!(report.cut, 0, "{report:?}");
    assert!(report.drained >= 2, "{report:?}");
}

async fn the_client_behind_the_proxy_is_named(start: fn(SocketAddr) -> Proxy) {
    let backend = Backend::start();
    let proxy = start(backend.server.local_addr());
    Response::get(&proxy, "/client").await.until("127.0.0.1 by http").await;
}

/// An `EventSource` would give up for good on any status but 200.
async fn an_event_source_is_asked_back_while_the_server_is_away(start: fn(SocketAddr) -> Proxy) {
    let (_port, nobody) = reserve_port();
    let proxy = start(nobody);
    let mut events = Response::get_accepting(&proxy, "/events", "text/event-stream").await;
    let mut page = Response::get(&proxy, "/events").await;
    let head = events.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    events.until("retry: ").await;
    let milliseconds = events.until("\n\n").await;
    assert!(milliseconds.trim_end().parse::<u32>().is_ok(), "{milliseconds}");

    page.until("HTTP/1.1 50").await;
}

/// Each of these behaviours, behind one proxy.
macro_rules! behind {
    ($proxy:ident: $($behaviour:ident),+ $(,)?) => {
        mod $proxy {
            $(
                #[tokio::test]
                async fn $behaviour() {
                    super::$behaviour(super::Proxy::$proxy).await;
                }
            )+
        }
    };
}

behind! { nginx:
    events_pass_one_by_one,
    a_client_that_leaves_its_event_stream_is_noticed,
    messages_and_close_codes_pass_both_ways,
    a_client_that_leaves_its_socket_is_noticed,
    a_drain_reaches_the_clients,
    the_client_behind_the_proxy_is_named,
    an_event_source_is_asked_back_while_the_server_is_away,
}

behind! { caddy:
    events_pass_one_by_one,
    a_client_that_leaves_its_event_stream_is_noticed,
    messages_and_close_codes_pass_both_ways,
    a_client_that_leaves_its_socket_is_noticed,
    a_drain_reaches_the_clients,
    the_client_behind_the_proxy_is_named,
    an_event_source_is_asked_back_while_the_server_is_away,
}

#[tokio::test]
async fn nginx_limits_the_connections_of_one_client() {
    let mut backend = Backend::start();
    let proxy = Proxy::nginx(backend.server.local_addr());
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut response = Response::get(&proxy, "/events").await;
        response.until("HTTP/1.1 200 OK\r\n").await;
        open.push((response, backend.stream().await));
    }
    Response::get(&proxy, "/events").await.until("HTTP/1.1 503 ").await;
    let mut asked_back = Response::get_accepting(&proxy, "/events", "text/event-stream").await;
    asked_back.until("HTTP/1.1 200 OK\r\n").await;
    asked_back.until("retry: ").await;
}

#[tokio::test]
async fn caddy_holds_requests_back_while_the_server_restarts() {
    let (_port, address) = reserve_port();
    let proxy = Proxy::caddy(address);
    let mut early = Response::get(&proxy, "/client").await;
    let router = Router::new().route("/client", get(client));
    let _server = Server::builder().bind(address.to_string()).router(router).start().unwrap();
    early.until("127.0.0.1 by http").await;
}

#[test]
fn the_documentation_shows_these_configurations() {
    let read = |path: &str| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(root.join("docs").join(path)).unwrap()
    };
    let page = read("deploy.md");
    for file in ["nginx.conf", "Caddyfile", "lithe.service"] {
        assert!(page.contains(&read(&format!("deploy/{file}"))), "deploy.md shows another {file}");
    }
}

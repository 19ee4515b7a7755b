//! HTTP/2 without TLS, by prior knowledge.
#![cfg(all(feature = "server", feature = "sse", feature = "ws"))]

mod support;

use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lithe::server::Server;
use lithe::sse;
use lithe::transport::Kind;
use lithe::ws::{Socket, WebSocketUpgrade};
use support::{PATIENCE, count, eventually, hits, server};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Client = SendRequest<Full<Bytes>>;

async fn connect(server: &Server) -> (Client, JoinHandle<hyper::Result<()>>) {
    let socket = TcpStream::connect(server.local_addr()).await.unwrap();
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
    (client, tokio::spawn(connection))
}

fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    let uri = format!("http://localhost{path}");
    Request::builder().method(method).uri(uri).body(Full::new(body.into())).unwrap()
}

async fn text(response: Response<hyper::body::Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn streams() -> (Router, tokio::sync::mpsc::UnboundedReceiver<sse::Sender>) {
    let (give, take) = tokio::sync::mpsc::unbounded_channel();
    let stream = move || {
        let (sender, response) = sse::channel();
        give.send(sender).unwrap();
        async { response }
    };
    (Router::new().route("/events", get(stream)).route("/", get(|| async { "hello" })), take)
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_a_connection() {
    let (router, _) = streams();
    let server = server(router).start().unwrap();
    let (client, _connection) = connect(&server).await;
    let answers = (0..20).map(|_| {
        let mut client = client.clone();
        async move { text(client.send_request(request("GET", "/", "")).await.unwrap()).await }
    });
    let answers = futures_util::future::join_all(answers).await;
    assert!(answers.iter().all(|answer| answer == "hello"));
    assert_eq!(server.connection_count(), 1);
}

#[cfg(feature = "endpoint")]
#[tokio::test(flavor = "multi_thread")]
async fn channels_of_a_hub_share_a_connection_and_are_drained_one_by_one() {
    const STREAMS: usize = 20;
    let hub = lithe::hub::Hub::new();
    let endpoint = lithe::endpoint::Endpoint::builder(hub.clone()).build();
    let server = server(endpoint.router()).start().unwrap();
    let (client, _connection) = connect(&server).await;
    let streams = (0..STREAMS).map(|n| {
        let (mut client, path) = (client.clone(), format!("/sse?channel=c.{n}"));
        async move { client.send_request(request("GET", &path, "")).await.unwrap() }
    });
    let streams = futures_util::future::join_all(streams).await;
    assert_eq!((count(&server, Kind::Sse), server.connection_count()), (STREAMS, STREAMS + 1));
    for n in 0..STREAMS {
        let channel = format!("c.{n}").parse().unwrap();
        hub.publish(&channel, format!("for {n}")).await.unwrap();
    }
    let report = server.drain(PATIENCE).await;
    assert_eq!(report.cut, 0);
    let texts = futures_util::future::join_all(streams.into_iter().map(text)).await;
    for (n, text) in texts.iter().enumerate() {
        let (before, bye) = text.split_once("event: lithe.bye\n").expect(text);
        assert!(before.contains(&format!("data: for {n}\n")), "{text}");
        assert!(bye.contains("\nretry: ") && bye.contains("\nid: "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_stream_is_an_entry_of_its_own() {
    let (router, mut senders) = streams();
    let server = server(router).start().unwrap();
    let (mut client, _connection) = connect(&server).await;
    let mut first = client.send_request(request("GET", "/events", "")).await.unwrap();
    let second = client.send_request(request("GET", "/events", "")).await.unwrap();
    let sender = senders.recv().await.unwrap();
    assert_eq!((count(&server, Kind::Sse), count(&server, Kind::Http)), (2, 1));
    sender.send("one").await.unwrap();
    let frame = first.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: one\n\n");
    // A client that gives a stream up resets it.
    drop(second);
    let other = senders.recv().await.unwrap();
    other.closed().await;
    eventually("it is gone", || count(&server, Kind::Sse) == 1);
    let answer = client.send_request(request("GET", "/", "")).await.unwrap();
    assert_eq!(text(answer).await, "hello", "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_streams_and_then_the_connection() {
    let (router, _senders) = streams();
    let server = server(router).start().unwrap();
    let (mut client, connection) = connect(&server).await;
    let stream = client.send_request(request("GET", "/events", "")).await.unwrap();
    let drained = server.drain(PATIENCE);
    let (report, stream) = tokio::join!(drained, text(stream));
    assert!(stream.starts_with("retry: "), "{stream}");
    assert_eq!((report.drained, report.cut), (2, 0));
    connection.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_http2_is_in_the_registry() {
    async fn wait(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async |mut socket: Socket| while socket.recv().await.is_some() {})
    }
    let server = server(Router::new().route("/ws", any(wait))).start().unwrap();
    let socket = TcpStream::connect(server.local_addr()).await.unwrap();
    let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake::<_, Empty<Bytes>>(TokioIo::new(socket))
        .await
        .unwrap();
    tokio::spawn(connection);
    let handshake = || {
        let mut request = Request::connect("http://localhost/ws")
            .header("sec-websocket-version", "13")
            .body(Empty::new())
            .unwrap();
        request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        request
    };
    // The client knows that extended CONNECT is on offer once the server's settings are there.
    let response = loop {
        match client.send_request(handshake()).await {
            Ok(response) => break response,
            Err(_) => client.ready().await.unwrap(),
        }
    };
    assert_eq!(response.status(), StatusCode::OK);
    eventually("it is there", || count(&server, Kind::WebSocket) == 1);
    let upgraded = hyper::upgrade::on(response).await.unwrap();
    drop(upgraded);
    eventually("it is gone", || count(&server, Kind::WebSocket) == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_limited() {
    let size = |body: Bytes| async move { body.len().to_string() };
    let server = server(Router::new().route("/", post(size))).max_body_bytes(1000).start().unwrap();
    let (mut client, _connection) = connect(&server).await;
    let answer = client.send_request(request("POST", "/", vec![0; 1000])).await.unwrap();
    assert_eq!(text(answer).await, "1000");
    let answer = client.send_request(request("POST", "/", vec![0; 1001])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(hits(&server, "max_body_bytes"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_limited() {
    let (router, _) = streams();
    let server = server(router).max_header_bytes(1000).start().unwrap();
    let (mut client, _connection) = connect(&server).await;
    let mut large = request("GET", "/", "");
    large.headers_mut().insert("x", "y".repeat(2000).parse().unwrap());
    // The client has been told of the limit by then, or is told by the server.
    match client.send_request(large).await {
        Ok(response) => assert_eq!(response.status(), 431),
        Err(error) => assert!(error.to_string().contains("http2 error"), "{error}"),
    }
    client.ready().await.unwrap();
    let answer = client.send_request(request("GET", "/", "")).await.unwrap();
    assert_eq!(text(answer).await, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed() {
    let (router, _) = streams();
    let timeout = Duration::from_millis(100);
    let server = server(router).idle_timeout(timeout).start().unwrap();
    let (mut client, connection) = connect(&server).await;
    text(client.send_request(request("GET", "/", "")).await.unwrap()).await;
    let _ = connection.await.unwrap();
    assert_eq!(hits(&server, "idle_timeout"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_told_to_come_back() {
    let (router, _) = streams();
    let server = server(router).max_connections(1).start().unwrap();
    let (mut first, _first) = connect(&server).await;
    text(first.send_request(request("GET", "/", "")).await.unwrap()).await;
    let (mut second, connection) = connect(&server).await;
    let answer = second.send_request(request("GET", "/", "")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    text(answer).await;
    let _ = connection.await.unwrap();
}

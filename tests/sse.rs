//! Event streams over real sockets, served by plain `axum::serve` unless it says otherwise.
#![cfg(feature = "sse")]

#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
#[path = "support/raw_http.rs"]
mod raw_http;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use futures_util::{FutureExt, Stream, stream};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};

use event_stream_parser::EventStreamParser;
use lithe::sse::{self, Config, Event, LastEventId, SendError, Sender, Sse};

/// Far longer than anything here takes: a test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

/// Serves event streams and hands the sender of each over to the test.
async fn serve_channels(config: Config) -> (SocketAddr, mpsc::UnboundedReceiver<Sender>) {
    let (opened, senders) = mpsc::unbounded_channel();
    let handler = async move || -> Sse {
        let (sender, response) = sse::channel_with(config.clone());
        opened.send(sender).unwrap();
        response
    };
    (serve(Router::new().route("/", get(handler))).await, senders)
}

/// An HTTP/2 connection and the response to a request on it.
async fn get_over_http2(
    server: SocketAddr,
) -> (http2::SendRequest<Empty<Bytes>>, hyper::Response<hyper::body::Incoming>) {
    let socket = TokioIo::new(TcpStream::connect(server).await.unwrap());
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get(format!("http://{server}/")).body(Empty::new()).unwrap();
    let response = client.send_request(request).await.unwrap();
    (client, response)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("waited in vain")
}

#[tokio::test]
async fn headers_keep_caches_and_proxies_out_of_the_way() {
    let (server, _senders) = serve_channels(Config::default()).await;

    let response = raw_http::get(server, "/", "").await;
    let head = response.head.as_str();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    for header in [
        "content-type: text/event-stream",
        "cache-control: no-cache",
        "x-accel-buffering: no",
        "transfer-encoding: chunked",
    ] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{header} in {head}");
    }
    assert!(!head.contains("\r\ncontent-length:"), "{head}");

    let (_client, response) = get_over_http2(server).await;
    assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-cache");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert!(!headers.contains_key("content-length") && !headers.contains_key("connection"));
}

/// The single thread of this test queues all of them before the connection's task runs again.
#[tokio::test]
async fn queued_events_arrive_in_one_chunk() {
    let (server, mut senders) = serve_channels(Config::default()).await;
    let mut response = raw_http::get(server, "/", "").await;
    let sender = senders.recv().await.unwrap();
    for _ in 0..3 {
        for n in 0..10_000 {
            sender.try_send(n.to_string()).unwrap();
        }
        let events = EventStreamParser::new().feed(&within(response.chunk()).await.unwrap());
        let data: Vec<usize> = events.iter().map(|event| event.data.parse().unwrap()).collect();
        assert_eq!(data, (0..10_000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn queued_events_arrive_in_one_frame_over_http2() {
    let (server, mut senders) = serve_channels(Config::default()).await;
    let (_client, mut response) = get_over_http2(server).await;
    let sender = senders.recv().await.unwrap();
    for n in 0..500 {
        sender.try_send(n.to_string()).unwrap();
    }
    let frame = within(response.frame()).await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(EventStreamParser::new().feed(&frame).len(), 500);
}

#[tokio::test]
async fn the_response_ends_with_the_stream() {
    let (server, mut senders) = serve_channels(Config::default()).await;
    let mut response = raw_http::get(server, "/", "").await;
    let sender = senders.recv().await.unwrap();
    sender.try_send("last").unwrap();
    sender.close();
    assert_eq!(within(response.chunk()).await.unwrap(), b"data: last\n\n");
    assert_eq!(within(response.chunk()).await, None);

    let (_client, response) = get_over_http2(server).await;
    let sender = senders.recv().await.unwrap();
    sender.try_send("last").unwrap();
    drop(sender);
    let body = within(response.into_body().collect()).await.unwrap();
    assert_eq!(body.to_bytes(), "data: last\n\n");
}

#[tokio::test]
async fn an_idle_stream_sends_comments() {
    let config = Config::default().keep_alive(Duration::from_millis(20));
    let (server, mut senders) = serve_channels(config).await;
    let mut response = raw_http::get(server, "/", "").await;
    let sender = senders.recv().await.unwrap();
    let mut parser = EventStreamParser::new();
    while parser.comments.len() < 3 {
        assert_eq!(parser.feed(&within(response.chunk()).await.unwrap()), []);
    }
    sender.try_send("still here").unwrap();
    let mut events = Vec::new();
    while events.is_empty() {
        events = parser.feed(&within(response.chunk()).await.unwrap());
    }
    assert_eq!(events[0].data, "still here");
}

#[tokio::test]
async fn a_client_that_has_gone_is_noticed_at_once() {
    let (server, mut senders) = serve_channels(Config::default().keep_alive(None)).await;

    let response = raw_http::get(server, "/", "").await;
    let sender = senders.recv().await.unwrap();
    assert!(sender.closed().now_or_never().is_none());
    drop(response);
    within(sender.closed()).await;
    assert_eq!(sender.try_send("x"), Err(SendError::Closed));

    let (_client, response) = get_over_http2(server).await;
    let sender = senders.recv().await.unwrap();
    assert!(sender.closed().now_or_never().is_none());
    drop(response);
    within(sender.closed()).await;
}

/// Numbered events that come to 32 MiB: more than all buffers between a sender and a client that
/// does not read can hide.
const FLOOD: usize = 32 * 1024;
const FLOOD_QUEUE: usize = 64 * 1024;

fn flood_event(n: usize) -> String {
    format!("{n} {}", "x".repeat(1000))
}

/// Sends the flood from a task of its own, with `try_send` while that has room, and waits until it
/// gets no further although every other task runs: the queue is full, and stays so.
async fn flood_until_stuck(sender: Sender) {
    let (progress, sent) = watch::channel(0);
    tokio::spawn(async move {
        for n in 0..FLOOD {
            if let Err(error) = sender.try_send(flood_event(n)) {
                assert_eq!(error, SendError::Full);
                sender.send(flood_event(n)).await.unwrap();
            }
            assert!(sender.queued_bytes() <= FLOOD_QUEUE);
            progress.send_replace(n + 1);
        }
    });
    let (mut before, mut turns) = (0, 0);
    while turns < 1000 {
        tokio::task::yield_now().await;
        turns = if *sent.borrow() == before { turns + 1 } else { 0 };
        before = *sent.borrow();
    }
    assert!((1..FLOOD).contains(&before), "{before} sent");
}

/// Checks that the flood arrives whole and in order.
#[derive(Default)]
struct FloodReceiver {
    parser: EventStreamParser,
    received: usize,
}

impl FloodReceiver {
    fn feed(&mut self, bytes: &[u8]) {
        for event in self.parser.feed(bytes) {
            assert_eq!(event.data, flood_event(self.received));
            self.received += 1;
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_slows_its_sender_down_and_loses_nothing() {
    let (server, mut senders) = serve_channels(Config::default().send_queue(FLOOD_QUEUE)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut response = raw_http::get_on(socket, server, "/", "").await;
    within(flood_until_stuck(senders.recv().await.unwrap())).await;

    let mut flood = FloodReceiver::default();
    while let Some(chunk) = within(response.chunk()).await {
        flood.feed(&chunk);
    }
    assert_eq!(flood.received, FLOOD);
}

#[tokio::test]
async fn a_client_that_opens_no_window_slows_its_sender_down_over_http2() {
    let (server, mut senders) = serve_channels(Config::default().send_queue(FLOOD_QUEUE)).await;
    let (_client, mut response) = get_over_http2(server).await;
    within(flood_until_stuck(senders.recv().await.unwrap())).await;

    let mut flood = FloodReceiver::default();
    while let Some(frame) = within(response.frame()).await {
        flood.feed(frame.unwrap().data_ref().unwrap());
    }
    assert_eq!(flood.received, FLOOD);
}

#[tokio::test]
async fn threads_without_a_runtime_can_send() {
    const EVENTS: usize = 10_000;
    let (server, mut senders) = serve_channels(Config::default().send_queue(4096)).await;
    let mut response = raw_http::get(server, "/", "").await;
    let sender = senders.recv().await.unwrap();
    let threads: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for n in 0..EVENTS {
                    let event = Event::new(n.to_string()).event(name).unwrap();
                    sender.send_blocking(event, Some(LONG)).unwrap();
                }
            })
        })
        .collect();
    drop(sender);

    let mut parser = EventStreamParser::new();
    let mut received = std::collections::HashMap::<String, usize>::new();
    while let Some(chunk) = within(response.chunk()).await {
        for event in parser.feed(&chunk) {
            let count = received.entry(event.event_type).or_default();
            assert_eq!(event.data, count.to_string());
            *count += 1;
        }
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let expected = ["a", "b", "c"].map(|name| (name.to_owned(), EVENTS));
    assert_eq!(received, expected.into());
}

/// Each send is dropped as soon as it has to wait, and made again: what arrives shows that none of
/// the dropped ones was queued and none of the others was lost.
#[tokio::test]
async fn a_cancelled_send_sends_nothing() {
    const EVENTS: usize = 20_000;
    let (server, mut senders) = serve_channels(Config::default().send_queue(1024)).await;
    let mut response = raw_http::get(server, "/", "").await;
    let sender = senders.recv().await.unwrap();
    let feeder = tokio::spawn(async move {
        let mut cancelled = 0;
        for n in 0..EVENTS {
            while sender.send(n.to_string()).now_or_never().is_none() {
                cancelled += 1;
                tokio::task::yield_now().await;
            }
        }
        cancelled
    });

    let mut parser = EventStreamParser::new();
    let mut received = 0;
    while let Some(chunk) = within(response.chunk()).await {
        for event in parser.feed(&chunk) {
            assert_eq!(event.data, received.to_string());
            received += 1;
        }
    }
    assert_eq!(received, EVENTS);
    assert!(feeder.await.unwrap() > 0);
}

#[tokio::test]
async fn the_last_event_id_comes_from_the_header_or_the_query() {
    async fn echo(LastEventId(seen): LastEventId) -> Sse<impl Stream<Item = Event>> {
        Sse::new(stream::iter([Event::new(format!("{seen:?}"))]))
    }
    let server = serve(Router::new().route("/", get(echo))).await;
    for (path, headers, expected) in [
        ("/", "", "None"),
        ("/", "Last-Event-ID: 7\r\n", "Some(\"7\")"),
        ("/?lastEventId=6", "", "Some(\"6\")"),
        ("/?lastEventId=6", "Last-Event-ID: 7\r\n", "Some(\"7\")"),
        ("/?lastEventId=%0A", "Last-Event-ID: \r\n", "None"),
    ] {
        let mut response = raw_http::get(server, path, headers).await;
        let events = EventStreamParser::new().feed(&within(response.chunk()).await.unwrap());
        assert_eq!(events[0].data, expected, "{path} {headers}");
        assert_eq!(within(response.chunk()).await, None);
    }
}

#[tokio::test]
async fn an_error_cuts_the_response_off_after_the_events_before_it() {
    async fn failing() -> Sse<impl Stream<Item = Result<Event, &'static str>>> {
        Sse::new(stream::iter([Ok(Event::new("x")), Err("lost")]))
    }
    let server = serve(Router::new().route("/", get(failing))).await;
    let mut response = raw_http::get(server, "/", "").await;
    assert_eq!(within(response.chunk()).await.unwrap(), b"data: x\n\n");
    assert!(within(response.is_cut_off()).await);
}

#[tokio::test]
async fn a_retry_is_the_first_that_a_client_hears() {
    let config = Config::default().retry(Duration::from_millis(700));
    let (server, mut senders) = serve_channels(config).await;
    let mut response = raw_http::get(server, "/", "").await;
    senders.recv().await.unwrap().try_send("x").unwrap();
    let mut parser = EventStreamParser::new();
    let mut events = Vec::new();
    while events.is_empty() {
        events = parser.feed(&within(response.chunk()).await.unwrap());
    }
    assert_eq!((parser.reconnection_time, events[0].data.as_str()), (Some(700), "x"));
}

#[cfg(feature = "server")]
#[tokio::test]
async fn our_own_server_counts_events_and_their_bytes() {
    use lithe::server::Server;
    async fn three() -> Sse<impl Stream<Item = Event>> {
        Sse::new(stream::iter(["1", "2", "3"].map(Event::new)))
    }
    let server = Server::builder().router(Router::new().route("/", get(three))).start().unwrap();

    let mut response = raw_http::get(server.local_addr(), "/", "").await;
    let coded = "1b\r\ndata: 1\n\ndata: 2\n\ndata: 3\n\n\r\n0\r\n\r\n";
    while within(response.chunk()).await.is_some() {}
    // The last bytes are counted after they are written.
    within(async {
        while server.connection_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let counted = server.metrics().sse;
    assert_eq!((counted.messages_out, counted.bytes_out), (3, coded.len() as u64));

    let (_client, response) = get_over_http2(server.local_addr()).await;
    within(response.into_body().collect()).await.unwrap();
    assert_eq!(server.metrics().sse.messages_out, 6);
}

//! Event streams on a server of our own, which takes them over from the HTTP library.
#![cfg(all(feature = "server", feature = "sse"))]

mod support;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::{any, get};
use futures_util::StreamExt;
use lithe::server::Server;
use lithe::sse::{self, Event, Sse};
use lithe::transport::Kind;
use support::{Client, PATIENCE, count, eventually, header, hits, server, status};

/// A route that hands the sender of each stream to the test.
fn streams() -> (Router, mpsc::Receiver<sse::Sender>) {
    streams_with(sse::Config::default())
}

fn streams_with(config: sse::Config) -> (Router, mpsc::Receiver<sse::Sender>) {
    let (give, take) = mpsc::channel();
    let stream = move || {
        let (sender, response) = sse::channel_with(config.clone());
        give.send(sender).unwrap();
        async { response }
    };
    (Router::new().route("/", any(stream)), take)
}

fn open(server: &Server, senders: &mpsc::Receiver<sse::Sender>) -> (Client, sse::Sender) {
    let mut client = Client::connect(server);
    assert_eq!(status(&client.get("/").head()), 200);
    (client, senders.recv_timeout(PATIENCE).unwrap())
}

#[test]
fn events_arrive_in_chunks() {
    let (router, senders) = streams();
    let server = server(router).start().unwrap();
    let mut client = Client::connect(&server);
    let head = client.get("/").head();
    assert_eq!(status(&head), 200);
    assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
    assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
    assert_eq!(header(&head, "connection"), Some("close"));
    let sender = senders.recv().unwrap();
    sender.try_send("one").unwrap();
    assert_eq!(client.read_until("\r\ndata: one\n\n\r\n"), "b\r\ndata: one\n\n\r\n");
    drop(sender);
    assert_eq!(client.rest(), "0\r\n\r\n");
}

#[test]
fn http_1_0_gets_its_events_up_to_the_end_of_the_connection() {
    let (router, senders) = streams();
    let server = server(router).start().unwrap();
    let mut client = Client::connect(&server);
    let head = client.send("GET / HTTP/1.0\r\n\r\n").head();
    assert_eq!(header(&head, "transfer-encoding"), None);
    let sender = senders.recv().unwrap();
    sender.try_send("one").unwrap();
    sender.close();
    assert_eq!(client.rest(), "data: one\n\n");
}

#[test]
fn a_stream_may_be_over_before_it_is_taken_over() {
    let done = || async { Sse::new(futures_util::stream::iter([Event::new("all")])) };
    let server = server(Router::new().route("/", get(done))).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").head();
    assert_eq!(client.rest(), "b\r\ndata: all\n\n\r\n0\r\n\r\n");
    eventually("it is gone", || server.connection_count() == 0);
}

/// A route whose handler keeps the only worker busy, and what says that it does and ends it.
fn holding(router: Router) -> (Router, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (holds, held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let hold = move || {
        holds.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        async {}
    };
    (router.route("/hold", get(hold)), held, release)
}

#[test]
fn a_burst_leaves_in_one_piece() {
    let (router, senders) = streams();
    let (router, held, release) = holding(router);
    let server = server(router).start().unwrap();
    let (mut client, sender) = open(&server, &senders);
    let mut holder = Client::connect(&server);
    holder.get("/hold");
    held.recv_timeout(PATIENCE).unwrap();
    let events: String = (0..50).map(|n| format!("data: event {n}\n\n")).collect();
    for n in 0..50 {
        sender.try_send(format!("event {n}")).unwrap();
    }
    release.send(()).unwrap();
    let piece = String::from_utf8(client.read_once().unwrap()).unwrap();
    assert_eq!(piece, format!("{:x}\r\n{events}\r\n", events.len()));
}

#[test]
fn a_stream_is_in_the_registry_under_the_number_of_its_connection() {
    let (router, senders) = streams();
    let server = server(router.route("/plain", get(|| async {}))).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/plain").response();
    let before = server.connections();
    client.get("/").head();
    let sender = senders.recv().unwrap();
    let after = server.connections();
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id, after[0].peer), (before[0].id, before[0].peer));
    assert_eq!((before[0].kind, after[0].kind), (Kind::Http, Kind::Sse));
    drop(sender);
    client.rest();
    eventually("it is gone", || server.connection_count() == 0);
}

#[test]
fn a_client_that_closes_is_noticed_at_once() {
    let (router, senders) = streams();
    let server = server(router).start().unwrap();
    let (client, sender) = open(&server, &senders);
    drop(client);
    block_on(sender.closed());
    eventually("it is gone", || server.connection_count() == 0);
}

#[test]
fn a_client_that_resets_is_noticed_at_once() {
    let (router, senders) = streams();
    let server = server(router).start().unwrap();
    let (client, sender) = open(&server, &senders);
    socket2::SockRef::from(&client.socket).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    block_on(sender.closed());
    eventually("it is gone", || server.connection_count() == 0);
}

#[test]
fn what_a_client_sends_on_its_stream_is_let_pass_up_to_a_bound() {
    let (router, senders) = streams();
    let server = server(router).start().unwrap();
    let (mut client, sender) = open(&server, &senders);
    client.send("GET /again HTTP/1.1\r\nhost: a\r\n\r\n");
    sender.try_send("on it goes").unwrap();
    client.read_until("on it goes\n\n\r\n");
    // How much of it is sent before the server closes is up to the kernel.
    let _ = std::io::Write::write_all(&mut client.socket, &[b'x'; 1 << 20]);
    block_on(sender.closed());
}

#[test]
fn a_client_that_reads_nothing_fills_the_queue_and_is_cut() {
    let (router, senders) = streams_with(sse::Config::default().send_queue(64 * 1024));
    let server = server(router).write_timeout(Duration::from_millis(200)).start().unwrap();
    let (_client, sender) = open(&server, &senders);
    let event = "x".repeat(32 * 1024);
    while sender.send_blocking(event.as_str(), Some(PATIENCE)).is_ok() {}
    assert!(sender.is_closed());
    eventually("it is counted", || hits(&server, "peer_timeout") == 1);
    eventually("it is gone", || server.connection_count() == 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_client_that_takes_nothing_is_cut_though_the_kernel_holds_all_for_it() {
    use socket2::{Domain, Socket, Type};

    let (router, senders) = streams();
    let server = server(router).write_timeout(Duration::from_millis(300)).start().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.local_addr().into()).unwrap();
    let mut client = Client::on(socket.into());
    client.get("/").head();
    let sender = senders.recv().unwrap();
    sender.try_send("x".repeat(16 * 1024)).unwrap();
    eventually("the kernel has it", || sender.queued_bytes() == 0);
    block_on(sender.closed());
    eventually("it is counted", || hits(&server, "peer_timeout") == 1);
}

#[test]
fn bytes_that_wait_are_shown_in_the_registry() {
    let (router, senders) = streams_with(sse::Config::default().send_queue(64 * 1024));
    let server = server(router).start().unwrap();
    let (_client, sender) = open(&server, &senders);
    let event = "x".repeat(32 * 1024);
    while sender.send_blocking(event.as_str(), Some(Duration::from_millis(100))).is_ok() {}
    let queued = server.connections()[0].queued_bytes;
    assert!(queued >= 32 * 1024, "{queued}");
    assert_eq!(server.metrics().sse.queued_bytes, queued as u64);
}

#[test]
fn a_slow_client_gets_every_byte_in_order() {
    let (router, senders) = streams_with(sse::Config::default().send_queue(256 * 1024));
    let server = server(router).start().unwrap();
    let (mut client, sender) = open(&server, &senders);
    const EVENTS: usize = 2_000;
    let writer = std::thread::spawn(move || {
        for n in 0..EVENTS {
            sender.send_blocking(format!("{n:08}{}", "x".repeat(4096)), Some(PATIENCE)).unwrap();
        }
    });
    let events = unchunked(&client.rest());
    writer.join().unwrap();
    let numbers: Vec<_> = events
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("data: ").unwrap()[..8].parse::<usize>().unwrap())
        .collect();
    assert!(numbers.iter().copied().eq(0..EVENTS));
}

/// The content of chunked coding.
fn unchunked(mut coded: &str) -> String {
    let mut content = String::new();
    loop {
        let (size, rest) = coded.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        content.push_str(&rest[..size]);
        assert_eq!(&rest[size..size + 2], "\r\n");
        coded = &rest[size + 2..];
        if size == 0 {
            assert_eq!(coded, "");
            return content;
        }
    }
}

#[test]
fn a_head_request_gets_the_head_alone() {
    let (router, _senders) = streams();
    let server = server(router.route("/plain", get(|| async { "plain" }))).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(status(&client.head()), 200);
    assert_eq!(client.get("/plain").response().1, "plain");
    assert_eq!(count(&server, Kind::Sse), 0);
}

#[test]
fn a_stream_answers_a_request_whose_body_is_still_coming() {
    let stream = |request: Request| async move {
        let (sender, response) = sse::channel();
        tokio::spawn(async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(piece)) = body.next().await {
                sender.send(String::from_utf8_lossy(&piece).as_ref()).await.unwrap();
            }
        });
        response
    };
    let server = server(Router::new().route("/", any(stream))).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").head();
    client.send("5\r\nfirst\r\n").read_until("data: first\n\n\r\n");
    assert_eq!(count(&server, Kind::Sse), 1);
    client.send("6\r\nsecond\r\n").read_until("data: second\n\n\r\n");
    client.send("0\r\n\r\n").read_until("0\r\n\r\n");
    eventually("it is a plain connection again", || count(&server, Kind::Sse) == 0);
}

#[test]
fn a_stream_is_closed_by_its_number_after_what_is_queued() {
    let (router, senders) = streams();
    let server = server(router).start().unwrap();
    let (mut client, sender) = open(&server, &senders);
    sender.try_send("last").unwrap();
    assert!(server.close(server.connections()[0].id));
    assert_eq!(unchunked(&client.rest()), "data: last\n\n");
    assert!(sender.is_closed());
}

#[test]
fn an_error_breaks_a_stream_off_without_its_end() {
    let failing = || async {
        let events = [Ok(Event::new("one")), Err(std::io::Error::other("on purpose"))];
        Sse::new(futures_util::stream::iter(events))
    };
    let server = server(Router::new().route("/", get(failing))).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").head();
    assert_eq!(client.rest(), "b\r\ndata: one\n\n\r\n", "a proxy must see that it is cut off");
}

#[test]
fn a_panic_in_a_stream_takes_nothing_else_down() {
    let panicking = || async {
        Sse::new(futures_util::stream::poll_fn(|_| -> std::task::Poll<Option<Event>> {
            panic!("on purpose")
        }))
    };
    let (router, senders) = streams();
    let server = server(router.route("/panic", get(panicking))).start().unwrap();
    let (mut client, sender) = open(&server, &senders);
    let mut unlucky = Client::connect(&server);
    unlucky.get("/panic").rest();
    sender.try_send("still here").unwrap();
    client.read_until("still here");
    eventually("the other is gone", || server.connection_count() == 1);
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

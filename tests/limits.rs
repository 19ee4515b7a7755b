//! Each limit of the server, the way a client is told of it, and its counter.
#![cfg(feature = "server")]

mod support;

use std::io::Write;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use http_body_util::BodyExt;
use lithe::server::Server;
use lithe::transport::Kind;
use support::{Client, count, eventually, header, hits, server, status};

const SHORT: Duration = Duration::from_millis(100);

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

fn takes_bodies() -> Router {
    let size = |body: Bytes| async move { body.len().to_string() };
    Router::new().route("/", post(size))
}

fn seconds(window: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<Duration> {
    Duration::from_secs(*window.start())..=Duration::from_secs(*window.end())
}

/// Fills the server with that many connections that have been answered once.
fn fill(server: &Server, connections: usize) -> Vec<Client> {
    let mut clients: Vec<_> = (0..connections).map(|_| Client::connect(server)).collect();
    for client in &mut clients {
        assert_eq!(status(&client.get("/").response().0), 200);
    }
    clients
}

#[test]
fn a_connection_too_many_is_told_to_come_back() {
    let server = server(hello()).max_connections(2).drain_retry(seconds(3..=5)).start().unwrap();
    let clients = fill(&server, 2);
    let mut refused = Client::connect(&server);
    let (head, _) = refused.get("/").response();
    assert_eq!((status(&head), header(&head, "connection")), (503, Some("close")));
    let retry: u64 = header(&head, "retry-after").unwrap().parse().unwrap();
    assert!((3..=5).contains(&retry), "{retry}");
    refused.closed();
    assert_eq!(hits(&server, "max_connections"), 1);
    assert_eq!((server.metrics().refused, server.metrics().accepted), (1, 3));

    drop(clients);
    eventually("there is room again", || server.connection_count() == 0);
    fill(&server, 2);
}

#[test]
fn an_event_source_too_many_gets_a_stream_that_only_says_when_to_come_back() {
    let server = server(hello()).max_connections(1).drain_retry(seconds(2..=4)).start().unwrap();
    let _clients = fill(&server, 1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        let mut refused = Client::connect(&server);
        refused.send("GET / HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n");
        let (head, body) = refused.response();
        assert_eq!(status(&head), 200, "an EventSource gives up on anything else");
        assert_eq!(header(&head, "content-type"), Some("text/event-stream"));
        let wait = body.strip_prefix("retry: ").unwrap().strip_suffix("\n\n").unwrap();
        waits.push(wait.parse::<u64>().unwrap());
        refused.closed();
    }
    assert!(waits.iter().all(|wait| (2_000..=4_000).contains(wait)), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait != waits[0]), "they must not all come at once");
}

#[test]
fn connections_are_limited_for_each_address() {
    let server = server(hello()).max_connections_per_ip(1).start().unwrap();
    let _clients = fill(&server, 1);
    assert_eq!(status(&Client::connect(&server).get("/").head()), 503);
    assert_eq!(hits(&server, "max_connections_per_ip"), 1);
    let mut elsewhere = Client::connect_from(&server, "127.0.0.2");
    assert_eq!(status(&elsewhere.get("/").head()), 200);
}

#[test]
fn the_limit_for_each_address_may_be_switched_off() {
    let server = server(hello()).max_connections_per_ip(0).start().unwrap();
    fill(&server, 3);
}

#[test]
fn too_many_to_be_told_are_closed_at_once() {
    let server = server(hello()).max_connections(0).start().unwrap();
    // These are to be refused, and do not listen to it.
    let _silent: Vec<_> = (0..256).map(|_| Client::connect(&server)).collect();
    eventually("they are waited for", || server.connection_count() == 256);
    Client::connect(&server).closed();
    assert_eq!(hits(&server, "max_connections"), 257);
}

#[test]
fn a_silent_connection_is_closed() {
    let server = server(hello()).handshake_timeout(SHORT).start().unwrap();
    Client::connect(&server).closed();
    assert_eq!(hits(&server, "handshake_timeout"), 1);
}

#[test]
fn a_client_that_sends_its_head_byte_by_byte_is_told_408() {
    let server = server(hello()).header_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    let mut socket = client.socket.try_clone().unwrap();
    let slow = std::thread::spawn(move || {
        let head = "GET / HTTP/1.1\r\nx: ".bytes().chain(std::iter::repeat(b'y'));
        for byte in head {
            if socket.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(status(&client.head()), 408);
    assert_eq!(hits(&server, "header_timeout"), 1);
    drop(client);
    drop(server);
    slow.join().unwrap();
}

#[test]
fn the_time_for_a_head_does_not_run_between_requests() {
    let server = server(hello()).header_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").response();
    std::thread::sleep(SHORT * 3);
    assert_eq!(client.get("/").response().1, "hello");
    assert_eq!(hits(&server, "header_timeout"), 0);
}

#[test]
fn the_time_for_a_head_runs_for_every_request() {
    let server = server(hello()).header_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").response();
    client.send("GET / HT");
    assert_eq!(status(&client.head()), 408);
}

#[test]
fn an_idle_connection_is_closed() {
    let server = server(hello()).idle_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").response();
    client.closed();
    assert_eq!(hits(&server, "idle_timeout"), 1);
}

#[test]
fn a_handler_may_take_longer_than_any_timeout() {
    let slow = || async {
        tokio::time::sleep(SHORT * 3).await;
        "late"
    };
    let server = server(Router::new().route("/", get(slow)))
        .handshake_timeout(SHORT)
        .header_timeout(SHORT)
        .idle_timeout(SHORT)
        .write_timeout(SHORT)
        .start()
        .unwrap();
    assert_eq!(Client::connect(&server).get("/").response().1, "late");
}

#[test]
fn a_head_too_large_is_told_431() {
    let server = server(hello()).max_header_bytes(1024).start().unwrap();
    let mut client = Client::connect(&server);
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(2048)));
    assert_eq!(status(&client.head()), 431);
    eventually("it is counted", || hits(&server, "max_header_bytes") == 1);
    let mut client = Client::connect(&server);
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(512)));
    assert_eq!(client.response().1, "hello");
}

#[test]
fn a_head_without_end_is_told_431() {
    let server = server(hello()).start().unwrap();
    let mut client = Client::connect(&server);
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(64 * 1024)));
    assert_eq!(status(&client.head()), 431);
}

#[test]
fn a_body_too_large_by_its_length_is_told_413_unread() {
    let server = server(takes_bodies()).max_body_bytes(1000).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n");
    assert_eq!(status(&client.response().0), 413);
    assert_eq!(hits(&server, "max_body_bytes"), 1);
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n");
    assert_eq!(client.send([b'x'; 1000]).response().1, "1000");
}

#[test]
fn a_body_too_large_in_chunks_is_told_413() {
    let server = server(takes_bodies()).max_body_bytes(1000).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        client.send(format!("190\r\n{}\r\n", "x".repeat(400)));
    }
    assert_eq!(status(&client.head()), 413);
    assert_eq!(hits(&server, "max_body_bytes"), 1);
}

#[test]
fn an_uploader_that_does_not_listen_gets_to_see_413() {
    let server = server(takes_bodies()).max_body_bytes(1000).start().unwrap();
    let mut client = Client::connect(&server);
    let upload = vec![b'x'; 1 << 20];
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", upload.len()));
    // Without reading on for a while, the server would reset the connection under the answer.
    client.send(upload);
    assert_eq!(status(&client.head()), 413);
}

#[test]
fn the_limit_on_bodies_stands_in_for_the_one_of_axum() {
    let size = 3 << 20;
    let server = server(takes_bodies()).max_body_bytes(size).start().unwrap();
    let mut client = Client::connect(&server);
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"));
    assert_eq!(client.send(vec![b'x'; size]).response().1, size.to_string());
}

#[test]
fn a_body_that_does_not_come_is_told_408() {
    let server = server(takes_bodies()).body_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc");
    assert_eq!(status(&client.head()), 408);
    assert_eq!(hits(&server, "body_timeout"), 1);
}

#[test]
fn a_body_that_trickles_is_told_408() {
    let server = server(takes_bodies()).body_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n");
    let mut socket = client.socket.try_clone().unwrap();
    let trickle = std::thread::spawn(move || {
        while socket.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    assert_eq!(status(&client.head()), 408);
    drop(client);
    drop(server);
    trickle.join().unwrap();
}

#[test]
fn a_handler_that_takes_its_time_is_no_slow_client() {
    let reads_late = |request: Request| async move {
        tokio::time::sleep(SHORT * 3).await;
        request.into_body().collect().await.map(|body| body.to_bytes().len().to_string()).unwrap()
    };
    let router = Router::new().route("/", post(reads_late));
    let server = server(router).body_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    let size = 1 << 20;
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n"));
    assert_eq!(client.send(vec![b'x'; size]).response().1, size.to_string());
}

#[test]
fn a_handler_has_the_last_word_on_a_body_that_it_could_not_read() {
    let forgiving = |request: Request| async move {
        match request.into_body().collect().await {
            Ok(_) => StatusCode::OK.into_response(),
            Err(error) => format!("never mind: {error}").into_response(),
        }
    };
    let router = Router::new().route("/", post(forgiving));
    let server = server(router).body_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nabc");
    let (head, body) = client.response();
    assert_eq!(status(&head), 200);
    assert_eq!(body, "never mind: the body of the request did not come in time");
}

#[test]
fn a_client_that_takes_nothing_of_its_response_is_cut() {
    let endless = || async { Body::new(http_body_util::Full::new(Bytes::from(vec![0; 64 << 20]))) };
    let server =
        server(Router::new().route("/", get(endless))).write_timeout(SHORT).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/");
    eventually("it is cut", || hits(&server, "peer_timeout") == 1);
    eventually("it is gone", || server.connection_count() == 0);
    assert_eq!(status(&client.head()), 200);
}

#[test]
fn a_slow_client_that_goes_on_taking_its_response_is_not_cut() {
    const SIZE: usize = 16 << 20;
    let large = || async { Body::new(http_body_util::Full::new(Bytes::from(vec![0; SIZE]))) };
    let server =
        server(Router::new().route("/", get(large))).write_timeout(SHORT * 3).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").head();
    let mut left = SIZE;
    while left > 0 {
        let len = client.read_once().unwrap().len();
        assert!(len > 0, "cut with {left} bytes left");
        left -= len;
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(hits(&server, "peer_timeout"), 0);
    assert_eq!(count(&server, Kind::Http), 1);
}

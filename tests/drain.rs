//! Parting from all clients kindly.
#![cfg(all(feature = "server", feature = "sse", feature = "ws"))]

mod support;

use std::net::TcpStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Response;
use axum::routing::{any, get};
use lithe::server::DrainReport;
use lithe::sse;
use lithe::transport::Kind;
use lithe::ws::{Socket, WebSocketUpgrade};
use support::{Client, PATIENCE, count, eventually, header, server, status};
use tokio_tungstenite::tungstenite::{self, protocol::frame::coding::CloseCode};

fn report(report: DrainReport) -> (usize, usize) {
    (report.drained, report.cut)
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: Socket| {
        while let Some(message) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// Event streams that go on for ever, WebSockets, and plain requests.
fn everything() -> Router {
    let endless = || async {
        let (sender, response) = sse::channel();
        tokio::spawn(async move { sender.closed().await });
        response
    };
    Router::new()
        .route("/events", get(endless))
        .route("/ws", any(echo))
        .route("/", get(|| async { "hello" }))
}

#[test]
fn nobody_there_is_drained_at_once() {
    let server = server(everything()).start().unwrap();
    assert_eq!(report(server.drain_blocking(PATIENCE)), (0, 0));
    assert!(TcpStream::connect(server.local_addr()).is_err(), "it accepts no more");
}

#[tokio::test]
async fn drain_is_waited_for_on_a_thread_that_may_block() {
    let server = server(everything()).start().unwrap();
    let waited = tokio::task::spawn_blocking(move || server.drain_blocking(PATIENCE));
    assert_eq!(report(waited.await.unwrap()), (0, 0));
}

#[tokio::test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn drain_is_not_waited_for_in_asynchronous_code() {
    server(everything()).start().unwrap().drain_blocking(PATIENCE);
}

#[test]
fn event_streams_are_told_when_to_come_back_each_at_its_own_time() {
    let window = Duration::from_secs(3)..=Duration::from_secs(6);
    let server = server(everything()).workers(2).drain_retry(window).start().unwrap();
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        assert_eq!(status(&client.get("/events").head()), 200);
    }
    assert_eq!(report(server.drain_blocking(PATIENCE)), (20, 0));
    let waits = clients.iter_mut().map(|client| {
        let rest = client.rest();
        assert!(rest.ends_with("\r\n0\r\n\r\n"), "the stream ends as HTTP asks for: {rest:?}");
        let (_, retry) = rest.split_once("retry: ").unwrap();
        retry.split_once('\n').unwrap().0.parse::<u64>().unwrap()
    });
    let mut waits: Vec<_> = waits.collect();
    assert!(waits.iter().all(|wait| (3_000..=6_000).contains(wait)), "{waits:?}");
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 10, "they must not all come at once: {waits:?}");
}

#[test]
fn websockets_are_closed_with_1001() {
    let server = server(everything()).start().unwrap();
    let url = format!("ws://{}/ws", server.local_addr());
    let (mut socket, _) = tungstenite::connect(url).unwrap();
    socket.send("hello".into()).unwrap();
    assert_eq!(socket.read().unwrap().to_text().unwrap(), "hello");
    assert_eq!(count(&server, Kind::WebSocket), 1);
    let client = std::thread::spawn(move || {
        let tungstenite::Message::Close(Some(close)) = socket.read().unwrap() else {
            panic!("not told to close");
        };
        // The close handshake ends with the connection.
        while socket.read().is_ok() {}
        close
    });
    assert_eq!(report(server.drain_blocking(PATIENCE)), (1, 0));
    assert_eq!(client.join().unwrap().code, CloseCode::Away);
}

#[test]
fn a_response_on_its_way_is_waited_for() {
    let (arrived, arrival) = mpsc::channel();
    let slow = move || {
        arrived.send(()).unwrap();
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            "late"
        }
    };
    let server = server(Router::new().route("/", get(slow))).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/");
    arrival.recv_timeout(PATIENCE).unwrap();
    assert_eq!(report(server.drain_blocking(PATIENCE)), (1, 0));
    let (head, body) = client.response();
    assert_eq!((header(&head, "connection"), body.as_str()), (Some("close"), "late"));
}

#[test]
fn connections_that_idle_or_have_said_nothing_are_closed() {
    let server = server(everything()).start().unwrap();
    let mut silent = Client::connect(&server);
    let mut idle = Client::connect(&server);
    idle.get("/").response();
    eventually("both are there", || server.connection_count() == 2);
    assert_eq!(report(server.drain_blocking(PATIENCE)), (2, 0));
    silent.closed();
    idle.closed();
}

#[test]
fn whoever_does_not_go_is_cut_and_counted() {
    let stuck = || async { std::future::pending::<()>().await };
    let server = server(everything().route("/stuck", get(stuck))).start().unwrap();
    let mut stuck = Client::connect(&server);
    stuck.get("/stuck");
    let mut going = Client::connect(&server);
    going.get("/events").head();
    // A WebSocket client that answers no close frame.
    let url = format!("ws://{}/ws", server.local_addr());
    let (_deaf, _) = tungstenite::connect(url).unwrap();
    eventually("all are there", || server.connection_count() == 3);
    let begun = Instant::now();
    assert_eq!(report(server.drain_blocking(Duration::from_millis(300))), (1, 2));
    assert!(begun.elapsed() >= Duration::from_millis(300));
    stuck.closed();
    assert_eq!(server.connection_count(), 0);
    let metrics = server.metrics();
    assert_eq!((metrics.drained, metrics.cut), (1, 2));
}

#[test]
fn a_second_drain_joins_the_first_and_may_shorten_it() {
    let stuck = || async { std::future::pending::<()>().await };
    let server = server(Router::new().route("/", get(stuck))).start().unwrap();
    Client::connect(&server).get("/");
    let mut client = Client::connect(&server);
    client.get("/");
    eventually("it is there", || server.connection_count() >= 1);
    let reports = std::thread::scope(|scope| {
        let first = scope.spawn(|| server.drain_blocking(Duration::MAX));
        let second = scope.spawn(|| server.drain_blocking(Duration::from_millis(50)));
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert_eq!(reports[0], reports[1]);
    assert_eq!(server.drain_blocking(PATIENCE), reports[0], "it is over");
}

#[tokio::test]
async fn a_drain_goes_on_without_its_caller() {
    let server = server(everything()).start().unwrap();
    let client = tokio::task::spawn_blocking({
        let mut client = Client::connect(&server);
        move || {
            client.get("/events").head();
            client
        }
    });
    let mut client = client.await.unwrap();
    let given_up = tokio::time::timeout(Duration::ZERO, server.drain(PATIENCE)).await;
    drop(given_up);
    let rest = tokio::task::spawn_blocking(move || client.rest()).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"));
    assert_eq!(report(server.drain(PATIENCE).await), (1, 0));
}

#[test]
fn a_server_under_load_is_drained() {
    let server = server(everything()).workers(2).start().unwrap();
    let mut streams: Vec<_> = (0..100).map(|_| Client::connect(&server)).collect();
    streams.iter_mut().for_each(|client| drop(client.get("/events").head()));
    let address = server.local_addr();
    let (started, starts) = mpsc::channel();
    let load: Vec<_> = (0..4)
        .map(|_| {
            let started = started.clone();
            std::thread::spawn(move || {
                let mut answered = 0;
                // Until nobody listens any more: whoever is let in gets a whole answer.
                while let Ok(socket) = TcpStream::connect(address) {
                    let mut client = Client::on(socket);
                    if std::io::Write::write_all(
                        &mut client.socket,
                        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
                    )
                    .is_err()
                    {
                        break;
                    }
                    match std::io::read_to_string(&mut client.socket) {
                        Ok(answer) if answer.ends_with("hello") => answered += 1,
                        Ok(answer) => assert_eq!(answer, "", "half an answer"),
                        Err(_) => break,
                    }
                    let _ = started.send(());
                }
                answered
            })
        })
        .collect();
    for _ in 0..100 {
        starts.recv_timeout(PATIENCE).unwrap();
    }
    let report = server.drain_blocking(PATIENCE);
    assert_eq!(report.cut, 0);
    assert!(report.drained >= 100);
    streams.iter_mut().for_each(|client| assert!(client.rest().contains("retry: ")));
    assert!(load.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>() >= 96);
}

//! WebSockets where it is easy to get them wrong, over real sockets.
#![cfg(feature = "ws")]

use std::time::Duration;

use axum::Router;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use lithe::ws::{Config, Message, Prepared, RecvError, Socket, WebSocketUpgrade};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message as Wire;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves WebSockets at `/` and hands them to the test.
async fn serve(config: Config) -> (String, mpsc::UnboundedReceiver<Socket>) {
    let (give, take) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/",
        any(move |upgrade: WebSocketUpgrade| async move {
            upgrade.config(config).on_upgrade(move |socket| {
                give.send(socket).unwrap();
                std::future::ready(())
            })
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, take)
}

async fn connect(config: Config) -> (Client, Socket) {
    let (address, mut sockets) = serve(config).await;
    let (client, _) = connect_async(format!("ws://{address}/")).await.unwrap();
    (client, sockets.recv().await.unwrap())
}

/// The status of the answer to a handshake with these headers.
async fn status(address: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).await.unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

#[tokio::test]
async fn the_default_port_may_be_named_or_not() {
    let (address, _sockets) = serve(Config::default()).await;
    for (host, origin, expected) in [
        ("app.example", "https://app.example", "101"),
        ("app.example:443", "https://app.example", "101"),
        ("app.example:80", "http://app.example", "101"),
        ("APP.example", "http://app.EXAMPLE", "101"),
        ("[::1]:443", "https://[::1]", "101"),
        ("[::1]", "http://[::1]", "101"),
        ("app.example:80", "https://app.example", "403"),
        ("app.example:443", "http://app.example", "403"),
        ("app.example:8080", "http://app.example", "403"),
        ("app.example", "http://app.example:8080", "403"),
        ("app.example", "http://app.example.evil", "403"),
        ("app.example", "http://evil", "403"),
        ("app.example", "app.example", "403"),
        ("null", "null", "403"),
    ] {
        let headers = format!("Host: {host}\r\nOrigin: {origin}\r\n");
        assert_eq!(status(&address, &headers).await, expected, "{origin} at {host}");
    }
}

#[tokio::test]
async fn a_long_broadcast_is_sent_in_fragments_too() {
    let (address, mut sockets) = serve(Config::default().fragment_size(4)).await;
    let mut client = TcpStream::connect(&address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let socket = sockets.recv().await.unwrap();
    socket.sender().try_send_prepared(&Prepared::new("sixsix")).unwrap();
    drop(socket);
    let mut received = Vec::new();
    // Up to the close frame: what we do not answer is cut after a while.
    while !received.ends_with(b"\x88\x02\x03\xe8") {
        assert!(client.read_buf(&mut received).await.unwrap() > 0);
    }
    let frames = received.split(|byte| *byte == b'\n').next_back().unwrap();
    assert_eq!(frames, b"\x01\x04sixs\x80\x02ix\x88\x02\x03\xe8");
}

/// Sends from tasks and threads at once through queues that are always full, to a peer that reads
/// in fits and starts, and receives on several threads what that peer sends: everything arrives
/// once, and in order for each sender.
async fn everything_arrives_once_and_in_order(round: u64) {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 25;
    let mut random = fastrand::Rng::with_seed(round);
    let config = Config::default().send_queue(random.usize(1..400)).receive_queue(1);
    let config = config.fragment_size(random.bool().then_some(7));
    let (client, socket) = connect(config).await;
    let payload =
        |sender: usize, n: usize, size: usize| format!("{sender} {n} {}", "x".repeat(size));

    let mut threads = Vec::new();
    let mut tasks = Vec::new();
    for id in 0..SENDERS {
        let sender = socket.sender();
        let mut random = fastrand::Rng::with_seed(round * 10 + id as u64);
        if id % 2 == 0 {
            threads.push(std::thread::spawn(move || {
                for n in 0..MESSAGES {
                    sender.send_blocking(payload(id, n, random.usize(..300)), None).unwrap();
                }
            }));
        } else {
            tasks.push(tokio::spawn(async move {
                for n in 0..MESSAGES {
                    let message = payload(id, n, random.usize(..300));
                    // Some are given up, and then not sent at all, before they are sent.
                    let mut patience = Duration::ZERO;
                    while tokio::time::timeout(patience, sender.send(message.clone()))
                        .await
                        .is_err()
                    {
                        patience = Duration::from_millis(random.u64(..20));
                    }
                }
            }));
        }
    }
    let (received, mut all_received) = mpsc::unbounded_channel();
    let socket = std::sync::Arc::new(socket);
    for _ in 0..3 {
        let (socket, received) = (socket.clone(), received.clone());
        let mut random = fastrand::Rng::with_seed(round);
        threads.push(std::thread::spawn(move || {
            loop {
                let timeout = random.bool().then_some(Duration::from_micros(random.u64(..200)));
                match socket.recv_blocking(timeout) {
                    Ok(message) => received.send(message).unwrap(),
                    Err(RecvError::Timeout) => {}
                    Err(_) => return,
                }
            }
        }));
    }

    let (mut sink, mut stream) = client.split();
    tasks.push(tokio::spawn(async move {
        for n in 0..MESSAGES * 4 {
            sink.feed(Wire::binary(n.to_be_bytes().to_vec())).await.unwrap();
            if random.u8(..4) == 0 {
                sink.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
        sink.flush().await.unwrap();
    }));
    let mut next = [0; SENDERS];
    let mut random = fastrand::Rng::with_seed(round + 1);
    while next != [MESSAGES; SENDERS] {
        let message = stream.next().await.unwrap().unwrap().into_text().unwrap();
        let mut words = message.split(' ').map(|word| word.parse::<usize>());
        let (id, n) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
        assert_eq!(n, next[id], "from {id} in round {round}");
        next[id] += 1;
        for _ in 0..random.u8(..4) {
            tokio::task::yield_now().await;
        }
    }
    let mut seen = Vec::new();
    while seen.len() < MESSAGES * 4 {
        let Message::Binary(number) = all_received.recv().await.unwrap() else { panic!("text") };
        seen.push(usize::from_be_bytes(number[..].try_into().unwrap()));
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..MESSAGES * 4));
    socket.close(lithe::ws::CloseCode::NORMAL, "");
    for task in tasks {
        task.await.unwrap();
    }
    tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| thread.join().unwrap()))
        .await
        .unwrap();
}

async fn rounds(rounds: std::ops::Range<u64>) {
    for round in rounds {
        let arrives = everything_arrives_once_and_in_order(round);
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, arrives)
            .await
            .unwrap_or_else(|_| panic!("stuck in {round}"));
    }
}

#[tokio::test]
async fn nothing_is_lost_or_stuck_between_threads_and_one_worker() {
    rounds(0..100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_stuck_between_threads_and_many_workers() {
    rounds(100..200).await;
}

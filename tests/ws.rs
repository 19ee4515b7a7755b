//! WebSockets through the public API, over real sockets, with tokio-tungstenite as the client.
#![cfg(feature = "ws")]

use std::time::Duration;

use axum::Router;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use lithe::ws::{
    CloseCode, Config, Message, Origins, Prepared, SendError, Socket, WebSocketUpgrade,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Wire, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Serves one handler at `/` and returns its address.
async fn serve<F, Fut>(config: Config, handler: F) -> String
where
    F: Fn(Socket) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let app = Router::new().route(
        "/",
        any(move |upgrade: WebSocketUpgrade| async move {
            upgrade.config(config).protocols(["v2", "v1"]).on_upgrade(handler)
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

async fn connect(url: &str) -> Client {
    connect_async(url).await.unwrap().0
}

async fn echo(mut socket: Socket) {
    while let Some(message) = socket.recv().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Hands the sockets of all connections to the test.
fn handed_over()
-> (impl Fn(Socket) -> std::future::Ready<()> + Clone, mpsc::UnboundedReceiver<Socket>) {
    let (give, take) = mpsc::unbounded_channel();
    let handler = move |socket| {
        give.send(socket).unwrap();
        std::future::ready(())
    };
    (handler, take)
}

#[tokio::test]
async fn text_and_binary_come_back_as_they_were() {
    let url = serve(Config::default(), echo).await;
    let mut client = connect(&url).await;
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        let text = Wire::text("é".repeat(size / 2));
        client.send(text.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), text);
        let binary = Wire::binary((0..size).map(|i| i as u8).collect::<Vec<_>>());
        client.send(binary.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), binary);
    }
}

#[tokio::test]
async fn a_burst_comes_back_in_order() {
    let url = serve(Config::default(), echo).await;
    let (mut sink, mut stream) = connect(&url).await.split();
    let sender = tokio::spawn(async move {
        for i in 0..10_000 {
            sink.feed(Wire::text(i.to_string())).await.unwrap();
        }
        sink.flush().await.unwrap();
        sink
    });
    for i in 0..10_000 {
        assert_eq!(stream.next().await.unwrap().unwrap(), Wire::text(i.to_string()));
    }
    drop(sender.await.unwrap());
}

#[tokio::test]
async fn close_code_and_reason_reach_the_host() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let mut client = connect(&url).await;
    let mut socket = sockets.recv().await.unwrap();
    client.close(Some(CloseFrame { code: 4001.into(), reason: "done".into() })).await.unwrap();
    assert_eq!(socket.recv().await, None);
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (4001, "done", true));
    assert_eq!(socket.try_send("late"), Err(SendError::Closed));
    // Its answer reaches the client, and then the end of the stream.
    while let Some(message) = client.next().await {
        assert_eq!(
            message.unwrap(),
            Wire::Close(Some(CloseFrame { code: 4001.into(), reason: "".into() }))
        );
    }
}

#[tokio::test]
async fn close_code_and_reason_reach_the_peer_after_what_was_queued() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let mut client = connect(&url).await;
    let mut socket = sockets.recv().await.unwrap();
    socket.try_send("last words").unwrap();
    socket.close(CloseCode::new(4002).unwrap(), "bye");
    assert_eq!(socket.recv().await, None);
    assert_eq!(client.next().await.unwrap().unwrap(), Wire::text("last words"));
    let close = CloseFrame { code: 4002.into(), reason: "bye".into() };
    assert_eq!(client.next().await.unwrap().unwrap(), Wire::Close(Some(close)));
    assert!(client.next().await.is_none());
    let closed = socket.sender().closed().await;
    assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (4002, "bye", true));
}

#[tokio::test]
async fn a_connection_that_breaks_is_reported_as_abnormal() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let client = connect(&url).await;
    let mut socket = sockets.recv().await.unwrap();
    drop(client);
    assert_eq!(socket.recv().await, None);
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, closed.clean), (1006, false));
}

#[tokio::test]
async fn a_handler_that_panics_closes_its_connection_with_1011() {
    let url = serve(Config::default(), async |_socket: Socket| panic!("on purpose")).await;
    let mut client = connect(&url).await;
    match client.next().await.unwrap().unwrap() {
        Wire::Close(Some(close)) => assert_eq!(u16::from(close.code), 1011),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn pings_are_answered_while_the_application_is_slow() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let mut client = connect(&url).await;
    client.send(Wire::text("unread")).await.unwrap();
    client.send(Wire::Ping("are you there".into())).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Wire::Pong("are you there".into()));
    assert_eq!(sockets.recv().await.unwrap().recv().await, Some(Message::from("unread")));
}

#[tokio::test]
async fn a_flood_against_a_slow_application_is_held_back_and_nothing_is_lost() {
    const MESSAGES: usize = 4_000;
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default().receive_queue(64 << 10), handler).await;
    let (mut sink, _stream) = connect(&url).await.split();
    let mut socket = sockets.recv().await.unwrap();
    let (all_sent, mut sent) = oneshot::channel();
    tokio::spawn(async move {
        for i in 0..MESSAGES {
            let mut payload = vec![0; 8 << 10];
            payload[..8].copy_from_slice(&i.to_be_bytes());
            sink.send(Wire::binary(payload)).await.unwrap();
        }
        all_sent.send(()).unwrap();
        sink
    });
    // 32 MB do not fit into 64 KiB here and the kernel's socket buffers: the sender gets stuck.
    let stuck = tokio::time::timeout(Duration::from_millis(500), &mut sent).await;
    assert!(stuck.is_err(), "the peer was not slowed down");
    for i in 0..MESSAGES {
        let message = socket.recv().await.unwrap();
        assert_eq!(message.as_bytes()[..8], i.to_be_bytes());
    }
    sent.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_read_fills_the_queue_and_then_gets_everything() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default().send_queue(64 << 10), handler).await;
    let mut client = connect(&url).await;
    let socket = sockets.recv().await.unwrap();
    let mut sent = 0u64;
    let payload = |i: u64| {
        let mut payload = vec![1; 16 << 10];
        payload[..8].copy_from_slice(&i.to_be_bytes());
        payload
    };
    loop {
        match tokio::time::timeout(Duration::from_millis(300), socket.send(payload(sent))).await {
            Ok(result) => result.unwrap(),
            Err(_) => break,
        }
        sent += 1;
    }
    assert_eq!(socket.try_send(payload(sent)), Err(SendError::Full));
    assert!(socket.sender().queued_bytes() <= 64 << 10);
    let (sender, _receiver) = socket.split();
    let blocked = std::thread::spawn({
        let sender = sender.clone();
        let last = payload(sent);
        move || sender.send_blocking(last, None)
    });
    for i in 0..=sent {
        let message = client.next().await.unwrap().unwrap().into_data();
        assert_eq!(message[..8], i.to_be_bytes());
    }
    blocked.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_with_1009() {
    let url = serve(Config::default().max_message_size(1000), echo).await;
    let mut client = connect(&url).await;
    client.send(Wire::text("x".repeat(1000))).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap().len(), 1000);
    client.send(Wire::text("x".repeat(1001))).await.unwrap();
    match client.next().await.unwrap().unwrap() {
        Wire::Close(Some(close)) => {
            assert_eq!((u16::from(close.code), close.reason.as_str()), (1009, "message too large"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn more_messages_than_allowed_are_refused_with_1008() {
    let url = serve(Config::default().max_messages_per_second(10), echo).await;
    let mut client = connect(&url).await;
    for _ in 0..50 {
        client.feed(Wire::text("spam")).await.unwrap();
    }
    client.flush().await.unwrap();
    let close = loop {
        if let Wire::Close(close) = client.next().await.unwrap().unwrap() {
            break close.unwrap();
        }
    };
    assert_eq!(u16::from(close.code), 1008);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_given_up() {
    let (handler, mut sockets) = handed_over();
    let config = Config::default()
        .ping_interval(Duration::from_millis(50))
        .peer_timeout(Duration::from_millis(50));
    let url = serve(config, handler).await;
    // Never polled, so it never answers; but its socket stays open.
    let _client = connect(&url).await;
    let mut socket = sockets.recv().await.unwrap();
    assert_eq!(socket.recv().await, None);
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, closed.clean), (1006, false));
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays_until_it_is_idle_for_too_long() {
    let config = Config::default()
        .ping_interval(Duration::from_millis(20))
        .peer_timeout(Duration::from_secs(10))
        .idle_timeout(Duration::from_millis(300));
    let url = serve(config, echo).await;
    let mut client = connect(&url).await;
    let mut pings = 0;
    let close = loop {
        match client.next().await.unwrap().unwrap() {
            Wire::Ping(_) => pings += 1,
            Wire::Close(close) => break close.unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert!(pings >= 1);
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1001, "idle"));
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_close_frame_is_cut() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default().close_timeout(Duration::from_millis(50)), handler).await;
    let _client = connect(&url).await;
    let socket = sockets.recv().await.unwrap();
    socket.close(CloseCode::NORMAL, "");
    let closed = socket.sender().closed().await;
    assert_eq!((closed.code, closed.clean), (1000, false));
}

#[tokio::test]
async fn receiving_is_cancel_safe() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let mut client = connect(&url).await;
    let mut socket = sockets.recv().await.unwrap();
    for i in 0..100 {
        client.send(Wire::text(i.to_string())).await.unwrap();
    }
    let mut received = 0;
    while received < 100 {
        tokio::select! {
            biased;
            _ = tokio::task::yield_now() => {}
            message = socket.recv() => {
                assert_eq!(message.unwrap().as_text(), Some(received.to_string().as_str()));
                received += 1;
            }
        }
    }
}

#[tokio::test]
async fn threads_send_and_receive_without_a_runtime() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let mut client = connect(&url).await;
    let socket = sockets.recv().await.unwrap();
    let host = std::thread::spawn(move || {
        let sender = socket.sender();
        while let Ok(message) = socket.recv_blocking(Some(Duration::from_secs(10))) {
            sender.send_blocking(message, None).unwrap();
        }
        assert!(sender.is_closed());
    });
    for i in 0..1000 {
        client.send(Wire::text(i.to_string())).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Wire::text(i.to_string()));
    }
    client.close(None).await.unwrap();
    tokio::task::spawn_blocking(move || host.join().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_broadcast_reaches_everyone_in_order() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let mut clients = Vec::new();
    let mut members = Vec::new();
    for _ in 0..10 {
        clients.push(connect(&url).await);
        members.push(sockets.recv().await.unwrap());
    }
    for i in 0..100 {
        let message = Prepared::new(i.to_string());
        members.iter().for_each(|member| member.sender().try_send_prepared(&message).unwrap());
    }
    for client in &mut clients {
        for i in 0..100 {
            assert_eq!(client.next().await.unwrap().unwrap(), Wire::text(i.to_string()));
        }
    }
}

#[tokio::test]
async fn long_messages_are_sent_in_fragments_when_asked() {
    let url = serve(Config::default().fragment_size(100), echo).await;
    let mut client = connect(&url).await;
    let text = Wire::text("ä".repeat(5000));
    client.send(text.clone()).await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), text);
}

#[tokio::test]
async fn the_first_wanted_protocol_that_is_offered_is_agreed_on() {
    let url = serve(Config::default(), echo).await;
    for (offered, agreed) in [("v1, v2", Some("v2")), ("v1", Some("v1")), ("v3", None)] {
        let mut request = url.as_str().into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse().unwrap());
        let response = match connect_async(request).await {
            Ok((_, response)) => response.into_parts().0,
            // The client insists on one of its own when it offers any.
            Err(Error::Protocol(_)) if agreed.is_none() => continue,
            Err(error) => panic!("{error}"),
        };
        let answer = response.headers.get("Sec-WebSocket-Protocol").map(|v| v.to_str().unwrap());
        assert_eq!(answer, agreed);
    }
}

#[tokio::test]
async fn pages_from_elsewhere_may_not_connect_unless_listed() {
    let status = async |url: &str, origin: &str| {
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        match connect_async(request).await {
            Ok((_, response)) => response.status().as_u16(),
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    };
    let url = serve(Config::default(), echo).await;
    let same = url.replace("ws://", "http://");
    assert_eq!(status(&url, same.trim_end_matches('/')).await, 101);
    assert_eq!(status(&url, "https://evil.example").await, 403);
    assert_eq!(status(&url, "null").await, 403);
    let list = Origins::List(vec!["https://app.example".into()]);
    let url = serve(Config::default().origins(list), echo).await;
    assert_eq!(status(&url, "https://app.example").await, 101);
    assert_eq!(status(&url, "https://evil.example").await, 403);
    let url = serve(Config::default().origins(Origins::Any), echo).await;
    assert_eq!(status(&url, "https://evil.example").await, 101);
}

#[tokio::test]
async fn a_socket_accepted_for_another_thread_sends_before_the_switch() {
    let (give, mut sockets) = mpsc::unbounded_channel();
    let app = Router::new().route(
        "/",
        any(move |upgrade: WebSocketUpgrade| async move {
            let (socket, response) = upgrade.accept().unwrap();
            socket.try_send(Utf8Bytes::from_static("early")).unwrap();
            give.send(socket).unwrap();
            response
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = connect(&url).await;
    let _socket = sockets.recv().await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Wire::text("early"));
}

#[tokio::test]
async fn sending_is_cancel_safe() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default().send_queue(1000), handler).await;
    let mut client = connect(&url).await;
    let socket = sockets.recv().await.unwrap();
    // Larger than the queue: let in because it is empty, and then in the way of all others.
    socket.try_send("x".repeat(15 << 20)).unwrap();
    for _ in 0..100 {
        let cancelled = tokio::time::timeout(Duration::ZERO, socket.send("never")).await;
        assert!(cancelled.is_err());
    }
    let (sender, _receiver) = socket.split();
    let waiting = tokio::spawn(async move { sender.send("after all").await });
    assert_eq!(client.next().await.unwrap().unwrap().len(), 15 << 20);
    assert_eq!(client.next().await.unwrap().unwrap(), Wire::text("after all"));
    waiting.await.unwrap().unwrap();
}

/// Sends bytes of its own making after the handshake, and returns all that came back.
async fn exchange_raw(url: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(url).await.into_inner();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_came_before_an_invalid_frame_is_answered_before_the_close() {
    let url = serve(Config::default(), echo).await;
    let answer = exchange_raw(&url, b"\x81\x82\0\0\0\0hi\x83\x80\0\0\0\0").await;
    assert_eq!(answer, b"\x81\x02hi\x88\x11\x03\xeareserved opcode");
}

#[tokio::test]
async fn what_came_before_a_close_frame_is_answered_before_it() {
    let url = serve(Config::default(), echo).await;
    let answer = exchange_raw(&url, b"\x82\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8").await;
    assert_eq!(answer, b"\x82\x02hi\x88\x02\x03\xe8");
}

#[tokio::test]
async fn a_reset_is_reported_to_the_host() {
    let (handler, mut sockets) = handed_over();
    let url = serve(Config::default(), handler).await;
    let client = connect(&url).await;
    let mut socket = sockets.recv().await.unwrap();
    let MaybeTlsStream::Plain(stream) = client.into_inner() else { panic!("plain TCP") };
    // Closing with a linger time of zero resets the connection.
    stream.set_zero_linger().unwrap();
    drop(stream);
    assert_eq!(socket.recv().await, None);
    assert_eq!(socket.sender().closed().await.code, 1006);
}

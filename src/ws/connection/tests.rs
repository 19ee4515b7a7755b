//! A connection over a pipe, with a clock that stands still while anybody has something to do.

use std::future::{Ready, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::ws::codec::{Encoder, Role};
use crate::ws::{Message, Socket};

const CLIENT: fn() -> Encoder = || Encoder::new(Role::Client);
const SECOND: Duration = Duration::from_secs(1);
/// Long after every timeout of these tests.
const HOUR: Duration = Duration::from_secs(3600);

/// Without pings, so that nothing happens but what a test is about.
fn config() -> Config {
    Config::default().ping_interval(None)
}

struct Pipe {
    peer: DuplexStream,
    socket: Socket,
    task: JoinHandle<()>,
}

/// A connection to a peer between whom and us `capacity` bytes may be under way.
fn connect(config: Config, capacity: usize) -> Pipe {
    let decoder = Decoder::new(Role::Server, config.max_message_size, config.max_frame_size);
    connect_with(config, decoder, capacity)
}

fn connect_with(config: Config, decoder: Decoder, capacity: usize) -> Pipe {
    let (ours, peer) = duplex(capacity);
    let shared = Shared::new(
        &config,
        #[cfg(feature = "deflate")]
        None,
        None,
    );
    let socket = Socket::new(shared.clone());
    let task = run(ours, decoder, shared, config, None::<Ready<()>>);
    Pipe { peer, socket, task }
}

fn run(
    stream: DuplexStream,
    decoder: Decoder,
    shared: Arc<Shared>,
    config: Config,
    handler: Option<impl Future<Output = ()> + Send + 'static>,
) -> JoinHandle<()> {
    let stream = Stream::Other(Box::new(stream));
    let (shared, config) = (Tie(shared), Arc::new(config));
    tokio::spawn(Connection::new(stream, Bytes::new(), decoder, shared, config, None, handler))
}

fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    CLIENT().message(true, false, text.as_bytes(), &mut out);
    out
}

fn close_frame() -> Vec<u8> {
    let mut out = Vec::new();
    CLIENT().close(Some((Code::Normal, "")), &mut out);
    out
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_gets_all_that_was_queued_before_the_close() {
    let Pipe { mut peer, socket, task } = connect(config().close_timeout(SECOND), 1024);
    socket.try_send(vec![7; 64 << 10]).unwrap();
    socket.close(CloseCode::NORMAL, "");
    let mut received = Vec::new();
    while received.len() < (64 << 10) + 10 + 4 {
        sleep(SECOND / 2).await;
        let len = received.len();
        assert!(peer.read_buf(&mut received).await.unwrap() > 0, "cut after {len} bytes");
    }
    sleep(SECOND / 4).await;
    peer.write_all(&close_frame()).await.unwrap();
    assert!(socket.sender().closed().await.clean);
    drop(peer);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_sends_by_itself_leaves_in_the_same_turn() {
    let (ours, mut peer) = duplex(1024);
    let shared = Shared::new(
        &config(),
        #[cfg(feature = "deflate")]
        None,
        None,
    );
    let socket = Socket::new(shared.clone());
    let turns = Arc::new(AtomicUsize::new(0));
    let mut tick = Box::pin(sleep(SECOND));
    let handler = poll_fn({
        let turns = turns.clone();
        move |cx| {
            turns.fetch_add(1, Relaxed);
            if tick.as_mut().poll(cx).is_ready() {
                socket.try_send("tick").unwrap();
                let next = Instant::now() + SECOND;
                tick.as_mut().reset(next);
                let _ = tick.as_mut().poll(cx);
            }
            Poll::Pending::<()>
        }
    });
    let decoder = Decoder::new(Role::Server, 1024, 1024);
    run(ours, decoder, shared, config(), Some(handler));
    let mut frame = [0; 6];
    peer.read_exact(&mut frame).await.unwrap();
    let before = turns.load(Relaxed);
    for _ in 0..10 {
        peer.read_exact(&mut frame).await.unwrap();
        assert_eq!(&frame[2..], b"tick");
    }
    assert_eq!(turns.load(Relaxed) - before, 10);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_after_a_close_is_cut_in_time() {
    let Pipe { peer: _peer, socket, task } = connect(config().close_timeout(SECOND), 1024);
    let begun = Instant::now();
    socket.try_send(vec![7; 64 << 10]).unwrap();
    socket.close(CloseCode::NORMAL, "");
    task.await.unwrap();
    assert!(begun.elapsed() < SECOND * 3 / 2, "{:?}", begun.elapsed());
    assert!(!socket.closed().unwrap().clean);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_without_pings_too() {
    let Pipe { peer: _peer, socket, .. } = connect(config().peer_timeout(SECOND), 1024);
    socket.try_send(vec![7; 64 << 10]).unwrap();
    let closed = timeout(HOUR, socket.sender().closed()).await.expect("kept for ever");
    assert_eq!((closed.code, closed.clean), (1006, false));
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_stays_without_pings() {
    let Pipe { mut peer, mut socket, .. } = connect(config().peer_timeout(SECOND), 1024);
    sleep(HOUR).await;
    peer.write_all(&text("still here")).await.unwrap();
    assert_eq!(socket.recv().await, Some(Message::from("still here")));
}

#[tokio::test(start_paused = true)]
async fn the_idle_timeout_takes_no_message_away() {
    let Pipe { mut peer, mut socket, .. } = connect(config().idle_timeout(SECOND), 1024);
    peer.write_all(&text("unread")).await.unwrap();
    sleep(HOUR).await;
    assert_eq!(socket.recv().await, Some(Message::from("unread")));
    assert_eq!(socket.recv().await, None);
    let closed = socket.sender().closed().await;
    assert_eq!(closed.code, 1001);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_is_let_go_while_the_application_is_behind() {
    let Pipe { mut peer, mut socket, task } = connect(config().receive_queue(1), 1024);
    let begun = Instant::now();
    peer.write_all(&text("unread")).await.unwrap();
    peer.write_all(&close_frame()).await.unwrap();
    assert_eq!(socket.sender().closed().await.code, 1000);
    peer.shutdown().await.unwrap();
    task.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(socket.recv().await, Some(Message::from("unread")));
    assert_eq!(socket.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn times_without_end_are_no_timeouts() {
    let config = config().ping_interval(Duration::MAX).peer_timeout(Duration::MAX);
    let config = config.idle_timeout(Duration::MAX).close_timeout(Duration::MAX);
    let Pipe { mut peer, mut socket, task } = connect(config, 1024);
    peer.write_all(&text("hello")).await.unwrap();
    assert_eq!(socket.recv().await, Some(Message::from("hello")));
    socket.close(CloseCode::NORMAL, "");
    peer.write_all(&close_frame()).await.unwrap();
    assert!(socket.sender().closed().await.clean);
    drop(peer);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_application_does_not_make_its_peer_too_fast() {
    let config = config().receive_queue(1).max_messages_per_second(10);
    let Pipe { mut peer, mut socket, .. } = connect(config, 64 << 10);
    for _ in 0..5 {
        peer.write_all(&text("ten a second").repeat(10)).await.unwrap();
        sleep(SECOND).await;
    }
    for n in 0..50 {
        assert_eq!(socket.recv().await, Some(Message::from("ten a second")), "number {n}");
    }
    // What was too fast by itself still is.
    peer.write_all(&text("spam").repeat(50)).await.unwrap();
    while socket.recv().await.is_some() {}
    assert_eq!(socket.sender().closed().await.code, 1008);
}

#[tokio::test(start_paused = true)]
async fn pings_do_not_stop_the_reading_while_the_queue_is_never_empty() {
    let config = config().send_queue(64 << 10);
    let Pipe { peer, mut socket, .. } = connect(config, 1024);
    let (mut from_us, mut to_us) = split(peer);
    let sender = socket.sender();
    tokio::spawn(async move { while sender.send("x".repeat(500)).await.is_ok() {} });
    tokio::spawn(async move {
        let mut buffer = [0; 256];
        while from_us.read(&mut buffer).await.is_ok_and(|len| len > 0) {
            tokio::task::yield_now().await;
        }
    });
    let mut ping = Vec::new();
    CLIENT().ping(&[0; 125], &mut ping);
    let peer = tokio::spawn(async move {
        for _ in 0..2000 {
            to_us.write_all(&ping).await.unwrap();
        }
        to_us.write_all(&text("after 2,000 pings")).await.unwrap();
        to_us
    });
    let message = std::pin::pin!(socket.recv());
    // Time does not pass here, so the turns are counted instead.
    let mut turns = 0;
    let mut message = message;
    let message = std::future::poll_fn(|cx| {
        turns += 1;
        cx.waker().wake_by_ref();
        assert!(turns < 1_000_000, "the socket is not read any more");
        message.as_mut().poll(cx)
    });
    assert_eq!(message.await, Some(Message::from("after 2,000 pings")));
    drop(peer);
}

#[cfg(feature = "deflate")]
#[tokio::test(start_paused = true)]
async fn what_one_read_inflates_to_is_bounded_by_the_receive_queue() {
    const SIZE: usize = 1 << 20;
    const MESSAGES: usize = 40;
    let config = config().receive_queue(64 << 10).max_message_size(SIZE);
    let params = crate::ws::codec::DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
    };
    let inflater = crate::ws::codec::Inflater::new(&params);
    let decoder = Decoder::new(Role::Server, SIZE, SIZE).inflate(Some(inflater));
    let Pipe { mut peer, mut socket, .. } = connect_with(config, decoder, 1 << 20);
    let mut input = Vec::new();
    for n in 0..MESSAGES {
        let payload = vec![n as u8; SIZE];
        let deflated = crate::ws::codec::deflate_alone((9, 15), &payload).unwrap();
        CLIENT().message(false, true, &deflated, &mut input);
    }
    assert!(input.len() < 64 << 10, "not one read");
    peer.write_all(&input).await.unwrap();
    for n in 0..MESSAGES {
        let message = socket.recv().await.unwrap();
        assert_eq!((message.len(), message.as_bytes()[0]), (SIZE, n as u8));
        assert!(socket.unread_bytes() < 2 * SIZE, "{} bytes wait", socket.unread_bytes());
    }
}

/// What a client has that agreed on shared windows, and what its server sends with.
#[cfg(feature = "deflate")]
fn takeover() -> (Decoder, crate::ws::codec::Deflater) {
    use crate::ws::codec::{Deflate, DeflateParams, Deflater, Inflater};
    let params = DeflateParams {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 10,
        client_max_window_bits: 10,
    };
    let settings = Deflate::default().context_takeover(true).threshold(20);
    let decoder =
        Decoder::new(Role::Client, 1 << 20, 1 << 20).inflate(Some(Inflater::new(&params)));
    (decoder, Deflater::new(&params, &settings))
}

#[cfg(feature = "deflate")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_threads_compress_with_one_window_is_sent_in_that_order() {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 500;
    let (mut decoder, deflater) = takeover();
    let config = config().send_queue(2000);
    let shared = Shared::new(&config, Some(deflater), None);
    let socket = Socket::new(shared.clone());
    let (ours, mut peer) = duplex(700);
    tokio::spawn(Connection::new(
        Stream::Other(Box::new(ours)),
        Bytes::new(),
        Decoder::new(Role::Server, 1000, 1000),
        Tie(shared),
        Arc::new(config),
        None,
        None::<Ready<()>>,
    ));
    let threads = (0..SENDERS).map(|id| {
        let sender = socket.sender();
        std::thread::spawn(move || {
            for n in 0..MESSAGES {
                // Some too short to be compressed, some compressed by themselves.
                let message = format!("{id} {n} {}", "abc ".repeat(n % 40));
                if n % 7 == 0 {
                    let prepared = crate::ws::Prepared::new(message);
                    while sender.try_send_prepared(&prepared).is_err() {
                        std::thread::yield_now();
                    }
                } else {
                    sender.send_blocking(message, None).unwrap();
                }
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    let (mut next, mut buffer) = ([0; SENDERS], [0; 333]);
    while next != [MESSAGES; SENDERS] {
        let len = peer.read(&mut buffer).await.unwrap();
        let decoded = decoder.decode(&mut buffer[..len], |item| {
            let Item::Message(message) = item else { panic!("{item:?}") };
            let mut words = message.as_text().unwrap().split(' ');
            let id: usize = words.next().unwrap().parse().unwrap();
            assert_eq!(words.next(), Some(next[id].to_string().as_str()));
            assert_eq!(words.filter(|word| *word == "abc").count(), next[id] % 40);
            next[id] += 1;
        });
        decoded.unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_pinged_as_often_as_was_asked_for() {
    let config = config().ping_interval(SECOND).peer_timeout(SECOND * 3);
    let Pipe { mut peer, socket: _socket, .. } = connect(config, 1024);
    let mut pong = Vec::new();
    CLIENT().pong(&[], &mut pong);
    // Not in step with the pings.
    sleep(SECOND / 10).await;
    peer.write_all(&text("hello")).await.unwrap();
    let mut heard = Instant::now();
    for _ in 0..10 {
        let mut ping = [0; 2];
        peer.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [0x89, 0]);
        let silence = heard.elapsed();
        assert!((SECOND..SECOND * 11 / 10).contains(&silence), "{silence:?}");
        peer.write_all(&pong).await.unwrap();
        heard = Instant::now();
    }
    let begun = Instant::now();
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).await.unwrap();
    let given_up = begun.elapsed();
    assert!((SECOND * 4..SECOND * 41 / 10).contains(&given_up), "{given_up:?}");
    assert_eq!(rest, [0x89, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_peer_may_take_its_time_to_come_to_the_ping() {
    let config = config().ping_interval(SECOND).peer_timeout(SECOND * 3);
    let Pipe { mut peer, socket, .. } = connect(config, 1024);
    socket.try_send(vec![7; 64 << 10]).unwrap();
    let mut received = Vec::new();
    while received.len() < (64 << 10) + 10 {
        sleep(SECOND / 2).await;
        let len = received.len();
        assert!(peer.read_buf(&mut received).await.unwrap() > 0, "cut after {len} bytes");
    }
    assert!(!socket.sender().is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_given_up_long_before_the_next_ping() {
    let config = config().ping_interval(HOUR).peer_timeout(SECOND);
    let Pipe { peer: _peer, socket, .. } = connect(config, 1024);
    socket.try_send(vec![7; 64 << 10]).unwrap();
    let closed = timeout(SECOND * 3, socket.sender().closed()).await.expect("kept too long");
    assert_eq!((closed.code, closed.clean), (1006, false));
}

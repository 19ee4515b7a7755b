use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::Body as _;
use tokio::time::Instant;

use super::super::{Body, Config, Event, IntoEvent, SendError, Sse, channel, channel_with};
use crate::transport::queue::{Aborted, MAX_FRAME};

async fn frame<S>(body: &mut Pin<Box<Body<S>>>) -> Option<Result<Bytes, BoxError>>
where
    S: futures_core::Stream<Item: IntoEvent>,
{
    let frame = poll_fn(|cx| body.as_mut().poll_frame(cx)).await?;
    Some(frame.map(|frame| frame.into_data().expect("a body of data only")))
}

/// A task's waker that counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls a body of a channel once; keep-alive has to be off.
fn poll_once(body: &mut Pin<Box<Body>>, waker: &Waker) -> Poll<Option<Bytes>> {
    let poll = body.as_mut().poll_frame(&mut Context::from_waker(waker));
    poll.map(|frame| frame.map(|frame| frame.unwrap().into_data().unwrap()))
}

#[tokio::test]
async fn queued_events_leave_in_one_frame() {
    let (events, response) = channel();
    for n in 0..10_000 {
        events.try_send(format!("{n}")).unwrap();
    }
    let broadcast = Event::new("to all").encode();
    events.try_send_encoded(broadcast.clone()).unwrap();
    events.try_send("last").unwrap();

    let expected: String = (0..10_000).map(|n| format!("data: {n}\n\n")).collect();
    let mut body = Box::pin(response.into_body());
    let bytes = frame(&mut body).await.unwrap().unwrap();
    assert_eq!(bytes, format!("{expected}data: to all\n\ndata: last\n\n"));
}

#[tokio::test]
async fn a_frame_is_bounded_and_nothing_is_lost_between_frames() {
    let (events, response) = channel();
    let mut expected = Vec::new();
    for n in 0..2000 {
        let event = Event::new(format!("{n} {}", "x".repeat(n % 400))).encode();
        expected.extend_from_slice(&event);
        match n % 3 {
            0 => events.try_send_encoded(event).unwrap(),
            _ => events.try_send(format!("{n} {}", "x".repeat(n % 400))).unwrap(),
        }
    }
    events.close();
    assert_eq!(events.queued_bytes(), expected.len());

    let mut body = Box::pin(response.into_body());
    let mut received = Vec::new();
    while let Some(bytes) = frame(&mut body).await {
        let bytes = bytes.unwrap();
        assert!(bytes.len() <= MAX_FRAME);
        received.extend_from_slice(&bytes);
    }
    assert_eq!(received, expected);
    assert_eq!(events.queued_bytes(), 0);
}

#[tokio::test]
async fn a_large_broadcast_is_handed_on_without_a_copy() {
    let (events, response) = channel();
    let large = Event::new("x".repeat(300 * 1024)).encode();
    events.try_send("before").unwrap();
    events.try_send_encoded(large.clone()).unwrap();

    let mut body = Box::pin(response.into_body());
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "data: before\n\n");
    assert_eq!(frame(&mut body).await.unwrap().unwrap().as_ptr(), large.as_ptr());
}

#[test]
fn a_burst_wakes_the_body_once() {
    let (events, response) = channel();
    let mut body = Box::pin(response.keep_alive(None).into_body());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());

    assert!(poll_once(&mut body, &waker).is_pending());
    for _ in 0..50 {
        events.try_send("x").unwrap();
    }
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);

    assert!(poll_once(&mut body, &waker).is_ready());
    assert!(poll_once(&mut body, &waker).is_pending());
    events.try_send("x").unwrap();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
}

#[test]
fn bytes_count_as_queued_until_the_transport_asks_for_more() {
    let (events, response) = channel_with(Config::default().send_queue(100).keep_alive(None));
    let mut body = Box::pin(response.into_body());
    events.try_send("x".repeat(80)).unwrap();
    assert_eq!(events.try_send("x".repeat(80)), Err(SendError::Full));

    assert!(poll_once(&mut body, Waker::noop()).is_ready());
    assert_eq!(events.queued_bytes(), 88);
    assert_eq!(events.try_send("x".repeat(80)), Err(SendError::Full));

    assert!(poll_once(&mut body, Waker::noop()).is_pending());
    assert_eq!(events.queued_bytes(), 0);
    events.try_send("x".repeat(80)).unwrap();
}

#[test]
fn one_event_larger_than_the_whole_queue_is_let_in() {
    let (events, _response) = channel_with(Config::default().send_queue(10));
    events.try_send("x".repeat(1000)).unwrap();
    assert_eq!(events.try_send("x"), Err(SendError::Full));
}

#[tokio::test(start_paused = true)]
async fn keep_alive_is_measured_from_the_last_byte() {
    let (events, response) = channel_with(Config::default().keep_alive(Duration::from_secs(10)));
    let mut body = Box::pin(response.into_body());
    let start = Instant::now();
    let sender = tokio::spawn(async move {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(7)).await;
            events.send("x").await.unwrap();
        }
        events
    });

    for sent_at in [7, 14, 21] {
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), "data: x\n\n");
        assert_eq!(start.elapsed().as_secs(), sent_at);
    }
    for sent_at in [31, 41] {
        assert_eq!(frame(&mut body).await.unwrap().unwrap(), ":\n\n");
        assert_eq!(start.elapsed().as_secs(), sent_at);
    }
    drop(sender.await.unwrap());
    assert!(frame(&mut body).await.is_none());
}

/// Without the timer there is nothing left that could end the wait.
#[tokio::test(start_paused = true)]
async fn no_keep_alive_is_sent_when_it_is_off() {
    for off in [None, Some(Duration::ZERO)] {
        let (_events, response) = channel_with(Config::default().keep_alive(off));
        let mut body = Box::pin(response.into_body());
        assert!(tokio::time::timeout(Duration::from_secs(3600), frame(&mut body)).await.is_err());
    }
}

#[tokio::test]
async fn retry_comes_before_the_first_event() {
    let (events, response) = channel_with(Config::default().retry(Duration::from_millis(1500)));
    events.try_send("x").unwrap();
    let mut body = Box::pin(response.into_body());
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "retry: 1500\n\n");
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "data: x\n\n");
}

#[tokio::test]
async fn the_stream_ends_after_what_is_queued() {
    let (events, response) = channel();
    let clone = events.clone();
    let mut body = Box::pin(response.into_body());
    events.try_send("1").unwrap();
    drop(events);
    clone.try_send("2").unwrap();
    drop(clone);
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "data: 1\n\ndata: 2\n\n");
    assert!(frame(&mut body).await.is_none());
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_drained_stream_tells_the_client_when_to_come_back_and_ends() {
    let (events, response) = channel();
    let queue = response.supervised();
    let mut body = Box::pin(response.into_body());
    events.try_send("x").unwrap();
    queue.drain(Duration::from_secs(2));
    queue.drain(Duration::from_secs(3));
    events.closed().await;
    assert_eq!(events.try_send("y"), Err(SendError::Closed));
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "data: x\n\nretry: 2000\n\n");
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn an_aborted_stream_breaks_off_and_frees_its_queue() {
    let (events, response) = channel();
    let queue = response.supervised();
    let mut body = Box::pin(response.into_body());
    events.try_send("x").unwrap();
    queue.abort();
    assert_eq!((events.queued_bytes(), events.is_closed()), (0, true));
    assert!(frame(&mut body).await.unwrap().unwrap_err().is::<Aborted>());
}

#[tokio::test]
async fn an_aborted_stream_wakes_its_body() {
    let (_events, response) = channel();
    let queue = response.supervised();
    let mut body = Box::pin(response.into_body());
    let (end, ()) = tokio::join!(frame(&mut body), async { queue.abort() });
    assert!(end.unwrap().is_err());
}

#[tokio::test]
async fn ready_items_of_a_stream_leave_in_one_frame() {
    let items = stream::iter((0..3).map(|n| Event::new(n.to_string())));
    let mut body = Box::pin(Sse::new(items.chain(stream::pending())).into_body());
    let bytes = frame(&mut body).await.unwrap().unwrap();
    assert_eq!(bytes, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
}

#[tokio::test]
async fn a_stream_that_is_always_ready_is_taken_frame_by_frame() {
    let taken = AtomicUsize::new(0);
    let items = stream::repeat_with(|| {
        taken.fetch_add(1, Ordering::Relaxed);
        Event::new("x".repeat(1000))
    });
    let mut body = Box::pin(Sse::new(items).into_body());
    for frames in 1..4 {
        let bytes = frame(&mut body).await.unwrap().unwrap();
        assert!((MAX_FRAME..MAX_FRAME + 1008).contains(&bytes.len()));
        assert_eq!(taken.load(Ordering::Relaxed), frames * bytes.len() / 1008);
    }
}

#[tokio::test]
async fn an_error_breaks_the_stream_off_after_the_events_before_it() {
    let items = [Ok(Event::new("x")), Err(io::Error::other("lost")), Ok(Event::new("y"))];
    let mut body = Box::pin(Sse::new(stream::iter(items)).into_body());
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "data: x\n\n");
    assert_eq!(frame(&mut body).await.unwrap().unwrap_err().to_string(), "lost");
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_drained_stream_is_dropped() {
    let held = Arc::new(());
    let in_stream = held.clone();
    let items = stream::pending::<Event>().inspect(move |_| drop(in_stream.clone()));
    let response = Sse::new(items);
    let queue = response.supervised();
    let mut body = Box::pin(response.into_body());
    queue.drain(Duration::from_secs(1));
    assert_eq!(frame(&mut body).await.unwrap().unwrap(), "retry: 1000\n\n");
    assert_eq!(Arc::strong_count(&held), 1);
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn a_server_can_count_the_events() {
    let (events, response) = channel();
    let queue = response.supervised();
    events.try_send("1").unwrap();
    events.try_send_encoded(Event::new("2").encode()).unwrap();
    assert_eq!((queue.take_messages(), queue.take_messages()), (2, 0));

    let response = Sse::new(stream::iter(["1", "2", "3"].map(Event::new)));
    let queue = response.supervised();
    frame(&mut Box::pin(response.into_body())).await.unwrap().unwrap();
    assert_eq!(queue.take_messages(), 3);
}

#[test]
fn the_state_of_a_stream_is_small() {
    let shared = size_of::<super::Queue>() + 2 * size_of::<usize>();
    assert!(shared + size_of::<Body>() <= 512, "{shared} + {}", size_of::<Body>());
}

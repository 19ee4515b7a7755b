use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::super::{Config, Event, SendError, channel, channel_with};

/// Room for one of [`LARGE`] and nothing else.
fn small_queue() -> Config {
    Config::default().send_queue(90).keep_alive(None)
}

const LARGE: &str = "0123456789012345678901234567890123456789012345678901234567890123456789012345";

#[tokio::test]
async fn send_waits_for_room() {
    let (events, response) = channel_with(small_queue());
    let mut body = Box::pin(response.into_body());
    events.send(LARGE).await.unwrap();
    let sender = events.clone();
    let waiting = tokio::spawn(async move { sender.send("next").await });
    while !events.is_starved() {
        assert!(!waiting.is_finished());
        tokio::task::yield_now().await;
    }

    body.frame().await.unwrap().unwrap();
    let next = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(next, "data: next\n\n");
    waiting.await.unwrap().unwrap();
}

/// A queue of several frames, whose first ones leave it more than half full.
#[tokio::test]
async fn a_sender_waits_until_half_of_the_queue_is_taken() {
    let event = Event::new("x".repeat(100 * 1024)).encode();
    let (events, response) = channel_with(Config::default().send_queue(10 * event.len()));
    let mut body = Box::pin(response.into_body());
    for _ in 0..10 {
        events.try_send_encoded(event.clone()).unwrap();
    }
    let mut waiting = Box::pin(events.send_encoded(event.clone()));
    for _ in 0..5 {
        assert!(waiting.as_mut().now_or_never().is_none());
        body.frame().await.unwrap().unwrap();
    }
    assert!(waiting.as_mut().now_or_never().is_none());
    body.frame().await.unwrap().unwrap();
    waiting.now_or_never().expect("half of the queue is taken").unwrap();
}

#[tokio::test]
async fn a_cancelled_send_has_queued_nothing_and_holds_up_nobody() {
    let (events, response) = channel_with(small_queue());
    let mut body = Box::pin(response.into_body());
    events.send(LARGE).await.unwrap();

    let mut cancelled = Box::pin(events.send("cancelled"));
    assert!(cancelled.as_mut().now_or_never().is_none());
    let mut kept = Box::pin(events.send("kept"));
    assert!(kept.as_mut().now_or_never().is_none());
    drop(cancelled);

    body.frame().await.unwrap().unwrap();
    let (next, sent) = tokio::join!(body.frame(), kept);
    sent.unwrap();
    assert_eq!(next.unwrap().unwrap().into_data().unwrap(), "data: kept\n\n");
    assert_eq!(events.queued_bytes(), "data: kept\n\n".len());
}

#[tokio::test]
async fn the_end_of_the_body_wakes_every_sender() {
    let (events, response) = channel_with(small_queue());
    events.send(LARGE).await.unwrap();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let events = events.clone();
            tokio::spawn(async move { events.send(LARGE).await })
        })
        .collect();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let events = events.clone();
            thread::spawn(move || events.send_blocking(LARGE, None))
        })
        .collect();
    let watcher = events.clone();
    let closed = tokio::spawn(async move { watcher.closed().await });

    drop(response);
    for task in tasks {
        assert_eq!(task.await.unwrap(), Err(SendError::Closed));
    }
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Err(SendError::Closed));
    }
    closed.await.unwrap();
    assert_eq!(events.queued_bytes(), 0);
}

#[test]
fn a_blocked_thread_gives_up_at_its_timeout() {
    let (events, _response) = channel_with(small_queue());
    events.send_blocking(LARGE, None).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(5)] {
        assert_eq!(events.send_blocking(LARGE, Some(timeout)), Err(SendError::Timeout));
    }
}

#[test]
fn a_timeout_may_be_as_long_as_can_be() {
    let (events, _response) = channel_with(small_queue());
    events.send_blocking(LARGE, Some(Duration::MAX)).unwrap();
}

#[tokio::test]
async fn blocked_threads_go_on_when_there_is_room() {
    let (events, response) = channel_with(small_queue());
    let (started, starts) = mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (events, started) = (events.clone(), started.clone());
            thread::spawn(move || {
                started.send(()).unwrap();
                (0..50).try_for_each(|_| events.send_blocking(LARGE, None))
            })
        })
        .collect();
    starts.recv().unwrap();
    drop(events);

    let received = response.into_body().collect().await.unwrap().to_bytes();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
    assert_eq!(received, format!("data: {LARGE}\n\n").repeat(200));
}

#[tokio::test]
async fn a_stream_that_is_never_answered_with_is_closed() {
    let (events, response) = channel();
    drop(response);
    events.closed().await;
    assert_eq!(events.send("x").await, Err(SendError::Closed));
    assert_eq!(events.try_send("x"), Err(SendError::Closed));
    assert_eq!(events.send_blocking("x", None), Err(SendError::Closed));
}

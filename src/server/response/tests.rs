use std::thread;

use axum::body::Body;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;

use super::*;

fn response(length: Option<u64>) -> (StreamedResponse, Body) {
    StreamedResponse::new(100, length, None)
}

#[tokio::test]
async fn what_is_written_is_sent_to_the_end() {
    let (response, body) = response(None);
    response.try_write(b"one ").unwrap();
    response.try_write(b"").unwrap();
    response.try_write(b"two").unwrap();
    assert_eq!(response.queued_bytes(), 7);
    response.finish().unwrap();
    response.finish().unwrap();
    assert_eq!(response.try_write(b"x"), Err(WriteError::Closed));
    assert_eq!(response.ended().now_or_never(), None);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "one two");
    assert_eq!(response.ended().now_or_never(), Some(true));
    response.finish().unwrap();
}

#[tokio::test]
async fn full_queue_is_told_until_it_is_taken() {
    let (response, mut body) = response(None);
    response.try_write(&[1; 100]).unwrap();
    assert_eq!(response.try_write(b"x"), Err(WriteError::Full));
    let timeout = Some(Duration::from_millis(1));
    assert_eq!(response.write_blocking(b"x", timeout), Err(WriteError::Timeout));
    body.frame().await.unwrap().unwrap();
    assert_eq!(response.try_write(b"x"), Err(WriteError::Full), "it is not known to be taken");
    assert!(body.frame().now_or_never().is_none());
    response.try_write(b"x").unwrap();
}

#[tokio::test]
async fn response_that_is_given_up_breaks_off() {
    let (response, mut body) = response(None);
    response.try_write(b"begun").unwrap();
    drop(response);
    assert!(body.frame().await.unwrap().is_err());
}

#[tokio::test]
async fn finished_response_outlives_its_host() {
    let (response, body) = response(None);
    response.try_write(b"all").unwrap();
    response.finish().unwrap();
    drop(response);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "all");
}

#[tokio::test]
async fn client_that_goes_is_told_apart_from_one_that_has_all() {
    let (gone, body) = response(None);
    gone.try_write(b"begun").unwrap();
    drop(body);
    assert_eq!(gone.try_write(b"x"), Err(WriteError::Closed));
    assert_eq!(gone.finish(), Err(WriteError::Closed));
    assert!(!gone.ended().await);

    let (gone, body) = response(None);
    gone.try_write(b"all").unwrap();
    gone.finish().unwrap();
    drop(body);
    assert!(!gone.ended().await);
    assert_eq!(gone.finish(), Err(WriteError::Closed));
}

#[tokio::test]
async fn announced_length_is_kept() {
    let (response, mut body) = response(Some(5));
    assert_eq!(response.try_write(b"123456"), Err(WriteError::TooLong(5)));
    response.try_write(b"123").unwrap();
    assert_eq!(response.finish(), Err(WriteError::TooShort(2)));
    assert_eq!(response.try_write(b"456"), Err(WriteError::TooLong(2)));
    response.try_write(b"45").unwrap();
    assert_eq!(response.try_write(b"6"), Err(WriteError::TooLong(0)));
    // As an HTTP library does that has all that was announced.
    let taken = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(taken, "12345");
    drop(body);
    assert_eq!(response.try_write(b"6"), Err(WriteError::Closed));
    response.finish().unwrap();
    assert!(response.ended().await);
}

#[tokio::test]
async fn what_was_not_written_does_not_count() {
    let (response, mut body) = response(Some(200));
    response.try_write(&[1; 90]).unwrap();
    assert_eq!(response.try_write(&[2; 110]), Err(WriteError::Full));
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().now_or_never().is_none());
    response.try_write(&[2; 110]).unwrap();
    response.finish().unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes().len(), 110);
}

#[tokio::test]
async fn body_is_not_complete_while_a_thread_waits_to_write_the_rest() {
    let (response, mut body) = response(Some(200));
    response.try_write(&[1; 100]).unwrap();
    let response = Arc::new(response);
    let writer = thread::spawn({
        let response = response.clone();
        move || response.write_blocking(&[2; 100], None)
    });
    while response.try_write(b"x") != Err(WriteError::TooLong(0)) {
        thread::yield_now();
    }
    assert_eq!(response.finish(), Err(WriteError::TooShort(100)));
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(read, 200);
    assert_eq!(writer.join().unwrap(), Ok(()));
    response.finish().unwrap();
}

#[tokio::test]
async fn end_wakes_whoever_waits_for_it() {
    let (response, body) = response(None);
    response.finish().unwrap();
    let mut ended = Box::pin(response.ended());
    assert_eq!(ended.as_mut().now_or_never(), None);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "");
    assert!(ended.await);
}

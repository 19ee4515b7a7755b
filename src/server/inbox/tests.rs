use std::pin::{Pin, pin};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::thread;

use axum::body::Body;
use axum::http::header::{ACCEPT, RETRY_AFTER};
use axum::http::{self, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Body as _;

use super::wait::Happening;
use super::*;
use crate::server::request::{AnswerError, Content};
use crate::server::upload::{ReadError, Upload};
use crate::transport::cork;
use crate::transport::events::{Batch, Event, Host, Source, Tag};

const FOREVER: Duration = Duration::MAX;
const RETRY: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10);

/// The handler of a request, as the server runs it.
type Handler<'a> = Pin<Box<dyn Future<Output = Response> + 'a>>;

/// A request that has come in and is not answered at once.
fn waiting<'a>(inbox: &'a Inbox, path: &str) -> Handler<'a> {
    let mut handler = arrive(inbox, http::Request::get(path));
    assert!(poll(&mut handler).is_pending());
    handler
}

fn arrive(inbox: &Inbox, request: http::request::Builder) -> Handler<'_> {
    Box::pin(inbox.serve(request.body(Body::empty()).unwrap()))
}

fn poll(handler: &mut Handler<'_>) -> Poll<Response> {
    handler.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn answered(handler: &mut Handler<'_>) -> Response {
    match poll(handler) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("the request is not answered"),
    }
}

/// A connection that ends, known by its number.
struct Ending(u64);

impl Source for Ending {
    fn hand_over(&self, batch: &mut Batch<'_>) -> bool {
        let tag = Tag { handle: self.0, user_data: 0 };
        batch.put(tag, Event::Closed { code: 0, reason: Bytes::new(), clean: true });
        false
    }
}

fn take(inbox: &Inbox) -> Result<Box<Request>, TakeError> {
    inbox.take(Some(Duration::ZERO))
}

#[tokio::test]
async fn requests_are_taken_in_their_order_and_answered_by_the_host() {
    let inbox = Inbox::new(10, FOREVER, RETRY);
    let mut handlers = [waiting(&inbox, "/1"), waiting(&inbox, "/2")];
    for (handler, path) in handlers.iter_mut().zip(["/1", "/2"]) {
        let request = take(&inbox).unwrap();
        assert_eq!(request.uri.path(), path);
        request.respond(StatusCode::IM_A_TEAPOT.into_response()).unwrap();
        assert_eq!(request.respond(Response::default()), Err(AnswerError::Answered));
        assert_eq!(answered(handler).status(), StatusCode::IM_A_TEAPOT);
    }
    assert_eq!(take(&inbox).err(), Some(TakeError::Timeout));
}

#[tokio::test]
async fn client_that_has_gone_takes_no_room_and_is_not_handed_out() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    drop(waiting(&inbox, "/gone"));
    let _handler = waiting(&inbox, "/there");
    assert_eq!(take(&inbox).unwrap().uri.path(), "/there");

    drop(waiting(&inbox, "/gone"));
    assert_eq!(take(&inbox).err(), Some(TakeError::Timeout));
}

#[tokio::test]
async fn requests_that_wait_are_not_all_looked_at_for_each_that_is_refused() {
    let inbox = Inbox::new(3, FOREVER, RETRY);
    let _first = waiting(&inbox, "/1");
    drop(waiting(&inbox, "/gone"));
    let third = waiting(&inbox, "/3");
    let _fourth = waiting(&inbox, "/4");
    drop(third);
    for _ in 0..2 {
        let refused = answered(&mut arrive(&inbox, http::Request::get("/")));
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let _fifth = waiting(&inbox, "/5");
    for path in ["/1", "/4", "/5"] {
        assert_eq!(take(&inbox).unwrap().uri.path(), path);
    }
}

#[tokio::test]
async fn host_learns_that_the_client_has_gone() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let handler = waiting(&inbox, "/");
    let request = take(&inbox).unwrap();
    drop(handler);
    assert_eq!(request.respond(Response::default()), Err(AnswerError::Gone));
    assert_eq!(request.respond(Response::default()), Err(AnswerError::Gone));
}

#[tokio::test]
async fn surplus_is_told_to_come_back() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let _waiting = waiting(&inbox, "/");
    let refused = answered(&mut arrive(&inbox, http::Request::get("/")));
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    let events = http::Request::get("/").header(ACCEPT, "text/event-stream");
    assert_eq!(answered(&mut arrive(&inbox, events)).status(), StatusCode::OK);
}

#[tokio::test]
async fn request_that_is_dropped_gets_503() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let mut handler = waiting(&inbox, "/");
    drop(take(&inbox).unwrap());
    assert_eq!(answered(&mut handler).status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn request_gets_504_when_its_time_is_over() {
    let inbox = Inbox::new(1, Duration::from_secs(30), RETRY);
    let mut handler = waiting(&inbox, "/");
    let request = take(&inbox).unwrap();
    tokio::time::advance(Duration::from_secs(29)).await;
    assert!(poll(&mut handler).is_pending());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(answered(&mut handler).status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(request.respond(Response::default()), Err(AnswerError::Gone));
}

#[tokio::test]
async fn plain_request_cannot_become_a_websocket_and_stays_open() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let mut handler = waiting(&inbox, "/");
    let request = take(&inbox).unwrap();
    let refused = request.accept_websocket(|_| panic!("there is nothing to configure"));
    assert_eq!(refused.err(), Some(AnswerError::NotWebSocket));
    request.respond(Response::default()).unwrap();
    assert_eq!(answered(&mut handler).status(), StatusCode::OK);
}

#[tokio::test]
async fn malformed_handshake_is_refused_without_the_host() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let handshake = http::Request::get("/")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "too short");
    let refused = answered(&mut arrive(&inbox, handshake));
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(take(&inbox).err(), Some(TakeError::Timeout));
}

#[tokio::test]
async fn closing_wakes_whoever_waits_and_answers_what_is_left() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let takers = [(); 2].map(|()| {
        let inbox = inbox.clone();
        thread::spawn(move || inbox.take(None).err())
    });
    inbox.close();
    for taker in takers {
        assert_eq!(taker.join().unwrap(), Some(TakeError::Closed));
    }
    let refused = answered(&mut arrive(&inbox, http::Request::get("/")));
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);

    let inbox = Inbox::new(1, FOREVER, RETRY);
    let mut handler = waiting(&inbox, "/");
    inbox.close();
    assert_eq!(answered(&mut handler).status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// Takes a request whose body is streamed.
fn streamed<'a>(inbox: &'a Inbox, body: Body) -> (Handler<'a>, Box<Request>, Arc<Upload>) {
    inbox.routes().stream_bodies();
    let mut handler: Handler<'a> = Box::pin(inbox.serve(http::Request::new(body)));
    assert!(poll(&mut handler).is_pending());
    let request = take(inbox).unwrap();
    let Content::Streamed(upload) = &request.content else { panic!("it is not streamed") };
    let upload = upload.clone();
    (handler, request, upload)
}

#[tokio::test(start_paused = true)]
async fn host_that_reads_has_its_time_anew() {
    let inbox = Inbox::new(1, Duration::from_secs(30), RETRY);
    let (mut handler, request, upload) = streamed(&inbox, Body::from("body"));
    let mut wait = async |seconds| {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        poll(&mut handler).map(|response| response.status())
    };
    assert!(upload.read(1, Some(Duration::ZERO)).is_err());
    assert!(wait(29).await.is_pending());
    for _ in 0..4 {
        assert_eq!(upload.read(1, Some(Duration::ZERO)).unwrap().len(), 1);
        assert!(wait(29).await.is_pending());
    }
    assert_eq!(wait(2).await, Poll::Ready(StatusCode::GATEWAY_TIMEOUT));
    drop(handler);
    assert_eq!(upload.read(1, None), Err(ReadError::Closed));
    assert_eq!(request.respond(Response::default()), Err(AnswerError::Gone));
}

#[tokio::test(start_paused = true)]
async fn time_does_not_run_while_the_client_is_waited_for() {
    let inbox = Inbox::new(1, Duration::from_secs(30), RETRY);
    let never = futures_util::stream::pending::<Result<&str, std::io::Error>>();
    let (mut handler, request, upload) = streamed(&inbox, Body::from_stream(never));
    assert!(upload.read(1, Some(Duration::ZERO)).is_err());
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(29)).await;
        assert!(poll(&mut handler).is_pending());
    }
    request.respond(Response::default()).unwrap();
    assert_eq!(answered(&mut handler).status(), StatusCode::OK);
    assert_eq!(upload.read(1, None), Err(ReadError::Closed));
}

/// Whether it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

#[tokio::test]
async fn wake_ups_of_a_streamed_response_are_gathered() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let mut handler = waiting(&inbox, "/");
    let request = take(&inbox).unwrap();
    let stream = request.respond_stream(StatusCode::OK, HeaderMap::new(), None, 100).unwrap();
    let mut body = pin!(answered(&mut handler).into_body());
    let worker = Arc::new(Woken::default());
    let waker = Waker::from(worker.clone());
    assert!(body.as_mut().poll_frame(&mut Context::from_waker(&waker)).is_pending());
    cork::gather(|| {
        stream.try_write(b"x").unwrap();
        assert!(!worker.0.load(Relaxed));
    });
    while !worker.0.load(Relaxed) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_reads_learns_that_the_client_has_gone() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let never = futures_util::stream::pending::<Result<&str, std::io::Error>>();
    let (handler, _request, upload) = streamed(&inbox, Body::from_stream(never));
    let reader = thread::spawn(move || upload.read(1, None));
    drop(handler);
    assert_eq!(reader.join().unwrap(), Err(ReadError::Closed));
}

#[tokio::test(start_paused = true)]
async fn route_may_have_a_deadline_and_a_way_of_its_own() {
    let inbox = Inbox::new(1, FOREVER, RETRY);
    let settings = Settings {
        timeout: Some(Duration::from_secs(1)),
        stream_body: Some(true),
        ..Settings::default()
    };
    inbox.routes().add(None, "/quick", Route { settings, ..Route::default() }).unwrap();
    let mut quick = waiting(&inbox, "/quick");
    let request = take(&inbox).unwrap();
    assert!(matches!(request.content, Content::Streamed(_)));
    assert!(request.found.route().is_some());
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(answered(&mut quick).status(), StatusCode::GATEWAY_TIMEOUT);

    let mut other = waiting(&inbox, "/other");
    let request = take(&inbox).unwrap();
    assert!(matches!(request.content, Content::Whole(_)));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(poll(&mut other).is_pending());
    request.answer_unrouted().unwrap();
    assert_eq!(answered(&mut other).status(), StatusCode::NOT_FOUND);
}

#[test]
fn end_of_a_drain_comes_after_the_ends_of_the_connections() {
    let inbox = Inbox::new(10, FOREVER, RETRY);
    inbox.drained();
    for handle in 1..=3 {
        inbox.clone().enlist(Arc::new(Ending(handle)));
    }
    let mut happened = Vec::new();
    while happened.last() != Some(&None) {
        let taken = inbox.wait(2, Some(Duration::ZERO), &mut |happening| match happening {
            Happening::Event(tag, Event::Closed { .. }) => happened.push(Some(tag.handle)),
            Happening::Drained => happened.push(None),
            _ => panic!("nothing else has happened"),
        });
        assert!((1..=2).contains(&taken.unwrap()));
    }
    assert_eq!(happened, [Some(1), Some(2), Some(3), None]);
}

/// A connection that ends, but not before it may.
struct EndingLater(Barrier);

impl Source for EndingLater {
    fn hand_over(&self, batch: &mut Batch<'_>) -> bool {
        self.0.wait();
        self.0.wait();
        Ending(1).hand_over(batch)
    }
}

#[test]
fn end_of_a_drain_waits_for_what_another_thread_is_being_told() {
    let inbox = Inbox::new(10, FOREVER, RETRY);
    let ending = Arc::new(EndingLater(Barrier::new(2)));
    inbox.clone().enlist(ending.clone());
    inbox.drained();
    let told = Arc::new(AtomicBool::new(false));
    let host = thread::spawn({
        let (inbox, told) = (inbox.clone(), told.clone());
        move || inbox.wait(1, None, &mut |_| told.store(true, Relaxed))
    });
    ending.0.wait();
    let taken = inbox.wait(1, Some(Duration::ZERO), &mut |_| panic!("the end is not told yet"));
    assert_eq!(taken, Ok(0));
    let last = thread::spawn({
        let inbox = inbox.clone();
        move || {
            let mut was_told = false;
            let mut put = |happening| {
                assert!(matches!(happening, Happening::Drained));
                was_told = told.load(Relaxed);
            };
            (inbox.wait(1, None, &mut put), was_told)
        }
    });
    ending.0.wait();
    assert_eq!(host.join().unwrap(), Ok(1));
    assert_eq!(last.join().unwrap(), (Ok(1), true));
}

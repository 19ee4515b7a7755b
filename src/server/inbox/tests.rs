use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use axum::body::Body;
use axum::http::header::{ACCEPT, RETRY_AFTER};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};

use super::*;
use crate::server::request::AnswerError;

const FOREVER: Duration = Duration::MAX;

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

fn take(inbox: &Inbox) -> Result<Box<Request>, TakeError> {
    inbox.take(Some(Duration::ZERO))
}

#[tokio::test]
async fn requests_are_taken_in_their_order_and_answered_by_the_host() {
    let inbox = Inbox::new(10, FOREVER);
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
    let inbox = Inbox::new(1, FOREVER);
    drop(waiting(&inbox, "/gone"));
    let _handler = waiting(&inbox, "/there");
    assert_eq!(take(&inbox).unwrap().uri.path(), "/there");

    drop(waiting(&inbox, "/gone"));
    assert_eq!(take(&inbox).err(), Some(TakeError::Timeout));
}

#[tokio::test]
async fn host_learns_that_the_client_has_gone() {
    let inbox = Inbox::new(1, FOREVER);
    let handler = waiting(&inbox, "/");
    let request = take(&inbox).unwrap();
    drop(handler);
    assert_eq!(request.respond(Response::default()), Err(AnswerError::Gone));
    assert_eq!(request.respond(Response::default()), Err(AnswerError::Gone));
}

#[tokio::test]
async fn surplus_is_told_to_come_back() {
    let inbox = Inbox::new(1, FOREVER);
    let _waiting = waiting(&inbox, "/");
    let refused = answered(&mut arrive(&inbox, http::Request::get("/")));
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(RETRY_AFTER));
    let events = http::Request::get("/").header(ACCEPT, "text/event-stream");
    assert_eq!(answered(&mut arrive(&inbox, events)).status(), StatusCode::OK);
}

#[tokio::test]
async fn request_that_is_dropped_gets_503() {
    let inbox = Inbox::new(1, FOREVER);
    let mut handler = waiting(&inbox, "/");
    drop(take(&inbox).unwrap());
    assert_eq!(answered(&mut handler).status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn request_gets_504_when_its_time_is_over() {
    let inbox = Inbox::new(1, Duration::from_secs(30));
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
    let inbox = Inbox::new(1, FOREVER);
    let mut handler = waiting(&inbox, "/");
    let request = take(&inbox).unwrap();
    let refused = request.accept_websocket(|_| panic!("there is nothing to configure"));
    assert_eq!(refused.err(), Some(AnswerError::NotWebSocket));
    request.respond(Response::default()).unwrap();
    assert_eq!(answered(&mut handler).status(), StatusCode::OK);
}

#[tokio::test]
async fn malformed_handshake_is_refused_without_the_host() {
    let inbox = Inbox::new(1, FOREVER);
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
    let inbox = Inbox::new(1, FOREVER);
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

    let inbox = Inbox::new(1, FOREVER);
    let mut handler = waiting(&inbox, "/");
    inbox.close();
    assert_eq!(answered(&mut handler).status(), StatusCode::SERVICE_UNAVAILABLE);
}

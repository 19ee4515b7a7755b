//! The answer to a client for which there is no room now.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::connection::Connection;
use crate::transport::retry::wants_events;

/// Tells the client of a refused connection to come back later, and ends the connection.
pub(super) fn response<B>(connection: &Connection, request: &Request<B>) -> Response<Body> {
    let retry = connection.server.config.retry();
    let mut response = later(request.headers(), retry, "too many connections, try again later\n");
    if !connection.is_multiplexed() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    connection.finish();
    response
}

/// Tells a client to come back later, in a way that it can understand.
///
/// An `EventSource` gives up for good on any status but 200 (WHATWG HTML §9.2.2), so it gets an
/// event stream that only sets the time after which it reconnects.
pub(super) fn later(request: &HeaderMap, retry: Duration, why: &'static str) -> Response<Body> {
    if wants_events(request) {
        let mut response = Response::new(Body::from(format!("retry: {}\n\n", retry.as_millis())));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return response;
    }
    let mut response = Response::new(Body::from(why));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let seconds = retry.as_millis().div_ceil(1000) as u64;
    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

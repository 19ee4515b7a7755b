//! The answer to a client for which there is no room now.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::connection::Connection;

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

fn wants_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter();
    accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media| media.trim().eq_ignore_ascii_case("text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (header::ACCEPT, value)).collect()
    }

    #[test]
    fn an_event_source_is_recognised_by_what_it_accepts() {
        assert!(wants_events(&accept(&["text/event-stream"])));
        assert!(wants_events(&accept(&["text/html", "Text/Event-Stream;q=0.5, */*"])));
        assert!(!wants_events(&accept(&["*/*"])));
        assert!(!wants_events(&accept(&["text/event-streams"])));
        assert!(!wants_events(&accept(&[])));
    }
}

//! What the HTTP library calls for each request.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use axum::routing::future::RouteFuture;
use http_body::Body as _;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service as _;

use super::body::{Outcome, RequestBody, ResponseBody};
use super::connection::{Connection, InFlight};
use super::handoff::EventStream;
use super::limits::Limit;
use super::metrics::{self, Metrics};
use super::refuse;
use super::shared::Shared;
use crate::transport::{EndlessBody, Kind, Supervision};

/// Answers the requests of one connection.
pub(super) struct Service {
    connection: Arc<Connection>,
}

impl Service {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Service { connection }
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let connection = &self.connection;
        connection.stats().asked();
        let body_outcome = (!request.body().is_end_stream()).then(|| Arc::new(Outcome::default()));
        let context = AnswerContext {
            in_flight: Some(connection.begin_request()),
            begun: Instant::now(),
            body_outcome,
            is_head: request.method() == Method::HEAD,
            version: request.version(),
        };
        let state = match answer_at_once(connection, &request) {
            Some(response) => {
                if context.body_outcome.is_some() {
                    connection.left_unread();
                }
                State::Ready { response: Some(response) }
            }
            None => route(connection, request, context.body_outcome.clone()),
        };
        Answer { state, context }
    }
}

/// The answers that the router is not asked for.
fn answer_at_once(
    connection: &Arc<Connection>,
    request: &Request<Incoming>,
) -> Option<Response<Body>> {
    if connection.refused.is_some() {
        return Some(refuse::response(connection, request));
    }
    let config = &connection.server.config;
    if config.metrics_path.as_deref() == Some(request.uri().path()) {
        return Some(metrics(&connection.server, request.method()));
    }
    let size = request.body().size_hint().lower();
    if size > 0 && size > config.body_limit(request) as u64 {
        connection.limit_reached(Limit::BodySize);
        return Some(limited(Limit::BodySize));
    }
    None
}

fn metrics(server: &Shared, method: &Method) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let text = metrics::encode(Metrics::of(server));
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The answer to a request whose body has reached a limit.
fn limited(limit: Limit) -> Response<Body> {
    let status = match limit {
        Limit::BodySize => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::REQUEST_TIMEOUT,
    };
    empty(status)
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn route(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
    outcome: Option<Arc<Outcome>>,
) -> State {
    let mut request = match outcome {
        None => request.map(|_| Body::empty()),
        Some(outcome) => {
            let limit = connection.server.config.body_limit(&request);
            let body = |body| RequestBody::new(body, limit, outcome, connection.clone());
            request.map(|incoming| Body::new(body(incoming)))
        }
    };
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(connection.peer));
    extensions.insert(Supervision(connection.clone()));
    #[cfg(feature = "ws")]
    extensions.insert(connection.server.config.ws.clone());
    let mut app = connection.server.app.clone();
    match catch_unwind(AssertUnwindSafe(|| app.call(request))) {
        Ok(future) => State::Routed { future },
        Err(panic) => State::Ready { response: Some(panicked(connection, panic)) },
    }
}

fn panicked(connection: &Connection, panic: Box<dyn Any + Send>) -> Response<Body> {
    connection.stats().panicked();
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    tracing::error!(message, "a handler panicked");
    empty(StatusCode::INTERNAL_SERVER_ERROR)
}

struct AnswerContext {
    /// Taken by the body of the response.
    in_flight: Option<InFlight>,
    begun: Instant,
    /// `None` for a request without a body.
    body_outcome: Option<Arc<Outcome>>,
    is_head: bool,
    version: Version,
}

pin_project! {
    /// The answer to one request.
    pub(super) struct Answer {
        #[pin]
        state: State,
        context: AnswerContext,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State {
        Routed { #[pin] future: RouteFuture<Infallible> },
        Ready { response: Option<Response<Body>> },
    }
}

impl Future for Answer {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.state.project() {
            StateProjection::Ready { response } => response.take(),
            StateProjection::Routed { future } => {
                match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
                    Ok(Poll::Pending) => return Poll::Pending,
                    Ok(Poll::Ready(Ok(response))) => Some(response),
                    Ok(Poll::Ready(Err(never))) => match never {},
                    Err(panic) => {
                        let in_flight = this.context.in_flight.as_ref();
                        in_flight.map(|in_flight| panicked(in_flight.connection(), panic))
                    }
                }
            }
        };
        let (response, in_flight) = response
            .zip(this.context.in_flight.take())
            .expect("a future is not polled after it was ready");
        Poll::Ready(Ok(this.context.finish(response, in_flight)))
    }
}

impl AnswerContext {
    fn finish(&self, response: Response<Body>, in_flight: InFlight) -> Response<ResponseBody> {
        let connection = in_flight.connection().clone();
        let failed = response.status().is_client_error() || response.status().is_server_error();
        let response = match self.body_outcome.as_ref().and_then(|outcome| outcome.limit()) {
            Some(limit) if failed => limited(limit),
            _ => response,
        };
        connection.stats().answered(response.status(), self.begun.elapsed());

        let (mut head, body) = response.into_parts();
        let endless = head.extensions.remove::<EndlessBody>().filter(|_| !self.is_head);
        let Some(EndlessBody(stream)) = endless else {
            return Response::from_parts(head, ResponseBody::plain(body, in_flight));
        };
        let membership = Supervision(connection.clone()).enter(Kind::Sse, stream.clone());
        let request_is_read = self.body_outcome.as_ref().is_none_or(|outcome| outcome.is_read());
        let is_http1 = matches!(self.version, Version::HTTP_10 | Version::HTTP_11);
        let is_framed = head.headers.contains_key(header::CONTENT_LENGTH);
        if !is_http1 || !request_is_read || is_framed || body.is_end_stream() {
            let body = ResponseBody::endless(body, stream, membership, in_flight);
            return Response::from_parts(head, body);
        }
        head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let chunked = self.version == Version::HTTP_11;
        connection.hand_off.put(EventStream { body, stream, membership, chunked });
        Response::from_parts(head, ResponseBody::handed_off(in_flight))
    }
}

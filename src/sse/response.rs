use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;

use super::body::{Body, Connection};
use super::{Config, Event, IntoEvent};
use crate::transport::queue::Queue;
use crate::transport::{EndlessBody, Supervised};

/// The headers of an event stream; caches and proxies are not to hold events back.
pub(crate) const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// An event stream as the response to a request.
///
/// It comes with the sender that feeds it, from [`channel`](super::channel), or is made of any
/// stream of [`Event`]s or of `Result`s of them; an error breaks the response off.
///
/// ```
/// use futures_util::{Stream, stream};
/// use lithe::sse::{Event, Sse};
///
/// async fn greetings() -> Sse<impl Stream<Item = Event>> {
///     Sse::new(stream::iter(["hello", "good-bye"].map(Event::new)))
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(greetings));
/// ```
///
/// The headers keep caches and proxies from holding events back: `Cache-Control: no-cache` and
/// `X-Accel-Buffering: no`. A handler that returns `([(name, value)], sse)` adds its own.
#[must_use]
pub struct Sse<S = Queued> {
    connection: Connection,
    events: S,
    keep_alive: Option<Duration>,
    retry: Option<Duration>,
}

impl<S> Sse<S>
where
    S: Stream,
    S::Item: IntoEvent,
{
    /// A response of the events of a stream, which ends with it. Events are taken from the stream
    /// as the client takes them.
    pub fn new(events: S) -> Self {
        let config = Config::default();
        Sse::build(Arc::new(Queue::new(config.send_queue)), events, &config)
    }
}

impl Sse {
    pub(super) fn queued(queue: Arc<Queue>, config: &Config) -> Self {
        Sse::build(queue, Queued(()), config)
    }
}

impl<S> Sse<S> {
    fn build(queue: Arc<Queue>, events: S, config: &Config) -> Self {
        Sse {
            connection: Connection(queue),
            events,
            keep_alive: config.keep_alive,
            retry: config.retry,
        }
    }

    /// Sets [`Config::keep_alive`].
    pub fn keep_alive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keep_alive = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// Sets [`Config::retry`].
    pub fn retry(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.retry = delay.into();
        self
    }

    /// What a server that runs the response watches over it by.
    pub(super) fn supervised(&self) -> Arc<dyn Supervised> {
        self.connection.0.clone()
    }

    /// The body alone, for a response that is put together by hand.
    pub fn into_body(self) -> Body<S> {
        Body::new(self.connection, self.events, self.retry, self.keep_alive)
    }
}

impl<S> IntoResponse for Sse<S>
where
    S: Stream + Send + 'static,
    S::Item: IntoEvent,
{
    fn into_response(self) -> Response {
        let supervised = EndlessBody(self.supervised());
        let mut response = Response::new(axum::body::Body::new(self.into_body()));
        response.headers_mut().extend(HEADERS);
        response.extensions_mut().insert(supervised);
        response
    }
}

impl<S> fmt::Debug for Sse<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse")
            .field("keep_alive", &self.keep_alive)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Stands where the stream would be in an [`Sse`] whose events come from
/// [`Sender`](super::Sender)s: as a stream it yields nothing and does not end.
#[derive(Debug)]
pub struct Queued(());

impl Stream for Queued {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Event>> {
        Poll::Pending
    }
}

//! Bodies of requests, within their limits, and of responses, which the server watches.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::{BoxError, Error};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::connection::{Connection, InFlight};
use super::limits::Limit;
use crate::transport::{Membership, Supervised};

/// The bytes that make good for a second of waiting for a body.
const BYTES_PER_SECOND: u64 = 500;

/// What became of the body of a request.
#[derive(Default)]
pub(super) struct Outcome(AtomicU8);

impl Outcome {
    const READ: u8 = 1;
    const TOO_LARGE: u8 = 2;
    const TOO_SLOW: u8 = 3;

    pub(super) fn limit(&self) -> Option<Limit> {
        match self.0.load(Relaxed) {
            Outcome::TOO_LARGE => Some(Limit::BodySize),
            Outcome::TOO_SLOW => Some(Limit::BodyTime),
            _ => None,
        }
    }

    pub(super) fn is_read(&self) -> bool {
        self.0.load(Relaxed) == Outcome::READ
    }

    fn set(&self, outcome: u8) {
        self.0.store(outcome, Relaxed);
    }
}

pin_project! {
    /// The body of a request, which fails when it is too large or too slow.
    pub(super) struct RequestBody {
        #[pin]
        body: Limited<Incoming>,
        #[pin]
        timer: Option<Sleep>,
        // Since when the peer is being waited for.
        waiting: Option<Instant>,
        // How much longer it may be waited for.
        patience: Duration,
        outcome: Arc<Outcome>,
        connection: Arc<Connection>,
    }

    impl PinnedDrop for RequestBody {
        fn drop(this: Pin<&mut Self>) {
            if !this.outcome.is_read() {
                this.connection.left_unread();
            }
        }
    }
}

impl RequestBody {
    pub(super) fn new(
        body: Incoming,
        limit: usize,
        outcome: Arc<Outcome>,
        connection: Arc<Connection>,
    ) -> Self {
        RequestBody {
            body: Limited::new(body, limit),
            timer: None,
            waiting: None,
            patience: connection.server.config.body_timeout,
            outcome,
            connection,
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        match this.body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(since) = this.waiting.take() {
                    *this.patience = this.patience.saturating_sub(since.elapsed());
                }
                match &frame {
                    Some(Ok(frame)) => {
                        let len = frame.data_ref().map_or(0, Bytes::len) as u64;
                        let earned = Duration::from_millis(len * 1000 / BYTES_PER_SECOND);
                        let most = this.connection.server.config.body_timeout;
                        *this.patience = this.patience.saturating_add(earned).min(most);
                        if this.body.is_end_stream() {
                            this.outcome.set(Outcome::READ);
                        }
                    }
                    Some(Err(error)) if error.is::<LengthLimitError>() => {
                        this.outcome.set(Outcome::TOO_LARGE);
                        this.connection.limit_reached(Limit::BodySize);
                    }
                    Some(Err(_)) => {}
                    None => this.outcome.set(Outcome::READ),
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                if this.waiting.is_none() {
                    let now = Instant::now();
                    *this.waiting = Some(now);
                    let timer = tokio::time::sleep(*this.patience);
                    this.timer.set(Some(timer));
                }
                if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                    ready!(timer.poll(cx));
                }
                this.outcome.set(Outcome::TOO_SLOW);
                this.connection.limit_reached(Limit::BodyTime);
                Poll::Ready(Some(Err("the body of the request did not come in time".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

pin_project! {
    /// The body of a response, which counts as being on its way until it is dropped.
    pub(super) struct ResponseBody {
        #[pin]
        content: Content,
        in_flight: InFlight,
    }
}

pin_project! {
    #[project = ContentProjection]
    enum Content {
        Plain { #[pin] body: Body },
        // An endless one that stays with the HTTP library.
        Endless { #[pin] body: Body, stream: Arc<dyn Supervised>, membership: Membership },
        // Stands for an endless one that the connection takes over when it is asked for.
        HandedOff,
    }
}

impl ResponseBody {
    pub(super) fn plain(body: Body, in_flight: InFlight) -> Self {
        ResponseBody { content: Content::Plain { body }, in_flight }
    }

    pub(super) fn endless(
        body: Body,
        stream: Arc<dyn Supervised>,
        membership: Membership,
        in_flight: InFlight,
    ) -> Self {
        ResponseBody { content: Content::Endless { body, stream, membership }, in_flight }
    }

    pub(super) fn handed_off(in_flight: InFlight) -> Self {
        ResponseBody { content: Content::HandedOff, in_flight }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.project();
        match this.content.project() {
            ContentProjection::Plain { body } => body.poll_frame(cx),
            ContentProjection::Endless { body, stream, membership } => {
                let frame = ready!(body.poll_frame(cx));
                if let Some(Ok(frame)) = &frame
                    && let Some(data) = frame.data_ref()
                {
                    membership.traffic().sent(data.len() as u64);
                    membership.traffic().queued(stream.take_messages());
                }
                Poll::Ready(frame)
            }
            ContentProjection::HandedOff => {
                this.in_flight.connection().hand_off.asked();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Plain { body } | Content::Endless { body, .. } => body.is_end_stream(),
            Content::HandedOff => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Plain { body } | Content::Endless { body, .. } => body.size_hint(),
            Content::HandedOff => SizeHint::new(),
        }
    }
}

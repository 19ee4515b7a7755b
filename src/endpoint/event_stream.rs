use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Frame as HttpFrame;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::StreamRequest;
use super::frames::{Format, Frame};
use super::link::End;
use super::session::{Change, Session};
use crate::hub::{Interest, Item, Subscription, UnsubscribeReason};
use crate::sse::{HEADERS, KeepAlive};
use crate::transport::EndlessBody;
use crate::transport::queue::Aborted;

pub(crate) mod encoder;

use encoder::{Batch, Encoder};

/// How many bytes are on their way at a time, unless an endpoint says otherwise.
const MAX_FRAME: usize = 64 * 1024;
/// How long a client waits before it comes back, unless an endpoint says otherwise.
const RETRY: Duration = Duration::from_secs(2);

/// A subscription as an event stream, as the response to a request.
///
/// It reads the subscription as the client takes what it has read, so that a slow client costs
/// nothing: what it has not got yet stays in the hub. Each event has the cursor for its `id:`, with
/// which an `EventSource` comes back by itself. Run by [`server::Server`](crate::server::Server), it
/// is limited, listed, counted and drained.
///
/// [`Endpoint::open`](super::Endpoint::open) makes it for a client with all that goes with it. It
/// can also be made of a subscription alone:
///
/// ```
/// use axum::extract::State;
/// use lithe::endpoint::EventStream;
/// use lithe::hub::{Hub, Interest};
/// use lithe::sse::LastEventId;
///
/// async fn news(State(hub): State<Hub>, LastEventId(seen): LastEventId) -> EventStream {
///     let news: Interest = "news.**".parse().expect("a pattern");
///     let mut subscription = hub.subscriber();
///     let subscribed = match seen {
///         Some(cursor) => subscription.resume([news], &cursor),
///         None => subscription.subscribe(news).map(|_| ()),
///     };
///     subscribed.expect("one is not too many");
///     EventStream::new(subscription)
/// }
/// # let _: axum::Router =
/// #     axum::Router::new().route("/", axum::routing::get(news)).with_state(Hub::new());
/// ```
#[must_use]
pub struct EventStream {
    session: Session,
    subscription: Subscription,
    encoder: Encoder,
    /// What comes before everything else.
    opening: Vec<u8>,
    keep_alive: Option<Duration>,
    retry: Duration,
    max_frame: usize,
}

impl EventStream {
    /// What a subscription yields, until the client goes or the subscription ends.
    pub fn new(subscription: Subscription) -> Self {
        EventStream {
            session: Session::alone(),
            encoder: Encoder::default(),
            subscription,
            opening: Vec::new(),
            keep_alive: Some(Duration::from_secs(15)),
            retry: RETRY,
            max_frame: MAX_FRAME,
        }
    }

    /// For a client that an endpoint has let in.
    pub(super) fn of(
        session: Session,
        subscription: Subscription,
        refused: Vec<Interest>,
        request: &StreamRequest,
    ) -> Self {
        let mut stream = EventStream::new(subscription);
        stream.encoder = Encoder::new(request.format, request.strict_ids);
        if let Some(shared) = session.link.shared() {
            stream.keep_alive = shared.config.keep_alive;
            stream.retry = shared.config.retry();
            stream.max_frame = shared.config.max_frame;
        }
        stream.session = session;
        if stream.session.expires_in().is_some()
            && let Some(name) = stream.session.link.name()
        {
            Frame::Session { session: &name.to_string() }.push_event(&mut stream.opening);
            stream.opening.push(b'\n');
        }
        for interest in &refused {
            Frame::refused(interest.as_str()).push_event(&mut stream.opening);
            stream.opening.push(b'\n');
        }
        stream
    }

    /// What the events look like; [`Format::Raw`] unless set.
    pub fn format(mut self, format: Format) -> Self {
        self.encoder.format = format;
        self
    }

    /// Whether each event has the cursor, however long it is. Unless set, a cursor of more than 256
    /// characters comes only with the last of the events that are written together.
    pub fn strict_ids(mut self, strict: bool) -> Self {
        self.encoder.strict = strict;
        self
    }

    /// Sends a comment when nothing else was sent for so long; 15 s unless set. `None` or zero sends
    /// none.
    pub fn keep_alive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keep_alive = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// How long the client is to wait before it reconnects; 2 s unless set.
    pub fn retry(mut self, delay: Duration) -> Self {
        self.retry = delay;
        self
    }

    /// The body alone, for a response that is put together by hand.
    pub fn into_body(self) -> Body {
        let mut opening = format!("retry: {}\n\n", self.retry.as_millis()).into_bytes();
        opening.extend_from_slice(&self.opening);
        let mut encoder = self.encoder;
        encoder.look_at(&self.subscription);
        Body {
            session: self.session,
            subscription: self.subscription,
            encoder,
            opening,
            retry: self.retry,
            max_frame: self.max_frame,
            ended: false,
            pause: None,
            keep_alive: KeepAlive::new(self.keep_alive),
        }
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let supervised = EndlessBody(self.session.link.clone());
        let mut response = Response::new(axum::body::Body::new(self.into_body()));
        response.headers_mut().extend(HEADERS);
        response.extensions_mut().insert(supervised);
        response
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream")
            .field("subscription", &self.subscription)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The body of an [`EventStream`]. Each frame holds all that there was when it was asked for, up
    /// to some 64 KiB; what comes later stays in the hub until it is asked for more.
    ///
    /// It must be polled in a tokio runtime with the time driver enabled.
    pub struct Body {
        session: Session,
        subscription: Subscription,
        encoder: Encoder,
        opening: Vec<u8>,
        retry: Duration,
        max_frame: usize,
        ended: bool,
        // Until a channel goes on that pauses.
        pause: Option<Pin<Box<Sleep>>>,
        #[pin]
        keep_alive: KeepAlive,
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<HttpFrame<Bytes>, BoxError>>> {
        let this = self.project();
        // Whoever asks for more has taken all that was handed on.
        if *this.ended {
            this.session.link.handed_on(0, 0);
            return Poll::Ready(None);
        }
        let mut batch = Batch::new(this.encoder, std::mem::take(this.opening));
        while let Poll::Ready(change) = this.session.poll_change(cx, this.subscription) {
            if let Change::End(End::Abort) = change {
                return Poll::Ready(Some(Err(Aborted.into())));
            }
            if push_change(change, &mut batch, this.subscription, *this.retry).is_break() {
                *this.ended = true;
                break;
            }
        }
        while !*this.ended && !this.session.is_in_review() && batch.len() < *this.max_frame {
            let item = if batch.is_empty() {
                match this.subscription.poll_next(cx) {
                    Poll::Ready(item) => item,
                    Poll::Pending if is_due(this.pause, this.subscription, cx) => continue,
                    Poll::Pending => break,
                }
            } else {
                // No need to be woken as long as there is something to write.
                match this.subscription.try_next() {
                    None if !this.subscription.is_ended() => break,
                    item => item,
                }
            };
            let flow = match item {
                Some(item) => {
                    push_item(&item, &mut batch, this.subscription, this.session, *this.retry)
                }
                None => ControlFlow::Break(()),
            };
            *this.ended = flow.is_break();
        }
        let (bytes, events) = batch.finish(this.subscription);
        this.session.link.handed_on(bytes.len(), events);
        match bytes.is_empty() {
            false => this.keep_alive.sent(bytes),
            true if *this.ended => Poll::Ready(None),
            true => this.keep_alive.poll(cx),
        }
    }
}

/// Writes what a client is told of an item. Breaks where it is the last.
fn push_item(
    item: &Item,
    batch: &mut Batch<'_>,
    subscription: &Subscription,
    session: &Session,
    retry: Duration,
) -> ControlFlow<()> {
    match item {
        Item::Publication(publication) => batch.publication(publication, subscription),
        Item::Subscribed(subscribed) => batch.control(&subscribed.into(), subscription),
        Item::Gap(gap) => batch.control(&gap.into(), subscription),
        Item::Presence(change) if session.may_see(change) => {
            batch.control(&change.into(), subscription);
        }
        Item::Unsubscribed { interest, reason: UnsubscribeReason::Limit } => {
            batch.control(&Frame::too_many(interest.as_str()), subscription);
        }
        Item::Disconnected { .. } => {
            batch.bye("slow", retry, subscription);
            return ControlFlow::Break(());
        }
        Item::Presence(_) | Item::Unsubscribed { .. } => {}
    }
    ControlFlow::Continue(())
}

/// Writes what a client is told of a change. Breaks where it is the last.
fn push_change(
    change: Change,
    batch: &mut Batch<'_>,
    subscription: &Subscription,
    retry: Duration,
) -> ControlFlow<()> {
    let (reason, retry) = match change {
        Change::Expiring(left) => {
            batch.control(&Frame::expires_in(left), subscription);
            return ControlFlow::Continue(());
        }
        Change::Renewed(left) => {
            if let Some(left) = left {
                batch.control(&Frame::expires_in(left), subscription);
            }
            return ControlFlow::Continue(());
        }
        Change::Expired => {
            batch.control(&Frame::expired(), subscription);
            return ControlFlow::Continue(());
        }
        Change::Refused(refused) => {
            batch.subscription_changed(subscription);
            for interest in &refused {
                batch.control(&Frame::refused(interest.as_str()), subscription);
            }
            if subscription.interests().next().is_some() {
                return ControlFlow::Continue(());
            }
            ("denied", retry)
        }
        Change::End(End::Drain(retry)) => ("drain", retry),
        Change::End(End::Close | End::Abort) => ("close", retry),
        Change::Unsure => ("unavailable", retry),
        Change::TimedOut => ("token_expired", retry),
    };
    batch.bye(reason, retry, subscription);
    ControlFlow::Break(())
}

/// Whether a channel goes on now that has paused. If one does later, the task is woken then.
pub(super) fn is_due(
    pause: &mut Option<Pin<Box<Sleep>>>,
    subscription: &Subscription,
    cx: &mut Context<'_>,
) -> bool {
    let Some(due) = subscription.next_due() else { return false };
    let due = Instant::from_std(due);
    let timer = pause.get_or_insert_with(|| Box::pin(sleep_until(due)));
    if timer.deadline() != due {
        timer.as_mut().reset(due);
    }
    timer.as_mut().poll(cx).is_ready()
}

#[cfg(test)]
mod tests;

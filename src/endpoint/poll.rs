//! Channels by long-polling: a request that is answered when there is something, or in time.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::Sleep;

use super::event_stream::is_due;
use super::frames::{self, Frame, WsFrame};
use super::link::End;
use super::request::{after_gap, read_body};
use super::session::{self, Change, Session};
use super::{Endpoint, Rejection, StreamRequest};
use crate::hub::{Item, Subscription, SubscriptionOptions, UnsubscribeReason};
use crate::transport::{Kind, Supervision};

/// How long a poll waits, unless its client says otherwise.
const WAIT: Duration = Duration::from_secs(25);
/// How many events one answer has.
const MAX_EVENTS: usize = 1000;
/// From how many bytes on an answer has no more of them.
const MAX_ANSWER: usize = 1024 * 1024;
/// How large the body of a request may be: a cursor, and as many channels as there may be.
const MAX_BODY: usize = 128 * 1024;

/// What a client asks for in the body of its request.
#[derive(Default, Deserialize)]
struct Asked {
    channel: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
    cursor: Option<String>,
    timeout: Option<f64>,
    gap: Option<String>,
}

pub(super) async fn poll(State(endpoint): State<Endpoint>, request: Request) -> Response {
    answer(&endpoint, request).await.into_response()
}

/// Whether there are polls at all, without waiting.
pub(super) async fn head() -> HeaderMap {
    headers()
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
}

async fn answer(endpoint: &Endpoint, request: Request) -> Result<Response, Rejection> {
    let shared = &endpoint.shared;
    let (parts, body) = request.into_parts();
    let supervision = parts.extensions.get::<Supervision>().cloned();
    let mut request = StreamRequest::from_parts(&parts)?;
    if parts.method == Method::POST {
        request.add_body(body).await?;
    }
    if request.channels.is_empty() {
        return Err(Rejection::bad_request("no channel: add ?channel=… for each"));
    }
    let mut session = Session::begin(shared, &request).await?;
    let (granted, refused) = session.sort_for(&request).await?;
    // Whoever polls comes and goes all the time: nobody is told of it.
    let options = SubscriptionOptions::default().after_gap(request.after_gap);
    let mut subscription = shared.hub.subscriber_with(options);
    session::subscribe(&mut subscription, granted, request.cursor.as_deref())?;

    let membership =
        supervision.map(|supervision| supervision.enter(Kind::LongPoll, session.link.clone()));
    let answer = Answer::default();
    let mut pending = Pending { session, subscription, pause: None, is_over: false, answer };
    for interest in &refused {
        // It is told each time, and that is no reason to answer at once each time.
        pending.answer.push_frame(&Frame::refused(interest.as_str()));
    }
    let wait = request.timeout.map_or(WAIT, |seconds| {
        // Longer than can be expressed is as long as may be.
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    });
    let wait = wait.min(shared.config.max_poll_timeout);
    // Over or not, what there is is the answer.
    let _ = tokio::time::timeout(wait, std::future::poll_fn(|cx| pending.poll(cx))).await;

    let Pending { subscription, answer, .. } = pending;
    let events = answer.events as u64;
    let text = answer.into_json(subscription.cursor().map(|cursor| cursor.to_string()));
    if let Some(membership) = membership {
        membership.traffic().queued(events);
        membership.traffic().sent(text.len() as u64);
    }
    Ok((headers(), text).into_response())
}

impl StreamRequest {
    /// Takes in the body of a request, which counts before the query.
    async fn add_body(&mut self, body: Body) -> Result<(), Rejection> {
        let body = read_body(body, MAX_BODY).await?;
        if body.is_empty() {
            return Ok(());
        }
        if !body.trim_ascii_start().starts_with(b"{") {
            return Err(Rejection::bad_request("the body is an object in JSON"));
        }
        let asked: Asked = serde_json::from_slice(&body)
            .map_err(|_| Rejection::bad_request("a field of the body is not of its type"))?;
        for name in asked.channel.iter().chain(&asked.channels) {
            self.add_channel(name)?;
        }
        if let Some(cursor) = asked.cursor.filter(|cursor| !cursor.is_empty()) {
            self.cursor = Some(cursor);
        }
        if let Some(gap) = asked.gap {
            self.after_gap = after_gap(&gap)?;
        }
        if let Some(seconds) = asked.timeout {
            let is_time = seconds.is_finite() && seconds >= 0.0;
            let time = is_time.then_some(seconds);
            self.timeout =
                Some(time.ok_or_else(|| Rejection::bad_request("timeout is a number of seconds"))?);
        }
        Ok(())
    }
}

struct Pending {
    session: Session,
    subscription: Subscription,
    /// Until a channel goes on that pauses.
    pause: Option<Pin<Box<Sleep>>>,
    /// There is something that the client has to know at once.
    is_over: bool,
    answer: Answer,
}

impl Pending {
    /// Until there is something to answer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(change) = self.session.poll_change(cx, &mut self.subscription) {
            self.change(change);
        }
        // The cursor stands before what may not be told any more.
        while !self.is_over && !self.session.is_in_review() && !self.answer.is_full() {
            match self.subscription.poll_next(cx) {
                Poll::Ready(Some(item)) => self.push(&item),
                Poll::Ready(None) => break,
                Poll::Pending if is_due(&mut self.pause, &self.subscription, cx) => {}
                Poll::Pending => break,
            }
        }
        match self.is_over || self.subscription.is_ended() || self.is_worth_an_answer() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// A cursor that does not say where the client stands in some of its channels would make gaps.
    fn is_worth_an_answer(&self) -> bool {
        self.answer.is_due && (self.answer.is_full() || !self.subscription.is_beginning())
    }

    fn push(&mut self, item: &Item) {
        match item {
            Item::Publication(publication) => {
                self.answer.push(publication.encoded::<WsFrame>().as_json());
            }
            // There is nothing to say: what it has missed follows, or there is nothing.
            Item::Subscribed(subscribed) if subscribed.recovered => return,
            Item::Subscribed(subscribed) => self.answer.push_frame(&subscribed.into()),
            Item::Gap(gap) => self.answer.push_frame(&gap.into()),
            Item::Presence(change) if self.session.may_see(change) => {
                self.answer.push_frame(&change.into());
            }
            Item::Unsubscribed { interest, reason: UnsubscribeReason::Limit } => {
                self.answer.push_frame(&Frame::too_many(interest.as_str()));
            }
            // It comes back at once, and is told of the gap then.
            Item::Disconnected { .. } => {}
            Item::Presence(_) | Item::Unsubscribed { .. } => return,
        }
        self.answer.is_due = true;
    }

    fn retry(&self) -> Duration {
        let shared = self.session.link.shared();
        shared.map(|shared| shared.config.retry()).unwrap_or_default()
    }

    fn change(&mut self, change: Change) {
        let bye = match change {
            // The next request may present another token; this is no reason to make it now.
            Change::Expiring(left) => {
                self.answer.push_frame(&Frame::expires_in(left));
                return;
            }
            Change::Renewed(_) => return,
            Change::Expired | Change::TimedOut => {
                self.answer.push_frame(&Frame::expired());
                None
            }
            Change::Refused(refused) => {
                for interest in &refused {
                    self.answer.push_frame(&Frame::refused(interest.as_str()));
                }
                None
            }
            Change::End(End::Drain(retry)) => Some(("drain", retry)),
            Change::End(End::Close | End::Abort) => Some(("close", self.retry())),
            Change::Unsure => Some(("unavailable", self.retry())),
        };
        if let Some((reason, retry)) = bye {
            self.answer.push_frame(&Frame::bye(reason, retry));
        }
        self.is_over = true;
    }
}

#[derive(Default)]
struct Answer {
    /// Frames in JSON, with commas in between.
    text: String,
    events: usize,
    /// There is something that the client waits for.
    is_due: bool,
}

impl Answer {
    fn push(&mut self, frame: &str) {
        if self.events > 0 {
            self.text.push(',');
        }
        self.text.push_str(frame);
        self.events += 1;
    }

    fn push_frame(&mut self, frame: &Frame<'_>) {
        self.push(&frames::json(frame));
    }

    fn is_full(&self) -> bool {
        self.events >= MAX_EVENTS || self.text.len() >= MAX_ANSWER
    }

    /// A cursor has no character that JSON has a need to escape.
    fn into_json(self, cursor: Option<String>) -> String {
        let more = if self.is_full() { r#","more":true"# } else { "" };
        let cursor = cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        format!(r#"{{"cursor":{cursor},"events":[{}]{more}}}"#, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_json_whatever_is_in_it() {
        let parse = |answer: Answer, cursor: Option<&str>| -> serde_json::Value {
            serde_json::from_str(&answer.into_json(cursor.map(str::to_owned))).unwrap()
        };
        let empty = serde_json::json!({"cursor": null, "events": []});
        assert_eq!(parse(Answer::default(), None), empty);
        let mut answer = Answer::default();
        (0..MAX_EVENTS).for_each(|_| answer.push(r#"{"type":"pub"}"#));
        let answer = parse(answer, Some("1-1"));
        assert_eq!(answer["cursor"], "1-1");
        assert_eq!(answer["more"], true);
        assert_eq!(answer["events"].as_array().unwrap().len(), MAX_EVENTS);
    }
}

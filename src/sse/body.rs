use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use futures_core::Stream;
use http_body::Frame;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::{Event, IntoEvent, Queued};
use crate::transport::queue::{MAX_FRAME, Queue};

/// The blank line lets clients that read event by event see it too.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

pin_project! {
    /// The body of an [`Sse`](super::Sse). Each frame holds all that was queued when it was asked
    /// for, up to 256 KiB, so that a burst of events leaves in one write.
    ///
    /// It must be polled in a tokio runtime with the time driver enabled, unless keep-alive is
    /// off.
    pub struct Body<S = Queued> {
        connection: Connection,
        // Gone when it has ended.
        #[pin]
        events: Option<S>,
        failure: Option<Failure>,
        retry: Option<Duration>,
        #[pin]
        keep_alive: KeepAlive,
    }
}

/// The body's hold on the queue: the senders learn from its end that the client is gone.
pub(super) struct Connection(pub(super) Arc<Queue>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An error of the stream, with which the response is to break off. An HTTP library forgets what
/// it has not written yet when it meets an error, so it is left to itself once before.
struct Failure {
    error: BoxError,
    announced: bool,
}

impl<S> Body<S> {
    pub(super) fn new(
        connection: Connection,
        events: S,
        retry: Option<Duration>,
        keep_alive: Option<Duration>,
    ) -> Self {
        let keep_alive = KeepAlive::new(keep_alive);
        Body { connection, events: Some(events), failure: None, retry, keep_alive }
    }
}

impl<S> http_body::Body for Body<S>
where
    S: Stream,
    S::Item: IntoEvent,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.as_mut().project();
        if let Some(delay) = this.retry.take() {
            let retry = Event::default().retry(delay).encode();
            return this.keep_alive.sent(retry);
        }
        self.as_mut().queue_ready_events(cx);
        let this = self.project();
        match this.connection.0.poll_take(cx) {
            Poll::Ready(Some(Ok(bytes))) => this.keep_alive.sent(bytes),
            Poll::Ready(Some(Err(aborted))) => Poll::Ready(Some(Err(aborted.into()))),
            Poll::Ready(None) => match this.failure {
                Some(failure) if !failure.announced => {
                    failure.announced = true;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                _ => Poll::Ready(this.failure.take().map(|failure| Err(failure.error))),
            },
            Poll::Pending => this.keep_alive.poll(cx),
        }
    }
}

impl<S> Body<S>
where
    S: Stream,
    S::Item: IntoEvent,
{
    /// Moves what the stream has ready, up to one frame, into the queue.
    fn queue_ready_events(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let mut this = self.project();
        let Some(mut events) = this.events.as_mut().as_pin_mut() else { return };
        if this.connection.0.is_closed() {
            this.events.set(None);
            return;
        }
        let mut batch = Vec::new();
        let (mut messages, mut ended) = (0, false);
        while batch.len() < MAX_FRAME {
            match events.as_mut().poll_next(cx).map(|item| item.map(IntoEvent::into_event)) {
                Poll::Ready(Some(Ok(event))) => {
                    event.append_to(&mut batch);
                    messages += 1;
                }
                Poll::Ready(Some(Err(error))) => {
                    *this.failure = Some(Failure { error: error.into(), announced: false });
                    ended = true;
                }
                Poll::Ready(None) => ended = true,
                Poll::Pending => break,
            }
            if ended {
                break;
            }
        }
        if !batch.is_empty() {
            this.connection.0.push(batch, messages);
        }
        if ended {
            this.events.set(None);
            this.connection.0.close();
        }
    }
}

pin_project! {
    /// Says when a comment is due. The timer is left alone while events flow; only when it goes
    /// off is it set to the right time.
    pub(crate) struct KeepAlive {
        interval: Option<Duration>,
        last_sent: Option<Instant>,
        #[pin]
        timer: Option<Sleep>,
    }
}

type Sent = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl KeepAlive {
    pub(crate) fn new(interval: Option<Duration>) -> Self {
        KeepAlive { interval, last_sent: None, timer: None }
    }

    /// Passes on what is sent, and notes the time.
    pub(crate) fn sent(self: Pin<&mut Self>, bytes: Bytes) -> Sent {
        if self.interval.is_some() {
            *self.project().last_sent = Some(Instant::now());
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    /// Sends a comment when nothing was sent for a whole interval.
    pub(crate) fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Sent {
        ready!(self.as_mut().poll_due(cx));
        self.sent(KEEP_ALIVE)
    }

    fn poll_due(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let Some(interval) = *this.interval else { return Poll::Pending };
        let last_sent = *this.last_sent.get_or_insert_with(Instant::now);
        let Some(due) = last_sent.checked_add(interval) else { return Poll::Pending };
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep_until(due)));
        }
        while let Some(mut timer) = this.timer.as_mut().as_pin_mut() {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= due {
                break;
            }
            timer.reset(due);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;

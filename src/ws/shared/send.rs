//! The senders' side: admission, compression, encoding, and waiting for room.

use std::future::Future;
use std::pin::Pin;
use std::sync::MutexGuard;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::inbound::Inbound;
use super::{Shared, State, wait};
use crate::transport::Outbox;
use crate::transport::events::Announcement;
use crate::ws::codec::close_reason;
use crate::ws::{CloseCode, Closed, Message, Prepared, SendError};

impl Shared {
    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().outbox.queued()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closing.is_some()
    }

    pub(crate) fn try_send(&self, message: &Message) -> Result<(), SendError> {
        let share = || message.clone().into_bytes();
        self.try_send_payload(message.is_text(), message.as_bytes(), share)
    }

    /// Sends a payload that is only borrowed: it is copied once.
    #[cfg(feature = "ffi")]
    pub(crate) fn try_send_copy(&self, text: bool, payload: &[u8]) -> Result<(), SendError> {
        self.try_send_payload(text, payload, || Bytes::copy_from_slice(payload))
    }

    /// `share` makes a handle to the payload, for one that is too large to be copied.
    fn try_send_payload(
        &self,
        text: bool,
        payload: &[u8],
        share: impl FnOnce() -> Bytes,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if let Some(deflater) = &self.deflater {
            // Held until the message is queued: the peer inflates in the order of compression.
            let mut deflater = deflater.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if deflater.wants(payload.len()) {
                self.lock().admits(payload.len())?;
                let deflated = deflater.deflate(payload);
                let compressed = deflated.is_some();
                let payload = deflated.as_deref().unwrap_or(payload);
                return self.push(|shared, state| {
                    state.outbox.push_with(|out| {
                        shared.encoder.message(text, compressed, payload, out);
                    });
                });
            }
        }
        let mut state = self.lock();
        state.admits(payload.len())?;
        if payload.len() >= Outbox::SHARE && self.encoder.is_verbatim(payload.len()) {
            state.outbox.push_with(|out| self.encoder.header(text, false, payload.len(), out));
            state.outbox.push_shared(share());
        } else {
            state.outbox.push_with(|out| self.encoder.message(text, false, payload, out));
        }
        self.queued(state);
        Ok(())
    }

    pub(crate) fn try_send_prepared(&self, prepared: &Prepared) -> Result<(), SendError> {
        let len = prepared.message().len();
        if !self.encoder.is_verbatim(len) {
            // In fragments, which each connection has of its own size.
            return self.try_send(prepared.message());
        }
        #[cfg(feature = "deflate")]
        if let Some(deflater) = &self.deflater {
            let mut deflater = deflater.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if deflater.wants(len) {
                self.lock().admits(len)?;
                let frame = prepared.deflated(deflater.key());
                if !deflater.is_stateless() {
                    deflater.reset();
                }
                return self.push(|_, state| state.outbox.push_shared(frame));
            }
        }
        let frame = prepared.plain().clone();
        let mut state = self.lock();
        state.admits(len)?;
        state.outbox.push_shared(frame);
        self.queued(state);
        Ok(())
    }

    /// Queues what was admitted before, unless the connection was closed since.
    #[cfg(feature = "deflate")]
    fn push(&self, push: impl FnOnce(&Self, &mut State)) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(SendError::Closed);
        }
        push(self, &mut state);
        self.queued(state);
        Ok(())
    }

    fn queued(&self, mut state: MutexGuard<'_, State>) {
        state.queued_messages += 1;
        let task = state.schedule();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// For a send that does not wait: if it was told that the queue is full, a host program is told
    /// when there is room.
    pub(crate) fn noting_full(&self, sent: Result<(), SendError>) -> Result<(), SendError> {
        if sent == Err(SendError::Full) {
            let mut state = self.lock();
            state.note_full();
            // What was queued may have left in between, and nothing more will.
            let all_left = state.outbox.queued() == 0;
            let announcement =
                if all_left { state.announce_room() } else { Announcement::default() };
            drop(state);
            announcement.tell();
        }
        sent
    }

    /// Retries `send` until it does not say full, and waits for room in between.
    pub(crate) fn sending<F>(&self, send: F) -> Sending<'_, F>
    where
        F: FnMut() -> Result<(), SendError> + Unpin,
    {
        Sending { shared: self, send, ticket: None }
    }

    /// Whether fewer than so many bytes are queued, or sending is over. If not, the task is woken
    /// whenever some were written, as the queue of a connection that asks is never half full.
    #[cfg(feature = "endpoint")]
    pub(crate) fn poll_below(
        &self,
        cx: &mut Context<'_>,
        bytes: usize,
        ticket: &mut Option<usize>,
    ) -> Poll<()> {
        let mut state = self.lock();
        if state.outbox.queued() >= bytes && state.closing.is_none() {
            state.waiting_senders.insert(ticket, cx.waker());
            return Poll::Pending;
        }
        if let Some(ticket) = ticket.take() {
            state.waiting_senders.remove(ticket);
        }
        Poll::Ready(())
    }

    /// The same as [`sending`](Self::sending), for a thread.
    pub(crate) fn send_blocking(
        &self,
        len: usize,
        timeout: Option<Duration>,
        mut send: impl FnMut() -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            match send() {
                Err(SendError::Full) => {}
                result => return result,
            }
            let mut state = self.lock();
            if state.admits(len) != Err(SendError::Full) {
                continue;
            }
            state.blocked_senders += 1;
            let (mut state, expired) = wait(&self.writable, state, deadline);
            state.blocked_senders -= 1;
            if expired && state.admits(len) == Err(SendError::Full) {
                return Err(SendError::Timeout);
            }
        }
    }

    /// Queues a close frame behind what is queued already; nothing can be sent or received after.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        let mut state = self.lock();
        if state.closing.is_some() {
            return;
        }
        let reason = close_reason(reason);
        state.queue_close(&self.encoder, Some((code.get().into(), reason)));
        let (code, reason) = (code.get(), reason.into());
        state.closing = Some(Box::new(Closed { code, reason, clean: false }));
        state.closed_here = true;
        state.inbound = Inbound::default();
        state.read_paused = false;
        let mut wakes = state.wake_all();
        wakes.1 = state.schedule();
        drop(state);
        self.readable.notify_all();
        self.writable.notify_all();
        wakes.wake();
    }

    /// Waits for the end.
    pub(crate) fn ending(&self) -> Ending<'_> {
        Ending { shared: self, ticket: None }
    }
}

/// A message on its way into the queue. Dropped before it is done, it was not queued.
pub(crate) struct Sending<'a, F> {
    shared: &'a Shared,
    send: F,
    /// Where its waker is kept, once it had to wait.
    ticket: Option<usize>,
}

impl<F: FnMut() -> Result<(), SendError> + Unpin> Future for Sending<'_, F> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match (self.send)() {
            Err(SendError::Full) => {}
            result => return Poll::Ready(result),
        }
        self.shared.lock().waiting_senders.insert(&mut self.ticket, cx.waker());
        // Room may have come up in between.
        match (self.send)() {
            Err(SendError::Full) => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

impl<F> Drop for Sending<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.lock().waiting_senders.remove(ticket);
        }
    }
}

/// How the connection ended, once it has.
pub(crate) struct Ending<'a> {
    shared: &'a Shared,
    /// Where its waker is kept, once it had to wait.
    ticket: Option<usize>,
}

impl Future for Ending<'_> {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let mut state = self.shared.lock();
        match &state.closing {
            Some(closed) if state.ended => Poll::Ready(Closed::clone(closed)),
            _ => {
                state.waiting_for_end.insert(&mut self.ticket, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.lock().waiting_for_end.remove(ticket);
        }
    }
}

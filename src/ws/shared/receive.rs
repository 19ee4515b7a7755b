//! The receiver's side: taking messages, and letting the socket be read again.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::{MESSAGE_COST, Shared, State, wait};
use crate::ws::{Closed, Message, RecvError};

impl Shared {
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.lock();
        if let Some(message) = state.inbound.pop_front() {
            self.received(state, &message);
            return Poll::Ready(Some(message));
        }
        if state.closing.is_some() {
            return Poll::Ready(None);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => state.reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(crate) fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut expired = false;
        let mut state = self.lock();
        loop {
            if let Some(message) = state.inbound.pop_front() {
                self.received(state, &message);
                return Ok(message);
            }
            if let Some(closed) = &state.closing {
                return Err(RecvError::Closed(Closed::clone(closed)));
            }
            if expired {
                return Err(RecvError::Timeout);
            }
            state.blocked_readers += 1;
            (state, expired) = wait(&self.readable, state, deadline);
            state.blocked_readers -= 1;
        }
    }

    fn received(&self, mut state: MutexGuard<'_, State>, message: &Message) {
        state.inbound_bytes -= message.len() + MESSAGE_COST;
        if state.inbound.is_empty() {
            state.inbound = VecDeque::new();
        }
        if state.read_paused && state.inbound_bytes <= self.receive_queue / 2 {
            state.read_paused = false;
            let task = state.schedule();
            drop(state);
            if let Some(task) = task {
                task.wake();
            }
        }
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        let state = self.lock();
        state.closing.as_deref().filter(|_| state.ended).cloned()
    }
}

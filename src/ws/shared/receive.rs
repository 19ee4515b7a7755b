//! The receiver's side: taking messages, and letting the socket be read again.

use std::sync::MutexGuard;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::inbound::Inbound;
use super::{Shared, State, wait};
use crate::transport::cork::Wake;
use crate::ws::{Closed, Message, RecvError};

impl Shared {
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.lock();
        if let Some(message) = state.inbound.pop() {
            self.received(state);
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

    /// Waits until `take` finds something among the messages that have come in.
    pub(crate) fn recv_blocking<R>(
        &self,
        timeout: Option<Duration>,
        mut take: impl FnMut(&mut Inbound) -> Option<R>,
    ) -> Result<R, RecvError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut expired = false;
        let mut state = self.lock();
        loop {
            if let Some(taken) = take(&mut state.inbound) {
                // What is left is for another, who was perhaps not told of it.
                if !state.inbound.is_empty() && state.blocked_readers > 0 {
                    self.readable.notify_one();
                }
                self.received(state);
                return Ok(taken);
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

    fn received(&self, mut state: MutexGuard<'_, State>) {
        let task = self.read_on(&mut state);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Lets the socket be read again, if there is room; then the task is to be woken.
    pub(super) fn read_on(&self, state: &mut State) -> Option<Wake> {
        if state.read_paused && state.inbound.bytes() <= self.receive_queue / 2 {
            state.read_paused = false;
            return state.schedule();
        }
        None
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        let state = self.lock();
        state.closing.as_deref().filter(|_| state.ended).cloned()
    }
}

//! Requests for a host program, which takes and answers them on threads of its own.

mod serve;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::config::Config;
use super::request::Request;

/// Where requests wait for the host. Bounded: when the host is too slow, the surplus is refused,
/// so that clients come back later instead of waiting for nothing.
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
    /// How long the host may take to answer, from the arrival of the whole request.
    deadline: Duration,
    /// The window out of which the surplus gets a time after which to come back.
    retry: RangeInclusive<Duration>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<Request>>,
    closed: bool,
}

/// Why [`Inbox::take`] has no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeError {
    Timeout,
    /// The inbox was closed.
    Closed,
}

impl Inbox {
    pub(crate) fn new(capacity: usize, deadline: Duration) -> Arc<Self> {
        Arc::new(Inbox {
            state: Mutex::default(),
            arrived: Condvar::new(),
            capacity: capacity.max(1),
            deadline,
            retry: Config::default().drain_retry,
        })
    }

    /// The next request whose client is still there; blocks the thread until there is one. `None`
    /// waits for ever.
    pub(crate) fn take(&self, timeout: Option<Duration>) -> Result<Box<Request>, TakeError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(TakeError::Closed);
            }
            while let Some(request) = state.waiting.pop_front() {
                if request.exchange.is_open() {
                    return Ok(request);
                }
            }
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(TakeError::Timeout);
                    }
                    let waited = self.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes no more requests, and wakes every thread that waits for one. Those that nobody has
    /// taken are answered with 503.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let unanswered = std::mem::take(&mut state.waiting);
        drop(state);
        self.arrived.notify_all();
        drop(unanswered);
    }

    fn put(&self, request: Box<Request>) -> Result<(), Box<Request>> {
        let mut state = self.lock();
        if state.closed {
            return Err(request);
        }
        if state.waiting.len() >= self.capacity {
            // Those whose client has gone meanwhile take no room.
            state.waiting.retain(|request| request.exchange.is_open());
            if state.waiting.len() >= self.capacity {
                return Err(request);
            }
        }
        state.waiting.push_back(request);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

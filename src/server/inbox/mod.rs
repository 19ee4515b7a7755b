//! What a host program takes out on threads of its own: requests, which it answers, and events of
//! the connections that it has answered them with.

mod authorize;
mod batches;
mod mounts;
mod routes;
mod serve;
mod signal;
mod wait;

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::request::Request;
use crate::transport::events::Source;
pub(crate) use authorize::{AskHost, Asked, Question, Unasked, Verdict, identity};
use batches::Batches;
pub(crate) use mounts::{MountError, Mounts};
pub(crate) use routes::{Found, Handler, Route, RouteError, Routes, Settings};
use signal::Signal;
use wait::Drained;
pub(crate) use wait::Happening;

/// Where requests and events wait for the host. Bounded: when the host is too slow, the surplus of
/// requests is refused, so that clients come back later instead of waiting for nothing; and each
/// connection is there once, whatever has happened on it.
pub(crate) struct Inbox {
    state: Mutex<State>,
    /// A request has come in.
    arrived: Condvar,
    /// A question has.
    asked: Condvar,
    /// Anything has.
    happened: Condvar,
    capacity: usize,
    /// How long the host may take to answer, from the arrival of the whole request.
    deadline: Duration,
    /// The window out of which the surplus gets a time after which to come back.
    retry: RangeInclusive<Duration>,
    routes: Arc<Routes>,
    mounts: Mounts,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<Request>>,
    /// Requests that have come in since all that wait were looked at.
    unchecked: usize,
    /// Threads that wait for a request.
    takers: usize,
    /// What the host is asked about hubs.
    questions: VecDeque<Box<Question>>,
    /// Threads that wait for a question.
    authorizers: usize,
    /// Connections on which something has happened.
    listed: VecDeque<Arc<dyn Source>>,
    /// Threads that wait for anything to happen.
    waiters: usize,
    /// One of them is to be woken.
    is_asleep: bool,
    /// The worker that will do that at the end of its turn.
    roused_by: Option<tokio::runtime::Id>,
    batches: Batches,
    /// Requests get the odd place in a batch.
    favours_requests: bool,
    signal: Option<Signal>,
    /// The host has asked to be woken.
    woken: bool,
    drained: Drained,
    /// How many batches are being handed over at this moment.
    under_way: usize,
    /// No more requests.
    closed: bool,
    /// No more events either.
    over: bool,
}

impl State {
    /// Whether there is something to hand over.
    fn has_happenings(&self) -> bool {
        !self.waiting.is_empty()
            || !self.questions.is_empty()
            || !self.listed.is_empty()
            || self.is_drain_to_be_told()
    }

    /// Whether the host is to know that a drain is over, and has been told of all that was before.
    fn is_drain_to_be_told(&self) -> bool {
        self.drained == Drained::Due
            && self.waiting.is_empty()
            && self.listed.is_empty()
            && self.under_way == 0
    }

    /// Whether one more request may wait. Those whose client has gone take no room for long: the
    /// first are let go at once, and all of them so rarely that it costs a request the same,
    /// however many wait.
    fn has_room(&mut self, capacity: usize) -> bool {
        if self.waiting.len() < capacity {
            return true;
        }
        while self.waiting.front().is_some_and(|request| !request.exchange.is_open()) {
            self.waiting.pop_front();
        }
        if self.waiting.len() >= capacity && self.unchecked >= capacity {
            self.waiting.retain(|request| request.exchange.is_open());
            self.unchecked = 0;
        }
        self.waiting.len() < capacity
    }

    /// To be called after every change.
    fn level(&mut self) {
        let raised = self.has_happenings() || self.woken || self.over;
        if let Some(signal) = &mut self.signal {
            signal.set(raised);
        }
    }
}

/// Why [`Inbox::take`] has no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeError {
    Timeout,
    /// The inbox was closed.
    Closed,
}

impl Inbox {
    pub(crate) fn new(
        capacity: usize,
        deadline: Duration,
        retry: RangeInclusive<Duration>,
    ) -> Arc<Self> {
        Arc::new(Inbox {
            state: Mutex::default(),
            arrived: Condvar::new(),
            asked: Condvar::new(),
            happened: Condvar::new(),
            capacity: capacity.max(1),
            deadline,
            retry,
            routes: Arc::default(),
            mounts: Mounts::default(),
        })
    }

    pub(crate) fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    pub(crate) fn routes(&self) -> &Arc<Routes> {
        &self.routes
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
                state.level();
                if request.exchange.is_open() {
                    return Ok(request);
                }
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(TakeError::Timeout);
            }
            state.takers += 1;
            state = match left {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.takers -= 1;
        }
    }

    /// How many requests wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes no more requests and questions, and wakes every thread that waits for one. Requests
    /// that nobody has taken are answered with 503.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let unanswered = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.questions));
        state.level();
        drop(state);
        self.arrived.notify_all();
        self.asked.notify_all();
        drop(unanswered);
    }

    fn put(&self, request: Box<Request>) -> Result<(), Box<Request>> {
        let mut state = self.lock();
        if state.closed {
            return Err(request);
        }
        state.unchecked += 1;
        if !state.has_room(self.capacity) {
            return Err(request);
        }
        state.waiting.push_back(request);
        state.level();
        let has_taker = state.takers > 0;
        if has_taker {
            self.arrived.notify_one();
        }
        self.wake_sleeper(state);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! The host's side of events: taking what has happened on any connection in batches.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Inbox, Question, Signal, State, TakeError};
use crate::server::request::Request;
use crate::transport::cork;
use crate::transport::events::{Batch, Event, Source, Tag};

/// What a host is told.
pub(crate) enum Happening {
    /// A request has come in.
    Request(Box<Request>),
    /// The host is asked who may do what.
    Question(Box<Question>),
    /// Something has happened on a connection that the host has answered a request with.
    Event(Tag, Event),
    /// A drain that was begun is over.
    Drained,
}

/// Whether the host knows that a drain is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Drained {
    /// It is not.
    #[default]
    No,
    /// The host is to be told.
    Due,
    Told,
}

/// A batch that is being handed over, and the sources that go back on the list when it is done.
struct UnderWay<'a> {
    inbox: &'a Inbox,
    unfinished: Vec<Arc<dyn Source>>,
    without_turn: Vec<Arc<dyn Source>>,
}

impl<'a> UnderWay<'a> {
    fn new(inbox: &'a Inbox) -> Self {
        UnderWay { inbox, unfinished: Vec::new(), without_turn: Vec::new() }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.inbox.lock();
        state.under_way -= 1;
        self.without_turn.drain(..).rev().for_each(|source| state.listed.push_front(source));
        // Behind the others: everyone has a turn.
        state.listed.extend(self.unfinished.drain(..));
        self.inbox.leave_the_rest(state);
    }
}

impl Inbox {
    /// Waits until something has happened, and hands over as much as there is room for. Returns
    /// how much: nothing when the time is over, or when the host was woken for something else.
    ///
    /// Requests and events alternate when there are more than there is room for.
    pub(crate) fn wait(
        &self,
        room: usize,
        timeout: Option<Duration>,
        put: &mut dyn FnMut(Happening),
    ) -> Result<usize, TakeError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        // Whoever only looks may have something else to do before it looks again.
        let comes_back = timeout != Some(Duration::ZERO);
        cork::uncork();
        loop {
            let mut state = self.lock();
            while !state.has_happenings() {
                if std::mem::take(&mut state.woken) {
                    state.level();
                    return Ok(0);
                }
                if state.over {
                    return Err(TakeError::Closed);
                }
                state.waiters += 1;
                state.is_asleep = true;
                let mut expired = false;
                match deadline {
                    None => {
                        let waited = self.happened.wait(state);
                        state = waited.unwrap_or_else(PoisonError::into_inner);
                    }
                    Some(deadline) => {
                        let left = deadline.saturating_duration_since(Instant::now());
                        if !left.is_zero() {
                            let waited = self.happened.wait_timeout(state, left);
                            state = waited.unwrap_or_else(PoisonError::into_inner).0;
                        }
                        expired = Instant::now() >= deadline;
                    }
                }
                state.waiters -= 1;
                // Whoever comes next wakes another one.
                state.is_asleep = state.waiters > 0;
                if expired && !state.has_happenings() {
                    state.woken = false;
                    state.level();
                    return if state.over { Err(TakeError::Closed) } else { Ok(0) };
                }
            }
            let woken = std::mem::take(&mut state.woken);
            let stamp = if comes_back { state.batches.cork() } else { None };
            let taken = self.hand_over(state, room, put);
            if taken > 0 || woken {
                if let Some(stamp) = stamp {
                    cork::cork(stamp);
                }
                return Ok(taken);
            }
        }
    }

    fn hand_over(
        &self,
        mut state: MutexGuard<'_, State>,
        room: usize,
        put: &mut dyn FnMut(Happening),
    ) -> usize {
        let mut left = room;
        // Last, so that a host that ends then has seen the end of every connection.
        if state.is_drain_to_be_told() {
            state.drained = Drained::Told;
            put(Happening::Drained);
            left -= 1;
        }
        // An odd place goes to the one and to the other in turn.
        state.favours_requests = !state.favours_requests;
        let share = match state.listed.is_empty() {
            true => left,
            false => (left + usize::from(state.favours_requests)) / 2,
        };
        let mut questions = Vec::new();
        while questions.len() < share
            && let Some(question) = state.questions.pop_front()
        {
            if question.is_open() {
                questions.push(question);
            }
        }
        let share = share - questions.len();
        left -= questions.len();
        let mut requests = Vec::new();
        while requests.len() < share
            && let Some(request) = state.waiting.pop_front()
        {
            if request.exchange.is_open() {
                requests.push(request);
            }
        }
        let sources = state.listed.len().min(left - requests.len());
        let sources: Vec<_> = state.listed.drain(..sources).collect();
        state.under_way += 1;
        let mut batch_under_way = UnderWay::new(self);
        self.leave_the_rest(state);
        left -= requests.len();
        for question in questions {
            put(Happening::Question(question));
        }
        for request in requests {
            put(Happening::Request(request));
        }
        for source in sources {
            let mut batch =
                Batch { room: left, put: &mut |tag, event| put(Happening::Event(tag, event)) };
            if batch.is_full() {
                batch_under_way.without_turn.push(source);
            } else if source.hand_over(&mut batch) {
                batch_under_way.unfinished.push(source);
            }
            left = batch.room;
        }
        room - left
    }

    /// Wakes another thread if there is more than this one can take.
    fn leave_the_rest(&self, mut state: MutexGuard<'_, State>) {
        state.level();
        let is_for_another = state.has_happenings() && std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_for_another {
            self.happened.notify_one();
        }
    }

    /// Makes one call of [`wait`](Self::wait) return: the one that is blocked, or the next.
    pub(crate) fn wake(&self) {
        self.change(|state| state.woken = true);
    }

    /// Tells the host that a drain is over, if it was not told yet.
    pub(crate) fn drained(&self) {
        self.change(|state| {
            if state.drained == Drained::No {
                state.drained = Drained::Due;
            }
        });
    }

    /// Nothing will happen any more.
    pub(crate) fn finish(&self) {
        self.change(|state| state.over = true);
        self.happened.notify_all();
    }

    /// Closes the file descriptor, if it was asked for.
    pub(crate) fn close_event_fd(&self) {
        let signal = self.lock().signal.take();
        drop(signal);
    }

    /// A file descriptor that can be read while [`wait`](Self::wait) would not block. It belongs
    /// to the inbox.
    #[cfg(unix)]
    pub(crate) fn event_fd(&self) -> std::io::Result<std::os::fd::RawFd> {
        let mut state = self.lock();
        if state.signal.is_none() {
            state.signal = Some(Signal::new()?);
            state.level();
        }
        Ok(state.signal.as_ref().map_or(-1, Signal::fd))
    }

    /// Changes the state, and wakes a thread that waits for that.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.level();
        self.wake_sleeper(state);
    }

    /// Wakes a thread that waits.
    pub(super) fn wake_sleeper(&self, mut state: MutexGuard<'_, State>) {
        let is_asleep = std::mem::take(&mut state.is_asleep);
        drop(state);
        if is_asleep {
            self.happened.notify_one();
        }
    }
}

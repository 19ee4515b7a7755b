//! What the senders and the body of one response share that is sent piece by piece.

#[cfg_attr(not(feature = "ffi"), allow(dead_code, reason = "for hosts behind the C ABI"))]
mod events;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Outbox;
use super::cork::{Mailbox, Wake};
use super::events::{Announcement, Port};

/// At most how many bytes the body hands on at once, so that one stream that lags behind does not
/// hold up the others.
pub(crate) const MAX_FRAME: usize = 256 * 1024;

/// Encoded bytes on their way into the queue.
pub(crate) enum Piece {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Owned(bytes) => bytes.len(),
            Piece::Shared(bytes) => bytes.len(),
        }
    }
}

/// Why something was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The stream has ended.
    Closed,
    /// There is no room.
    Full,
    /// There was no room until the time was up.
    Timeout,
}

/// The answer to an offer.
enum Offer {
    Queued,
    Full(Piece),
    Closed,
}

/// How a stream ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Takes nothing more; what is queued is still sent.
    Closed,
    /// To be broken off.
    Aborted,
}

struct State {
    outbox: Outbox,
    /// Bytes that the body has handed on, but that the transport may not have taken yet.
    handed_on: usize,
    /// Pieces queued that the server has not counted yet.
    messages: u64,
    phase: Phase,
    /// It was this side that has ended the stream.
    ended_here: bool,
    /// The end is told when all that is queued was taken, and not before.
    told_when_taken: bool,
    /// Not all that was queued was taken.
    lost: bool,
    /// Whether a sender waits for room.
    starved: bool,
    /// The body's task, while it waits for something to send. Taken by the first sender of a
    /// burst, so that the others need not wake it again.
    body: Option<Waker>,
    /// Where the body is woken when a host program drives the stream.
    mailbox: Option<Arc<Mailbox>>,
    /// What a host program is told of, if it wants to be.
    port: Option<Box<Port>>,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    /// Tells blocked threads that there is room again or that the stream is closed.
    unblocked: Condvar,
    /// Tells waiting tasks the same.
    changed: Notify,
    senders: AtomicUsize,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            outbox: Outbox::new(limit),
            handed_on: 0,
            messages: 0,
            phase: Phase::Open,
            ended_here: false,
            told_when_taken: false,
            lost: false,
            starved: false,
            body: None,
            mailbox: None,
            port: None,
        };
        Queue {
            state: Mutex::new(state),
            unblocked: Condvar::new(),
            changed: Notify::new(),
            senders: AtomicUsize::new(0),
        }
    }

    /// A queue for a body that has an end: it counts as ended when all of it was taken, or cannot
    /// be any more.
    #[cfg(feature = "ffi")]
    pub(crate) fn told_when_taken(limit: usize) -> Self {
        let queue = Queue::new(limit);
        queue.lock().told_when_taken = true;
        queue
    }

    /// No code of others runs under the lock, so a poisoned state is still a consistent one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().outbox.queued()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().phase != Phase::Open
    }

    #[cfg(test)]
    pub(crate) fn is_starved(&self) -> bool {
        self.lock().starved
    }

    /// Waits until the stream has ended. Says whether cleanly.
    pub(crate) async fn ended(&self) -> bool {
        loop {
            let changed = self.changed.notified();
            if let Some(clean) = self.ending() {
                return clean;
            }
            changed.await;
        }
    }

    /// Whether the stream has ended, and if so whether cleanly: by this side.
    pub(crate) fn ending(&self) -> Option<bool> {
        self.lock().ending()
    }

    pub(crate) fn add_sender(&self) {
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the stream with its last sender.
    pub(crate) fn remove_sender(&self) {
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.close();
        }
    }

    pub(crate) fn try_send(&self, piece: Piece) -> Result<(), Unsent> {
        match self.offer(piece, false) {
            Offer::Queued => Ok(()),
            Offer::Full(_) => Err(Unsent::Full),
            Offer::Closed => Err(Unsent::Closed),
        }
    }

    pub(crate) async fn send(&self, mut piece: Piece) -> Result<(), Unsent> {
        loop {
            // Made before the queue is looked at, or a change in between would be missed.
            let changed = self.changed.notified();
            match self.offer(piece, true) {
                Offer::Queued => return Ok(()),
                Offer::Full(back) => piece = back,
                Offer::Closed => return Err(Unsent::Closed),
            }
            changed.await;
        }
    }

    pub(crate) fn send_blocking(
        &self,
        piece: Piece,
        timeout: Option<Duration>,
    ) -> Result<(), Unsent> {
        // A timeout too far away to be expressed is none.
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        while state.phase == Phase::Open && !state.outbox.has_room(piece.len()) {
            state.starved = true;
            let Some(deadline) = deadline else {
                state = self.unblocked.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Unsent::Timeout);
            }
            let waited = self.unblocked.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.phase != Phase::Open {
            return Err(Unsent::Closed);
        }
        push_and_wake(state, piece);
        Ok(())
    }

    fn offer(&self, piece: Piece, waits: bool) -> Offer {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Offer::Closed;
        }
        if !state.outbox.has_room(piece.len()) {
            state.starved |= waits;
            if let Some(port) = &mut state.port {
                port.note_full();
            }
            return Offer::Full(piece);
        }
        push_and_wake(state, piece);
        Offer::Queued
    }

    /// Queues for the body itself, which knows on its own how much to take.
    pub(crate) fn push(&self, events: Vec<u8>, messages: u64) {
        let mut state = self.lock();
        state.outbox.push_owned(events);
        state.messages += messages;
    }

    /// Ends the stream after what is queued.
    pub(crate) fn close(&self) {
        self.end(|_| {});
    }

    /// Breaks the stream off, or forgets what the client will not take any more, if it is gone.
    pub(crate) fn abort(&self) {
        let mut state = self.lock();
        let just_now = state.ending().is_none();
        state.lost |= state.told_when_taken && state.outbox.queued() > state.handed_on;
        state.phase = Phase::Aborted;
        state.handed_on = 0;
        let discarded = state.outbox.discard();
        self.tell_end(state, just_now);
        drop(discarded);
    }

    /// The pieces queued since this was asked last.
    pub(crate) fn take_messages(&self) -> u64 {
        std::mem::take(&mut self.lock().messages)
    }

    /// Ends the stream after what is queued and these bytes.
    pub(crate) fn close_with(&self, last_words: Vec<u8>) {
        self.end(|outbox| outbox.push_owned(last_words));
    }

    /// Turns an open stream into one that takes nothing more.
    fn end(&self, last_words: impl FnOnce(&mut Outbox)) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            last_words(&mut state.outbox);
            state.phase = Phase::Closed;
            state.ended_here = true;
            self.tell_end(state, true);
        }
    }

    fn tell_end(&self, mut state: MutexGuard<'_, State>, just_now: bool) {
        let body = state.take_body();
        let announcement = state.announce_end();
        drop(state);
        announcement.tell();
        if just_now {
            self.tell_senders();
        }
        if let Some(body) = body {
            body.wake();
        }
    }

    fn tell_senders(&self) {
        self.unblocked.notify_all();
        self.changed.notify_waiters();
    }

    /// Takes all that is queued, up to [`MAX_FRAME`]; `None` is the end of the stream.
    ///
    /// To be asked for more, the transport must have taken what it got before: only then does
    /// that stop to count as queued.
    pub(crate) fn poll_take(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        let mut state = self.lock();
        let taken = std::mem::take(&mut state.handed_on);
        let fed = state.settle(taken);
        let announcement = if taken > 0 { state.announce_room() } else { Announcement::default() };
        let mut left_over = None;
        let poll = if state.phase == Phase::Aborted {
            Poll::Ready(Some(Err(Aborted)))
        } else if let Some(bytes) = state.outbox.take_merged(MAX_FRAME) {
            state.handed_on = bytes.len();
            Poll::Ready(Some(Ok(bytes)))
        } else if state.phase == Phase::Closed {
            Poll::Ready(None)
        } else {
            if !state.body.as_ref().is_some_and(|body| body.will_wake(cx.waker())) {
                // Dropping a waker may run anything: not under the lock.
                left_over = state.body.replace(cx.waker().clone());
            }
            Poll::Pending
        };
        drop(state);
        drop(left_over);
        announcement.tell();
        if fed {
            self.tell_senders();
        }
        poll
    }
}

impl State {
    fn ending(&self) -> Option<bool> {
        match self.phase {
            Phase::Open => None,
            Phase::Closed if self.told_when_taken => None,
            Phase::Closed | Phase::Aborted => Some(self.ended_here && !self.lost),
        }
    }

    /// The body, to be woken.
    fn take_body(&mut self) -> Option<Wake> {
        Some(Wake::new(self.body.take()?, self.mailbox.as_ref()))
    }

    /// Notes that the transport took so many bytes. Says whether senders may go on.
    fn settle(&mut self, taken: usize) -> bool {
        if taken == 0 {
            return false;
        }
        self.outbox.written(taken);
        let room = self.starved && self.outbox.is_half_empty();
        self.starved &= !room;
        room
    }
}

fn push_and_wake(mut state: MutexGuard<'_, State>, piece: Piece) {
    match piece {
        Piece::Owned(bytes) => state.outbox.push_owned(bytes),
        Piece::Shared(bytes) => state.outbox.push_shared(bytes),
    }
    state.messages += 1;
    let body = state.take_body();
    drop(state);
    if let Some(body) = body {
        body.wake();
    }
}

/// The error by which a body is broken off.
#[derive(Debug, thiserror::Error)]
#[error("the response was broken off by its server")]
pub(crate) struct Aborted;

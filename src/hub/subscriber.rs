use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use slab::Slab;

use super::channel::Channel;

/// What others know of a subscription: where to leave word that it has something to read.
#[derive(Default)]
pub(super) struct Subscriber {
    inbox: Mutex<Inbox>,
}

#[derive(Default)]
struct Inbox {
    /// Channels with news.
    ready: Vec<Slot>,
    /// Channels that came into being and match a pattern.
    joined: Vec<Arc<Channel>>,
    /// The backplane has begun to listen to a pattern.
    patterns: bool,
    waker: Option<Waker>,
    /// The subscription is gone.
    closed: bool,
}

/// Which of its channels a subscriber is told of. Places are used again, serials are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) index: u32,
    pub(super) serial: u32,
}

impl Subscriber {
    /// No code of others runs under the lock, so a poisoned inbox is still a consistent one.
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that a channel has news. Only the first of a burst finds a waker.
    fn signal(&self, slot: Slot) {
        let mut inbox = self.lock();
        inbox.ready.push(slot);
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Hands over a channel that has just come into being, unless the subscription is gone. The
    /// waker is for the caller to wake, without a lock.
    pub(super) fn join(&self, channel: &Arc<Channel>) -> Option<Option<Waker>> {
        let mut inbox = self.lock();
        if inbox.closed {
            return None;
        }
        inbox.joined.push(channel.clone());
        Some(inbox.waker.take())
    }

    /// Tells that the backplane has begun to listen to a pattern. The waker is for the caller to
    /// wake, without a lock.
    pub(super) fn tell_of_patterns(&self) -> Option<Waker> {
        let mut inbox = self.lock();
        inbox.patterns = true;
        inbox.waker.take()
    }

    /// Takes what is there: the channels with news one by one, the new ones together, and whether
    /// there is something about patterns.
    pub(super) fn take(&self, ready: impl FnMut(Slot)) -> (Vec<Arc<Channel>>, bool) {
        let mut inbox = self.lock();
        inbox.ready.drain(..).for_each(ready);
        (std::mem::take(&mut inbox.joined), std::mem::take(&mut inbox.patterns))
    }

    /// The new channels that are yet to be taken.
    pub(super) fn joined(&self) -> Vec<Arc<Channel>> {
        self.lock().joined.clone()
    }

    /// Leaves a waker, unless something came meanwhile.
    pub(super) fn park(&self, cx: &mut Context<'_>) -> bool {
        let mut inbox = self.lock();
        if !inbox.ready.is_empty() || !inbox.joined.is_empty() || inbox.patterns {
            return false;
        }
        let mut left_over = None;
        if !inbox.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            // Dropping a waker may run anything: not under the lock.
            left_over = inbox.waker.replace(cx.waker().clone());
        }
        drop(inbox);
        drop(left_over);
        true
    }

    /// Takes no more channels. Those that were handed over and not yet taken are given back.
    pub(super) fn close(&self) -> Vec<Arc<Channel>> {
        let mut inbox = self.lock();
        inbox.closed = true;
        let waker = inbox.waker.take();
        let joined = std::mem::take(&mut inbox.joined);
        drop(inbox);
        drop(waker);
        joined
    }
}

/// The subscribers of a channel that have read all of it, and wait for more.
#[derive(Default)]
pub(super) struct Idle {
    waiting: Slab<(Arc<Subscriber>, Slot)>,
    /// Changes whenever all are taken: what was registered before is not there any more.
    round: u64,
    /// Empty, but for the room in it.
    spare: Slab<(Arc<Subscriber>, Slot)>,
}

/// A place among the idle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    round: u64,
    key: u32,
}

/// Those who were idle until now.
#[must_use = "they wait to be told"]
pub(super) struct Woken(Slab<(Arc<Subscriber>, Slot)>);

/// Room for fewer is not worth being kept.
const SPARE: usize = 64;

impl Idle {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn insert(&mut self, subscriber: Arc<Subscriber>, slot: Slot) -> Ticket {
        let key = self.waiting.insert((subscriber, slot));
        Ticket { round: self.round, key: key as u32 }
    }

    pub(super) fn remove(&mut self, ticket: Ticket) {
        if ticket.round == self.round {
            self.waiting.remove(ticket.key as usize);
        }
    }

    /// Takes all of them, to be told of news.
    pub(super) fn take(&mut self) -> Woken {
        if self.waiting.is_empty() {
            return Woken(Slab::new());
        }
        self.round += 1;
        let spare = std::mem::take(&mut self.spare);
        Woken(std::mem::replace(&mut self.waiting, spare))
    }

    /// Keeps the room for the next time.
    pub(super) fn recycle(&mut self, woken: Woken) {
        if woken.0.capacity() > self.spare.capacity() {
            self.spare = woken.0;
        }
    }
}

impl Woken {
    /// Tells them. Not under a lock: wakers may run anything.
    pub(super) fn tell(&mut self) {
        for (subscriber, slot) in self.0.drain() {
            subscriber.signal(slot);
        }
    }

    pub(super) fn is_worth_recycling(&self) -> bool {
        self.0.capacity() >= SPARE
    }
}

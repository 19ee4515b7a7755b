use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use slab::Slab;

use super::patterns::Losses;
use super::subscriber::Subscriber;
use super::{ChannelName, Pattern};

/// The patterns that a hub wants its backplane to listen to.
#[derive(Default)]
pub(super) struct Listening {
    patterns: Mutex<HashMap<Pattern, Listen>>,
}

#[derive(Default)]
struct Listen {
    /// The backplane listens, and has done so without a break since it said so.
    live: bool,
    /// How often it has begun to listen.
    begun: u64,
    subscribers: Slab<Arc<Subscriber>>,
    /// Somebody has asked for it since this was last looked at.
    used: bool,
}

impl Listening {
    fn lock(&self) -> MutexGuard<'_, HashMap<Pattern, Listen>> {
        self.patterns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscriber. Says also whether the backplane has to be told of the pattern.
    pub(super) fn insert(&self, pattern: &Pattern, subscriber: &Arc<Subscriber>) -> (usize, bool) {
        let mut patterns = self.lock();
        let is_new = !patterns.contains_key(pattern);
        let listen = patterns.entry(pattern.clone()).or_default();
        listen.used = true;
        (listen.subscribers.insert(subscriber.clone()), is_new)
    }

    /// Takes a subscriber away. The backplane goes on for a while: who comes back soon has missed
    /// nothing.
    pub(super) fn remove(&self, pattern: &Pattern, key: usize) {
        if let Some(listen) = self.lock().get_mut(pattern) {
            listen.subscribers.remove(key);
        }
    }

    /// How often the backplane has begun to listen, if it does now.
    pub(super) fn begun(&self, pattern: &Pattern) -> Option<u64> {
        self.lock().get(pattern).filter(|listen| listen.live).map(|listen| listen.begun)
    }

    /// The backplane listens from now on. Whatever was published before on channels that the hub
    /// does not know may be missing, also for those who come back.
    pub(super) fn begin(&self, pattern: &Pattern, losses: &Losses) {
        let mut patterns = self.lock();
        let Some(listen) = patterns.get_mut(pattern).filter(|listen| !listen.live) else { return };
        listen.live = true;
        listen.begun += 1;
        let tell = |(_, subscriber): (usize, &Arc<Subscriber>)| subscriber.tell_of_patterns();
        let wakers: Vec<_> = listen.subscribers.iter().filter_map(tell).collect();
        // After they were told: who does not know of it yet stands before it.
        losses.push_break(pattern.clone());
        drop(patterns);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The backplane listens to none of them any more.
    pub(super) fn end(&self) {
        self.lock().values_mut().for_each(|listen| listen.live = false);
    }

    /// Whether a channel belongs to any of them.
    pub(super) fn covers(&self, channel: &ChannelName) -> bool {
        self.lock().keys().any(|pattern| pattern.matches(channel))
    }

    pub(super) fn contains(&self, pattern: &Pattern) -> bool {
        self.lock().contains_key(pattern)
    }

    pub(super) fn all(&self) -> Vec<Pattern> {
        self.lock().keys().cloned().collect()
    }

    /// Forgets those that nobody has asked for since the last call, and says which.
    pub(super) fn remove_unused(&self) -> Vec<Pattern> {
        let mut patterns = self.lock();
        let is_over = |listen: &mut Listen| {
            let used = std::mem::take(&mut listen.used);
            !used && listen.subscribers.is_empty()
        };
        patterns.extract_if(|_, listen| is_over(listen)).map(|(pattern, _)| pattern).collect()
    }
}

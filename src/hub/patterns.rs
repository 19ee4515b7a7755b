use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::task::Waker;

use slab::Slab;

use super::channel::Channel;
use super::subscriber::Subscriber;
use super::{ChannelName, Epoch, Pattern, Position};

/// Who wants to hear of channels that are yet to come.
#[derive(Default)]
pub(super) struct Patterns {
    /// By the first segment of the pattern, which is empty for those that begin with a wildcard.
    by_first_segment: RwLock<HashMap<Box<str>, Entries>>,
}

type Entries = Slab<(Pattern, Arc<Subscriber>)>;

fn first_segment(name: &str) -> &str {
    match name.split('.').next() {
        Some("*" | "**") | None => "",
        Some(segment) => segment,
    }
}

impl Patterns {
    pub(super) fn insert(&self, pattern: &Pattern, subscriber: &Arc<Subscriber>) -> usize {
        let mut patterns = self.by_first_segment.write().unwrap_or_else(PoisonError::into_inner);
        let first = first_segment(pattern.as_str());
        let entry = (pattern.clone(), subscriber.clone());
        patterns.entry(first.into()).or_default().insert(entry)
    }

    pub(super) fn remove(&self, pattern: &Pattern, key: usize) {
        let mut patterns = self.by_first_segment.write().unwrap_or_else(PoisonError::into_inner);
        let first = first_segment(pattern.as_str());
        if let Some(entries) = patterns.get_mut(first) {
            entries.remove(key);
            if entries.is_empty() {
                patterns.remove(first);
            }
        }
    }

    /// Hands a channel that has just come into being to all whose patterns match. Says to how many.
    pub(super) fn announce(&self, channel: &Arc<Channel>, wakers: &mut Vec<Waker>) -> usize {
        let patterns = self.by_first_segment.read().unwrap_or_else(PoisonError::into_inner);
        let mut told = 0;
        for first in [first_segment(channel.name().as_str()), ""] {
            for (_, (pattern, subscriber)) in patterns.get(first).into_iter().flatten() {
                if pattern.matches(channel.name())
                    && let Some(waker) = subscriber.join(channel)
                {
                    told += 1;
                    wakers.extend(waker);
                }
            }
        }
        told
    }
}

/// How many losses are remembered.
const REMEMBERED: usize = 1024;

/// Which channels the hub has lost, and to which patterns its backplane has not listened for a
/// while. Who comes back with a pattern may have missed publications on a channel that it has never
/// heard of.
pub(super) struct Losses {
    epoch: Epoch,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: u64,
    losses: VecDeque<Loss>,
}

enum Loss {
    Channel(ChannelName),
    /// What was published before then on any of its channels may not be known.
    Break(Pattern),
}

impl Losses {
    pub(super) fn new() -> Self {
        Losses { epoch: Epoch::random(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there were.
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.lock().count }
    }

    pub(super) fn push(&self, name: ChannelName) {
        self.push_loss(Loss::Channel(name));
    }

    pub(super) fn push_break(&self, pattern: Pattern) {
        self.push_loss(Loss::Break(pattern));
    }

    fn push_loss(&self, loss: Loss) {
        let mut state = self.lock();
        state.count += 1;
        state.losses.push_back(loss);
        if state.losses.len() > REMEMBERED {
            state.losses.pop_front();
        }
    }

    /// The channels that match, and were lost since there were so many losses. `None`: not all are
    /// known.
    pub(super) fn since(&self, position: Position, pattern: &Pattern) -> Option<Vec<ChannelName>> {
        let state = self.lock();
        let missed = usize::try_from(state.count.checked_sub(position.offset)?).ok()?;
        if position.epoch != self.epoch {
            return None;
        }
        let first = state.losses.len().checked_sub(missed)?;
        let mut names = Vec::new();
        for loss in state.losses.range(first..) {
            match loss {
                Loss::Channel(name) if pattern.matches(name) => names.push(name.clone()),
                Loss::Break(other) if other == pattern => return None,
                _ => {}
            }
        }
        Some(names)
    }
}

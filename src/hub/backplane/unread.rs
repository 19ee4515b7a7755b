use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::{Health, Unavailable};
use crate::hub::ChannelName;

/// Channels whose log could not be read from the backplane.
#[derive(Default)]
pub(in crate::hub) struct Unread {
    /// To be read again.
    due: Mutex<HashSet<ChannelName>>,
    /// What the backplane has failed to read since then, and why.
    failing: Mutex<HashMap<ChannelName, (SystemTime, Unavailable)>>,
}

impl Unread {
    /// It has to be read again, a while later.
    pub(in crate::hub) fn insert(&self, channel: &ChannelName) {
        lock(&self.due).insert(channel.clone());
    }

    /// The backplane has failed to read it.
    pub(in crate::hub) fn fail(&self, channel: &ChannelName, reason: &Unavailable) {
        let mut failing = lock(&self.failing);
        // When the backplane is away, so are all: one is enough to be told of.
        match failing.is_empty() {
            true => tracing::warn!(%channel, %reason, "cannot read from the backplane"),
            false => tracing::debug!(%channel, %reason, "cannot read from the backplane"),
        }
        let since = failing.get(channel).map_or_else(SystemTime::now, |(since, _)| *since);
        failing.insert(channel.clone(), (since, reason.clone()));
    }

    /// It was read, or nobody wants it any more.
    pub(in crate::hub) fn remove(&self, channel: &ChannelName) {
        lock(&self.failing).remove(channel);
    }

    /// Those that are to be read again.
    pub(in crate::hub) fn take(&self) -> HashSet<ChannelName> {
        std::mem::take(&mut lock(&self.due))
    }

    pub(in crate::hub) fn health(&self) -> Health {
        let failing = lock(&self.failing);
        match failing.iter().min_by_key(|(_, (since, _))| *since) {
            Some((channel, (since, reason))) => Health::Degraded {
                since: *since,
                reason: Unavailable::new(format_args!("{channel} cannot be read: {reason}")),
            },
            None => Health::Ok,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

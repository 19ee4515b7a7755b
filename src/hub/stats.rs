use std::sync::atomic::{AtomicU64, Ordering};

use super::GapReason;

/// What a hub holds and has done, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Channels that there are.
    pub channels: usize,
    /// Subscriptions that there are.
    pub subscriptions: u64,
    /// Bytes that channels and their publications take, as far as the budget counts them.
    pub history_bytes: usize,
    /// The bytes that they may take.
    pub history_budget: usize,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were not published because their idempotency key was known.
    pub duplicates: u64,
    /// Publications that subscriptions have read.
    pub delivered: u64,
    /// Channels that were dropped to keep to the budget.
    pub channels_lost: u64,
    /// Messages that the backplane has not taken, or not in time.
    pub publish_failures: u64,
    /// How often the log of a channel was found to lack what the backplane has passed on or has.
    pub holes: u64,
    /// How often something was read from the log of a channel in the backplane.
    pub catch_ups: u64,
    /// How often the backplane has failed to read the log of a channel. It is read again.
    pub read_failures: u64,
    /// How often a connection to the backplane was lost and made again.
    pub reconnects: u64,
    /// Gaps that subscriptions were told of, in the order of [`GapReason`]:
    /// [`gaps_by`](Self::gaps_by) knows the place.
    pub gaps: [u64; GapReason::COUNT],
}

impl Stats {
    /// The gaps that subscriptions were told of for one reason.
    pub fn gaps_by(&self, reason: GapReason) -> u64 {
        self.gaps[reason as usize]
    }
}

/// What is counted as it happens.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) subscriptions: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) channels_lost: AtomicU64,
    pub(super) publish_failures: AtomicU64,
    pub(super) holes: AtomicU64,
    pub(super) catch_ups: AtomicU64,
    pub(super) read_failures: AtomicU64,
    pub(super) reconnects: AtomicU64,
    gaps: [AtomicU64; GapReason::COUNT],
}

impl Counters {
    pub(super) fn gap(&self, reason: GapReason) {
        add(&self.gaps[reason as usize], 1);
    }

    pub(super) fn fill(&self, stats: &mut Stats) {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        stats.subscriptions = get(&self.subscriptions);
        stats.published = get(&self.published);
        stats.duplicates = get(&self.duplicates);
        stats.delivered = get(&self.delivered);
        stats.channels_lost = get(&self.channels_lost);
        stats.publish_failures = get(&self.publish_failures);
        stats.holes = get(&self.holes);
        stats.catch_ups = get(&self.catch_ups);
        stats.read_failures = get(&self.read_failures);
        stats.reconnects = get(&self.reconnects);
        stats.gaps = std::array::from_fn(|reason| get(&self.gaps[reason]));
    }
}

pub(super) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

use std::time::Duration;

/// How a channel behaves. A hub has such options for each namespace:
/// [`Builder::namespace`](super::Builder::namespace).
///
/// ```
/// use std::time::Duration;
///
/// use lithe::hub::{ChannelOptions, Hub, Overflow};
///
/// let hub = Hub::builder()
///     .namespace("prices.**".parse()?, ChannelOptions::default().overflow(Overflow::Latest))
///     .namespace(
///         "progress.*".parse()?,
///         ChannelOptions::default().min_interval(Duration::from_millis(100)),
///     )
///     .build();
/// # Ok::<(), lithe::hub::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct ChannelOptions {
    pub(super) history_size: usize,
    pub(super) history_age: Duration,
    pub(super) backlog: usize,
    pub(super) overflow: Overflow,
    pub(super) after_gap: AfterGap,
    pub(super) min_interval: Duration,
    pub(super) presence: PresenceMode,
    pub(super) idempotency_size: usize,
    pub(super) idempotency_age: Duration,
}

/// What becomes of publications that a subscriber does not read in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The subscriber reads on from the channel's log whenever it can. When the log has moved past
    /// it, it is told of one gap, and goes on as [`AfterGap`] says.
    #[default]
    Resume,
    /// Of the publications with the same key only the newest is kept and delivered. Whoever reads
    /// in time gets all of them.
    Latest,
    /// The subscriber is told of the gap, and goes on with the oldest publication that there is.
    DropOldest,
    /// The subscription ends.
    Disconnect,
}

/// Where a subscription goes on after a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterGap {
    /// With what is published from now on: the subscriber has to fetch the state anyway.
    #[default]
    Newest,
    /// With the oldest publication that there still is.
    Oldest,
}

/// Whether a channel knows who is on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceMode {
    /// It does not.
    #[default]
    Off,
    /// It does, and can be asked: [`Hub::presence`](super::Hub::presence).
    Listed,
    /// Its subscribers are also told of who joins and who leaves.
    Announced,
}

impl Default for ChannelOptions {
    /// The last 1,000 publications of 5 minutes, [`Overflow::Resume`] to the newest, no delay, no
    /// presence.
    fn default() -> Self {
        ChannelOptions {
            history_size: 1000,
            history_age: Duration::from_secs(300),
            backlog: 256,
            overflow: Overflow::Resume,
            after_gap: AfterGap::Newest,
            min_interval: Duration::ZERO,
            presence: PresenceMode::Off,
            idempotency_size: 1000,
            idempotency_age: Duration::from_secs(300),
        }
    }
}

impl ChannelOptions {
    /// How many publications are kept for those who come back; 1,000 unless set. 0 keeps none:
    /// whoever was away and missed something is told of a gap.
    pub fn history_size(mut self, publications: usize) -> Self {
        self.history_size = publications;
        self
    }

    /// For how long publications are kept for those who come back; 5 minutes unless set.
    pub fn history_age(mut self, age: Duration) -> Self {
        self.history_age = age;
        self
    }

    /// How many publications are kept for subscribers who have yet to read them, where the history
    /// holds fewer, and however old they are; 256 unless set, and at least 1.
    pub fn backlog(mut self, publications: usize) -> Self {
        self.backlog = publications.max(1);
        self
    }

    /// What becomes of publications that a subscriber does not read in time.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Where a subscriber goes on that was too slow for [`Overflow::Resume`].
    pub fn after_gap(mut self, after_gap: AfterGap) -> Self {
        self.after_gap = after_gap;
        self
    }

    /// The shortest time between two deliveries to one subscriber: what is published meanwhile is
    /// delivered together, or with [`Overflow::Latest`] the newest of each key. What a subscriber
    /// has missed while it was away is delivered at once. Zero, no delay, unless set.
    pub fn min_interval(mut self, interval: Duration) -> Self {
        self.min_interval = interval;
        self
    }

    /// Whether the channel knows who is on it.
    pub fn presence(mut self, mode: PresenceMode) -> Self {
        self.presence = mode;
        self
    }

    /// How many idempotency keys a channel remembers, and for how long; 1,000 for 5 minutes unless
    /// set.
    pub fn idempotency(mut self, keys: usize, age: Duration) -> Self {
        self.idempotency_size = keys;
        self.idempotency_age = age;
        self
    }

    /// Whether only the newest publication of each key is kept.
    pub(super) fn conflates(&self) -> bool {
        self.overflow == Overflow::Latest
    }
}

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::Budget;
use super::channel::{Channel, Lost};
use super::channels::Channels;
use super::log::ReplayLimit;
use super::patterns::{Losses, Patterns};
use super::presence::Client;
use super::stats::{Counters, add};
use super::{
    ChannelName, ChannelOptions, Clock, Interest, Message, Offset, Pattern, Position, Publication,
    Stats, SubscribeError, Subscription, SubscriptionOptions, SystemClock,
};

/// Channels with history, and who listens to them. Cloning it is cheap; all clones are one hub.
///
/// See the [module](super) for how it goes together.
#[derive(Clone)]
pub struct Hub {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    channels: Channels,
    pub(super) patterns: Patterns,
    pub(super) losses: Losses,
    /// The most specific first.
    namespaces: Vec<(Pattern, Arc<ChannelOptions>)>,
    defaults: Arc<ChannelOptions>,
    budget: Arc<Budget>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    pub(super) replay_limit: ReplayLimit,
    pub(super) max_channels: usize,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where it is in the channel's log.
    pub position: Position,
    /// How many subscriptions the channel has.
    pub receivers: usize,
    /// It was published before, with the same idempotency key, and this is where.
    pub duplicate: bool,
}

/// A part of a channel's history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct History {
    /// The publications, from the oldest.
    pub publications: Vec<Arc<Publication>>,
    /// After this the history begins: what was published before is gone.
    pub from: Position,
    /// Here the channel's log ends, whether or not all up to here was asked for.
    pub to: Position,
}

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Its data are larger than [`MAX_DATA`](Hub::MAX_DATA).
    #[error("a message has at most {max} bytes, this one has {bytes}", max = Hub::MAX_DATA)]
    TooLarge {
        /// How large they are.
        bytes: usize,
    },
}

/// The settings of a hub.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    namespaces: Vec<(Pattern, ChannelOptions)>,
    defaults: ChannelOptions,
    history_budget: usize,
    replay_limit: ReplayLimit,
    max_channels: usize,
    clock: Arc<dyn Clock>,
}

impl Builder {
    /// How the channels of a namespace behave. Where several match, the one with the most segments
    /// that are no wildcards counts; of two that are the same, the first.
    pub fn namespace(mut self, pattern: Pattern, options: ChannelOptions) -> Self {
        self.namespaces.push((pattern, options));
        self
    }

    /// How the channels behave that are in no namespace.
    pub fn defaults(mut self, options: ChannelOptions) -> Self {
        self.defaults = options;
        self
    }

    /// The bytes that all channels with all their publications may take together; 64 MiB unless
    /// set. When there are more, the channels that were not used for the longest time lose their
    /// oldest publications: who comes back for them is told of a gap.
    pub fn history_budget(mut self, bytes: usize) -> Self {
        self.history_budget = bytes;
        self
    }

    /// How much is replayed at most on a channel to one who comes back, in publications and in
    /// bytes of data; 1,000 and 1 MiB unless set. Who has missed more is told of a gap.
    pub fn replay_limit(mut self, publications: usize, bytes: usize) -> Self {
        self.replay_limit = ReplayLimit { publications, bytes };
        self
    }

    /// How many channels one subscription may have by its patterns; 10,000 unless set.
    pub fn max_channels(mut self, channels: usize) -> Self {
        self.max_channels = channels;
        self
    }

    /// The clock to go by, in tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the hub.
    #[must_use]
    pub fn build(self) -> Hub {
        let mut namespaces: Vec<_> =
            self.namespaces.into_iter().map(|(name, options)| (name, Arc::new(options))).collect();
        namespaces.push((Pattern::new(OWN).expect("a pattern"), Arc::new(own_options())));
        namespaces.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.specificity()));
        let shared = Shared {
            channels: Channels::new(),
            patterns: Patterns::default(),
            losses: Losses::new(),
            namespaces,
            defaults: Arc::new(self.defaults),
            budget: Arc::new(Budget::new(self.history_budget)),
            clock: self.clock,
            counters: Counters::default(),
            replay_limit: self.replay_limit,
            max_channels: self.max_channels,
        };
        Hub { shared: Arc::new(shared) }
    }
}

/// The channels of the library itself. A node that starts reads there what others have told, however
/// long ago.
const OWN: &str = "lithe.**";

fn own_options() -> ChannelOptions {
    let ten_years = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    ChannelOptions::default().history_size(10_000).history_age(ten_years)
}

impl Default for Hub {
    fn default() -> Self {
        Hub::new()
    }
}

impl Hub {
    /// How many bytes of data a message may have: 16 MiB.
    pub const MAX_DATA: usize = 16 * 1024 * 1024;

    /// A hub with the default settings.
    pub fn new() -> Self {
        Hub::builder().build()
    }

    /// A hub with other settings.
    pub fn builder() -> Builder {
        Builder {
            namespaces: Vec::new(),
            defaults: ChannelOptions::default(),
            history_budget: 64 * 1024 * 1024,
            replay_limit: ReplayLimit { publications: 1000, bytes: 1024 * 1024 },
            max_channels: 10_000,
            clock: Arc::new(SystemClock),
        }
    }

    /// Publishes a message: appends it to the channel's log and tells the subscribers, in one step.
    /// Never waits for a subscriber.
    ///
    /// Not cancel safe: dropped before it is done, it may or may not have published the message.
    ///
    /// # Errors
    ///
    /// [`PublishError::TooLarge`].
    pub async fn publish(
        &self,
        channel: &ChannelName,
        message: impl Into<Message>,
    ) -> Result<Published, PublishError> {
        self.publish_here(channel, &message.into())
    }

    /// [`publish`](Self::publish) for threads without an async runtime.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_blocking(
        &self,
        channel: &ChannelName,
        message: impl Into<Message>,
    ) -> Result<Published, PublishError> {
        self.publish_here(channel, &message.into())
    }

    fn publish_here(
        &self,
        channel: &ChannelName,
        message: &Message,
    ) -> Result<Published, PublishError> {
        if message.data.len() > Self::MAX_DATA {
            return Err(PublishError::TooLarge { bytes: message.data.len() });
        }
        let shared = &self.shared;
        let (now, unix_millis) = (shared.clock.now(), shared.clock.unix_millis());
        let published = shared.with_channel(channel, |channel| {
            channel.publish(message, &shared.patterns, now, unix_millis)
        });
        let counters = &shared.counters;
        add(if published.duplicate { &counters.duplicates } else { &counters.published }, 1);
        shared.keep_to_budget();
        Ok(published)
    }

    /// A subscription to nothing yet.
    pub fn subscriber(&self) -> Subscription {
        self.subscriber_with(SubscriptionOptions::default())
    }

    /// A subscription to nothing yet, with other than the default settings.
    pub fn subscriber_with(&self, options: SubscriptionOptions) -> Subscription {
        Subscription::new(self.clone(), options)
    }

    /// A subscription to what is published from now on.
    ///
    /// # Errors
    ///
    /// As [`Subscription::subscribe`].
    pub fn subscribe(
        &self,
        interests: impl IntoIterator<Item = impl Into<Interest>>,
    ) -> Result<Subscription, SubscribeError> {
        let mut subscription = self.subscriber();
        for interest in interests {
            subscription.subscribe(interest)?;
        }
        Ok(subscription)
    }

    /// Where a channel's log ends, if the hub has such a channel.
    pub fn position(&self, channel: &ChannelName) -> Option<Position> {
        Some(self.shared.channels.get(channel)?.top())
    }

    /// A page of a channel's history: what was published after an offset, from the oldest, and no
    /// more than is replayed at once ([`Builder::replay_limit`]). Ask again with the offset of the
    /// last one for the next page. `None` when the hub has no such channel.
    pub fn history(&self, channel: &ChannelName, after: Offset) -> Option<History> {
        let shared = &self.shared;
        let channel = shared.channels.get(channel)?;
        Some(channel.history(after, shared.replay_limit, shared.now()))
    }

    /// Who is on a channel, in no particular order. Nobody, where
    /// [`ChannelOptions::presence`] is off.
    pub fn presence(&self, channel: &ChannelName) -> Vec<Client> {
        self.shared.channels.get(channel).map(|channel| channel.presence()).unwrap_or_default()
    }

    /// Whether there may be channels whose subscribers are told of who joins and who leaves.
    #[cfg(feature = "endpoint")]
    pub(crate) fn announces_presence(&self) -> bool {
        let shared = &self.shared;
        let namespaces = shared.namespaces.iter().map(|(_, options)| options);
        namespaces
            .chain([&shared.defaults])
            .any(|options| options.presence == super::PresenceMode::Announced)
    }

    /// Drops publications that are over by age. Channels that are published on do it themselves;
    /// call it now and then for the sake of those that are not.
    pub fn sweep(&self) {
        let now = self.shared.clock.now();
        self.shared.channels.for_each(|channel| channel.trim(now));
    }

    /// What the hub holds and has done.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let mut stats = Stats {
            channels: shared.channels.len(),
            history_bytes: shared.budget.used(),
            history_budget: shared.budget.limit(),
            ..Stats::default()
        };
        shared.counters.fill(&mut stats);
        stats
    }
}

impl Shared {
    /// Does something with the channel of that name, which is made unless there is one.
    pub(super) fn with_channel<T>(
        &self,
        name: &ChannelName,
        mut act: impl FnMut(&Arc<Channel>) -> Result<T, Lost>,
    ) -> T {
        loop {
            let channel = self.channels.get_or_create(name, |tick| {
                let options = self.options(name).clone();
                Channel::new(name.clone(), options, self.budget.clone(), tick)
            });
            if let Ok(done) = act(&channel) {
                return done;
            }
        }
    }

    fn options(&self, name: &ChannelName) -> &Arc<ChannelOptions> {
        let namespace = self.namespaces.iter().find(|(pattern, _)| pattern.matches(name));
        namespace.map_or(&self.defaults, |(_, options)| options)
    }

    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<Arc<Channel>> {
        self.channels.matching(pattern)
    }

    pub(super) fn keep_to_budget(&self) {
        if self.budget.is_exceeded() {
            let lost = self.channels.evict(|| self.budget.has_room(), &self.losses);
            add(&self.counters.channels_lost, lost);
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

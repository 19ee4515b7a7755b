use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backplane::{Backplane, Health, Sink, Unavailable, Unread};
use super::budget::Budget;
use super::channel::{Channel, Lost};
use super::channels::Channels;
use super::listening::Listening;
use super::log::ReplayLimit;
use super::patterns::{Losses, Patterns};
use super::presence::Client;
use super::sequence::Sequence;
use super::stats::{Counters, add};
use super::subscriber::Subscriber;
use super::{
    ChannelName, ChannelOptions, Clock, Interest, Pattern, Stats, SubscribeError, Subscription,
    SubscriptionOptions, SystemClock,
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
    pub(super) sequence: Arc<Sequence>,
    pub(super) listening: Listening,
    /// The most specific first.
    namespaces: Vec<(Pattern, Arc<ChannelOptions>)>,
    defaults: Arc<ChannelOptions>,
    pub(super) budget: Arc<Budget>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Counters,
    pub(super) replay_limit: ReplayLimit,
    pub(super) max_channels: usize,
    pub(super) cursor_names: usize,
    pub(super) cursor_room: usize,
    pub(super) backplane: Option<Arc<dyn Backplane>>,
    pub(super) unread: Unread,
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
    cursor_names: usize,
    cursor_room: usize,
    clock: Arc<dyn Clock>,
    backplane: Option<Arc<dyn Backplane>>,
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

    /// How many channels that patterns have found cursors name all the same, and how many bytes they
    /// have for names.
    #[cfg(test)]
    pub(super) fn cursors(mut self, names: usize, room: usize) -> Self {
        (self.cursor_names, self.cursor_room) = (names, room);
        self
    }

    /// The clock to go by, in tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// What joins the hub to others: [`backplane`](super::backplane). All of them should have the
    /// same settings.
    pub fn backplane(mut self, backplane: impl Backplane) -> Self {
        self.backplane = Some(Arc::new(backplane));
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
            sequence: Arc::default(),
            listening: Listening::default(),
            namespaces,
            defaults: Arc::new(self.defaults),
            budget: Arc::new(Budget::new(self.history_budget)),
            clock: self.clock,
            counters: Counters::default(),
            replay_limit: self.replay_limit,
            max_channels: self.max_channels,
            cursor_names: self.cursor_names,
            cursor_room: self.cursor_room,
            backplane: self.backplane,
            unread: Unread::default(),
        };
        let shared = Arc::new(shared);
        if let Some(backplane) = &shared.backplane {
            backplane.start(Sink::new(&shared));
        }
        Hub { shared }
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
            cursor_names: 16,
            cursor_room: super::cursor::MAX_CURSOR,
            clock: Arc::new(SystemClock),
            backplane: None,
        }
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
        self.shared.sweep();
    }

    /// How the hub fares with its backplane. Without one it is always well.
    pub fn health(&self) -> Health {
        match self.shared.backplane.as_ref().map(|backplane| backplane.health()) {
            Some(Health::Ok) => self.shared.unread.health(),
            health => health.unwrap_or_default(),
        }
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
            let (channel, created) = self.get_or_create(name);
            let done = act(&channel);
            // Not before: when its log is read it may have to make room, if nobody wants it.
            if let (true, Some(backplane)) = (created, &self.backplane) {
                backplane.attach(name);
            }
            if let Ok(done) = done {
                return done;
            }
        }
    }

    /// The channel, which is made unless there is one. Says whether it was: then the backplane is to
    /// be told.
    pub(super) fn get_or_create(&self, name: &ChannelName) -> (Arc<Channel>, bool) {
        self.channels.get_or_create(name, |tick| {
            let options = self.options(name).clone();
            let mirrors = self.backplane.is_some();
            let (budget, sequence) = (self.budget.clone(), self.sequence.clone());
            Channel::new(name.clone(), options, budget, sequence, tick, mirrors)
        })
    }

    pub(super) fn options(&self, name: &ChannelName) -> &Arc<ChannelOptions> {
        let namespace = self.namespaces.iter().find(|(pattern, _)| pattern.matches(name));
        namespace.map_or(&self.defaults, |(_, options)| options)
    }

    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<Arc<Channel>> {
        self.channels.matching(pattern)
    }

    pub(super) fn keep_to_budget(&self) {
        if self.budget.is_exceeded() {
            let on_lost = |channel: &Channel| self.detach(channel.name());
            let lost = self.channels.evict(|| self.budget.has_room(), &self.losses, on_lost);
            add(&self.counters.channels_lost, lost);
        }
    }

    fn detach(&self, channel: &ChannelName) {
        if let Some(backplane) = &self.backplane {
            backplane.detach(channel);
        }
    }

    pub(super) fn sweep(&self) {
        let now = self.clock.now();
        self.channels.for_each(|channel| channel.trim(now));
    }

    /// Gives up mirrors that nobody has read from for a while: the backplane has all that is in
    /// them.
    pub(super) fn drop_unwatched(&self) {
        for channel in self.channels.remove_if(Channel::is_unwatched, &self.losses) {
            self.detach(channel.name());
        }
        for pattern in self.listening.remove_unused() {
            if let Some(backplane) = &self.backplane {
                backplane.detach_pattern(&pattern);
            }
        }
    }

    /// Lets the backplane listen to a pattern for a subscriber.
    pub(super) fn listen(&self, pattern: &Pattern, subscriber: &Arc<Subscriber>) -> usize {
        let (key, is_new) = self.listening.insert(pattern, subscriber);
        if let (true, Some(backplane)) = (is_new, &self.backplane) {
            backplane.attach_pattern(pattern);
        }
        key
    }

    pub(super) fn channel(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.channels.get(name)
    }

    pub(super) fn channel_names(&self) -> Vec<ChannelName> {
        self.channels.names()
    }

    /// The log of a channel could not be read from the backplane.
    pub(super) fn leave_unread(&self, channel: &Channel) {
        channel.stop_reading();
        self.unread.insert(channel.name());
    }

    /// The backplane has failed to read it, which is told until it has not.
    pub(super) fn fail_to_read(&self, channel: &Channel, reason: &Unavailable) {
        add(&self.counters.read_failures, 1);
        self.unread.fail(channel.name(), reason);
        self.leave_unread(channel);
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

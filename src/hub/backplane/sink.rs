use std::fmt;
use std::sync::{Arc, Weak};

use super::catch_up::catch_up;
use super::{Record, Top};
use crate::hub::channel::{Channel, Delivery};
use crate::hub::core::Shared;
use crate::hub::stats::add;
use crate::hub::{ChannelName, Pattern};

/// Where a [`Backplane`](super::Backplane) delivers to. It does not keep the hub alive.
#[derive(Clone)]
pub struct Sink(Weak<Shared>);

/// The hub is gone: nothing needs to be delivered any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubGone;

impl Sink {
    pub(in crate::hub) fn new(shared: &Arc<Shared>) -> Self {
        Sink(Arc::downgrade(shared))
    }

    /// Passes on a publication. What the hub has already, or does not want, it leaves.
    ///
    /// # Errors
    ///
    /// The hub is gone.
    pub fn deliver(&self, channel: &ChannelName, record: Record) -> Result<(), HubGone> {
        let shared = self.0.upgrade().ok_or(HubGone)?;
        let (now, unix_millis) = (shared.now(), shared.clock.unix_millis());
        let mut record = record;
        loop {
            let (channel, created) = match shared.channel(channel) {
                Some(channel) => (channel, false),
                None if shared.listening.covers(channel) => shared.get_or_create(channel),
                None => return Ok(()),
            };
            // Before anything else can become of the channel: that it was heard of has to be known.
            let delivery = channel.deliver(record, &shared.patterns, now, unix_millis);
            if let (true, Some(backplane)) = (created, &shared.backplane) {
                backplane.attach(channel.name());
            }
            match delivery {
                Ok(Delivery::Appended) => shared.keep_to_budget(),
                Ok(Delivery::Duplicate | Delivery::Held) => {}
                Ok(Delivery::Missing) => {
                    add(&shared.counters.holes, 1);
                    shared.start_reading(&channel);
                }
                // Dropped just now: there will be another one by its name.
                Err(again) => {
                    record = again;
                    continue;
                }
            }
            return Ok(());
        }
    }

    /// The backplane listens to all channels of a pattern from now on: whatever is published on any
    /// of them is passed on to [`deliver`](Self::deliver), none of it is lost on the way until
    /// [`interrupted`](Self::interrupted) is called. Nothing happens if it did already.
    pub fn pattern_listening(&self, pattern: &Pattern) {
        if let Some(shared) = self.0.upgrade() {
            shared.listening.begin(pattern, &shared.losses);
        }
    }

    /// The backplane listens to no pattern any more, or has not for a while. It has to say so before
    /// it listens to them again, with [`pattern_listening`](Self::pattern_listening): subscribers
    /// are told of a gap then.
    pub fn interrupted(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.listening.end();
        }
    }

    /// Whether the hub wants to hear of all channels of a pattern.
    pub fn wants_pattern(&self, pattern: &Pattern) -> bool {
        self.0.upgrade().is_some_and(|shared| shared.listening.contains(pattern))
    }

    /// The patterns that the hub wants to hear of.
    pub fn patterns(&self) -> Vec<Pattern> {
        self.0.upgrade().map(|shared| shared.listening.all()).unwrap_or_default()
    }

    /// The backplane listens to a channel from now on. Whatever was published before, since the hub
    /// has last read the log, may not have been passed on: the hub reads it.
    pub fn listening(&self, channel: &ChannelName) {
        let Some(shared) = self.0.upgrade() else { return };
        if let Some(channel) = shared.channel(channel) {
            channel.set_listened();
            shared.read_again(&channel);
        }
    }

    /// Tells where a log ends. Where the hub's mirror ends elsewhere it is read.
    pub fn check(&self, channel: &ChannelName, top: Top) {
        let Some(shared) = self.0.upgrade() else { return };
        if let Some(channel) = shared.channel(channel)
            && channel.differs(top)
        {
            add(&shared.counters.holes, 1);
            shared.start_reading(&channel);
        }
    }

    /// Reads what could not be read before. To be called about once a second while the backplane
    /// can be reached.
    pub fn retry(&self) {
        let Some(shared) = self.0.upgrade() else { return };
        for name in shared.unread.take() {
            match shared.channel(&name) {
                Some(channel) => shared.read_again(&channel),
                None => shared.unread.remove(&name),
            }
        }
    }

    /// Gives up channels and patterns to which nobody has listened since the last call, and drops
    /// what is over by age.
    pub fn sweep(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.drop_unwatched();
            shared.sweep();
        }
    }

    /// Whether the hub listens to a channel.
    pub fn wants(&self, channel: &ChannelName) -> bool {
        self.0.upgrade().is_some_and(|shared| shared.channel(channel).is_some())
    }

    /// The channels that the hub listens to.
    pub fn channels(&self) -> Vec<ChannelName> {
        self.0.upgrade().map(|shared| shared.channel_names()).unwrap_or_default()
    }

    /// The connection to the backplane was lost and is there again: counts it.
    pub fn reconnected(&self) {
        if let Some(shared) = self.0.upgrade() {
            add(&shared.counters.reconnects, 1);
        }
    }
}

impl Shared {
    fn read_again(self: &Arc<Self>, channel: &Arc<Channel>) {
        if channel.begin_reading() {
            self.start_reading(channel);
        }
    }

    /// Reads what the mirror of a channel lacks. The channel knows that already.
    pub(in crate::hub) fn start_reading(self: &Arc<Self>, channel: &Arc<Channel>) {
        if let Some(backplane) = &self.backplane {
            backplane.spawn(Box::pin(catch_up(Arc::downgrade(self), channel.clone())));
        }
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

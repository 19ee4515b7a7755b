use std::fmt;
use std::sync::{Arc, Weak};

use super::catch_up::catch_up;
use super::{Record, Top};
use crate::hub::ChannelName;
use crate::hub::channel::{Channel, Delivery};
use crate::hub::core::Shared;
use crate::hub::stats::add;

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
        let Some(channel) = shared.channel(channel) else { return Ok(()) };
        match channel.deliver(record, &shared.patterns, shared.now(), shared.clock.unix_millis()) {
            Delivery::Appended => shared.keep_to_budget(),
            Delivery::Duplicate | Delivery::Held => {}
            Delivery::Missing => {
                add(&shared.counters.holes, 1);
                shared.start_reading(&channel);
            }
        }
        Ok(())
    }

    /// The backplane listens to a channel from now on. Whatever was published before, since the hub
    /// has last read the log, may not have been passed on: the hub reads it.
    pub fn listening(&self, channel: &ChannelName) {
        let Some(shared) = self.0.upgrade() else { return };
        if let Some(channel) = shared.channel(channel)
            && channel.begin_reading()
        {
            shared.start_reading(&channel);
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
            if shared.channel(&name).is_none() {
                shared.unread.remove(&name);
            }
            self.listening(&name);
        }
    }

    /// Gives up channels to which nobody has listened since the last call, and drops what is over
    /// by age.
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

//! What joins several hubs, in processes of their own, to one.
//!
//! A hub with a backplane keeps no log of its own: what is published goes to the backplane, which
//! appends it to the channel's log there and passes it on to every hub that listens, also to the one
//! it came from. For each channel that somebody listens to, a hub holds a *mirror* of that log, from
//! which its subscribers read as they would from a log of its own.
//!
//! ```
//! use lithe::hub::backplane::Memory;
//! use lithe::hub::{ChannelName, Hub, Interest, Item};
//!
//! let memory = Memory::new();
//! let here = Hub::builder().backplane(memory.node()).build();
//! let there = Hub::builder().backplane(memory.node()).build();
//!
//! let mut subscription = there.subscribe(["news".parse::<Interest>()?])?;
//! here.publish_blocking(&"news".parse()?, "hello")?;
//! assert!(matches!(subscription.try_next(), Some(Item::Subscribed(_))));
//! assert!(matches!(subscription.try_next(), Some(Item::Publication(_))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is guaranteed
//!
//! The same as without a backplane, whatever becomes of it: each subscriber gets the publications of
//! a channel in order and each once, or is told of a gap.
//!
//! * A publication that does not follow on what the mirror has is not delivered. What is missing is
//!   read from the backplane first; where it cannot be read any more, the subscribers are told of a
//!   gap ([`GapReason::Backplane`](super::GapReason::Backplane)). The same is done whenever the
//!   backplane has not been listened to for a while.
//! * When the backplane has lost its log, a new one begins with another [`Epoch`], and the
//!   subscribers are told so ([`GapReason::Epoch`](super::GapReason::Epoch)). When it has lost the
//!   end of the log only, as after a failover to a replica that was behind, the first hub to see it
//!   makes it begin a new one.
//! * While the backplane is away, publishing fails, and says so: nothing is published on one hub
//!   alone. Subscribers stay, and get what they have missed when it is back. [`Hub::health`] tells.
//!
//! Subscribing does not wait for the backplane: [`Item::Subscribed`](super::Item::Subscribed) comes
//! when the mirror has been read. [Presence](super::PresenceMode) is that of one hub; a subscriber
//! is told of those who are on the same hub.
//!
//! A pattern begins when the backplane listens to it. A hub that has not listened for a while cannot
//! know what was published on channels that it has never heard of: subscribers to the pattern are told
//! of a gap of it ([`GapReason::Backplane`](super::GapReason::Backplane)), and so are those that come
//! from another hub. The channels that a subscriber has heard of go on where they were. A backplane may
//! know no patterns ([`SubscribeError::Patterns`](super::SubscribeError::Patterns)).

mod catch_up;
mod memory;
#[cfg(feature = "redis")]
mod redis;
mod sink;
mod unread;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

#[cfg(feature = "redis")]
pub use self::redis::{Redis, RedisBuilder, RedisError};
pub use memory::{Memory, MemoryNode};
pub use sink::{HubGone, Sink};
pub(super) use unread::Unread;

use super::{ChannelName, Epoch, Offset, Pattern, Position};

#[cfg(doc)]
use super::Hub;

/// What a backplane does, and is done when the backplane has answered.
pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What joins several hubs. [`Memory`] joins those of one process, `Redis` (feature `redis`) those of
/// several machines.
///
/// Whoever implements one keeps to this: the log of a channel is appended to, trimmed and passed on
/// in one step, so that all hubs see the same order. Passing on may lose, repeat or delay
/// publications, as long as [`Sink::listening`] is called whenever publications may have been lost,
/// and [`Sink::check`] now and then: the hub finds holes itself, and asks for what is missing. Of a
/// pattern nothing may be lost that is not told of ([`Sink::interrupted`]): on a channel that the hub
/// has never heard of it finds no hole.
///
/// No method may block, and none is called while a lock of the hub is held.
pub trait Backplane: fmt::Debug + Send + Sync + 'static {
    /// The hub is there. Called once, before all else.
    fn start(&self, sink: Sink);

    /// Lets some work of the hub's run, on whatever the backplane itself runs on.
    fn spawn(&self, work: Work<()>);

    /// Listens to a channel. Calls [`Sink::listening`] when it does, also when it did already.
    fn attach(&self, channel: &ChannelName);

    /// Need not listen to a channel any more, unless the hub wants it again by now:
    /// [`Sink::wants`].
    fn detach(&self, channel: &ChannelName);

    /// Whether it can listen to patterns. Unless it can, subscribers are refused them:
    /// [`SubscribeError::Patterns`](super::SubscribeError::Patterns).
    fn has_patterns(&self) -> bool {
        false
    }

    /// Listens to all channels of a pattern, also to those that are yet to come. Calls
    /// [`Sink::pattern_listening`] when it does.
    fn attach_pattern(&self, pattern: &Pattern) {
        let _ = pattern;
    }

    /// Need not listen to a pattern any more, unless the hub wants it again by now:
    /// [`Sink::wants_pattern`].
    fn detach_pattern(&self, pattern: &Pattern) {
        let _ = pattern;
    }

    /// Appends a message to the log of its channel.
    fn publish(&self, message: Outgoing) -> Work<Result<Receipt, Unavailable>>;

    /// Reads the log of a channel, which is begun unless there is one: what was published after an
    /// offset, from the oldest, and as much as is good to read at once, but two at least.
    fn read(&self, channel: &ChannelName, after: Offset) -> Work<Result<Page, Unavailable>>;

    /// Begins a new log, unless it is another one already than that of this epoch.
    fn renew(&self, channel: &ChannelName, epoch: Epoch) -> Work<Result<(), Unavailable>>;

    /// Whether it can be reached.
    fn health(&self) -> Health;

    /// For how long publishing may wait for it.
    fn publish_timeout(&self) -> Duration;
}

/// A message on its way to the backplane.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The channel.
    pub channel: ChannelName,
    /// What is published.
    pub content: Content,
    /// When, in milliseconds since 1970, by the clock of the hub.
    pub unix_millis: u64,
    /// Another message with the same key is answered as the first one was.
    pub idempotency_key: Option<Box<str>>,
    /// For how long the key is remembered.
    pub idempotency_age: Duration,
    /// How many keys are remembered. A backplane may remember more.
    pub idempotency_size: usize,
    /// How many publications the log keeps, exactly.
    pub history_size: usize,
    /// For how long they are of use.
    pub history_age: Duration,
}

/// What is in a publication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The data.
    pub data: Bytes,
    /// What kind of event it is.
    pub name: Option<Box<str>>,
    /// What it is about.
    pub key: Option<Box<str>>,
}

/// A publication as the backplane has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the channel's log.
    pub position: Position,
    /// When it was published, in milliseconds since 1970. All hubs are told the same.
    pub unix_millis: u64,
    /// What was published.
    pub content: Content,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the channel's log.
    pub position: Position,
    /// It was published before, and this is where.
    pub duplicate: bool,
}

/// The end of a log: what tells it from another one that has come to the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// After the last publication.
    pub position: Position,
    /// When that was published; 0 when there was none.
    pub unix_millis: u64,
}

/// A part of a log.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where the log ends.
    pub top: Top,
    /// Publications, from the oldest, without holes.
    pub records: Vec<Record>,
    /// There are more, after the last one of these.
    pub more: bool,
}

/// Why a backplane has not done what it was asked for: in words, for an operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(Arc<str>);

const TIMEOUT: &str = "it has not answered in time";

impl Unavailable {
    /// For that reason.
    pub fn new(reason: impl fmt::Display) -> Self {
        Unavailable(reason.to_string().into())
    }

    /// It has not answered in time.
    pub fn timeout() -> Self {
        Unavailable::new(TIMEOUT)
    }

    /// Whether it has not answered in time.
    pub fn is_timeout(&self) -> bool {
        &*self.0 == TIMEOUT
    }
}

/// How a hub fares with its backplane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// There is nothing wrong. A hub without a backplane is always well.
    #[default]
    Ok,
    /// The backplane is away: nothing can be published, and subscribers wait. Or it cannot read the
    /// log of a channel, whose subscribers wait until it can.
    Degraded {
        /// Since when.
        since: SystemTime,
        /// Why.
        reason: Unavailable,
    },
}

impl Health {
    /// Whether there is nothing wrong.
    pub fn is_ok(&self) -> bool {
        *self == Health::Ok
    }
}

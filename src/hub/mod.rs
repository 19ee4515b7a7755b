//! Channels with history: publish once, and every subscriber gets it, also after a break, or is
//! told what it has missed.
//!
//! A [`Hub`] holds channels. Each has a log, in which a publication has a [`Position`]: the
//! [`Epoch`] of the log and an offset, counted from 1. A [`Subscription`] reads on in the logs of
//! its channels, each publication once and in order. Its [`Cursor`] is one text for its places in
//! all of them; with it another subscription goes on, at another time and by another transport:
//!
//! ```
//! use lithe::hub::{ChannelName, Hub, Interest, Item};
//!
//! let hub = Hub::new();
//! let build: ChannelName = "builds.42".parse()?;
//! let interests: Vec<Interest> = vec!["builds.42".parse()?, "alerts.**".parse()?];
//!
//! let mut subscription = hub.subscribe(interests.clone())?;
//! hub.publish_blocking(&build, "compiling")?;
//! while let Some(item) = subscription.try_next() {
//!     if let Item::Publication(publication) = item {
//!         assert_eq!(publication.data(), "compiling");
//!     }
//! }
//! // The client goes away; all that it keeps is the cursor.
//! let cursor = subscription.cursor().map(|cursor| cursor.to_string()).unwrap_or_default();
//! drop(subscription);
//!
//! hub.publish_blocking(&build, "testing")?;
//! hub.publish_blocking(&"alerts.disk".parse()?, "full")?;
//!
//! let mut subscription = hub.subscriber();
//! subscription.resume(interests, &cursor)?;
//! let mut missed = Vec::new();
//! while let Some(item) = subscription.try_next() {
//!     match item {
//!         Item::Subscribed(subscribed) => assert!(subscribed.recovered),
//!         Item::Publication(publication) => missed.push(publication.data().clone()),
//!         Item::Gap(gap) => panic!("{gap:?}"),
//!         _ => {}
//!     }
//! }
//! assert_eq!(missed, ["testing", "full"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is guaranteed
//!
//! * The publications of a channel arrive in the order of their positions, each once.
//! * Whoever comes back with a cursor gets all that was published since, or an [`Item::Gap`] that
//!   says where something is missing and why. Nobody is behind without knowing it.
//! * Publishing never waits for a subscriber. Publications are kept once, in the log of their
//!   channel, and not for each subscriber; who reads so slowly that the log has moved past it meets
//!   the [`Overflow`] policy of the channel.
//! * Memory is bounded: the log of each channel by number and age ([`ChannelOptions`]), all of them
//!   together in bytes ([`Builder::history_budget`]).
//!
//! The hub knows nothing of sockets, and starts no thread or timer. It may be used from all threads
//! at once.

pub mod backplane;

mod budget;
mod channel;
mod channels;
mod clock;
mod core;
mod cursor;
mod encodings;
mod history;
mod idempotency;
mod item;
mod listening;
mod log;
mod message;
mod name;
mod options;
mod pattern;
mod patterns;
mod position;
mod presence;
mod publication;
mod publish;
mod sequence;
mod stats;
mod subscriber;
mod subscription;

pub use clock::{Clock, SystemClock};
pub use core::{Builder, Hub};
pub use cursor::{Cursor, CursorError, MAX_CURSOR};
pub use history::History;
pub use item::{Gap, GapReason, Item, Subscribed, UnsubscribeReason};
pub use message::{MAX_LABEL, Message, MessageError, RESERVED};
pub use name::{ChannelName, MAX_NAME, NameError};
pub use options::{AfterGap, ChannelOptions, Overflow, PresenceMode};
pub use pattern::{Interest, Pattern};
pub use position::{Epoch, Offset, Position, PositionError};
pub use presence::{Client, PresenceChange, PresenceKind};
pub use publication::{Encoding, Publication};
pub use publish::{PublishError, Published};
pub use stats::Stats;
pub use subscription::{MAX_INTERESTS, SubscribeError, Subscription, SubscriptionOptions};

#[cfg(test)]
mod tests;

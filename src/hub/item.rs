use std::sync::Arc;

use super::{ChannelName, Interest, Position, PresenceChange, Publication};

/// What a [`Subscription`](super::Subscription) yields.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Item {
    /// From here on publications follow.
    Subscribed(Subscribed),
    /// A publication.
    Publication(Arc<Publication>),
    /// Publications were missed.
    Gap(Gap),
    /// Somebody has come or gone.
    Presence(PresenceChange),
    /// No more publications follow for this.
    Unsubscribed {
        /// What was subscribed to.
        interest: Interest,
        /// Why it is no longer.
        reason: UnsubscribeReason,
    },
    /// The last item: the subscriber was too slow for a channel whose policy is
    /// [`Overflow::Disconnect`](super::Overflow::Disconnect).
    Disconnected {
        /// The channel.
        channel: ChannelName,
    },
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// What was subscribed to.
    pub interest: Interest,
    /// In one channel: the place after which publications follow.
    pub position: Option<Position>,
    /// All that was published since the position or cursor that was presented follows. If not, a
    /// [`Gap`] says what does not.
    pub recovered: bool,
    /// A position or cursor was presented.
    pub was_recovering: bool,
}

/// Publications that were missed: those after `from`, up to and with `to`. Whoever builds a state
/// from the publications has to fetch it anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where: one channel, or all that match a pattern.
    pub interest: Interest,
    /// Why.
    pub reason: GapReason,
    /// Up to here nothing is missing. `None`: unknown.
    pub from: Option<Position>,
    /// After this publications follow again. `None`: the channel is gone, or it is about several.
    pub to: Option<Position>,
}

/// Why publications were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// The history no longer holds all that was published since the cursor.
    Expired,
    /// The cursor does not belong to the log that there is now, or not to this subscription.
    Epoch,
    /// The cursor is ahead of the log: its newest part was lost.
    Ahead,
    /// There is more to replay, or there are more channels, than one subscription may have.
    Limit,
    /// A connected subscriber has read too slowly.
    Slow,
    /// The backplane has lost publications that this node was not passed on. Of a pattern: it was
    /// not listened to for a while, so there may have been some on channels that are new.
    Backplane,
}

impl GapReason {
    pub(super) const COUNT: usize = 6;

    /// The reason as clients are told it, one word.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::Expired => "expired",
            GapReason::Epoch => "epoch",
            GapReason::Ahead => "ahead",
            GapReason::Limit => "limit",
            GapReason::Slow => "slow",
            GapReason::Backplane => "backplane",
        }
    }
}

/// Why no more publications follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnsubscribeReason {
    /// The subscriber has asked for it.
    Requested,
    /// More channels match the pattern than one subscription may have.
    Limit,
}

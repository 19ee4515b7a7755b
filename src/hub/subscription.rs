use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use slab::Slab;
use tokio::time::{Sleep, sleep_until};

use super::channel::{Channel, Reader, Start};
use super::cursor::Found;
use super::stats::add;
use super::subscriber::{Slot, Subscriber, Ticket};
use super::{AfterGap, ChannelName, Client, Gap, Hub, Interest, Item, Position, Publication};

mod cursors;
mod found;
mod read;
mod subscribe;

/// How many channels and patterns one subscription may be asked for.
pub const MAX_INTERESTS: usize = 256;

/// How a subscription behaves.
///
/// ```
/// use lithe::hub::{AfterGap, Hub, SubscriptionOptions};
///
/// let hub = Hub::new();
/// let options = SubscriptionOptions::default().after_gap(AfterGap::Oldest).client("alice", "{}");
/// let subscription = hub.subscriber_with(options);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SubscriptionOptions {
    after_gap: AfterGap,
    client: Option<Client>,
}

impl SubscriptionOptions {
    /// Where one goes on who comes back and has missed something. Unless set, with the newest.
    pub fn after_gap(mut self, after_gap: AfterGap) -> Self {
        self.after_gap = after_gap;
        self
    }

    /// Who the subscription belongs to: where [presence](super::PresenceMode) is on, others see the
    /// client on each channel that it has subscribed to by name.
    pub fn client(mut self, id: impl Into<Box<str>>, info: impl Into<bytes::Bytes>) -> Self {
        self.client = Some(Client { id: id.into(), info: info.into() });
        self
    }
}

/// Why something was not subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// It has [`MAX_INTERESTS`] already.
    #[error("one subscription takes at most {MAX_INTERESTS} channels and patterns")]
    TooMany,
    /// It has ended.
    #[error("the subscription has ended")]
    Ended,
    /// Patterns are not for hubs whose backplane knows none: such a hub knows only the channels that
    /// somebody listens to by name.
    #[error(
        "the backplane (a cluster of Redis, say) knows no patterns: subscribe to channels by their \
         names"
    )]
    Patterns,
}

/// What one client listens to: channels and patterns, which may change while it listens.
///
/// It holds a place in the log of each of its channels, and reads on from there whenever it is
/// asked to: however slow it is, it costs neither the publishers nor the others anything. Of each
/// channel it yields the publications in order; channels take turns.
pub struct Subscription {
    hub: Hub,
    subscriber: Arc<Subscriber>,
    options: SubscriptionOptions,
    /// What was subscribed to, in this order.
    interests: Vec<Wanted>,
    /// How many of these are patterns.
    patterns: usize,
    members: Slab<Member>,
    /// The members by the names of their channels.
    by_name: Vec<u32>,
    serial: u32,
    /// To be yielded before anything else is read.
    items: VecDeque<Queued>,
    /// What was read and not yet yielded, from one channel.
    staged: VecDeque<Arc<Publication>>,
    staged_from: u32,
    /// Channels with news, in the order of their turns.
    turns: VecDeque<Slot>,
    /// Channels that pause.
    paused: BinaryHeap<Reverse<Pause>>,
    /// What the hub had lost when all channels that came into being were known.
    losses: Position,
    /// What it had lost when the subscriber was here before. What was lost since is told of by gaps.
    told_losses: Position,
    /// Where it stood in channels that patterns have found, and whose mirrors the hub has given up
    /// since. There it goes on when there are new ones.
    left: BTreeMap<ChannelName, Position>,
    /// The backplane has begun to listen to one of the patterns.
    patterns_begun: bool,
    ended: bool,
}

/// An item, and up to where a channel was yielded when it is: what it tells of a gap may only then
/// be taken for known.
struct Queued {
    item: Item,
    settles: Option<(Slot, Position)>,
}

/// What was subscribed to.
struct Wanted {
    interest: Interest,
    /// Of a pattern that has begun: the place among all of the hub.
    pattern: Option<usize>,
    /// Of a pattern, where there is a backplane.
    listen: Option<Box<Listen>>,
}

impl Wanted {
    /// Whether a channel is among what has begun.
    fn covers(&self, name: &ChannelName) -> bool {
        match &self.interest {
            Interest::Channel(channel) => channel == name,
            Interest::Pattern(pattern) => self.pattern.is_some() && pattern.matches(name),
        }
    }
}

/// A pattern that the backplane listens to, or is about to.
struct Listen {
    /// The place among those who wait for it.
    key: usize,
    /// How often it had begun to listen when this was last looked at.
    begun: u64,
    /// Where to begin as soon as it listens.
    pending: Option<Since<Arc<Found>>>,
}

/// What is known of where a subscriber left off.
enum Since<T> {
    /// It is new.
    Fresh,
    Known(T),
    /// It was here before, but what it presents does not say where.
    Unknown,
}

/// A channel of the subscription.
struct Member {
    channel: Arc<Channel>,
    serial: u32,
    /// Asked for by name.
    pinned: bool,
    reader: Reader,
    /// The channel's log is not known yet: what is to be told when it is.
    pending: Option<Box<Pending>>,
    /// All up to here was yielded.
    delivered: Position,
    /// Waits to be told of news.
    ticket: Option<Ticket>,
    /// When the next batch may be yielded.
    due: Option<Instant>,
}

/// How a subscriber wants to begin in a channel whose log is yet to be read from the backplane, and
/// how often in all.
struct Pending {
    start: Start,
    reads: u64,
    was_recovering: bool,
}

impl Pending {
    /// It is asked for by name, too.
    fn pin(&mut self, since: &Since<Position>, reads: u64) {
        self.was_recovering = !matches!(since, Since::Fresh);
        match (since, self.start) {
            (Since::Known(position), _) => {
                self.start = Start::After(*position);
                self.reads = reads;
            }
            (Since::Unknown, _) => self.start = Start::Unknown,
            (Since::Fresh, Start::PassedOn) => self.start = Start::Beginning,
            (Since::Fresh, _) => {}
        }
    }

    /// It is wanted for a pattern only.
    fn unpin(&mut self) {
        if let Start::Live | Start::Beginning | Start::Unknown = self.start {
            self.start = Start::PassedOn;
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pause {
    until: Instant,
    index: u32,
    serial: u32,
}

impl Subscription {
    pub(super) fn new(hub: Hub, options: SubscriptionOptions) -> Self {
        add(&hub.shared.counters.subscriptions, 1);
        let losses = hub.shared.losses.position();
        Subscription {
            hub,
            subscriber: Arc::default(),
            options,
            // Most have one channel.
            interests: Vec::with_capacity(1),
            patterns: 0,
            members: Slab::with_capacity(1),
            by_name: Vec::new(),
            serial: 0,
            items: VecDeque::new(),
            staged: VecDeque::new(),
            staged_from: 0,
            turns: VecDeque::new(),
            paused: BinaryHeap::new(),
            losses,
            told_losses: losses,
            left: BTreeMap::new(),
            patterns_begun: false,
            ended: false,
        }
    }

    /// The hub that it belongs to.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// What was subscribed to, in this order.
    pub fn interests(&self) -> impl Iterator<Item = &Interest> {
        self.interests.iter().map(|wanted| &wanted.interest)
    }

    /// Whether it yields no more items.
    pub fn is_ended(&self) -> bool {
        self.ended && self.items.is_empty()
    }

    /// The next item, if there is one now. Does not block.
    pub fn try_next(&mut self) -> Option<Item> {
        let item = self.next_item()?;
        if let Item::Gap(gap) = &item {
            self.hub.shared.counters.gap(gap.reason);
        }
        Some(item)
    }

    /// The next item; `None` is the end. Without an item it leaves the waker, to be woken once when
    /// there may be some.
    ///
    /// A channel that pauses ([`ChannelOptions::min_interval`](super::ChannelOptions::min_interval))
    /// wakes nobody: poll again at [`next_due`](Self::next_due).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            if let Some(item) = self.try_next() {
                return Poll::Ready(Some(item));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            if self.subscriber.park(cx) {
                return Poll::Pending;
            }
        }
    }

    /// The next item, pauses included; `None` is the end. In a tokio runtime with the time driver.
    ///
    /// Cancel safe: an item is either returned or stays for the next call.
    pub async fn next(&mut self) -> Option<Item> {
        // Few have pauses, so the others have no room for a timer.
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(item) = self.poll_next(cx) {
                    return Poll::Ready(item);
                }
                let Some(due) = self.next_due() else { return Poll::Pending };
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due.into())));
                if timer.deadline() != due.into() {
                    timer.as_mut().reset(due.into());
                }
                ready!(timer.as_mut().poll(cx));
            }
        })
        .await
    }

    /// When the next pause ends.
    pub fn next_due(&self) -> Option<Instant> {
        self.paused.peek().map(|Reverse(pause)| pause.until)
    }

    fn push_item(&mut self, item: Item) {
        self.items.push_back(Queued { item, settles: None });
    }

    fn insert_item(&mut self, place: usize, item: Item) {
        self.items.insert(place, Queued { item, settles: None });
    }

    /// Tells of a gap, with which one of the channels goes on.
    fn push_gap(&mut self, mut gap: Gap, slot: Option<Slot>) {
        gap.from = gap.from.filter(|from| *from != Position::NOWHERE);
        let settles = slot.zip(gap.to);
        self.items.push_back(Queued { item: Item::Gap(gap), settles });
    }

    /// Where the name of a channel is or would be.
    fn find(&self, name: &ChannelName) -> Result<usize, usize> {
        self.by_name
            .binary_search_by(|index| self.members[*index as usize].channel.name().cmp(name))
    }

    fn member_of(&self, name: &ChannelName) -> Option<u32> {
        Some(self.by_name[self.find(name).ok()?])
    }

    /// Takes in a channel that it is attached to.
    fn insert_member(&mut self, channel: Arc<Channel>, reader: Reader, pinned: bool) -> Slot {
        self.left.remove(channel.name());
        let place = self.find(channel.name()).unwrap_or_else(|place| place);
        self.serial = self.serial.wrapping_add(1);
        let member = Member {
            channel,
            serial: self.serial,
            pinned,
            delivered: reader.at,
            reader,
            pending: None,
            ticket: None,
            due: None,
        };
        let index = self.members.insert(member) as u32;
        self.by_name.insert(place, index);
        let slot = Slot { index, serial: self.serial };
        self.turns.push_back(slot);
        slot
    }

    /// Gives up a channel.
    fn remove_member(&mut self, index: u32) -> Arc<Channel> {
        let name = self.members[index as usize].channel.name().clone();
        if let Ok(place) = self.find(&name) {
            self.by_name.remove(place);
        }
        if self.staged_from == index {
            self.staged.clear();
        }
        let member = self.members.remove(index as usize);
        self.leave(&member);
        member.channel
    }

    fn leave(&self, member: &Member) {
        member.channel.detach(member.ticket, member.pinned);
        if let (true, Some(client)) = (member.pinned, &self.options.client) {
            member.channel.leave(&client.id);
        }
    }

    /// Ends it.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        for wanted in std::mem::take(&mut self.interests) {
            self.forget_pattern(&wanted);
        }
        // Only now: nobody hands over more channels.
        for channel in self.subscriber.close() {
            channel.detach(None, false);
        }
        for member in std::mem::take(&mut self.members) {
            self.leave(&member.1);
        }
        self.patterns = 0;
        self.by_name.clear();
        self.left.clear();
        self.staged.clear();
        self.turns.clear();
        self.paused.clear();
    }

    fn forget_pattern(&self, wanted: &Wanted) {
        let Interest::Pattern(pattern) = &wanted.interest else { return };
        if let Some(key) = wanted.pattern {
            self.hub.shared.patterns.remove(pattern, key);
        }
        if let Some(listen) = &wanted.listen {
            self.hub.shared.listening.remove(pattern, listen.key);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.end();
        self.hub.shared.counters.subscriptions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interests: Vec<_> = self.interests().collect();
        f.debug_struct("Subscription")
            .field("interests", &interests)
            .field("channels", &self.members.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{MAX_INTERESTS, Pending, SubscribeError, Subscription, Wanted};
use crate::hub::channel::{Attached, Begun, Channel, Lost, Reader, Start};
use crate::hub::cursor::{Content, Found, fingerprint};
use crate::hub::subscriber::Slot;
use crate::hub::{
    ChannelName, Cursor, Gap, GapReason, Interest, Item, Pattern, Position, Subscribed,
    UnsubscribeReason,
};

/// What is known of where a subscriber left off.
enum Since<T> {
    /// It is new.
    Fresh,
    Known(T),
    /// It was here before, but what it presents does not say where.
    Unknown,
}

impl Subscription {
    /// Listens to one more channel, or to all channels of a pattern, from now on. The first item of
    /// it is [`Item::Subscribed`]. Says whether it is new: what is listened to already is left as it
    /// is.
    ///
    /// A channel that the subscription has by a pattern goes on where it stands.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::TooMany`], [`SubscribeError::Ended`], [`SubscribeError::Patterns`].
    pub fn subscribe(&mut self, interest: impl Into<Interest>) -> Result<bool, SubscribeError> {
        let interest = interest.into();
        if !self.may_add(&interest)? {
            return Ok(false);
        }
        match interest {
            Interest::Channel(name) => self.add_channel(name, Since::Fresh),
            Interest::Pattern(pattern) => self.add_pattern(pattern, Since::Fresh),
        }
        Ok(true)
    }

    /// Like [`subscribe`](Self::subscribe), for one channel of which the subscriber has everything
    /// up to that position: it gets all that was published since, or is told of a gap.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::TooMany`], [`SubscribeError::Ended`].
    pub fn subscribe_after(
        &mut self,
        channel: ChannelName,
        position: Position,
    ) -> Result<bool, SubscribeError> {
        if !self.may_add(&channel.clone().into())? {
            return Ok(false);
        }
        self.add_channel(channel, Since::Known(position));
        Ok(true)
    }

    /// Listens to what another subscription has listened to before, and goes on from its
    /// [`cursor`](Self::cursor). The list has to be the same, in the same order; use a new
    /// subscription.
    ///
    /// A cursor that cannot be read, or belongs to another list, is not an error: the subscriber is
    /// told of a gap in each channel and pattern.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::TooMany`], [`SubscribeError::Ended`], [`SubscribeError::Patterns`]: nothing
    /// was subscribed to.
    pub fn resume(
        &mut self,
        interests: impl IntoIterator<Item = impl Into<Interest>>,
        cursor: &str,
    ) -> Result<(), SubscribeError> {
        if self.ended {
            return Err(SubscribeError::Ended);
        }
        let mut wanted: Vec<Interest> = Vec::new();
        for interest in interests {
            let interest = interest.into();
            self.may_have(&interest)?;
            if self.interests().chain(&wanted).any(|other| *other == interest) {
                continue;
            }
            if self.interests.len() + wanted.len() >= MAX_INTERESTS {
                return Err(SubscribeError::TooMany);
            }
            wanted.push(interest);
        }
        let (positions, found) = match cursor.parse() {
            Ok(cursor) => match_cursor(&wanted, cursor),
            Err(_) => Default::default(),
        };
        let mut positions = positions.into_iter();
        // Channels first: a pattern leaves alone what is there already.
        let (patterns, channels): (Vec<_>, Vec<_>) =
            wanted.iter().cloned().partition(|interest| matches!(interest, Interest::Pattern(_)));
        for interest in channels.into_iter().chain(patterns) {
            match interest {
                Interest::Channel(name) => {
                    let since = positions.next().map_or(Since::Unknown, Since::Known);
                    self.add_channel(name, since);
                }
                Interest::Pattern(pattern) => {
                    let since = found.as_ref().map_or(Since::Unknown, Since::Known);
                    self.add_pattern(pattern, since);
                }
            }
        }
        // What a pattern has been given up for is not there any more.
        let place = |other: &Wanted| wanted.iter().position(|interest| *interest == other.interest);
        self.interests.sort_by_key(place);
        Ok(())
    }

    /// Listens to a channel or a pattern no longer. The last item of it is
    /// [`Item::Unsubscribed`]. Says whether it was listened to.
    pub fn unsubscribe(&mut self, interest: &Interest) -> bool {
        if !self.remove_interest(interest, UnsubscribeReason::Requested) {
            return false;
        }
        // What was missed in a channel that nobody listens to is no news.
        let interests = &self.interests;
        self.items.retain(|queued| match &queued.item {
            Item::Gap(Gap { interest: Interest::Channel(name), .. }) => {
                interests.iter().any(|wanted| wanted.interest.covers(name))
            }
            _ => true,
        });
        true
    }

    fn may_add(&self, interest: &Interest) -> Result<bool, SubscribeError> {
        if self.ended {
            return Err(SubscribeError::Ended);
        }
        if self.interests().any(|other| other == interest) {
            return Ok(false);
        }
        if self.interests.len() >= MAX_INTERESTS {
            return Err(SubscribeError::TooMany);
        }
        self.may_have(interest)?;
        Ok(true)
    }

    fn may_have(&self, interest: &Interest) -> Result<(), SubscribeError> {
        match interest {
            Interest::Pattern(_) if self.hub.shared.backplane.is_some() => {
                Err(SubscribeError::Patterns)
            }
            _ => Ok(()),
        }
    }

    fn add_channel(&mut self, name: ChannelName, since: Since<Position>) {
        let interest = Interest::Channel(name.clone());
        // A pattern may have it already, or be about to hear of it.
        self.take_inbox();
        let is_found = self.interests().any(|interest| interest.covers(&name));
        self.interests.push(Wanted { interest: interest.clone(), pattern: None });
        if self.pin_member(&name, &since) {
            return;
        }
        let was_recovering = !matches!(since, Since::Fresh);
        let start = match since {
            Since::Fresh if is_found => Start::Beginning,
            Since::Fresh => Start::Live,
            Since::Known(position) => Start::After(position),
            Since::Unknown => Start::Unknown,
        };
        let shared = self.hub.shared.clone();
        let (channel, attached) = shared.with_channel(&name, |channel| {
            Ok((channel.clone(), self.attach(channel, start, true)?))
        });
        if let Some(client) = &self.options.client {
            channel.join(client);
        }
        let attached = match attached {
            Begun::Now(attached) => attached,
            Begun::Later { reads } => {
                return self.insert_pending(channel, Pending { start, was_recovering, reads });
            }
        };
        self.push_subscribed(interest, &attached, was_recovering);
        self.insert_attached(channel, attached, true);
    }

    fn push_subscribed(&mut self, interest: Interest, attached: &Attached, was_recovering: bool) {
        self.push_item(Item::Subscribed(Subscribed {
            interest,
            position: Some(attached.reader.at),
            recovered: was_recovering && attached.recovered,
            was_recovering,
        }));
    }

    /// Takes in a channel whose log is yet to be read.
    fn insert_pending(&mut self, channel: Arc<Channel>, pending: Pending) {
        let at = match pending.start {
            Start::After(position) => position,
            // Who breaks off before it was told where it begins has missed something.
            _ => Position::NOWHERE,
        };
        let slot = self.insert_member(channel, Reader::at(at), true);
        self.members[slot.index as usize].pending = Some(Box::new(pending));
    }

    /// Begins in a channel whose log may have been read meanwhile.
    pub(super) fn begin_pending(&mut self, slot: Slot) {
        let now = self.hub.shared.now();
        let limit = self.hub.shared.replay_limit;
        let after_gap = self.options.after_gap;
        let member = &mut self.members[slot.index as usize];
        let Some(pending) = member.pending.take() else { return };
        let subscriber = (&self.subscriber, slot);
        let start = (pending.start, pending.reads);
        match member.channel.begin(start, after_gap, limit, subscriber, now) {
            Err(not_yet) => {
                member.pending = Some(pending);
                member.ticket = Some(not_yet.ticket);
                if not_yet.read {
                    let channel = member.channel.clone();
                    self.hub.shared.start_reading(&channel);
                }
            }
            Ok(attached) => {
                let interest = Interest::Channel(member.channel.name().clone());
                member.reader = attached.reader;
                member.delivered = attached.reader.at;
                self.push_subscribed(interest, &attached, pending.was_recovering);
                self.push_attached_gap(slot, &attached);
                self.turns.push_back(slot);
            }
        }
    }

    /// Takes a channel that was found by a pattern for one that was asked for by name.
    fn pin_member(&mut self, name: &ChannelName, since: &Since<Position>) -> bool {
        let Some(index) = self.member_of(name) else { return false };
        let member = &mut self.members[index as usize];
        if member.channel.pin().is_err() {
            self.lose_member(index);
            return false;
        }
        member.pinned = true;
        if let Some(client) = &self.options.client {
            member.channel.join(client);
        }
        let at = member.reader.at;
        let slot = Slot { index, serial: member.serial };
        let interest = Interest::Channel(name.clone());
        let recovered = matches!(since, Since::Known(since)
            if since.epoch == at.epoch && since.offset >= member.delivered.offset);
        let was_recovering = !matches!(since, Since::Fresh);
        self.push_item(Item::Subscribed(Subscribed {
            interest: interest.clone(),
            position: Some(at),
            recovered,
            was_recovering,
        }));
        if was_recovering && !recovered {
            let from = match since {
                Since::Known(since) => Some(*since),
                _ => None,
            };
            self.push_gap(
                Gap { interest, reason: GapReason::Limit, from, to: Some(at) },
                Some(slot),
            );
        }
        true
    }

    fn attach(&self, channel: &Arc<Channel>, start: Start, pinned: bool) -> Result<Begun, Lost> {
        let shared = &self.hub.shared;
        let limit = shared.replay_limit;
        let now = shared.now();
        channel.attach(start, self.options.after_gap, limit, pinned, &shared.patterns, now)
    }

    /// Takes in a channel, and leaves word of the gap with which it begins, if there is one.
    fn insert_attached(&mut self, channel: Arc<Channel>, attached: Attached, pinned: bool) {
        let slot = self.insert_member(channel, attached.reader, pinned);
        self.push_attached_gap(slot, &attached);
    }

    fn push_attached_gap(&mut self, slot: Slot, attached: &Attached) {
        let Some((reason, from)) = attached.gap else { return };
        let member = &mut self.members[slot.index as usize];
        // Who breaks off before it has heard of the gap has to hear of it later.
        member.delivered = from.unwrap_or(Position::NOWHERE);
        let interest = Interest::Channel(member.channel.name().clone());
        let to = Some(attached.reader.at);
        self.push_gap(Gap { interest, reason, from, to }, Some(slot));
    }

    fn add_pattern(&mut self, pattern: Pattern, since: Since<&Found>) {
        let shared = self.hub.shared.clone();
        // Channels that an earlier subscription to this pattern has heard of are none of its own.
        self.take_inbox();
        if self.patterns == 0 {
            self.losses = shared.losses.position();
        }
        // Before the channels are looked at, so that none comes into being unseen.
        let key = shared.patterns.insert(&pattern, &self.subscriber);
        let interest = Interest::Pattern(pattern.clone());
        self.interests.push(Wanted { interest: interest.clone(), pattern: Some(key) });
        self.patterns += 1;
        let channels = shared.matching(&pattern);
        // After they were looked at, so that none is lost unseen.
        let lost = match since {
            Since::Known(found) => shared.losses.since(found.losses, &pattern),
            _ => None,
        };
        let was_recovering = !matches!(since, Since::Fresh);
        let place = self.items.len();
        let mut recovered = was_recovering;
        match since {
            Since::Fresh => channels.iter().for_each(|channel| {
                self.add_found(channel, &pattern, Start::Live);
            }),
            Since::Known(found) if found.losses.epoch == shared.losses.position().epoch => {
                recovered = self.recover_found(&pattern, &channels, found, lost.as_deref());
            }
            Since::Known(_) | Since::Unknown => {
                recovered = false;
                for channel in &channels {
                    self.add_found(channel, &pattern, Start::Live);
                    if let Some(index) = self.member_of(channel.name()) {
                        let member = &mut self.members[index as usize];
                        // Until the gap is told.
                        if !member.pinned {
                            member.delivered = Position::NOWHERE;
                        }
                    }
                }
                self.push_pattern_gap(&pattern, GapReason::Epoch);
            }
        }
        let subscribed = Subscribed { interest, position: None, recovered, was_recovering };
        self.insert_item(place, Item::Subscribed(subscribed));
    }

    /// Goes on with the channels that were found before, and with those that have come since. Says
    /// whether nothing was missed.
    fn recover_found(
        &mut self,
        pattern: &Pattern,
        channels: &[Arc<Channel>],
        found: &Found,
        lost: Option<&[ChannelName]>,
    ) -> bool {
        let gaps = self.items.len();
        self.told_losses = found.losses;
        let known: HashMap<_, _> = found.channels.iter().map(|(name, at)| (name, *at)).collect();
        let there: HashSet<_> = channels.iter().map(|channel| channel.name()).collect();
        for (name, position) in &found.channels {
            if pattern.matches(name) && !there.contains(name) && !self.is_elsewhere(name, pattern) {
                self.push_missing(name, GapReason::Epoch, Some(*position));
            }
        }
        for name in lost.unwrap_or_default() {
            // Of one that was found at its beginning an earlier one may have been lost.
            let is_known = known.get(name).is_some_and(|at| at.offset > 0);
            if !is_known && !self.is_elsewhere(name, pattern) {
                self.push_missing(name, GapReason::Expired, None);
            }
        }
        let start = |channel: &Arc<Channel>| match known.get(channel.name()) {
            Some(position) => Start::After(*position),
            // Among those that had no room there may be this one.
            None if found.incomplete => Start::Live,
            None => Start::Heard(found.heard),
        };
        let starts = channels.iter().map(|channel| (channel, start(channel)));
        let mut starts: Vec<_> =
            starts.map(|(channel, start)| (channel.first_number(start), channel, start)).collect();
        // Whoever breaks off before all is replayed has got on by that: everything up to some
        // publication is behind it.
        starts.sort_by_key(|(number, ..)| *number);
        for (_, channel, start) in starts {
            self.add_found(channel, pattern, start);
        }
        if found.incomplete {
            self.push_pattern_gap(pattern, GapReason::Limit);
        } else if lost.is_none() {
            self.push_pattern_gap(pattern, GapReason::Expired);
        }
        self.items.len() == gaps
    }

    fn push_missing(&mut self, name: &ChannelName, reason: GapReason, from: Option<Position>) {
        let interest = Interest::Channel(name.clone());
        self.push_gap(Gap { interest, reason, from, to: None }, None);
    }

    fn push_pattern_gap(&mut self, pattern: &Pattern, reason: GapReason) {
        let interest = Interest::Pattern(pattern.clone());
        self.push_gap(Gap { interest, reason, from: None, to: None }, None);
    }

    /// Adds a channel that there was when its pattern was subscribed to.
    fn add_found(&mut self, channel: &Arc<Channel>, pattern: &Pattern, start: Start) {
        if self.is_elsewhere(channel.name(), pattern) || !self.has_room_for(pattern) {
            return;
        }
        match (self.attach(channel, start, false), start) {
            (Ok(Begun::Now(attached)), _) => self.insert_attached(channel.clone(), attached, false),
            // Only with a backplane, and then there are no patterns.
            (Ok(Begun::Later { .. }), _) => channel.detach(None, false),
            // Lost just now, with all that was to be recovered.
            (Err(Lost), Start::After(from)) => {
                self.push_missing(channel.name(), GapReason::Expired, Some(from));
            }
            (Err(Lost), Start::Beginning | Start::Heard(_)) => {
                self.push_missing(channel.name(), GapReason::Expired, None);
            }
            (Err(Lost), Start::Live | Start::Unknown) => {}
        }
    }

    /// Whether another interest has the channel already, or is about to hear of it.
    fn is_elsewhere(&self, name: &ChannelName, pattern: &Pattern) -> bool {
        let mut others = self.interests().filter(|other| other.as_str() != pattern.as_str());
        others.any(|other| other.covers(name))
    }

    /// Takes in a channel that has come into being.
    pub(super) fn take_in(&mut self, channel: Arc<Channel>) {
        let covering = self.interests().find_map(|interest| match interest {
            Interest::Pattern(pattern) if pattern.matches(channel.name()) => Some(pattern.clone()),
            _ => None,
        });
        let is_wanted = match covering {
            Some(pattern) => !self.is_member(&channel) && self.has_room_for(&pattern),
            None => false,
        };
        if is_wanted {
            let reader = channel.reader_from_the_beginning();
            self.insert_member(channel, reader, false);
        } else {
            channel.detach(None, false);
        }
    }

    /// Whether the channel is there already. Of two by one name the one that was lost gives way.
    fn is_member(&mut self, channel: &Arc<Channel>) -> bool {
        let Some(index) = self.member_of(channel.name()) else { return false };
        let member = &self.members[index as usize].channel;
        if Arc::ptr_eq(member, channel) {
            return true;
        }
        if member.is_lost() {
            self.lose_member(index);
            return false;
        }
        self.push_missing(channel.name(), GapReason::Slow, None);
        true
    }

    /// Whether one more channel may be found. If not, the pattern is given up.
    fn has_room_for(&mut self, pattern: &Pattern) -> bool {
        let named = self.interests.len() - self.patterns;
        if self.members.len() < self.hub.shared.max_channels + named {
            return true;
        }
        let interest = Interest::Pattern(pattern.clone());
        if self.interests().any(|other| *other == interest) {
            self.push_pattern_gap(pattern, GapReason::Limit);
            self.remove_interest(&interest, UnsubscribeReason::Limit);
        }
        false
    }

    fn remove_interest(&mut self, interest: &Interest, reason: UnsubscribeReason) -> bool {
        let Some(place) = self.interests().position(|other| other == interest) else {
            return false;
        };
        let wanted = self.interests.remove(place);
        match interest {
            Interest::Channel(name) => self.remove_channel(name),
            Interest::Pattern(_) => {
                self.patterns -= 1;
                self.forget_pattern(&wanted);
                let unwanted: Vec<u32> =
                    self.by_name.iter().copied().filter(|index| !self.is_wanted(*index)).collect();
                for index in unwanted {
                    self.remove_member(index);
                }
            }
        }
        self.push_item(Item::Unsubscribed { interest: interest.clone(), reason });
        true
    }

    fn remove_channel(&mut self, name: &ChannelName) {
        let Some(index) = self.member_of(name) else { return };
        if !self.is_wanted(index) {
            self.remove_member(index);
            return;
        }
        let member = &mut self.members[index as usize];
        member.pinned = false;
        member.channel.unpin();
        if let Some(client) = &self.options.client {
            member.channel.leave(&client.id);
        }
    }

    /// Whether a channel is among what is listened to.
    fn is_wanted(&self, index: u32) -> bool {
        let name = self.members[index as usize].channel.name();
        self.interests().any(|interest| interest.covers(name))
    }
}

/// What a cursor says of those channels and patterns, if it is about them.
fn match_cursor(wanted: &[Interest], cursor: Cursor) -> (Vec<Position>, Option<Found>) {
    match (cursor.0, wanted) {
        (Content::One(position), [Interest::Channel(_)]) => (vec![position], None),
        (Content::Many(vector), _) if vector.fingerprint == fingerprint(wanted.iter()) => {
            (vector.positions, vector.patterns)
        }
        _ => Default::default(),
    }
}

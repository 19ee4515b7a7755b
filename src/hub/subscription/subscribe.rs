use std::sync::Arc;

use super::{MAX_INTERESTS, Pending, Since, SubscribeError, Subscription, Wanted};
use crate::hub::channel::{Attached, Begun, Channel, Lost, NotYet, Reader, Start};
use crate::hub::cursor::{Content, Found, fingerprint};
use crate::hub::subscriber::Slot;
use crate::hub::{
    ChannelName, Cursor, Gap, GapReason, Interest, Item, Position, Subscribed, UnsubscribeReason,
};

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
        let found = found.map(Arc::new);
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
                    let since = found.clone().map_or(Since::Unknown, Since::Known);
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
            Interest::Pattern(_) => match &self.hub.shared.backplane {
                Some(backplane) if !backplane.has_patterns() => Err(SubscribeError::Patterns),
                _ => Ok(()),
            },
            Interest::Channel(_) => Ok(()),
        }
    }

    fn add_channel(&mut self, name: ChannelName, since: Since<Position>) {
        let interest = Interest::Channel(name.clone());
        // A pattern may have it already, or be about to hear of it.
        self.take_inbox();
        let is_found = self.interests.iter().any(|wanted| wanted.covers(&name));
        self.interests.push(Wanted { interest: interest.clone(), pattern: None, listen: None });
        if self.pin_member(&name, &since) {
            return;
        }
        let was_recovering = !matches!(since, Since::Fresh);
        let start = match (since, self.left.get(&name)) {
            (Since::Fresh, Some(at)) => Start::After(*at),
            (Since::Fresh, None) if is_found => Start::Beginning,
            (Since::Fresh, None) => Start::Live,
            (Since::Known(position), _) => Start::After(position),
            (Since::Unknown, _) => Start::Unknown,
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
            Begun::Later { start, reads } => {
                let pending = Pending { start, was_recovering, reads };
                let slot = self.insert_pending(channel, pending, true);
                // The log may have been read meanwhile: what is published from now on is delivered,
                // however long nobody asks for it.
                self.turns.pop_back();
                return self.begin_pending(slot);
            }
        };
        self.push_subscribed(interest, &attached, was_recovering);
        self.insert_attached(channel, attached, true);
    }

    pub(super) fn push_subscribed(
        &mut self,
        interest: Interest,
        attached: &Attached,
        was_recovering: bool,
    ) {
        self.push_item(Item::Subscribed(Subscribed {
            interest,
            position: Some(attached.reader.at),
            recovered: was_recovering && attached.recovered,
            was_recovering,
        }));
    }

    /// Takes in a channel whose log is yet to be read.
    pub(super) fn insert_pending(
        &mut self,
        channel: Arc<Channel>,
        pending: Pending,
        pinned: bool,
    ) -> Slot {
        let at = match pending.start {
            Start::After(position) | Start::From(position) => position,
            // Who breaks off before it was told where it begins has missed something.
            _ => Position::NOWHERE,
        };
        let slot = self.insert_member(channel, Reader::at(at), pinned);
        self.members[slot.index as usize].pending = Some(Box::new(pending));
        slot
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
            Err(NotYet::Lost) => {
                member.pending = Some(pending);
                self.lose_member(slot.index);
            }
            Err(NotYet::Waits { ticket, read, ask }) => {
                member.pending = Some(pending);
                member.ticket = Some(ticket);
                let channel = member.channel.clone();
                if read {
                    self.hub.shared.start_reading(&channel);
                }
                if let (true, Some(backplane)) = (ask, &self.hub.shared.backplane) {
                    backplane.attach(channel.name());
                }
            }
            Ok(attached) => {
                let interest = Interest::Channel(member.channel.name().clone());
                member.reader = attached.reader;
                member.delivered = attached.reader.at;
                if member.pinned {
                    self.push_subscribed(interest, &attached, pending.was_recovering);
                }
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
        if let Some(pending) = &mut member.pending {
            pending.pin(since, member.channel.reads_to_come());
            if let Start::After(position) = pending.start {
                member.reader.at = position;
                member.delivered = position;
            }
            // It may know already where it begins.
            if let Some(ticket) = member.ticket.take() {
                member.channel.forget(ticket);
                self.turns.push_back(Slot { index, serial: member.serial });
            }
            return true;
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

    pub(super) fn attach(
        &self,
        channel: &Arc<Channel>,
        start: Start,
        pinned: bool,
    ) -> Result<Begun, Lost> {
        let shared = &self.hub.shared;
        let limit = shared.replay_limit;
        let now = shared.now();
        channel.attach(start, self.options.after_gap, limit, pinned, &shared.patterns, now)
    }

    /// Takes in a channel, and leaves word of the gap with which it begins, if there is one.
    pub(super) fn insert_attached(
        &mut self,
        channel: Arc<Channel>,
        attached: Attached,
        pinned: bool,
    ) {
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

    pub(super) fn remove_interest(
        &mut self,
        interest: &Interest,
        reason: UnsubscribeReason,
    ) -> bool {
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
                let interests = &self.interests;
                self.left.retain(|name, _| interests.iter().any(|wanted| wanted.covers(name)));
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
        if let Some(pending) = &mut member.pending {
            pending.unpin();
        }
        if let Some(client) = &self.options.client {
            member.channel.leave(&client.id);
        }
    }

    /// Whether a channel is among what is listened to.
    fn is_wanted(&self, index: u32) -> bool {
        let name = self.members[index as usize].channel.name();
        self.interests.iter().any(|wanted| wanted.covers(name))
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

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Listen, Pending, Since, Subscription, Wanted};
use crate::hub::channel::{Begun, Channel, Lost, Start};
use crate::hub::cursor::Found;
use crate::hub::{
    ChannelName, Gap, GapReason, Interest, Item, Pattern, Position, Subscribed, UnsubscribeReason,
};

/// Patterns, and the channels that are found by them.
impl Subscription {
    pub(super) fn add_pattern(&mut self, pattern: Pattern, since: Since<Arc<Found>>) {
        let shared = self.hub.shared.clone();
        let interest = Interest::Pattern(pattern.clone());
        self.patterns += 1;
        if shared.backplane.is_none() {
            self.interests.push(Wanted { interest, pattern: None, listen: None });
            return self.begin_pattern(&pattern, since);
        }
        // What is published before the backplane listens may pass unheard: it begins then.
        let key = shared.listen(&pattern, &self.subscriber);
        let listen = Some(Box::new(Listen { key, begun: 0, pending: Some(since) }));
        self.interests.push(Wanted { interest, pattern: None, listen });
        self.take_inbox();
        self.hear_of_patterns();
    }

    /// Begins with the patterns to which the backplane listens by now, and tells of a gap in those
    /// to which it listens again.
    pub(super) fn hear_of_patterns(&mut self) {
        let patterns: Vec<Pattern> = self
            .interests()
            .filter_map(|interest| match interest {
                Interest::Pattern(pattern) => Some(pattern.clone()),
                Interest::Channel(_) => None,
            })
            .collect();
        for pattern in patterns {
            let Some(begun) = self.hub.shared.listening.begun(&pattern) else { continue };
            let Some(listen) = self.wanted(&pattern).and_then(|wanted| wanted.listen.as_mut())
            else {
                continue;
            };
            if std::mem::replace(&mut listen.begun, begun) == begun {
                continue;
            }
            match listen.pending.take() {
                Some(since) => self.begin_pattern(&pattern, since),
                None => {
                    // That it has begun again is known from here on.
                    self.take_channels();
                    self.push_pattern_gap(&pattern, GapReason::Backplane);
                    self.return_to_left(&pattern);
                }
            }
        }
    }

    fn wanted(&mut self, pattern: &Pattern) -> Option<&mut Wanted> {
        let is_it = |wanted: &&mut Wanted| matches!(&wanted.interest, Interest::Pattern(other) if other == pattern);
        self.interests.iter_mut().find(is_it)
    }

    fn begin_pattern(&mut self, pattern: &Pattern, since: Since<Arc<Found>>) {
        let shared = self.hub.shared.clone();
        // Channels that an earlier subscription to this pattern has heard of are none of its own.
        self.take_channels();
        // Before the channels are looked at, so that none comes into being unseen.
        let key = shared.patterns.insert(pattern, &self.subscriber);
        match self.wanted(pattern) {
            Some(wanted) => wanted.pattern = Some(key),
            None => return shared.patterns.remove(pattern, key),
        }
        for (_, member) in &mut self.members {
            // Its log is yet to be read, and may have by then what is published from here on.
            if let Some(pending) = &mut member.pending
                && matches!(pending.start, Start::Live)
                && pattern.matches(member.channel.name())
            {
                pending.start = member.channel.start_with_pattern();
            }
        }
        let channels = shared.matching(pattern);
        // After they were looked at, so that none is lost unseen.
        let lost = match &since {
            Since::Known(found) => shared.losses.since(found.losses, pattern),
            _ => None,
        };
        let was_recovering = !matches!(since, Since::Fresh);
        let place = self.items.len();
        let mut recovered = was_recovering;
        match since {
            Since::Fresh => channels.iter().for_each(|channel| {
                self.add_found(channel, pattern, Start::Live);
            }),
            Since::Known(found) if found.losses.epoch == shared.losses.position().epoch => {
                recovered = self.recover_found(pattern, &channels, &found, lost.as_deref());
            }
            Since::Known(_) | Since::Unknown => {
                recovered = false;
                let known = match &since {
                    Since::Known(found) => self.recover_mirrors(pattern, &positions(found)),
                    _ => HashSet::new(),
                };
                for channel in channels.iter().filter(|channel| !known.contains(channel.name())) {
                    if self.is_elsewhere(channel.name(), pattern) {
                        continue;
                    }
                    self.add_found(channel, pattern, Start::Live);
                    if let Some(index) = self.member_of(channel.name()) {
                        let member = &mut self.members[index as usize];
                        // Until the gap is told.
                        if !member.pinned {
                            member.delivered = Position::NOWHERE;
                        }
                    }
                }
                self.push_pattern_gap(pattern, GapReason::Epoch);
            }
        }
        let interest = Interest::Pattern(pattern.clone());
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
        let known = positions(found);
        let there: HashSet<_> = channels.iter().map(|channel| channel.name()).collect();
        let mirrored = self.recover_mirrors(pattern, &known);
        for (name, position) in &found.channels {
            let is_there = there.contains(name) || mirrored.contains(name);
            if pattern.matches(name) && !is_there && !self.is_elsewhere(name, pattern) {
                self.push_missing(name, GapReason::Epoch, Some(*position));
            }
        }
        for name in lost.unwrap_or_default() {
            // Of one that was found at its beginning an earlier one may have been lost.
            let is_known =
                mirrored.contains(name) || known.get(name).is_some_and(|at| at.offset > 0);
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
        let others = channels.iter().filter(|channel| !mirrored.contains(channel.name()));
        let starts = others.map(|channel| (channel, start(channel)));
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

    /// Goes on with the channels that were found before, whose logs the backplane has, whether this
    /// hub or another one has found them. Says which they are.
    fn recover_mirrors(
        &mut self,
        pattern: &Pattern,
        known: &HashMap<&ChannelName, Position>,
    ) -> HashSet<ChannelName> {
        let mut recovered = HashSet::new();
        if self.hub.shared.backplane.is_none() {
            return recovered;
        }
        for (name, at) in known.iter().filter(|(name, _)| pattern.matches(name)) {
            if !self.is_elsewhere(name, pattern) && self.has_room_for(pattern) {
                self.go_on(name, *at);
                recovered.insert((*name).clone());
            }
        }
        recovered
    }

    /// Goes on in channels whose mirrors are not there any more: nobody has listened to them.
    fn return_to_left(&mut self, pattern: &Pattern) {
        let left = self.left.iter().filter(|(name, _)| pattern.matches(name));
        let left: Vec<_> = left.map(|(name, at)| (name.clone(), *at)).collect();
        left.iter().for_each(|(name, at)| self.go_on(name, *at));
    }

    fn go_on(&mut self, name: &ChannelName, at: Position) {
        let shared = self.hub.shared.clone();
        let (channel, begun) = shared.with_channel(name, |channel| {
            Ok((channel.clone(), self.attach(channel, Start::After(at), false)?))
        });
        self.insert_begun(channel, begun);
    }

    fn insert_begun(&mut self, channel: Arc<Channel>, begun: Begun) {
        match begun {
            Begun::Now(attached) => self.insert_attached(channel, attached, false),
            Begun::Later { start, reads } => {
                let pending = Pending { start, reads, was_recovering: false };
                self.insert_pending(channel, pending, false);
            }
        }
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
            (Ok(begun), _) => self.insert_begun(channel.clone(), begun),
            // Lost just now, with all that was to be recovered.
            (Err(Lost), Start::After(from)) => {
                self.push_missing(channel.name(), GapReason::Expired, Some(from));
            }
            (Err(Lost), Start::Beginning | Start::Heard(_)) => {
                self.push_missing(channel.name(), GapReason::Expired, None);
            }
            (Err(Lost), _) => {}
        }
    }

    /// Whether another interest has the channel already, or is about to hear of it.
    fn is_elsewhere(&self, name: &ChannelName, pattern: &Pattern) -> bool {
        let mut others =
            self.interests.iter().filter(|other| other.interest.as_str() != pattern.as_str());
        others.any(|other| other.covers(name))
    }

    /// Takes in a channel that has come into being.
    pub(super) fn take_in(&mut self, channel: Arc<Channel>) {
        let covering = self.interests.iter().find_map(|wanted| match &wanted.interest {
            Interest::Pattern(pattern) if wanted.covers(channel.name()) => Some(pattern.clone()),
            _ => None,
        });
        let is_wanted = match covering {
            Some(pattern) => !self.is_member(&channel) && self.has_room_for(&pattern),
            None => false,
        };
        if is_wanted && self.hub.shared.backplane.is_some() {
            let (start, reads) = match self.left.get(channel.name()) {
                Some(at) => (Start::After(*at), channel.reads_to_come()),
                // It may have had publications for long that nobody here has heard of.
                None => (Start::PassedOn, 0),
            };
            let pending = Pending { start, reads, was_recovering: false };
            self.insert_pending(channel, pending, false);
        } else if is_wanted {
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
}

/// What a cursor says of the channels that were found. Of two places in one the later counts.
fn positions(found: &Found) -> HashMap<&ChannelName, Position> {
    found.channels.iter().map(|(name, at)| (name, *at)).collect()
}

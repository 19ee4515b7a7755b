use std::cmp::Reverse;
use std::collections::VecDeque;

use super::{Pause, Queued, Subscription};
use crate::hub::channel::{Quantum, Read, Start};
use crate::hub::log::Standing;
use crate::hub::stats::add;
use crate::hub::subscriber::Slot;
use crate::hub::{Gap, GapReason, Interest, Item, Overflow, Position, PresenceChange};

/// How many publications one channel yields before it is the turn of another.
const QUANTUM: usize = 16;
/// And how many bytes.
const QUANTUM_BYTES: usize = 64 * 1024;

impl Subscription {
    pub(super) fn next_item(&mut self) -> Option<Item> {
        loop {
            if let Some(publication) = self.staged.pop_front() {
                self.members[self.staged_from as usize].delivered = publication.position();
                return Some(Item::Publication(publication));
            }
            if let Some(Queued { item, settles }) = self.items.pop_front() {
                if self.items.is_empty() {
                    // Idle subscriptions are many, and most have had something to say once.
                    self.items = VecDeque::new();
                }
                self.settle(&item, settles);
                return Some(item);
            }
            if self.ended {
                return None;
            }
            self.take_inbox();
            self.end_pauses();
            // What this has left to say comes before anything is read.
            if self.items.is_empty() {
                let slot = self.turns.pop_front()?;
                self.advance(slot);
            }
        }
    }

    /// What an item tells of a gap is known from here on.
    fn settle(&mut self, item: &Item, settles: Option<(Slot, Position)>) {
        if let Some((slot, position)) = settles
            && let Some(member) = self.members.get_mut(slot.index as usize)
            && member.serial == slot.serial
        {
            member.delivered = position;
        }
        // Nothing was read yet since the pattern was subscribed to.
        if let Item::Gap(Gap { interest: Interest::Pattern(pattern), .. }) = item {
            for (_, member) in &mut self.members {
                let at = member.reader.at;
                if member.delivered.epoch != at.epoch && pattern.matches(member.channel.name()) {
                    member.delivered = at;
                }
            }
        }
    }

    /// Takes in what came since.
    pub(super) fn take_inbox(&mut self) {
        self.take_channels();
        while std::mem::take(&mut self.patterns_begun) {
            self.hear_of_patterns();
        }
    }

    pub(super) fn take_channels(&mut self) {
        // Read before the channels are taken: what is lost later counts as missed.
        let losses = (self.patterns > 0).then(|| self.hub.shared.losses.position());
        let (joined, patterns_begun) = self.subscriber.take(|slot| {
            if let Some(member) = self.members.get_mut(slot.index as usize)
                && member.serial == slot.serial
                && member.ticket.take().is_some()
            {
                self.turns.push_back(slot);
            }
        });
        self.patterns_begun |= patterns_begun;
        for channel in joined {
            self.take_in(channel);
        }
        self.losses = losses.unwrap_or(self.losses);
    }

    fn end_pauses(&mut self) {
        if self.paused.is_empty() {
            return;
        }
        let now = self.hub.shared.now();
        while let Some(Reverse(pause)) = self.paused.peek()
            && pause.until <= now
        {
            self.turns.push_back(Slot { index: pause.index, serial: pause.serial });
            self.paused.pop();
        }
    }

    /// Reads on in one channel.
    fn advance(&mut self, slot: Slot) {
        let now = self.hub.shared.now();
        let quantum = self.quantum();
        let Some(member) = self.members.get_mut(slot.index as usize) else { return };
        if member.serial != slot.serial {
            return;
        }
        if member.pending.is_some() {
            return self.begin_pending(slot);
        }
        let interval = member.channel.options().min_interval;
        if member.reader.batch_end.is_none()
            && let Some(due) = member.due
            && now < due
        {
            let pause = Pause { until: due, index: slot.index, serial: slot.serial };
            self.paused.push(Reverse(pause));
            return;
        }
        let catches_up = member.due.is_none() && member.reader.batch_end.is_some();
        let begins = member.reader.batch_end.is_none();
        let subscriber = (&self.subscriber, slot);
        let read =
            member.channel.read(&mut member.reader, quantum, subscriber, &mut self.staged, now);
        if !self.staged.is_empty() {
            self.staged_from = slot.index;
            add(&self.hub.shared.counters.delivered, self.staged.len() as u64);
            if begins && !interval.is_zero() {
                member.due = Some(now + interval);
            }
        }
        match read {
            Read::Idle(ticket) => member.ticket = Some(ticket),
            Read::More => self.turns.push_back(slot),
            Read::BatchOver if catches_up => self.turns.push_back(slot),
            Read::BatchOver => {
                let until = member.due.unwrap_or(now);
                self.paused.push(Reverse(Pause { until, index: slot.index, serial: slot.serial }));
            }
            Read::Presence(kind) => {
                let channel = member.channel.name().clone();
                self.push_item(Item::Presence(PresenceChange { channel, kind }));
                self.turns.push_front(slot);
            }
            Read::Passed(on, reason) => self.passed(slot, on, reason),
            Read::Lost => self.lose_member(slot.index),
        }
    }

    /// How much to read in one channel, before it is the turn of the next.
    ///
    /// With many channels about in the order in which all was published: the closer it is to that,
    /// the fewer channels a cursor has to name, or else to fall back behind.
    fn quantum(&self) -> Quantum {
        let quantum = Quantum { publications: QUANTUM, bytes: QUANTUM_BYTES, until: u64::MAX };
        if !self.finds_many() {
            return quantum;
        }
        let next = self.turns.front().and_then(|slot| self.members.get(slot.index as usize));
        match next.map(|member| member.channel.standing(member.reader.at)) {
            Some(Standing::Before(until)) => Quantum { until, ..quantum },
            _ => quantum,
        }
    }

    /// The log has moved past the reader.
    fn passed(&mut self, slot: Slot, on: Position, reason: GapReason) {
        let member = &mut self.members[slot.index as usize];
        let channel = member.channel.name().clone();
        let is_slow = reason == GapReason::Slow;
        if is_slow && member.channel.options().overflow == Overflow::Disconnect {
            self.push_item(Item::Disconnected { channel });
            self.end();
            return;
        }
        let gap = Gap {
            interest: Interest::Channel(channel),
            reason,
            from: Some(member.delivered),
            to: Some(on),
        };
        if !is_slow {
            // It was an offset in what was lost.
            member.reader.batch_end = None;
        }
        member.reader.at = on;
        self.push_gap(gap, Some(slot));
        self.turns.push_back(slot);
    }

    /// A channel that was found by a pattern is gone. A mirror is no loss to who has read all of it:
    /// whatever it did not have yet, the backplane has.
    pub(super) fn lose_member(&mut self, index: u32) {
        let member = &self.members[index as usize];
        let from = match member.pending.as_ref().map(|pending| pending.start) {
            Some(Start::PassedOn) => None,
            _ => Some(member.delivered),
        };
        let channel = self.remove_member(index);
        let name = channel.name().clone();
        let shared = &self.hub.shared;
        match from {
            None if channel.is_unused() => return,
            Some(at) if at == channel.end() => {
                if shared.backplane.is_none() {
                    return;
                }
                if self.left.len() < shared.max_channels {
                    self.left.insert(name, at);
                    return;
                }
            }
            _ => {}
        }
        let interest = Interest::Channel(name);
        self.push_gap(Gap { interest, reason: GapReason::Slow, from, to: None }, None);
    }
}

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::sequence::Sequence;
use super::{ChannelOptions, Epoch, GapReason, Offset, Position, Publication};

/// The publications of a channel that can still be read, in the order of their offsets.
pub(super) struct Log {
    epoch: Epoch,
    /// The offset of the last publication.
    top: Offset,
    /// Up to here something is gone that nothing newer has superseded.
    floor: Offset,
    /// Who has heard all up to that number has missed nothing of what is gone.
    floor_number: u64,
    sequence: Arc<Sequence>,
    entries: VecDeque<Entry>,
    /// Where channels are conflated: the offset of the newest publication of each key.
    newest: HashMap<Box<str>, Offset>,
}

struct Entry {
    publication: Arc<Publication>,
    at: Instant,
    /// Among all publications of the hub.
    number: u64,
}

impl Entry {
    fn offset(&self) -> Offset {
        self.publication.position().offset
    }
}

/// How a subscriber stands in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has all of it.
    AtTop,
    /// It has all up to before that [number](Sequence).
    Before(u64),
    /// It was in another log, or in a part that was lost.
    Elsewhere,
}

/// By what a subscriber is ahead of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ahead {
    /// Also by publications that are gone.
    OfTheFloor,
    /// By some that can be replayed.
    OfSome,
}

/// How much of a log may be replayed to one who comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplayLimit {
    pub(super) publications: usize,
    pub(super) bytes: usize,
}

impl Log {
    pub(super) fn new(epoch: Epoch, sequence: Arc<Sequence>) -> Self {
        Log {
            epoch,
            top: 0,
            floor: 0,
            floor_number: 0,
            sequence,
            entries: VecDeque::new(),
            newest: HashMap::new(),
        }
    }

    /// The place after the last publication.
    pub(super) fn top(&self) -> Position {
        self.position(self.top)
    }

    pub(super) fn floor(&self) -> Position {
        self.position(self.floor)
    }

    fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.epoch, offset }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Where the next publication will be.
    pub(super) fn next(&self) -> Position {
        self.position(self.top + 1)
    }

    /// Appends the publication that was made for [`next`](Self::next).
    pub(super) fn push(&mut self, publication: Arc<Publication>, at: Instant, conflate: bool) {
        debug_assert_eq!(publication.position(), self.next());
        // Clocks of other machines may go back; the log is in the order of its times.
        let at = self.entries.back().map_or(at, |last| last.at.max(at));
        self.top += 1;
        if conflate {
            self.supersede(publication.key().unwrap_or_default());
        }
        let number = self.sequence.next();
        self.entries.push_back(Entry { publication, at, number });
    }

    /// A number for something else than a publication, in the same order.
    pub(super) fn draw_number(&self) -> u64 {
        self.sequence.next()
    }

    /// Forgets all, and begins another log.
    pub(super) fn begin(&mut self, epoch: Epoch, offset: Offset) {
        self.skip_to(offset);
        self.epoch = epoch;
    }

    /// Forgets all, and goes on after that offset.
    pub(super) fn skip_to(&mut self, offset: Offset) {
        while self.drop_oldest() {}
        self.top = offset;
        self.floor = offset;
        self.floor_number = self.sequence.next();
    }

    /// The publication with that offset, if it is there.
    pub(super) fn get(&self, offset: Offset) -> Option<&Publication> {
        let entry = self.entries.get(self.after(offset.checked_sub(1)?))?;
        (entry.offset() == offset).then_some(&entry.publication)
    }

    /// Takes out the publication with that key, to whose place the next one comes.
    fn supersede(&mut self, key: &str) {
        let earlier = match self.newest.get_mut(key) {
            Some(newest) => std::mem::replace(newest, self.top),
            None => {
                self.newest.insert(key.into(), self.top);
                return;
            }
        };
        let index = self.after(earlier - 1);
        if let Some(entry) = self.entries.remove(index) {
            debug_assert_eq!(entry.offset(), earlier);
            entry.publication.release();
        }
    }

    /// The index of the first entry after an offset.
    fn after(&self, offset: Offset) -> usize {
        match self.entries.front() {
            Some(first) if first.offset() <= offset => {
                self.entries.partition_point(|entry| entry.offset() <= offset)
            }
            _ => 0,
        }
    }

    /// The publications after an offset, from the oldest.
    pub(super) fn read(&self, after: Offset) -> impl Iterator<Item = &Arc<Publication>> {
        self.entries.range(self.after(after)..).map(|entry| &entry.publication)
    }

    /// Drops the oldest publication.
    pub(super) fn drop_oldest(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.floor = entry.offset();
        self.floor_number = entry.number;
        let key = entry.publication.key().unwrap_or_default();
        if self.newest.get(key) == Some(&self.floor) {
            self.newest.remove(key);
        }
        entry.publication.release();
        true
    }

    /// Drops what is neither history nor, where `lagging` subscribers have yet to read it, backlog.
    pub(super) fn trim(&mut self, options: &ChannelOptions, lagging: bool, now: Instant) {
        let backlog = if lagging { options.backlog } else { 0 };
        while self.len() > options.history_size.max(backlog)
            || self.len() > backlog && self.oldest_is_over(options.history_age, now)
        {
            self.drop_oldest();
        }
    }

    fn oldest_is_over(&self, age: Duration, now: Instant) -> bool {
        self.entries.front().is_some_and(|entry| is_over(entry, age, now))
    }

    /// Up to where nothing can be replayed any more: it is out of the history, though it may still
    /// be in the backlog.
    fn replay_floor(&self, options: &ChannelOptions, now: Instant) -> Offset {
        let beyond = self.len().saturating_sub(options.history_size);
        let over = self.entries.partition_point(|entry| is_over(entry, options.history_age, now));
        match beyond.max(over).checked_sub(1) {
            Some(last) => self.entries[last].offset(),
            None => self.floor,
        }
    }

    /// Whether one who has everything up to that position can get all that was published since, and
    /// if not, why. It is the same epoch and there is no hole up to the top, or there is nothing to
    /// get.
    pub(super) fn recovers(
        &self,
        since: Position,
        options: &ChannelOptions,
        limit: ReplayLimit,
        now: Instant,
    ) -> Result<(), GapReason> {
        if since.epoch != self.epoch {
            return Err(GapReason::Epoch);
        }
        if since.offset > self.top {
            return Err(GapReason::Ahead);
        }
        if since.offset == self.top {
            return Ok(());
        }
        if since.offset < self.replay_floor(options, now) {
            return Err(GapReason::Expired);
        }
        if since.offset < self.limit_floor(limit) {
            return Err(GapReason::Limit);
        }
        Ok(())
    }

    /// Where one stands who has heard all up to a [number](Sequence). `None`: more than that is
    /// gone.
    pub(super) fn after_number(&self, number: u64) -> Option<Position> {
        if self.floor_number > number {
            return None;
        }
        let heard = self.entries.partition_point(|entry| entry.number <= number);
        Some(match self.entries.get(heard) {
            Some(next) => self.position(next.offset() - 1),
            None => self.top(),
        })
    }

    /// How one stands who has got everything up to that position.
    pub(super) fn standing(&self, at: Position) -> Standing {
        if at == self.top() {
            return Standing::AtTop;
        }
        if at.epoch != self.epoch || at.offset > self.top {
            return Standing::Elsewhere;
        }
        let next = match at.offset < self.floor {
            true => self.floor_number,
            false => self.entries.get(self.after(at.offset)).map_or(0, |entry| entry.number),
        };
        Standing::Before(next)
    }

    /// Whether one who has got everything up to that position, in this log, is ahead of one who has
    /// heard all up to a number, and whether the other would miss something by that.
    pub(super) fn is_ahead(&self, at: Position, number: u64) -> Option<Ahead> {
        match self.after_number(number) {
            None => Some(Ahead::OfTheFloor),
            Some(other) if other.offset < at.offset => Some(Ahead::OfSome),
            Some(_) => None,
        }
    }

    /// Where the history begins.
    pub(super) fn history_floor(&self, options: &ChannelOptions, now: Instant) -> Position {
        self.position(self.replay_floor(options, now))
    }

    /// Where to begin for one whose gap may end before the top.
    pub(super) fn oldest_replay(
        &self,
        options: &ChannelOptions,
        limit: ReplayLimit,
        now: Instant,
    ) -> Position {
        self.position(self.replay_floor(options, now).max(self.limit_floor(limit)))
    }

    /// Up to where nothing can be replayed because all after it is as much as may be. One
    /// publication may be larger than that.
    fn limit_floor(&self, limit: ReplayLimit) -> Offset {
        let mut bytes = 0;
        for (count, entry) in self.entries.iter().rev().enumerate() {
            bytes += entry.publication.size();
            if count == limit.publications || count > 0 && bytes > limit.bytes {
                return entry.offset();
            }
        }
        self.floor
    }
}

fn is_over(entry: &Entry, age: Duration, now: Instant) -> bool {
    now.saturating_duration_since(entry.at) >= age
}

impl Drop for Log {
    /// Others may hold the publications for longer.
    fn drop(&mut self) {
        for entry in &self.entries {
            entry.publication.release();
        }
    }
}

#[cfg(test)]
mod tests;

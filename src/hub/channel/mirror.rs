//! Channels whose log is a mirror of the backplane's.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::{Channel, Start, State};
use crate::hub::backplane::{Page, Record, Top};
use crate::hub::patterns::Patterns;
use crate::hub::{Epoch, GapReason, Offset, Position, Publication};

/// How many publications wait at most until those before them were read, and how many bytes of
/// data. What is beyond that is read later.
const HELD: usize = 1024;
const HELD_BYTES: usize = 1024 * 1024;

/// What is known of the log that is mirrored.
#[derive(Default)]
pub(super) struct Mirror {
    /// The log was read to its end once: before, nobody knows where to begin.
    pub(super) live: bool,
    /// What there is belongs to the log of the backplane, if not all of it.
    begun: bool,
    /// It is being read. Publications that are delivered meanwhile wait.
    reading: bool,
    /// How often it was read to its end.
    reads: u64,
    /// The backplane has passed on another publication at a place that was taken.
    forked: bool,
    /// When the last publication was published.
    top_millis: u64,
    /// Up to here something is missing that the backplane no longer has.
    pub(super) hole_end: Offset,
    /// Where the mirror ended when something after that could not be read, though it may only have
    /// been on its way.
    doubt: Option<Offset>,
    held: Vec<Record>,
    held_bytes: usize,
    /// What is being read is not all: there is more than could be held, or than was passed on.
    again: bool,
    /// Nobody has listened when this was last looked at.
    unwatched: bool,
    /// What was passed on since there is the mirror.
    heard: Option<Heard>,
    /// The backplane has listened to the channel by its name.
    listened: bool,
    /// It was asked for the channel again when the log ended here. By the time it answers, all up to
    /// here was passed on that it has listened to.
    asked: Option<Position>,
    /// It has answered.
    answered: Option<Position>,
}

/// What the backplane has passed on.
#[derive(Clone, Copy)]
struct Heard {
    /// The place before the first publication.
    first: Position,
    /// The place after the last one.
    last: Position,
    /// When it began, in the [sequence](crate::hub::sequence::Sequence).
    number: u64,
}

/// What became of a publication that the backplane has passed on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hub) enum Delivery {
    Appended,
    Duplicate,
    /// It waits until the log was read, as is being done.
    Held,
    /// It waits until the log was read. The caller has to do it.
    Missing,
}

/// What became of a part of the log that was read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::hub) enum Loaded {
    Done,
    /// Read on.
    More,
    /// Something is missing that may be on its way: read again, a while later.
    Unsure,
    /// The end of the log was lost, and another one has grown in its place, or will: it has to
    /// begin anew.
    Forked(Epoch),
}

impl Channel {
    /// Takes in a publication. A channel that the hub has dropped gives it back.
    pub(in crate::hub) fn deliver(
        self: &Arc<Self>,
        record: Record,
        patterns: &Patterns,
        now: Instant,
        unix_millis: u64,
    ) -> Result<Delivery, Record> {
        let mut wakers = Vec::new();
        let Ok(mut state) = self.enter(patterns, &mut wakers) else { return Err(record) };
        let is_first = state.hear(record.position);
        let delivery = self.offer(&mut state, record, now, unix_millis);
        if delivery == Delivery::Appended || is_first {
            self.trim_and_tell(state, now, wakers);
        } else {
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
        Ok(delivery)
    }

    fn offer(&self, state: &mut State, record: Record, now: Instant, unix_millis: u64) -> Delivery {
        let top = state.log.top();
        let Some(mirror) = &mut state.mirror else { return Delivery::Duplicate };
        if !mirror.live || mirror.reading {
            mirror.hold(record);
            return if std::mem::replace(&mut mirror.reading, true) {
                Delivery::Held
            } else {
                Delivery::Missing
            };
        }
        let position = record.position;
        if position.epoch == top.epoch && position.offset <= top.offset {
            // At the same place there may be another one: the log is not what it was.
            let forked = match state.log.get(position.offset) {
                Some(publication) => !publication.is(&record),
                None => position.offset == top.offset && mirror.top_millis != record.unix_millis,
            };
            mirror.reading = forked;
            mirror.forked |= forked;
            return if forked { Delivery::Missing } else { Delivery::Duplicate };
        }
        if position != state.log.next() {
            mirror.hold(record);
            mirror.reading = true;
            return Delivery::Missing;
        }
        self.append(state, record, now, unix_millis);
        Delivery::Appended
    }

    fn append(&self, state: &mut State, record: Record, now: Instant, unix_millis: u64) {
        let age = Duration::from_millis(unix_millis.saturating_sub(record.unix_millis));
        let at = now.checked_sub(age).unwrap_or(now);
        if let Some(mirror) = &mut state.mirror {
            mirror.top_millis = record.unix_millis;
        }
        let publication = Publication::from_record(self.name.clone(), record, self.budget.clone());
        state.log.push(Arc::new(publication), at, self.options.conflates());
    }

    /// After which offset to read the log of the backplane. The last publication that there is is
    /// read again: it tells whether the log is still the same.
    pub(in crate::hub) fn read_after(&self) -> Offset {
        let state = self.lock();
        let begun = state.mirror.as_ref().is_some_and(|mirror| mirror.begun);
        if begun { state.log.top().offset.saturating_sub(1) } else { 0 }
    }

    /// Says that the log is about to be read. `false`: it is being read already, and will be read
    /// once more.
    pub(in crate::hub) fn begin_reading(&self) -> bool {
        let mut state = self.lock();
        let Some(mirror) = state.mirror.as_mut() else { return false };
        mirror.again = mirror.reading;
        !std::mem::replace(&mut mirror.reading, true)
    }

    /// The backplane listens to the channel: what it has passed on before was taken in.
    pub(in crate::hub) fn set_listened(&self) {
        if let Some(mirror) = &mut self.lock().mirror {
            mirror.listened = true;
            mirror.answered = mirror.answered.or(mirror.asked);
        }
    }

    /// Whether the log ends elsewhere than the mirror. Then it is about to be read.
    pub(in crate::hub) fn differs(&self, top: Top) -> bool {
        let mut state = self.lock();
        let here = state.log.top();
        let Some(mirror) = &mut state.mirror else { return false };
        let same = here == top.position && mirror.top_millis == top.unix_millis;
        if mirror.reading || mirror.live && same {
            return false;
        }
        mirror.reading = true;
        true
    }

    /// The log could not be read.
    pub(in crate::hub) fn stop_reading(&self) {
        if let Some(mirror) = &mut self.lock().mirror {
            mirror.reading = false;
        }
    }

    /// Takes in what was read after an offset.
    pub(in crate::hub) fn load(
        self: &Arc<Self>,
        after: Offset,
        page: Page,
        patterns: &Patterns,
        now: Instant,
        unix_millis: u64,
    ) -> Loaded {
        let mut wakers = Vec::new();
        let Ok(mut state) = self.enter(patterns, &mut wakers) else { return Loaded::Done };
        let mut page = page;
        if let Some(epoch) = state.is_forked(&page) {
            self.trim_and_tell(state, now, wakers);
            return Loaded::Forked(epoch);
        }
        if !state.begin_unless_same(after, &mut page) {
            self.trim_and_tell(state, now, wakers);
            return Loaded::More;
        }
        let lost_to = state.lost_to(page.top.position);
        let mut records = page.records;
        if !page.more {
            // The history may be short, or none: what waits need not be in it.
            records.extend(state.take_held(page.top.position));
            records.sort_by_key(|record| record.position.offset);
            records.dedup_by_key(|record| record.position.offset);
        }
        let top = state.log.top().offset;
        let news = records.into_iter().filter(|record| record.position.offset > top);
        for record in news {
            if !state.skip_to(record.position.offset - 1, lost_to) {
                self.trim_and_tell(state, now, wakers);
                return Loaded::Unsure;
            }
            self.append(&mut state, record, now, unix_millis);
        }
        if !page.more && !state.skip_to(page.top.position.offset, lost_to) {
            self.trim_and_tell(state, now, wakers);
            return Loaded::Unsure;
        }
        let mut loaded = Loaded::More;
        if !page.more {
            loaded = self.release_held(&mut state, top, page.top, now, unix_millis);
        }
        self.trim_and_tell(state, now, wakers);
        loaded
    }

    /// The log was read to its end: what waited for that follows.
    fn release_held(
        &self,
        state: &mut State,
        before: Offset,
        top: Top,
        now: Instant,
        unix_millis: u64,
    ) -> Loaded {
        let end = state.log.top();
        let Some(mirror) = &mut state.mirror else { return Loaded::Done };
        mirror.live = true;
        mirror.reading = false;
        mirror.doubt = None;
        mirror.reads += 1;
        if end == top.position {
            mirror.top_millis = top.unix_millis;
        }
        mirror.held_bytes = 0;
        let again = std::mem::take(&mut mirror.again);
        let mut more = false;
        let mut held = std::mem::take(&mut mirror.held);
        held.retain(|record| record.position.epoch == end.epoch);
        held.sort_by_key(|record| record.position.offset);
        for record in held {
            // What still does not follow is held again.
            more |= self.offer(state, record, now, unix_millis) == Delivery::Missing;
        }
        let progresses = again || state.log.top().offset != before;
        let Some(mirror) = &mut state.mirror else { return Loaded::Done };
        mirror.reading = (again || more) && (progresses || mirror.forked);
        if mirror.reading {
            return Loaded::More;
        }
        // What follows on nothing, though all there is was read, was not passed on by the backplane.
        mirror.held.clear();
        Loaded::Done
    }

    /// Whether nobody listens, and nobody did when this was last asked.
    pub(in crate::hub) fn is_unwatched(&self) -> bool {
        let mut state = self.lock();
        let watched = state.subscribers > 0;
        let Some(mirror) = &mut state.mirror else { return false };
        std::mem::replace(&mut mirror.unwatched, !watched) && !watched
    }

    /// The end of the log, if it is known.
    pub(in crate::hub) fn known_top(&self) -> Option<Position> {
        let state = self.lock();
        let live = state.mirror.as_ref().is_none_or(|mirror| mirror.live);
        live.then(|| state.log.top())
    }
}

impl Mirror {
    /// Somebody listens. Whoever has found the channel by a pattern, and not by its name, gets all
    /// that is passed on from now on, wherever the log ends when it is read.
    pub(super) fn attach(&mut self, start: Start, pinned: bool) -> Start {
        self.unwatched = false;
        match (start, self.heard) {
            (Start::Live, Some(heard)) if !self.live && !pinned => Start::From(heard.last),
            (Start::Live, None) if !self.live && !pinned => Start::PassedOn,
            (Start::Heard(_), None) => Start::PassedOn,
            (Start::Heard(number), Some(heard)) if number < heard.number => Start::PassedOn,
            _ => start,
        }
    }

    /// Where one begins for whom it counts what was passed on. `None`: for whom it does not.
    pub(super) fn heard(&self, start: Start) -> Option<Option<Position>> {
        match start {
            Start::From(position) => Some(Some(position)),
            Start::PassedOn => Some(self.first_heard()),
            // Asked for by name, it begins in any case.
            Start::Beginning => Some(self.first_heard().or(self.answered)),
            _ => None,
        }
    }

    /// The beginning of what was passed on.
    pub(super) fn first_heard(&self) -> Option<Position> {
        self.heard.map(|heard| heard.first)
    }

    /// The end of it.
    pub(super) fn last_heard(&self) -> Option<Position> {
        self.heard.map(|heard| heard.last)
    }

    /// What waits and comes before a page, or before the end of the log where that is empty.
    fn held_before(&self, page: &Page) -> Vec<Record> {
        let top = page.top.position;
        let next = page.records.first().map_or(top.offset + 1, |first| first.position.offset);
        let is_earlier =
            |record: &&Record| record.position.epoch == top.epoch && record.position.offset < next;
        let mut earlier: Vec<Record> = self.held.iter().filter(is_earlier).cloned().collect();
        earlier.sort_by_key(|record| record.position.offset);
        earlier.dedup_by_key(|record| record.position.offset);
        earlier
    }

    /// How often the log will have been read when what there is now was surely read.
    pub(super) fn reads_to_come(&self) -> u64 {
        self.reads + 1 + u64::from(self.reading)
    }

    pub(super) fn was_read(&self, reads: u64) -> bool {
        self.reads >= reads
    }

    /// Whether that is so of the log and not only of the mirror. A subscriber may have been on
    /// another node, which was told of publications, or of a new log, before this one.
    pub(super) fn settles(&self, outcome: Option<Result<(), GapReason>>) -> bool {
        !matches!(outcome, Some(Err(GapReason::Ahead | GapReason::Epoch)))
    }

    fn hold(&mut self, record: Record) {
        let bytes = record.content.data.len();
        if self.held.len() >= HELD || self.held_bytes + bytes > HELD_BYTES && !self.held.is_empty()
        {
            self.again = true;
            return;
        }
        self.held_bytes += bytes;
        self.held.push(record);
    }
}

impl State {
    /// A publication is passed on. Says whether it is the first.
    fn hear(&mut self, position: Position) -> bool {
        let Some(mirror) = &mut self.mirror else { return false };
        if let Some(Heard { last, .. }) = &mut mirror.heard {
            if last.epoch != position.epoch || last.offset < position.offset {
                *last = position;
            }
            return false;
        }
        let first = Position { offset: position.offset.saturating_sub(1), ..position };
        mirror.heard = Some(Heard { first, last: position, number: self.log.draw_number() });
        true
    }

    /// The log is about to be read because somebody has to know how it is now. `false`: it is being
    /// read, or will be without that.
    pub(super) fn begin_to_verify(&mut self) -> bool {
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.live) else { return false };
        !std::mem::replace(&mut mirror.reading, true)
    }

    /// The backplane is about to be asked for the channel again: what it has passed on by then tells
    /// whether anything in the log is new.
    pub(super) fn begin_to_ask(&mut self) -> bool {
        let top = self.log.top();
        let is_ready = |mirror: &&mut Box<Mirror>| mirror.live && mirror.listened;
        let Some(mirror) = self.mirror.as_mut().filter(is_ready) else { return false };
        let is_first = mirror.asked.is_none();
        mirror.asked.get_or_insert(top);
        is_first
    }

    /// Whether the log of the backplane has the epoch of the mirror, but not its publications.
    fn is_forked(&self, page: &Page) -> Option<Epoch> {
        let mirror = self.mirror.as_ref().filter(|mirror| mirror.begun)?;
        let here = self.log.top();
        let there = page.top.position;
        if here.epoch != there.epoch {
            return None;
        }
        let at_here = page.records.iter().find(|record| record.position.offset == here.offset);
        let differs = match (at_here, self.log.get(here.offset)) {
            (Some(record), Some(publication)) => !publication.is(record),
            (Some(record), None) => record.unix_millis != mirror.top_millis,
            (None, _) => there.offset == here.offset && page.top.unix_millis != mirror.top_millis,
        };
        (mirror.forked || there.offset < here.offset || differs).then_some(here.epoch)
    }

    /// Begins the log, if it is not that of the page. `false`: it has to be read from its beginning.
    fn begin_unless_same(&mut self, after: Offset, page: &mut Page) -> bool {
        let top = page.top.position;
        let Some(mirror) = &mut self.mirror else { return true };
        if mirror.begun && self.log.top().epoch == top.epoch {
            return true;
        }
        mirror.live = false;
        mirror.begun = after == 0;
        if after > 0 {
            return false;
        }
        // The history may be short, or none: what waits goes before it.
        let earlier = mirror.held_before(page);
        page.records.splice(0..0, earlier);
        let before = page.records.first().map(|record| record.position.offset - 1);
        let before = before.unwrap_or(top.offset);
        self.log.begin(top.epoch, before);
        mirror.hole_end = before;
        mirror.doubt = None;
        mirror.top_millis = 0;
        mirror.forked = false;
        true
    }

    /// What waits, up to that position.
    fn take_held(&mut self, top: Position) -> Vec<Record> {
        let Some(mirror) = &mut self.mirror else { return Vec::new() };
        let is_in = |record: &mut Record| {
            record.position.epoch == top.epoch && record.position.offset <= top.offset
        };
        mirror.held.extract_if(.., is_in).collect()
    }

    /// Up to where it is known that what is missing is not on its way. The order in which things are
    /// passed on is that of the log.
    fn lost_to(&self, top: Position) -> Offset {
        let Some(mirror) = &self.mirror else { return 0 };
        let held = mirror.held.iter().filter(|record| record.position.epoch == top.epoch);
        let last = held.map(|record| record.position.offset).max();
        if !mirror.live && last.is_none() || mirror.doubt == Some(self.log.top().offset) {
            return Offset::MAX;
        }
        last.map_or(0, |last| last - 1)
    }

    /// What is missing up to that offset is gone. `false`: it may be on its way.
    fn skip_to(&mut self, offset: Offset, lost_to: Offset) -> bool {
        let here = self.log.top().offset;
        let Some(mirror) = &mut self.mirror else { return true };
        if offset <= here {
            return true;
        }
        if offset > lost_to {
            mirror.doubt = Some(here);
            return false;
        }
        self.log.skip_to(offset);
        mirror.hole_end = offset;
        true
    }
}

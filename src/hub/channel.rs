use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use super::budget::Budget;
use super::idempotency::Seen;
use super::log::{Ahead, Log, ReplayLimit, Standing};
use super::patterns::Patterns;
use super::presence::{Client, Presence, PresenceKind};
use super::sequence::Sequence;
use super::subscriber::{Idle, Slot, Subscriber, Ticket, Woken};
use super::{
    AfterGap, ChannelName, ChannelOptions, Epoch, GapReason, History, Message, Offset, Position,
    PresenceMode, Publication, Published,
};

mod mirror;

use mirror::Mirror;
pub(super) use mirror::{Delivery, Loaded};

/// About what a channel takes besides its publications.
const OVERHEAD: usize = 512;

/// A channel: its log, and who waits for more.
///
/// Publishing appends to the log and takes those who wait in one step, so that the order of the
/// positions is the order of delivery.
pub(super) struct Channel {
    name: ChannelName,
    options: Arc<ChannelOptions>,
    budget: Arc<Budget>,
    /// When it was used last, by the clock of the hub's channels.
    used: AtomicU64,
    state: Mutex<State>,
}

struct State {
    log: Log,
    idle: Idle,
    /// All subscribers, idle or not.
    subscribers: usize,
    /// Those who have asked for it by name: the channel stays as long as there are any.
    pinned: usize,
    /// Whether the subscribers whose patterns match were told that there is the channel.
    announced: bool,
    /// The hub has dropped the channel; there may be another one by its name.
    lost: bool,
    seen: Seen,
    presence: Presence,
    /// Where the log is that of a backplane.
    mirror: Option<Box<Mirror>>,
}

/// The channel was dropped before it could be used: there may be another one by its name.
pub(super) struct Lost;

/// Where a subscriber wants to begin.
#[derive(Clone, Copy)]
pub(super) enum Start {
    /// With what is published from now on.
    Live,
    /// With all that was ever published: the channel has come into being while the subscriber was
    /// away.
    Beginning,
    After(Position),
    /// With all after that [number](Sequence).
    Heard(u64),
    /// Where it was before, but nobody knows where that is.
    Unknown,
    /// In a mirror, for one whose pattern matches: with the first publication that was passed on
    /// since there is the channel, when there is one.
    PassedOn,
    /// In a mirror, for one whose pattern matches: with what follows on a publication that was
    /// passed on before.
    From(Position),
}

/// How a subscriber reads the channel.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    /// All up to here was read.
    pub(super) at: Position,
    /// To be read without a pause: what there was when the reader began with it.
    pub(super) batch_end: Option<Offset>,
    /// How many changes of the presence were read.
    changes: u64,
}

impl Reader {
    /// One that is not to be read with yet.
    pub(super) fn at(position: Position) -> Self {
        Reader { at: position, batch_end: None, changes: 0 }
    }
}

/// What a subscriber gets when it begins.
pub(super) struct Attached {
    pub(super) reader: Reader,
    pub(super) recovered: bool,
    pub(super) gap: Option<(GapReason, Option<Position>)>,
}

/// Whether it is known where a subscriber begins.
pub(super) enum Begun {
    Now(Attached),
    /// When the log of the backplane was read; if need be, so many times in all.
    Later {
        start: Start,
        reads: u64,
    },
}

/// It is not known yet where a subscriber begins.
pub(super) enum NotYet {
    Waits {
        /// It is told when that may be known.
        ticket: Ticket,
        /// The log of the backplane has to be read for that, by the caller.
        read: bool,
        /// The backplane has to be asked for the channel again, by the caller.
        ask: bool,
    },
    /// The channel is gone.
    Lost,
}

/// What came of reading.
pub(super) enum Read {
    /// Nothing is left to read; the reader is registered to be told of more.
    Idle(Ticket),
    /// There is more to read.
    More,
    /// The batch is over; there may be more to read after a pause.
    BatchOver,
    /// Before all else: somebody has come or gone.
    Presence(PresenceKind),
    /// The log has moved past the reader: it goes on here, after a gap.
    Passed(Position, GapReason),
    /// The channel is gone, and with it what was not read.
    Lost,
}

/// How much to read at once.
pub(super) struct Quantum {
    pub(super) publications: usize,
    pub(super) bytes: usize,
    /// Only what comes before that [number](Sequence), or else one publication.
    pub(super) until: u64,
}

impl Channel {
    pub(super) fn new(
        name: ChannelName,
        options: Arc<ChannelOptions>,
        budget: Arc<Budget>,
        sequence: Arc<Sequence>,
        used: u64,
        mirrors: bool,
    ) -> Self {
        budget.charge(OVERHEAD + name.as_str().len());
        let state = State {
            log: Log::new(Epoch::random(), sequence),
            idle: Idle::default(),
            subscribers: 0,
            pinned: 0,
            announced: false,
            lost: false,
            seen: Seen::default(),
            presence: Presence::default(),
            mirror: mirrors.then(Box::default),
        };
        Channel { name, options, budget, used: used.into(), state: Mutex::new(state) }
    }

    pub(super) fn name(&self) -> &ChannelName {
        &self.name
    }

    pub(super) fn options(&self) -> &ChannelOptions {
        &self.options
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn touch(&self, tick: u64) {
        self.used.store(tick, Ordering::Relaxed);
    }

    /// No code of others runs under the lock, so a poisoned state is still a consistent one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks a channel that the hub still has. The first to do so tells the subscribers whose
    /// patterns match, before anything can be published. Wake the wakers without the lock.
    fn enter(
        self: &Arc<Self>,
        patterns: &Patterns,
        wakers: &mut Vec<Waker>,
    ) -> Result<MutexGuard<'_, State>, Lost> {
        let mut state = self.lock();
        if state.lost {
            return Err(Lost);
        }
        if !state.announced {
            state.announced = true;
            state.subscribers += patterns.announce(self, wakers);
        }
        Ok(state)
    }

    /// Appends a message to the log, which takes it, and tells those who wait.
    pub(super) fn publish(
        self: &Arc<Self>,
        message: &mut Message,
        patterns: &Patterns,
        now: Instant,
        unix_millis: u64,
    ) -> Result<Published, Lost> {
        let mut wakers = Vec::new();
        let mut state = self.enter(patterns, &mut wakers)?;
        let receivers = state.subscribers;
        if let Some(key) = &message.idempotency_key
            && let Some(position) = self.seen(&mut state, key, now)
        {
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
            return Ok(Published { position, receivers, duplicate: true });
        }
        let position = state.log.next();
        let mut message = std::mem::take(message);
        let key = message.idempotency_key.take();
        let publication = Publication::new(
            self.name.clone(),
            position,
            message,
            unix_millis,
            self.budget.clone(),
        );
        if let Some(key) = key {
            let before = state.seen.bytes();
            state.seen.insert(key, position, self.options.idempotency_size, now);
            self.charge_difference(before, state.seen.bytes());
        }
        state.log.push(Arc::new(publication), now, self.options.conflates());
        self.trim_and_tell(state, now, wakers);
        Ok(Published { position, receivers, duplicate: false })
    }

    /// There is something new in the log.
    fn trim_and_tell(&self, mut state: MutexGuard<'_, State>, now: Instant, wakers: Vec<Waker>) {
        let lagging = state.subscribers > 0;
        state.log.trim(&self.options, lagging, now);
        let woken = state.idle.take();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.tell(woken);
    }

    fn tell(&self, mut woken: Woken) {
        woken.tell();
        if woken.is_worth_recycling() {
            self.lock().idle.recycle(woken);
        }
    }

    fn seen(&self, state: &mut State, key: &str, now: Instant) -> Option<Position> {
        let before = state.seen.bytes();
        let position = state.seen.get(key, self.options.idempotency_age, now);
        self.charge_difference(before, state.seen.bytes());
        position
    }

    fn charge_difference(&self, before: usize, after: usize) {
        self.budget.charge(after.saturating_sub(before));
        self.budget.release(before.saturating_sub(after));
    }

    /// Adds a subscriber that has asked for the channel by name, or whose pattern matches.
    pub(super) fn attach(
        self: &Arc<Self>,
        start: Start,
        after_gap: AfterGap,
        limit: ReplayLimit,
        pinned: bool,
        patterns: &Patterns,
        now: Instant,
    ) -> Result<Begun, Lost> {
        let mut wakers = Vec::new();
        let mut state = self.enter(patterns, &mut wakers)?;
        state.subscribers += 1;
        state.pinned += usize::from(pinned);
        let start = match &mut state.mirror {
            Some(mirror) => mirror.attach(start, pinned),
            None => start,
        };
        let begun = self.begin_at(&state, start, after_gap, limit, None, now);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        Ok(begun)
    }

    /// Says where a subscriber begins that was added before that was known, or registers it to be
    /// told when it may be.
    pub(super) fn begin(
        &self,
        (start, reads): (Start, u64),
        after_gap: AfterGap,
        limit: ReplayLimit,
        (subscriber, slot): (&Arc<Subscriber>, Slot),
        now: Instant,
    ) -> Result<Attached, NotYet> {
        let mut state = self.lock();
        if state.lost {
            return Err(NotYet::Lost);
        }
        match self.begin_at(&state, start, after_gap, limit, Some(reads), now) {
            Begun::Now(attached) => Ok(attached),
            Begun::Later { .. } => {
                let ticket = state.idle.insert(subscriber.clone(), slot);
                let counts_heard = matches!(start, Start::PassedOn | Start::Beginning);
                let read = !counts_heard && state.begin_to_verify();
                let ask = matches!(start, Start::Beginning) && state.begin_to_ask();
                Err(NotYet::Waits { ticket, read, ask })
            }
        }
    }

    fn begin_at(
        &self,
        state: &State,
        start: Start,
        after_gap: AfterGap,
        limit: ReplayLimit,
        reads: Option<u64>,
        now: Instant,
    ) -> Begun {
        let log = &state.log;
        if let Some(mirror) = &state.mirror
            && let Some(at) = mirror.heard(start)
        {
            return match at {
                Some(at) if mirror.live => {
                    let changes = state.presence.count();
                    let reader = Reader { at, batch_end: None, changes };
                    Begun::Now(Attached { reader, recovered: true, gap: None })
                }
                _ => Begun::Later { start, reads: 0 },
            };
        }
        let since = match start {
            Start::Beginning if state.mirror.is_none() => Some(Position { offset: 0, ..log.top() }),
            Start::After(since) => Some(since),
            Start::Heard(number) => log.after_number(number),
            _ => None,
        };
        let outcome = match start {
            Start::Unknown => Some(Err(GapReason::Epoch)),
            Start::Heard(_) if since.is_none() => Some(Err(GapReason::Expired)),
            _ => since.map(|since| log.recovers(since, &self.options, limit, now)),
        };
        if let Some(mirror) = &state.mirror {
            let reads = reads.unwrap_or_else(|| mirror.reads_to_come());
            let verified = since.is_none() || mirror.settles(outcome) || mirror.was_read(reads);
            if !mirror.live || !verified {
                return Begun::Later { start, reads };
            }
        }
        let at = match (outcome, since) {
            (Some(Ok(())), Some(since)) => since,
            (Some(Err(_)), _) if after_gap == AfterGap::Oldest => {
                log.oldest_replay(&self.options, limit, now)
            }
            _ => log.top(),
        };
        let gap = match outcome {
            Some(Err(reason)) => Some((reason, since)),
            _ => None,
        };
        let reader =
            Reader { at, batch_end: Some(log.top().offset), changes: state.presence.count() };
        Begun::Now(Attached { reader, recovered: outcome == Some(Ok(())), gap })
    }

    /// How one reads whom the hub has added when the channel came into being.
    pub(super) fn reader_from_the_beginning(&self) -> Reader {
        let state = self.lock();
        let at = Position { offset: 0, ..state.log.top() };
        Reader { at, batch_end: None, changes: 0 }
    }

    /// Counts a subscriber, who is one already, among those that keep the channel.
    pub(super) fn pin(&self) -> Result<(), Lost> {
        let mut state = self.lock();
        if state.lost {
            return Err(Lost);
        }
        state.pinned += 1;
        Ok(())
    }

    /// The opposite of [`pin`](Self::pin).
    pub(super) fn unpin(&self) {
        self.lock().pinned -= 1;
    }

    /// How often the log of the backplane will have been read when it is known how it is now.
    pub(super) fn reads_to_come(&self) -> u64 {
        self.lock().mirror.as_ref().map_or(0, |mirror| mirror.reads_to_come())
    }

    /// A subscriber looks for itself whether there is news.
    pub(super) fn forget(&self, ticket: Ticket) {
        self.lock().idle.remove(ticket);
    }

    /// Takes a subscriber away.
    pub(super) fn detach(&self, ticket: Option<Ticket>, pinned: bool) {
        let mut state = self.lock();
        state.subscribers -= 1;
        state.pinned -= usize::from(pinned);
        if let Some(ticket) = ticket {
            state.idle.remove(ticket);
        }
    }

    /// Reads on. What is read is added to `out`.
    pub(super) fn read(
        &self,
        reader: &mut Reader,
        quantum: Quantum,
        (subscriber, slot): (&Arc<Subscriber>, Slot),
        out: &mut VecDeque<Arc<Publication>>,
        now: Instant,
    ) -> Read {
        let mut state = self.lock();
        if let Some(change) = state.presence.read(&mut reader.changes) {
            return Read::Presence(change);
        }
        let top = state.log.top();
        let floor = state.log.floor();
        if let Some(mirror) = &state.mirror {
            // Nothing more is missing than what the backplane has lost.
            if reader.at.epoch != floor.epoch {
                return Read::Passed(floor, GapReason::Epoch);
            }
            if reader.at.offset < mirror.hole_end.min(floor.offset) {
                return Read::Passed(floor, GapReason::Backplane);
            }
        }
        if reader.at.offset < floor.offset {
            if state.lost {
                return Read::Lost;
            }
            return Read::Passed(self.after_passed(floor, top), GapReason::Slow);
        }
        // Who has to pause after each batch gets what is there now, who need not whatever is there.
        let paces = !self.options.min_interval.is_zero();
        let end = match (paces, reader.batch_end) {
            (true, Some(end)) => end,
            (true, None) => top.offset,
            (false, _) => Offset::MAX,
        };
        let mut bytes = 0;
        let until = state.log.after_number(quantum.until - 1).unwrap_or(floor).offset;
        let mut left = state.log.read(reader.at.offset).peekable();
        while let Some(publication) =
            left.next_if(|publication| publication.position().offset <= end)
        {
            reader.at = publication.position();
            out.push_back(publication.clone());
            bytes += publication.size();
            let is_enough = out.len() >= quantum.publications || bytes >= quantum.bytes;
            if is_enough || reader.at.offset >= until {
                break;
            }
        }
        let next = left.peek().map(|publication| publication.position().offset);
        drop(left);
        if next.is_some_and(|next| next <= end) {
            reader.batch_end = paces.then_some(end);
            return Read::More;
        }
        reader.batch_end = None;
        if paces && (!out.is_empty() || next.is_some()) {
            return Read::BatchOver;
        }
        if state.lost {
            return Read::Lost;
        }
        let ticket = state.idle.insert(subscriber.clone(), slot);
        if state.idle.len() == state.subscribers && state.log.len() > self.options.history_size {
            state.log.trim(&self.options, false, now);
        }
        Read::Idle(ticket)
    }

    fn after_passed(&self, floor: Position, top: Position) -> Position {
        use super::Overflow::{Disconnect, DropOldest, Latest, Resume};
        match (self.options.overflow, self.options.after_gap) {
            (DropOldest | Latest, _) | (Resume, AfterGap::Oldest) => floor,
            (Resume, AfterGap::Newest) | (Disconnect, _) => top,
        }
    }

    /// Adds a connection of a client to those who are on the channel.
    pub(super) fn join(&self, client: &Client) {
        self.change_presence(|presence, announce| presence.join(client, announce));
    }

    /// Takes one away.
    pub(super) fn leave(&self, id: &str) {
        self.change_presence(|presence, announce| presence.leave(id, announce));
    }

    fn change_presence(&self, change: impl FnOnce(&mut Presence, bool) -> bool) {
        let mode = self.options.presence;
        if mode == PresenceMode::Off {
            return;
        }
        let mut state = self.lock();
        if change(&mut state.presence, mode == PresenceMode::Announced) {
            let woken = state.idle.take();
            drop(state);
            self.tell(woken);
        }
    }

    pub(super) fn presence(&self) -> Vec<Client> {
        self.lock().presence.list()
    }

    /// Up to where there are publications: in the log, or passed on and yet to be taken into it.
    pub(super) fn end(&self) -> Position {
        let state = self.lock();
        let top = state.log.top();
        let heard = state.mirror.as_ref().and_then(|mirror| mirror.last_heard());
        heard.filter(|heard| heard.epoch != top.epoch || heard.offset > top.offset).unwrap_or(top)
    }

    /// How one begins who waits for its log when a pattern of the same subscription begins.
    pub(super) fn start_with_pattern(&self) -> Start {
        match self.lock().mirror.as_ref().and_then(|mirror| mirror.last_heard()) {
            Some(last) => Start::From(last),
            None => Start::Beginning,
        }
    }

    /// Where it begins for one whose pattern matches: before what was passed on first.
    pub(super) fn first_heard(&self) -> Option<Position> {
        self.lock().mirror.as_ref()?.first_heard()
    }

    /// How one stands who has got everything up to that position.
    pub(super) fn standing(&self, at: Position) -> Standing {
        let state = self.lock();
        match state.log.standing(at) {
            Standing::Before(_) if state.lost => Standing::Elsewhere,
            // It may not have known that there is more.
            Standing::AtTop if state.lost && state.mirror.is_some() => Standing::Elsewhere,
            standing => standing,
        }
    }

    /// Whether one who stands there has got something beyond a number.
    pub(super) fn is_ahead(&self, at: Position, number: u64) -> Option<Ahead> {
        self.lock().log.is_ahead(at, number)
    }

    /// The number of what one gets first who begins like that: who waits longest comes first.
    pub(super) fn first_number(&self, start: Start) -> u64 {
        let state = self.lock();
        let at = match start {
            Start::After(position) => Some(position),
            Start::Heard(number) => state.log.after_number(number),
            Start::Beginning => Some(Position { offset: 0, ..state.log.top() }),
            Start::Live | Start::Unknown | Start::PassedOn | Start::From(_) => None,
        };
        match at.map(|at| state.log.standing(at)) {
            Some(Standing::Before(number)) => number,
            Some(Standing::AtTop | Standing::Elsewhere) | None => u64::MAX,
        }
    }

    /// How many subscribers it has.
    pub(super) fn receivers(&self) -> usize {
        self.lock().subscribers
    }

    /// The publications of the history after an offset, from the oldest.
    pub(super) fn history(&self, after: Offset, limit: ReplayLimit, now: Instant) -> History {
        let state = self.lock();
        let from = state.log.history_floor(&self.options, now);
        let mut bytes = 0;
        let publications = state
            .log
            .read(after.max(from.offset))
            .take(limit.publications)
            .take_while(|publication| {
                let first = bytes == 0;
                bytes += publication.size().max(1);
                first || bytes <= limit.bytes
            })
            .cloned()
            .collect();
        History { publications, from, to: state.log.top() }
    }

    /// Drops what is over by age.
    pub(super) fn trim(&self, now: Instant) {
        let mut state = self.lock();
        let lagging = state.idle.len() < state.subscribers;
        state.log.trim(&self.options, lagging, now);
    }

    /// Drops the oldest publications until the budget has room. Says whether there were any.
    pub(super) fn shrink(&self) -> bool {
        let mut state = self.lock();
        let before = state.log.len();
        while !self.budget.has_room() && state.log.drop_oldest() {}
        state.log.len() < before
    }

    /// Gives the channel up, unless a subscriber has asked for it by name. Those who wait are to be
    /// told.
    pub(super) fn lose(&self) -> Option<Woken> {
        let mut state = self.lock();
        if state.pinned > 0 {
            return None;
        }
        state.lost = true;
        while state.log.drop_oldest() {}
        Some(state.idle.take())
    }

    /// Whether the hub has given it up.
    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// Whether nothing was ever published here: nobody misses anything when it is gone.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.lock();
        match &state.mirror {
            Some(mirror) => mirror.last_heard().is_none(),
            None => state.log.top().offset == 0,
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.release(OVERHEAD + self.name.as_str().len() + state.seen.bytes());
    }
}

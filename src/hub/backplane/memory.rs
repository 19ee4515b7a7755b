use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime};

use super::{Backplane, Health, Outgoing, Page, Receipt, Record, Sink, Top, Unavailable, Work};
use crate::hub::idempotency::Seen;
use crate::hub::{ChannelName, Epoch, Offset, Pattern, Position};

/// How many publications are read at once.
const PAGE: usize = 256;

/// A backplane that joins the hubs of one process: each has a [`node`](Self::node) of it.
///
/// It is for tests of programs that run on several machines otherwise. It can be made to fail as
/// real ones do.
#[derive(Clone, Default)]
pub struct Memory(Arc<Broker>);

/// The part of a [`Memory`] that belongs to one hub.
#[derive(Clone)]
pub struct MemoryNode {
    broker: Arc<Broker>,
    node: Arc<Node>,
}

#[derive(Default)]
struct Broker {
    logs: Mutex<HashMap<ChannelName, Log>>,
    nodes: Mutex<Vec<Weak<Node>>>,
    passing: Mutex<Passing>,
    away: Mutex<Option<SystemTime>>,
}

/// What was appended and is yet to be passed on, in that order.
#[derive(Default)]
struct Passing {
    waiting: VecDeque<(ChannelName, Record)>,
    /// Somebody passes on already, one by one.
    busy: bool,
}

struct Log {
    top: Top,
    records: VecDeque<Record>,
    seen: Seen,
}

#[derive(Default)]
struct Node {
    sink: OnceLock<Sink>,
    attached: Mutex<HashSet<ChannelName>>,
    patterns: Mutex<HashSet<Pattern>>,
    /// So many of the next publications are not passed on.
    drops: AtomicUsize,
    deaf: AtomicBool,
    /// Work that is to be done later, if it is.
    deferred: Mutex<Option<Vec<Work<()>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Memory {
    /// One without any hub yet.
    pub fn new() -> Self {
        Memory::default()
    }

    /// The part of one hub, for [`Builder::backplane`](crate::hub::Builder::backplane).
    pub fn node(&self) -> MemoryNode {
        let node = Arc::<Node>::default();
        let mut nodes = lock(&self.0.nodes);
        nodes.retain(|node| node.strong_count() > 0);
        nodes.push(Arc::downgrade(&node));
        MemoryNode { broker: self.0.clone(), node }
    }

    /// Makes it fail, or work again: while it fails nothing is published, passed on or read.
    pub fn set_available(&self, available: bool) {
        *lock(&self.0.away) = (!available).then(SystemTime::now);
        if available {
            let nodes: Vec<_> = lock(&self.0.nodes).iter().filter_map(Weak::upgrade).collect();
            nodes.iter().for_each(|node| node.listen_again());
        }
    }

    /// Loses the log of a channel.
    pub fn lose(&self, channel: &ChannelName) {
        lock(&self.0.logs).remove(channel);
    }

    /// Loses the publications in the log of a channel, but not how many there were.
    pub fn lose_history(&self, channel: &ChannelName) {
        if let Some(log) = lock(&self.0.logs).get_mut(channel) {
            log.records.clear();
        }
    }

    /// Loses the last publications of a channel, as if they had never been published: what happens
    /// when a replica takes over that was behind.
    pub fn lose_end(&self, channel: &ChannelName, publications: usize) {
        let mut logs = lock(&self.0.logs);
        let Some(log) = logs.get_mut(channel) else { return };
        let left = log.records.len().saturating_sub(publications);
        let Some(first) = log.records.drain(left..).next() else { return };
        log.top.position.offset = first.position.offset - 1;
        log.top.unix_millis = log.records.back().map_or(0, |last| last.unix_millis);
    }
}

impl MemoryNode {
    /// Does not pass on so many of the next publications to this hub, and does not notice. Those of
    /// patterns are passed on.
    pub fn drop_deliveries(&self, publications: usize) {
        self.node.drops.store(publications, Ordering::Relaxed);
    }

    /// Passes on nothing to this hub until it is connected again.
    pub fn set_connected(&self, connected: bool) {
        self.node.deaf.store(!connected, Ordering::Relaxed);
        if connected {
            self.node.listen_again();
        }
    }

    /// Lets the logs of this hub be read later only, or what was put off until now be done.
    pub fn set_reading(&self, reading: bool) {
        let deferred = match reading {
            true => lock(&self.node.deferred).take(),
            false => lock(&self.node.deferred).replace(Vec::new()),
        };
        deferred.into_iter().flatten().for_each(run);
    }

    /// Tells the hub where the logs of its channels end, as real backplanes do now and then.
    pub fn check(&self) {
        let Some(sink) = self.node.sink.get() else { return };
        let attached = lock(&self.node.attached).clone();
        for channel in attached {
            let top = lock(&self.broker.logs).get(&channel).map(|log| log.top);
            match top {
                Some(top) => sink.check(&channel, top),
                None => sink.listening(&channel),
            }
        }
        sink.retry();
    }
}

impl Node {
    fn listen_again(&self) {
        let Some(sink) = self.sink.get() else { return };
        if self.deaf.load(Ordering::Relaxed) {
            return sink.retry();
        }
        sink.reconnected();
        sink.interrupted();
        let patterns = lock(&self.patterns).clone();
        patterns.iter().for_each(|pattern| sink.pattern_listening(pattern));
        let attached = lock(&self.attached).clone();
        attached.iter().for_each(|channel| sink.listening(channel));
        sink.retry();
    }

    /// Like Redis it passes on once for the channel, and once for each pattern.
    fn pass_on(&self, channel: &ChannelName, record: &Record) {
        if self.deaf.load(Ordering::Relaxed) {
            return;
        }
        let matches = |pattern: &&Pattern| pattern.matches(channel);
        let mut times = lock(&self.patterns).iter().filter(matches).count();
        let fewer = |drops: usize| drops.checked_sub(1);
        if lock(&self.attached).contains(channel)
            && self.drops.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_err()
        {
            times += 1;
        }
        let Some(sink) = self.sink.get() else { return };
        for _ in 0..times {
            // When the hub is gone, so is the node, soon.
            let _ = sink.deliver(channel, record.clone());
        }
    }
}

/// Whoever has it passes on.
struct Busy<'a>(&'a Broker);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        lock(&self.0.passing).busy = false;
    }
}

impl Broker {
    fn check_available(&self) -> Result<(), Unavailable> {
        match *lock(&self.away) {
            Some(_) => Err(Unavailable::new("it was made unavailable")),
            None => Ok(()),
        }
    }

    fn publish(&self, message: Outgoing) -> Result<Receipt, Unavailable> {
        self.check_available()?;
        let channel = message.channel.clone();
        let receipt = {
            let mut logs = lock(&self.logs);
            let log = logs.entry(channel.clone()).or_insert_with(Log::new);
            let (receipt, record) = log.append(message);
            lock(&self.passing).waiting.extend(record.map(|record| (channel, record)));
            receipt
        };
        self.pass_on();
        Ok(receipt)
    }

    /// Passes on what waits, unless somebody does already. Not under a lock: those who are woken by
    /// it may publish.
    fn pass_on(&self) {
        loop {
            let (channel, record) = {
                let mut passing = lock(&self.passing);
                if passing.busy {
                    return;
                }
                let Some(next) = passing.waiting.pop_front() else { return };
                passing.busy = true;
                next
            };
            let _busy = Busy(self);
            let nodes: Vec<_> = lock(&self.nodes).iter().filter_map(Weak::upgrade).collect();
            nodes.iter().for_each(|node| node.pass_on(&channel, &record));
        }
    }

    fn read(&self, channel: &ChannelName, after: Offset) -> Result<Page, Unavailable> {
        self.check_available()?;
        let mut logs = lock(&self.logs);
        let log = logs.entry(channel.clone()).or_insert_with(Log::new);
        let first = log.records.partition_point(|record| record.position.offset <= after);
        let records: Vec<_> = log.records.range(first..).take(PAGE).cloned().collect();
        let more = first + records.len() < log.records.len();
        Ok(Page { top: log.top, records, more })
    }

    fn renew(&self, channel: &ChannelName, epoch: Epoch) -> Result<(), Unavailable> {
        self.check_available()?;
        let mut logs = lock(&self.logs);
        if logs.get(channel).is_some_and(|log| log.top.position.epoch == epoch) {
            logs.remove(channel);
        }
        Ok(())
    }
}

impl Log {
    fn new() -> Self {
        let position = Position { epoch: Epoch::random(), offset: 0 };
        let top = Top { position, unix_millis: 0 };
        Log { top, records: VecDeque::new(), seen: Seen::default() }
    }

    fn append(&mut self, message: Outgoing) -> (Receipt, Option<Record>) {
        let now = moment(message.unix_millis);
        if let Some(key) = &message.idempotency_key
            && let Some(position) = self.seen.get(key, message.idempotency_age, now)
        {
            return (Receipt { position, duplicate: true }, None);
        }
        self.top.position.offset += 1;
        self.top.unix_millis = message.unix_millis;
        let position = self.top.position;
        if let Some(key) = message.idempotency_key {
            self.seen.insert(key, position, message.idempotency_size, now);
        }
        let record =
            Record { position, unix_millis: message.unix_millis, content: message.content };
        self.records.push_back(record.clone());
        while self.records.len() > message.history_size {
            self.records.pop_front();
        }
        (Receipt { position, duplicate: false }, Some(record))
    }
}

/// A time of day as one on the clock that never goes back.
fn moment(unix_millis: u64) -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    start.checked_add(Duration::from_millis(unix_millis)).unwrap_or(start)
}

/// Nothing that is done here ever waits.
fn run(mut work: Work<()>) {
    let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    debug_assert!(polled.is_ready());
}

impl Backplane for MemoryNode {
    fn start(&self, sink: Sink) {
        assert!(self.node.sink.set(sink).is_ok(), "a node of a Memory belongs to one hub");
    }

    fn spawn(&self, work: Work<()>) {
        if let Some(deferred) = &mut *lock(&self.node.deferred) {
            return deferred.push(work);
        }
        run(work);
    }

    fn attach(&self, channel: &ChannelName) {
        lock(&self.node.attached).insert(channel.clone());
        if let Some(sink) = self.node.sink.get() {
            sink.listening(channel);
        }
    }

    fn detach(&self, channel: &ChannelName) {
        let mut attached = lock(&self.node.attached);
        if !self.node.sink.get().is_some_and(|sink| sink.wants(channel)) {
            attached.remove(channel);
        }
    }

    fn has_patterns(&self) -> bool {
        true
    }

    fn attach_pattern(&self, pattern: &Pattern) {
        lock(&self.node.patterns).insert(pattern.clone());
        let is_deaf = self.node.deaf.load(Ordering::Relaxed);
        if let Some(sink) = self.node.sink.get()
            && !is_deaf
            && self.broker.check_available().is_ok()
        {
            sink.pattern_listening(pattern);
        }
    }

    fn detach_pattern(&self, pattern: &Pattern) {
        let mut patterns = lock(&self.node.patterns);
        if !self.node.sink.get().is_some_and(|sink| sink.wants_pattern(pattern)) {
            patterns.remove(pattern);
        }
    }

    fn publish(&self, message: Outgoing) -> Work<Result<Receipt, Unavailable>> {
        let broker = self.broker.clone();
        Box::pin(async move { broker.publish(message) })
    }

    fn read(&self, channel: &ChannelName, after: Offset) -> Work<Result<Page, Unavailable>> {
        let (broker, channel) = (self.broker.clone(), channel.clone());
        Box::pin(async move { broker.read(&channel, after) })
    }

    fn renew(&self, channel: &ChannelName, epoch: Epoch) -> Work<Result<(), Unavailable>> {
        Box::pin(ready(self.broker.renew(channel, epoch)))
    }

    fn health(&self) -> Health {
        match *lock(&self.broker.away) {
            Some(since) => {
                Health::Degraded { since, reason: Unavailable::new("it was made unavailable") }
            }
            None => Health::Ok,
        }
    }

    fn publish_timeout(&self) -> Duration {
        Duration::MAX
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryNode").finish_non_exhaustive()
    }
}

//! The connections of one hub, and what is done on them all the time.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use redis::aio::ConnectionLike as _;
use redis::cluster_routing::Slot;
use redis::{PushInfo, PushKind, Value, cmd};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::wire::{Keys, channel_of, decode_message, pubsub_pattern};
use super::{Connection, Link, Shared, logs};
use crate::hub::backplane::{Sink, Unavailable};
use crate::hub::{ChannelName, Pattern};

/// What the hub asks for.
pub(super) enum Command {
    Attach(ChannelName),
    Detach(ChannelName),
    AttachPattern(Pattern),
    DetachPattern(Pattern),
}

/// What is asked of the server for channels of pub/sub.
#[derive(Clone, Copy)]
enum Ask {
    Subscribe,
    Unsubscribe,
    SubscribePatterns,
    UnsubscribePatterns,
}

/// The hub is gone.
struct Gone;

/// How long to wait before the connection is made again: at first, and at most. Hubs do not all come
/// at the same time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How long connecting may take. Of several servers some may not answer, each for a second.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);

/// How often what could not be read is read again, and what is due is checked.
const TICK: Duration = Duration::from_secs(1);
/// How often channels that nobody listens to are given up.
const SWEEP: u32 = 30;
/// How many channels are subscribed to, or checked, in one go.
const BATCH: usize = 256;
/// How many names are tried at most for a probe that is to be on a certain server.
const TRIES: usize = 100_000;

/// Connects, again and again, until the hub is gone.
pub(super) async fn run(
    shared: Arc<Shared>,
    sink: Sink,
    mut commands: mpsc::UnboundedReceiver<Command>,
) {
    let mut wait = FIRST_WAIT;
    let mut was_up = false;
    let mut swept = Instant::now();
    loop {
        let reason = match Session::start(&shared, &sink).await {
            Ok(mut session) => {
                if std::mem::replace(&mut was_up, true) {
                    sink.reconnected();
                }
                wait = FIRST_WAIT;
                match session.serve(&mut commands).await {
                    Ok(Gone) => return,
                    Err(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        sink.interrupted();
        shared.link.send_modify(|link| {
            let since = match link {
                Link::Connecting(since) | Link::Down { since, .. } => *since,
                Link::Up(_) => SystemTime::now(),
            };
            match link {
                Link::Down { .. } => tracing::debug!(%reason, "still not connected to Redis"),
                _ => tracing::warn!(%reason, "not connected to Redis"),
            }
            *link = Link::Down { since, reason };
        });
        if commands.is_closed() {
            return;
        }
        sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
        // However long this lasts, channels that nobody listens to any more do not pile up.
        if swept.elapsed() >= TICK * SWEEP {
            swept = Instant::now();
            sink.sweep();
        }
        // A session begins with all channels that there are.
        while commands.try_recv().is_ok() {}
    }
}

/// What the tasks of the connections tell.
enum Event {
    /// A connection was lost, or passes on something no longer.
    Broken(&'static str),
}

/// What has arrived by the connection of the subscriber that is no publication.
#[derive(Default)]
struct Heard {
    /// The last probe, on each channel that probes are sent to.
    probes: Mutex<HashMap<ChannelName, u64>>,
    /// What this hub is about to leave by itself.
    leaving: Mutex<HashSet<ChannelName>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pair of connections: for what is asked, and for what is passed on.
struct Session<'a> {
    shared: &'a Arc<Shared>,
    sink: &'a Sink,
    commands: Connection,
    subscriber: Connection,
    events: mpsc::UnboundedReceiver<Event>,
    heard: Arc<Heard>,
    sent: u64,
    /// Where probes are sent, on each server that passes on something.
    probes: Vec<ChannelName>,
    /// Which server of a cluster has which slot.
    shards: HashMap<Slot, Arc<str>>,
    ticks: u64,
    hasher: RandomState,
}

impl<'a> Session<'a> {
    async fn start(shared: &'a Arc<Shared>, sink: &'a Sink) -> Result<Self, Unavailable> {
        // What an earlier connection has told is not about this one.
        let _ = timeout(Duration::ZERO, shared.broken.notified()).await;
        let limit = shared.settings.publish_timeout;
        let longest = LONGEST_CONNECT.max(limit.saturating_mul(2));
        let (told, events) = mpsc::unbounded_channel();
        let heard = Arc::<Heard>::default();
        let connect = async {
            let breaks = told.clone();
            let commands = shared.servers.connect(limit, move |push: PushInfo| {
                on_break(&push.kind, &breaks);
                Ok::<_, Unavailable>(())
            });
            let commands = commands.await?;
            let pushes = on_push(shared, sink, heard.clone(), told);
            let subscriber = shared.servers.connect(limit, pushes).await?;
            Ok::<_, redis::RedisError>((commands, subscriber))
        };
        let connected = timeout(longest, connect).await.map_err(|_| Unavailable::timeout())?;
        let (commands, subscriber) = connected.map_err(Unavailable::new)?;
        let mut session = Session {
            shared,
            sink,
            commands,
            subscriber,
            events,
            heard,
            sent: 0,
            probes: Vec::new(),
            shards: HashMap::new(),
            ticks: 0,
            hasher: RandomState::new(),
        };
        session.learn_shards(limit).await?;
        session.probe_servers_of(&[]).await?;
        Ok(session)
    }

    /// Asks a cluster which server has what.
    async fn learn_shards(&mut self, limit: Duration) -> Result<(), Unavailable> {
        if self.shared.servers.are_a_cluster() {
            let shards = logs::shards(self.shared, &mut self.commands);
            self.shards = timeout(limit, shards).await.map_err(|_| Unavailable::timeout())??;
        }
        Ok(())
    }

    /// Sees to it that there is a probe on each server that passes on one of these channels, and one
    /// in any case.
    async fn probe_servers_of(&mut self, channels: &[ChannelName]) -> Result<(), Unavailable> {
        let prefix = &*self.shared.settings.prefix;
        let shard = |channel: &ChannelName| {
            self.shards.get(&Slot::for_key(Keys { prefix, channel: channel.as_str() }.pubsub()))
        };
        let mut probed: HashSet<_> = self.probes.iter().map(shard).collect();
        // Nobody else listens to it: no name of a channel of the hub's begins like this.
        let random = || format!("{}.probe.{:x}", ChannelName::RESERVED, fastrand::u64(..));
        let mut probes = std::iter::repeat_with(|| ChannelName::new(random())).flatten();
        let mut missing = Vec::new();
        if probed.is_empty() {
            missing.extend(probes.next());
            probed.extend(missing.iter().map(shard));
        }
        for channel in channels {
            let shard_of_it = shard(channel);
            if probed.insert(shard_of_it) {
                // Rather none than one that is looked for in vain.
                let found = probes.by_ref().take(TRIES).find(|probe| shard(probe) == shard_of_it);
                missing.extend(found);
            }
        }
        self.ask(Ask::Subscribe, &missing).await?;
        lock(&self.heard.probes).extend(missing.iter().map(|probe| (probe.clone(), self.sent)));
        self.probes.append(&mut missing);
        Ok(())
    }

    /// Works until something breaks.
    async fn serve(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<Gone, Unavailable> {
        let patterns = self.sink.patterns();
        self.ask_patterns(Ask::SubscribePatterns, &patterns).await?;
        for channels in self.sink.channels().chunks(BATCH) {
            self.ask(Ask::Subscribe, channels).await?;
            self.probe_servers_of(channels).await?;
        }
        self.shared.link.send_replace(Link::Up(self.commands.clone()));
        tracing::info!("connected to Redis");
        patterns.iter().for_each(|pattern| self.sink.pattern_listening(pattern));
        // Whatever was published meanwhile is read before anything later is delivered.
        self.sink.channels().iter().for_each(|channel| self.sink.listening(channel));
        self.sink.retry();
        let mut batch = Vec::new();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut probes = interval(self.shared.settings.probe_interval);
        probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                event = self.events.recv() => {
                    let Some(Event::Broken(reason)) = event else { return Ok(Gone) };
                    return Err(Unavailable::new(reason));
                }
                () = self.shared.broken.notified() => {
                    return Err(Unavailable::new("a command has failed"));
                }
                _ = probes.tick() => self.probe().await?,
                _ = ticks.tick() => self.tick().await?,
                received = commands.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return Ok(Gone);
                    }
                    self.change(batch.drain(..)).await?;
                }
            }
        }
    }

    /// Subscribes to what the hub wants by now, and unsubscribes from what it does not.
    async fn change(&mut self, batch: impl Iterator<Item = Command>) -> Result<(), Unavailable> {
        let (mut attach, mut detach) = (Vec::new(), Vec::new());
        let (mut patterns, mut unwanted) = (Vec::new(), Vec::new());
        for command in batch {
            match command {
                Command::Attach(channel) if self.sink.wants(&channel) => attach.push(channel),
                Command::Detach(channel) if !self.sink.wants(&channel) => detach.push(channel),
                Command::AttachPattern(pattern) if self.sink.wants_pattern(&pattern) => {
                    patterns.push(pattern);
                }
                Command::DetachPattern(pattern) if !self.sink.wants_pattern(&pattern) => {
                    unwanted.push(pattern);
                }
                _ => {}
            }
        }
        // What is wanted again by then has asked for it again, after this.
        self.ask(Ask::Unsubscribe, &detach).await?;
        self.ask_patterns(Ask::UnsubscribePatterns, &unwanted).await?;
        self.ask_patterns(Ask::SubscribePatterns, &patterns).await?;
        patterns.iter().for_each(|pattern| self.sink.pattern_listening(pattern));
        self.ask(Ask::Subscribe, &attach).await?;
        self.probe_servers_of(&attach).await?;
        attach.iter().for_each(|channel| self.sink.listening(channel));
        Ok(())
    }

    async fn ask_patterns(&mut self, ask: Ask, patterns: &[Pattern]) -> Result<(), Unavailable> {
        let prefix = &*self.shared.settings.prefix;
        let globs = |patterns: &[Pattern]| {
            patterns.iter().map(|pattern| pubsub_pattern(prefix, pattern)).collect::<HashSet<_>>()
        };
        let mut globs_asked = globs(patterns);
        if let Ask::UnsubscribePatterns = ask
            && !patterns.is_empty()
        {
            // Others may be the same to Redis.
            let wanted = globs(&self.sink.patterns());
            globs_asked.retain(|glob| !wanted.contains(glob));
        }
        let globs: Vec<_> = globs_asked.into_iter().collect();
        for globs in globs.chunks(BATCH) {
            self.ask_for(ask, globs.to_vec()).await?;
        }
        Ok(())
    }

    /// Asks for channels of pub/sub, or to be rid of them, and waits until each is confirmed.
    async fn ask(&mut self, ask: Ask, channels: &[ChannelName]) -> Result<(), Unavailable> {
        let prefix = &*self.shared.settings.prefix;
        let names = channels
            .iter()
            .map(|channel| Keys { prefix, channel: channel.as_str() }.pubsub())
            .collect();
        if let Ask::Unsubscribe = ask {
            lock(&self.heard.leaving).extend(channels.iter().cloned());
        }
        let asked = self.ask_for(ask, names).await;
        lock(&self.heard.leaving).clear();
        asked
    }

    async fn ask_for(&mut self, ask: Ask, names: Vec<String>) -> Result<(), Unavailable> {
        if names.is_empty() {
            return Ok(());
        }
        let asked = async {
            match &mut self.subscriber {
                // As plain commands they would be over with the first confirmation, and what is
                // asked next with the second.
                Connection::One(subscriber) => match ask {
                    Ask::Subscribe => subscriber.subscribe(names).await,
                    Ask::Unsubscribe => subscriber.unsubscribe(names).await,
                    Ask::SubscribePatterns => subscriber.psubscribe(names).await,
                    Ask::UnsubscribePatterns => subscriber.punsubscribe(names).await,
                },
                Connection::Cluster(subscriber) => {
                    // Each belongs to a server of its own.
                    let mut asked = JoinSet::new();
                    for name in names {
                        let mut subscriber = subscriber.clone();
                        asked.spawn(async move {
                            match ask {
                                Ask::Subscribe => subscriber.ssubscribe(name).await,
                                Ask::Unsubscribe => subscriber.sunsubscribe(name).await,
                                // The hub refuses them.
                                Ask::SubscribePatterns | Ask::UnsubscribePatterns => Ok(()),
                            }
                        });
                    }
                    asked.join_all().await.into_iter().collect()
                }
            }
        };
        let limit = self.shared.settings.publish_timeout;
        let asked = timeout(limit, asked).await.map_err(|_| Unavailable::timeout())?;
        asked.map_err(|error| self.shared.unavailable(&error))
    }

    /// Sends a probe, unless the one before has not arrived: then nothing does.
    async fn probe(&mut self) -> Result<(), Unavailable> {
        if lock(&self.heard.probes).values().any(|arrived| *arrived < self.sent) {
            return Err(Unavailable::new("nothing arrives by the connection, though it is open"));
        }
        self.sent += 1;
        let prefix = &*self.shared.settings.prefix;
        let publish = if self.shared.servers.are_a_cluster() { "SPUBLISH" } else { "PUBLISH" };
        for probe in &self.probes {
            let mut send = cmd(publish);
            send.arg(Keys { prefix, channel: probe.as_str() }.pubsub()).arg(self.sent);
            // By itself: an answer that does not come must not keep the session from its work.
            let mut commands = self.commands.clone();
            tokio::spawn(async move { commands.req_packed_command(&send).await.map(drop) });
        }
        Ok(())
    }

    /// Checks the channels whose turn it is.
    async fn tick(&mut self) -> Result<(), Unavailable> {
        self.ticks += 1;
        self.sink.retry();
        if self.ticks.is_multiple_of(SWEEP.into()) {
            self.sink.sweep();
            // A cluster may have grown. When it does not say so in time, it is asked another time.
            if self.learn_shards(TICK).await.is_ok() {
                self.probe_servers_of(&self.sink.channels()).await?;
            }
        }
        let due: Vec<_> =
            self.sink.channels().into_iter().filter(|channel| self.is_due(channel)).collect();
        for channels in due.chunks(BATCH) {
            let (shared, sink) = (self.shared.clone(), self.sink.clone());
            let (mut commands, channels) = (self.commands.clone(), channels.to_vec());
            tokio::spawn(async move {
                for channel in channels {
                    match logs::top(&shared, &mut commands, &channel).await {
                        Ok(Some(top)) => sink.check(&channel, top),
                        // Reading begins a log.
                        Ok(None) => sink.listening(&channel),
                        Err(_) => return,
                    }
                }
            });
        }
        Ok(())
    }

    /// Each channel has a period of its own, of 0.4 to 1.6 of the interval.
    fn is_due(&self, channel: &ChannelName) -> bool {
        let hash = self.hasher.hash_one(channel);
        let mean = self.shared.settings.check_interval.as_secs_f64() / TICK.as_secs_f64();
        let spread = (hash >> 32) as f64 / f64::from(u32::MAX);
        let period = (mean * (0.4 + 1.2 * spread)).round().max(1.0) as u64;
        (self.ticks + (hash & 0xffff_ffff)).is_multiple_of(period)
    }
}

fn on_break(kind: &PushKind, told: &mpsc::UnboundedSender<Event>) {
    if *kind == PushKind::Disconnection {
        // The session may have ended by itself.
        let _ = told.send(Event::Broken("the connection was lost"));
    }
}

/// What to do with what arrives by the connection of the subscriber.
fn on_push(
    shared: &Arc<Shared>,
    sink: &Sink,
    heard: Arc<Heard>,
    told: mpsc::UnboundedSender<Event>,
) -> impl Fn(PushInfo) -> Result<(), Unavailable> + Send + Sync + 'static {
    let (shared, sink) = (shared.clone(), sink.clone());
    move |push| {
        on_break(&push.kind, &told);
        if push.kind == PushKind::SUnsubscribe
            && let Some(Value::BulkString(from)) = push.data.first()
            && let Some(channel) = channel_of(&shared.settings.prefix, from)
            && !lock(&heard.leaving).contains(&channel)
            && (sink.wants(&channel) || lock(&heard.probes).contains_key(&channel))
        {
            let _ = told.send(Event::Broken("a channel has moved to another server"));
        }
        let mut data = push.data.into_iter();
        match push.kind {
            PushKind::Message | PushKind::SMessage => {}
            // The pattern comes first.
            PushKind::PMessage => drop(data.next()),
            _ => return Ok(()),
        }
        let (Some(Value::BulkString(from)), Some(Value::BulkString(message))) =
            (data.next(), data.next())
        else {
            return Ok(());
        };
        let Some(channel) = channel_of(&shared.settings.prefix, &from) else { return Ok(()) };
        if channel.is_reserved()
            && let Some(arrived) = lock(&heard.probes).get_mut(&channel)
        {
            let number = str::from_utf8(&message).ok().and_then(|number| number.parse().ok());
            *arrived = (*arrived).max(number.unwrap_or(0));
            return Ok(());
        }
        // What is not ours is as good as lost: the next one shows that it is missing.
        if let Some(record) = decode_message(Bytes::from(message)) {
            let _ = sink.deliver(&channel, record);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Hub;
    use crate::hub::backplane::{Memory, Redis};

    #[tokio::test]
    async fn a_channel_that_the_hub_leaves_by_itself_has_not_moved() {
        let redis = Redis::builder("redis://127.0.0.1:1").start().unwrap();
        let hub = Hub::builder().backplane(Memory::new().node()).build();
        let channel: ChannelName = "news".parse().unwrap();
        // It is wanted again already.
        let _subscription = hub.subscribe([channel.clone()]).unwrap();
        let heard = Arc::<Heard>::default();
        let (told, mut events) = mpsc::unbounded_channel();
        let sink = Sink::new(&hub.shared);
        let on_push = on_push(&redis.shared, &sink, heard.clone(), told);
        let left = || {
            let name = Keys { prefix: "lithe", channel: "news" }.pubsub();
            let data = vec![Value::BulkString(name.into_bytes()), Value::Int(0)];
            on_push(PushInfo { kind: PushKind::SUnsubscribe, data }).unwrap();
        };
        lock(&heard.leaving).insert(channel);
        left();
        assert!(events.try_recv().is_err());
        lock(&heard.leaving).clear();
        left();
        assert!(events.try_recv().is_ok());
    }
}

//! The suite over a real Redis, and what becomes of subscribers when that fails.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lithe::hub::backplane::{Health, Redis, RedisBuilder, RedisError};
use lithe::hub::{
    ChannelName, GapReason, Hub, Item, MAX_INTERESTS, Message, Position, PublishError, Subscription,
};

use crate::proxy::Proxy;
use crate::redis_server::Server;
use crate::support::*;

pub(crate) struct OverRedis {
    server: Server,
    proxy: Proxy,
}

impl OverRedis {
    async fn start() -> Self {
        Self::start_with(&["--appendonly", "no"]).await
    }

    async fn start_with(arguments: &[&str]) -> Self {
        let server = Server::start(arguments).await;
        let proxy = Proxy::start(server.port).await;
        OverRedis { server, proxy }
    }

    fn settings(&self) -> RedisBuilder {
        Redis::builder(self.proxy.url())
            .publish_timeout(Duration::from_secs(20))
            .probe_interval(Duration::from_secs(2))
            .check_interval(Duration::from_secs(2))
    }

    fn hub_with(&self, settings: RedisBuilder) -> Hub {
        builder().backplane(settings.start().unwrap()).build()
    }
}

impl Nodes for OverRedis {
    fn hub(&self) -> Hub {
        self.hub_with(self.settings())
    }
}

fn key(kind: char, channel: &ChannelName) -> String {
    format!("lithe:{kind}:{{{channel}}}")
}

impl Faults for OverRedis {
    async fn begin_outage(&self) {
        self.proxy.set_down(true);
    }

    async fn end_outage(&self) {
        self.proxy.set_down(false);
    }

    async fn lose(&self, channel: &ChannelName) {
        self.server.ask(&["DEL", &key('m', channel), &key('s', channel)]);
    }

    async fn lose_history(&self, channel: &ChannelName) {
        self.server.ask(&["DEL", &key('s', channel)]);
    }

    async fn lose_end(&self, channel: &ChannelName, publications: usize) {
        let script = "for _ = 1, ARGV[1] do
                local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
                redis.call('XDEL', KEYS[2], last[1][1])
            end
            local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
            redis.call('XSETID', KEYS[2], last[1])
            redis.call('HSET', KEYS[1], 'o', string.match(last[1], '^%d+'), 't', last[2][2])";
        let count = publications.to_string();
        self.server.ask(&["EVAL", script, "2", &key('m', channel), &key('s', channel), &count]);
    }
}

mod joined {
    use super::*;

    conformance!(OverRedis::start().await);
    faults!(OverRedis::start().await);
    patterns!(OverRedis::start().await);
    pattern_faults!(OverRedis::start().await);
}

/// What a subscriber was given, as far as the end.
#[derive(Default)]
pub(crate) struct Received {
    publications: Vec<Position>,
    /// From where to where something is missing.
    pub(crate) gaps: Vec<(GapReason, Position, Position)>,
}

impl Received {
    async fn read(mut subscription: Subscription, mut at: Position, end: &str) -> Self {
        let mut received = Received::default();
        loop {
            match next(&mut subscription).await {
                Item::Gap(gap) => {
                    assert_eq!(gap.from, Some(at), "all up to there was delivered");
                    received.gaps.push((gap.reason, at, gap.to.unwrap()));
                    at = gap.to.unwrap();
                }
                Item::Publication(publication) => {
                    let position = publication.position();
                    assert_eq!(position.epoch, at.epoch, "a new log without a gap");
                    assert_eq!(position.offset, at.offset + 1, "a hole, or twice");
                    at = position;
                    received.publications.push(position);
                    if publication.data() == end {
                        return received;
                    }
                }
                item => panic!("{item:?}"),
            }
        }
    }

    /// Each publication was delivered once, or a gap was announced where it is missing.
    fn check(&self, published: &[Position]) {
        let delivered: HashSet<_> = self.publications.iter().copied().collect();
        assert_eq!(delivered.len(), self.publications.len(), "something came twice");
        for position in published {
            let is_announced = self.gaps.iter().any(|(_, from, to)| {
                position.epoch == from.epoch && position.offset > from.offset
                    || position.epoch == to.epoch && position.offset <= to.offset
            });
            assert!(delivered.contains(position) || is_announced, "{position} is missing");
        }
    }
}

/// Publishes 1,000 messages a second to subscribers on two nodes while something happens. Says what
/// was published, and what each subscriber got.
pub(crate) async fn under_load(
    hubs: &[Hub; 2],
    happens: impl Future<Output = ()>,
) -> (Vec<Position>, Vec<Received>) {
    let channel = name("large.load");
    let mut readers = Vec::new();
    for hub in hubs.iter().cycle().take(6) {
        let mut subscription = hub.subscribe([channel.clone()]).unwrap();
        let at = next_subscribed(&mut subscription).await.position.unwrap();
        readers.push(tokio::spawn(Received::read(subscription, at, "end")));
    }
    let over = Arc::<AtomicBool>::default();
    let publisher = {
        let (hub, channel, over) = (hubs[1].clone(), channel.clone(), over.clone());
        tokio::spawn(async move {
            let mut published = Vec::new();
            let mut pace = tokio::time::interval(Duration::from_millis(1));
            let mut number = 0;
            while !over.load(Ordering::Relaxed) {
                pace.tick().await;
                number += 1;
                if let Ok(done) = hub.publish(&channel, number.to_string()).await {
                    published.push(done.position);
                }
            }
            published
        })
    };
    happens.await;
    over.store(true, Ordering::Relaxed);
    let mut published = within(publisher).await.unwrap();
    published.push(until_published(&hubs[0], &channel, "end").await);
    let mut received = Vec::new();
    for reader in readers {
        received.push(within(reader).await.unwrap());
    }
    received.iter().for_each(|received| received.check(&published));
    (published, received)
}

/// Publishes once, however often that fails.
async fn until_published(hub: &Hub, channel: &ChannelName, data: &'static str) -> Position {
    let message = Message::new(data).idempotency_key(data).unwrap();
    within(async {
        loop {
            if let Ok(published) = hub.publish(channel, message.clone()).await {
                return published.position;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

/// Lets so many more be published.
pub(crate) async fn pass(hub: &Hub, publications: u64) {
    let before = hub.stats().published;
    within(async {
        while hub.stats().published < before + publications {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_a_redis_that_keeps_its_data_is_killed_under_load() {
    let mut nodes =
        OverRedis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let hubs = [nodes.hub(), nodes.hub()];
    let (published, received) = under_load(&hubs, async {
        pass(&hubs[1], 500).await;
        nodes.server.kill();
        nodes.server.restart().await;
        pass(&hubs[1], 500).await;
    })
    .await;
    for received in &received {
        assert!(received.gaps.is_empty(), "{:?}", received.gaps);
        assert!(received.publications.len() >= published.len());
    }
    assert!(hubs[0].stats().reconnects >= 1 && hubs[1].stats().publish_failures >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_persistence_that_is_killed_under_load_is_one_gap() {
    let mut nodes = OverRedis::start().await;
    let hubs = [nodes.hub(), nodes.hub()];
    let (_, received) = under_load(&hubs, async {
        pass(&hubs[1], 500).await;
        nodes.server.kill();
        nodes.server.restart().await;
        pass(&hubs[1], 500).await;
    })
    .await;
    for received in &received {
        let reasons: Vec<_> = received.gaps.iter().map(|(reason, ..)| *reason).collect();
        assert_eq!(reasons, [GapReason::Epoch]);
        // Nothing of the new log is missing.
        assert_eq!(received.gaps[0].2.offset, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_was_stopped_goes_on_without_loss() {
    let nodes = OverRedis::start().await;
    let settings = nodes.settings().publish_timeout(Duration::from_millis(500));
    let hubs = [nodes.hub_with(settings.clone()), nodes.hub_with(settings)];
    let (_, received) = under_load(&hubs, async {
        pass(&hubs[1], 200).await;
        nodes.server.signal("STOP");
        let refused = within(hubs[0].publish(&name("other"), "x")).await.unwrap_err();
        assert!(matches!(refused, PublishError::Timeout(_) | PublishError::Unavailable(_)));
        within(async {
            while hubs[0].health().is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        nodes.server.signal("CONT");
        pass(&hubs[1], 200).await;
    })
    .await;
    assert!(received.iter().all(|received| received.gaps.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_again_and_again_lose_nothing() {
    let nodes = OverRedis::start().await;
    let hubs = [nodes.hub(), nodes.hub()];
    let (_, received) = under_load(&hubs, async {
        for _ in 0..8 {
            pass(&hubs[1], 60).await;
            nodes.proxy.cut();
        }
        pass(&hubs[1], 60).await;
    })
    .await;
    assert!(received.iter().all(|received| received.gaps.is_empty()));
    assert!(hubs[0].stats().reconnects >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_open_and_dead_is_found_by_probes() {
    let nodes = OverRedis::start().await;
    // Nothing else finds it.
    let settings = nodes.settings().check_interval(Duration::from_secs(100_000));
    let hub = nodes.hub_with(settings.probe_interval(Duration::from_millis(100)));
    let channel = name("news");
    let mut subscription = subscribe(&hub, &channel).await;
    nodes.proxy.stall_subscribers();
    publish(&hub, &channel, "unheard").await;
    within(async {
        while hub.health().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    nodes.proxy.end_stall();
    assert_eq!(next_data(&mut subscription).await, "unheard");
    assert!(hub.stats().reconnects >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_is_not_connected_before_all_its_channels_are_subscribed_to() {
    let nodes = OverRedis::start().await;
    nodes.begin_outage().await;
    let hub = nodes.hub_with(nodes.settings().publish_timeout(Duration::from_secs(1)));
    // Too many to be asked for at once.
    let channels: Vec<_> = (0..600).map(|number| name(&format!("many.{number}"))).collect();
    let parts = channels.chunks(MAX_INTERESTS);
    let mut subscriptions: Vec<_> =
        parts.map(|part| hub.subscribe(part.iter().cloned()).unwrap()).collect();
    // The probe, and the first of them.
    nodes.proxy.limit_subscribes(2);
    nodes.end_outage().await;
    within(async {
        loop {
            match hub.health() {
                Health::Degraded { reason, .. } if reason.is_timeout() => break,
                Health::Degraded { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                health => panic!("{health:?}"),
            }
        }
    })
    .await;
    nodes.proxy.limit_subscribes(usize::MAX);
    for (subscription, part) in subscriptions.iter_mut().zip(channels.chunks(MAX_INTERESTS)) {
        for _ in part {
            next_subscribed(subscription).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_kept_for_as_long_as_somebody_listens() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub_with(nodes.settings().check_interval(Duration::from_secs(1)));
    let channel = name("quiet");
    let _subscription = subscribe(&hub, &channel).await;
    let a_while = 600_000;
    nodes.server.ask(&["PEXPIRE", &key('m', &channel), &a_while.to_string()]);
    within(async {
        while nodes.server.ask(&["PTTL", &key('m', &channel)]).parse::<u64>().unwrap() <= a_while {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_passed_on_is_found_by_comparing_the_ends() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub_with(nodes.settings().check_interval(Duration::from_secs(1)));
    let channel = name("news");
    let mut subscription = subscribe(&hub, &channel).await;
    publish(&hub, &channel, "first").await;
    assert_eq!(next_data(&mut subscription).await, "first");
    // Appended as the script does it, but not passed on.
    let script = "redis.call('HSET', KEYS[1], 'o', 2, 't', 7)
        redis.call('XADD', KEYS[2], '2-0', 't', 7, 'c', '\\0second')";
    nodes.server.ask(&["EVAL", script, "2", &key('m', &channel), &key('s', &channel)]);
    assert_eq!(next_data(&mut subscription).await, "second");
    assert_eq!(hub.stats().holes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_redis_and_an_evicted_key_begin_new_logs() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub();
    let channel = name("news");
    let mut subscription = subscribe(&hub, &channel).await;
    publish_all(&hub, &channel, 0..3).await;
    for number in 0..3 {
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
    // Found without anything being published.
    nodes.server.ask(&["FLUSHALL"]);
    assert_eq!(next_gap(&mut subscription).await.reason, GapReason::Epoch);
    publish_all(&hub, &channel, 3..5).await;
    assert_eq!(next_data(&mut subscription).await, "3");
    assert_eq!(next_data(&mut subscription).await, "4");
    // The stream is left over, and belongs to no log any more.
    nodes.server.ask(&["DEL", &key('m', &channel)]);
    let position = publish(&hub, &channel, "5").await;
    assert_eq!(position.offset, 1);
    assert_eq!(next_gap(&mut subscription).await.reason, GapReason::Epoch);
    assert_eq!(next_data(&mut subscription).await, "5");
    let history = hub.load_history(&channel, 0).await.unwrap().unwrap();
    assert_eq!(history.publications.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_redis_has_forgotten_are_sent_again() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub();
    let channel = name("news");
    let mut subscription = subscribe(&hub, &channel).await;
    for number in 0..3 {
        nodes.server.ask(&["SCRIPT", "FLUSH"]);
        publish(&hub, &channel, number).await;
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_keeps_is_bounded_in_number_and_time() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub();
    let channel = name("small.1");
    let message = |number: usize| {
        Message::new(number.to_string()).idempotency_key(number.to_string()).unwrap()
    };
    for number in 0..3 * SMALL {
        hub.publish(&channel, message(number)).await.unwrap();
    }
    let length = nodes.server.ask(&["XLEN", &key('s', &channel)]);
    assert_eq!(length, SMALL.to_string());
    let keys = nodes.server.ask(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 2 + 3 * SMALL, "{keys}");
    for key in keys.lines() {
        assert!(key.starts_with("lithe:"));
        let left: i64 = nodes.server.ask(&["PTTL", key]).parse().unwrap();
        assert!(left > 0, "{key} is kept for ever");
    }
    // Without history nothing but the end of the log is kept.
    publish(&hub, &name("none.1"), "x").await;
    assert_eq!(nodes.server.ask(&["EXISTS", &key('s', &name("none.1"))]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_cannot_be_read_is_told_and_read_again() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub();
    let channel = name("broken");
    nodes.server.ask(&["SET", &key('m', &channel), "of somebody else"]);
    let mut subscription = hub.subscribe([channel.clone()]).unwrap();
    let reason = within(async {
        loop {
            match hub.health() {
                Health::Degraded { reason, .. } if hub.stats().read_failures >= 2 => return reason,
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await;
    assert!(reason.to_string().contains("broken"), "{reason}");
    // Nothing else suffers.
    let mut other = subscribe(&hub, &name("news")).await;
    publish(&hub, &name("news"), "first").await;
    assert_eq!(next_data(&mut other).await, "first");
    assert_eq!(hub.stats().reconnects, 0);
    nodes.server.ask(&["DEL", &key('m', &channel)]);
    next_subscribed(&mut subscription).await;
    assert!(hub.health().is_ok(), "{:?}", hub.health());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_a_log_writes_nothing_that_need_not_be_written() {
    let nodes = OverRedis::start().await;
    let hub = nodes.hub();
    let channel = name("news");
    publish(&hub, &channel, "first").await;
    let changes = || {
        let info = nodes.server.ask(&["INFO", "persistence"]);
        info.lines()
            .find_map(|line| line.strip_prefix("rdb_changes_since_last_save:").map(str::to_owned))
    };
    let before = changes();
    assert!(before.is_some());
    for _ in 0..10 {
        hub.load_position(&channel).await.unwrap();
    }
    assert_eq!(changes(), before);
    // What would be forgotten soon is kept.
    nodes.server.ask(&["PEXPIRE", &key('m', &channel), "600000"]);
    hub.load_position(&channel).await.unwrap();
    let left: u64 = nodes.server.ask(&["PTTL", &key('m', &channel)]).parse().unwrap();
    assert!(left > 600_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_publications_are_read_one_after_the_other() {
    const LARGE: usize = 4 * 1024 * 1024;
    let nodes = OverRedis::start().await;
    let hub = nodes.hub();
    let channel = name("large.1");
    for number in 0..12 {
        publish(&hub, &channel, number.to_string().repeat(LARGE / 2)).await;
    }
    // Forgets what it has used to append them.
    nodes.server.ask(&["SCRIPT", "FLUSH", "SYNC"]);
    let page = hub.load_history(&channel, 0).await.unwrap().unwrap();
    assert_eq!(page.publications.len(), 2);
    let info = nodes.server.ask(&["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory_vm_eval:"));
    let used: usize = used.unwrap().parse().unwrap();
    assert!(used < 6 * LARGE, "{used}");
    let mut read = 0;
    while let Some(last) =
        hub.load_history(&channel, read).await.unwrap().unwrap().publications.last()
    {
        read = last.position().offset;
    }
    assert_eq!(read, 12);
}

#[test]
fn programs_without_a_runtime_have_a_thread_for_it() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let nodes = runtime.block_on(OverRedis::start());
    let hub = nodes.hub_with(nodes.settings());
    let channel = name("news");
    let mut subscription = runtime.block_on(subscribe(&hub, &channel));
    for number in 0..100 {
        hub.publish_blocking(&channel, number.to_string()).unwrap();
    }
    for number in 0..100 {
        assert_eq!(runtime.block_on(next_data(&mut subscription)), number.to_string());
    }
    nodes.proxy.set_down(true);
    let failed = hub.publish_blocking(&channel, "lost").unwrap_err();
    assert!(matches!(failed, PublishError::Unavailable(_) | PublishError::Timeout(_)));
}

#[tokio::test]
async fn a_hub_whose_redis_was_never_there_says_so() {
    let port = crate::redis_server::free_port();
    let redis = Redis::builder(format!("redis://127.0.0.1:{port}")).start().unwrap();
    let hub = builder().backplane(redis).build();
    assert!(!hub.health().is_ok());
    let failed = within(hub.publish(&name("a"), "x")).await.unwrap_err();
    assert!(failed.to_string().contains("backplane"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn channels_that_nobody_listens_to_do_not_pile_up_while_redis_is_away() {
    let port = crate::redis_server::free_port();
    let redis = Redis::builder(format!("redis://127.0.0.1:{port}")).start().unwrap();
    let hub = builder().backplane(redis).build();
    drop(hub.subscribe([name("left")]).unwrap());
    let _stays = hub.subscribe([name("stays")]).unwrap();
    for _minute in 0..60 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        if hub.stats().channels == 1 {
            return;
        }
    }
    panic!("{:?}", hub.stats());
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let refused = Redis::builder("http://127.0.0.1").start_thread().unwrap_err();
    assert!(matches!(refused, RedisError::Url(_)), "{refused:?}");
    let two = Redis::builder("redis://127.0.0.1").url("redis://127.0.0.1").start_thread();
    assert!(matches!(two.unwrap_err(), RedisError::Urls));
}

/// A pattern on each of two nodes while something happens, and channels that come all the time. Each
/// gets everything, or is told of a gap of the pattern.
async fn pattern_under_load(hubs: &[Hub; 2], happens: impl Future<Output = ()>) -> [usize; 2] {
    let pattern: lithe::hub::Interest = "large.*".parse().unwrap();
    let mut readers = Vec::new();
    for hub in hubs {
        let mut subscription = hub.subscribe([pattern.clone()]).unwrap();
        next_subscribed(&mut subscription).await;
        readers.push(tokio::spawn(async move {
            let (mut gaps, mut at) = (0, std::collections::HashMap::new());
            loop {
                match next(&mut subscription).await {
                    Item::Gap(gap) if matches!(gap.interest, lithe::hub::Interest::Pattern(_)) => {
                        assert_eq!(gap.reason, GapReason::Backplane);
                        gaps += 1;
                    }
                    Item::Publication(publication) => {
                        let position = publication.position();
                        let channel = publication.channel().clone();
                        // All of them are published twice.
                        match at.insert(channel, position.offset) {
                            None => assert!(position.offset == 1 || gaps > 0, "a hole"),
                            Some(before) => assert_eq!(before + 1, position.offset),
                        }
                        if publication.data() == "end" {
                            return (gaps, at);
                        }
                    }
                    item => panic!("{item:?}"),
                }
            }
        }));
    }
    let over = Arc::<AtomicBool>::default();
    let publisher = {
        let (hub, over) = (hubs[1].clone(), over.clone());
        tokio::spawn(async move {
            let mut published = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let channel = name(&format!("large.{}", published.len()));
                for _ in 0..2 {
                    until_published_anew(&hub, &channel).await;
                }
                published.push(channel);
            }
            published
        })
    };
    happens.await;
    over.store(true, Ordering::Relaxed);
    let published = within(publisher).await.unwrap();
    until_published(&hubs[0], &name("large.end"), "end").await;
    let mut all_gaps = [0; 2];
    for (reader, all) in readers.into_iter().zip(&mut all_gaps) {
        let (gaps, at) = within(reader).await.unwrap();
        assert!(gaps > 0 || published.iter().all(|channel| at.contains_key(channel)));
        *all = gaps;
    }
    all_gaps
}

async fn until_published_anew(hub: &Hub, channel: &ChannelName) {
    let key = format!("{channel} {}", hub.stats().published);
    let message = Message::new("x").idempotency_key(key).unwrap();
    within(async {
        while hub.publish(channel, message.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_is_told_one_gap_for_each_connection_that_was_cut() {
    let nodes = OverRedis::start().await;
    let hubs = [nodes.hub(), nodes.hub()];
    let gaps = pattern_under_load(&hubs, async {
        pass(&hubs[1], 200).await;
        nodes.proxy.cut();
        pass(&hubs[1], 200).await;
    })
    .await;
    assert_eq!(gaps, [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_is_told_of_a_redis_that_was_killed() {
    let mut nodes =
        OverRedis::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    let hubs = [nodes.hub(), nodes.hub()];
    let gaps = pattern_under_load(&hubs, async {
        pass(&hubs[1], 100).await;
        nodes.server.kill();
        nodes.server.restart().await;
        pass(&hubs[1], 100).await;
    })
    .await;
    assert!(gaps.iter().all(|gaps| *gaps >= 1), "{gaps:?}");
}

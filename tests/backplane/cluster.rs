//! The suite over a cluster of three, and over a master behind a Sentinel.

use std::net::TcpListener;
use std::time::Duration;

use lithe::hub::backplane::{Redis, RedisBuilder};
use lithe::hub::{Hub, SubscribeError};
use tempfile::TempDir;

use crate::proxy::Proxy;
use crate::redis::{pass, under_load};
use crate::redis_server::{Server, ask, free_port};
use crate::support::*;

struct Cluster(Vec<Server>);

impl Cluster {
    async fn start() -> Self {
        let mut servers = Vec::new();
        let mut buses = Vec::new();
        for _ in 0..3 {
            let bus = free_port().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
            servers.push(Server::start(&arguments).await);
            buses.push(bus);
        }
        let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for ((number, server), (first, last)) in servers.iter().enumerate().zip(slots) {
            server.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            server.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        for (server, bus) in servers.iter().zip(&buses) {
            let port = server.port.to_string();
            servers[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
        }
        for server in &servers {
            until(|| {
                let info = server.ask(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        Cluster(servers)
    }

    fn settings(&self) -> RedisBuilder {
        let url = |server: &Server| format!("redis://127.0.0.1:{}", server.port);
        Redis::builder(url(&self.0[0]))
            .url(url(&self.0[1]))
            .cluster()
            .publish_timeout(Duration::from_secs(20))
            .probe_interval(Duration::from_secs(2))
            .check_interval(Duration::from_secs(2))
    }
}

impl Nodes for Cluster {
    fn hub(&self) -> Hub {
        builder().backplane(self.settings().start().unwrap()).build()
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

mod joined {
    use super::*;

    conformance!(Cluster::start().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_passed_on_by_the_servers_that_they_belong_to() {
    let cluster = Cluster::start().await;
    let hubs = [cluster.hub(), cluster.hub()];
    let channels: Vec<_> = (0..30).map(|number| name(&format!("spread.{number}"))).collect();
    let mut subscription = hubs[0].subscribe(channels.clone()).unwrap();
    for _ in &channels {
        next_subscribed(&mut subscription).await;
    }
    for server in &cluster.0 {
        let there = server.ask(&["PUBSUB", "SHARDCHANNELS", "lithe:c:{spread.*"]);
        assert!((1..30).contains(&there.lines().count()), "{there}");
        // Nothing is passed on to all servers.
        assert_eq!(server.ask(&["PUBSUB", "CHANNELS"]), "");
    }
    for channel in &channels {
        publish(&hubs[1], channel, channel).await;
    }
    let mut read = Vec::new();
    for _ in &channels {
        read.push(next_data(&mut subscription).await);
    }
    read.sort();
    let mut expected: Vec<_> = channels.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn patterns_are_refused_by_a_cluster() {
    let redis = Redis::builder("redis://127.0.0.1:1").cluster().start().unwrap();
    let hub = builder().backplane(redis).build();
    let pattern: lithe::hub::Pattern = "a.*".parse().unwrap();
    assert_eq!(hub.subscriber().subscribe(pattern.clone()), Err(SubscribeError::Patterns));
    assert_eq!(hub.subscriber().resume([pattern], "x"), Err(SubscribeError::Patterns));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_any_server_that_is_open_and_dead_is_found_by_probes() {
    let cluster = Cluster::start().await;
    let mut proxies = Vec::new();
    for server in &cluster.0 {
        let proxy = Proxy::start(server.port).await;
        server.ask(&["CONFIG", "SET", "cluster-announce-ip", "127.0.0.1"]);
        let port = proxy.address.port().to_string();
        server.ask(&["CONFIG", "SET", "cluster-announce-port", &port]);
        proxies.push(proxy);
    }
    let is_announced = |server: &Server| {
        let slots = server.ask(&["CLUSTER", "SLOTS"]);
        proxies.iter().all(|proxy| slots.contains(&proxy.address.port().to_string()))
    };
    until(|| cluster.0.iter().all(is_announced)).await;
    // Nothing else finds it.
    let settings = Redis::builder(proxies[0].url()).cluster();
    let settings = settings.check_interval(Duration::from_secs(100_000));
    let settings = settings.publish_timeout(Duration::from_secs(20));
    let redis = settings.probe_interval(Duration::from_millis(200)).start().unwrap();
    let hub = builder().backplane(redis).build();
    for (number, proxy) in proxies.iter().enumerate() {
        let is_there = |channel: &String| {
            let slot = cluster.0[0].ask(&["CLUSTER", "KEYSLOT", channel]).parse::<usize>().unwrap();
            slot / 5461 == number
        };
        let channel = (0..).map(|of| format!("news.{number}.{of}")).find(is_there).unwrap();
        let mut subscription = subscribe(&hub, &name(&channel)).await;
        let reconnects = hub.stats().reconnects;
        proxy.stall_subscribers();
        publish(&hub, &name(&channel), "unheard").await;
        until(|| !hub.health().is_ok() || hub.stats().reconnects > reconnects).await;
        proxy.end_stall();
        assert_eq!(next_data(&mut subscription).await, "unheard");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_does_not_answer_keeps_no_hub_from_the_others() {
    let cluster = Cluster::start().await;
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let settings = cluster.settings().url(url).publish_timeout(Duration::from_secs(5));
    let hub = builder().backplane(settings.start().unwrap()).build();
    until(|| hub.health().is_ok()).await;
    publish(&hub, &name("news"), "first").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_does_not_answer_keeps_no_hub_from_the_others() {
    let master = Server::start(&[]).await;
    let (directory, sentinel_port) = (TempDir::new().unwrap(), free_port());
    let file = directory.path().join("sentinel.conf");
    std::fs::write(&file, format!("sentinel monitor it 127.0.0.1 {} 1\n", master.port)).unwrap();
    let _sentinel = Server::start_from(&file, sentinel_port).await;
    // Takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let redis = Redis::builder(format!("redis://{}", silent.local_addr().unwrap()))
        .url(format!("redis://127.0.0.1:{sentinel_port}"))
        .sentinel("it")
        .publish_timeout(Duration::from_secs(1));
    let hub = builder().backplane(redis.start().unwrap()).build();
    until(|| hub.health().is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_when_the_connection_broke_is_published_once() {
    let bus = free_port().to_string();
    let server = Server::start(&["--cluster-enabled", "yes", "--cluster-port", &bus]).await;
    let proxy = Proxy::start(server.port).await;
    let port = proxy.address.port().to_string();
    server.ask(&["CONFIG", "SET", "cluster-announce-ip", "127.0.0.1"]);
    server.ask(&["CONFIG", "SET", "cluster-announce-port", &port]);
    server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    until(|| server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok")).await;
    let redis = Redis::builder(proxy.url()).cluster().publish_timeout(Duration::from_secs(50));
    let redis = redis.probe_interval(Duration::from_secs(1000));
    let hub = builder().backplane(redis.start().unwrap()).build();
    let channel = name("news");
    publish(&hub, &channel, "first").await;
    let length = || server.ask(&["XLEN", "lithe:s:{news}"]);
    assert_eq!(length(), "1");
    proxy.mute();
    let publishing = tokio::spawn({
        let (hub, channel) = (hub.clone(), channel.clone());
        async move { hub.publish(&channel, "second").await }
    });
    until(|| length() == "2").await;
    proxy.cut_and_unmute();
    // Whether or not it is asked for again, there is one.
    let published = within(publishing).await.unwrap();
    assert_eq!(length(), "2", "{published:?}");
    if let Ok(published) = published {
        assert_eq!((published.position.offset, published.duplicate), (2, false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_dies_under_load_is_replaced_without_silent_loss() {
    let mut master = Server::start(&[]).await;
    let port = master.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", &port]).await;
    until(|| replica.ask(&["INFO", "replication"]).contains("master_link_status:up")).await;
    let (directory, sentinel_port) = (TempDir::new().unwrap(), free_port());
    let file = directory.path().join("sentinel.conf");
    let configuration = format!(
        "sentinel monitor it 127.0.0.1 {port} 1\n\
         sentinel down-after-milliseconds it 500\n\
         sentinel failover-timeout it 5000\n"
    );
    std::fs::write(&file, configuration).unwrap();
    let sentinel = Server::start_from(&file, sentinel_port).await;
    until(|| {
        ask(sentinel.port, &["SENTINEL", "REPLICAS", "it"]).contains(&replica.port.to_string())
    })
    .await;
    let hub = || {
        let url = format!("redis://127.0.0.1:{sentinel_port}");
        let redis = Redis::builder(url).sentinel("it").probe_interval(Duration::from_secs(2));
        builder().backplane(redis.start().unwrap()).build()
    };
    let hubs = [hub(), hub()];
    let (_, received) = under_load(&hubs, async {
        pass(&hubs[1], 300).await;
        master.kill();
        pass(&hubs[1], 300).await;
    })
    .await;
    // What the replica had not got yet is lost; then one gap says so.
    assert!(received.iter().all(|received| received.gaps.len() <= 1));
    assert!(replica.ask(&["INFO", "replication"]).contains("role:master"));
}

//! A node: a server with a hub, in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::Path;
use axum::routing::post;
use lithe::access::{Credentials, Identity, Revocation, Revocations, from_fn};
use lithe::endpoint::Endpoint;
use lithe::hub::backplane::Redis;
use lithe::hub::{ChannelOptions, Hub};

use crate::support::{self, PATIENCE};

const HISTORY: &str = "LITHE_TEST_HISTORY";
const REDIS: &str = "LITHE_TEST_REDIS";
const READY: &str = "the node is at ";

/// How the nodes of a test are.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// Where the Redis is that joins them.
    pub(crate) redis: Option<String>,
    /// How many publications a channel keeps; all, unless set.
    pub(crate) history: Option<usize>,
}

/// Where the nodes are, as a name service would know.
#[derive(Default)]
pub(crate) struct Addresses(Mutex<Vec<SocketAddr>>);

impl Addresses {
    /// Where the node of that number is. There is always one: numbers go round.
    pub(crate) fn get(&self, node: usize) -> SocketAddr {
        let addresses = self.0.lock().unwrap();
        addresses[node % addresses.len()]
    }

    fn set(&self, node: usize, address: SocketAddr) {
        let mut addresses = self.0.lock().unwrap();
        match addresses.get_mut(node) {
            Some(place) => *place = address,
            None => addresses.push(address),
        }
    }
}

/// A process that is a node. It ends with this.
pub(crate) struct Node {
    child: Child,
    settings: Settings,
}

impl Node {
    /// Starts one. It says where it is.
    pub(crate) fn start(settings: &Settings) -> (Node, SocketAddr) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "serves_as_a_node", "--ignored", "--nocapture"])
            .env(HISTORY, settings.history.unwrap_or(100_000).to_string())
            .env(REDIS, settings.redis.as_deref().unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the node has ended").unwrap();
            if let Some((_, address)) = line.split_once(READY) {
                break address.parse().unwrap();
            }
        };
        (Node { child, settings: settings.clone() }, address)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn revoke(address: SocketAddr, subject: &str) {
        let mut client = support::Client::on(TcpStream::connect(address).unwrap());
        client.send(format!(
            "POST /revoke/{subject} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
        ));
        assert_eq!(support::status(&client.head()), 200);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Several nodes, and where they are.
pub(crate) struct Nodes {
    pub(crate) all: Vec<Node>,
    pub(crate) addresses: std::sync::Arc<Addresses>,
}

impl Nodes {
    pub(crate) fn start(count: usize, settings: &Settings) -> Self {
        let mut nodes = Nodes { all: Vec::new(), addresses: Default::default() };
        for index in 0..count {
            let (node, address) = Node::start(settings);
            nodes.addresses.set(index, address);
            nodes.all.push(node);
        }
        nodes
    }

    /// Starts one again that was killed.
    pub(crate) fn restart(&mut self, index: usize) {
        let (node, address) = Node::start(&self.all[index].settings);
        self.addresses.set(index, address);
        self.all[index] = node;
    }
}

/// What the process does. It ends with the one that has started it.
pub(crate) fn serve() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _guard = runtime.enter();
    let hub = hub();
    let revocations = Revocations::new(&hub).unwrap();
    runtime.block_on(revocations.ready());
    let authorizer = from_fn(|credentials: Credentials<'_>| {
        let mut identity = Identity::default();
        identity.subject = credentials.token.map(Into::into);
        identity.grants.subscribe = vec!["**".parse().unwrap()];
        identity.grants.publish = vec!["**".parse().unwrap()];
        Ok(identity)
    });
    let endpoint = Endpoint::builder(hub)
        .authorizer(revocations.guard(authorizer))
        .max_poll_timeout(PATIENCE)
        .build();
    let revoke = post(move |Path(subject): Path<String>| async move {
        revocations.revoke(Revocation::subject(subject)).await.unwrap();
    });
    let router = endpoint.router().route("/revoke/{subject}", revoke);
    let server = support::server(router).max_connections_per_ip(0).start().unwrap();
    println!("{READY}{}", server.local_addr());
    let _ = std::io::stdin().read(&mut [0]);
}

fn hub() -> Hub {
    let history = std::env::var(HISTORY).unwrap().parse().unwrap();
    let builder = Hub::builder()
        .defaults(ChannelOptions::default().history_size(history))
        .replay_limit(100_000, usize::MAX);
    match std::env::var(REDIS).unwrap() {
        url if url.is_empty() => builder.build(),
        url => {
            let redis = Redis::builder(url)
                .probe_interval(Duration::from_millis(500))
                .check_interval(Duration::from_secs(1))
                .start();
            builder.backplane(redis.unwrap()).build()
        }
    }
}

//! Two nodes and the Redis that joins them.

use std::net::TcpStream;

use crate::client::Client;
use crate::node::{Node, Nodes, Settings};
use crate::publisher::Publishers;
use crate::redis_server::Server;
use crate::support::{self, eventually};
use crate::{MESSAGES, channels, clients, count};

/// How a Redis keeps whatever it has said to have. With less, it puts off writing while its disk is
/// busy.
const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// Two nodes, and clients of both.
struct Scene {
    redis: Server,
    nodes: Nodes,
    clients: Vec<Client>,
    publishers: Publishers,
}

impl Scene {
    fn begin(redis: &[&str]) -> Self {
        let redis = start(redis);
        let nodes = Nodes::start(2, &joined_by(&redis));
        let channels = channels(4);
        let clients = clients(&nodes, &channels);
        let publishers = Publishers::start(&channels, MESSAGES, &nodes.addresses);
        publishers.go_on(MESSAGES / 6);
        Scene { redis, nodes, clients, publishers }
    }

    fn count(self) -> Vec<usize> {
        count(self.publishers, self.clients)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn start(arguments: &[&str]) -> Server {
    block_on(Server::start(arguments))
}

fn joined_by(redis: &Server) -> Settings {
    let url = format!("redis://127.0.0.1:{}", redis.port);
    Settings { redis: Some(url), ..Settings::default() }
}

#[test]
fn a_node_that_is_killed_costs_its_clients_nothing() {
    let mut scene = Scene::begin(&[]);
    for node in [0, 1] {
        scene.nodes.all[node].kill();
        scene.publishers.go_on(MESSAGES / 6);
        scene.nodes.restart(node);
        scene.publishers.go_on(MESSAGES / 6);
    }
    let gaps = scene.count();
    assert!(gaps.iter().all(|gaps| *gaps == 0), "{gaps:?}");
}

#[test]
fn a_node_that_is_stopped_for_a_while_costs_its_clients_nothing() {
    let scene = Scene::begin(&[]);
    scene.nodes.all[0].signal("STOP");
    // Longer than it takes to notice that nothing arrives, here and in Redis.
    scene.publishers.go_on(MESSAGES / 2);
    scene.nodes.all[0].signal("CONT");
    let gaps = scene.count();
    assert!(gaps.iter().all(|gaps| *gaps == 0), "{gaps:?}");
}

#[test]
fn a_redis_that_is_killed_and_keeps_its_logs_costs_nothing() {
    let mut scene = Scene::begin(&DURABLE);
    for _ in 0..2 {
        scene.redis.kill();
        scene.publishers.fail();
        block_on(scene.redis.restart());
        scene.publishers.go_on(MESSAGES / 6);
    }
    let gaps = scene.count();
    assert!(gaps.iter().all(|gaps| *gaps == 0), "{gaps:?}");
}

#[test]
fn a_redis_that_is_killed_and_loses_its_logs_makes_one_gap_in_each_channel() {
    let mut scene = Scene::begin(&[]);
    scene.redis.kill();
    scene.publishers.fail();
    block_on(scene.redis.restart());
    let gaps = scene.count();
    assert!(gaps.iter().all(|gaps| *gaps == 1), "{gaps:?}");
}

#[test]
fn a_redis_that_is_killed_and_goes_back_to_what_it_has_saved_makes_one_gap_in_each_channel() {
    let mut scene = Scene::begin(&[]);
    assert_eq!(scene.redis.ask(&["SAVE"]), "OK");
    scene.publishers.go_on(MESSAGES / 6);
    scene.redis.kill();
    scene.publishers.fail();
    // The logs have their old epochs, and what comes next has the offsets of what was lost.
    block_on(scene.redis.restart());
    let gaps = scene.count();
    assert!(gaps.iter().all(|gaps| *gaps == 1), "{gaps:?}");
}

#[test]
fn nodes_redis_and_clients_that_are_killed_together_cost_nothing_that_was_kept() {
    let mut scene = Scene::begin(&DURABLE);
    scene.redis.kill();
    scene.nodes.all[0].kill();
    scene.clients.iter().for_each(|client| client.kill(false));
    scene.publishers.fail();
    block_on(scene.redis.restart());
    scene.nodes.restart(0);
    scene.nodes.all[1].kill();
    scene.publishers.go_on(MESSAGES / 6);
    scene.nodes.restart(1);
    let gaps = scene.count();
    assert!(gaps.iter().all(|gaps| *gaps == 0), "{gaps:?}");
}

#[test]
fn a_revocation_on_one_node_ends_streams_on_another_and_is_known_to_those_that_start_later() {
    let redis = start(&[]);
    let mut nodes = Nodes::start(2, &joined_by(&redis));
    let request = |address, name: &str| {
        let mut client = support::Client::on(TcpStream::connect(address).unwrap());
        client.send(format!(
            "GET /sse?channel=news HTTP/1.0\r\nhost: a\r\nauthorization: Bearer {name}\r\n\r\n"
        ));
        client
    };
    let [here, there] = [0, 1].map(|node| nodes.addresses.get(node));
    let [mut mallory, mut alice] = ["mallory", "alice"].map(|name| request(there, name));
    for client in [&mut mallory, &mut alice] {
        assert_eq!(support::status(&client.head()), 200);
        client.read_until("event: lithe.sub\n");
    }
    Node::revoke(here, "mallory");
    assert!(mallory.rest().contains("lithe.error"));
    nodes.all[0].kill();
    nodes.restart(0);
    for node in [0, 1] {
        let head = request(nodes.addresses.get(node), "mallory").head();
        assert_eq!(support::status(&head), 401, "{head}");
        let mut others = request(nodes.addresses.get(node), "bob");
        others.read_until("event: lithe.sub\n");
    }
    // Nothing has ended the others.
    alice.socket.set_nonblocking(true).unwrap();
    eventually("alice has read all", || match alice.read_once() {
        Ok(read) => {
            assert!(!read.is_empty(), "it has ended");
            false
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    });
}

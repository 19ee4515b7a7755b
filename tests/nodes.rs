//! Nodes in processes of their own, which are killed or stopped, and their Redis, and their clients,
//! in the middle of 1,000 messages a second: each client has each message once and in order, or a
//! gap that covers exactly what is missing. And a client that stalls, which takes the time that all
//! others together do.
#![cfg(all(feature = "endpoint", feature = "server", feature = "redis", target_os = "linux"))]

#[path = "nodes/client.rs"]
mod client;
#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
#[path = "nodes/node.rs"]
mod node;
#[path = "nodes/publisher.rs"]
mod publisher;
#[path = "nodes/record.rs"]
mod record;
#[path = "nodes/redis.rs"]
mod redis;
#[path = "backplane/redis_server.rs"]
mod redis_server;
#[path = "nodes/stall.rs"]
mod stall;
mod support;

use std::time::Duration;

use client::{Client, Transport};
use node::{Nodes, Settings};
use publisher::Publishers;
use stall::Stall;
use support::eventually;

/// How many messages are published in each test.
const MESSAGES: usize = 3000;

#[test]
#[ignore = "it is what the processes do that the other tests start"]
fn serves_as_a_node() {
    node::serve();
}

fn channels(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("numbers.{number}")).collect()
}

/// Clients of each transport at each node, of one channel and of all.
fn clients(nodes: &Nodes, channels: &[String]) -> Vec<Client> {
    let mut clients = Vec::new();
    for node in 0..2 {
        for transport in [Transport::EventStream, Transport::WebSocket, Transport::LongPoll] {
            for channels in [&channels[..1], channels] {
                clients.push(Client::start(transport, channels, &nodes.addresses, node));
            }
        }
    }
    eventually("all have begun", || clients.iter().all(Client::has_begun));
    clients
}

/// Counts what each client has got when all is published. Says how many gaps there were in each
/// channel of each client.
fn count(publishers: Publishers, clients: Vec<Client>) -> Vec<usize> {
    let published = publishers.finish();
    let mut gaps = Vec::new();
    for client in clients {
        let name = client.name.clone();
        let counts = client.finish().verify(&published).unwrap_or_else(|e| panic!("{name}: {e}"));
        gaps.extend(counts.into_values());
    }
    gaps
}

/// It comes first by its name, so that the others run beside it.
#[test]
fn a_client_that_reads_nothing_for_a_minute_costs_a_thousand_others_nothing() {
    let seconds = std::env::var("LITHE_STALL_SECONDS").map(|seconds| seconds.parse().unwrap());
    let (mut stall, stalled) = Stall::start();
    stall.last(Duration::from_secs(seconds.unwrap_or(60)));
    stall.end(stalled);
}

#[test]
fn a_single_node_that_is_killed_has_lost_its_logs_and_says_so_once() {
    let mut nodes = Nodes::start(1, &Settings::default());
    let channels = channels(4);
    let clients = clients(&nodes, &channels);
    let publishers = Publishers::start(&channels, MESSAGES, &nodes.addresses);
    publishers.go_on(MESSAGES / 3);
    nodes.all[0].kill();
    publishers.fail();
    nodes.restart(0);
    let gaps = count(publishers, clients);
    assert!(gaps.iter().all(|gaps| *gaps == 1), "{gaps:?}");
}

#[test]
fn clients_that_are_killed_go_on_from_what_they_have_kept() {
    let nodes = Nodes::start(1, &Settings::default());
    let channels = channels(4);
    let clients = clients(&nodes, &channels);
    let publishers = Publishers::start(&channels, MESSAGES, &nodes.addresses);
    for _ in 0..5 {
        publishers.go_on(MESSAGES / 10);
        clients.iter().for_each(|client| client.kill(false));
    }
    let gaps = count(publishers, clients);
    assert!(gaps.iter().all(|gaps| *gaps == 0), "{gaps:?}");
}

#[test]
fn clients_that_were_away_for_longer_than_the_history_are_told_what_is_missing() {
    let settings = Settings { history: Some(200), ..Settings::default() };
    let nodes = Nodes::start(1, &settings);
    let channels = channels(2);
    let clients = clients(&nodes, &channels);
    let publishers = Publishers::start(&channels, MESSAGES, &nodes.addresses);
    publishers.go_on(MESSAGES / 6);
    clients.iter().for_each(|client| client.kill(true));
    publishers.go_on(MESSAGES / 3);
    clients.iter().for_each(Client::may_come_back);
    let gaps = count(publishers, clients);
    // There may be more: who is slow here is passed by soon.
    assert!(gaps.iter().all(|gaps| *gaps >= 1), "{gaps:?}");
}

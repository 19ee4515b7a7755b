//! Many clients of a hub at once, and those among them that do not read.
#![cfg(all(feature = "endpoint", feature = "server"))]

#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
mod support;

use std::net::SocketAddr;

use event_source::EventSource;
use lithe::endpoint::Endpoint;
use lithe::hub::{ChannelName, Hub, Position};
use lithe::server::Server;
use lithe::transport::Kind;
use support::{count, eventually};

fn serve(hub: &Hub) -> Server {
    let endpoint = Endpoint::builder(hub.clone()).build();
    support::server(endpoint.router()).max_connections_per_ip(0).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, data: impl Into<String>) -> Position {
    let channel: ChannelName = channel.parse().unwrap();
    hub.publish_blocking(&channel, data.into()).unwrap().position
}

/// Opens so many streams, all before any is read from.
fn open(address: SocketAddr, clients: usize, path: &str, headers: &str) -> Vec<EventSource> {
    let mut sources: Vec<_> =
        (0..clients).map(|_| EventSource::request(address, path, headers)).collect();
    sources.iter_mut().for_each(EventSource::read_head);
    sources
}

#[test]
fn two_thousand_clients_that_come_back_at_once_get_what_they_missed() {
    const CLIENTS: usize = 2000;
    const MISSED: usize = 100;
    let hub = Hub::new();
    let server = serve(&hub);
    let seen = publish(&hub, "a", "seen");
    let data: Vec<_> = (0..MISSED).map(|n| format!("{n} {}", "x".repeat(100))).collect();
    for data in &data {
        publish(&hub, "a", data.clone());
    }
    let header = format!("last-event-id: {seen}\r\n");
    let mut sources = open(server.local_addr(), CLIENTS, "/sse?channel=a", &header);
    assert_eq!(count(&server, Kind::Sse), CLIENTS);
    // Each has in the hub what it needs to read on, and no copy of what it missed.
    let queued: usize = server.connections().iter().map(|connection| connection.queued_bytes).sum();
    assert!(queued <= CLIENTS * 64 * 1024, "{queued} bytes");
    assert_eq!(hub.stats().channels, 1);
    let history = hub.stats().history_bytes;
    assert!(history < 2 * MISSED * 500, "{history} bytes");
    publish(&hub, "a", "live");
    for source in &mut sources {
        let sub = source.control("lithe.sub");
        assert_eq!(
            (sub["recovered"].as_bool(), sub["was_recovering"].as_bool()),
            (Some(true), Some(true))
        );
        assert_eq!(source.data(MISSED), data);
        assert_eq!(source.data(1), ["live"]);
    }
    // No event was read from the history more than once for a client.
    assert_eq!(hub.stats().delivered, (CLIENTS * (MISSED + 1)) as u64);
    drop(sources);
    eventually("all are gone", || hub.stats().subscriptions == 0 && server.connection_count() == 0);
}

#[test]
fn a_replay_is_read_as_far_as_the_client_takes_it() {
    const CLIENTS: usize = 20;
    const EVENT: usize = 16 * 1024;
    // More than the kernel takes for a client that does not read.
    const MISSED: usize = 2000;
    let options = lithe::hub::ChannelOptions::default().history_size(MISSED + 1);
    let hub = Hub::builder().defaults(options).replay_limit(MISSED, usize::MAX).build();
    let server = serve(&hub);
    let seen = publish(&hub, "a", "seen");
    let data = "x".repeat(EVENT);
    for n in 0..MISSED {
        publish(&hub, "a", format!("{n} {data}"));
    }
    let header = format!("last-event-id: {seen}\r\n");
    let mut sources = open(server.local_addr(), CLIENTS, "/sse?channel=a", &header);
    // As soon as the kernel takes no more, there is something on its way.
    eventually("all are held up", || {
        let connections = server.connections();
        connections.iter().filter(|connection| connection.queued_bytes > 0).count() == CLIENTS
    });
    for connection in server.connections() {
        assert!(connection.queued_bytes < 64 * 1024 + 2 * EVENT, "{connection:?}");
    }
    assert!(hub.stats().delivered < (CLIENTS * MISSED) as u64);
    // And it goes on when they read.
    let last = sources.last_mut().unwrap();
    last.control("lithe.sub");
    for (n, got) in last.data(MISSED).iter().enumerate() {
        assert!(got.starts_with(&format!("{n} ")));
    }
}

#[test]
fn one_client_that_does_not_read_costs_a_thousand_others_nothing() {
    const HEALTHY: usize = 1000;
    const EVENTS: usize = 50;
    let hub = Hub::new();
    let server = serve(&hub);
    let mut stalled = EventSource::open(server.local_addr(), "/sse?channel=a&channel=large", "");
    stalled.control("lithe.sub");
    stalled.control("lithe.sub");
    let mut healthy = open(server.local_addr(), HEALTHY, "/sse?channel=a", "");
    healthy.iter_mut().for_each(|source| drop(source.control("lithe.sub")));
    let large = "x".repeat(256 * 1024);
    for n in 0..EVENTS {
        publish(&hub, "large", format!("{n} {large}"));
        publish(&hub, "a", n.to_string());
    }
    let expected: Vec<_> = (0..EVENTS).map(|n| n.to_string()).collect();
    for source in &mut healthy {
        assert_eq!(source.data(EVENTS), expected);
    }
    // It is stuck, with a bounded amount on its way, and has lost nothing.
    let queued = || server.connections().iter().map(|row| row.queued_bytes).sum::<usize>();
    eventually("it is stuck", || queued() > 0);
    assert!(queued() < 1024 * 1024, "{} bytes", queued());
    let mut got = (Vec::new(), Vec::new());
    while got.0.len() < EVENTS || got.1.len() < EVENTS {
        let data = stalled.data(1).remove(0);
        match data.split_once(' ') {
            Some((number, _)) => got.1.push(number.to_owned()),
            None => got.0.push(data),
        }
    }
    assert_eq!((&got.0, &got.1), (&expected, &expected));
}

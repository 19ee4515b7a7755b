//! Patterns that match more channels than a cursor has room for, through real sockets.
#![cfg(all(feature = "endpoint", feature = "server"))]

#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
#[path = "support/hub_socket.rs"]
mod hub_socket;
mod support;

use std::collections::HashSet;

use event_source::EventSource;
use hub_socket::HubSocket;
use lithe::endpoint::Endpoint;
use lithe::hub::{ChannelName, ChannelOptions, Hub, MAX_CURSOR};
use lithe::server::Server;
use lithe::transport::Kind;
use serde_json::Value;
use support::{Client, count, eventually, status};

/// What fits into a cursor are some 300.
const CHANNELS: usize = 800;

fn serve(hub: &Hub) -> Server {
    support::server(Endpoint::builder(hub.clone()).build().router()).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, data: &str) {
    let channel: ChannelName = channel.parse().unwrap();
    hub.publish_blocking(&channel, data.to_owned()).unwrap();
}

fn publish_to_all(hub: &Hub, data: &str) {
    (0..CHANNELS).for_each(|n| publish(hub, &format!("logs.{n}"), data));
}

fn answer(client: &mut Client) -> (String, Vec<Value>) {
    let (head, body) = client.response();
    assert_eq!(status(&head), 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let cursor = answer["cursor"].as_str().unwrap().to_owned();
    assert!(cursor.len() <= MAX_CURSOR);
    (cursor, answer["events"].as_array().unwrap().clone())
}

fn poll(client: &mut Client, cursor: &str) -> (String, Vec<Value>) {
    answer(client.get(&format!("/poll?channel=logs.*&cursor={cursor}")))
}

fn place(publication: &Value) -> String {
    assert_eq!(publication["type"], "pub", "{publication}");
    format!("{}-{}", publication["channel"].as_str().unwrap(), publication["offset"])
}

#[test]
fn a_poll_waits_however_many_channels_a_pattern_has() {
    let hub = Hub::new();
    let server = serve(&hub);
    publish_to_all(&hub, "old");
    let mut client = Client::connect(&server);
    let (first, _) = poll(&mut client, "");
    publish_to_all(&hub, "new");
    let (mut cursor, mut seen) = (first, HashSet::new());
    while seen.len() < CHANNELS {
        let (next, events) = poll(&mut client, &cursor);
        seen.extend(events.iter().map(place));
        cursor = next;
    }
    client.get(&format!("/poll?channel=logs.*&cursor={cursor}"));
    eventually("the poll waits", || count(&server, Kind::LongPoll) == 1);
    publish(&hub, "logs.7", "newer");
    let (_, events) = answer(&mut client);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["data"], "newer");
}

#[test]
fn a_stream_that_breaks_amid_many_channels_goes_on_without_a_gap() {
    let hub = Hub::new();
    let server = serve(&hub);
    publish_to_all(&hub, "old");
    let path = "/sse?channel=logs.*&format=json";
    let mut source = EventSource::open(server.local_addr(), path, "");
    source.control("lithe.sub");
    let mut id = source.last_seen_id.clone();
    publish_to_all(&hub, "new");
    let mut seen = HashSet::new();
    while seen.len() < CHANNELS {
        let header = format!("last-event-id: {id}\r\n");
        let mut source = EventSource::open(server.local_addr(), path, &header);
        let sub = source.control("lithe.sub");
        assert_eq!(sub["recovered"], true, "{sub} after {id:?}");
        while source.last_seen_id.is_empty() {
            let publication = source.next().unwrap();
            seen.insert(place(&serde_json::from_str(&publication.data).unwrap()));
        }
        id = source.last_seen_id.clone();
    }
}

/// A hub, and a list of what is on it, the first of which has lost what was published.
fn with_a_gap() -> (Hub, String) {
    let lossy = ChannelOptions::default().history_size(0).backlog(1);
    let hub = Hub::builder().namespace("lossy.*".parse().unwrap(), lossy).build();
    let query = (0..40).map(|n| format!("&channel=many.{n}")).collect::<String>();
    (hub, format!("channel=lossy.a{query}&channel=logs.*"))
}

#[test]
fn on_a_socket_nothing_comes_between_a_gap_and_the_cursor_after_it() {
    let (hub, query) = with_a_gap();
    let server = serve(&hub);
    let mut socket = HubSocket::open(server.local_addr(), &format!("/ws?{query}"));
    socket.settle();
    let cursor = socket.cursor.clone();
    drop(socket);
    publish(&hub, "lossy.a", "lost");
    publish(&hub, "many.1", "kept");
    let mut socket = HubSocket::open(server.local_addr(), &format!("/ws?{query}&cursor={cursor}"));
    let frames = socket.settle();
    let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    let gap = kinds.iter().position(|kind| *kind == "gap").unwrap();
    let after: Vec<_> = kinds[gap..].iter().filter(|kind| **kind != "sub").copied().collect();
    assert_eq!(after, ["gap", "cursor", "pub", "cursor"]);
    let after_gap = frames.iter().find(|frame| frame["type"] == "cursor").unwrap();
    let after_gap = after_gap["cursor"].as_str().unwrap();
    let mut again =
        HubSocket::open(server.local_addr(), &format!("/ws?{query}&cursor={after_gap}"));
    let frames = again.settle();
    assert!(frames.iter().all(|frame| frame["type"] != "gap"), "{frames:?}");
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "pub").count(), 1);
}

#[test]
fn on_a_stream_nothing_comes_between_a_gap_and_the_id_after_it() {
    let (hub, query) = with_a_gap();
    let server = serve(&hub);
    let path = format!("/sse?{query}");
    let mut source = EventSource::open(server.local_addr(), &path, "");
    (0..42).for_each(|_| _ = source.control("lithe.sub"));
    assert!(source.parser.last_event_id.len() > 256);
    publish(&hub, "lossy.a", "1");
    assert_eq!(source.data(1), ["1"]);
    let before = source.parser.last_event_id.clone();
    drop(source);
    eventually("nobody listens", || hub.stats().subscriptions == 0);
    publish(&hub, "lossy.a", "lost");
    publish(&hub, "many.1", "kept");
    let headers = format!("last-event-id: {before}\r\n");
    let mut source = EventSource::open(server.local_addr(), &path, &headers);
    let mut event = source.next().unwrap();
    while event.event_type == "lithe.sub" {
        event = source.next().unwrap();
    }
    assert_eq!(event.event_type, "lithe.gap");
    let of_gap = event.last_event_id;
    let mut told = of_gap.clone();
    while told == of_gap {
        let event = source.next().unwrap();
        assert_eq!(event.event_type, "lithe.sub", "{}", event.data);
        told = event.last_event_id;
    }
    assert_eq!(source.data(1), ["kept"]);
}

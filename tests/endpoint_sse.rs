//! Channels of a hub as event streams, through real sockets.
#![cfg(all(feature = "endpoint", feature = "server"))]

#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
mod support;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use axum::routing::get;
use event_source::EventSource;
use lithe::endpoint::{self, Endpoint};
use lithe::hub::{AfterGap, ChannelName, ChannelOptions, Hub, Overflow};
use lithe::server::Server;
use lithe::transport::Kind;
use serde_json::json;
use support::{count, eventually, header};

fn serve(hub: &Hub, configure: impl FnOnce(endpoint::Builder) -> endpoint::Builder) -> Server {
    let endpoint = configure(Endpoint::builder(hub.clone())).build();
    support::server(endpoint.router()).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, data: impl Into<String>) {
    let channel: ChannelName = channel.parse().unwrap();
    hub.publish_blocking(&channel, data.into()).unwrap();
}

/// Opens a stream of one channel, and waits until it is subscribed to.
fn open(address: SocketAddr, path: &str) -> EventSource {
    let mut source = EventSource::open(address, path, "");
    source.control("lithe.sub");
    source
}

#[test]
fn a_publication_is_an_event_with_its_position_for_an_id() {
    let hub = Hub::new();
    let server =
        serve(&hub, |builder| builder.retry(Duration::from_secs(1)..=Duration::from_secs(3)));
    let mut source = EventSource::open(server.local_addr(), "/sse?channel=a", "");
    assert_eq!(source.status(), 200);
    assert_eq!(header(&source.head, "content-type"), Some("text/event-stream"));
    assert_eq!(header(&source.head, "cache-control"), Some("no-cache"));
    let sub = source.control("lithe.sub");
    assert_eq!(sub["channel"], "a");
    assert_eq!((&sub["recovered"], &sub["was_recovering"]), (&json!(false), &json!(false)));
    let retry = source.parser.reconnection_time.unwrap();
    assert!((1000..=3000).contains(&retry), "{retry}");

    let message = lithe::hub::Message::new("two\nlines").name("note").unwrap();
    let published = hub.publish_blocking(&"a".parse().unwrap(), message).unwrap();
    let event = source.next().unwrap();
    assert_eq!((&*event.event_type, &*event.data), ("note", "two\nlines"));
    assert_eq!(event.last_event_id, published.position.to_string());
    drop(source);
    eventually("the subscription is gone", || hub.stats().subscriptions == 0);
}

#[test]
fn whoever_comes_back_gets_what_it_missed_once_and_in_order() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let path = "/sse?channel=a";
    let mut source = open(server.local_addr(), path);
    publish(&hub, "a", "0");
    assert_eq!(source.data(1), ["0"]);
    for n in 1..500 {
        publish(&hub, "a", n.to_string());
    }
    let mut source = source.reopen(server.local_addr(), path, "");
    let sub = source.control("lithe.sub");
    assert_eq!((&sub["recovered"], &sub["was_recovering"]), (&json!(true), &json!(true)));
    publish(&hub, "a", "500");
    let expected: Vec<_> = (1..=500).map(|n| n.to_string()).collect();
    assert_eq!(source.data(500), expected);
}

#[test]
fn a_stream_that_had_no_event_yet_is_resumed_too() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let source = open(server.local_addr(), "/sse?channel=a");
    publish(&hub, "a", "missed");
    let mut source = source.reopen(server.local_addr(), "/sse?channel=a", "");
    assert_eq!(source.control("lithe.sub")["recovered"], true);
    assert_eq!(source.data(1), ["missed"]);
}

#[test]
fn a_client_that_comes_for_the_first_time_gets_what_is_published_from_now_on() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    publish(&hub, "a", "before");
    let mut source = open(server.local_addr(), "/sse?channel=a");
    publish(&hub, "a", "after");
    assert_eq!(source.data(1), ["after"]);
}

#[test]
fn a_client_of_a_silent_channel_is_resumed_however_long_it_was_away() {
    let options = ChannelOptions::default().history_age(Duration::ZERO).backlog(1);
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, |builder| builder);
    let mut source = open(server.local_addr(), "/sse?channel=a");
    publish(&hub, "a", "only");
    assert_eq!(source.data(1), ["only"]);
    // Nothing is left of what it has seen.
    hub.sweep();
    assert_eq!(hub.history(&"a".parse().unwrap(), 0).unwrap().publications.len(), 0);
    for _ in 0..3 {
        source = source.reopen(server.local_addr(), "/sse?channel=a", "");
        assert_eq!(source.control("lithe.sub")["recovered"], true);
    }
    publish(&hub, "a", "next");
    assert_eq!(source.data(1), ["next"]);
}

#[test]
fn several_channels_are_resumed_by_one_id_wherever_the_stream_breaks() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let path = "/sse?channel=a&channel=b&channel=c.*&format=json";
    let mut source = EventSource::open(server.local_addr(), path, "");
    let mut expected = Vec::new();
    for n in 0..60 {
        let channel = ["a", "b", "c.1", "c.2"][n % 4];
        publish(&hub, channel, n.to_string());
        expected.push((channel.to_owned(), n));
    }
    let mut seen = Vec::new();
    while seen.len() < expected.len() {
        // A few events, and the connection is gone.
        let mut events = 0;
        while events < 7 && seen.len() < expected.len() {
            let event = source.next().unwrap();
            let frame: serde_json::Value = serde_json::from_str(&event.data).unwrap();
            match &*event.event_type {
                "message" => {
                    assert_eq!(frame["type"], "pub");
                    let number = frame["data"].as_str().unwrap().parse::<usize>().unwrap();
                    seen.push((frame["channel"].as_str().unwrap().to_owned(), number));
                    events += 1;
                }
                "lithe.sub" => assert_eq!(frame["recovered"], frame["was_recovering"], "{frame}"),
                other => panic!("{other}: {frame}"),
            }
        }
        // What was read but not looked at counts as never received.
        let id = source.last_seen_id.clone();
        source = EventSource::open(server.local_addr(), path, &format!("last-event-id: {id}\r\n"));
    }
    for channel in ["a", "b", "c.1", "c.2"] {
        let of = |list: &[(String, usize)]| -> Vec<usize> {
            list.iter().filter(|(name, _)| name == channel).map(|(_, n)| *n).collect()
        };
        assert_eq!(of(&seen), of(&expected), "{channel}");
    }
}

#[test]
fn what_the_history_no_longer_holds_is_one_gap() {
    let hub =
        Hub::builder().defaults(ChannelOptions::default().history_size(10).backlog(10)).build();
    let server = serve(&hub, |builder| builder);
    let mut source = open(server.local_addr(), "/sse?channel=a");
    publish(&hub, "a", "first");
    source.data(1);
    for n in 0..40 {
        publish(&hub, "a", n.to_string());
    }
    let mut resumed = source.reopen(server.local_addr(), "/sse?channel=a", "");
    let sub = resumed.control("lithe.sub");
    assert_eq!((&sub["recovered"], &sub["was_recovering"]), (&json!(false), &json!(true)));
    let gap = resumed.control("lithe.gap");
    let epoch = sub["epoch"].as_str().unwrap();
    let expected = json!({
        "type": "gap",
        "channel": "a",
        "reason": "expired",
        "from": format!("{epoch}-1"),
        "to": format!("{epoch}-41"),
    });
    assert_eq!(gap, expected);
    publish(&hub, "a", "live");
    assert_eq!(resumed.data(1), ["live"]);

    let mut earliest = source.reopen(server.local_addr(), "/sse?channel=a&gap=earliest", "");
    earliest.control("lithe.sub");
    earliest.control("lithe.gap");
    assert_eq!(earliest.data(10).last().unwrap(), "live");
}

#[test]
fn a_cursor_of_other_channels_or_of_nothing_is_a_gap_and_no_error() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    publish(&hub, "a", "x");
    for cursor in ["made-up", "1-1", "vAAAA", "%00", "9f3a61c20b7e-18446744073709551615"] {
        let path = format!("/sse?channel=a&channel=b&cursor={cursor}");
        let mut source = EventSource::open(server.local_addr(), &path, "");
        assert_eq!(source.status(), 200, "{cursor}");
        let kinds: Vec<_> = (0..4).map(|_| source.next().unwrap().event_type).collect();
        let gaps = kinds.iter().filter(|kind| *kind == "lithe.gap").count();
        assert_eq!((gaps, kinds.len()), (2, 4), "{cursor}: {kinds:?}");
        publish(&hub, "b", "live");
        assert_eq!(source.data(1), ["live"]);
    }
}

#[test]
fn a_burst_leaves_as_one_write() {
    let hub = Hub::new();
    let (held, is_held) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    // Keeps the only worker busy.
    let hold = move || {
        held.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        std::future::ready(())
    };
    let router = Endpoint::builder(hub.clone()).build().router().route("/hold", get(hold));
    let server = support::server(router).start().unwrap();
    let mut client = support::Client::connect(&server);
    client.get("/sse?channel=a").read_until("lithe.sub");
    client.read_until("\n\n\r\n");
    let mut holder = support::Client::connect(&server);
    holder.get("/hold");
    is_held.recv().unwrap();
    for n in 0..100 {
        publish(&hub, "a", format!("{n:03}"));
    }
    release.send(()).unwrap();
    // One chunk, from its length to its end.
    let chunk = client.read_until("\n\n\r\n");
    assert_eq!(chunk.matches("data: ").count(), 100, "{chunk}");
    assert!(chunk.contains("data: 000\n") && chunk.contains("data: 099\n"));
    assert_eq!(server.metrics().sse.messages_out, 101);
}

#[test]
fn a_long_cursor_comes_once_for_all_that_is_written_together_unless_asked_for() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let channels: String = (0..40).map(|n| format!("&channel=long.{n}")).collect();
    for (strict, path) in [(false, "/sse?x"), (true, "/sse?strict_ids=1")] {
        let mut source = EventSource::open(server.local_addr(), &format!("{path}{channels}"), "");
        let events: Vec<_> = (0..40).map(|_| source.next().unwrap()).collect();
        let ids = source.parser.ids_seen;

        assert!(source.parser.last_event_id.len() > 256);
        assert_eq!(ids == events.len(), strict, "{ids} ids");
        // And it is one that holds.
        publish(&hub, "long.7", "missed");
        let mut resumed = source.reopen(server.local_addr(), &format!("{path}{channels}"), "");
        (0..40).for_each(|_| assert_eq!(resumed.control("lithe.sub")["recovered"], true));
        assert_eq!(resumed.data(1), ["missed"]);
    }
}

#[test]
fn what_cannot_be_asked_for_is_refused_in_words() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.max_channels(2));
    for (path, code) in [
        ("/sse", "bad_request"),
        ("/sse?channel=a..b", "bad_request"),
        ("/sse?channel=a&format=xml", "bad_request"),
        ("/sse?channel=a&channel=b&channel=c", "too_many"),
    ] {
        let mut source = EventSource::open(server.local_addr(), path, "");
        assert_eq!(source.status(), 400, "{path}");
        let error: serde_json::Value = serde_json::from_str(&source.body()).unwrap();
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{path}");
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn channels_of_the_library_are_nobodys() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let source = EventSource::open(server.local_addr(), "/sse?channel=lithe.revocations", "");
    assert_eq!(source.status(), 403);
    let mut source = EventSource::open(server.local_addr(), "/sse?channel=a&channel=lithe.**", "");
    let error = source.control("lithe.error");
    assert_eq!((&error["channel"], &error["code"]), (&json!("lithe.**"), &json!("denied")));
    assert_eq!(source.control("lithe.sub")["channel"], "a");
}

#[test]
fn a_drained_stream_says_good_bye_and_is_resumed_without_loss() {
    let hub = Hub::new();
    let path = "/sse?channel=a&channel=b";
    let first = serve(&hub, |builder| builder);
    let mut source = EventSource::open(first.local_addr(), path, "");
    source.control("lithe.sub");
    source.control("lithe.sub");
    publish(&hub, "a", "before");
    assert_eq!(source.data(1), ["before"]);
    let report = first.drain_blocking(support::PATIENCE);
    assert_eq!((report.drained, report.cut), (1, 0));
    let bye = source.control("lithe.bye");
    assert_eq!(bye["reason"], "drain");
    assert_eq!(source.next(), None);
    assert_eq!(source.parser.reconnection_time, bye["retry"].as_u64());

    publish(&hub, "b", "meanwhile");
    let second = serve(&hub, |builder| builder);
    let mut source = source.reopen(second.local_addr(), path, "");
    assert_eq!(source.control("lithe.sub")["recovered"], true);
    assert_eq!(source.control("lithe.sub")["recovered"], true);
    assert_eq!(source.data(1), ["meanwhile"]);
}

#[test]
fn an_endpoint_parts_from_its_clients_by_itself() {
    let hub = Hub::new();
    let endpoint = Endpoint::builder(hub.clone())
        .retry(Duration::from_secs(1)..=Duration::from_secs(1))
        .drain_window(Duration::from_secs(9))
        .build();
    let server = support::server(endpoint.router()).start().unwrap();
    let mut sources: Vec<_> =
        (0..20).map(|_| open(server.local_addr(), "/sse?channel=a")).collect();
    endpoint.drain();
    let mut retries: Vec<_> = sources
        .iter_mut()
        .map(|source| {
            assert_eq!(source.control("lithe.bye")["reason"], "drain");
            assert_eq!(source.next(), None);
            source.parser.reconnection_time.unwrap()
        })
        .collect();
    assert!(retries.iter().all(|retry| (1000..=10_000).contains(retry)), "{retries:?}");
    retries.dedup();
    assert!(retries.len() > 10, "they would all come back at once: {retries:?}");
    // Whoever comes now is told so as an `EventSource` understands it.
    let mut late = EventSource::open(server.local_addr(), "/sse?channel=a", "");
    assert_eq!((late.status(), late.rest()), (200, vec![]));
    assert_eq!(late.parser.reconnection_time, Some(1000));
}

#[test]
fn too_many_clients_are_told_to_come_back_and_none_is_killed_for_good() {
    let hub = Hub::new();
    let of_endpoint = serve(&hub, |builder| builder.max_connections(1));
    let endpoint = Endpoint::builder(hub.clone()).build();
    let of_server = support::server(endpoint.router()).max_connections(1).start().unwrap();
    for server in [of_endpoint, of_server] {
        let first = open(server.local_addr(), "/sse?channel=a");
        let mut second = EventSource::open(server.local_addr(), "/sse?channel=a", "");
        assert_eq!(second.status(), 200);
        assert_eq!(header(&second.head, "content-type"), Some("text/event-stream"));
        assert_eq!(second.rest(), []);
        assert!(second.parser.reconnection_time.is_some());
        drop(first);
        eventually("there is room again", || {
            let mut again = EventSource::open(server.local_addr(), "/sse?channel=a", "");
            again.status() == 200 && again.next().is_some()
        });
    }
}

#[test]
fn an_idle_stream_is_kept_alive_by_comments() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.keep_alive(Duration::from_millis(20)));
    let mut source = open(server.local_addr(), "/sse?channel=a");
    while source.parser.comments.len() < 3 {
        assert!(source.read());
    }
    publish(&hub, "a", "still here");
    assert_eq!(source.data(1), ["still here"]);
}

#[test]
fn a_client_that_does_not_read_costs_what_is_on_its_way_and_is_told_of_a_gap() {
    let options = ChannelOptions::default().history_size(4).backlog(4);
    let hub = Hub::builder()
        .defaults(options.overflow(Overflow::Resume).after_gap(AfterGap::Newest))
        .build();
    let server = serve(&hub, |builder| builder);
    let mut stalled = open(server.local_addr(), "/sse?channel=a");
    let mut healthy = open(server.local_addr(), "/sse?channel=a");
    // More than the kernel takes for a client that does not read.
    let data = "x".repeat(256 * 1024);
    for n in 0..200 {
        publish(&hub, "a", format!("{n} {data}"));
        let got = healthy.data(1);
        assert!(got[0].starts_with(&format!("{n} ")), "{}", &got[0][..10]);
    }
    let queued: usize = server.connections().iter().map(|connection| connection.queued_bytes).sum();
    assert!(queued < 1024 * 1024, "{queued} bytes");
    assert!(hub.stats().history_bytes < 8 * 1024 * 1024, "{:?}", hub.stats());
    publish(&hub, "a", "end");
    let mut numbers = Vec::new();
    let mut gaps = 0;
    loop {
        let event = stalled.next().unwrap();
        match &*event.event_type {
            "lithe.gap" => {
                let gap: serde_json::Value = serde_json::from_str(&event.data).unwrap();
                assert_eq!(gap["reason"], "slow");
                gaps += 1;
                let to = gap["to"].as_str().unwrap();
                if to.ends_with("-201") {
                    break;
                }
            }
            "message" if event.data == "end" => break,
            _ => numbers.push(event.data.split(' ').next().unwrap().parse::<u32>().unwrap()),
        }
    }
    assert!(gaps > 0, "it cannot have got all of {} events", numbers.len());
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn a_channel_that_pauses_goes_on_by_itself() {
    let options = ChannelOptions::default().min_interval(Duration::from_millis(50));
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, |builder| builder.keep_alive(None));
    let mut source = open(server.local_addr(), "/sse?channel=a");
    for n in 0..3 {
        publish(&hub, "a", n.to_string());
        publish(&hub, "a", format!("{n}+"));
    }
    assert_eq!(source.data(6), ["0", "0+", "1", "1+", "2", "2+"]);
}

#[test]
fn streams_are_counted_and_closed_as_others_are() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut source = open(server.local_addr(), "/sse?channel=a");
    assert_eq!(count(&server, Kind::Sse), 1);
    let id = server.connections().iter().find(|row| row.kind == Kind::Sse).unwrap().id;
    assert!(server.close(id));
    assert_eq!(source.control("lithe.bye")["reason"], "close");
    assert_eq!(source.next(), None);
    eventually("it is gone", || server.connection_count() == 0 && hub.stats().subscriptions == 0);
}

//! Channels of a hub on WebSockets, through real sockets.
#![cfg(all(feature = "endpoint", feature = "deflate", feature = "server"))]

#[path = "support/hub_socket.rs"]
mod hub_socket;
mod support;
#[path = "support/tokens.rs"]
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use hub_socket::HubSocket;
use lithe::access::{Action, Answer, Authorizer, Credentials, Identity, Refusal};
use lithe::endpoint::{self, Endpoint};
use lithe::hub::{AfterGap, ChannelName, ChannelOptions, Hub, Interest, Overflow, PresenceMode};
use lithe::server::Server;
use lithe::transport::Kind;
use lithe::ws;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{count, eventually};
use tokens::Tokens;
use tokio::sync::Semaphore;
use tokio_tungstenite::tungstenite::Message;

fn serve(hub: &Hub, configure: impl FnOnce(endpoint::Builder) -> endpoint::Builder) -> Server {
    let endpoint = configure(Endpoint::builder(hub.clone())).build();
    support::server(endpoint.router()).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, data: impl Into<String>) {
    let channel: ChannelName = channel.parse().unwrap();
    hub.publish_blocking(&channel, data.into()).unwrap();
}

fn open_as(server: &Server, token: &str, path: &str) -> HubSocket {
    let bearer = format!("Bearer {token}");
    HubSocket::open_with(server.local_addr(), path, &[("authorization", &bearer)])
}

/// What a frame says besides what differs from run to run.
fn told(frame: &Value, fields: &[&str]) -> Value {
    let told = |field: &&str| ((*field).to_owned(), frame[*field].clone());
    fields.iter().map(told).collect()
}

#[test]
fn a_publication_says_where_it_is_and_what_it_is() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a");
    let sub = socket.expect("sub");
    assert_eq!(
        told(&sub, &["channel", "offset", "recovered", "was_recovering"]),
        json!({"channel": "a", "offset": 0, "recovered": false, "was_recovering": false})
    );
    let message = lithe::hub::Message::new("{\"x\":1}").name("note").unwrap().key("k").unwrap();
    let published = hub.publish_blocking(&"a".parse().unwrap(), message).unwrap();
    let frame = socket.expect("pub");
    let expected = json!({
        "channel": "a",
        "epoch": published.position.epoch.to_string(),
        "offset": 1,
        "data": "{\"x\":1}",
        "name": "note",
        "key": "k",
    });
    assert_eq!(told(&frame, &["channel", "epoch", "offset", "data", "name", "key"]), expected);
    assert!(frame["time"].as_u64().unwrap() > 1_600_000_000_000);
    hub.publish_blocking(&"a".parse().unwrap(), &b"\xff\0"[..]).unwrap();
    assert_eq!(
        told(&socket.expect("pub"), &["data", "base64"]),
        json!({"data": null, "base64": "/wA="})
    );
    drop(socket);
    eventually("the subscription is gone", || hub.stats().subscriptions == 0);
}

#[test]
fn channels_come_and_go_while_the_socket_is_open() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(server.local_addr(), "/ws");
    assert_eq!(socket.ask(json!({"type": "ping", "id": 1})), json!({"type": "pong", "id": 1}));
    let reply = socket.ask(json!({"type": "subscribe", "id": 2, "channels": ["a", "b.*", "a"]}));
    assert_eq!(reply, json!({"type": "reply", "id": 2, "channels": ["a", "b.*"]}));
    let subs = [socket.expect("sub"), socket.expect("sub")];
    assert_eq!(subs.map(|sub| sub["channel"].clone()), ["a", "b.*"].map(Value::from));
    publish(&hub, "a", "1");
    publish(&hub, "b.x", "2");
    let mut data = socket.data(2);
    data.sort();
    assert_eq!(data, ["1", "2"]);
    let done = socket.ask(json!({"type": "unsubscribe", "id": 3, "channel": "a"}));
    assert_eq!(done, json!({"type": "reply", "id": 3}));
    publish(&hub, "a", "nobody listens");
    publish(&hub, "b.x", "3");
    assert_eq!(socket.data(1), ["3"]);
    // Again, and without wanting to know.
    socket.send(json!({"type": "subscribe", "channel": "a"}));
    assert_eq!(
        told(&socket.expect("sub"), &["channel", "offset"]),
        json!({"channel": "a", "offset": 2})
    );
    publish(&hub, "a", "4");
    assert_eq!(socket.data(1), ["4"]);
}

#[test]
fn a_channel_is_resumed_by_a_position_and_several_by_their_cursor() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    publish(&hub, "a", "1");
    let position = hub.position(&"a".parse().unwrap()).unwrap();
    publish(&hub, "a", "2");
    let mut socket = HubSocket::open(server.local_addr(), "/ws");
    let since = position.to_string();
    socket.ask(json!({"type": "subscribe", "id": 1, "channel": "a", "since": since}));
    assert_eq!(socket.expect("sub")["recovered"], true);
    assert_eq!(socket.data(1), ["2"]);
    socket.ask(json!({"type": "subscribe", "id": 2, "channel": "b"}));
    publish(&hub, "b", "3");
    socket.expect("sub");
    assert_eq!(socket.data(1), ["3"]);
    socket.settle();
    let cursor = socket.cursor.clone();
    drop(socket);

    publish(&hub, "a", "4");
    publish(&hub, "b", "5");
    let mut socket = HubSocket::open(server.local_addr(), "/ws");
    let resume = json!({"type": "resume", "id": 1, "channels": ["a", "b"], "cursor": cursor});
    assert_eq!(socket.ask(resume)["type"], "reply");
    let recovered = [socket.expect("sub"), socket.expect("sub")];
    assert!(recovered.iter().all(|sub| sub["recovered"] == true), "{recovered:?}");
    let mut data = socket.data(2);
    data.sort();
    assert_eq!(data, ["4", "5"]);
}

#[test]
fn several_channels_are_resumed_by_the_last_cursor_wherever_the_socket_breaks() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let path = "/ws?channel=a&channel=b&channel=c.*";
    let mut socket = HubSocket::open(server.local_addr(), path);
    (0..3).for_each(|_| drop(socket.expect("sub")));
    let mut seen = Vec::new();
    for round in 0..6 {
        for n in 0..20 {
            publish(&hub, ["a", "b", "c.1", "c.2"][n % 4], format!("{round}.{n:02}"));
        }
        let wanted = 20 * (round + 1);
        while seen.len() < wanted {
            let frame = socket.frame();
            match frame["type"].as_str().unwrap() {
                "pub" => seen.push(frame),
                "sub" => assert_eq!(frame["recovered"], true, "{frame}"),
                "cursor" => {}
                _ => panic!("{frame}"),
            }
        }
        // Whatever came after the last cursor comes again, and is known by its position.
        socket.settle();
        socket = HubSocket::open(server.local_addr(), &format!("{path}&cursor={}", socket.cursor));
    }
    for channel in ["a", "b", "c.1", "c.2"] {
        let of = seen.iter().filter(|frame| frame["channel"] == channel);
        let offsets: Vec<_> = of.map(|frame| frame["offset"].as_u64().unwrap()).collect();
        assert_eq!(offsets, (1..=30).collect::<Vec<_>>(), "{channel}");
    }
}

#[test]
fn publishing_takes_a_grant_and_is_answered_with_the_position() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let mut alice = open_as(&server, "alice:a,+b", "/ws?channel=b");
    alice.expect("sub");
    let denied = alice.ask(json!({"type": "publish", "id": 1, "channel": "a", "data": "x"}));
    assert_eq!(
        told(&denied, &["type", "code", "channel"]),
        json!({"type": "error", "code": "denied", "channel": "a"})
    );
    let reserved = alice.ask(json!({"type": "publish", "id": 2, "channel": "lithe.x", "data": ""}));
    assert_eq!(reserved["code"], "denied");
    let publish = json!({
        "type": "publish", "id": 3, "channel": "b", "data": "hello", "name": "said", "key": "k",
        "idempotency_key": "once",
    });
    alice.send(publish.clone());
    let mut frames = [alice.frame(), alice.frame()];
    frames.sort_by_key(|frame| frame["type"] == "pub");
    let expected =
        json!({"type": "reply", "channel": "b", "offset": 1, "receivers": 1, "duplicate": false});
    assert_eq!(
        told(&frames[0], &["type", "channel", "offset", "receivers", "duplicate"]),
        expected
    );
    assert_eq!(
        told(&frames[1], &["data", "name", "key"]),
        json!({"data": "hello", "name": "said", "key": "k"})
    );
    let again = alice.ask(publish);
    assert_eq!(told(&again, &["offset", "duplicate"]), json!({"offset": 1, "duplicate": true}));
    // Without a number there is no answer, and bytes are bytes.
    alice.send(json!({"type": "publish", "channel": "b", "base64": "/wA="}));
    assert_eq!(alice.frame()["base64"], "/wA=");
}

/// Lets everybody do everything, but publish only when there is leave.
struct Slow(Arc<Semaphore>);

impl Authorizer for Slow {
    fn authenticate<'a>(&'a self, _: Credentials<'a>) -> Answer<'a, Result<Identity, Refusal>> {
        Box::pin(std::future::ready(Ok(Identity::default())))
    }

    fn authorize<'a>(
        &'a self,
        _: &'a Identity,
        action: Action,
        _: &'a Interest,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            if action == Action::Publish {
                self.0.acquire().await.unwrap().forget();
            }
            true
        })
    }
}

#[test]
fn what_takes_long_to_be_published_holds_up_nothing_else_and_is_answered_before_the_end() {
    let hub = Hub::new();
    let leave = Arc::new(Semaphore::new(0));
    let server = serve(&hub, |builder| builder.authorizer(Slow(leave.clone())));
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a");
    socket.expect("sub");
    for id in 0..100 {
        // More than may wait: the last ones are read later.
        let data = id.to_string();
        socket.send(json!({"type": "publish", "id": id, "channel": "b", "data": data}));
        if id == 50 {
            let reply = socket.ask(json!({"type": "subscribe", "id": 1000, "channel": "b"}));
            assert_eq!(reply["type"], "reply");
            publish(&hub, "a", "meanwhile");
            socket.expect("sub");
            assert_eq!(socket.data(1), ["meanwhile"]);
        }
    }
    leave.add_permits(90);
    let (mut replies, mut published) = (Vec::new(), Vec::new());
    while replies.len() < 90 || published.len() < 90 {
        let frame = socket.frame();
        match frame["type"].as_str().unwrap() {
            "reply" => replies.push(frame["id"].as_u64().unwrap()),
            "pub" => published.push(frame["data"].as_str().unwrap().to_owned()),
            kind => assert_eq!(kind, "cursor", "{frame}"),
        }
    }
    assert_eq!(published, (0..90).map(|id| id.to_string()).collect::<Vec<_>>());
    // Some are under way when the server goes, and the client learns what became of them.
    let draining = std::thread::spawn(move || server.drain_blocking(support::PATIENCE));
    leave.add_permits(10);
    loop {
        let frame = socket.frame();
        match frame["type"].as_str().unwrap() {
            "reply" => replies.push(frame["id"].as_u64().unwrap()),
            "bye" => break,
            _ => {}
        }
    }
    assert_eq!(replies, (0..100).collect::<Vec<_>>());
    assert_eq!(socket.closed().0, 4200);
    assert_eq!(draining.join().unwrap().cut, 0);
}

#[test]
fn a_client_is_parted_from_though_nobody_says_whether_it_may_publish() {
    let hub = Hub::new();
    let never = Arc::new(Semaphore::new(0));
    let server = serve(&hub, |builder| builder.authorizer(Slow(never.clone())));
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a");
    socket.expect("sub");
    socket.send(json!({"type": "publish", "id": 1, "channel": "a", "data": ""}));
    socket.settle();
    let report = server.drain_blocking(support::PATIENCE);
    assert_eq!((report.drained, report.cut), (1, 0));
    socket.expect("bye");
    assert_eq!(socket.closed().0, 4200);
}

#[test]
fn what_is_published_before_the_socket_closes_is_published_in_order() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let mut listener = open_as(&server, "bob:a", "/ws?channel=a");
    listener.expect("sub");
    let mut socket = open_as(&server, "alice:+a", "/ws");
    let expected: Vec<_> = (0..200).map(|n| n.to_string()).collect();
    for data in &expected {
        let frame = json!({"type": "publish", "channel": "a", "data": data}).to_string();
        socket.wire.write(Message::text(frame)).unwrap();
    }
    socket.wire.close(None).unwrap();
    socket.wire.flush().unwrap();
    assert_eq!(listener.data(200), expected);
}

#[test]
fn history_is_read_in_pages_from_either_end() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    for n in 1..=250 {
        publish(&hub, "a", n.to_string());
    }
    let mut socket = open_as(&server, "alice:a", "/ws");
    let numbers = |page: &Value| -> Vec<u64> {
        let publications = page["publications"].as_array().unwrap().iter();
        publications
            .map(|publication| {
                assert_eq!(publication["type"], "pub");
                assert_eq!(publication["data"], publication["offset"].to_string());
                publication["offset"].as_u64().unwrap()
            })
            .collect()
    };
    let newest = socket.ask(json!({"type": "history", "id": 1, "channel": "a"}));
    assert_eq!(numbers(&newest), (151..=250).collect::<Vec<_>>());
    assert_eq!(
        told(&newest, &["from", "to", "more"]),
        json!({"from": 0, "to": 250, "more": false})
    );
    let mut all = Vec::new();
    loop {
        let after = all.last().copied().unwrap_or(0);
        let request =
            json!({"type": "history", "id": 2, "channel": "a", "after": after, "limit": 90});
        let page = socket.ask(request);
        all.extend(numbers(&page));
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(all, (1..=250).collect::<Vec<_>>());
    let other = socket.ask(json!({"type": "history", "id": 3, "channel": "b"}));
    assert_eq!(other["code"], "denied");
    let mut socket = open_as(&server, "bob:b", "/ws");
    let nothing = socket.ask(json!({"type": "history", "id": 3, "channel": "b"}));
    assert_eq!(nothing["code"], "not_found");
}

#[test]
fn whoever_may_see_it_knows_who_is_there() {
    let options = ChannelOptions::default().presence(PresenceMode::Announced);
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let mut alice = open_as(&server, "alice:room", "/ws?channel=room");
    alice.expect("sub");
    let bob = open_as(&server, "bob:room", "/ws?channel=room");
    // Her own coming may be told her as well.
    let mut joined = alice.expect("presence");
    if joined["client"] == "alice" {
        joined = alice.expect("presence");
    }
    let expected = json!({"kind": "joined", "client": "bob", "info": "{\"name\":\"bob\"}"});
    assert_eq!(told(&joined, &["kind", "client", "info"]), expected);
    let there = alice.ask(json!({"type": "presence", "id": 1, "channel": "room"}));
    assert_eq!(there["count"], 2);
    let mut clients: Vec<_> = there["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|client| client["client"].as_str().unwrap().to_owned())
        .collect();
    clients.sort();
    assert_eq!(clients, ["alice", "bob"]);
    drop(bob);
    let left = alice.expect("presence");
    assert_eq!(told(&left, &["kind", "client"]), json!({"kind": "left", "client": "bob"}));
    let denied = alice.ask(json!({"type": "presence", "id": 2, "channel": "cellar"}));
    assert_eq!(denied["code"], "denied");
}

#[test]
fn a_client_that_asks_for_much_takes_it_before_it_gets_more() {
    let options = ChannelOptions::default().history_size(100);
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, |builder| builder);
    let data = "x".repeat(2000);
    for _ in 0..100 {
        publish(&hub, "a", data.clone());
    }
    let mut socket = HubSocket::open(server.local_addr(), "/ws");
    const REQUESTS: u64 = 500;
    for id in 0..REQUESTS {
        let request = json!({"type": "history", "id": id, "channel": "a"});
        socket.wire.write(Message::text(request.to_string())).unwrap();
    }
    socket.wire.flush().unwrap();
    for id in 0..REQUESTS {
        let frame = socket.frame();
        assert_eq!(frame["id"], id);
        assert_eq!(frame["publications"].as_array().unwrap().len(), 100);
        let connections = server.connections();
        let queued: usize = connections.iter().map(|connection| connection.queued_bytes).sum();
        // What may be on its way, and an answer.
        assert!(queued < 1024 * 1024, "{queued} bytes after {id}");
    }
}

#[test]
fn what_is_no_request_is_answered_and_the_connection_lives() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.max_request(1000));
    let mut socket = HubSocket::open(server.local_addr(), "/ws");
    let large = json!({"type": "publish", "id": 5, "channel": "a", "data": "x".repeat(2000)});
    for (text, id, code) in [
        ("", Value::Null, "bad_request"),
        ("]", Value::Null, "bad_request"),
        (&"[".repeat(900), Value::Null, "bad_request"),
        ("{\"type\":\"dance\",\"id\":3}", json!(3), "unknown_type"),
        ("{\"type\":\"history\",\"id\":4,\"channel\":[]}", json!(4), "bad_request"),
        (&large.to_string(), json!(5), "too_large"),
    ] {
        socket.send_text(text);
        let error = socket.expect("error");
        assert_eq!(told(&error, &["id", "code"]), json!({"id": id, "code": code}), "{text}");
    }
    socket.wire.send(Message::binary(vec![1, 2, 3])).unwrap();
    assert_eq!(socket.expect("error")["code"], "bad_request");
    assert_eq!(socket.settle(), Vec::<Value>::new());
    // What the protocol of WebSocket does not let pass ends the connection.
    socket.wire.send(Message::text("x".repeat(2 << 20))).unwrap();
    assert_eq!(socket.closed().0, 1009);
}

#[test]
fn requests_that_come_too_fast_are_refused_one_by_one() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.max_requests_per_second(20));
    let mut socket = HubSocket::open(server.local_addr(), "/ws");
    for id in 0..500 {
        let frame = json!({"type": "ping", "id": id}).to_string();
        socket.wire.write(Message::text(frame)).unwrap();
    }
    socket.wire.flush().unwrap();
    let (mut met, mut refused) = (0, 0);
    for id in 0..500 {
        let frame = socket.frame();
        assert_eq!(frame["id"], id);
        match frame["type"].as_str().unwrap() {
            "pong" => met += 1,
            _ => {
                assert_eq!(frame["code"], "rate");
                refused += 1;
            }
        }
    }
    assert!(met >= 20 && refused > 0, "{met} {refused}");
}

#[test]
fn a_burst_is_followed_by_one_cursor() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a&channel=b");
    (0..2).for_each(|_| drop(socket.expect("sub")));
    socket.settle();
    let resume = format!("/ws?channel=a&channel=b&cursor={}", socket.cursor);
    for n in 0..50 {
        publish(&hub, ["a", "b"][n % 2], n.to_string());
    }
    // All of it is there when this one comes.
    let mut socket = HubSocket::open(server.local_addr(), &resume);
    let mut kinds: Vec<_> = Vec::new();
    while kinds.iter().filter(|kind| *kind == "pub").count() < 50 {
        kinds.push(socket.frame()["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(kinds.iter().filter(|kind| *kind == "cursor").count(), 0, "{kinds:?}");
    assert_eq!(socket.frame()["type"], "cursor");
}

#[test]
fn a_client_that_does_not_read_costs_what_is_on_its_way_and_is_told_of_a_gap() {
    let options = ChannelOptions::default().history_size(4).backlog(4);
    let hub = Hub::builder()
        .defaults(options.overflow(Overflow::Resume).after_gap(AfterGap::Newest))
        .build();
    let server = serve(&hub, |builder| builder);
    let mut stalled = HubSocket::open(server.local_addr(), "/ws?channel=a");
    let mut healthy = HubSocket::open(server.local_addr(), "/ws?channel=a");
    stalled.expect("sub");
    healthy.expect("sub");
    let data = "x".repeat(256 * 1024);
    for n in 0..200 {
        publish(&hub, "a", format!("{n} {data}"));
        assert!(healthy.data(1)[0].starts_with(&format!("{n} ")));
    }
    let queued: usize = server.connections().iter().map(|connection| connection.queued_bytes).sum();
    assert!(queued < 1024 * 1024, "{queued} bytes");
    assert!(hub.stats().history_bytes < 8 * 1024 * 1024, "{:?}", hub.stats());
    publish(&hub, "a", "end");
    let (mut last, mut gaps) = (0, 0);
    while last < 201 {
        let frame = stalled.frame();
        match frame["type"].as_str().unwrap() {
            "pub" => {
                assert_eq!(frame["offset"].as_u64().unwrap(), last + 1, "after {gaps} gaps");
                last += 1;
            }
            "gap" => {
                assert_eq!(frame["reason"], "slow");
                gaps += 1;
                let to = frame["to"].as_str().unwrap();
                last = to.split_once('-').unwrap().1.parse().unwrap();
            }
            _ => panic!("{frame}"),
        }
    }
    assert!(gaps > 0, "it cannot have got all");
}

#[test]
fn a_subscriber_that_is_too_slow_for_its_channel_is_sent_away() {
    let options = ChannelOptions::default().history_size(2).backlog(2);
    let hub = Hub::builder().defaults(options.overflow(Overflow::Disconnect)).build();
    let server = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a");
    socket.expect("sub");
    let data = "x".repeat(1024 * 1024);
    for _ in 0..64 {
        publish(&hub, "a", data.clone());
    }
    let bye = loop {
        let frame = socket.frame();
        if frame["type"] == "bye" {
            break frame;
        }
    };
    assert_eq!(bye["reason"], "slow");
    assert_eq!(socket.closed(), (4201, "slow".to_owned()));
}

#[test]
fn compression_does_not_stall_what_comes_after() {
    let hub = Hub::new();
    let config = ws::Config::default().compression(ws::Compression::Auto);
    let server = serve(&hub, |builder| builder.ws(config).max_in_flight(4096));
    for n in 0..300 {
        publish(&hub, "a", format!("{n} {}", "x".repeat(2000)));
    }
    let mut epoch = hub.position(&"a".parse().unwrap()).unwrap();
    epoch.offset = 0;
    let path = format!("/ws?channel=a&cursor={epoch}");
    let deflate = [("sec-websocket-extensions", "permessage-deflate")];
    // The client cannot inflate, but it can count.
    let raw = HubSocket::open_with(server.local_addr(), &path, &deflate);
    eventually("all is on its way", || hub.stats().delivered == 300);
    drop(raw);
    let mut plain = HubSocket::open(server.local_addr(), &path);
    assert_eq!(plain.expect("sub")["recovered"], true);
    assert_eq!(plain.data(300).len(), 300);
}

#[test]
fn a_drained_socket_says_good_bye_and_is_resumed_without_loss() {
    let hub = Hub::new();
    let path = "/ws?channel=a&channel=b";
    let first = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(first.local_addr(), path);
    (0..2).for_each(|_| drop(socket.expect("sub")));
    publish(&hub, "a", "before");
    assert_eq!(socket.data(1), ["before"]);
    assert_eq!(count(&first, Kind::WebSocket), 1);
    let draining = std::thread::spawn(move || first.drain_blocking(support::PATIENCE));
    let bye = socket.expect("bye");
    assert_eq!(bye["reason"], "drain");
    assert!(bye["retry"].is_u64());
    assert_eq!(socket.closed(), (4200, "drain".to_owned()));
    let report = draining.join().unwrap();
    assert_eq!((report.drained, report.cut), (1, 0));

    publish(&hub, "b", "meanwhile");
    let second = serve(&hub, |builder| builder);
    let path = format!("{path}&cursor={}", socket.cursor);
    let mut socket = HubSocket::open(second.local_addr(), &path);
    (0..2).for_each(|_| assert_eq!(socket.expect("sub")["recovered"], true));
    assert_eq!(socket.data(1), ["meanwhile"]);
}

#[test]
fn sockets_are_counted_and_closed_as_others_are() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a");
    socket.expect("sub");
    let id = server.connections().iter().find(|row| row.kind == Kind::WebSocket).unwrap().id;
    assert!(server.close(id));
    assert_eq!(socket.expect("bye")["reason"], "close");
    assert_eq!(socket.closed(), (4202, "close".to_owned()));
    drop(socket);
    eventually("it is gone", || server.connection_count() == 0 && hub.stats().subscriptions == 0);
}

#[test]
fn a_channel_that_pauses_goes_on_by_itself() {
    let options = ChannelOptions::default().min_interval(Duration::from_millis(50));
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, |builder| builder);
    let mut socket = HubSocket::open(server.local_addr(), "/ws?channel=a");
    socket.expect("sub");
    for n in 0..3 {
        publish(&hub, "a", n.to_string());
        publish(&hub, "a", format!("{n}+"));
    }
    assert_eq!(socket.data(6), ["0", "0+", "1", "1+", "2", "2+"]);
}

/// A request that may be good or not, with its number.
fn request() -> impl Strategy<Value = Value> {
    let kinds = [
        "subscribe",
        "resume",
        "unsubscribe",
        "publish",
        "history",
        "presence",
        "token",
        "ping",
        "x",
    ];
    let text = prop_oneof![
        proptest::sample::select(vec![
            "a", "b", "a.*", "x.**", "lithe.x", "a..b", "", "1-1", "alice:a"
        ])
        .prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let names = proptest::sample::select(vec![
        "channel",
        "since",
        "cursor",
        "data",
        "base64",
        "name",
        "key",
        "idempotency_key",
        "after",
        "limit",
        "token",
    ]);
    let fields = proptest::collection::vec((names, text.clone()), 0..5);
    let channels = proptest::option::of(proptest::collection::vec(text, 0..3));
    (proptest::sample::select(kinds.to_vec()), fields, channels).prop_map(
        |(kind, fields, channels)| {
            let mut request = serde_json::Map::new();
            request.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), value)));
            request.extend(channels.map(|channels| ("channels".to_owned(), channels.into())));
            request.insert("type".to_owned(), kind.into());
            request.into()
        },
    )
}

#[test]
fn each_request_with_a_number_is_answered_once() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    proptest!(ProptestConfig::with_cases(32), |(requests in proptest::collection::vec(request(), 1..40))| {
        let mut socket = open_as(&server, "alice:a,+b,a.*", "/ws");
        for (id, request) in requests.iter().enumerate() {
            let mut request = request.clone();
            request["id"] = id.into();
            socket.send(request);
        }
        let mut answers = vec![0; requests.len()];
        while answers.contains(&0) {
            let frame = socket.frame();
            if let Some(id) = frame["id"].as_u64() {
                prop_assert!(matches!(frame["type"].as_str(), Some("reply" | "error" | "pong")), "{}", frame);
                answers[id as usize] += 1;
            }
        }
        let late = socket.settle();
        prop_assert!(late.iter().all(|frame| frame["id"].is_null()), "{late:?}");
        prop_assert_eq!(answers, vec![1; requests.len()]);
    });
}

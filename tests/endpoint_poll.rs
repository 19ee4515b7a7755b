//! Channels of a hub by long-polling, and one cursor for all transports, through real sockets.
#![cfg(all(feature = "endpoint", feature = "server"))]

#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
#[path = "support/hub_socket.rs"]
mod hub_socket;
mod support;
#[path = "support/tokens.rs"]
mod tokens;

use std::time::Duration;

use event_source::EventSource;
use hub_socket::HubSocket;
use lithe::endpoint::{self, Endpoint};
use lithe::hub::backplane::Memory;
use lithe::hub::{ChannelName, ChannelOptions, Hub, PresenceMode};
use lithe::server::Server;
use lithe::transport::Kind;
use serde_json::{Value, json};
use support::{Client, count, eventually, header, status};
use tokens::Tokens;

fn serve(hub: &Hub, configure: impl FnOnce(endpoint::Builder) -> endpoint::Builder) -> Server {
    let endpoint = configure(Endpoint::builder(hub.clone())).build();
    support::server(endpoint.router()).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, data: impl Into<String>) {
    let channel: ChannelName = channel.parse().unwrap();
    hub.publish_blocking(&channel, data.into()).unwrap();
}

/// Reads the answer to a poll.
fn answer(client: &mut Client) -> Value {
    let (head, body) = client.response();
    assert_eq!(status(&head), 200, "{body}");
    assert_eq!(header(&head, "content-type"), Some("application/json"));
    assert_eq!(header(&head, "cache-control"), Some("no-store"));
    serde_json::from_str(&body).unwrap()
}

fn poll(client: &mut Client, path: &str) -> Value {
    answer(client.get(path))
}

fn post(client: &mut Client, body: &Value) -> Value {
    let body = body.to_string();
    let length = body.len();
    client.send(format!(
        "POST /poll HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    answer(client)
}

#[test]
fn a_pattern_has_the_channels_of_other_nodes_by_each_transport() {
    let memory = Memory::new();
    let (here, there) = (
        Hub::builder().backplane(memory.node()).build(),
        Hub::builder().backplane(memory.node()).build(),
    );
    let server = serve(&here, |endpoint| endpoint);
    let address = server.local_addr();
    let path = "?channel=logs.*";
    let mut client = Client::connect(&server);
    let first = poll(&mut client, &format!("/poll{path}"));
    assert_eq!(kinds(&first), ["sub"]);
    let mut source = EventSource::open(address, &format!("/sse{path}"), "");
    source.control("lithe.sub");
    let mut socket = HubSocket::open(address, &format!("/ws{path}"));
    socket.expect("sub");
    publish(&there, "logs.1", "new");
    publish(&there, "logs.2", "newer");
    publish(&there, "logs.2.deep", "unheard");
    let in_order = |mut data: Vec<String>| {
        data.sort();
        data
    };
    assert_eq!(in_order(source.data(2)), ["new", "newer"]);
    assert_eq!(in_order(socket.data(2)), ["new", "newer"]);
    // Who polls comes back each time, and nobody listens in between.
    let mut cursor = first["cursor"].as_str().unwrap().to_owned();
    for round in 0..3 {
        let next = poll(&mut client, &format!("/poll{path}&cursor={cursor}"));
        assert!(kinds(&next).iter().all(|kind| *kind == "pub"), "{next}");
        assert_eq!(kinds(&next).len(), if round == 0 { 2 } else { 1 }, "{next}");
        cursor = next["cursor"].as_str().unwrap().to_owned();
        publish(&there, &format!("logs.{}", round + 2), "again");
    }
}

fn kinds(answer: &Value) -> Vec<&str> {
    events(answer).map(|event| event["type"].as_str().unwrap()).collect()
}

fn events(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["events"].as_array().unwrap().iter()
}

fn data(answer: &Value) -> Vec<&str> {
    let publications = events(answer).filter(|event| event["type"] == "pub");
    publications.map(|event| event["data"].as_str().unwrap()).collect()
}

fn cursor(answer: &Value) -> &str {
    answer["cursor"].as_str().unwrap()
}

#[test]
fn the_first_poll_is_answered_at_once_and_the_next_ones_when_there_is_something() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    let first = poll(&mut client, "/poll?channel=a");
    assert_eq!(kinds(&first), ["sub"]);
    assert_eq!(first.get("more"), None);
    publish(&hub, "a", "1");
    publish(&hub, "a", "2");
    let second = poll(&mut client, &format!("/poll?channel=a&cursor={}", cursor(&first)));
    assert_eq!(data(&second), ["1", "2"]);
    assert_eq!(kinds(&second), ["pub", "pub"]);
    let last = &second["events"][1];
    assert_eq!(cursor(&second), format!("{}-{}", last["epoch"].as_str().unwrap(), last["offset"]));

    client.get(&format!("/poll?channel=a&cursor={}", cursor(&second)));
    eventually("the poll waits", || count(&server, Kind::LongPoll) == 1);
    publish(&hub, "a", "3");
    assert_eq!(data(&answer(&mut client)), ["3"]);
    eventually("it is over", || count(&server, Kind::LongPoll) == 0);
    assert_eq!(hub.stats().subscriptions, 0);
    assert_eq!(server.metrics().long_poll.messages_out, 4);
}

#[test]
fn a_poll_may_come_as_json() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    let first = post(&mut client, &json!({"channels": ["a", "b.*"]}));
    assert_eq!(kinds(&first), ["sub", "sub"]);
    publish(&hub, "a", "1");
    publish(&hub, "b.c", "2");
    let asked = json!({"channels": ["a", "b.*"], "cursor": first["cursor"], "timeout": 20});
    let second = post(&mut client, &asked);
    let mut seen = data(&second);
    seen.sort();
    assert_eq!(seen, ["1", "2"]);
    assert_eq!(kinds(&second), ["pub", "pub"]);
}

#[test]
fn a_poll_is_answered_in_time_when_nothing_comes() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.max_poll_timeout(Duration::from_millis(50)));
    let mut client = Client::connect(&server);
    let first = poll(&mut client, "/poll?channel=a");
    // None is waited for, as long as it may be, and so long.
    for timeout in ["0", "1e300", "0.01"] {
        let path = format!("/poll?channel=a&timeout={timeout}&cursor={}", cursor(&first));
        let empty = poll(&mut client, &path);
        assert_eq!(empty, json!({"cursor": first["cursor"], "events": []}), "{timeout}");
    }
}

#[test]
fn an_answer_is_bounded_and_the_cursor_stands_where_it_ends() {
    let defaults = ChannelOptions::default().history_size(5000);
    let hub = Hub::builder().defaults(defaults).replay_limit(5000, 64 << 20).build();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    let mut at = cursor(&poll(&mut client, "/poll?channel=a")).to_owned();
    for n in 0..2500 {
        publish(&hub, "a", n.to_string());
    }
    let (mut seen, mut answers) = (Vec::new(), 0);
    while seen.len() < 2500 {
        let answer = poll(&mut client, &format!("/poll?channel=a&cursor={at}"));
        assert!(data(&answer).len() <= 1000);
        assert_eq!(answer.get("more").is_some(), data(&answer).len() == 1000);
        seen.extend(data(&answer).iter().map(|data| data.parse::<usize>().unwrap()));
        at = cursor(&answer).to_owned();
        answers += 1;
    }
    assert_eq!((seen, answers), ((0..2500).collect(), 3));
    for n in 0..5 {
        publish(&hub, "a", format!("{n}{}", "x".repeat(400 * 1024)));
    }
    let large = poll(&mut client, &format!("/poll?channel=a&cursor={at}"));
    assert_eq!((data(&large).len(), &large["more"]), (3, &json!(true)));
    let rest = poll(&mut client, &format!("/poll?channel=a&cursor={}", cursor(&large)));
    assert_eq!((data(&rest).len(), rest.get("more")), (2, None));
}

#[test]
fn what_was_missed_is_one_gap() {
    let hub = Hub::builder().defaults(ChannelOptions::default().history_size(3).backlog(3)).build();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    let first = poll(&mut client, "/poll?channel=a");
    for n in 0..10 {
        publish(&hub, "a", n.to_string());
    }
    let path = format!("/poll?channel=a&cursor={}", cursor(&first));
    let newest = poll(&mut client, &path);
    assert_eq!(kinds(&newest), ["sub", "gap"]);
    assert_eq!(newest["events"][1]["reason"], "expired");
    assert_eq!(newest["events"][1]["to"], newest["cursor"]);
    let earliest = poll(&mut client, &format!("{path}&gap=earliest"));
    assert_eq!(data(&earliest), ["7", "8", "9"]);
    let made_up = poll(&mut client, "/poll?channel=a&cursor=made-up");
    assert_eq!(kinds(&made_up), ["sub", "gap"]);
}

#[test]
fn a_client_that_goes_takes_its_subscription_along() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    let first = poll(&mut client, "/poll?channel=a");
    client.get(&format!("/poll?channel=a&cursor={}", cursor(&first)));
    eventually("it waits", || hub.stats().subscriptions == 1);
    drop(client);
    eventually("it is gone", || hub.stats().subscriptions == 0 && server.connection_count() == 0);
}

#[test]
fn a_drain_answers_polls_with_their_cursors() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    let first = poll(&mut client, "/poll?channel=a");
    client.get(&format!("/poll?channel=a&cursor={}", cursor(&first)));
    eventually("it waits", || count(&server, Kind::LongPoll) == 1);
    let report = server.drain_blocking(support::PATIENCE);
    assert_eq!((report.drained, report.cut), (1, 0));
    let answer = answer(&mut client);
    assert_eq!(kinds(&answer), ["bye"]);
    assert_eq!(answer["events"][0]["reason"], "drain");
    assert_eq!(answer["cursor"], first["cursor"]);
    client.closed();
}

#[test]
fn an_endpoint_that_drains_answers_polls_and_sends_new_ones_away() {
    let hub = Hub::new();
    let endpoint = Endpoint::builder(hub.clone()).build();
    let server = support::server(endpoint.router()).start().unwrap();
    let mut client = Client::connect(&server);
    let first = poll(&mut client, "/poll?channel=a");
    client.get(&format!("/poll?channel=a&cursor={}", cursor(&first)));
    eventually("it waits", || count(&server, Kind::LongPoll) == 1);
    endpoint.drain();
    assert_eq!(kinds(&answer(&mut client)), ["bye"]);
    let (head, body) = client.get("/poll?channel=a").response();
    assert_eq!(status(&head), 503);
    assert!(header(&head, "retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["code"], "unavailable");
}

#[test]
fn what_cannot_be_answered_is_refused_in_words() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let get = |path: &str, headers: &str| {
        let mut client = Client::connect(&server);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"));
        let (head, body) = client.response();
        let body: Value = serde_json::from_str(&body).unwrap();
        (status(&head), body["code"].as_str().unwrap_or_default().to_owned())
    };
    let alice = "authorization: Bearer alice:a\r\n";
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(get("/poll?channel=a", ""), refused(401, "token_invalid"));
    assert_eq!(
        get("/poll?channel=a", "authorization: Bearer x\r\n"),
        refused(401, "token_invalid")
    );
    let expired = "authorization: Bearer alice:a:0\r\n";
    assert_eq!(get("/poll?channel=a", expired), refused(401, "token_expired"));
    assert_eq!(get("/poll?channel=b", alice), refused(403, "denied"));
    assert_eq!(get("/poll", alice), refused(400, "bad_request"));
    assert_eq!(get("/poll?channel=a&timeout=-1", alice), refused(400, "bad_request"));
    assert_eq!(get("/poll?channel=a&channel=b", alice), refused(200, ""));
    let mut client = Client::connect(&server);
    client.send(format!(
        "POST /poll HTTP/1.1\r\nhost: localhost\r\n{alice}content-length: 1\r\n\r\n["
    ));
    assert_eq!(status(&client.response().0), 400);
    client.send("HEAD /poll?channel=a HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(status(&client.head()), 200);
    client.send("PUT /poll HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(status(&client.response().0), 405);
}

#[test]
fn a_channel_that_is_not_granted_is_told_and_does_not_keep_the_rest_from_waiting() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let mut client = Client::connect(&server);
    let mut get = |path: &str| {
        client.send(format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer alice:a\r\n\r\n"
        ));
        answer(&mut client)
    };
    let first = get("/poll?channel=a&channel=b");
    assert_eq!(kinds(&first), ["error", "sub"]);
    assert_eq!(first["events"][0]["channel"], "b");
    publish(&hub, "b", "secret");
    let path = format!("/poll?channel=a&channel=b&timeout=0.05&cursor={}", cursor(&first));
    assert_eq!(kinds(&get(&path)), ["error"]);
}

#[test]
fn polls_come_and_go_without_a_word_to_those_who_are_there() {
    let options = ChannelOptions::default().presence(PresenceMode::Announced);
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let bearer = [("authorization", "Bearer bob:room")];
    let mut bob = HubSocket::open_with(server.local_addr(), "/ws?channel=room", &bearer);
    bob.expect("sub");
    bob.settle();
    let mut client = Client::connect(&server);
    client.send(
        "GET /poll?channel=room HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer alice:room\r\n\r\n",
    );
    answer(&mut client);
    assert_eq!(bob.settle(), Vec::<Value>::new());
}

#[test]
fn the_first_poll_is_answered_when_it_is_known_where_all_channels_begin() {
    let memory = Memory::new();
    let node = memory.node();
    let hub = Hub::builder().backplane(node.clone()).build();
    let _known = hub.subscribe(["a".parse::<ChannelName>().unwrap()]).unwrap();
    let server = serve(&hub, |builder| builder);
    let mut client = Client::connect(&server);
    node.set_reading(false);
    client.get("/poll?channel=a&channel=b");
    eventually("the poll waits", || hub.stats().channels == 2);
    publish(&hub, "a", "1");
    node.set_reading(true);
    let first = answer(&mut client);
    let begun = events(&first).filter(|event| event["type"] == "sub");
    let mut begun: Vec<_> = begun.map(|event| event["channel"].as_str().unwrap()).collect();
    begun.sort_unstable();
    assert_eq!(begun, ["a", "b"], "{first}");
    publish(&hub, "a", "2");
    publish(&hub, "b", "3");
    let path = format!("/poll?channel=a&channel=b&cursor={}", cursor(&first));
    let second = poll(&mut client, &path);
    assert!(kinds(&second).iter().all(|kind| *kind == "pub"), "{second}");
    let mut all = [data(&first), data(&second)].concat();
    all.sort_unstable();
    assert_eq!(all, ["1", "2", "3"]);
}

/// Publications seen so far, by channel and offset.
#[derive(Default)]
struct Seen(Vec<(String, u64)>);

impl Seen {
    /// Says whether it was one.
    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "pub" => {
                let channel = frame["channel"].as_str().unwrap().to_owned();
                self.0.push((channel, frame["offset"].as_u64().unwrap()));
            }
            "sub" => assert_eq!(frame["recovered"], frame["was_recovering"], "{frame}"),
            "cursor" => {}
            _ => panic!("{frame}"),
        }
    }

    fn check(&self, channels: &[&str], each: u64) {
        for channel in channels {
            let of = self.0.iter().filter(|(name, _)| name == channel);
            let offsets: Vec<_> = of.map(|(_, offset)| *offset).collect();
            assert_eq!(offsets, (1..=each).collect::<Vec<_>>(), "{channel}");
        }
    }
}

/// Goes from transport to transport with what each has left.
fn go_around(query: &str, channels: &[&str]) {
    const EACH: u64 = 5;
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder);
    let address = server.local_addr();
    let mut http = Client::connect(&server);
    let mut seen = Seen::default();
    let mut at = cursor(&poll(&mut http, &format!("/poll?{query}"))).to_owned();
    let mut published = 0;
    let mut publish_all = || {
        published += EACH;
        for n in 0..EACH {
            channels.iter().for_each(|channel| publish(&hub, channel, n.to_string()));
        }
        published * channels.len() as u64
    };
    for _ in 0..3 {
        let wanted = publish_all();
        let path = format!("/sse?format=json&{query}");
        let mut source = EventSource::open(address, &path, &format!("last-event-id: {at}\r\n"));
        while (seen.0.len() as u64) < wanted {
            seen.take(&serde_json::from_str(&source.next().unwrap().data).unwrap());
        }
        at = source.last_seen_id.clone();
        drop(source);

        let wanted = publish_all();
        let mut socket = HubSocket::open(address, &format!("/ws?{query}&cursor={at}"));
        while (seen.0.len() as u64) < wanted {
            seen.take(&socket.frame());
        }
        socket.settle();
        at = socket.cursor.clone();
        drop(socket);

        let wanted = publish_all();
        while (seen.0.len() as u64) < wanted {
            let answer = poll(&mut http, &format!("/poll?{query}&cursor={at}"));
            events(&answer).for_each(|frame| seen.take(frame));
            at = cursor(&answer).to_owned();
        }
    }
    seen.check(channels, published);
}

#[test]
fn one_channel_goes_on_from_transport_to_transport() {
    go_around("channel=a", &["a"]);
}

#[test]
fn several_channels_and_patterns_go_on_from_transport_to_transport() {
    go_around("channel=a&channel=b", &["a", "b"]);
    go_around("channel=a&channel=c.*&channel=d.**", &["a", "c.1", "c.2", "d.e.f"]);
    go_around("channel=c.*", &["c.1"]);
}

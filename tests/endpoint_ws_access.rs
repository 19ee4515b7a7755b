//! What clients may do on WebSockets, and for how long, through real sockets.
#![cfg(all(feature = "endpoint", feature = "deflate", feature = "server"))]

#[path = "support/hub_socket.rs"]
mod hub_socket;
mod support;
#[path = "support/tokens.rs"]
mod tokens;

use std::time::Duration;

use hub_socket::HubSocket;
use lithe::endpoint::{self, Endpoint};
use lithe::hub::{ChannelName, Hub};
use lithe::server::Server;
use lithe::ws::Origins;
use serde_json::{Value, json};
use support::{Client, status};
use tokens::Tokens;

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
fn a_channel_that_is_not_granted_is_an_error_and_the_rest_lives() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()).max_channels(3));
    let mut socket = open_as(&server, "alice:a,b,c,d", "/ws?channel=a&channel=x");
    let refused = socket.expect("error");
    assert_eq!(
        told(&refused, &["code", "channel", "id"]),
        json!({"code": "denied", "channel": "x", "id": null})
    );
    socket.expect("sub");
    let only = socket.ask(json!({"type": "subscribe", "id": 1, "channel": "y"}));
    assert_eq!(
        told(&only, &["type", "code", "channel"]),
        json!({"type": "error", "code": "denied", "channel": "y"})
    );
    socket.send(json!({"type": "subscribe", "id": 2, "channels": ["b", "z"]}));
    assert_eq!(
        told(&socket.expect("error"), &["channel", "id"]),
        json!({"channel": "z", "id": null})
    );
    assert_eq!(socket.expect("reply"), json!({"type": "reply", "id": 2, "channels": ["b"]}));
    socket.expect("sub");
    let many = socket.ask(json!({"type": "subscribe", "id": 3, "channels": ["c", "d"]}));
    assert_eq!(many["code"], "too_many");
    publish(&hub, "x", "secret");
    publish(&hub, "a", "public");
    assert_eq!(socket.data(1), ["public"]);
    assert_eq!(socket.settle().iter().filter(|frame| frame["type"] == "pub").count(), 0);
}

#[test]
fn a_cursor_replays_nothing_of_what_is_not_granted_any_more() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    let path = "/ws?channel=a&channel=b";
    let mut socket = open_as(&server, "alice:a,b", path);
    (0..2).for_each(|_| drop(socket.expect("sub")));
    socket.settle();
    let cursor = socket.cursor.clone();
    drop(socket);
    publish(&hub, "a", "of a");
    publish(&hub, "b", "of b");
    let mut socket = open_as(&server, "alice:a", &format!("{path}&cursor={cursor}"));
    let frames = socket.settle();
    assert!(!frames.iter().any(|frame| frame["data"] == "of b"), "{frames:?}");
    // The list is another, so that it cannot be known what was missed.
    assert!(frames.iter().any(|frame| frame["type"] == "gap" && frame["channel"] == "a"));
    let resume = json!({"type": "resume", "id": 1, "channels": ["b"], "cursor": cursor});
    assert_eq!(socket.ask(resume)["code"], "denied");
}

#[test]
fn a_grant_that_is_withdrawn_ends_the_channel_and_the_last_one_the_connection() {
    let hub = Hub::new();
    let tokens = Tokens::default();
    let server = serve(&hub, |builder| builder.authorizer(tokens.clone()));
    let mut socket = open_as(&server, "alice:a,b", "/ws?channel=a&channel=b");
    (0..2).for_each(|_| drop(socket.expect("sub")));
    tokens.revoke("a");
    assert_eq!(
        told(&socket.expect("error"), &["channel", "code"]),
        json!({"channel": "a", "code": "denied"})
    );
    publish(&hub, "a", "secret");
    publish(&hub, "b", "public");
    assert_eq!(socket.data(1), ["public"]);
    tokens.revoke("b");
    assert_eq!(socket.expect("error")["channel"], "b");
    assert_eq!(socket.expect("bye")["reason"], "denied");
    assert_eq!(socket.closed(), (4403, "denied".to_owned()));
}

#[test]
fn a_token_is_renewed_in_place_and_all_is_reviewed() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()));
    // Less than the time for which clients are warned before.
    let mut socket = open_as(&server, "alice:a,b:20000", "/ws?channel=a&channel=b");
    let mut expires = None;
    for _ in 0..3 {
        let frame = socket.frame();
        if frame["type"] == "token" {
            expires = frame["expires_in"].as_u64();
        }
    }
    assert!(expires.or_else(|| socket.expect("token")["expires_in"].as_u64()).unwrap() <= 20);
    for (token, code) in
        [("nonsense", "token_invalid"), ("alice:a:0", "token_expired"), ("bob:a", "denied")]
    {
        let error = socket.ask(json!({"type": "token", "id": 1, "token": token}));
        assert_eq!(
            told(&error, &["type", "code"]),
            json!({"type": "error", "code": code}),
            "{token}"
        );
    }
    socket.send(json!({"type": "token", "id": 2, "token": "alice:a:600000"}));
    let (mut replied, mut refused, mut renewed) = (false, false, false);
    while !(replied && refused && renewed) {
        let frame = socket.frame();
        match frame["type"].as_str().unwrap() {
            "reply" => replied = frame["id"] == 2,
            "error" => refused = frame["channel"] == "b" && frame["code"] == "denied",
            "token" => renewed = frame["expires_in"].as_u64().unwrap() > 500,
            "cursor" => {}
            _ => panic!("{frame}"),
        }
    }
    publish(&hub, "b", "secret");
    publish(&hub, "a", "public");
    assert_eq!(socket.data(1), ["public"]);
}

#[test]
fn a_token_that_expires_ends_what_it_allows_and_then_the_connection() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| {
        let grace = Duration::from_millis(300);
        builder.authorizer(Tokens::default()).expiry(Duration::from_secs(30), grace)
    });
    let mut socket = open_as(&server, "alice:+a:100", "/ws?channel=a");
    let expired = loop {
        let frame = socket.frame();
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert_eq!(told(&expired, &["code", "id"]), json!({"code": "token_expired", "id": null}));
    let late = socket.ask(json!({"type": "publish", "id": 1, "channel": "a", "data": "x"}));
    assert_eq!(late["code"], "token_expired");
    assert_eq!(socket.expect("bye")["reason"], "token_expired");
    assert_eq!(socket.closed(), (4402, "token_expired".to_owned()));
    assert_eq!(hub.position(&"a".parse().unwrap()).unwrap().offset, 0);
}

#[test]
fn whoever_is_not_let_in_is_told_why_on_the_socket() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.authorizer(Tokens::default()).max_channels(1));
    for (token, path, code, close) in [
        ("nonsense", "/ws", "token_invalid", 4401),
        ("alice:a:0", "/ws", "token_expired", 4402),
        ("alice:a", "/ws?channel=a..b", "bad_request", 4400),
        ("alice:a", "/ws?channel=a&channel=b", "too_many", 4400),
    ] {
        let mut socket = open_as(&server, token, path);
        assert_eq!(socket.expect("error")["code"], code, "{token} {path}");
        socket.expect("bye");
        assert_eq!(socket.closed().0, close, "{token} {path}");
    }
    let mut guest = HubSocket::open(server.local_addr(), "/ws?channel=a");
    assert_eq!(guest.expect("error")["code"], "token_invalid");

    let full = serve(&hub, |builder| builder.max_connections(1));
    let _first = HubSocket::open(full.local_addr(), "/ws");
    let mut second = HubSocket::open(full.local_addr(), "/ws");
    assert_eq!(second.expect("error")["code"], "unavailable");
    assert!(second.expect("bye")["retry"].as_u64().unwrap() >= 1000);
    assert_eq!(second.closed(), (4203, "unavailable".to_owned()));
}

#[test]
fn pages_of_other_hosts_are_refused() {
    let hub = Hub::new();
    let list = Origins::List(vec!["https://app.example.com".into()]);
    let server = serve(&hub, |builder| builder.origins(list));
    let open = |origin: &str| {
        HubSocket::try_open(server.local_addr(), "/ws?channel=a", &[("origin", origin)])
    };
    assert_eq!(open("https://evil.example.com").err(), Some(403));
    assert_eq!(open("https://app.example.com").unwrap().expect("sub")["channel"], "a");
    let mut client = Client::connect(&server);
    assert_eq!(status(&client.get("/ws").head()), 426);
}

#[test]
fn where_all_pages_may_connect_only_those_of_the_host_do_so_as_whoever_is_logged_in() {
    let hub = Hub::new();
    let server = serve(&hub, |builder| builder.origins(Origins::Any).authorizer(Tokens::default()));
    let own = format!("http://{}", server.local_addr());
    let open = |origin: &str, how: &'static str, token: &str| {
        let headers = [("origin", origin), (how, token)];
        HubSocket::open_with(server.local_addr(), "/ws?channel=a", &headers).frame()
    };
    assert_eq!(open(&own, "cookie", "lithe_token=alice:a")["type"], "sub");
    let foreign = "https://evil.example.com";
    assert_eq!(open(foreign, "cookie", "lithe_token=alice:a")["code"], "token_invalid");
    assert_eq!(open(foreign, "authorization", "Bearer alice:a")["type"], "sub");
}

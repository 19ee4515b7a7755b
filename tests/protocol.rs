//! What `docs/protocol.md` says is what the server does: its examples are those of real frames, and
//! its client works in a browser.
#![cfg(all(feature = "endpoint", feature = "deflate", feature = "server"))]

#[path = "support/hub_socket.rs"]
mod hub_socket;
mod support;
#[path = "support/tokens.rs"]
mod tokens;
#[path = "support/browser.rs"]
mod webdriver;

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Html;
use axum::routing::get;
use hub_socket::HubSocket;
use lithe::endpoint::{ControlFrame, Endpoint};
use lithe::hub::{ChannelName, ChannelOptions, Hub, Message, PresenceMode};
use lithe::server::Server;
use serde_json::{Value, json};
use support::eventually;
use tokens::Tokens;
use webdriver::Browser;

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/protocol.md");
    std::fs::read_to_string(path).unwrap()
}

/// The examples that begin with that arrow.
fn examples(arrow: &str) -> Vec<Value> {
    let text = document();
    let lines = text.lines().filter_map(|line| line.strip_prefix(arrow));
    let examples: Vec<_> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(examples.len() > 10, "{arrow}");
    examples
}

/// The type of a frame, and which fields it has.
fn shape(frame: &Value) -> (String, BTreeSet<String>) {
    let fields = frame.as_object().unwrap().keys().cloned().collect();
    (frame["type"].as_str().unwrap().to_owned(), fields)
}

#[test]
fn the_requests_in_the_examples_are_requests() {
    for example in examples("-> ") {
        let frame = example.to_string().parse::<ControlFrame>();
        assert_eq!(frame.unwrap().id(), example["id"].as_u64(), "{example}");
    }
}

#[test]
fn the_frames_in_the_examples_are_those_that_are_sent() {
    let hub = Hub::builder()
        .namespace(
            "room".parse().unwrap(),
            ChannelOptions::default().presence(PresenceMode::Announced),
        )
        .build();
    let endpoint = Endpoint::builder(hub.clone()).authorizer(Tokens::default()).build();
    let server = support::server(endpoint.router()).start().unwrap();
    let open = |token: &str, path: &str| {
        let bearer = format!("Bearer {token}");
        HubSocket::open_with(server.local_addr(), path, &[("authorization", &bearer)])
    };
    let mut alice = open("alice:+news,room,x:20000", "/ws?channel=news&channel=cellar");
    let mut frames = Vec::new();
    for request in [
        json!({"type": "ping", "id": 1}),
        json!({"type": "subscribe", "id": 2, "channels": ["room", "x"]}),
        json!({"type": "unsubscribe", "id": 3, "channel": "x"}),
        json!({"type": "publish", "id": 4, "channel": "news", "data": "plain"}),
        json!({"type": "publish", "id": 5, "channel": "news", "base64": "/wA="}),
        json!({"type": "publish", "id": 6, "channel": "cellar", "data": "x"}),
        json!({"type": "history", "id": 7, "channel": "news", "limit": 1}),
        json!({"type": "resume", "id": 8, "channels": ["x"], "cursor": "made-up"}),
    ] {
        let id = request["id"].clone();
        alice.send(request);
        while frames.last().is_none_or(|frame: &Value| frame["id"] != id) {
            frames.push(alice.frame());
        }
    }
    let named = Message::new("{}").name("progress").unwrap().key("download-7").unwrap();
    hub.publish_blocking(&"news".parse().unwrap(), named).unwrap();
    let bob = open("bob:room", "/ws?channel=room");
    let presence = |frame: &Value| frame["type"] == "presence" && frame["client"] == "bob";
    while !frames.last().is_some_and(presence) {
        frames.push(alice.frame());
    }
    drop(bob);
    alice.send(json!({"type": "presence", "id": 9, "channel": "room"}));
    frames.extend(alice.settle());
    endpoint.drain();
    while let Ok(frame) = alice.next() {
        frames.push(frame);
    }
    let sent: BTreeSet<_> = frames.iter().map(shape).collect();
    for example in examples("<- ") {
        assert!(sent.contains(&shape(&example)), "{example} is like none of {sent:#?}");
    }
}

#[test]
fn the_answer_to_a_poll_is_as_in_the_example() {
    let hub = Hub::new();
    let server = support::server(Endpoint::builder(hub.clone()).build().router()).start().unwrap();
    let text = document();
    let mut blocks = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let request = blocks.next().unwrap().trim();
    let expected: Value = serde_json::from_str(blocks.next().unwrap()).unwrap();
    let poll = |body: &str| -> Value {
        let mut client = support::Client::connect(&server);
        let length = body.len();
        client.send(format!(
            "POST /poll HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        serde_json::from_str(&client.response().1).unwrap()
    };
    // Its cursor is of another hub.
    let gap = poll(request);
    assert!(gap["events"].as_array().unwrap().iter().any(|event| event["type"] == "gap"), "{gap}");
    let cursor = poll(r#"{"channel":"news"}"#)["cursor"].clone();
    hub.publish_blocking(&"news".parse().unwrap(), "hello").unwrap();
    let answer = poll(&json!({"channel": "news", "cursor": cursor}).to_string());
    let fields = |answer: &Value| answer.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&answer), fields(&expected));
    assert_eq!(shape(&answer["events"][0]), shape(&expected["events"][0]));
}

async fn publish(State(hub): State<Hub>, Path((channel, data)): Path<(InPath, String)>) {
    let message = Message::new(data).name("note").unwrap();
    hub.publish(&channel.0, message).await.unwrap();
}

/// A channel in a path.
#[derive(serde::Deserialize)]
#[serde(try_from = "String")]
struct InPath(ChannelName);

impl TryFrom<String> for InPath {
    type Error = lithe::hub::NameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse().map(InPath)
    }
}

/// The client of the document in a page, on which a script is run.
fn run(hub: &Hub, endpoint: Router, script: &str) -> (Server, Value) {
    let router = Router::new()
        .route("/", get(|| async { Html("<!doctype html><title>test</title>") }))
        .route("/publish/{channel}/{data}", get(publish))
        .with_state(hub.clone())
        .nest("/hub", endpoint);
    let server = support::server(router).start().unwrap();
    let browser = Browser::open(&format!("http://{}/", server.local_addr()));
    let text = document();
    let client = text.split("```js\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(client.lines().count() <= 80, "it is to be small");
    let tools = "
        const until = async condition => {
            while (!condition()) await new Promise(resolve => setTimeout(resolve, 5));
        };
        const publish = (channel, data) => fetch(`/publish/${channel}/${data}`);
        const seen = [], gaps = [], errors = [];
        const open = (channels, options) => new HubClient('/hub', channels, {
            onpub: ({ channel, data }) => seen.push(`${channel} ${data}`),
            ongap: gap => gaps.push(gap),
            onerror: error => errors.push(error),
            names: ['note'],
            ...options,
        });";
    let result = browser.run(&format!("{client}\n{tools}\n{script}"));
    (server, result)
}

#[test]
fn the_client_of_the_document_goes_from_transport_to_transport_without_loss() {
    let hub = Hub::new();
    for channels in [json!(["a"]), json!(["a", "b.*"])] {
        let endpoint = Endpoint::builder(hub.clone()).build().router();
        let script = format!(
            "const client = open({channels}, {{}});
            await until(() => client.cursor);
            let sent = 0;
            for (let round = 0; round < 7; round++) {{
                // Some while it is there, and some while it is not.
                for (let n = 0; n < 5; n++) await publish('a', sent++);
                await until(() => seen.length === sent);
                client.stop();
                for (let n = 0; n < 5; n++) await publish('a', sent++);
                client.transports.push(client.transports.shift());
                client.connect();
                await until(() => seen.length === sent);
            }}
            client.close();
            return [seen, gaps, errors];"
        );
        let (_server, result) = run(&hub, endpoint, &script);
        let expected: Vec<_> = (0..70).map(|n| format!("a {n}")).collect();
        assert_eq!(result, json!([expected, [], []]));
        eventually("nobody listens", || hub.stats().subscriptions == 0);
    }
}

#[test]
fn the_client_of_the_document_takes_the_transport_that_gets_through() {
    let hub = Hub::new();
    let endpoint = Endpoint::builder(hub.clone()).build().router();
    // As behind a proxy that knows nothing of WebSockets.
    let poll_only = Router::new().route("/ws", get(|| async { "no" })).fallback_service(endpoint);
    let script = "const client = open(['a'], { transports: ['ws', 'poll'] });
        await until(() => client.cursor);
        await publish('a', 'hello');
        await until(() => seen.length);
        client.close();
        return [seen, gaps, errors];";
    let (_server, result) = run(&hub, poll_only, script);
    assert_eq!(result, json!([["a hello"], [], []]));
}

#[test]
fn the_client_of_the_document_says_why_it_is_not_let_in() {
    let hub = Hub::new();
    for transport in ["ws", "poll"] {
        let endpoint = Endpoint::builder(hub.clone()).authorizer(Tokens::default()).build();
        let script = format!(
            "open(['a'], {{ transports: ['{transport}'] }});
            await until(() => errors.length);
            return errors[0].code;"
        );
        let (server, result) = run(&hub, endpoint.router(), &script);
        assert_eq!(result, "token_invalid", "{transport}");
        server.drain_blocking(Duration::ZERO);
    }
}

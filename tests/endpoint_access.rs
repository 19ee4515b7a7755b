//! Who gets what of a hub, and for how long, through real sockets.
#![cfg(all(feature = "endpoint", feature = "server"))]

#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
mod support;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use event_source::EventSource;
use lithe::access::{Action, Answer, Authorizer, Credentials, Identity, Refusal, RefusalKind};
use lithe::endpoint::{self, Endpoint};
use lithe::hub::{ChannelName, ChannelOptions, Hub, Interest, PresenceMode};
use lithe::server::Server;
use lithe::ws::Origins;
use serde_json::{Value, json};
use support::{Client, PATIENCE, eventually, header, status};
use tokio::sync::watch;

/// Takes tokens such as `alice:a,logs.*:1500`: a name, what is granted, and in how many
/// milliseconds it expires, from when it is first seen; without a number it does not.
#[derive(Clone, Default)]
struct Tokens {
    changes: watch::Sender<u64>,
    /// What was granted and is not any more, as `alice:a`.
    revoked: Arc<Mutex<HashSet<String>>>,
    /// Does not answer.
    absent: bool,
    /// Does not say any more who may what.
    at_a_loss: Arc<AtomicBool>,
}

impl Tokens {
    fn revoke(&self, grant: &str) {
        self.revoked.lock().unwrap().insert(grant.to_owned());
        self.changes.send_modify(|version| *version += 1);
    }
}

fn refuse(kind: RefusalKind) -> Result<Identity, Refusal> {
    Err(Refusal { kind, message: format!("{kind:?}") })
}

fn identify(token: Option<&str>) -> Result<Identity, Refusal> {
    let Some(token) = token else { return refuse(RefusalKind::Missing) };
    let mut parts = token.split(':');
    let (Some(subject), Some(grants)) = (parts.next(), parts.next()) else {
        return refuse(RefusalKind::Invalid);
    };
    let mut identity = Identity::default();
    identity.subject = Some(subject.into());
    for grant in grants.split(',') {
        let grant: Interest = grant.parse().unwrap();
        identity.grants.subscribe.push(grant.clone());
        if subject == "alice" {
            identity.grants.presence.push(grant);
        }
    }
    if let Some(millis) = parts.next() {
        let millis = Duration::from_millis(millis.parse().unwrap());
        identity.expires = Some(SystemTime::now() + millis);
    }
    Ok(identity)
}

impl Authorizer for Tokens {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        let answer = match self.absent {
            true => refuse(RefusalKind::Unavailable),
            false => identify(credentials.token),
        };
        Box::pin(std::future::ready(answer))
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        let grant = format!("{}:{interest}", identity.subject.as_deref().unwrap_or_default());
        let revoked = self.revoked.lock().unwrap().contains(&grant);
        let allowed = !revoked && identity.grants.allow(action, interest);
        // Not at once, as one that has to ask somebody else.
        Box::pin(async move {
            tokio::task::yield_now().await;
            allowed
        })
    }

    fn try_authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, Option<bool>> {
        let answer = self.authorize(identity, action, interest);
        Box::pin(async move { (!self.at_a_loss.load(SeqCst)).then_some(answer.await) })
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

fn serve(
    hub: &Hub,
    tokens: &Tokens,
    configure: impl FnOnce(endpoint::Builder) -> endpoint::Builder,
) -> Server {
    let builder = Endpoint::builder(hub.clone()).authorizer(tokens.clone());
    support::server(configure(builder).build().router()).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, data: &str) {
    let channel: ChannelName = channel.parse().unwrap();
    hub.publish_blocking(&channel, data.to_owned()).unwrap();
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

/// Asks for `/session`.
fn post(server: &Server, headers: &str, body: &str) -> (u16, String, Value) {
    let mut client = Client::connect(server);
    let length = body.len();
    client.send(format!(
        "POST /session HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    ));
    let (head, body) = client.response();
    (status(&head), head, serde_json::from_str(&body).unwrap_or_default())
}

#[test]
fn a_channel_that_is_refused_is_an_error_and_the_rest_lives() {
    let hub = Hub::new();
    let server = serve(&hub, &Tokens::default(), |builder| builder);
    let path = "/sse?channel=a&channel=secret&channel=logs.1&channel=logs.**";
    let mut source = EventSource::open(server.local_addr(), path, &bearer("bob:a,logs.*"));
    for channel in ["secret", "logs.**"] {
        let error = source.control("lithe.error");
        assert_eq!((&error["channel"], &error["code"]), (&json!(channel), &json!("denied")));
    }
    assert_eq!(source.control("lithe.sub")["channel"], "a");
    assert_eq!(source.control("lithe.sub")["channel"], "logs.1");
    publish(&hub, "secret", "not for bob");
    publish(&hub, "logs.1.x", "not for bob");
    publish(&hub, "logs.1", "for bob");
    assert_eq!(source.data(1), ["for bob"]);
}

#[test]
fn who_presents_nothing_valid_is_let_in_nowhere_and_never_as_a_guest() {
    let hub = Hub::new();
    let server = serve(&hub, &Tokens::default(), |builder| builder.cookie("tok"));
    let path = "/sse?channel=a";
    for headers in [
        "",
        "authorization: Bearer nonsense\r\n",
        "authorization: Bearer\r\n",
        "authorization: Basic YWxpY2U6YQ==\r\ncookie: tok=alice:a\r\n",
        "cookie: tok=nonsense\r\n",
        "authorization: Bearer alice:a:0\r\n",
    ] {
        let mut source = EventSource::open(server.local_addr(), path, headers);
        assert_eq!(source.status(), 401, "{headers}");
        assert!(header(&source.head, "www-authenticate").is_some());
        let error: Value = serde_json::from_str(&source.body()).unwrap();
        let expired = headers.contains("a:0");
        let code = if expired { "token_expired" } else { "token_invalid" };
        assert_eq!(error["code"], code, "{headers}");
    }
    for path in ["/sse?channel=a&ticket=made-up", "/sse?channel=a&ticket="] {
        let source = EventSource::open(server.local_addr(), path, "cookie: tok=alice:a\r\n");
        assert_eq!(source.status(), 401, "{path}");
    }
    let nothing = EventSource::open(server.local_addr(), path, &bearer("bob:b"));
    assert_eq!(nothing.status(), 403);
    let mut cookie = EventSource::open(server.local_addr(), path, "cookie: x=1; tok=alice:a\r\n");
    assert_eq!(cookie.control("lithe.sub")["channel"], "a");
}

#[test]
fn an_event_source_outlives_an_authorizer_that_does_not_answer() {
    let hub = Hub::new();
    let tokens = Tokens { absent: true, ..Tokens::default() };
    let server = serve(&hub, &tokens, |builder| builder);
    let mut source = EventSource::open(server.local_addr(), "/sse?channel=a", &bearer("alice:a"));
    assert_eq!((source.status(), source.rest()), (200, vec![]));
    assert!(source.parser.reconnection_time.is_some());
    let (status, head, _) = post(&server, &bearer("alice:a"), "");
    assert_eq!(status, 503);
    assert!(header(&head, "retry-after").is_some());
}

#[test]
fn while_nobody_can_say_who_may_what_clients_get_nothing_and_come_back() {
    let hub = Hub::new();
    let tokens = Tokens::default();
    let server = serve(&hub, &tokens, |builder| builder);
    let alice = bearer("alice:a");
    let mut before = EventSource::open(server.local_addr(), "/sse?channel=a", &alice);
    before.control("lithe.sub");
    tokens.at_a_loss.store(true, SeqCst);

    let mut source = EventSource::open(server.local_addr(), "/sse?channel=a", &alice);
    assert_eq!((source.status(), source.body().starts_with("retry: ")), (200, true));
    let mut client = Client::connect(&server);
    client.send(format!("GET /poll?channel=a HTTP/1.1\r\nhost: localhost\r\n{alice}\r\n"));
    assert_eq!(status(&client.response().0), 503);

    // Whoever is there already is asked about again.
    tokens.changes.send_modify(|version| *version += 1);
    assert_eq!(before.control("lithe.bye")["reason"], "unavailable");
    publish(&hub, "a", "missed");
    assert!(before.rest().is_empty());
    tokens.at_a_loss.store(false, SeqCst);
    let mut after = before.reopen(server.local_addr(), "/sse?channel=a", &alice);
    assert_eq!(after.control("lithe.sub")["recovered"], true);
    assert_eq!(after.data(1), ["missed"]);
}

#[test]
fn a_cursor_replays_nothing_that_the_token_does_not_grant() {
    let hub = Hub::new();
    let server = serve(&hub, &Tokens::default(), |builder| builder);
    let path = "/sse?channel=a&channel=b";
    let mut alice = EventSource::open(server.local_addr(), path, &bearer("alice:a,b"));
    (0..2).for_each(|_| drop(alice.control("lithe.sub")));
    publish(&hub, "a", "1");
    assert_eq!(alice.data(1), ["1"]);
    publish(&hub, "a", "2");
    publish(&hub, "b", "secret");
    // Bob has got hold of the cursor, and asks for the same with his own token.
    let mut bob = alice.reopen(server.local_addr(), path, &bearer("bob:a"));
    assert_eq!(bob.control("lithe.error")["channel"], "b");
    assert_eq!(bob.control("lithe.sub")["channel"], "a");
    publish(&hub, "b", "secret too");
    publish(&hub, "a", "last");
    loop {
        let event = bob.next().unwrap();
        assert!(!event.data.contains("secret"), "{event:?}");
        if event.data == "last" {
            break;
        }
    }
    // And where the cursor is all that he has.
    let bob = alice.reopen(server.local_addr(), "/sse?channel=b", &bearer("bob:a"));
    assert_eq!(bob.status(), 403);
}

#[test]
fn a_grant_that_is_withdrawn_ends_at_once_and_the_rest_lives() {
    let hub = Hub::new();
    let tokens = Tokens::default();
    let server = serve(&hub, &tokens, |builder| builder);
    let path = "/sse?channel=a&channel=b";
    let mut alice = EventSource::open(server.local_addr(), path, &bearer("alice:a,b"));
    let mut bob = EventSource::open(server.local_addr(), path, &bearer("bob:a,b"));
    for source in [&mut alice, &mut bob] {
        (0..2).for_each(|_| drop(source.control("lithe.sub")));
    }
    tokens.revoke("alice:b");
    let error = alice.control("lithe.error");
    assert_eq!((&error["channel"], &error["code"]), (&json!("b"), &json!("denied")));
    publish(&hub, "b", "secret");
    publish(&hub, "a", "open");
    assert_eq!(alice.data(1), ["open"]);
    assert_eq!(bob.data(2).iter().collect::<HashSet<_>>().len(), 2);
    // Her cursor is one of what she still has.
    publish(&hub, "a", "missed");
    let mut alice = alice.reopen(server.local_addr(), path, &bearer("alice:a,b"));
    assert_eq!(alice.control("lithe.error")["channel"], "b");
    assert_eq!(alice.control("lithe.sub")["recovered"], true);
    assert_eq!(alice.data(1), ["missed"]);
    // Nothing is left.
    tokens.revoke("alice:a");
    assert_eq!(alice.control("lithe.error")["channel"], "a");
    assert_eq!(alice.control("lithe.bye")["reason"], "denied");
    assert_eq!(alice.next(), None);
}

#[test]
fn a_stream_lasts_no_longer_than_its_token_and_the_time_of_grace() {
    let hub = Hub::new();
    let (warning, grace) = (Duration::from_secs(3600), Duration::from_millis(300));
    let server = serve(&hub, &Tokens::default(), |builder| builder.expiry(warning, grace));
    let token = bearer("alice:a:300");
    let mut source = EventSource::open(server.local_addr(), "/sse?channel=a", &token);
    assert!(source.control("lithe.session")["session"].as_str().unwrap().len() >= 20);
    // It expires in less time than it is warned of before.
    let kinds: Vec<_> = source.rest().into_iter().map(|event| event.event_type).collect();
    let mut expected = vec!["lithe.token", "lithe.sub", "lithe.error", "lithe.bye"];
    if kinds[0] == "lithe.sub" {
        expected.swap(0, 1);
    }
    assert_eq!(kinds, expected);
    assert!(source.parser.reconnection_time.is_some());
    eventually("it is gone", || hub.stats().subscriptions == 0);
}

#[test]
fn a_new_token_for_a_stream_that_is_open_goes_on_with_what_it_grants() {
    let hub = Hub::new();
    let (warning, grace) = (Duration::from_millis(500), PATIENCE);
    let server = serve(&hub, &Tokens::default(), |builder| builder.expiry(warning, grace));
    let path = "/sse?channel=a&channel=b";
    let mut source = EventSource::open(server.local_addr(), path, &bearer("alice:a,b:1500"));
    let session = source.control("lithe.session")["session"].as_str().unwrap().to_owned();
    (0..2).for_each(|_| drop(source.control("lithe.sub")));
    source.control("lithe.token");
    assert_eq!(source.control("lithe.error")["code"], "token_expired");

    let body = |token: &str| json!({"session": session, "token": token}).to_string();
    let (status, _, answer) = post(&server, "", &body("nonsense"));
    assert_eq!((status, &answer["code"]), (401, &json!("token_invalid")));
    let (status, _, answer) = post(&server, "", &body("bob:a,b"));
    assert_eq!((status, &answer["code"]), (403, &json!("denied")));
    let (status, _, _) = post(&server, &bearer("alice:a"), r#"{"session":"made-up"}"#);
    assert_eq!(status, 404);
    let (status, head, answer) = post(&server, "", &body("alice:a:3600000"));
    assert_eq!(status, 200);
    assert_eq!(header(&head, "cache-control"), Some("no-store"));
    assert!(answer["expires_in"].as_u64().unwrap() > 3000, "{answer}");

    assert!(source.control("lithe.token")["expires_in"].as_u64().unwrap() > 3000);
    assert_eq!(source.control("lithe.error")["channel"], "b");
    publish(&hub, "b", "secret");
    publish(&hub, "a", "still here");
    assert_eq!(source.data(1), ["still here"]);
    drop(source);
    eventually("the session is gone", || post(&server, "", &body("alice:a")).0 == 404);
}

#[test]
fn a_ticket_opens_one_stream_for_a_client_that_cannot_send_its_token() {
    let hub = Hub::new();
    let server = serve(&hub, &Tokens::default(), |builder| builder);
    let (status, _, answer) = post(&server, &bearer("alice:a"), "");
    assert_eq!((status, &answer["expires_in"]), (200, &json!(30)));
    let path = format!("/sse?channel=a&ticket={}", answer["ticket"].as_str().unwrap());
    let mut first = EventSource::open(server.local_addr(), &path, "");
    assert_eq!(first.control("lithe.sub")["channel"], "a");
    assert_eq!(EventSource::open(server.local_addr(), &path, "").status(), 401);
    // It grants what the token does.
    let (_, _, answer) = post(&server, &bearer("alice:a"), "{}");
    let path = format!("/sse?channel=b&ticket={}", answer["ticket"].as_str().unwrap());
    assert_eq!(EventSource::open(server.local_addr(), &path, "").status(), 403);
    assert_eq!(post(&server, "", "").0, 401);
    assert_eq!(post(&server, &bearer("alice:a"), "[").0, 400);
    assert_eq!(post(&server, &bearer("alice:a"), &"x".repeat(100_000)).0, 400);
}

#[test]
fn pages_of_other_hosts_read_what_they_are_allowed_to() {
    const APP: &str = "https://app.example.com";
    let hub = Hub::new();
    let origins = Origins::List(vec![APP.to_owned()]);
    let listed = serve(&hub, &Tokens::default(), |builder| builder.origins(origins));
    let open = serve(&hub, &Tokens::default(), |builder| builder.origins(Origins::Any));
    let from = |server: &Server, origin: &str| {
        let headers = format!("origin: {origin}\r\n{}", bearer("alice:a"));
        let head = EventSource::open(server.local_addr(), "/sse?channel=a", &headers).head;
        let of = |name| header(&head, name).map(str::to_owned);
        (of("access-control-allow-origin"), of("access-control-allow-credentials"))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(from(&listed, APP), (some(APP), some("true")));
    assert_eq!(from(&listed, "https://evil.example.com").0, None);
    // All pages, but none with what somebody is logged in for.
    assert_eq!(from(&open, APP), (some("*"), None));

    let mut client = Client::connect(&listed);
    client.send(format!(
        "OPTIONS /session HTTP/1.1\r\nhost: localhost\r\norigin: {APP}\r\n\
         access-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type\r\n\r\n"
    ));
    let (head, _) = client.response();
    assert_eq!((status(&head), header(&head, "access-control-allow-origin")), (200, Some(APP)));
    let headers = format!("origin: https://evil.example.com\r\n{}", bearer("alice:a"));
    assert_eq!(post(&listed, &headers, "").0, 403);
}

#[test]
fn who_is_there_is_told_to_those_who_may_know() {
    let options = ChannelOptions::default().presence(PresenceMode::Announced);
    let hub = Hub::builder().defaults(options).build();
    let server = serve(&hub, &Tokens::default(), |builder| builder);
    let open = |token: &str| {
        let mut source = EventSource::open(server.local_addr(), "/sse?channel=a", &bearer(token));
        source.control("lithe.sub");
        source
    };
    let (mut alice, mut bob) = (open("alice:a"), open("bob:a"));
    let carol = open("carol:a");
    let mut seen = Vec::new();
    while !seen.contains(&("joined".to_owned(), "carol".to_owned())) {
        let change = alice.control("lithe.presence");
        let text = |name: &str| change[name].as_str().unwrap().to_owned();
        seen.push((text("kind"), text("client")));
    }
    drop(carol);
    let left = alice.control("lithe.presence");
    assert_eq!((&left["kind"], &left["client"]), (&json!("left"), &json!("carol")));
    publish(&hub, "a", "all that bob gets");
    assert_eq!(bob.data(1), ["all that bob gets"]);
}

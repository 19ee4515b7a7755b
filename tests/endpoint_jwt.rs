//! Event streams of a hub with JSON Web Tokens, in cookies as browsers send them.
#![cfg(all(feature = "endpoint", feature = "server", feature = "jwt"))]

#[path = "support/event_source.rs"]
mod event_source;
#[path = "support/event_stream_parser.rs"]
mod event_stream_parser;
mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use event_source::EventSource;
use jsonwebtoken::{EncodingKey, Header};
use lithe::access::jwt::{Algorithm, Jwt, Key};
use lithe::access::{Grants, Revocation, Revocations};
use lithe::endpoint::Endpoint;
use lithe::hub::Hub;
use serde_json::{Value, json};

const SECRET: [u8; 32] = [7; 32];

/// A header with a cookie that holds a token, which expires in so many seconds.
fn cookie(subject: &str, token_id: &str, expires_in: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let claims = json!({
        "sub": subject,
        "jti": token_id,
        // Made before anything in the test happens.
        "iat": now - 100,
        "exp": now + expires_in,
        "lithe": { "subscribe": ["news", "users.{sub}.**"] },
    });
    let key = EncodingKey::from_secret(&SECRET);
    let token = jsonwebtoken::encode(&Header::default(), &claims, &key).unwrap();
    format!("cookie: lithe_token={token}\r\n")
}

fn jwt() -> Jwt {
    let key = Key::secret(Algorithm::HS256, &SECRET).unwrap();
    // Whoever presents nothing may read the news.
    let guests = Grants { subscribe: vec!["news".parse().unwrap()], ..Grants::default() };
    Jwt::builder().key(key).guests(guests).build().unwrap()
}

#[test]
fn who_comes_back_with_an_expired_cookie_is_no_guest() {
    let hub = Hub::new();
    let endpoint = Endpoint::builder(hub).authorizer(jwt()).build();
    let server = support::server(endpoint.router()).start().unwrap();
    let open = |headers: &str| EventSource::open(server.local_addr(), "/sse?channel=news", headers);
    let mut guest = open("");
    assert_eq!(guest.control("lithe.sub")["channel"], "news");
    let mut expired = open(&cookie("alice", "1", -3600));
    assert_eq!(expired.status(), 401);
    let error: Value = serde_json::from_str(&expired.body()).unwrap();
    assert_eq!(error["code"], "token_expired");
    let mut alice = open(&cookie("alice", "2", 3600));
    alice.control("lithe.session");
    assert_eq!(alice.control("lithe.sub")["channel"], "news");
}

#[test]
fn a_token_that_is_revoked_ends_the_streams_that_it_has_opened_and_no_others() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    let hub = Hub::new();
    let revocations = Revocations::new(&hub).unwrap();
    let endpoint = Endpoint::builder(hub.clone()).authorizer(revocations.guard(jwt())).build();
    let server = support::server(endpoint.router()).start().unwrap();
    let path = "/sse?channel=users.alice.inbox";
    let open = |token_id: &str| {
        let headers = cookie("alice", token_id, 3600);
        let mut source = EventSource::open(server.local_addr(), path, &headers);
        source.control("lithe.session");
        source.control("lithe.sub");
        source
    };
    let (mut stolen, mut own) = (open("stolen"), open("own"));
    runtime.block_on(revocations.revoke(Revocation::token("stolen"))).unwrap();
    assert_eq!(stolen.control("lithe.error")["code"], "denied");
    assert_eq!(stolen.control("lithe.bye")["reason"], "denied");
    assert_eq!(stolen.next(), None);
    hub.publish_blocking(&"users.alice.inbox".parse().unwrap(), "for alice").unwrap();
    assert_eq!(own.data(1), ["for alice"]);
    // It does not get in again, with the cursor that it has.
    let again = stolen.reopen(server.local_addr(), path, &cookie("alice", "stolen", 3600));
    assert_eq!(again.status(), 401);
}

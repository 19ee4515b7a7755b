use std::time::{Duration, UNIX_EPOCH};

use lithe::access::jwt::{Algorithm, Jwt, MAX_GRANTS, segment};
use lithe::access::{Action, Authorizer, Credentials, Grants, Identity, RefusalKind};
use lithe::hub::{ChannelName, Interest};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::signer::Signer;
use crate::{now, present, refusal};

fn signer() -> Signer {
    Signer::of(Algorithm::HS256)
}

fn interest(text: &str) -> Interest {
    text.parse().unwrap()
}

async fn invalid(claims: Value) {
    let kind = refusal(&signer().jwt(), &signer().token(claims.clone())).await;
    assert_eq!(kind, RefusalKind::Invalid, "{claims}");
}

async fn identity(claims: Value) -> Identity {
    present(&signer().jwt(), &signer().token(claims)).await.unwrap()
}

#[tokio::test]
async fn the_claims_become_the_identity() {
    let exp = now() + 60;
    let identity = identity(json!({
        "sub": "alice", "exp": exp, "iat": exp - 60, "nbf": exp as f64 - 60.5, "jti": "t-1",
        "lithe": {
            "subscribe": ["news", "rooms.*"], "publish": ["rooms.42"],
            "history": ["rooms.**"], "presence": ["users.{sub}"], "info": { "name": "Alice" },
        },
    }))
    .await;
    assert_eq!(identity.subject.as_deref(), Some("alice"));
    assert_eq!(identity.token_id.as_deref(), Some("t-1"));
    assert_eq!(identity.issued, Some(UNIX_EPOCH + Duration::from_secs(exp - 60)));
    let leeway = 10;
    assert_eq!(identity.expires, Some(UNIX_EPOCH + Duration::from_secs(exp + leeway)));
    assert_eq!(identity.info, r#"{"name":"Alice"}"#);
    let grants = Grants {
        subscribe: vec![interest("news"), interest("rooms.*")],
        publish: vec![interest("rooms.42")],
        history: vec![interest("rooms.**")],
        presence: vec![interest("users.alice")],
    };
    assert_eq!(identity.grants, grants);
}

#[tokio::test]
async fn only_what_is_granted_is_allowed_and_only_for_that_action() {
    let claims = json!({ "sub": "alice", "lithe": { "subscribe": ["rooms.*"] } });
    let (jwt, identity) = (signer().jwt(), identity(claims).await);
    let allowed = async |action, text| jwt.authorize(&identity, action, &interest(text)).await;
    assert!(allowed(Action::Subscribe, "rooms.42").await);
    assert!(allowed(Action::Subscribe, "rooms.*").await);
    for text in ["rooms", "rooms.**", "rooms.42.log", "*.42", "**", "news"] {
        assert!(!allowed(Action::Subscribe, text).await, "{text}");
    }
    for action in [Action::Publish, Action::History, Action::Presence] {
        assert!(!allowed(action, "rooms.42").await, "{action:?}");
    }
}

#[tokio::test]
async fn a_token_without_grants_allows_nothing() {
    for claims in [json!({ "sub": "alice" }), json!({ "lithe": {} })] {
        assert_eq!(identity(claims).await.grants, Grants::default());
    }
}

#[tokio::test]
async fn nobody_is_granted_the_channels_of_the_library() {
    for grants in [json!(["**"]), json!(["lithe.**", "lithe.revocations"]), json!(["{sub}.*"])] {
        let all = json!({ "sub": "lithe", "lithe": { "subscribe": grants, "publish": grants } });
        let (jwt, identity) = (signer().jwt(), identity(all).await);
        for action in [Action::Subscribe, Action::Publish] {
            for text in ["lithe.revocations", "lithe.**", "lithe.*"] {
                assert!(!jwt.authorize(&identity, action, &interest(text)).await, "{text}");
            }
        }
    }
}

#[tokio::test]
async fn malformed_grants_are_no_grants_at_all() {
    for grants in [
        json!(null),
        json!("news"),
        json!(["news"]),
        json!({ "subscribe": "news" }),
        json!({ "subscribe": { "news": true } }),
        json!({ "subscribe": ["news", 7] }),
        json!({ "subscribe": ["news", null] }),
        json!({ "subscribe": ["news", ""] }),
        json!({ "subscribe": ["news", "a..b"] }),
        json!({ "subscribe": ["new*"] }),
        json!({ "subscribe": ["**.news"] }),
        json!({ "subscribe": ["news\n"] }),
        json!({ "subscribe": ["news"], "subscrib": ["news"] }),
        json!({ "sub": ["news"] }),
        json!({ "subscribe": vec!["news"; MAX_GRANTS + 1] }),
        json!({ "subscribe": ["x".repeat(256)] }),
    ] {
        invalid(json!({ "sub": "alice", "lithe": grants })).await;
    }
    let most = json!({ "lithe": { "subscribe": vec!["news"; MAX_GRANTS] } });
    assert_eq!(identity(most).await.grants.subscribe.len(), MAX_GRANTS);
}

#[tokio::test]
async fn a_token_is_valid_from_nbf_to_exp() {
    let jwt = signer().jwt();
    for claims in [json!({ "exp": now() - 60 }), json!({ "exp": 0 }), json!({ "exp": 1.5 })] {
        assert_eq!(refusal(&jwt, &signer().token(claims)).await, RefusalKind::Expired);
    }
    // In milliseconds it would be valid for thousands of years.
    for exp in [
        json!(null),
        json!("never"),
        json!(-1),
        json!(now() * 1000),
        json!(u64::MAX),
        json!(1e300),
        json!([now() + 60]),
    ] {
        invalid(json!({ "exp": exp })).await;
    }
    for late in ["nbf", "iat"] {
        invalid(json!({ late: now() + 60 })).await;
        invalid(json!({ late: "now" })).await;
        invalid(json!({ late: u64::MAX })).await;
        identity(json!({ late: now() - 60 })).await;
    }
}

#[tokio::test]
async fn the_leeway_is_for_clocks_that_differ() {
    let jwt = Jwt::builder().key(signer().key()).leeway(Duration::from_secs(100)).build().unwrap();
    for claims in [json!({ "exp": now() - 50 }), json!({ "nbf": now() + 50, "iat": now() + 50 })] {
        assert!(present(&jwt, &signer().token(claims)).await.is_ok());
    }
    let over = signer().token(json!({ "exp": now() - 200 }));
    assert_eq!(refusal(&jwt, &over).await, RefusalKind::Expired);
}

#[tokio::test]
async fn tokens_without_expiry_are_valid_where_that_is_wanted() {
    let token = signer().sign(&json!({ "alg": "HS256" }), r#"{"sub":"alice"}"#);
    assert_eq!(refusal(&signer().jwt(), &token).await, RefusalKind::Invalid);
    let jwt = Jwt::builder().key(signer().key()).allow_without_expiry(true).build().unwrap();
    assert_eq!(present(&jwt, &token).await.unwrap().expires, None);
}

#[tokio::test]
async fn a_token_is_for_its_audience_and_from_its_issuer() {
    let jwt = Jwt::builder()
        .key(signer().key())
        .audience("hub")
        .audience("old-hub")
        .issuer("accounts")
        .build()
        .unwrap();
    for (aud, iss, valid) in [
        (json!("hub"), json!("accounts"), true),
        (json!("old-hub"), json!("accounts"), true),
        (json!(["shop", "hub"]), json!("accounts"), true),
        (json!("shop"), json!("accounts"), false),
        (json!(["shop"]), json!("accounts"), false),
        (json!([]), json!("accounts"), false),
        (json!(null), json!("accounts"), false),
        (json!(7), json!("accounts"), false),
        (json!("hub"), json!("attacker"), false),
        (json!("hub"), json!(["accounts"]), false),
        (json!("hub"), json!(null), false),
    ] {
        let claims = json!({ "aud": aud, "iss": iss });
        let taken = present(&jwt, &signer().token(claims.clone())).await.is_ok();
        assert_eq!(taken, valid, "{claims}");
    }
    // It is for somebody else, and nobody here says that it is for us.
    invalid(json!({ "aud": "shop" })).await;
}

#[tokio::test]
async fn claims_that_cannot_be_read_are_no_claims() {
    let header = json!({ "alg": "HS256" });
    for claims in ["", "null", "[]", "{", r#"{"sub":7,"exp":9e9}"#, r#"{"jti":7,"exp":9e9}"#] {
        let token = signer().sign(&header, claims);
        assert_eq!(refusal(&signer().jwt(), &token).await, RefusalKind::Invalid, "{claims}");
    }
    let twice = format!(r#"{{"exp":{0},"sub":"alice","sub":"admin"}}"#, now() + 60);
    let token = signer().sign(&header, &twice);
    assert_eq!(refusal(&signer().jwt(), &token).await, RefusalKind::Invalid);
    invalid(json!({ "sub": "" })).await;
}

#[tokio::test]
async fn guests_are_let_in_where_that_is_wanted_and_never_with_a_bad_token() {
    let nothing = Credentials { token: None, request: None, previous: None };
    let refused = signer().jwt().authenticate(nothing).await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Missing);

    let grants = Grants { subscribe: vec![interest("news")], ..Grants::default() };
    let jwt = Jwt::builder().key(signer().key()).guests(grants.clone()).build().unwrap();
    let guest = jwt.authenticate(nothing).await.unwrap();
    assert_eq!((guest.subject.as_deref(), &guest.grants), (None, &grants));
    assert!(jwt.authorize(&guest, Action::Subscribe, &interest("news")).await);
    // Nor does somebody become one whose token was lost on the way, though it named nobody.
    let previous = identity(json!({})).await;
    let renewed = Credentials { previous: Some(&previous), ..nothing };
    assert_eq!(jwt.authenticate(renewed).await.unwrap_err().kind, RefusalKind::Missing);

    let expired = signer().token(json!({ "exp": now() - 3600 }));
    assert_eq!(refusal(&jwt, &expired).await, RefusalKind::Expired);
    for token in ["", " ", "null", "undefined", "a.b.c"] {
        assert_eq!(refusal(&jwt, token).await, RefusalKind::Invalid, "{token:?}");
    }
}

#[tokio::test]
async fn a_new_token_is_for_whom_the_old_one_was_for() {
    let alice = identity(json!({ "sub": "alice" })).await;
    let refresh = async |previous: &Identity, claims| {
        let token = signer().token(claims);
        let credentials =
            Credentials { token: Some(&token), request: None, previous: Some(previous) };
        signer().jwt().authenticate(credentials).await.map_err(|refusal| refusal.kind)
    };
    assert!(refresh(&alice, json!({ "sub": "alice" })).await.is_ok());
    for claims in [json!({ "sub": "mallory" }), json!({})] {
        assert_eq!(refresh(&alice, claims).await.unwrap_err(), RefusalKind::Invalid);
    }
    assert!(refresh(&Identity::default(), json!({ "sub": "alice" })).await.is_ok());
}

#[tokio::test]
async fn another_claim_may_hold_the_grants() {
    let claim = "https://example.com/hub";
    let jwt = Jwt::builder().key(signer().key()).claim(claim).build().unwrap();
    let news = json!({ "subscribe": ["news"] });
    let token = signer().token(json!({ claim: news, "lithe": { "subscribe": ["**"] } }));
    assert_eq!(present(&jwt, &token).await.unwrap().grants.subscribe, [interest("news")]);
}

/// What a grant to `users.{sub}` becomes for that subject.
async fn granted_to(subject: &str) -> Interest {
    let claims = json!({ "sub": subject, "lithe": { "subscribe": ["users.{sub}"] } });
    identity(claims).await.grants.subscribe.remove(0)
}

#[tokio::test]
async fn a_subject_never_widens_a_grant() {
    for (subject, channel) in [
        ("alice", "users.alice"),
        ("alice@example.com", "users.alice@example~2Ecom"),
        ("auth0|5f7c", "users.auth0~7C5f7c"),
        ("*", "users.~2A"),
        ("**", "users.~2A~2A"),
        ("a.*", "users.a~2E~2A"),
        ("{sub}", "users.~7Bsub~7D"),
        ("~2A", "users.~7E2A"),
        ("a\n", "users.a~0A"),
        ("ä", "users.~C3~A4"),
    ] {
        assert_eq!(granted_to(subject).await, interest(channel), "{subject}");
    }
    let users = json!({ "subscribe": ["users.{sub}"] });
    invalid(json!({ "lithe": users })).await;
    invalid(json!({ "sub": "x".repeat(250), "lithe": users })).await;
    invalid(json!({ "sub": "x", "lithe": { "subscribe": ["users.*{sub}"] } })).await;
}

proptest! {
    #[test]
    fn a_subject_is_one_segment_of_its_own(one in any::<String>(), other in any::<String>()) {
        prop_assume!(!one.is_empty());
        let name = segment(&one).into_owned();
        prop_assert!(!name.contains(['.', '*']));
        if name.len() <= 255 {
            prop_assert!(ChannelName::new(&name).is_ok());
        }
        prop_assert_eq!(name == segment(&other), one == other);
    }

    #[test]
    fn what_is_allowed_has_no_channel_that_is_not_granted(
        granted in prop::collection::vec(pattern(), 0..4),
        asked in pattern(),
        channel in prop::collection::vec("[ab]|lithe", 1..5),
    ) {
        let channel: Interest = channel.join(".").parse().unwrap();
        let grants = Grants { subscribe: granted, ..Grants::default() };
        let allowed = |interest: &Interest| grants.allow(Action::Subscribe, interest);
        if asked.contains(&channel) && allowed(&asked) {
            prop_assert!(allowed(&channel), "{asked} but not {channel} of {grants:?}");
        }
    }
}

fn pattern() -> impl Strategy<Value = Interest> {
    let segments = prop::collection::vec("[ab]|[*]|lithe", 0..4);
    (segments, "[ab]|[*]|[*][*]").prop_map(|(mut segments, last)| {
        segments.push(last);
        segments.join(".").parse().unwrap()
    })
}

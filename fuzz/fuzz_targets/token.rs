//! Tokens come from clients: any bytes are looked at without a panic, without the key nobody makes a
//! token that is taken, and what a token with a signature says never grants the library's channels.
#![no_main]

use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use lithe::access::jwt::{Algorithm, Jwt, Key};
use lithe::access::{Action, Authorizer, Credentials, Grants, Identity, Refusal};
use lithe::hub::Interest;
use ring::hmac;

#[derive(Arbitrary, Debug)]
enum Token<'a> {
    Any(&'a str),
    Parts { header: &'a str, claims: &'a str, signature: &'a [u8] },
    Signed { claims: &'a str },
}

const SECRET: [u8; 32] = [7; 32];

/// The other half of the public key was never kept.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE+k7+hQlspPLdgsRejQMi18AN4sue\n\
        F9s1H48+Ayq9CMlkvYHvNN4D+sRr29/iaoivU4oBt8gRokTeUJjGBrRuTA==\n\
        -----END PUBLIC KEY-----\n";

static JWT: LazyLock<Jwt> = LazyLock::new(|| {
    Jwt::builder()
        .key(Key::secret(Algorithm::HS256, &SECRET).expect("a secret"))
        .key(Key::pem(Algorithm::ES256, PUBLIC.as_bytes()).expect("a key").id("a"))
        .guests(Grants::default())
        .build()
        .expect("an authorizer")
});

fn present(token: &str) -> Result<Identity, Refusal> {
    let credentials = Credentials { token: Some(token), request: None, previous: None };
    let mut answer = JWT.authenticate(credentials);
    let answer = answer.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(answer) = answer else { panic!("it has nothing to wait for") };
    if let Err(refusal) = &answer {
        // What has a space in it may be words of the refusal, and is no token.
        let is_shown = token.len() >= 20 && refusal.message.contains(token);
        assert!(!is_shown || token.contains(' '));
    }
    answer
}

fuzz_target!(|token: Token| {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    match token {
        Token::Any(token) => assert!(present(token).is_err()),
        Token::Parts { header, claims, signature } => {
            let signature = URL_SAFE_NO_PAD.encode(signature);
            let token = format!("{}.{}.{signature}", encode(header), encode(claims));
            assert!(present(&token).is_err());
        }
        Token::Signed { claims } => {
            let message = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(claims));
            let key = hmac::Key::new(hmac::HMAC_SHA256, &SECRET);
            let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
            if let Ok(identity) = present(&format!("{message}.{tag}")) {
                let all: Interest = "lithe.**".parse().expect("a pattern");
                assert!(identity.expires.is_some());
                assert!(!identity.grants.allow(Action::Subscribe, &all));
            }
        }
    }
});

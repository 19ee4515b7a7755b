use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lithe::access::RefusalKind;
use lithe::access::jwt::{Algorithm, Error, Jwt, Key, KeyError, MAX_TOKEN};
use serde_json::json;

use crate::signer::{Signer, message};
use crate::{now, present, refusal};

fn claims() -> String {
    json!({ "sub": "mallory", "exp": now() + 60 }).to_string()
}

#[tokio::test]
async fn tokens_of_every_algorithm_are_taken() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        let identity = present(&signer.jwt(), &signer.token(json!({ "sub": "alice" }))).await;
        assert_eq!(identity.unwrap().subject.as_deref(), Some("alice"), "{algorithm}");
    }
}

#[tokio::test]
async fn a_token_signed_with_another_key_is_refused() {
    for algorithm in Algorithm::ALL {
        let token = Signer::new(algorithm).token(json!({}));
        assert_eq!(refusal(&Signer::of(algorithm).jwt(), &token).await, RefusalKind::Invalid);
    }
}

#[tokio::test]
async fn a_key_takes_tokens_of_its_own_algorithm_only() {
    for algorithm in Algorithm::ALL {
        let jwt = Signer::of(algorithm).jwt();
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let token = Signer::of(other).token(json!({}));
            assert_eq!(
                refusal(&jwt, &token).await,
                RefusalKind::Invalid,
                "{other} for {algorithm}"
            );
        }
    }
}

#[tokio::test]
async fn the_header_cannot_choose_another_algorithm_of_the_same_key() {
    // The same RSA key may be set for several, but then it was set for each.
    let signer = Signer::of(Algorithm::RS256);
    for named in ["RS384", "RS512", "PS256", "HS256", "ES256", "EdDSA", "rs256"] {
        let token = signer.sign(&json!({ "alg": named }), &claims());
        assert_eq!(refusal(&signer.jwt(), &token).await, RefusalKind::Invalid, "{named}");
    }
}

#[tokio::test]
async fn no_signature_is_no_token() {
    for signer in [Signer::of(Algorithm::HS256), Signer::of(Algorithm::ES256)] {
        for named in ["none", "None", "NONE", "", "HS256", "ES256"] {
            let unsigned = message(&json!({ "alg": named }), &claims());
            for token in [format!("{unsigned}."), unsigned.clone(), format!("{unsigned}.AAAA")] {
                assert_eq!(refusal(&signer.jwt(), &token).await, RefusalKind::Invalid, "{named}");
            }
        }
    }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let signer = Signer::of(algorithm);
        for secret in [signer.public.clone(), signer.public.trim_end().to_owned()] {
            let confused = jsonwebtoken::encode(
                &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
                &json!({ "sub": "mallory", "exp": now() + 60 }),
                &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
            );
            let kind = refusal(&signer.jwt(), &confused.unwrap()).await;
            assert_eq!(kind, RefusalKind::Invalid, "{algorithm}");
            let key = Key::secret(Algorithm::HS256, secret.as_bytes());
            assert_eq!(key.unwrap_err(), KeyError::PublicSecret);
        }
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_not_looked_at() {
    let (ours, theirs) = (Signer::of(Algorithm::ES256), Signer::new(Algorithm::ES256));
    for header in [
        json!({ "alg": "ES256", "jwk": theirs.jwk() }),
        json!({ "alg": "ES256", "jku": "https://attacker.example/keys.json" }),
        json!({ "alg": "ES256", "x5u": "https://attacker.example/key.pem", "x5c": ["MIIB"] }),
    ] {
        let token = theirs.sign(&header, &claims());
        assert_eq!(refusal(&ours.jwt(), &token).await, RefusalKind::Invalid);
    }
}

#[tokio::test]
async fn every_character_of_a_token_counts() {
    let signer = Signer::of(Algorithm::ES256);
    let (jwt, token) = (signer.jwt(), signer.token(json!({ "sub": "alice" })));
    assert!(present(&jwt, &token).await.is_ok());
    for place in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert_eq!(refusal(&jwt, &changed).await, RefusalKind::Invalid, "{place}");
    }
    for cut in 0..token.len() {
        assert_eq!(refusal(&jwt, &token[..cut]).await, RefusalKind::Invalid, "{cut}");
    }
    for longer in [format!("{token}="), format!("{token}A"), format!(" {token}"), token + ".x"] {
        assert_eq!(refusal(&jwt, &longer).await, RefusalKind::Invalid);
    }
}

#[tokio::test]
async fn a_signature_in_another_form_is_refused() {
    let signer = Signer::of(Algorithm::ES256);
    let message = message(&json!({ "alg": "ES256" }), &claims());
    // Both numbers zero: in 2022 a runtime took that for valid for every message.
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let token = format!("{message}.{zeros}");
    assert_eq!(refusal(&signer.jwt(), &token).await, RefusalKind::Invalid);
}

#[tokio::test]
async fn extensions_that_must_be_understood_are_not() {
    let signer = Signer::of(Algorithm::HS256);
    let header = json!({ "alg": "HS256", "crit": ["b64"], "b64": false });
    let token = signer.sign(&header, &claims());
    assert_eq!(refusal(&signer.jwt(), &token).await, RefusalKind::Invalid);
}

#[tokio::test]
async fn a_token_that_is_too_long_is_not_looked_at() {
    let signer = Signer::of(Algorithm::HS256);
    let fits = signer.token(json!({ "padding": "x".repeat(MAX_TOKEN / 2) }));
    assert!(present(&signer.jwt(), &fits).await.is_ok());
    let token = signer.token(json!({ "padding": "x".repeat(MAX_TOKEN) }));
    assert_eq!(refusal(&signer.jwt(), &token).await, RefusalKind::Invalid);
}

#[tokio::test]
async fn a_token_names_its_key() {
    let (old, new) = (Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256));
    let (old, new) = (old.with_id("old"), new.with_id("new"));
    let jwt = Jwt::builder().key(old.key()).key(new.key()).build().unwrap();
    assert!(present(&jwt, &old.token(json!({}))).await.is_ok());
    assert!(present(&jwt, &new.token(json!({}))).await.is_ok());
    let unknown = new.clone().with_id("newer");
    assert_eq!(refusal(&jwt, &unknown.token(json!({}))).await, RefusalKind::Invalid);
    let borrowed = new.with_id("old");
    assert_eq!(refusal(&jwt, &borrowed.token(json!({}))).await, RefusalKind::Invalid);
}

fn is_rsa(algorithm: Algorithm) -> bool {
    matches!(&algorithm.as_str()[..2], "RS" | "PS")
}

#[test]
fn keys_that_do_not_fit_their_algorithm_are_refused() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::of(algorithm);
        for other in Algorithm::ALL.into_iter().filter(|other| !other.as_str().starts_with("HS")) {
            let key = Key::pem(other, signer.public.as_bytes());
            let fits = other == algorithm || (is_rsa(other) && is_rsa(algorithm));
            assert_eq!(key.is_ok(), fits, "a key of {algorithm} for {other}");
        }
    }
    assert!(matches!(Key::secret(Algorithm::RS256, &[7; 64]), Err(KeyError::Kind(_))));
    assert!(matches!(Key::pem(Algorithm::HS256, &[7; 64]), Err(KeyError::Kind(_))));
}

#[test]
fn a_secret_is_as_long_as_its_hash() {
    for (algorithm, bytes) in
        [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
    {
        let short = Key::secret(algorithm, &vec![7; bytes - 1]);
        assert_eq!(short.unwrap_err(), KeyError::ShortSecret { algorithm, bytes });
        assert!(Key::secret(algorithm, &vec![7; bytes]).is_ok());
    }
}

#[test]
fn without_a_key_there_is_no_authorizer() {
    assert!(matches!(Jwt::builder().build(), Err(Error::NoKey)));
    assert!(matches!(
        Jwt::builder().key(Signer::of(Algorithm::HS256).key()).claim("sub").build(),
        Err(Error::Claim(_))
    ));
}

#[test]
fn keys_do_not_appear_in_logs() {
    let signer = Signer::of(Algorithm::HS256).with_id("2026");
    let shown = format!("{:?} {:?}", signer.key(), signer.jwt());
    assert!(shown.contains("2026") && shown.contains("HS256"));
    assert!(!shown.contains(&signer.public));
}

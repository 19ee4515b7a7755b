use std::fs;
use std::path::PathBuf;

use lithe::access::jwt::{Algorithm, Error, Jwt, KeyFileError};
use lithe::access::{Action, Authorizer, RefusalKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::signer::Signer;
use crate::{present, refusal};

struct File {
    path: PathBuf,
    _folder: TempDir,
}

impl File {
    fn new(keys: &[Value]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File { path: folder.path().join("keys.json"), _folder: folder };
        file.write(keys);
        file
    }

    fn write(&self, keys: &[Value]) {
        fs::write(&self.path, json!({ "keys": keys }).to_string()).unwrap();
    }

    fn jwt(&self) -> Result<Jwt, Error> {
        Jwt::builder().key_file(&self.path).build()
    }
}

fn signer(algorithm: Algorithm, id: &str) -> Signer {
    Signer::of(algorithm).with_id(id)
}

#[tokio::test]
async fn keys_of_every_kind_are_read_from_a_file() {
    let all: Vec<_> = Algorithm::ALL.map(|algorithm| signer(algorithm, algorithm.as_str())).into();
    let keys: Vec<_> = all.iter().map(Signer::jwk).collect();
    let jwt = File::new(&keys).jwt().unwrap();
    for signer in all {
        let token = signer.token(json!({ "sub": "alice" }));
        assert!(present(&jwt, &token).await.is_ok(), "{}", signer.algorithm);
    }
}

#[tokio::test]
async fn the_algorithm_of_a_key_is_that_of_its_curve_unless_it_says_so() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let signer = signer(algorithm, "a");
        let mut key = signer.jwk();
        key.as_object_mut().unwrap().remove("alg");
        let jwt = File::new(&[key]).jwt().unwrap();
        assert!(present(&jwt, &signer.token(json!({}))).await.is_ok(), "{algorithm}");
    }
    let signer = signer(Algorithm::PS256, "a");
    let mut key = signer.jwk();
    key.as_object_mut().unwrap().remove("alg");
    let jwt = File::new(&[key]).jwt().unwrap();
    assert_eq!(refusal(&jwt, &signer.token(json!({}))).await, RefusalKind::Invalid);
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_are_left_out() {
    let other = signer(Algorithm::HS256, "other");
    for (algorithm, change) in [
        (Algorithm::RS256, json!({ "alg": "HS256" })),
        (Algorithm::RS256, json!({ "alg": "ES256" })),
        (Algorithm::RS256, json!({ "alg": "RSA-OAEP" })),
        (Algorithm::RS256, json!({ "alg": "none" })),
        (Algorithm::RS256, json!({ "alg": null })),
        (Algorithm::RS256, json!({ "use": "enc" })),
        (Algorithm::RS256, json!({ "key_ops": ["encrypt"] })),
        (Algorithm::RS256, json!({ "kty": "oct" })),
        (Algorithm::RS256, json!({ "kty": "?" })),
        (Algorithm::RS256, json!({ "n": "AQAB" })),
        (Algorithm::RS256, json!({ "n": "not base64url!" })),
        (Algorithm::ES256, json!({ "alg": "ES384" })),
        (Algorithm::ES256, json!({ "alg": "EdDSA" })),
        (Algorithm::ES256, json!({ "crv": "P-384" })),
        (Algorithm::ES256, json!({ "crv": "P-521" })),
        (Algorithm::ES256, json!({ "x": "AQAB" })),
        (Algorithm::EdDSA, json!({ "crv": "P-256" })),
        (Algorithm::EdDSA, json!({ "x": "AQAB" })),
        (Algorithm::EdDSA, json!({ "x": "" })),
        (Algorithm::HS256, json!({ "alg": "RS256" })),
        (Algorithm::HS256, json!({ "alg": null })),
        (Algorithm::HS256, json!({ "k": "c2hvcnQ" })),
        (Algorithm::HS256, json!({ "kid": 7 })),
    ] {
        let signer = signer(algorithm, "a");
        let mut key = signer.jwk();
        key.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let jwt = File::new(&[key, other.jwk()]).jwt().unwrap();
        let kind = refusal(&jwt, &signer.token(json!({}))).await;
        assert_eq!(kind, RefusalKind::Invalid, "{algorithm} {change}");
        assert!(present(&jwt, &other.token(json!({}))).await.is_ok());
    }
}

#[tokio::test]
async fn keys_come_and_go_with_the_file() {
    let (old, new) = (signer(Algorithm::ES256, "old"), signer(Algorithm::EdDSA, "new"));
    let file = File::new(&[old.jwk()]);
    let jwt = file.jwt().unwrap();
    let changes = jwt.changes().unwrap();
    let token = old.token(json!({ "lithe": { "subscribe": ["news"] } }));
    let client = present(&jwt, &token).await.unwrap();
    let news = "news".parse().unwrap();
    assert_eq!(refusal(&jwt, &new.token(json!({}))).await, RefusalKind::Invalid);

    file.write(&[old.jwk(), new.jwk()]);
    assert!(jwt.reload().unwrap());
    assert!(!jwt.reload().unwrap());
    assert!(present(&jwt, &new.token(json!({}))).await.is_ok());
    assert!(!changes.has_changed().unwrap());
    assert!(jwt.authorize(&client, Action::Subscribe, &news).await);

    file.write(&[new.jwk()]);
    assert!(jwt.reload().unwrap());
    assert_eq!(refusal(&jwt, &token).await, RefusalKind::Invalid);
    // Whoever is connected is asked about again, and may do nothing any more.
    assert!(changes.has_changed().unwrap());
    assert!(!jwt.authorize(&client, Action::Subscribe, &news).await);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_leaves_the_keys_as_they_are() {
    let signer = signer(Algorithm::ES256, "a");
    let file = File::new(&[signer.jwk()]);
    let jwt = file.jwt().unwrap();
    for text in ["", "{\"keys\":[", "[]", "{}", "{\"keys\":7}"] {
        fs::write(&file.path, text).unwrap();
        assert!(matches!(jwt.reload(), Err(KeyFileError::Format)), "{text}");
    }
    file.write(&vec![signer.jwk(); 101]);
    assert!(matches!(jwt.reload(), Err(KeyFileError::TooLarge)));
    fs::write(&file.path, " ".repeat(1024 * 1024 + 1)).unwrap();
    assert!(matches!(jwt.reload(), Err(KeyFileError::TooLarge)));
    fs::remove_file(&file.path).unwrap();
    assert!(matches!(jwt.reload(), Err(KeyFileError::Read(_))));
    assert!(present(&jwt, &signer.token(json!({}))).await.is_ok());
    // What was meant to take all keys away does.
    file.write(&[]);
    assert!(jwt.reload().unwrap());
    assert_eq!(refusal(&jwt, &signer.token(json!({}))).await, RefusalKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn the_file_is_looked_at_by_itself() {
    let (old, new) = (signer(Algorithm::ES256, "old"), signer(Algorithm::EdDSA, "new"));
    let file = File::new(&[old.jwk()]);
    let jwt = file.jwt().unwrap();
    let mut changes = jwt.changes().unwrap();
    file.write(&[new.jwk()]);
    changes.changed().await.unwrap();
    assert!(present(&jwt, &new.token(json!({}))).await.is_ok());
    // The task ends with the authorizer, and its keys with it.
    drop(jwt);
    assert!(changes.changed().await.is_err());
}

#[test]
fn a_file_of_keys_needs_a_runtime_and_a_key() {
    let file = File::new(&[signer(Algorithm::ES256, "a").jwk()]);
    assert!(matches!(file.jwt(), Err(Error::NoRuntime)));
    file.write(&[]);
    assert!(matches!(file.jwt(), Err(Error::NoKey)));
    let missing = Jwt::builder().key_file("/does/not/exist").build();
    assert!(matches!(missing, Err(Error::KeyFile(KeyFileError::Read(_)))));
}

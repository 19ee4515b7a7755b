//! Keys as openssl makes them, and tokens that are signed with them by other code than the library's.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use lithe::access::jwt::{Algorithm, Jwt, Key};
use serde_json::{Value, json};

fn openssl(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is needed: make test-deps");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What makes tokens.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) algorithm: Algorithm,
    /// In PEM, or a secret.
    private: String,
    pub(crate) public: String,
    pub(crate) id: Option<String>,
}

impl Signer {
    /// With a key that is made anew.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let arguments: &[&str] = match &algorithm.as_str()[..2] {
            "HS" => {
                let secret = openssl(&["rand", "-hex", "64"], "").trim().to_owned();
                return Signer { algorithm, private: secret.clone(), public: secret, id: None };
            }
            "RS" | "PS" => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            "Ed" => &["ed25519"],
            _ if algorithm == Algorithm::ES256 => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            _ => &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        };
        let private = openssl(&[&["genpkey", "-algorithm"], arguments].concat(), "");
        let public = openssl(&["pkey", "-pubout"], &private);
        Signer { algorithm, private, public, id: None }
    }

    /// With a key that the tests share: RSA keys take their time.
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        static MADE: LazyLock<Mutex<HashMap<Algorithm, Signer>>> = LazyLock::new(Mutex::default);
        MADE.lock().unwrap().entry(algorithm).or_insert_with(|| Signer::new(algorithm)).clone()
    }

    pub(crate) fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// What its tokens are checked with.
    pub(crate) fn key(&self) -> Key {
        let key = match &self.algorithm.as_str()[..2] {
            "HS" => Key::secret(self.algorithm, self.public.as_bytes()),
            _ => Key::pem(self.algorithm, self.public.as_bytes()),
        };
        let key = key.unwrap();
        match &self.id {
            Some(id) => key.id(id.as_str()),
            None => key,
        }
    }

    /// An authorizer that takes its tokens.
    pub(crate) fn jwt(&self) -> Jwt {
        Jwt::builder().key(self.key()).build().unwrap()
    }

    fn private(&self) -> EncodingKey {
        let pem = self.private.as_bytes();
        match &self.algorithm.as_str()[..2] {
            "HS" => EncodingKey::from_secret(pem),
            "RS" | "PS" => EncodingKey::from_rsa_pem(pem).unwrap(),
            "ES" => EncodingKey::from_ec_pem(pem).unwrap(),
            _ => EncodingKey::from_ed_pem(pem).unwrap(),
        }
    }

    /// A token of those claims; `exp` is set unless they say something else.
    pub(crate) fn token(&self, claims: Value) -> String {
        let mut all = json!({ "exp": super::now() + 60 });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let mut header = Header::new(self.algorithm.as_str().parse().unwrap());
        header.kid.clone_from(&self.id);
        encode(&header, &all, &self.private()).unwrap()
    }

    /// A token with any header and any text for claims, signed as the algorithm has it.
    pub(crate) fn sign(&self, header: &Value, claims: &str) -> String {
        let message = message(header, claims);
        let algorithm = self.algorithm.as_str().parse().unwrap();
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.private(), algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// The public key, as a set of keys has it.
    pub(crate) fn jwk(&self) -> Value {
        let algorithm = self.algorithm.as_str().parse().unwrap();
        let mut jwk = Jwk::from_encoding_key(&self.private(), algorithm).unwrap();
        jwk.common.key_id.clone_from(&self.id);
        serde_json::to_value(jwk).unwrap()
    }
}

/// What is signed of a token.
pub(crate) fn message(header: &Value, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims))
}

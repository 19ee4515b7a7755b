//! Keys from a file: a JSON Web Key Set (RFC 7517 §5).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, Key, KeyError};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// How many keys a file may have: a token without an id is tried with all of its algorithm.
const MAX_KEYS: usize = 100;

/// Why a file of keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("cannot read the file of keys: {0}")]
    Read(#[from] io::Error),
    /// It is larger than 1 MiB, or holds more than 100 keys.
    #[error("a file of keys has at most {MAX_FILE} bytes and {MAX_KEYS} keys")]
    TooLarge,
    /// It is no key set.
    #[error("the file of keys is no JSON Web Key Set (RFC 7517 §5): {{\"keys\": [...]}}")]
    Format,
}

/// What was found in a file.
pub(super) struct Found {
    /// The keys that signatures can be checked with.
    pub(super) keys: Vec<Key>,
    /// The places of the others, and what is wrong with them.
    pub(super) refused: Vec<(usize, KeyError)>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_FILE { Err(KeyFileError::TooLarge) } else { Ok(text) }
}

pub(super) fn parse(text: &[u8]) -> Result<Found, KeyFileError> {
    // What serde says of a wrong value may quote it.
    let set: Set = serde_json::from_slice(text).map_err(|_| KeyFileError::Format)?;
    if set.keys.len() > MAX_KEYS {
        return Err(KeyFileError::TooLarge);
    }
    let mut found = Found { keys: Vec::new(), refused: Vec::new() };
    for (place, key) in set.keys.into_iter().enumerate() {
        match self::key(key) {
            Ok(key) => found.keys.push(key),
            Err(error) => found.refused.push((place, error)),
        }
    }
    Ok(found)
}

fn key(key: Value) -> Result<Key, KeyError> {
    let named = key.get("alg").is_some();
    let jwk: Jwk =
        serde_json::from_value(key).map_err(|_| KeyError::Jwk("a member has the wrong type"))?;
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|wanted| *wanted != PublicKeyUse::Signature) {
        return Err(KeyError::Jwk("its use is another"));
    }
    if common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
        return Err(KeyError::Jwk("its operations are others"));
    }
    let algorithm = match common.key_algorithm {
        Some(name) => {
            Some(name.to_string().parse().map_err(|_| KeyError::Jwk("its alg is another"))?)
        }
        None if named => return Err(KeyError::Jwk("its alg is another")),
        None => None,
    };
    let (usual, curve) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, None),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => (Algorithm::ES256, Some(Algorithm::ES256)),
            EllipticCurve::P384 => (Algorithm::ES384, Some(Algorithm::ES384)),
            _ => return Err(KeyError::Jwk("its curve is not P-256 or P-384")),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, Some(Algorithm::EdDSA))
        }
        AlgorithmParameters::OctetKey(_) => {
            (algorithm.ok_or(KeyError::Jwk("a secret needs an alg"))?, None)
        }
        _ => return Err(KeyError::Jwk("its kty is not known")),
    };
    let algorithm = algorithm.unwrap_or(usual);
    if curve.is_some_and(|curve| curve != algorithm) {
        return Err(KeyError::Kind(algorithm));
    }
    let material =
        DecodingKey::from_jwk(&jwk).map_err(|_| KeyError::Jwk("a member is not in base64url"))?;
    let key = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => {
            let secret = material.try_get_as_bytes().map_err(|_| KeyError::Kind(algorithm))?;
            Key::secret(algorithm, secret)?
        }
        _ => Key::public(algorithm, &material)?,
    };
    Ok(match jwk.common.key_id {
        Some(id) => key.id(id),
        None => key,
    })
}

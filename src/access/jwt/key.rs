use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use ring::hmac;
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::Algorithm;
use super::algorithm::Family;

/// What the signatures of tokens are checked with: a key for one [`Algorithm`].
///
/// A key with an [`id`](Self::id) is for tokens that name it (`kid`), one without is for all that
/// are signed by its algorithm.
#[derive(Clone)]
pub struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    material: Material,
    /// Of algorithm and material.
    hash: u64,
}

#[derive(Clone)]
enum Material {
    Secret(hmac::Key),
    /// PKCS #1 in DER, or a point.
    Public(Vec<u8>),
    RsaNumbers {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The algorithm takes another kind of key.
    #[error("{0} takes another kind of key")]
    Kind(Algorithm),
    /// It could be guessed.
    #[error("the secret is too short for {algorithm}: take {bytes} random bytes or more")]
    ShortSecret {
        /// What it was to be used with.
        algorithm: Algorithm,
        /// How long it has to be.
        bytes: usize,
    },
    /// It is in PEM, so it is not a secret.
    #[error(
        "a public key or certificate is no secret: it has to go with RS..., PS..., ES... or EdDSA"
    )]
    PublicSecret,
    /// It is not in PEM, not a public key, or of a kind that is not known.
    #[error("not a public key in PEM (\"BEGIN PUBLIC KEY\") that {0} takes")]
    Pem(Algorithm),
    /// RSA with fewer than 2,048 bits can be broken, with more than 8,192 it takes too long.
    #[error("an RSA key has 2,048 to 8,192 bits")]
    RsaSize,
    /// Not what RFC 7517 says of a key for signatures, or it says too little.
    #[error("not a key for signatures (RFC 7517): {0}")]
    Jwk(&'static str),
}

impl Key {
    /// A secret that whoever makes tokens has as well.
    ///
    /// # Errors
    ///
    /// It is shorter than the output of the hash (RFC 7518 §3.2), or is a public key; or the
    /// algorithm does not take secrets.
    pub fn secret(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let Family::Secret(bytes) = algorithm.family() else {
            return Err(KeyError::Kind(algorithm));
        };
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(KeyError::PublicSecret);
        }
        if secret.len() < bytes {
            return Err(KeyError::ShortSecret { algorithm, bytes });
        }
        let kind = match algorithm {
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let key = hmac::Key::new(kind, secret);
        Ok(Key::new(algorithm, Material::Secret(key), hash(algorithm, &[secret])))
    }

    /// A public key in PEM, of RSA, P-256, P-384 or Ed25519, as the algorithm has it.
    ///
    /// # Errors
    ///
    /// It cannot be read, is a private key or one that the algorithm does not take, or an RSA key
    /// with fewer than 2,048 bits.
    pub fn pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let key = match algorithm.family() {
            Family::Secret(_) => return Err(KeyError::Kind(algorithm)),
            // Neither a private key nor a certificate.
            _ if !pem.windows(15).any(|text| text == b"PUBLIC KEY-----") => {
                return Err(KeyError::Pem(algorithm));
            }
            Family::Rsa => DecodingKey::from_rsa_pem(pem),
            Family::Curve(_) => DecodingKey::from_ec_pem(pem),
            Family::Ed25519 => DecodingKey::from_ed_pem(pem),
        };
        Key::public(algorithm, &key.map_err(|_| KeyError::Pem(algorithm))?)
    }

    /// Names the key: it is then only for tokens that name it (`kid`).
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    pub(super) fn public(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, KeyError> {
        let bytes = match (algorithm.family(), key.kind()) {
            (Family::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let without_zeros = |number: &[u8]| {
                    number.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>()
                };
                let (n, e) = (without_zeros(n), without_zeros(e));
                check_rsa_size(n.len())?;
                let hash = hash(algorithm, &[&n, &e]);
                return Ok(Key::new(algorithm, Material::RsaNumbers { n, e }, hash));
            }
            (Family::Rsa, DecodingKeyKind::SecretOrDer(der)) => {
                // The modulus, and a few bytes more.
                check_rsa_size(der.len())?;
                der
            }
            (Family::Curve(bytes), DecodingKeyKind::SecretOrDer(point)) => {
                // 4: both coordinates follow (SEC 1 §2.3.3).
                if point.len() != bytes || point[0] != 4 {
                    return Err(KeyError::Kind(algorithm));
                }
                point
            }
            (Family::Ed25519, DecodingKeyKind::SecretOrDer(point)) if point.len() == 32 => point,
            _ => return Err(KeyError::Kind(algorithm)),
        };
        Ok(Key::new(algorithm, Material::Public(bytes.clone()), hash(algorithm, &[bytes])))
    }

    fn new(algorithm: Algorithm, material: Material, hash: u64) -> Self {
        Key { id: None, algorithm, material, hash }
    }

    /// Tells the key from others, also when it is read once more. Not 0.
    pub(super) fn tag(&self) -> u64 {
        self.hash | 1
    }

    /// Whether it is for tokens with such a header.
    pub(super) fn serves(&self, id: Option<&str>, algorithm: jsonwebtoken::Algorithm) -> bool {
        self.algorithm.named() == algorithm && (self.id.is_none() || self.id.as_deref() == id)
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Material::Public(key) => {
                let algorithm: &dyn VerificationAlgorithm = match self.algorithm {
                    Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Algorithm::EdDSA => &signature::ED25519,
                    _ => self.rsa(),
                };
                UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
            }
            Material::RsaNumbers { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(self.rsa(), message, signature).is_ok()
            }
        }
    }

    fn rsa(&self) -> &'static RsaParameters {
        match self.algorithm {
            Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
            _ => &signature::RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// With a key of its own for each process, so that it gives nothing away about a secret.
fn hash(algorithm: Algorithm, material: &[&[u8]]) -> u64 {
    static HASHER: OnceLock<RandomState> = OnceLock::new();
    HASHER.get_or_init(RandomState::new).hash_one((algorithm, material))
}

/// `ring` counts the bits when a signature is checked; whoever sets the key is better told at once.
fn check_rsa_size(bytes: usize) -> Result<(), KeyError> {
    if (256..=1024 + 32).contains(&bytes) { Ok(()) } else { Err(KeyError::RsaSize) }
}

/// Keys do not appear in logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, algorithm) = (&self.id, self.algorithm);
        f.debug_struct("Key").field("id", id).field("algorithm", &algorithm).finish_non_exhaustive()
    }
}

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::Algorithm as Named;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1). A key belongs to one of them, and tokens
/// that name another are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

/// What kind of key an algorithm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// A secret of at least so many bytes (RFC 7518 §3.2).
    Secret(usize),
    Rsa,
    /// A point on a curve, uncompressed, of so many bytes.
    Curve(usize),
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 12] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];

    /// The name in the header of a token, `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::HS256 => "HS256",
            Algorithm::HS384 => "HS384",
            Algorithm::HS512 => "HS512",
            Algorithm::RS256 => "RS256",
            Algorithm::RS384 => "RS384",
            Algorithm::RS512 => "RS512",
            Algorithm::PS256 => "PS256",
            Algorithm::PS384 => "PS384",
            Algorithm::PS512 => "PS512",
            Algorithm::ES256 => "ES256",
            Algorithm::ES384 => "ES384",
            Algorithm::EdDSA => "EdDSA",
        }
    }

    pub(super) fn named(self) -> Named {
        match self {
            Algorithm::HS256 => Named::HS256,
            Algorithm::HS384 => Named::HS384,
            Algorithm::HS512 => Named::HS512,
            Algorithm::RS256 => Named::RS256,
            Algorithm::RS384 => Named::RS384,
            Algorithm::RS512 => Named::RS512,
            Algorithm::PS256 => Named::PS256,
            Algorithm::PS384 => Named::PS384,
            Algorithm::PS512 => Named::PS512,
            Algorithm::ES256 => Named::ES256,
            Algorithm::ES384 => Named::ES384,
            Algorithm::EdDSA => Named::EdDSA,
        }
    }

    pub(super) fn family(self) -> Family {
        match self {
            Algorithm::HS256 => Family::Secret(32),
            Algorithm::HS384 => Family::Secret(48),
            Algorithm::HS512 => Family::Secret(64),
            Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512 => Family::Rsa,
            Algorithm::PS256 | Algorithm::PS384 | Algorithm::PS512 => Family::Rsa,
            Algorithm::ES256 => Family::Curve(65),
            Algorithm::ES384 => Family::Curve(97),
            Algorithm::EdDSA => Family::Ed25519,
        }
    }
}

/// There is no such algorithm, or Lithe takes no tokens that are signed so: `none`, for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such algorithm: HS256, HS384, HS512, RS..., PS..., ES256, ES384 and EdDSA there are")]
pub struct AlgorithmError;

impl FromStr for Algorithm {
    type Err = AlgorithmError;

    fn from_str(name: &str) -> Result<Self, AlgorithmError> {
        Algorithm::ALL.into_iter().find(|known| known.as_str() == name).ok_or(AlgorithmError)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

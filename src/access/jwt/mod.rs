//! Access by JSON Web Tokens (RFC 7519): whoever makes the tokens says in them who a client is and
//! what it may do.
//!
//! ```
//! use lithe::access::jwt::{Algorithm, Jwt, Key};
//!
//! # let secret = [7; 32];
//! let jwt = Jwt::builder()
//!     .key(Key::secret(Algorithm::HS256, &secret)?)
//!     .issuer("https://accounts.example.com")
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The claims of such a token:
//!
//! ```json
//! {
//!   "iss": "https://accounts.example.com",
//!   "sub": "alice",
//!   "exp": 1795000000,
//!   "lithe": {
//!     "subscribe": ["news", "rooms.*", "users.{sub}.**"],
//!     "publish": ["rooms.*"],
//!     "history": ["rooms.*"],
//!     "presence": ["rooms.*"],
//!     "info": { "name": "Alice" }
//!   }
//! }
//! ```
//!
//! What no list grants is refused. `{sub}` stands for the subject, as [`segment`] writes it.
//!
//! # What is refused
//!
//! A token that is presented and not valid is never taken for none, whatever guests may do. It is
//! not valid
//!
//! * if its signature was not made with a key that was set, by the algorithm of that very key:
//!   `none`, or a public key taken for a secret, get nowhere; keys that a token brings along
//!   (`jwk`, `jku`, `x5u`, `x5c`) are not looked at;
//! * if it names a key ([`Key::id`]) that is not there;
//! * without `exp`, after it, or before `nbf` or `iat`;
//! * if it is for another audience, or from another issuer;
//! * if its grants are malformed, or more than [`MAX_GRANTS`] for one action;
//! * if it is longer than [`MAX_TOKEN`], or has header parameters that must be understood (`crit`).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Action, Answer, Authorizer, Credentials, Grants, Identity, Refusal, RefusalKind};
use crate::hub::Interest;
use keys::Keys;

mod algorithm;
mod claims;
mod jwks;
mod key;
mod keys;
mod segment;

pub use algorithm::{Algorithm, AlgorithmError};
pub use claims::MAX_GRANTS;
pub use jwks::KeyFileError;
pub use key::{Key, KeyError};
pub use segment::segment;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 8192;

/// An [`Authorizer`] that goes by JSON Web Tokens. See the [module](self).
pub struct Jwt {
    keys: Arc<Keys>,
    rules: Rules,
    watcher: Option<AbortHandle>,
}

/// What tokens are held against.
#[derive(Debug)]
struct Rules {
    audiences: Vec<Box<str>>,
    issuers: Vec<Box<str>>,
    leeway: Duration,
    claim: Box<str>,
    require_expiry: bool,
    guests: Option<Grants>,
}

/// The settings of a [`Jwt`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    keys: Vec<Key>,
    file: Option<PathBuf>,
    rules: Rules,
}

/// Why a [`Jwt`] cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no key, so that no token could be valid.
    #[error("no key was set: every token would be refused")]
    NoKey,
    /// The file of keys cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A file of keys is looked at by a task, which needs a runtime.
    #[error("a file of keys needs a tokio runtime: build inside of one")]
    NoRuntime,
    /// The grants cannot be in a claim of that name.
    #[error("{0:?} is a registered claim (RFC 7519 §4.1): take another for the grants")]
    Claim(Box<str>),
}

impl Builder {
    /// A key to check signatures with, besides those that were set before.
    pub fn key(mut self, key: Key) -> Self {
        self.keys.push(key);
        self
    }

    /// A file of keys (RFC 7517, JSON Web Key Set), besides those that are set. It is read again
    /// when it has changed, within seconds, or by [`Jwt::reload`]. A key in it that is not for
    /// signatures, or does not fit its algorithm, is left out with a warning. RSA keys without
    /// `alg` are for RS256.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Who tokens have to be for (`aud`), or one of several. Unless set, tokens that are for
    /// somebody in particular are refused.
    pub fn audience(mut self, name: impl Into<Box<str>>) -> Self {
        self.rules.audiences.push(name.into());
        self
    }

    /// Who tokens have to be from (`iss`), or one of several.
    pub fn issuer(mut self, name: impl Into<Box<str>>) -> Self {
        self.rules.issuers.push(name.into());
        self
    }

    /// By how much the clock of whoever makes the tokens may be wrong; 10 s unless set, at most an
    /// hour. A token is valid for as much longer.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway.min(Duration::from_secs(3600));
        self
    }

    /// The claim that holds the grants; `lithe` unless set.
    pub fn claim(mut self, name: impl Into<Box<str>>) -> Self {
        self.rules.claim = name.into();
        self
    }

    /// Whether tokens without `exp` are valid, and for ever; not unless set.
    pub fn allow_without_expiry(mut self, allow: bool) -> Self {
        self.rules.require_expiry = !allow;
        self
    }

    /// What clients may do that present no token. Unless set, they are refused.
    pub fn guests(mut self, grants: Grants) -> Self {
        self.rules.guests = Some(grants);
        self
    }

    /// Makes the authorizer. With a [file of keys](Self::key_file) inside of a tokio runtime.
    ///
    /// # Errors
    ///
    /// No key was set, the file cannot be used, or there is no runtime to look after it.
    pub fn build(self) -> Result<Jwt, Error> {
        if claims::REGISTERED.contains(&&*self.rules.claim) {
            return Err(Error::Claim(self.rules.claim));
        }
        let keys = Arc::new(Keys::new(self.keys, self.file));
        keys.reload()?;
        if keys.all().is_empty() {
            return Err(Error::NoKey);
        }
        let watcher = match &keys.file {
            Some(_) => Some(keys.watch_file().ok_or(Error::NoRuntime)?),
            None => None,
        };
        Ok(Jwt { keys, rules: self.rules, watcher })
    }
}

impl Jwt {
    /// The settings, with no key yet.
    pub fn builder() -> Builder {
        let rules = Rules {
            audiences: Vec::new(),
            issuers: Vec::new(),
            leeway: Duration::from_secs(10),
            claim: "lithe".into(),
            require_expiry: true,
            guests: None,
        };
        Builder { keys: Vec::new(), file: None, rules }
    }

    /// Reads the file of keys again, if there is one, and says whether it has changed. Clients
    /// whose tokens were signed with a key that it no longer holds are let go of.
    ///
    /// Reads from the disk: on an async runtime, in [`tokio::task::spawn_blocking`].
    ///
    /// # Errors
    ///
    /// It cannot be used. The keys from before stay.
    pub fn reload(&self) -> Result<bool, KeyFileError> {
        self.keys.reload()
    }

    fn identify(&self, credentials: Credentials<'_>) -> Result<Identity, Refusal> {
        let Some(token) = credentials.token else {
            let missing = || Refusal::new(RefusalKind::Missing, "a token is needed");
            // Whoever goes on without its token is not the guest that it would be if it came so.
            let guests = self.rules.guests.as_ref().filter(|_| credentials.previous.is_none());
            let grants = guests.cloned().ok_or_else(missing)?;
            return Ok(Identity { grants, ..Identity::default() });
        };
        let invalid = |message| Refusal::new(RefusalKind::Invalid, message);
        let (payload, tag) = self.verify(token).map_err(invalid)?;
        let identity = claims::identity(&payload, &self.rules)?;
        if let Some(subject) = credentials.previous.and_then(|previous| previous.subject.as_ref())
            && identity.subject.as_ref() != Some(subject)
        {
            return Err(invalid("the new token is for somebody else"));
        }
        Ok(Identity { tag, ..identity })
    }

    /// What a token says, and which key it was signed with.
    fn verify(&self, token: &str) -> Result<(Vec<u8>, u64), &'static str> {
        if token.len() > MAX_TOKEN {
            return Err("the token is too long");
        }
        // RFC 7515 §3.1: header, payload and signature; all before the last dot is signed.
        let unreadable = "the token cannot be read";
        let header = jsonwebtoken::decode_header(token).map_err(|_| unreadable)?;
        if header.crit.is_some() {
            return Err("the token asks for an extension that is not known (crit)");
        }
        let (message, signature) = token.rsplit_once('.').ok_or(unreadable)?;
        let (_, payload) = message.split_once('.').ok_or(unreadable)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unreadable)?;
        let keys = self.keys.all();
        let signer = keys
            .iter()
            .filter(|key| key.serves(header.kid.as_deref(), header.alg))
            .find(|key| key.verifies(message.as_bytes(), &signature))
            .ok_or("the token was not signed with a key that is known")?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| unreadable)?;
        Ok((payload, signer.tag()))
    }
}

impl Authorizer for Jwt {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        Box::pin(std::future::ready(self.identify(credentials)))
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        let allowed = self.keys.has(identity.tag) && identity.grants.allow(action, interest);
        Box::pin(std::future::ready(allowed))
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.keys.file.as_ref().map(|_| self.keys.changes())
    }
}

impl Drop for Jwt {
    fn drop(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.abort();
        }
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("keys", &self.keys.all())
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

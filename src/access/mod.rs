//! Who may do what on a hub: an [`Authorizer`] is asked when a client connects and for each channel
//! that it wants to use.
//!
//! An authorizer first finds out who a client is ([`authenticate`](Authorizer::authenticate)), from
//! what it presents, and later whether that [`Identity`] may do something
//! ([`authorize`](Authorizer::authorize)). What it does not allow is refused. It is asked again for
//! everything a client has when the client presents a new token, and whenever
//! [`changes`](Authorizer::changes) says that an earlier answer may not hold any more.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::SystemTime;

use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use tokio::sync::watch;

use crate::hub::Interest;

mod from_fn;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod revocation;

pub use from_fn::{FromFn, from_fn};
pub use revocation::{Revocation, Revocations};

/// The answer of an [`Authorizer`], which may take its time.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Decides who may do what.
pub trait Authorizer: Send + Sync + 'static {
    /// Who the client is. Asked when it connects, and again when it presents a new token.
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>>;

    /// Whether a client may do something on a channel, or on all channels of a pattern.
    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool>;

    /// The same, of an authorizer that may be unable to say: `None` when whoever decides does not
    /// answer. The client then gets nothing either, but is told to try again, where one that is
    /// refused is not: an `EventSource` comes back. This is what endpoints ask.
    fn try_authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, Option<bool>> {
        let answer = self.authorize(identity, action, interest);
        Box::pin(async move { Some(answer.await) })
    }

    /// Changes whenever earlier answers may not hold any more: whoever is connected is then asked
    /// about again. `None`, the default: they always hold.
    fn changes(&self) -> Option<watch::Receiver<u64>> {
        None
    }
}

/// What a client presents.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The bearer token (RFC 6750 §2.1), from the `Authorization` header, a cookie, a ticket or a
    /// control frame.
    pub token: Option<&'a str>,
    /// The request that began the connection; a token that comes later has none.
    pub request: Option<RequestHead<'a>>,
    /// Who the client was until now, if it only presents a new token.
    pub previous: Option<&'a Identity>,
}

/// The beginning of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// What was asked for.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// Where the connection comes from.
    pub peer: Option<IpAddr>,
}

/// Tokens do not appear in logs.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("token", &self.token.map(|_| "..."))
            .field("previous", &self.previous)
            .finish_non_exhaustive()
    }
}

/// What a client may want to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Get what is published from now on, and what was missed since a cursor.
    Subscribe,
    /// Read publications from before it came.
    History,
    /// Publish.
    Publish,
    /// See who is there.
    Presence,
}

/// Who a client is.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Identity {
    /// Its name (`sub` of a JWT); `None` for a guest.
    pub subject: Option<Box<str>>,
    /// What others see of it where presence is on.
    pub info: Bytes,
    /// When it has to have presented a new token.
    pub expires: Option<SystemTime>,
    /// When its token was made.
    pub issued: Option<SystemTime>,
    /// The number of its token (`jti` of a JWT).
    pub token_id: Option<Box<str>>,
    /// What it may do, as far as that is known beforehand.
    pub grants: Grants,
    /// For the authorizer's own use.
    pub tag: u64,
}

/// The channels that a client may use, by action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Those that it may subscribe to.
    pub subscribe: Vec<Interest>,
    /// Those that it may publish on.
    pub publish: Vec<Interest>,
    /// Those whose history it may read.
    pub history: Vec<Interest>,
    /// Those on which it may see who is there.
    pub presence: Vec<Interest>,
}

impl Grants {
    /// Whether what is asked for is granted: the channel, or each channel of the pattern. The
    /// channels of the library itself ([`Interest::is_reserved`]) never are.
    pub fn allow(&self, action: Action, interest: &Interest) -> bool {
        if interest.is_reserved() {
            return false;
        }
        let granted = match action {
            Action::Subscribe => &self.subscribe,
            Action::Publish => &self.publish,
            Action::History => &self.history,
            Action::Presence => &self.presence,
        };
        granted.iter().any(|grant| grant.contains(interest))
    }
}

/// Why a client is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What kind of reason it is.
    pub kind: RefusalKind,
    /// The reason in words, for the client; never holds the token.
    pub message: String,
}

impl Refusal {
    /// A refusal of that kind, with a reason for the client, which must not hold its token.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Self {
        Refusal { kind, message: message.into() }
    }
}

/// What kind of reason there is for not letting a client in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalKind {
    /// It presents no token, and has to. 401.
    Missing,
    /// Its token is not valid. 401.
    Invalid,
    /// Its token was valid once. 401.
    Expired,
    /// Its token was revoked. 401.
    Revoked,
    /// It is known, and may not come. 403.
    Denied,
    /// It could not be found out: whoever decides does not answer. The client may try again.
    Unavailable,
}

/// Lets everybody subscribe, read history and see who is there, and nobody publish.
///
/// What a hub goes by that no other authorizer was set for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Public;

impl Authorizer for Public {
    fn authenticate<'a>(&'a self, _: Credentials<'a>) -> Answer<'a, Result<Identity, Refusal>> {
        Box::pin(std::future::ready(Ok(Identity::default())))
    }

    fn authorize<'a>(
        &'a self,
        _: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        let allowed = action != Action::Publish && !interest.is_reserved();
        Box::pin(std::future::ready(allowed))
    }
}

//! An authorizer for tests, whose tokens say themselves what they grant.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use lithe::access::{Action, Answer, Authorizer, Credentials, Identity, Refusal, RefusalKind};
use lithe::hub::Interest;
use tokio::sync::watch;

/// Takes tokens such as `alice:news,logs.*,+chat:1500`: a name, what it may subscribe to, read the
/// history of and see the presence of, and with a plus, also publish on; and in how many
/// milliseconds it expires, if it does.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    changes: watch::Sender<u64>,
    revoked: Arc<Mutex<HashSet<String>>>,
}

impl Tokens {
    /// Grants nobody that any more.
    pub(crate) fn revoke(&self, interest: &str) {
        self.revoked.lock().unwrap().insert(interest.to_owned());
        self.changes.send_modify(|version| *version += 1);
    }
}

fn identify(token: Option<&str>) -> Result<Identity, Refusal> {
    let refuse = |kind: RefusalKind| Refusal { kind, message: format!("{kind:?}") };
    let token = token.ok_or_else(|| refuse(RefusalKind::Missing))?;
    let mut parts = token.split(':');
    let (Some(subject), Some(grants)) = (parts.next(), parts.next()) else {
        return Err(refuse(RefusalKind::Invalid));
    };
    let mut identity = Identity::default();
    identity.subject = Some(subject.into());
    identity.info = format!("{{\"name\":{subject:?}}}").into();
    for grant in grants.split(',').filter(|grant| !grant.is_empty()) {
        let interest: Interest =
            grant.trim_start_matches('+').parse().map_err(|_| refuse(RefusalKind::Invalid))?;
        let grants = &mut identity.grants;
        grants.subscribe.push(interest.clone());
        grants.history.push(interest.clone());
        grants.presence.push(interest.clone());
        if grant.starts_with('+') {
            grants.publish.push(interest);
        }
    }
    if let Some(millis) = parts.next() {
        let millis = millis.parse().map_err(|_| refuse(RefusalKind::Invalid))?;
        let millis = Duration::from_millis(millis);
        identity.expires = Some(SystemTime::now() + millis);
    }
    Ok(identity)
}

impl Authorizer for Tokens {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        Box::pin(std::future::ready(identify(credentials.token)))
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        let revoked = self.revoked.lock().unwrap().contains(interest.as_str());
        let allowed = !revoked && identity.grants.allow(action, interest);
        // Not at once, as one that has to ask somebody else.
        Box::pin(async move {
            tokio::task::yield_now().await;
            allowed
        })
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.changes.subscribe())
    }
}

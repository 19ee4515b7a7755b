//! What all connections of an endpoint share, and the task that keeps house for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::builder::Config;
use super::link::{Link, Links};
use super::tickets::{Nonce, Tickets};
use crate::access::Authorizer;
use crate::hub::Hub;
use crate::transport::Supervised as _;

/// How often channels that nobody publishes on lose what is over by age.
const SWEEP: Duration = Duration::from_secs(10);

pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) config: Config,
    pub(crate) links: Links,
    pub(crate) tickets: Tickets,
    sessions: Mutex<HashMap<Nonce, Weak<Link>>>,
    draining: AtomicBool,
    housekeeping: Mutex<Option<JoinHandle<()>>>,
}

impl Shared {
    pub(super) fn new(hub: Hub, authorizer: Arc<dyn Authorizer>, config: Config) -> Self {
        Shared {
            hub,
            authorizer,
            config,
            links: Links::default(),
            tickets: Tickets::default(),
            sessions: Mutex::default(),
            draining: AtomicBool::new(false),
            housekeeping: Mutex::default(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(SeqCst)
    }

    /// Whether another client is to be sent away.
    pub(crate) fn is_full(&self) -> bool {
        self.is_draining() || self.links.len() >= self.config.max_connections
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, SeqCst);
        self.links.for_each(|link| link.drain(self.config.drain_retry()));
    }

    /// Makes a connection known by a name that only its client learns.
    pub(super) fn name_session(&self, session: Nonce, link: &Arc<Link>) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.insert(session, Arc::downgrade(link));
    }

    pub(super) fn forget_session(&self, session: Nonce) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    /// The connection of that name.
    pub(super) fn session(&self, session: &str) -> Option<Arc<Link>> {
        let session = session.parse().ok()?;
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let link = sessions.get(&session)?.upgrade();
        // What is dropped here may need the lock.
        drop(sessions);
        link
    }

    /// Sees to it that somebody keeps house. The runtime in which somebody did may be gone.
    pub(crate) fn keep_house(self: &Arc<Self>) {
        let mut housekeeping = self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner);
        if housekeeping.as_ref().is_none_or(JoinHandle::is_finished) {
            *housekeeping = Some(tokio::spawn(keep_house(Arc::downgrade(self))));
        }
    }
}

/// Until the endpoint is gone: drops publications that are over by age, and has all connections
/// reviewed when what they were allowed may not hold any more.
async fn keep_house(shared: Weak<Shared>) {
    let Some(mut changes) = shared.upgrade().map(|shared| shared.authorizer.changes()) else {
        return;
    };
    if let Some(changes) = &mut changes {
        // Whoever is there already may have missed some.
        changes.mark_changed();
    }
    loop {
        let changed = async {
            match &mut changes {
                Some(changes) => changes.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let changed = tokio::time::timeout(SWEEP, changed).await;
        let Some(shared) = shared.upgrade() else { return };
        match changed {
            Ok(true) => shared.links.for_each(|link| link.leave_word(|word| word.review = true)),
            // There will be no more changes.
            Ok(false) => changes = None,
            Err(_) => shared.hub.sweep(),
        }
    }
}

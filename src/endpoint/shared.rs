//! What all connections of an endpoint share, and the task that keeps house for it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

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

/// When the runtime goes in which somebody keeps house, others are asked to.
struct Leaving(Weak<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let Some(shared) = self.0.upgrade() else { return };
        let gone = shared.housekeeping.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(gone);
        shared.links.for_each(|link| link.leave_word(|word| word.keep_house = true));
    }
}

/// Until the endpoint is gone: drops publications that are over by age, and has all connections
/// reviewed when what they were allowed may not hold any more.
async fn keep_house(shared: Weak<Shared>) {
    let _leaving = Leaving(shared.clone());
    let Some(mut changes) = shared.upgrade().map(|shared| shared.authorizer.changes()) else {
        return;
    };
    if let Some(changes) = &mut changes {
        // Whoever is there already may have missed some.
        changes.mark_changed();
    }
    // However often something changes.
    let mut due = Instant::now() + SWEEP;
    loop {
        let changed = async {
            match &mut changes {
                Some(changes) => changes.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let changed = timeout_at(due, changed).await;
        let Some(shared) = shared.upgrade() else { return };
        match changed {
            Ok(true) => shared.links.for_each(|link| link.leave_word(|word| word.review = true)),
            // There will be no more changes.
            Ok(false) => changes = None,
            Err(_) => {
                shared.hub.sweep();
                due = Instant::now() + SWEEP;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::access::{Action, Answer, Credentials, Identity, Public, Refusal};
    use crate::endpoint::session::Session;
    use crate::endpoint::{Endpoint, StreamRequest};
    use crate::hub::{ChannelOptions, Clock, Interest};

    /// That of the runtime, which leaps when all that is left to do is to wait.
    #[derive(Debug)]
    struct Paused;

    impl Clock for Paused {
        fn now(&self) -> Instant {
            tokio::time::Instant::now().into_std()
        }
        fn unix_millis(&self) -> u64 {
            0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_by_age_goes_without_anybody_publishing() {
        let options = ChannelOptions::default().history_age(SWEEP / 2).backlog(1);
        let hub = Hub::builder().defaults(options).clock(Arc::new(Paused)).build();
        let endpoint = Endpoint::builder(hub.clone()).build();
        endpoint.shared.keep_house();
        for _ in 0..100 {
            hub.publish(&"a".parse().unwrap(), vec![0; 1000]).await.unwrap();
        }
        assert!(hub.stats().history_bytes > 100_000);
        tokio::time::sleep(2 * SWEEP).await;
        assert!(hub.stats().history_bytes < 10_000, "{:?}", hub.stats());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_by_age_goes_however_often_access_changes() {
        struct Restless(tokio::sync::watch::Sender<u64>);
        impl Authorizer for Restless {
            fn authenticate<'a>(
                &'a self,
                credentials: Credentials<'a>,
            ) -> Answer<'a, Result<Identity, Refusal>> {
                Public.authenticate(credentials)
            }
            fn authorize<'a>(
                &'a self,
                identity: &'a Identity,
                action: Action,
                interest: &'a Interest,
            ) -> Answer<'a, bool> {
                Public.authorize(identity, action, interest)
            }
            fn changes(&self) -> Option<tokio::sync::watch::Receiver<u64>> {
                Some(self.0.subscribe())
            }
        }
        let options = ChannelOptions::default().history_age(SWEEP / 2).backlog(1);
        let hub = Hub::builder().defaults(options).clock(Arc::new(Paused)).build();
        let changes = tokio::sync::watch::Sender::new(0);
        let endpoint = Endpoint::builder(hub.clone()).authorizer(Restless(changes.clone())).build();
        endpoint.shared.keep_house();
        for _ in 0..100 {
            hub.publish(&"a".parse().unwrap(), vec![0; 1000]).await.unwrap();
        }
        for _ in 0..10 {
            tokio::time::sleep(SWEEP / 3).await;
            changes.send_modify(|changes| *changes += 1);
        }
        assert!(hub.stats().history_bytes < 10_000, "{:?}", hub.stats());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_keeps_house_for_an_endpoint_that_is_gone() {
        let endpoint = Endpoint::builder(Hub::new()).build();
        endpoint.shared.keep_house();
        let runtime = tokio::runtime::Handle::current();
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        drop(endpoint);
        tokio::time::sleep(2 * SWEEP).await;
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    }

    #[test]
    fn whoever_is_left_keeps_house_when_the_runtime_is_gone_in_which_somebody_did() {
        let endpoint = Endpoint::builder(Hub::new()).build();
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build();
        let (first, second) = (runtime().unwrap(), runtime().unwrap());
        first.block_on(async {
            endpoint.shared.keep_house();
            tokio::task::yield_now().await;
        });
        let request = StreamRequest::default();
        let session = second.block_on(Session::begin(&endpoint.shared, &request));
        let mut session = session.ok().unwrap();
        let mut subscription = endpoint.shared.hub.subscriber();
        assert_eq!(second.metrics().num_alive_tasks(), 0);
        drop(first);
        second.block_on(std::future::poll_fn(|cx| {
            let _ = session.poll_change(cx, &mut subscription);
            std::task::Poll::Ready(())
        }));
        assert_eq!(second.metrics().num_alive_tasks(), 1);
    }

    #[test]
    fn somebody_keeps_house_when_the_runtime_is_gone_in_which_somebody_did() {
        let endpoint = Endpoint::builder(Hub::new()).build();
        for _ in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.unwrap();
            runtime.block_on(async {
                endpoint.shared.keep_house();
                endpoint.shared.keep_house();
            });
            assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        }
    }
}

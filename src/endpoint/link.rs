//! What others know of a connection: the server, the endpoint, and whoever presents a new token for
//! it, leave word here of what it shall do.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use slab::Slab;

use super::Shared;
use super::notice::Notice;
use super::tickets::Nonce;
use crate::access::Identity;
use crate::transport::Supervised;

/// How a connection shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a time after which to come back.
    Drain(Duration),
    /// After what is on its way.
    Close,
    /// Without a word.
    Abort,
}

/// What was left for a connection since it last looked.
#[derive(Debug, Default)]
pub(crate) struct Word {
    pub(crate) end: Option<End>,
    /// What the client was allowed may not hold any more.
    pub(crate) review: bool,
    /// The client has presented a new token.
    pub(crate) renewed: bool,
    /// Nobody keeps house any more.
    pub(crate) keep_house: bool,
}

pub(crate) struct Link {
    /// Looked at for each burst.
    notice: Notice<State>,
    /// Bytes that were handed on and that the transport may not have taken yet.
    in_flight: AtomicUsize,
    /// Events that the server has not counted yet.
    messages: AtomicU64,
    /// The endpoint that it belongs to, and its place there.
    home: Option<(Arc<Shared>, usize)>,
    /// By which name its client may present a new token.
    name: OnceLock<Nonce>,
}

struct State {
    word: Word,
    identity: Arc<Identity>,
}

/// All connections of an endpoint.
#[derive(Default)]
pub(crate) struct Links(Mutex<Slab<Weak<Link>>>);

impl Link {
    /// For a connection of no endpoint.
    pub(crate) fn alone() -> Arc<Self> {
        Arc::new(Link::new(Arc::default(), None))
    }

    /// Enters a connection; it is among those of the endpoint until it is dropped. `None` when there
    /// are as many as there may be.
    pub(crate) fn enter(shared: &Arc<Shared>, identity: Arc<Identity>) -> Option<Arc<Self>> {
        let mut links = shared.links.lock();
        if links.len() >= shared.config.max_connections {
            return None;
        }
        let entry = links.vacant_entry();
        let home = Some((shared.clone(), entry.key()));
        let link = Arc::new(Link::new(identity, home));
        entry.insert(Arc::downgrade(&link));
        drop(links);
        if shared.is_draining() {
            // It may have come too late to be asked by the drain.
            link.leave_word(|word| word.end = Some(End::Drain(shared.config.retry())));
        }
        Some(link)
    }

    fn new(identity: Arc<Identity>, home: Option<(Arc<Shared>, usize)>) -> Self {
        Link {
            notice: Notice::new(State { word: Word::default(), identity }),
            in_flight: AtomicUsize::new(0),
            messages: AtomicU64::new(0),
            home,
            name: OnceLock::new(),
        }
    }

    /// The endpoint that the connection belongs to.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.home.as_ref().map(|(shared, _)| shared)
    }

    /// Who the client is.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.notice.lock().value.identity.clone()
    }

    /// Makes the connection known by a name, for its client to present new tokens by. `None` when
    /// there is no randomness to draw one from, or it belongs to no endpoint.
    pub(crate) fn name(self: &Arc<Self>) -> Option<Nonce> {
        let shared = self.shared()?;
        let name = Nonce::random()?;
        self.name.set(name).ok()?;
        shared.name_session(name, self);
        Some(name)
    }

    /// The client has presented a new token.
    pub(crate) fn renew(&self, identity: Arc<Identity>) {
        self.notice.leave(|state| {
            state.identity = identity;
            state.word.renewed = true;
        });
    }

    pub(crate) fn leave_word(&self, leave: impl FnOnce(&mut Word)) {
        self.notice.leave(|state| leave(&mut state.word));
    }

    /// Takes what was left. If there is nothing, the task is woken when there is.
    ///
    /// `registered` is the waker that the connection has left before: while it stays the same, and
    /// there is no word, this costs no lock.
    pub(crate) fn poll_word(
        &self,
        cx: &mut Context<'_>,
        registered: &mut Option<Waker>,
    ) -> Option<Word> {
        self.notice.poll(cx, registered, |state| std::mem::take(&mut state.word))
    }

    /// Notes what was handed on to the transport, which has taken all that was handed on before.
    pub(crate) fn handed_on(&self, bytes: usize, messages: u64) {
        self.in_flight.store(bytes, Relaxed);
        // Only the connection itself adds, and only its server takes.
        self.messages.fetch_add(messages, Relaxed);
    }
}

impl Supervised for Link {
    fn drain(&self, retry: Duration) {
        self.leave_word(|word| word.end = word.end.or(Some(End::Drain(retry))));
    }

    fn close(&self, _code: u16, _reason: &str) {
        self.leave_word(|word| word.end = word.end.or(Some(End::Close)));
    }

    fn abort(&self) {
        self.leave_word(|word| word.end = Some(End::Abort));
    }

    fn queued_bytes(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    fn take_messages(&self) -> u64 {
        self.messages.swap(0, Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((shared, key)) = &self.home {
            shared.links.lock().remove(*key);
            if let Some(name) = self.name.get() {
                shared.forget_session(*name);
            }
        }
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, Slab<Weak<Link>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Does something with each, not under the lock: a connection that is dropped meanwhile needs
    /// it.
    pub(crate) fn for_each(&self, act: impl FnMut(Arc<Link>)) {
        let links: Vec<_> = self.lock().iter().filter_map(|(_, link)| link.upgrade()).collect();
        links.into_iter().for_each(act);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use crate::hub::Hub;

    #[test]
    fn no_more_come_in_than_there_may_be_however_many_were_let_in_at_once() {
        let endpoint = Endpoint::builder(Hub::new()).max_connections(1).build();
        let enter = || Link::enter(&endpoint.shared, Arc::default());
        let first = enter();
        assert!(first.is_some() && enter().is_none());
        drop(first);
        assert!(enter().is_some());
    }
}

//! Tokens that are not to be believed any more, although they have yet to expire.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Action, Answer, Authorizer, Credentials, Identity, Refusal, RefusalKind};
use crate::hub::{ChannelName, Epoch, Hub, Interest, Message, PublishError};

mod follow;
mod ledger;
mod notice;

pub use ledger::{MAX_CHANNEL_REVOCATIONS, MAX_REVOCATIONS};
pub use notice::Revocation;

use ledger::{Full, Ledger, Verdict};
use notice::Notice;

/// Tokens are valid for a little longer, as clocks differ.
const LEEWAY: Duration = Duration::from_secs(60 * 60);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What was revoked, on all nodes of a hub.
///
/// A revocation is published on a channel of the library's own, [`CHANNEL`](Self::CHANNEL), so that
/// whatever joins several nodes to one hub carries it too, and a node that starts later reads it in
/// the history. It [guards](Self::guard) any authorizer: who presents a revoked token is not let in,
/// and who is connected with it is asked about again, at once.
///
/// ```
/// use lithe::access::{Public, Revocation, Revocations};
/// use lithe::endpoint::Endpoint;
/// use lithe::hub::Hub;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let hub = Hub::new();
/// let revocations = Revocations::new(&hub)?;
/// // Instead of `Public`: an authorizer that goes by tokens.
/// let endpoint = Endpoint::builder(hub).authorizer(revocations.guard(Public)).build();
///
/// revocations.revoke(Revocation::subject("mallory")).await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # When something is not known
///
/// No token is believed that may have been revoked:
///
/// * Until a node has read what there is, clients with tokens are told to try again.
/// * If revocations were lost, because the history does not reach back far enough or its log is
///   another one, all tokens are refused that were issued before that was found out, as if they were
///   revoked. Clients get new ones. A node that knows revocations which a new log does not have
///   publishes them again.
/// * Tokens that expire later than a revocation may last ([`Builder::longest_token`]) are refused.
///
/// In a hub of one process without a backplane, the log ends with the process; with a backplane, when
/// that loses it and there is no node left that knows what was in it. Keep revocations elsewhere too,
/// and revoke anew when it starts, or [distrust](Self::distrust) what was issued before.
///
/// Cloning it is cheap; all clones are one. It ends with the last of them and of its guards.
#[derive(Clone)]
pub struct Revocations {
    shared: Arc<Shared>,
    _follower: Arc<Task>,
}

struct Shared {
    hub: Hub,
    channel: ChannelName,
    ledger: Mutex<Ledger>,
    /// Counts what may change the answers of guards.
    changed: watch::Sender<u64>,
}

/// Ends when it is dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The settings of [`Revocations`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    hub: Hub,
    longest_token: Duration,
}

impl Builder {
    /// How long a token lives at most; 24 hours unless set, and no more than ten years. Revocations
    /// are remembered for as long and an hour, for clocks that differ; tokens that live longer are
    /// refused.
    pub fn longest_token(mut self, time: Duration) -> Self {
        self.longest_token = time;
        self
    }

    /// Begins to listen to what is revoked. In a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RevokeError::NoRuntime`].
    pub fn build(self) -> Result<Revocations, RevokeError> {
        let runtime = Handle::try_current().map_err(|_| RevokeError::NoRuntime)?;
        let shared = Arc::new(Shared {
            hub: self.hub,
            channel: ChannelName::new(Revocations::CHANNEL).expect("a name"),
            ledger: Mutex::new(Ledger::new(self.longest_token.min(LONGEST) + LEEWAY)),
            changed: watch::Sender::new(0),
        });
        let follower = runtime.spawn(follow::follow(shared.clone())).abort_handle();
        Ok(Revocations { shared, _follower: Arc::new(Task(follower)) })
    }
}

/// Why something was not revoked, or not everywhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevokeError {
    /// It holds on this node. The others were not told: revoke it again.
    #[error("revoked on this node only: {0}")]
    Publish(#[from] PublishError),
    /// There are [`MAX_REVOCATIONS`], or [`MAX_CHANNEL_REVOCATIONS`] of channels.
    #[error("too many revocations are in force: distrust all tokens that were issued before now")]
    Full,
    /// Revocations are listened to by a task.
    #[error("revocations need a tokio runtime: make them inside of one")]
    NoRuntime,
}

impl Revocations {
    /// The channel on which nodes tell each other.
    pub const CHANNEL: &str = "lithe.revocations";

    /// Those of a hub. In a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RevokeError::NoRuntime`].
    pub fn new(hub: &Hub) -> Result<Self, RevokeError> {
        Revocations::builder(hub).build()
    }

    /// Those of a hub, with other settings.
    pub fn builder(hub: &Hub) -> Builder {
        Builder { hub: hub.clone(), longest_token: Duration::from_secs(24 * 60 * 60) }
    }

    /// Waits until all is known that was revoked before. Until then clients are told to try again.
    pub async fn ready(&self) {
        let mut changes = self.shared.changed.subscribe();
        while !self.shared.ledger().is_loaded() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Revokes something: on this node at once, and on the others as soon as they hear of it.
    ///
    /// # Errors
    ///
    /// It holds on this node only, or there is no room for more.
    pub async fn revoke(&self, revocation: Revocation) -> Result<(), RevokeError> {
        let notice = self.shared.note(revocation)?;
        Ok(self.shared.publish(notice).await?)
    }

    /// [`revoke`](Self::revoke) for threads without an async runtime; blocks as
    /// [`Hub::publish_blocking`] does.
    ///
    /// # Errors
    ///
    /// As [`revoke`](Self::revoke).
    pub fn revoke_blocking(&self, revocation: Revocation) -> Result<(), RevokeError> {
        let notice = self.shared.note(revocation)?;
        self.shared.hub.publish_blocking(&self.shared.channel, notice.to_json())?;
        Ok(())
    }

    /// Refuses all tokens that were issued before then, on this node.
    pub fn distrust(&self, issued_before: SystemTime) {
        self.shared.ledger().distrust(issued_before);
        self.shared.change();
    }

    /// An authorizer that goes by another one, but for what was revoked.
    pub fn guard<A: Authorizer>(&self, authorizer: A) -> Guard<A> {
        let forward = authorizer.changes().and_then(|changes| {
            let forward = follow::forward(changes, self.shared.changed.clone());
            Some(Task(Handle::try_current().ok()?.spawn(forward).abort_handle()))
        });
        Guard { authorizer, revocations: self.clone(), _forward: forward }
    }
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Has it hold on this node, and says what the others are to be told.
    fn note(&self, revocation: Revocation) -> Result<Notice, RevokeError> {
        let now = SystemTime::now();
        let mut ledger = self.ledger();
        let earlier_until = ledger.until();
        let revocation = revocation.in_millis(now + ledger.longest());
        ledger.insert(revocation.clone(), now).map_err(|Full| RevokeError::Full)?;
        drop(ledger);
        self.change();
        Ok(Notice { revocation, earlier_until })
    }

    /// Tells all nodes.
    async fn publish(&self, notice: Notice) -> Result<(), PublishError> {
        self.hub.publish(&self.channel, notice.to_json()).await.map(|_| ())
    }

    /// Tells all nodes what the log of that epoch lacks. Each of them that knows it does so, and once
    /// is enough: the log is not to be filled with the same.
    async fn publish_again(&self, log: Epoch, notice: Notice) -> Result<(), PublishError> {
        let message = Message::new(notice.to_json());
        let key = format!("{log}:{}", Notice { earlier_until: UNIX_EPOCH, ..notice }.to_json());
        // What is too long for a key is published by each.
        let message = message.clone().idempotency_key(key).unwrap_or(message);
        self.hub.publish(&self.channel, message).await.map(|_| ())
    }

    fn verdict(&self, identity: &Identity, asked: Option<&Interest>) -> Option<Verdict> {
        self.ledger().verdict(identity, asked, SystemTime::now())
    }
}

impl std::fmt::Debug for Revocations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.shared.ledger().all().count();
        f.debug_struct("Revocations").field("known", &known).finish_non_exhaustive()
    }
}

/// An [`Authorizer`] to which revoked tokens are not valid: [`Revocations::guard`].
pub struct Guard<A> {
    authorizer: A,
    revocations: Revocations,
    _forward: Option<Task>,
}

impl<A: Authorizer> Authorizer for Guard<A> {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        Box::pin(async move {
            let identity = self.authorizer.authenticate(credentials).await?;
            match self.revocations.shared.verdict(&identity, None) {
                None => Ok(identity),
                Some(verdict) => Err(refusal(verdict)),
            }
        })
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        Box::pin(async move {
            self.revocations.shared.verdict(identity, Some(interest)).is_none()
                && self.authorizer.authorize(identity, action, interest).await
        })
    }

    fn try_authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, Option<bool>> {
        Box::pin(async move {
            match self.revocations.shared.verdict(identity, Some(interest)) {
                None => self.authorizer.try_authorize(identity, action, interest).await,
                Some(Verdict::NotLoaded) => None,
                Some(_) => Some(false),
            }
        })
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.revocations.shared.changed.subscribe())
    }
}

fn refusal(verdict: Verdict) -> Refusal {
    let (kind, message) = match verdict {
        Verdict::Revoked => (RefusalKind::Revoked, "the token was revoked"),
        Verdict::TooOld => {
            (RefusalKind::Revoked, "the token is too old to be believed: get a new one")
        }
        Verdict::TooLong => {
            (RefusalKind::Invalid, "the token expires too late for a revocation to last")
        }
        Verdict::NotLoaded => {
            (RefusalKind::Unavailable, "it is not known yet which tokens were revoked")
        }
    };
    Refusal::new(kind, message)
}

#[cfg(test)]
mod tests;

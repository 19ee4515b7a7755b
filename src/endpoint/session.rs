//! A client that was let in: who it is, what it may do, and for how long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Sleep};

use super::link::{End, Link, Word};
use super::request::{Head, Secret, StreamRequest};
use super::{Rejection, RejectionKind, Shared};
use crate::access::{Action, Answer, Credentials, Identity};
use crate::hub::{
    Interest, MAX_INTERESTS, Position, PresenceChange, Subscription, SubscriptionOptions,
};

/// What becomes of a connection while it lasts.
#[derive(Debug)]
pub(crate) enum Change {
    /// The token expires in that time.
    Expiring(Duration),
    /// The token has expired: the client has a little time left to present a new one.
    Expired,
    /// The client has presented a new token, which expires in that time, or never.
    Renewed(Option<Duration>),
    /// These are not granted any more, and have been unsubscribed from.
    Refused(Vec<Interest>),
    /// Nobody can say what is granted now: it shall end, and the client come back.
    Unsure,
    /// It shall end.
    End(End),
    /// It shall end, as the client has presented no new token in time.
    TimedOut,
}

pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    /// The waker that the link has.
    registered: Option<Waker>,
    /// Where the client may see who is there.
    presence: Box<[Interest]>,
    /// Of the few whose token expires.
    expiry: Option<Box<Expiry>>,
    /// While the authorizer is being asked again.
    review: Option<Answer<'static, Option<Vec<Verdict>>>>,
    /// Something has changed meanwhile.
    review_again: bool,
    /// How often it was begun to be asked again.
    reviews: u32,
}

/// What an authorizer says of one interest.
pub(crate) struct Verdict {
    pub(crate) interest: Interest,
    pub(crate) subscribe: bool,
    presence: bool,
}

struct Expiry {
    at: Instant,
    stage: Stage,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    Warned,
    Expired,
}

impl Session {
    /// For a connection about which nobody is asked.
    pub(crate) fn alone() -> Self {
        Session::of(Link::alone())
    }

    fn of(link: Arc<Link>) -> Self {
        Session {
            link,
            registered: None,
            presence: Box::default(),
            expiry: None,
            review: None,
            review_again: false,
            reviews: 0,
        }
    }

    /// Finds out who the client is, and whether there is room for it.
    pub(crate) async fn begin(
        shared: &Arc<Shared>,
        request: &StreamRequest,
    ) -> Result<Self, Rejection> {
        let full = || Rejection::later(shared.config.retry());
        if shared.is_full() {
            return Err(full());
        }
        shared.keep_house();
        let identity = shared.identify(request).await?;
        // Others may have come while it was found out who this one is.
        let mut session = Session::of(Link::enter(shared, identity).ok_or_else(full)?);
        session.see_to_expiry();
        Ok(session)
    }

    pub(crate) fn identity(&self) -> Arc<Identity> {
        self.link.identity()
    }

    /// Splits what the client wants into what it may subscribe to and what not.
    pub(crate) async fn sort(
        &mut self,
        wanted: &[Interest],
    ) -> Result<(Vec<Interest>, Vec<Interest>), Rejection> {
        let Some(shared) = self.link.shared() else { return Ok((wanted.to_vec(), Vec::new())) };
        let later = Rejection::later(shared.config.retry());
        let verdicts = review(shared.clone(), self.identity(), wanted.to_vec()).await;
        Ok(self.heed(verdicts.ok_or(later)?))
    }

    /// The same in two steps: asks, which may take its time,
    pub(crate) fn ask(
        &self,
        wanted: Vec<Interest>,
    ) -> Option<impl Future<Output = Option<Vec<Verdict>>> + Send + use<>> {
        Some(review(self.link.shared()?.clone(), self.identity(), wanted))
    }

    /// and takes note of the answer, if it is [of today](Self::reviews).
    pub(crate) fn heed(&mut self, verdicts: Vec<Verdict>) -> (Vec<Interest>, Vec<Interest>) {
        let seen = verdicts.iter().filter(|verdict| verdict.presence);
        let seen = seen.map(|verdict| &verdict.interest);
        let seen = seen.filter(|interest| !self.presence.contains(interest)).cloned();
        let seen: Vec<_> = seen.collect();
        if !seen.is_empty() {
            self.presence = self.presence.iter().cloned().chain(seen).collect();
        }
        let (granted, refused): (Vec<_>, Vec<_>) =
            verdicts.into_iter().partition(|verdict| verdict.subscribe);
        let interests =
            |verdicts: Vec<Verdict>| verdicts.into_iter().map(|verdict| verdict.interest).collect();
        (interests(granted), interests(refused))
    }

    /// How often all answers have become questionable: those to what was asked before may be wrong.
    pub(crate) fn reviews(&self) -> u32 {
        self.reviews
    }

    /// The client listens to that no longer.
    pub(crate) fn forget(&mut self, interest: &Interest) {
        if self.presence.contains(interest) {
            self.presence =
                self.presence.iter().filter(|seen| *seen != interest).cloned().collect();
        }
    }

    /// Whether the client's token has expired, and no new one was presented yet.
    pub(crate) fn has_expired(&self) -> bool {
        self.expiry.as_ref().is_some_and(|expiry| expiry.stage == Stage::Expired)
    }

    /// The same for a whole request, of which something has to be granted.
    pub(crate) async fn sort_for(
        &mut self,
        request: &StreamRequest,
    ) -> Result<(Vec<Interest>, Vec<Interest>), Rejection> {
        let max = self.link.shared().map_or(MAX_INTERESTS, |shared| shared.config.max_channels);
        if request.channels.len() > max {
            return Err(Rejection::too_many(max));
        }
        let (granted, refused) = self.sort(&request.channels).await?;
        if granted.is_empty() {
            return Err(Rejection::denied("none of these channels is granted"));
        }
        Ok((granted, refused))
    }

    /// Whether the client may see who has come and gone.
    pub(crate) fn may_see(&self, change: &PresenceChange) -> bool {
        self.link.shared().is_none()
            || self.presence.iter().any(|interest| interest.covers(&change.channel))
    }

    /// How a subscription of this client behaves.
    pub(crate) fn options(&self) -> SubscriptionOptions {
        let identity = self.identity();
        let options = SubscriptionOptions::default();
        match &identity.subject {
            Some(subject) => options.client(subject.clone(), identity.info.clone()),
            None => options,
        }
    }

    /// In how long the token expires.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        expires_in(&self.identity())
    }

    /// Whether what the client is allowed is being found out: until then it gets nothing.
    pub(crate) fn is_in_review(&self) -> bool {
        self.review.is_some()
    }

    /// The next change. Without one the task is woken when there is.
    pub(crate) fn poll_change(
        &mut self,
        cx: &mut Context<'_>,
        subscription: &mut Subscription,
    ) -> Poll<Change> {
        loop {
            if let Some(word) = self.link.poll_word(cx, &mut self.registered) {
                let Word { end, review, renewed, keep_house } = word;
                if let (true, Some(shared)) = (keep_house, self.link.shared()) {
                    shared.keep_house();
                }
                if review && !renewed && self.review.is_some() {
                    // One after the other, or however often something changes none would end.
                    self.review_again = true;
                    self.reviews = self.reviews.wrapping_add(1);
                } else if review || renewed {
                    self.begin_review(subscription);
                }
                if let Some(end) = end {
                    return Poll::Ready(Change::End(end));
                }
                if renewed {
                    self.see_to_expiry();
                    return Poll::Ready(Change::Renewed(self.expires_in()));
                }
                continue;
            }
            if let Some(review) = &mut self.review
                && let Poll::Ready(verdicts) = review.as_mut().poll(cx)
            {
                self.review = None;
                let Some(verdicts) = verdicts else { return Poll::Ready(Change::Unsure) };
                let refused = self.withdraw(verdicts, subscription);
                let again = self.review_again;
                if again {
                    self.begin_review(subscription);
                }
                if !refused.is_empty() {
                    return Poll::Ready(Change::Refused(refused));
                }
                if again {
                    continue;
                }
            }
            return self.poll_expiry(cx);
        }
    }

    fn begin_review(&mut self, subscription: &Subscription) {
        let Some(shared) = self.link.shared() else { return };
        self.reviews = self.reviews.wrapping_add(1);
        self.review_again = false;
        let interests = subscription.interests().cloned().collect();
        self.review = Some(Box::pin(review(shared.clone(), self.identity(), interests)));
    }

    /// Unsubscribes from what is not granted any more.
    fn withdraw(
        &mut self,
        verdicts: Vec<Verdict>,
        subscription: &mut Subscription,
    ) -> Vec<Interest> {
        let seen = verdicts.iter().filter(|verdict| verdict.presence);
        self.presence = seen.map(|verdict| verdict.interest.clone()).collect();
        let refused = verdicts.into_iter().filter(|verdict| !verdict.subscribe);
        let mut refused: Vec<_> = refused.map(|verdict| verdict.interest).collect();
        refused.retain(|interest| subscription.unsubscribe(interest));
        refused
    }

    fn see_to_expiry(&mut self) {
        self.expiry = None;
        if let (Some(left), Some(shared)) = (self.expires_in(), self.link.shared()) {
            // A time too far away to be expressed is none.
            let Some(at) = Instant::now().checked_add(left) else { return };
            let warning = at.checked_sub(shared.config.expiry_warning).unwrap_or_else(Instant::now);
            let timer = Box::pin(tokio::time::sleep_until(warning));
            self.expiry = Some(Box::new(Expiry { at, stage: Stage::Fresh, timer }));
        }
    }

    fn poll_expiry(&mut self, cx: &mut Context<'_>) -> Poll<Change> {
        let (Some(expiry), Some(shared)) = (&mut self.expiry, self.link.shared()) else {
            return Poll::Pending;
        };
        ready!(expiry.timer.as_mut().poll(cx));
        let grace = shared.config.expiry_grace;
        let (stage, due, change) = match expiry.stage {
            Stage::Fresh => {
                let left = expiry.at.saturating_duration_since(Instant::now());
                (Stage::Warned, expiry.at, Change::Expiring(left))
            }
            Stage::Warned => (Stage::Expired, expiry.at + grace, Change::Expired),
            Stage::Expired => {
                self.expiry = None;
                return Poll::Ready(Change::TimedOut);
            }
        };
        expiry.stage = stage;
        expiry.timer.as_mut().reset(due);
        Poll::Ready(change)
    }
}

/// Listens to what is granted: from the cursor on, or from now on.
pub(crate) fn subscribe(
    subscription: &mut Subscription,
    granted: Vec<Interest>,
    cursor: Option<&str>,
) -> Result<(), Rejection> {
    let subscribed = match cursor {
        Some(cursor) => subscription.resume(granted, cursor),
        None => granted
            .into_iter()
            .try_for_each(|interest| subscription.subscribe(interest).map(|_| ())),
    };
    subscribed.map_err(|error| Rejection::new(RejectionKind::TooMany, error.to_string()))
}

/// Listens to a channel from a position on.
pub(crate) fn subscribe_after(
    subscription: &mut Subscription,
    granted: &[Interest],
    position: Position,
) -> Result<(), Rejection> {
    let mut channels = granted.iter().filter_map(|interest| match interest {
        Interest::Channel(channel) => Some(channel.clone()),
        Interest::Pattern(_) => None,
    });
    let subscribed =
        channels.try_for_each(|name| subscription.subscribe_after(name, position).map(|_| ()));
    subscribed.map_err(|error| Rejection::new(RejectionKind::TooMany, error.to_string()))
}

/// Asks the authorizer about each interest. `None` when it cannot say of one of them.
async fn review(
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    interests: Vec<Interest>,
) -> Option<Vec<Verdict>> {
    let announces_presence = shared.hub.announces_presence();
    let mut verdicts = Vec::with_capacity(interests.len());
    for interest in interests {
        let authorize = |action| shared.authorizer.try_authorize(&identity, action, &interest);
        let subscribe = !interest.is_reserved() && authorize(Action::Subscribe).await?;
        let presence = subscribe && announces_presence && authorize(Action::Presence).await?;
        verdicts.push(Verdict { interest, subscribe, presence });
    }
    Some(verdicts)
}

impl Shared {
    /// Who makes a request. What it presents counts, also when it is not valid: nobody is taken for
    /// a guest who is not one.
    pub(super) async fn identify(
        &self,
        request: &StreamRequest,
    ) -> Result<Arc<Identity>, Rejection> {
        if let Some(Secret(ticket)) = &request.ticket {
            let holder = self.tickets.redeem(ticket, std::time::Instant::now());
            let holder = holder.ok_or_else(|| {
                Rejection::invalid_token("the ticket was used before, is too old, or never was")
            });
            return holder.and_then(unexpired);
        }
        self.authenticate(self.token(request)?, Some(&request.head), None).await
    }

    /// The token that a request presents.
    pub(super) fn token<'a>(
        &self,
        request: &'a StreamRequest,
    ) -> Result<Option<&'a str>, Rejection> {
        match &request.token {
            Some(Secret(token)) => Ok(Some(token)),
            None => request.head.token(&self.config.cookie),
        }
    }

    async fn authenticate(
        &self,
        token: Option<&str>,
        head: Option<&Head>,
        previous: Option<&Identity>,
    ) -> Result<Arc<Identity>, Rejection> {
        let request = head.map(Head::as_request_head);
        let credentials = Credentials { token, request, previous };
        let identity = self.authorizer.authenticate(credentials).await;
        let refused = |refusal| Rejection::refused(refusal, self.config.retry());
        identity.map_err(refused).and_then(|identity| unexpired(Arc::new(identity)))
    }

    /// Takes a new token for a connection. Says in how long it expires, if it does.
    pub(super) async fn renew(
        &self,
        link: &Link,
        token: Option<&str>,
        head: Option<&Head>,
    ) -> Result<Option<Duration>, Rejection> {
        let previous = link.identity();
        let identity = self.authenticate(token, head, Some(&previous)).await?;
        if identity.subject != previous.subject {
            return Err(Rejection::denied("the new token is somebody else's"));
        }
        let left = expires_in(&identity);
        link.renew(identity);
        Ok(left)
    }
}

fn unexpired(identity: Arc<Identity>) -> Result<Arc<Identity>, Rejection> {
    match expires_in(&identity) {
        Some(Duration::ZERO) => Err(Rejection::expired()),
        _ => Ok(identity),
    }
}

/// In how long a token expires.
pub(super) fn expires_in(identity: &Identity) -> Option<Duration> {
    Some(identity.expires?.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests;

//! What a client has asked for and others have to be asked about: who decides, and the backplane.
//!
//! Publishing may take long, as it waits for the backplane. So it has a lane of its own: what a
//! client publishes is published in its order, and holds up nothing else that it asks for.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::control::Since;
use super::reply;
use crate::access::{Action, Identity};
use crate::endpoint::Shared;
use crate::endpoint::link::Link;
use crate::endpoint::request::Secret;
use crate::endpoint::session::Verdict;
use crate::hub::backplane::Unavailable;
use crate::hub::{ChannelName, History, Hub, Interest, Message, Offset, PublishError};

/// How many publications of a client may wait for the one before.
const MAX_WAITING: usize = 64;

/// And how many bytes of data. Whether they may be published at all is found out one by one.
const MAX_WAITING_BYTES: usize = 128 * 1024;

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What came of it.
pub(super) enum Done {
    /// The client is told so, if it wants to know.
    Told(Option<String>),
    /// What is wanted may be subscribed to, or not.
    Judged(Judged),
}

pub(super) struct Judged {
    pub(super) id: Option<u64>,
    pub(super) since: Since,
    pub(super) verdicts: Vec<Verdict>,
    /// What the session has been through when the judge was asked.
    pub(super) era: u32,
}

/// The lanes of one client.
#[derive(Default)]
pub(super) struct Lanes {
    first: Option<Work<Done>>,
    publishing: Option<Work<Option<String>>>,
    waiting: VecDeque<Publish>,
}

pub(super) struct Publish {
    pub(super) id: Option<u64>,
    pub(super) channel: ChannelName,
    pub(super) message: Message,
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Arc<Identity>,
}

impl Lanes {
    /// Whether more may be begun.
    pub(super) fn are_free(&self) -> bool {
        let bytes: usize = self.waiting.iter().map(|publish| publish.message.len()).sum();
        self.first.is_none() && self.waiting.len() < MAX_WAITING && bytes < MAX_WAITING_BYTES
    }

    pub(super) fn are_empty(&self) -> bool {
        self.first.is_none() && self.publishing.is_none()
    }

    /// Begins something while [`are_free`](Self::are_free).
    pub(super) fn begin(&mut self, work: impl Future<Output = Done> + Send + 'static) {
        self.first = Some(Box::pin(work));
    }

    pub(super) fn publish(&mut self, publish: Publish) {
        self.waiting.push_back(publish);
    }

    /// The next thing that is done. If there is none, the task is woken when there is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        if let Some(first) = &mut self.first
            && let Poll::Ready(done) = first.as_mut().poll(cx)
        {
            self.first = None;
            return Poll::Ready(done);
        }
        if self.publishing.is_none() {
            self.publishing =
                self.waiting.pop_front().map(|publish| Box::pin(publish.run()) as Work<_>);
            if self.waiting.is_empty() {
                self.waiting = VecDeque::new();
            }
        }
        if let Some(publishing) = &mut self.publishing
            && let Poll::Ready(told) = publishing.as_mut().poll(cx)
        {
            self.publishing = None;
            return Poll::Ready(Done::Told(told));
        }
        Poll::Pending
    }
}

impl Publish {
    async fn run(self) -> Option<String> {
        let Publish { id, channel, message, shared, identity } = self;
        let may = may(&shared, &identity, Action::Publish, id, &channel).await;
        if let Err(refused) = may {
            return Some(refused);
        }
        match shared.hub.publish(&channel, message).await {
            Ok(published) => Some(reply::published(id?, &channel, published)),
            Err(error) => {
                let is_too_large = matches!(error, PublishError::TooLarge { .. });
                let code = if is_too_large { "too_large" } else { "unavailable" };
                Some(reply::error(id, Some(channel.as_str()), code, &error.to_string()))
            }
        }
    }
}

/// Reads a page of a channel's history: what comes after an offset, or else the newest.
pub(super) async fn history(
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    id: Option<u64>,
    channel: ChannelName,
    after: Option<Offset>,
    limit: usize,
) -> Done {
    let may = may(&shared, &identity, Action::History, id, &channel).await;
    if let Err(refused) = may {
        return Done::Told(Some(refused));
    }
    Done::Told(match load_history(&shared.hub, &channel, after, limit).await {
        Ok(Some(history)) => id.map(|id| reply::history(id, &channel, &history, limit)),
        Ok(None) => {
            let message = "nothing was published on this channel lately";
            Some(reply::error(id, Some(channel.as_str()), "not_found", message))
        }
        Err(error) => {
            Some(reply::error(id, Some(channel.as_str()), "unavailable", &error.to_string()))
        }
    })
}

async fn load_history(
    hub: &Hub,
    channel: &ChannelName,
    after: Option<Offset>,
    limit: usize,
) -> Result<Option<History>, Unavailable> {
    let after = match after {
        Some(after) => after,
        None => {
            let top = hub.load_position(channel).await?.map_or(0, |position| position.offset);
            top.saturating_sub(limit as Offset)
        }
    };
    hub.load_history(channel, after).await
}

/// Finds out who is on a channel.
pub(super) async fn presence(
    shared: Arc<Shared>,
    identity: Arc<Identity>,
    id: Option<u64>,
    channel: ChannelName,
) -> Done {
    let may = may(&shared, &identity, Action::Presence, id, &channel).await;
    if let Err(refused) = may {
        return Done::Told(Some(refused));
    }
    Done::Told(id.map(|id| reply::presence(id, &channel, &shared.hub.presence(&channel))))
}

/// Takes a new token.
pub(super) async fn renew(
    shared: Arc<Shared>,
    link: Arc<Link>,
    id: Option<u64>,
    Secret(token): Secret,
) -> Done {
    Done::Told(match shared.renew(&link, Some(&token), None).await {
        Ok(_) => id.map(reply::done),
        Err(rejection) => Some(reply::rejected(id, &rejection)),
    })
}

/// Whether the client may do that. `Err` is what it is told if not.
async fn may(
    shared: &Shared,
    identity: &Identity,
    action: Action,
    id: Option<u64>,
    channel: &ChannelName,
) -> Result<(), String> {
    let interest = Interest::Channel(channel.clone());
    let channel = Some(channel.as_str());
    let allowed = match interest.is_reserved() {
        true => Some(false),
        false => shared.authorizer.try_authorize(identity, action, &interest).await,
    };
    match allowed {
        Some(true) => Ok(()),
        Some(false) => {
            Err(reply::error(id, channel, "denied", "this is not granted on this channel"))
        }
        None => Err(reply::unavailable(id, channel)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;

    #[test]
    fn what_waits_to_be_published_is_bounded_in_bytes() {
        let endpoint = Endpoint::builder(Hub::new()).build();
        let mut lanes = Lanes::default();
        while lanes.are_free() {
            assert!(lanes.waiting.len() < 3);
            lanes.publish(Publish {
                id: None,
                channel: "a".parse().unwrap(),
                message: Message::new(vec![0; 60 * 1024]),
                shared: endpoint.shared.clone(),
                identity: Arc::default(),
            });
        }
    }
}

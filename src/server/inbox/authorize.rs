//! Asking the host who may do what on a hub that is mounted on its server.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Inbox, TakeError};
use crate::access::{
    Action, Answer, Authorizer, Credentials, Identity, Refusal, RefusalKind, RequestHead,
};
use crate::hub::Interest;

/// What the host is asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Whether a client may connect.
    Connect {
        token: Option<String>,
        /// None for a client that is connected and presents a new token.
        request: Option<Box<Head>>,
        previous: Option<Identity>,
    },
    /// Whether it may do something on a channel, or on all channels of a pattern.
    Act { identity: Identity, action: Action, interest: Interest },
}

/// The beginning of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<IpAddr>,
}

/// What the host says.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Of a client that connects: who it is.
    Allowed(Identity),
    Refused(RefusalKind),
}

/// A question in the hands of the host, which answers it once. Dropped without an answer, it is one
/// that nobody has answered.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) asked: Asked,
    answer: Mutex<Option<oneshot::Sender<Verdict>>>,
}

/// Why a question cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    Answered,
    /// The client has gone, or was refused because the answer took too long.
    Late,
}

impl Question {
    pub(crate) fn answer(&self, verdict: Verdict) -> Result<(), Unasked> {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
        answer.ok_or(Unasked::Answered)?.send(verdict).map_err(|_| Unasked::Late)
    }

    /// Whether somebody still waits for the answer.
    pub(super) fn is_open(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }
}

/// Asks the host.
#[derive(Debug)]
pub(crate) struct AskHost {
    /// The inbox holds on to what asks.
    pub(crate) inbox: Weak<Inbox>,
    /// How long the host may take.
    pub(crate) timeout: Duration,
}

impl AskHost {
    /// `None` when the host does not say.
    async fn ask(&self, asked: Asked) -> Option<Verdict> {
        let (sender, answer) = oneshot::channel();
        let question = Question { asked, answer: Mutex::new(Some(sender)) };
        self.inbox.upgrade()?.ask(Box::new(question));
        tokio::time::timeout(self.timeout, answer).await.ok()?.ok()
    }
}

impl Authorizer for AskHost {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        let head = |RequestHead { uri, headers, peer }: RequestHead<'_>| Head {
            uri: uri.clone(),
            headers: headers.clone(),
            peer,
        };
        let asked = Asked::Connect {
            token: credentials.token.map(str::to_owned),
            request: credentials.request.map(|request| Box::new(head(request))),
            previous: credentials.previous.cloned(),
        };
        Box::pin(async move {
            match self.ask(asked).await {
                Some(Verdict::Allowed(identity)) => Ok(identity),
                Some(Verdict::Refused(kind)) => Err(Refusal::new(kind, reason(kind))),
                None => {
                    Err(Refusal::new(RefusalKind::Unavailable, reason(RefusalKind::Unavailable)))
                }
            }
        })
    }

    fn authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, bool> {
        let answer = self.try_authorize(identity, action, interest);
        Box::pin(async move { answer.await == Some(true) })
    }

    fn try_authorize<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        interest: &'a Interest,
    ) -> Answer<'a, Option<bool>> {
        if interest.is_reserved() {
            return Box::pin(std::future::ready(Some(false)));
        }
        let (identity, interest) = (identity.clone(), interest.clone());
        let asked = Asked::Act { identity, action, interest };
        Box::pin(async move {
            match self.ask(asked).await? {
                Verdict::Allowed(_) => Some(true),
                Verdict::Refused(RefusalKind::Unavailable) => None,
                Verdict::Refused(_) => Some(false),
            }
        })
    }
}

/// What the client is told.
fn reason(kind: RefusalKind) -> &'static str {
    match kind {
        RefusalKind::Missing => "a token is needed",
        RefusalKind::Invalid => "the token is not valid",
        RefusalKind::Expired => "the token has expired",
        RefusalKind::Revoked => "the token was revoked",
        RefusalKind::Denied => "this client may not connect",
        RefusalKind::Unavailable => "there is nobody to ask just now",
    }
}

/// Whom a client is let in as.
pub(crate) fn identity(
    subject: Option<&str>,
    info: &[u8],
    expires_in: Option<Duration>,
    tag: u64,
) -> Identity {
    Identity {
        subject: subject.map(Into::into),
        info: Bytes::copy_from_slice(info),
        expires: expires_in.and_then(|left| SystemTime::now().checked_add(left)),
        tag,
        ..Identity::default()
    }
}

impl Inbox {
    /// Hands a question to the host, unless it has too many: then it is dropped.
    fn ask(&self, question: Box<Question>) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.questions.len() >= self.capacity {
            state.questions.retain(|question| question.is_open());
            if state.questions.len() >= self.capacity {
                return;
            }
        }
        state.questions.push_back(question);
        state.level();
        if state.authorizers > 0 {
            self.asked.notify_one();
        }
        self.wake_sleeper(state);
    }

    /// The next question that somebody still waits for the answer of; blocks the thread until there
    /// is one. `None` waits for ever.
    pub(crate) fn take_question(
        &self,
        timeout: Option<Duration>,
    ) -> Result<Box<Question>, TakeError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(TakeError::Closed);
            }
            while let Some(question) = state.questions.pop_front() {
                state.level();
                if question.is_open() {
                    return Ok(question);
                }
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(TakeError::Timeout);
            }
            state.authorizers += 1;
            state = match left {
                None => self.asked.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.asked.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.authorizers -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_the_host_refuses_is_refused() {
        let window = Duration::from_secs(1)..=Duration::from_secs(2);
        let inbox = Inbox::new(10, Duration::MAX, window);
        let host = AskHost { inbox: Arc::downgrade(&inbox), timeout: Duration::from_secs(5) };
        let client = Identity::default();
        let interest: Interest = "a".parse().unwrap();
        let answered = async |verdict: Option<Verdict>| {
            let answer = async {
                let question = inbox.take_question(Some(Duration::ZERO)).unwrap();
                if let Some(verdict) = verdict {
                    question.answer(verdict).unwrap();
                }
            };
            tokio::join!(host.try_authorize(&client, Action::Subscribe, &interest), answer).0
        };
        assert_eq!(answered(Some(Verdict::Allowed(client.clone()))).await, Some(true));
        assert_eq!(answered(Some(Verdict::Refused(RefusalKind::Denied))).await, Some(false));
        assert_eq!(answered(Some(Verdict::Refused(RefusalKind::Unavailable))).await, None);
        assert_eq!(answered(None).await, None);
        // Nobody takes it.
        assert_eq!(host.try_authorize(&client, Action::Subscribe, &interest).await, None);
        assert!(!host.authorize(&client, Action::Subscribe, &interest).await);
    }
}

//! A revocation, and how nodes tell each other of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::access::Identity;
use crate::hub::Interest;

/// What does not hold any more, although a token says so.
///
/// ```
/// use lithe::access::Revocation;
///
/// // One token, by its number (`jti`).
/// let stolen = Revocation::token("0b6c1a");
/// // All that alice has got until now.
/// let logged_out = Revocation::subject("alice");
/// // What others may go on to use.
/// let expelled = Revocation::channel("rooms.42".parse()?).only_of("alice");
/// # Ok::<(), lithe::hub::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Revocation {
    pub(super) what: What,
    /// Tokens that were issued from then on are not meant.
    pub(super) before: SystemTime,
    pub(super) until: Option<SystemTime>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Token(Box<str>),
    Subject(Box<str>),
    Channel { interest: Interest, subject: Option<Box<str>> },
}

impl Revocation {
    /// One token, by its number ([`Identity::token_id`], `jti`).
    pub fn token(id: impl Into<Box<str>>) -> Self {
        Revocation::now(What::Token(id.into()))
    }

    /// All tokens of one subject that were issued until now.
    pub fn subject(name: impl Into<Box<str>>) -> Self {
        Revocation::now(What::Subject(name.into()))
    }

    /// A channel, or all channels of a pattern, in all tokens that were issued until now, and for
    /// guests.
    pub fn channel(interest: Interest) -> Self {
        Revocation::now(What::Channel { interest, subject: None })
    }

    fn now(what: What) -> Self {
        Revocation { what, before: SystemTime::now(), until: None }
    }

    /// Of a channel: only in the tokens of that subject.
    pub fn only_of(mut self, name: impl Into<Box<str>>) -> Self {
        if let What::Channel { subject, .. } = &mut self.what {
            *subject = Some(name.into());
        }
        self
    }

    /// Tokens that were issued earlier are meant, instead of those until now. One without a time of
    /// issue (`iat`) counts as earlier. Not for a single [token](Self::token), which is meant
    /// whenever it was issued.
    ///
    /// The times of tokens are in seconds: one that is issued in the very second counts as earlier.
    pub fn issued_before(mut self, time: SystemTime) -> Self {
        self.before = time;
        self
    }

    /// When the last of these tokens has expired, so that the revocation can be forgotten. Unless
    /// set, after the longest time that a token may live
    /// ([`Builder::longest_token`](super::Builder::longest_token)).
    pub fn until(mut self, time: SystemTime) -> Self {
        self.until = Some(time);
        self
    }

    /// As others get to know it, and with an end.
    pub(super) fn in_millis(mut self, until: SystemTime) -> Self {
        let rounded = |time| UNIX_EPOCH + Duration::from_millis(millis(time));
        self.before = rounded(self.before);
        self.until = Some(rounded(self.until.unwrap_or(until)));
        self
    }

    /// Whether a client does not have any more what its token says of that channel or pattern, or
    /// what it says at all.
    pub(super) fn hits(&self, identity: &Identity, asked: Option<&Interest>) -> bool {
        let is = |name: &str| identity.subject.as_deref() == Some(name);
        match &self.what {
            What::Token(id) => identity.token_id.as_ref() == Some(id),
            What::Subject(name) => is(name) && self.is_earlier(identity),
            What::Channel { interest, subject } => {
                asked.is_some_and(|asked| asked.overlaps(interest))
                    && subject.as_deref().is_none_or(is)
                    && self.is_earlier(identity)
            }
        }
    }

    fn is_earlier(&self, identity: &Identity) -> bool {
        identity.issued.is_none_or(|issued| issued < self.before)
    }
}

/// What is published of a revocation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) revocation: Revocation,
    /// Until when earlier ones are in force: a node that cannot read those any more has to know
    /// whether it needs them.
    pub(super) earlier_until: SystemTime,
}

impl Notice {
    pub(super) fn to_json(&self) -> String {
        let Revocation { what, before, until } = &self.revocation;
        let mut notice = match what {
            What::Token(id) => json!({ "token": id }),
            What::Subject(name) => json!({ "subject": name }),
            What::Channel { interest, subject: None } => json!({ "channel": interest.as_str() }),
            What::Channel { interest, subject } => {
                json!({ "channel": interest.as_str(), "subject": subject })
            }
        };
        notice["before"] = millis(*before).into();
        notice["until"] = millis(until.unwrap_or(UNIX_EPOCH)).into();
        notice["earlier_until"] = millis(self.earlier_until).into();
        notice.to_string()
    }

    /// `None`: another version of the library may have written it.
    pub(super) fn from_json(text: &[u8]) -> Option<Self> {
        let notice: Value = serde_json::from_slice(text).ok()?;
        let text = |name: &str| notice.get(name).map(|value| value.as_str().map(Box::from));
        let time =
            |name: &str| UNIX_EPOCH.checked_add(Duration::from_millis(notice.get(name)?.as_u64()?));
        let what = match (text("token"), text("channel"), text("subject")) {
            (Some(id), None, None) => What::Token(id?),
            (None, Some(channel), subject) => {
                let channel: Box<str> = channel?;
                let interest = channel.parse().ok()?;
                What::Channel { interest, subject: subject.map_or(Some(None), |s| s.map(Some))? }
            }
            (None, None, Some(name)) => What::Subject(name?),
            _ => return None,
        };
        let revocation = Revocation { what, before: time("before")?, until: Some(time("until")?) };
        Some(Notice { revocation, earlier_until: time("earlier_until")? })
    }
}

fn millis(time: SystemTime) -> u64 {
    // Rounded up: never forgotten too early, and no token taken for a later one.
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read_as_they_are_written() {
        let at = UNIX_EPOCH + Duration::from_millis(1_795_000_000_123);
        for revocation in [
            Revocation::token("a\"b"),
            Revocation::subject("alice"),
            Revocation::channel("rooms.**".parse().unwrap()),
            Revocation::channel("rooms.42".parse().unwrap()).only_of("alice"),
        ] {
            let revocation = revocation.issued_before(at).until(at + Duration::from_secs(1));
            let notice = Notice { revocation, earlier_until: at };
            assert_eq!(Notice::from_json(notice.to_json().as_bytes()), Some(notice));
        }
    }

    #[test]
    fn what_is_not_understood_is_no_notice() {
        let times = r#""before":1,"until":2,"earlier_until":0"#;
        for text in [
            "",
            "{}",
            r#"{"token":"a"}"#,
            &format!("{{{times}}}"),
            &format!(r#"{{"token":7,{times}}}"#),
            &format!(r#"{{"token":"a","subject":"b",{times}}}"#),
            &format!(r#"{{"channel":"a..b",{times}}}"#),
            &format!(r#"{{"channel":"a","subject":7,{times}}}"#),
            r#"{"token":"a","before":-1,"until":2,"earlier_until":0}"#,
        ] {
            assert_eq!(Notice::from_json(text.as_bytes()), None, "{text}");
        }
    }
}

//! What a node knows of revocations.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::notice::{Revocation, What};
use crate::access::Identity;
use crate::hub::Interest;

/// How many revocations of tokens and subjects are remembered at a time.
pub const MAX_REVOCATIONS: usize = 100_000;
/// How many of channels: each is looked at for each question.
pub const MAX_CHANNEL_REVOCATIONS: usize = 1000;

#[derive(Debug)]
pub(super) struct Ledger {
    tokens: HashMap<Box<str>, Revocation>,
    subjects: HashMap<Box<str>, Revocation>,
    channels: Vec<Revocation>,
    /// How long tokens live, at most.
    longest: Duration,
    /// Some of what was revoked before then is not known.
    unknown_before: Option<SystemTime>,
    /// Whether all was read that there is to be read.
    is_loaded: bool,
}

/// Why a client is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Revoked,
    /// It may have been revoked, and nobody knows.
    TooOld,
    /// It would outlive its revocation.
    TooLong,
    /// What was revoked is not known yet.
    NotLoaded,
}

/// There is no room for more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Ledger {
    pub(super) fn new(longest: Duration) -> Self {
        Ledger {
            tokens: HashMap::new(),
            subjects: HashMap::new(),
            channels: Vec::new(),
            longest,
            unknown_before: None,
            is_loaded: false,
        }
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    pub(super) fn set_loaded(&mut self, is_loaded: bool) {
        self.is_loaded = is_loaded;
    }

    /// Takes in a revocation that has its `until`.
    pub(super) fn insert(&mut self, new: Revocation, now: SystemTime) -> Result<(), Full> {
        if new.until.is_none_or(|until| until <= now) {
            return Ok(());
        }
        if self.is_full(&new) {
            self.forget(now);
            if self.is_full(&new) {
                return Err(Full);
            }
        }
        match &new.what {
            What::Token(id) => join(self.tokens.entry(id.clone()).or_insert(new.clone()), &new),
            What::Subject(name) => {
                join(self.subjects.entry(name.clone()).or_insert(new.clone()), &new);
            }
            What::Channel { .. } => {
                match self.channels.iter_mut().find(|known| known.what == new.what) {
                    Some(known) => join(known, &new),
                    None => self.channels.push(new),
                }
            }
        }
        Ok(())
    }

    fn is_full(&self, new: &Revocation) -> bool {
        match new.what {
            What::Channel { .. } => self.channels.len() >= MAX_CHANNEL_REVOCATIONS,
            _ => self.tokens.len() + self.subjects.len() >= MAX_REVOCATIONS,
        }
    }

    /// Drops what is over.
    fn forget(&mut self, now: SystemTime) {
        let holds = |known: &Revocation| known.until.is_some_and(|until| until > now);
        self.tokens.retain(|_, known| holds(known));
        self.subjects.retain(|_, known| holds(known));
        self.channels.retain(holds);
    }

    /// Believes no token from before then.
    pub(super) fn distrust(&mut self, before: SystemTime) {
        self.unknown_before = self.unknown_before.max(Some(before));
    }

    /// When the last token has expired that is not believed as nobody knows.
    fn unknown_until(&self) -> Option<SystemTime> {
        self.unknown_before.map(|before| before.checked_add(self.longest).unwrap_or(before))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Revocation> {
        self.tokens.values().chain(self.subjects.values()).chain(&self.channels)
    }

    /// When the last of them is over.
    pub(super) fn until(&self) -> SystemTime {
        let last = self.all().filter_map(|known| known.until).max();
        let unknown = self.unknown_until();
        last.max(unknown).unwrap_or(UNIX_EPOCH)
    }

    /// What there is against a client, or against what it asks for.
    pub(super) fn verdict(
        &self,
        identity: &Identity,
        asked: Option<&Interest>,
        now: SystemTime,
    ) -> Option<Verdict> {
        if !self.is_loaded {
            return Some(Verdict::NotLoaded);
        }
        let of_token = identity.token_id.as_ref().and_then(|id| self.tokens.get(id));
        let of_subject = identity.subject.as_ref().and_then(|name| self.subjects.get(name));
        let mut known = of_token.into_iter().chain(of_subject).chain(&self.channels);
        let holds = |known: &&Revocation| known.until.is_some_and(|until| until > now);
        if known.any(|known| holds(&known) && known.hits(identity, asked)) {
            return Some(Verdict::Revoked);
        }
        // A token that names nobody is still one.
        let is_guest = identity.subject.is_none()
            && identity.token_id.is_none()
            && identity.issued.is_none()
            && identity.expires.is_none();
        if is_guest {
            return None;
        }
        if let Some(before) = self.unknown_before
            && self.unknown_until() > Some(now)
            && identity.issued.is_none_or(|issued| issued < before)
        {
            return Some(Verdict::TooOld);
        }
        let outlives =
            |expires: SystemTime| expires.duration_since(now).is_ok_and(|left| left > self.longest);
        identity.expires.is_some_and(outlives).then_some(Verdict::TooLong)
    }
}

/// Makes a revocation hold for what another one of the same holds for as well.
fn join(known: &mut Revocation, other: &Revocation) {
    known.before = known.before.max(other.before);
    known.until = known.until.max(other.until);
}

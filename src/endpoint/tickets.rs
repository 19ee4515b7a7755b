//! Tickets and the names of sessions: what a client has in its hands instead of a token, where a
//! token has no place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::Identity;

/// How long a ticket is good for: a client uses it at once.
pub(crate) const TICKET_AGE: Duration = Duration::from_secs(30);
/// How many tickets one holder has at a time. Whoever gets one more makes its own oldest one void.
const MAX_EACH: usize = 32;
/// How many guests have, all together: they make only each other's void.
const MAX_GUESTS: usize = 10_000;
/// How many all others have. One more makes one of those void who have the most.
const MAX_TICKETS: usize = 10_000;

/// 128 bits that nobody can guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Nonce([u8; 16]);

impl Nonce {
    /// Draws one. `None` when the system has no randomness to give.
    pub(crate) fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(Nonce(bytes))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for Nonce {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Nonce(bytes)),
            _ => Err(()),
        }
    }
}

/// Who has tickets to lose.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// A client with a name.
    Subject(Box<str>),
    /// One without, but with a token, of which this is a hash.
    Token(u64),
    /// One with neither.
    Guest,
}

/// Tickets that were given out and not used yet, each good for one connection.
#[derive(Default)]
pub(crate) struct Tickets {
    store: Mutex<Store>,
    hasher: RandomState,
}

#[derive(Default)]
struct Store {
    tickets: HashMap<Nonce, Ticket>,
    /// From the oldest.
    by_age: BTreeMap<u64, (Instant, Nonce)>,
    by_holder: HashMap<Holder, BTreeSet<u64>>,
    /// How many were given out.
    count: u64,
}

struct Ticket {
    number: u64,
    holder: Holder,
    identity: Arc<Identity>,
}

impl Tickets {
    /// Whose tickets those are of a client that presents that token, or none.
    pub(crate) fn holder(&self, identity: &Identity, token: Option<&str>) -> Holder {
        match (&identity.subject, token) {
            (Some(subject), _) => Holder::Subject(subject.clone()),
            (None, Some(token)) => Holder::Token(self.hasher.hash_one(token)),
            (None, None) => Holder::Guest,
        }
    }

    /// A ticket for that client.
    pub(crate) fn issue(
        &self,
        holder: Holder,
        identity: Arc<Identity>,
        now: Instant,
    ) -> Option<Nonce> {
        let nonce = Nonce::random()?;
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.make_room(&holder, now);
        store.count += 1;
        let number = store.count;
        store.by_age.insert(number, (now, nonce));
        store.by_holder.entry(holder.clone()).or_default().insert(number);
        store.tickets.insert(nonce, Ticket { number, holder, identity });
        Some(nonce)
    }

    /// Who holds a ticket. It is void from here on.
    pub(crate) fn redeem(&self, ticket: &str, now: Instant) -> Option<Arc<Identity>> {
        let nonce = ticket.parse().ok()?;
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let number = store.tickets.get(&nonce)?.number;
        let (issued, identity) = store.remove(number)?;
        (now.saturating_duration_since(issued) < TICKET_AGE).then_some(identity)
    }
}

impl Store {
    /// Drops what is over, and what is too much with one more of that holder.
    fn make_room(&mut self, holder: &Holder, now: Instant) {
        while let Some((number, (issued, _))) = self.by_age.first_key_value()
            && now.saturating_duration_since(*issued) >= TICKET_AGE
        {
            let number = *number;
            self.remove(number);
        }
        let guests = self.by_holder.get(&Holder::Guest).map_or(0, BTreeSet::len);
        let own = self.by_holder.get(holder).map_or(0, BTreeSet::len);
        let max = if *holder == Holder::Guest { MAX_GUESTS } else { MAX_EACH };
        let loses = if own >= max {
            self.by_holder.get(holder)
        } else if *holder != Holder::Guest && self.tickets.len() - guests >= MAX_TICKETS {
            let others = self.by_holder.iter().filter(|(other, _)| **other != Holder::Guest);
            others.map(|(_, numbers)| numbers).max_by_key(|numbers| numbers.len())
        } else {
            None
        };
        if let Some(oldest) = loses.and_then(BTreeSet::first).copied() {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, number: u64) -> Option<(Instant, Arc<Identity>)> {
        let (issued, nonce) = self.by_age.remove(&number)?;
        let Ticket { holder, identity, .. } = self.tickets.remove(&nonce)?;
        if let Some(numbers) = self.by_holder.get_mut(&holder) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
        Some((issued, identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_once_and_not_for_long() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let holder = Arc::new(Identity::default());
        let issue = || tickets.issue(Holder::Guest, holder.clone(), now).unwrap().to_string();
        let (first, second) = (issue(), issue());
        assert!(Arc::ptr_eq(&tickets.redeem(&first, now).unwrap(), &holder));
        assert!(tickets.redeem(&first, now).is_none());
        assert!(tickets.redeem(&second, now + TICKET_AGE).is_none());
        for made_up in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(tickets.redeem(made_up, now).is_none(), "{made_up}");
        }
    }

    #[test]
    fn tickets_that_nobody_uses_do_not_pile_up() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let identity = Arc::new(Identity::default());
        let issue = |holder, now| tickets.issue(holder, identity.clone(), now).unwrap().to_string();
        let oldest = issue(Holder::Guest, now);
        for _ in 0..MAX_GUESTS {
            issue(Holder::Guest, now);
        }
        for token in 0..=MAX_TICKETS as u64 {
            issue(Holder::Token(token), now);
        }
        assert_eq!(Arc::strong_count(&identity), 1 + MAX_GUESTS + MAX_TICKETS);
        assert!(tickets.redeem(&oldest, now).is_none());
        issue(Holder::Guest, now + TICKET_AGE);
        assert_eq!(Arc::strong_count(&identity), 2);
        let store = tickets.store.lock().unwrap();
        assert_eq!((store.tickets.len(), store.by_age.len(), store.by_holder.len()), (1, 1, 1));
    }

    #[test]
    fn nobody_makes_the_tickets_of_others_void() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let identity = Arc::new(Identity::default());
        let issue = |holder| tickets.issue(holder, identity.clone(), now).unwrap().to_string();
        let alice = Holder::Subject("alice".into());
        let mallory = |n: usize| Holder::Subject(format!("mallory {n}").into());
        let (first, second) = (issue(alice.clone()), issue(Holder::Token(1)));
        for _ in 0..2 * MAX_GUESTS {
            issue(Holder::Guest);
        }
        // Also not with many names.
        for n in 0..2 * MAX_TICKETS {
            issue(mallory(n % (MAX_TICKETS / MAX_EACH)));
        }
        for ticket in [first, second] {
            assert!(tickets.redeem(&ticket, now).is_some());
        }
        let own: Vec<_> = (0..=MAX_EACH).map(|_| issue(alice.clone())).collect();
        let valid = own.iter().filter(|ticket| tickets.redeem(ticket, now).is_some());
        assert_eq!(valid.count(), MAX_EACH);
    }

    #[test]
    fn a_ticket_belongs_to_a_name_or_else_to_a_token() {
        let tickets = Tickets::default();
        let mut identity = Identity::default();
        let holder = |identity: &Identity, token| tickets.holder(identity, token);
        assert_eq!(holder(&identity, None), Holder::Guest);
        assert_ne!(holder(&identity, Some("a")), holder(&identity, Some("b")));
        identity.subject = Some("alice".into());
        assert_eq!(holder(&identity, Some("a")), holder(&identity, Some("b")));
    }

    #[test]
    fn tickets_read_as_they_are_written() {
        let ticket = Nonce::random().unwrap();
        assert!(ticket.to_string().parse() == Ok(ticket));
        assert!(ticket != Nonce::random().unwrap());
    }
}

//! Tickets and the names of sessions: what a client has in its hands instead of a token, where a
//! token has no place.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::access::Identity;

/// How long a ticket is good for: a client uses it at once.
pub(crate) const TICKET_AGE: Duration = Duration::from_secs(30);
/// How many tickets there are at a time. Whoever gets one more makes the oldest one void.
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

/// Tickets that were given out and not used yet, each good for one connection.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<Store>);

#[derive(Default)]
struct Store {
    holders: HashMap<Nonce, (Instant, Arc<Identity>)>,
    /// From the oldest; also those that were used.
    order: VecDeque<Nonce>,
}

impl Tickets {
    /// A ticket for that client.
    pub(crate) fn issue(&self, holder: Arc<Identity>, now: Instant) -> Option<Nonce> {
        let ticket = Nonce::random()?;
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(oldest) = store.order.front().copied() {
            let is_over = match store.holders.get(&oldest) {
                Some((issued, _)) => now.saturating_duration_since(*issued) >= TICKET_AGE,
                None => true,
            };
            if !is_over && store.order.len() < MAX_TICKETS {
                break;
            }
            store.holders.remove(&oldest);
            store.order.pop_front();
        }
        store.holders.insert(ticket, (now, holder));
        store.order.push_back(ticket);
        Some(ticket)
    }

    /// Who holds a ticket. It is void from here on.
    pub(crate) fn redeem(&self, ticket: &str, now: Instant) -> Option<Arc<Identity>> {
        let ticket = ticket.parse().ok()?;
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (issued, holder) = store.holders.remove(&ticket)?;
        (now.saturating_duration_since(issued) < TICKET_AGE).then_some(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_once_and_not_for_long() {
        let (tickets, now) = (Tickets::default(), Instant::now());
        let holder = Arc::new(Identity::default());
        let issue = || tickets.issue(holder.clone(), now).unwrap().to_string();
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
        let holder = Arc::new(Identity::default());
        let oldest = tickets.issue(holder.clone(), now).unwrap().to_string();
        for _ in 0..MAX_TICKETS {
            tickets.issue(holder.clone(), now).unwrap();
        }
        assert_eq!(Arc::strong_count(&holder), 1 + MAX_TICKETS);
        assert!(tickets.redeem(&oldest, now).is_none());
        tickets.issue(holder.clone(), now + TICKET_AGE).unwrap();
        assert_eq!(Arc::strong_count(&holder), 2);
    }

    #[test]
    fn tickets_read_as_they_are_written() {
        let ticket = Nonce::random().unwrap();
        assert!(ticket.to_string().parse() == Ok(ticket));
        assert!(ticket != Nonce::random().unwrap());
    }
}

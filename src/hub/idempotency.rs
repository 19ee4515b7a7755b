use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Position;

/// What became of the messages with an idempotency key, for so many keys and so long.
#[derive(Debug, Default)]
pub(super) struct Seen {
    results: HashMap<Box<str>, Position>,
    order: VecDeque<(Instant, Box<str>)>,
    bytes: usize,
}

/// What a key takes besides its two copies.
const OVERHEAD: usize = 96;

impl Seen {
    /// The position of the first message with that key.
    pub(super) fn get(&mut self, key: &str, age: Duration, now: Instant) -> Option<Position> {
        while let Some((at, _)) = self.order.front()
            && now.saturating_duration_since(*at) >= age
        {
            self.forget_oldest();
        }
        self.results.get(key).copied()
    }

    /// Remembers a key that was not there. The oldest makes room for it.
    pub(super) fn insert(&mut self, key: Box<str>, position: Position, size: usize, now: Instant) {
        if size == 0 {
            return;
        }
        while self.order.len() >= size {
            self.forget_oldest();
        }
        self.bytes += OVERHEAD + 2 * key.len();
        self.order.push_back((now, key.clone()));
        self.results.insert(key, position);
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.bytes -= OVERHEAD + 2 * key.len();
            self.results.remove(&key);
        }
    }

    /// About how much memory this takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Epoch;

    #[test]
    fn keys_are_forgotten_by_age_and_by_number() {
        let position = |offset| Position { epoch: Epoch::new(1).unwrap(), offset };
        let age = Duration::from_secs(10);
        let start = Instant::now();
        let mut seen = Seen::default();
        for (offset, key) in ["a", "b", "c"].into_iter().enumerate() {
            let at = start + Duration::from_secs(offset as u64);
            seen.insert(key.into(), position(offset as u64), 2, at);
        }
        assert_eq!(seen.get("a", age, start), None);
        assert_eq!(seen.get("b", age, start), Some(position(1)));
        let later = start + Duration::from_secs(11);
        assert_eq!(seen.get("b", age, later), None);
        assert_eq!(seen.get("c", age, later), Some(position(2)));
        assert_eq!((seen.results.len(), seen.order.len()), (1, 1));
        let much_later = later + age;
        assert_eq!(seen.get("c", age, much_later), None);
        assert_eq!(seen.bytes(), 0);
    }
}

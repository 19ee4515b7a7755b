use std::fmt;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What time it is for a hub. Programs have no need of another than [`SystemClock`]; tests have.
pub trait Clock: fmt::Debug + Send + Sync {
    /// For how long things are kept and delayed. Never goes back.
    fn now(&self) -> Instant;

    /// For the time that publications carry: milliseconds since 1970.
    fn unix_millis(&self) -> u64;
}

/// The time of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn unix_millis(&self) -> u64 {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that is moved by hand.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct ManualClock {
    start: Instant,
    elapsed: std::sync::Mutex<std::time::Duration>,
}

#[cfg(test)]
impl ManualClock {
    pub(super) fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(ManualClock { start: Instant::now(), elapsed: Default::default() })
    }

    pub(super) fn advance(&self, by: std::time::Duration) {
        *self.elapsed.lock().unwrap() += by;
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.start + *self.elapsed.lock().unwrap()
    }

    fn unix_millis(&self) -> u64 {
        self.elapsed.lock().unwrap().as_millis() as u64
    }
}

use std::sync::atomic::{AtomicIsize, Ordering};

/// The bytes that a hub may keep, and those that it keeps.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    /// May be below zero for a moment: what one thread is about to charge, another may have released.
    used: AtomicIsize,
}

impl Budget {
    pub(super) fn new(limit: usize) -> Self {
        Budget { limit, used: AtomicIsize::new(0) }
    }

    pub(super) fn charge(&self, bytes: usize) {
        self.used.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.used.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> usize {
        usize::try_from(self.used.load(Ordering::Relaxed)).unwrap_or(0)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    /// Whether so much was given back that the next publication will not exceed it again.
    pub(super) fn has_room(&self) -> bool {
        self.used() <= self.limit - self.limit / 64
    }
}

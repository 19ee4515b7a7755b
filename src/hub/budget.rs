use crate::sync::Arc;
use crate::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// Among the bytes charged: they were given back.
const RELEASED: usize = usize::MAX;

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

/// What a budget is charged for one thing, until it is given back, once for all.
pub(super) struct Charge {
    bytes: AtomicUsize,
    budget: Arc<Budget>,
}

impl Charge {
    pub(super) fn new(bytes: usize, budget: Arc<Budget>) -> Self {
        budget.charge(bytes);
        Charge { bytes: AtomicUsize::new(bytes), budget }
    }

    /// Charges for more, unless all was given back.
    pub(super) fn add(&self, bytes: usize) {
        let more = |charged: usize| (charged != RELEASED).then(|| charged + bytes);
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok() {
            self.budget.charge(bytes);
        }
    }

    pub(super) fn release(&self) {
        let charged = self.bytes.swap(RELEASED, Ordering::Relaxed);
        if charged != RELEASED {
            self.budget.release(charged);
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}

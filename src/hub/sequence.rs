use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers all publications of a hub, across its channels: one number says how far somebody has got
/// in however many channels there are.
///
/// A log draws the number under the lock of its channel. So whoever looks at the
/// [last](Self::last) one first, and at a channel after that, finds there all that has a number up
/// to it.
#[derive(Default)]
pub(super) struct Sequence(AtomicU64);

impl Sequence {
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The greatest number that was drawn.
    pub(super) fn last(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

//! A histogram that is cheap to add to.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts durations by `N` upper bounds, and those above all of them.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    bounds: &'static [f64; N],
    buckets: [AtomicU64; N],
    above: AtomicU64,
    nanoseconds: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: &'static [f64; N]) -> Self {
        Histogram {
            bounds,
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            above: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets.get(index).unwrap_or(&self.above).fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Adds the present counts to a snapshot.
    pub(super) fn add_to(&self, snapshot: &mut HistogramSnapshot) {
        if snapshot.buckets.is_empty() {
            let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
            snapshot.buckets = bounds.map(|bound| (bound, 0)).collect();
        }
        let counts = self.buckets.iter().chain([&self.above]);
        for ((_, sum), count) in snapshot.buckets.iter_mut().zip(counts) {
            let count = count.load(Relaxed);
            *sum += count;
            snapshot.count += count;
        }
        snapshot.sum += Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64();
    }
}

/// The counts of a histogram at one time.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct HistogramSnapshot {
    /// The upper bound of each bucket in seconds, the last being infinite, and how many values
    /// are in it, those of lower buckets not counted.
    pub buckets: Vec<(f64, u64)>,
    /// How many values there are in all.
    pub count: u64,
    /// The sum of all values, in seconds.
    pub sum: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_for_the_first_bound_that_it_does_not_exceed() {
        static BOUNDS: [f64; 2] = [0.5, 2.0];
        let histogram = Histogram::new(&BOUNDS);
        for seconds in [0.25, 0.5, 1.0, 8.0] {
            histogram.observe(Duration::from_secs_f64(seconds));
        }
        let mut snapshot = HistogramSnapshot::default();
        histogram.add_to(&mut snapshot);
        assert_eq!(snapshot.buckets, [(0.5, 2), (2.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((snapshot.count, snapshot.sum), (4, 9.75));
    }
}

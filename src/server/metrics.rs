//! What a server counts.

mod histogram;
mod snapshot;
mod text;

pub use histogram::HistogramSnapshot;
pub use snapshot::{KindMetrics, Metrics};

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;

use self::histogram::Histogram;
use super::limits::{Limit, Verdict};
use crate::transport::{Kind, Traffic};

pub(super) use text::{CONTENT_TYPE, encode};

/// All kinds of connections, with their names in the metrics.
pub(super) const KINDS: [(Kind, &str); 4] = [
    (Kind::Http, "http"),
    (Kind::Sse, "sse"),
    (Kind::WebSocket, "websocket"),
    (Kind::LongPoll, "long_poll"),
];

/// The lowest status code of HTTP, and how many there are.
const STATUS: (u16, usize) = (100, 900);

/// The counters of one worker.
#[derive(Debug)]
pub(super) struct Stats {
    traffic: [Traffic; KINDS.len()],
    lifetimes: [Histogram<LIFETIMES>; KINDS.len()],
    answers: Box<[AtomicU64]>,
    answer_times: Histogram<ANSWER_TIMES>,
    limits: [AtomicU64; Limit::COUNT],
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    panics: AtomicU64,
    drained: AtomicU64,
    cut: AtomicU64,
}

const ANSWER_TIMES: usize = 12;
/// Bounds in seconds, of the time from the head of a request to that of its response.
const ANSWER_BOUNDS: [f64; ANSWER_TIMES] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

const LIFETIMES: usize = 8;
/// Bounds in seconds, of the time that a connection has been of its kind.
const LIFETIME_BOUNDS: [f64; LIFETIMES] =
    [0.1, 1.0, 10.0, 60.0, 600.0, 3_600.0, 21_600.0, 86_400.0];

impl Default for Stats {
    fn default() -> Self {
        Stats {
            traffic: Default::default(),
            lifetimes: std::array::from_fn(|_| Histogram::new(&LIFETIME_BOUNDS)),
            answers: (0..STATUS.1).map(|_| AtomicU64::new(0)).collect(),
            answer_times: Histogram::new(&ANSWER_BOUNDS),
            limits: std::array::from_fn(|_| AtomicU64::new(0)),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            cut: AtomicU64::new(0),
        }
    }
}

impl Stats {
    pub(super) fn traffic(&self, kind: Kind) -> &Traffic {
        &self.traffic[kind as usize]
    }

    pub(super) fn accepted(&self, verdict: Verdict) {
        self.accepted.fetch_add(1, Relaxed);
        if let Verdict::Refuse(limit) | Verdict::Close(limit) = verdict {
            self.refused.fetch_add(1, Relaxed);
            self.limit_hit(limit);
        }
    }

    pub(super) fn accept_failed(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    pub(super) fn limit_hit(&self, limit: Limit) {
        self.limits[limit as usize].fetch_add(1, Relaxed);
    }

    /// Counts a request that came in.
    pub(super) fn asked(&self) {
        self.traffic(Kind::Http).received(1, 0);
    }

    /// Counts the response to a request.
    pub(super) fn answered(&self, status: StatusCode, after: Duration) {
        self.traffic(Kind::Http).queued(1);
        let index = usize::from(status.as_u16().saturating_sub(STATUS.0));
        if let Some(count) = self.answers.get(index) {
            count.fetch_add(1, Relaxed);
        }
        self.answer_times.observe(after);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// Counts a connection that was of that kind for so long.
    pub(super) fn lived(&self, kind: Kind, time: Duration) {
        self.lifetimes[kind as usize].observe(time);
    }

    pub(super) fn drained(&self, drained: usize, cut: usize) {
        self.drained.fetch_add(drained as u64, Relaxed);
        self.cut.fetch_add(cut as u64, Relaxed);
    }
}

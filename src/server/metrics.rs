//! What a server counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;

use super::limits::{Limit, Verdict};
use crate::transport::{Kind, Traffic};

/// The counters of one worker.
#[derive(Debug, Default)]
pub(super) struct Stats {
    traffic: [Traffic; 3],
    limits: [AtomicU64; Limit::COUNT],
    accepted: AtomicU64,
    refused: AtomicU64,
    accept_errors: AtomicU64,
    panics: AtomicU64,
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

    pub(super) fn answered(&self, _status: StatusCode, _after: Duration) {
        self.traffic(Kind::Http).queued(1);
    }

    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(super) fn lived(&self, _kind: Kind, _time: Duration) {}
}

//! The metrics of a server at one time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::HistogramSnapshot;
use super::{KINDS, STATUS, Stats};
use crate::server::limits::Limit;
use crate::server::registry::Connection;
use crate::server::shared::Shared;
use crate::transport::Kind;

/// What a server has counted since it was started, and what there is at present.
///
/// The numbers are read one by one while the server goes on, so two of them may be a moment apart.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// Connections accepted from the system, those that were refused included.
    pub accepted: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// Failures to accept a connection, for want of file descriptors or memory.
    pub accept_errors: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Connections that a drain has ended kindly.
    pub drained: u64,
    /// Connections that a drain has cut.
    pub cut: u64,
    /// Responses by status code.
    pub responses: BTreeMap<u16, u64>,
    /// The time from the head of a request to the head of its response.
    pub response_time: HistogramSnapshot,
    /// How often clients have run into a limit, by the name of its setting.
    pub limits: BTreeMap<&'static str, u64>,
    /// HTTP connections: the messages are requests and responses, and the bytes all that went
    /// through the sockets while HTTP was spoken on them, encryption not included.
    pub http: KindMetrics,
    /// Event streams. The bytes are those of HTTP's chunks, where it has some.
    pub sse: KindMetrics,
    /// WebSockets.
    pub websocket: KindMetrics,
    /// Polls that wait. The messages are the events in their answers, and the bytes those of the
    /// answers; HTTP counts them too.
    pub long_poll: KindMetrics,
}

/// The metrics of one kind of connection.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KindMetrics {
    /// How many there are.
    pub open: u64,
    /// Bytes that wait to be sent on them.
    pub queued_bytes: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Messages queued to be sent.
    pub messages_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// For how long those that have ended were open.
    pub lifetime: HistogramSnapshot,
}

impl Metrics {
    pub(in crate::server) fn of(shared: &Shared) -> Metrics {
        let mut metrics = Metrics {
            limits: Limit::NAMES.iter().map(|name| (*name, 0)).collect(),
            ..Metrics::default()
        };
        for stats in &shared.stats {
            metrics.add(stats);
        }
        for Connection { kind, queued_bytes, .. } in shared.registry.list() {
            let of_kind = metrics.kind_mut(kind);
            of_kind.open += 1;
            of_kind.queued_bytes += queued_bytes as u64;
        }
        metrics
    }

    /// The metrics of one kind of connection.
    pub fn kind(&self, kind: Kind) -> &KindMetrics {
        match kind {
            Kind::Http => &self.http,
            Kind::Sse => &self.sse,
            Kind::WebSocket => &self.websocket,
            Kind::LongPoll => &self.long_poll,
        }
    }

    fn kind_mut(&mut self, kind: Kind) -> &mut KindMetrics {
        match kind {
            Kind::Http => &mut self.http,
            Kind::Sse => &mut self.sse,
            Kind::WebSocket => &mut self.websocket,
            Kind::LongPoll => &mut self.long_poll,
        }
    }

    fn add(&mut self, stats: &Stats) {
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        self.accepted += load(&stats.accepted);
        self.refused += load(&stats.refused);
        self.accept_errors += load(&stats.accept_errors);
        self.panics += load(&stats.panics);
        self.drained += load(&stats.drained);
        self.cut += load(&stats.cut);
        for (index, count) in stats.answers.iter().map(load).enumerate() {
            if count > 0 {
                *self.responses.entry(STATUS.0 + index as u16).or_default() += count;
            }
        }
        stats.answer_times.add_to(&mut self.response_time);
        for (name, count) in Limit::NAMES.iter().zip(stats.limits.iter().map(load)) {
            *self.limits.entry(name).or_default() += count;
        }
        for (kind, _) in KINDS {
            let traffic = stats.traffic(kind);
            let of_kind = self.kind_mut(kind);
            of_kind.messages_in += load(&traffic.messages_in);
            of_kind.bytes_in += load(&traffic.bytes_in);
            of_kind.messages_out += load(&traffic.messages_out);
            of_kind.bytes_out += load(&traffic.bytes_out);
            stats.lifetimes[kind as usize].add_to(&mut of_kind.lifetime);
        }
    }
}

//! The metrics as text, for Prometheus.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::{HistogramSnapshot, KINDS, KindMetrics, Metrics};

/// The text is in the OpenMetrics format, which Prometheus' own grew into.
pub(in crate::server) const CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(in crate::server) fn encode(metrics: Metrics) -> String {
    let mut registry = Registry::with_prefix("lithe");
    registry.register_collector(Box::new(metrics));
    let mut text = String::new();
    // Cannot fail: the text is memory.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families(encoder);
        let kinds = |value: fn(&KindMetrics) -> u64| {
            KINDS.map(|(kind, name)| (name.to_owned(), value(self.kind(kind))))
        };
        out.counter("connections_accepted", "Connections accepted.", self.accepted)?;
        out.counter("connections_refused", "Connections refused, as too many.", self.refused)?;
        out.counter("accept_errors", "Failures to accept a connection.", self.accept_errors)?;
        out.counter("connections_drained", "Connections ended by a drain.", self.drained)?;
        out.counter("connections_cut", "Connections cut by a drain.", self.cut)?;
        out.counter("panics", "Handlers that panicked.", self.panics)?;

        let limits = self.limits.iter().map(|(name, count)| ((*name).to_owned(), *count));
        out.counters("limit_hits", "Times that a client ran into a limit.", "limit", limits)?;
        let codes = self.responses.iter().map(|(code, count)| (code.to_string(), *count));
        out.counters("http_responses", "Responses by status code.", "code", codes)?;
        out.histograms(
            "http_response_time",
            "Time from the head of a request to that of its response.",
            &[(None, &self.response_time)],
        )?;

        out.gauges("connections", "Open connections.", None, kinds(|kind| kind.open))?;
        let queued = kinds(|kind| kind.queued_bytes);
        out.gauges("queued", "Bytes that wait to be sent.", Some(Unit::Bytes), queued)?;
        let messages = kinds(|kind| kind.messages_in);
        out.counters("messages_received", "Messages received.", "kind", messages)?;
        let messages = kinds(|kind| kind.messages_out);
        out.counters("messages_sent", "Messages queued to be sent.", "kind", messages)?;
        let bytes = kinds(|kind| kind.bytes_in);
        out.counters("received_bytes", "Bytes received.", "kind", bytes)?;
        let bytes = kinds(|kind| kind.bytes_out);
        out.counters("sent_bytes", "Bytes sent.", "kind", bytes)?;

        let lifetimes = KINDS.map(|(kind, name)| (Some(name), &self.kind(kind).lifetime));
        out.histograms("connection_duration", "How long connections lived.", &lifetimes)
    }
}

/// Writes metrics with the same name and different labels.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, value.as_str())];
            ConstCounter::new(count).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (String, u64)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut encoder = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (value, count) in values {
            let labels = [("kind", value.as_str())];
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// Histograms of seconds, for each kind of connection or none.
    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        values: &[(Option<&str>, &HistogramSnapshot)],
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (kind, HistogramSnapshot { buckets, count, sum }) in values {
            // The encoder knows the last bucket by this bound.
            let bound = |bound: f64| if bound.is_finite() { bound } else { f64::MAX };
            let buckets: Vec<_> = buckets.iter().map(|(at, count)| (bound(*at), *count)).collect();
            match kind {
                Some(kind) => encoder
                    .encode_family(&[("kind", *kind)])?
                    .encode_histogram::<NoLabelSet>(*sum, *count, &buckets, None)?,
                None => encoder.encode_histogram::<NoLabelSet>(*sum, *count, &buckets, None)?,
            }
        }
        Ok(())
    }
}

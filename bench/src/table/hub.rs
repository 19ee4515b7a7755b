//! The tables of the hub.

use crate::load::Sample;
use crate::suite::Row;

use super::{Measured, median, median_of, pairs, ratio, socket_target, thousands, verdict};

pub(super) const TITLE: &str =
    "The hub: thousands of deliveries per second of server CPU; latencies in µs";
pub(super) const HEADER: &str = "\
| load | bare TCP | list of senders, SSE | hub, SSE | hub, WebSocket | hub, SSE, deliveries/s \
| p50 / p99, SSE | p50 / p99, WebSocket | list ÷ TCP | hub, SSE ÷ TCP | hub, WebSocket ÷ TCP | target | |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|
";
pub(super) const LATENCIES_TITLE: &str = "The hub: p50 / p99 in µs from when a publication was due";
pub(super) const LATENCIES: &str = "\
| load | bare TCP, as many echoes at a time | SSE | WebSocket | p99, SSE ÷ TCP \
| p99, WebSocket ÷ TCP |
|---|---:|---:|---:|---:|---:|
";
pub(super) const PUBLISH_TITLE: &str =
    "The hub: thousands of publications per second of CPU, in the process";
pub(super) const PUBLISH: &str = "\
| load | bare TCP, echoes | hub, publications | ns for each | hub ÷ TCP |
|---|---:|---:|---:|---:|
";
pub(super) const PROGRAM_TITLE: &str =
    "The hub in C: thousands of deliveries per second of server CPU; latencies in µs";
pub(super) const PROGRAM: &str = "\
| load | bare TCP | hub.c | hub.c ÷ TCP | deliveries/s | p50 / p99 | of its core | MiB \
| descriptors |
|---|---:|---:|---:|---:|---:|---:|---:|---:|
";
pub(super) const MEMORY_TITLE: &str = "The hub: bytes of server memory per idle subscriber";
pub(super) const MEMORY: &str = "\
| subscribers | SSE | WebSocket | target | |
|---|---:|---:|---|---|
";

impl Measured {
    pub(super) fn hub_line(&self) -> String {
        let (tcp, list, hub) = match &self.samples[..] {
            [tcp, list, hub @ ..] if matches!(self.row, Row::Hub { .. }) => (tcp, Some(list), hub),
            [tcp, hub @ ..] => (tcp, None, hub),
            _ => unreachable!("a row of the hub has two runs at least"),
        };
        let (streams, sockets) = (&hub[0], hub.get(1));
        let shown = |samples: &Vec<Sample>| thousands(median(samples, |sample| sample.figure));
        let over_tcp = |samples: &Vec<Sample>| format!("{:.2}", ratio(samples, tcp));
        let shown_if = |samples: Option<&Vec<Sample>>| samples.map(shown).unwrap_or_default();
        let over_tcp_if = |samples: Option<&Vec<Sample>>| samples.map(over_tcp).unwrap_or_default();
        let rate = median(streams, |sample| sample.rate);
        let latency_if = |samples: Option<&Vec<Sample>>| {
            samples.map(|samples| latency(samples)).unwrap_or_default()
        };
        let target = match self.row {
            Row::Hub { subscribers: 1000, burst } => socket_target(burst).map(|least| {
                let met = sockets.is_some_and(|sockets| ratio(sockets, tcp) >= least);
                (format!("WebSocket ≥ {least}"), met)
            }),
            _ => None,
        };
        let (target, met) = verdict(target);
        format!(
            "| {} | {} | {} | {} | {} | {rate:.0} | {} | {} | {} | {} | {} | {target} \
             | {met} |\n",
            self.row.name(),
            shown(tcp),
            shown_if(list),
            shown(streams),
            shown_if(sockets),
            latency(streams),
            latency_if(sockets),
            over_tcp_if(list),
            over_tcp(streams),
            over_tcp_if(sockets),
        )
    }

    pub(super) fn hub_latency_line(&self) -> String {
        let [tcp, hub @ ..] = &self.samples[..] else {
            unreachable!("a latency has a yardstick");
        };
        let shown = |samples: &Vec<Sample>| format!(" {} |", latency(samples));
        let over = |samples: &Vec<Sample>| {
            format!(" {:.2} |", median_of(pairs(samples, tcp, |sample| sample.latency[1])))
        };
        let cells = self.samples.iter().map(shown).chain(hub.iter().map(over));
        format!("| {} |{}\n", self.row.name(), cells.collect::<String>())
    }

    pub(super) fn hub_publish_line(&self) -> String {
        let [tcp, hub] = &self.samples[..] else { unreachable!("publishing has two runs") };
        let nanoseconds = median(hub, |sample| 1e9 / sample.figure);
        let [shown_tcp, shown_hub] =
            [tcp, hub].map(|samples| thousands(median(samples, |sample| sample.figure)));
        let name = self.row.name();
        let over_tcp = ratio(hub, tcp);
        format!("| {name} | {shown_tcp} | {shown_hub} | {nanoseconds:.0} | {over_tcp:.2} |\n")
    }

    pub(super) fn hub_program_line(&self) -> String {
        let [tcp, hub] = &self.samples[..] else { unreachable!("a program has two runs") };
        let [shown_tcp, shown_hub] =
            [tcp, hub].map(|samples| thousands(median(samples, |sample| sample.figure)));
        let of_hub = |figure: fn(&Sample) -> f64| median(hub, figure);
        format!(
            "| {} | {shown_tcp} | {shown_hub} | {:.2} | {:.0} | {} | {:.0} % | {:.1} | {:.0} |\n",
            self.row.name(),
            ratio(hub, tcp),
            of_hub(|sample| sample.rate),
            latency(hub),
            of_hub(|sample| 100.0 * sample.busy),
            of_hub(|sample| sample.resident / f64::from(1 << 20)),
            of_hub(|sample| sample.descriptors),
        )
    }

    pub(super) fn hub_memory_line(&self) -> String {
        let [streams, sockets] = &self.samples[..] else {
            unreachable!("an idle row has two runs")
        };
        let [streams, sockets] =
            [streams, sockets].map(|samples| median(samples, |sample| sample.figure));
        let (target, met) = verdict(Some(("SSE ≤ 2560".to_owned(), streams <= 2560.0)));
        let name = self.row.name();
        format!("| {name} | {streams:.0} | {sockets:.0} | {target} | {met} |\n")
    }
}

/// The median and the 99th percentile.
fn latency(samples: &[Sample]) -> String {
    let [p50, p99] = [0, 1].map(|i| median(samples, |sample| sample.latency[i]));
    format!("{p50:.0} / {p99:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::render;

    #[test]
    fn publishing_is_told_in_nanoseconds_too() {
        let samples = [200e3, 4e6].map(|figure| vec![Sample { figure, ..Sample::default() }]);
        let report = render(&[Measured { row: Row::HubPublish, samples: samples.to_vec() }]);
        assert!(report.contains("| 200 | 4000 | 250 | 20.00 |"), "{report}");
    }

    #[test]
    fn a_program_is_told_with_what_it_takes_of_the_machine() {
        let tcp = Sample { figure: 200e3, ..Sample::default() };
        let hub = Sample {
            figure: 180e3,
            rate: 100e3,
            latency: [20e3, 50e3, 60e3],
            busy: 0.556,
            resident: 32.0 * 1024.0 * 1024.0,
            descriptors: 10_012.0,
            ..Sample::default()
        };
        let samples = vec![vec![tcp], vec![hub]];
        let report = render(&[Measured { row: Row::HubC, samples }]);
        let line = "| 200 | 180 | 0.90 | 100000 | 20000 / 50000 | 56 % | 32.0 | 10012 |";
        assert!(report.contains(line), "{report}");
    }
}

//! From samples to Markdown: medians over the rounds, ratios within each, and the targets.

use std::fmt::Write;

use crate::load::Sample;
use crate::suite::Row;

mod hub;

const RATES: &str = "\
| load | bare TCP | Lithe | axum | Lithe, messages/s | p50 | p99 | p99.9 | Lithe ÷ TCP | axum ÷ TCP \
| target | |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|
";
const BOUNDARY: &str = "\
| load | bare TCP | Rust | C, events | C, blocking | C events, messages/s | p50 | p99 \
| Rust ÷ TCP | events ÷ TCP | events ÷ Rust | blocking ÷ Rust | target | |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|
";
const LATENCIES: &str = "\
| load | bare TCP | Lithe | axum | p99, Lithe ÷ TCP | p99, axum ÷ TCP | target | |
|---|---:|---:|---:|---:|---:|---|---|
";
const MEMORY: &str = "\
| connections | Lithe | axum | target | |
|---|---:|---:|---|---|
";

/// A measured row: for each of its runs the samples of all rounds.
pub struct Measured {
    /// Which row.
    pub row: Row,
    /// By run, then by round.
    pub samples: Vec<Vec<Sample>>,
}

/// What a target asks for, and whether it is reached; `None` where there is no target.
type Verdict = Option<(String, bool)>;

/// The report as Markdown.
pub fn render(measured: &[Measured]) -> String {
    let mut out = String::new();
    let (mut rates, mut latencies, mut memory) = (String::new(), String::new(), String::new());
    let mut boundary = String::new();
    let [mut hub, mut hub_latencies, mut hub_memory] = [const { String::new() }; 3];
    let [mut publish, mut program] = [const { String::new() }; 2];
    for measured in measured {
        match measured.row {
            Row::Hub { .. } | Row::HubChannels | Row::HubResume | Row::HubRedis { .. } => {
                hub += &measured.hub_line();
            }
            Row::HubLatency { .. } | Row::HubRedisLatency => {
                hub_latencies += &measured.hub_latency_line();
            }
            Row::HubPublish => publish += &measured.hub_publish_line(),
            Row::HubC => program += &measured.hub_program_line(),
            Row::HubIdle { .. } => hub_memory += &measured.hub_memory_line(),
            Row::Echo { .. } | Row::Fanout { .. } | Row::Accept { .. } => {
                rates += &measured.rate_lines();
            }
            Row::Boundary { connections, .. } => boundary += &measured.boundary_line(connections),
            Row::Latency => latencies += &measured.latency_line(),
            Row::Idle { .. } => memory += &measured.memory_line(),
        }
    }
    let sections = [
        ("Thousands of messages per second of server CPU; latencies in µs", RATES, rates),
        ("The same through the C ABI, all servers in one run", BOUNDARY, boundary),
        (hub::TITLE, hub::HEADER, hub),
        (hub::LATENCIES_TITLE, hub::LATENCIES, hub_latencies),
        (hub::PUBLISH_TITLE, hub::PUBLISH, publish),
        (hub::PROGRAM_TITLE, hub::PROGRAM, program),
        (hub::MEMORY_TITLE, hub::MEMORY, hub_memory),
        ("p50 / p99 / p99.9 in µs from when a message was due", LATENCIES, latencies),
        ("Bytes of server memory per idle connection", MEMORY, memory),
    ];
    for (title, header, lines) in sections {
        if !lines.is_empty() {
            let _ = write!(out, "### {title}\n\n{header}{lines}\n");
        }
    }
    out
}

/// The share of the time for which servers had to wait for their core, on average over the runs under load.
pub fn waited(measured: &[Measured]) -> Option<f64> {
    let samples: Vec<&Sample> = measured
        .iter()
        .filter(|measured| !matches!(measured.row, Row::Idle { .. } | Row::HubIdle { .. }))
        .flat_map(|measured| measured.samples.iter().flatten())
        .collect();
    let sum: f64 = samples.iter().map(|sample| sample.waited).sum();
    (!samples.is_empty()).then(|| sum / samples.len() as f64)
}

/// Which runs of a row a line compares.
struct Line<'a> {
    name: String,
    tcp: &'a [Sample],
    lithe: &'a [Sample],
    axum: &'a [Sample],
}

impl Measured {
    fn rate_lines(&self) -> String {
        let name = self.row.name();
        if let Row::Fanout { burst } = self.row {
            let [tcp, sockets, axum_sockets, streams, axum_streams] = &self.samples[..] else {
                unreachable!("a fan-out has five runs");
            };
            let over_sockets = ratio(streams, sockets);
            let lines = [
                (format!("WebSocket {name}"), sockets, axum_sockets, socket_target(burst)),
                (format!("SSE {name}"), streams, axum_streams, None),
            ];
            let lines = lines.map(|(name, lithe, axum, target)| {
                let line = Line { name, tcp, lithe, axum };
                let verdict = match target {
                    Some(least) => line.at_least(least),
                    None => {
                        Some((format!("≥ 0.8 × WebSocket: {over_sockets:.2}"), over_sockets >= 0.8))
                    }
                };
                line.rates(verdict)
            });
            return lines.concat();
        }
        let [tcp, lithe, axum] = &self.samples[..] else {
            unreachable!("an echo has three runs");
        };
        let line = Line { name, tcp, lithe, axum };
        let verdict = match self.row {
            Row::Echo { connections: 50, size: 64, pipeline: 1 } => line.at_least(0.95),
            Row::Echo { connections: 50, size: 64, .. } => line.at_least(0.8),
            Row::Echo { connections: 50, size: 1024, pipeline: 16 } => line.at_least(1.5),
            Row::Echo { connections: 50, size: 65536, .. } => line.large_echo(),
            _ => None,
        };
        line.rates(verdict)
    }

    fn boundary_line(&self, connections: usize) -> String {
        let [tcp, rust, events, rest @ ..] = &self.samples[..] else {
            unreachable!("a row of the C ABI has three runs or four");
        };
        let blocking = rest.first();
        let shown = |samples: &[Sample]| thousands(median(samples, |sample| sample.figure));
        let shown_blocking = blocking.map(|blocking| shown(blocking)).unwrap_or_default();
        let rate = median(events, |sample| sample.rate);
        let [p50, p99] = [0, 1].map(|i| median(events, |sample| sample.latency[i]));
        let of_rust = ratio(events, rust);
        let blocking_of_rust =
            blocking.map(|blocking| format!("{:.2}", ratio(blocking, rust))).unwrap_or_default();
        let target = (connections == 50).then(|| ("≥ 0.7 × Rust".to_owned(), of_rust >= 0.7));
        let (target, met) = verdict(target);
        format!(
            "| {} | {} | {} | {} | {shown_blocking} | {rate:.0} | {p50:.0} | {p99:.0} | {:.2} \
             | {:.2} | {of_rust:.2} | {blocking_of_rust} | {target} | {met} |\n",
            self.row.name(),
            shown(tcp),
            shown(rust),
            shown(events),
            ratio(rust, tcp),
            ratio(events, tcp),
        )
    }

    fn latency_line(&self) -> String {
        let [tcp, lithe, axum] = &self.samples[..] else {
            unreachable!("an echo has three runs");
        };
        let [shown_tcp, shown_lithe, shown_axum] = [tcp, lithe, axum].map(|samples| {
            let [p50, p99, p999] = [0, 1, 2].map(|i| median(samples, |sample| sample.latency[i]));
            format!("{p50:.0} / {p99:.0} / {p999:.0}")
        });
        let over = |samples| median_of(pairs(samples, tcp, |sample| sample.latency[1]));
        let (lithe, axum) = (over(lithe), over(axum));
        let (target, met) = verdict(Some(("≤ 1.2".to_owned(), lithe <= 1.2)));
        let name = self.row.name();
        format!(
            "| {name} | {shown_tcp} | {shown_lithe} | {shown_axum} | {lithe:.2} | {axum:.2} \
             | {target} | {met} |\n"
        )
    }

    fn memory_line(&self) -> String {
        let [lithe, axum] = &self.samples[..] else { unreachable!("an idle row has two runs") };
        let [lithe, axum] = [lithe, axum].map(|samples| median(samples, |sample| sample.figure));
        let most = match self.row {
            Row::Idle { sse: true, .. } => 2560.0,
            _ => 1536.0,
        };
        let (target, met) = verdict(Some((format!("≤ {most}"), lithe <= most)));
        format!("| {} | {lithe:.0} | {axum:.0} | {target} | {met} |\n", self.row.name())
    }
}

impl Line<'_> {
    fn at_least(&self, least: f64) -> Verdict {
        Some((format!("≥ {least}"), ratio(self.lithe, self.tcp) >= least))
    }

    fn large_echo(&self) -> Verdict {
        let spread =
            median_of(self.lithe.iter().map(|sample| sample.latency[1] / sample.latency[0]));
        let met = ratio(self.lithe, self.tcp) >= 1.5 && spread <= 5.0;
        Some((format!("≥ 1.5; p99 ≤ 5 × p50: {spread:.1}"), met))
    }

    fn rates(&self, target: Verdict) -> String {
        let [tcp, lithe, axum] = [self.tcp, self.lithe, self.axum]
            .map(|samples| thousands(median(samples, |sample| sample.figure)));
        let rate = median(self.lithe, |sample| sample.rate);
        let [p50, p99, p999] = [0, 1, 2].map(|i| median(self.lithe, |sample| sample.latency[i]));
        let (lithe_ratio, axum_ratio) = (ratio(self.lithe, self.tcp), ratio(self.axum, self.tcp));
        let (target, met) = verdict(target);
        format!(
            "| {} | {tcp} | {lithe} | {axum} | {rate:.0} | {p50:.0} | {p99:.0} | {p999:.0} \
             | {lithe_ratio:.2} | {axum_ratio:.2} | {target} | {met} |\n",
            self.name,
        )
    }
}

fn socket_target(burst: usize) -> Option<f64> {
    let least = match burst {
        1 => 1.0,
        16 => 15.0,
        // Beyond that it only has to keep from falling again.
        _ => 26.0,
    };
    Some(least)
}

fn verdict(verdict: Verdict) -> (String, &'static str) {
    match verdict {
        Some((target, true)) => (target, "met"),
        Some((target, false)) => (target, "**missed**"),
        None => (String::new(), ""),
    }
}

/// The median over the rounds of the ratio within each.
fn ratio(of: &[Sample], to: &[Sample]) -> f64 {
    median_of(pairs(of, to, |sample| sample.figure))
}

fn pairs(
    of: &[Sample],
    to: &[Sample],
    figure: impl Fn(&Sample) -> f64,
) -> impl Iterator<Item = f64> {
    of.iter().zip(to).map(move |(of, to)| figure(of) / figure(to))
}

fn median(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    median_of(samples.iter().map(figure))
}

fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len.is_multiple_of(2) => (values[upper - 1] + values[upper]) / 2.0,
        _ => values[upper],
    }
}

fn thousands(value: f64) -> String {
    let value = value / 1000.0;
    if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::rows;

    fn samples(figures: &[f64]) -> Vec<Sample> {
        figures.iter().map(|&figure| Sample { figure, ..Sample::default() }).collect()
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // A slow second round hits both alike.
        let (of, to) = (samples(&[200.0, 20.0, 220.0]), samples(&[100.0, 10.0, 100.0]));
        assert_eq!(ratio(&of, &to), 2.0);
    }

    #[test]
    fn the_median_of_an_even_count_lies_between_the_middle_two() {
        assert_eq!(median_of([4.0, 1.0, 2.0, 9.0].into_iter()), 3.0);
    }

    #[test]
    fn a_missed_target_is_marked() {
        let row = Row::Echo { connections: 50, size: 64, pipeline: 1 };
        let runs = [100e3, 94e3, 50e3].map(|figure| samples(&[figure]));
        let report = render(&[Measured { row, samples: runs.to_vec() }]);
        assert!(report.contains("| 0.94 | 0.50 | ≥ 0.95 | **missed** |"), "{report}");
    }

    #[test]
    fn each_row_has_a_line() {
        for row in rows() {
            let samples = vec![samples(&[1.0]); row.runs().len()];
            let report = render(&[Measured { row, samples }]);
            assert!(report.contains(&row.name()), "{row:?}: {report}");
            let columns: Vec<usize> = report
                .lines()
                .filter(|line| line.starts_with('|'))
                .map(|line| line.matches('|').count())
                .collect();
            assert!(columns.iter().all(|&count| count == columns[0]), "{row:?}: {report}");
        }
    }

    #[test]
    fn c_is_held_against_rust() {
        let row = Row::Boundary { connections: 50, size: 64, pipeline: 1 };
        let runs = [100e3, 80e3, 60e3, 20e3].map(|figure| samples(&[figure]));
        let report = render(&[Measured { row, samples: runs.to_vec() }]);
        let line = "| 0.80 | 0.60 | 0.75 | 0.25 | ≥ 0.7 × Rust | met |";
        assert!(report.contains(line), "{report}");
    }

    #[test]
    fn event_streams_are_held_against_our_websockets() {
        let row = Row::Fanout { burst: 16 };
        let runs = [10e3, 160e3, 20e3, 120e3, 30e3].map(|figure| samples(&[figure]));
        let report = render(&[Measured { row, samples: runs.to_vec() }]);
        assert!(report.contains("| 16.00 | 2.00 | ≥ 15 | met |"), "{report}");
        assert!(report.contains("| ≥ 0.8 × WebSocket: 0.75 | **missed** |"), "{report}");
    }
}

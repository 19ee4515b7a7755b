//! The rows of the table, and how each is measured: on which servers, with which loads.

use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accept::Accept;
use crate::echo::Echo;
use crate::fanout::{Fanout, Pace};
use crate::idle::Idle;
use crate::net::{Protocol, Target};
use crate::process::{Redis, Server};
use crate::report::{Report, Timing};
use crate::resume::Resume;

/// Subscribers of a fan-out, and bytes of a publication.
const SUBSCRIBERS: usize = 1000;
const PUBLICATION: usize = 128;
/// Connections that one thread of a host has to do with.
const MANY: usize = 10_000;
/// Connections of the idle rows, and the message that each may have had.
const IDLE: usize = 10_000;
const IDLE_MESSAGE: usize = 64 * 1024;
/// Messages per second where the latency is measured.
const CALM_RATE: f64 = 5000.0;
/// Publications per second where the latency of a hub is.
const CALM_PUBLICATIONS: f64 = 10.0;
/// Channels of a hub with one subscriber each.
const CHANNELS: usize = 10_000;
/// Clients that come back to a hub, and how much each has missed.
const RESUMED: usize = 2000;
const MISSED: usize = 100;

/// A server under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The machine's limit.
    Tcp,
    /// Our own.
    Lithe,
    /// Ours, with the echo in C, in event batches.
    CEvents,
    /// Ours, with the echo in C, a thread for each connection.
    CBlocking,
    /// The baseline.
    Axum,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Where they were built.
    pub directory: PathBuf,
    /// Where those in C were.
    pub c_directory: PathBuf,
    /// Measured in the place of our own.
    pub lithe: Option<PathBuf>,
}

impl Programs {
    fn path(&self, program: Program) -> PathBuf {
        let name = match (program, &self.lithe) {
            (Program::Lithe, Some(path)) => return path.clone(),
            (Program::Lithe, None) => "lithe-bench-server",
            (Program::Tcp, _) => "tcp-echo",
            (Program::Axum, _) => "axum-baseline",
            (Program::CEvents, _) => return self.c_directory.join("echo-events"),
            (Program::CBlocking, _) => return self.c_directory.join("echo-blocking"),
        };
        self.directory.join(name)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// Messages that come back as fast as can be.
    Echo {
        /// Connections.
        connections: usize,
        /// Bytes of a message.
        size: usize,
        /// Messages in flight on each connection.
        pipeline: usize,
    },
    /// The same through the C ABI, beside the same in Rust.
    Boundary {
        /// Connections.
        connections: usize,
        /// Bytes of a message.
        size: usize,
        /// Messages in flight on each connection.
        pipeline: usize,
    },
    /// The latency at a rate that leaves the server idle most of the time.
    Latency,
    /// Publications to many subscribers, over WebSockets and as event streams.
    Fanout {
        /// Publications back to back.
        burst: usize,
    },
    /// The same through a hub, beside a list of senders.
    Hub {
        /// Subscribers.
        subscribers: usize,
        /// Publications back to back.
        burst: usize,
    },
    /// The latency of a hub at a rate that leaves the server idle most of the time.
    HubLatency {
        /// Subscribers.
        subscribers: usize,
    },
    /// Channels of a hub with one subscriber each.
    HubChannels,
    /// Clients that come back to a hub all at once.
    HubResume,
    /// A publisher on one node, subscribers on another, and a Redis in between.
    HubRedis,
    /// Memory of idle subscribers of a hub.
    HubIdle {
        /// After one publication.
        used: bool,
    },
    /// Handshakes.
    Accept {
        /// Event streams rather than WebSockets.
        sse: bool,
    },
    /// Memory of idle connections.
    Idle {
        /// Event streams rather than WebSockets.
        sse: bool,
        /// After one message on each.
        used: bool,
    },
}

/// All rows, in their order.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for size in [64, 1024, 64 * 1024] {
        for connections in [1, 50, 500] {
            for pipeline in [1, 16] {
                rows.push(Row::Echo { connections, size, pipeline });
            }
        }
    }
    for (size, pipeline) in [(64, 1), (64, 16), (1024, 16), (64 * 1024, 1)] {
        rows.push(Row::Boundary { connections: 50, size, pipeline });
    }
    rows.push(Row::Boundary { connections: MANY, size: 64, pipeline: 1 });
    rows.push(Row::Latency);
    rows.extend([1, 16, 64, 256].map(|burst| Row::Fanout { burst }));
    for subscribers in [SUBSCRIBERS, MANY] {
        rows.extend([1, 16].map(|burst| Row::Hub { subscribers, burst }));
    }
    rows.push(Row::HubChannels);
    rows.push(Row::HubResume);
    rows.extend([SUBSCRIBERS, MANY].map(|subscribers| Row::HubLatency { subscribers }));
    rows.push(Row::HubRedis);
    rows.extend([false, true].map(|used| Row::HubIdle { used }));
    rows.extend([false, true].map(|sse| Row::Accept { sse }));
    for sse in [false, true] {
        rows.extend([false, true].map(|used| Row::Idle { sse, used }));
    }
    rows
}

/// What one run of one load on one server gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Messages per second of server CPU, or bytes per connection.
    pub figure: f64,
    /// Messages per second.
    pub rate: f64,
    /// p50, p99 and p99.9 in microseconds.
    pub latency: [f64; 3],
    /// The share of the time for which the server had to wait for its core.
    pub waited: f64,
}

impl From<Report> for Sample {
    fn from(report: Report) -> Self {
        Sample {
            figure: report.per_cpu(),
            rate: report.rate(),
            latency: [0.5, 0.99, 0.999].map(|quantile| report.quantile(quantile)),
            waited: report.server_cpu.waited.as_secs_f64() / report.elapsed.as_secs_f64(),
        }
    }
}

impl Row {
    /// A name that says it all.
    pub fn name(self) -> String {
        match self {
            Row::Boundary { connections, size, pipeline } => {
                let echo = Row::Echo { connections, size, pipeline };
                format!("C {}", echo.name())
            }
            Row::Echo { connections, size, pipeline } => {
                let s = if connections == 1 { "" } else { "s" };
                format!("echo {}, {connections} conn{s}, {pipeline} in flight", bytes(size))
            }
            Row::Latency => format!("echo 64 B, 50 conns, {CALM_RATE} messages/s"),
            Row::Fanout { burst } => {
                format!("fan-out to {SUBSCRIBERS}, {PUBLICATION} B, burst {burst}")
            }
            Row::Hub { subscribers, burst } => {
                format!("hub, fan-out to {subscribers}, {PUBLICATION} B, burst {burst}")
            }
            Row::HubLatency { subscribers } => {
                format!("hub, fan-out to {subscribers}, {CALM_PUBLICATIONS} publications/s")
            }
            Row::HubChannels => format!("hub, {CHANNELS} channels with one subscriber each"),
            Row::HubResume => format!("hub, {RESUMED} clients come back, each missed {MISSED}"),
            Row::HubRedis => {
                format!(
                    "hub over Redis, fan-out to {SUBSCRIBERS}, {CALM_PUBLICATIONS} publications/s"
                )
            }
            Row::HubIdle { used: false } => format!("hub, {IDLE} idle subscribers, fresh"),
            Row::HubIdle { used: true } => {
                format!("hub, {IDLE} idle subscribers, after one publication of 64 KiB")
            }
            Row::Accept { sse: false } => "accept WebSocket".to_owned(),
            Row::Accept { sse: true } => "accept SSE".to_owned(),
            Row::Idle { sse, used } => {
                let kind = if sse { "SSE" } else { "WebSocket" };
                let state = if used { "after one 64 KiB message each" } else { "fresh" };
                format!("idle {kind}, {IDLE} connections, {state}")
            }
        }
    }

    /// Whether there is a target for it.
    pub fn has_target(self) -> bool {
        match self {
            Row::Echo { connections, size, pipeline } => {
                connections == 50 && (size != 1024 || pipeline == 16)
            }
            Row::Boundary { connections, .. } => connections == 50,
            Row::Latency | Row::Fanout { .. } | Row::Idle { .. } | Row::HubIdle { .. } => true,
            Row::Hub { subscribers, .. } => subscribers == SUBSCRIBERS,
            Row::HubLatency { .. } | Row::HubRedis | Row::HubChannels | Row::HubResume => false,
            Row::Accept { .. } => false,
        }
    }

    /// The runs of a round: what is compared stands side by side.
    pub fn runs(self) -> Vec<Run> {
        use Program::{Axum, CBlocking, CEvents, Lithe, Tcp};
        let run = |program, load| Run { program, load };
        match self {
            Row::Echo { connections, size, pipeline } => {
                let load = Load::Echo { connections, size, pipeline, rate: None };
                [Tcp, Lithe, Axum].map(|program| run(program, load)).into()
            }
            Row::Boundary { connections, size, pipeline } => {
                let load = Load::Echo { connections, size, pipeline, rate: None };
                let programs: &[_] = match connections {
                    // Threads are what a machine has fewer of.
                    MANY => &[Tcp, Lithe, CEvents],
                    _ => &[Tcp, Lithe, CEvents, CBlocking],
                };
                programs.iter().map(|&program| run(program, load)).collect()
            }
            Row::Latency => {
                let rate = Some(CALM_RATE);
                let load = Load::Echo { connections: 50, size: 64, pipeline: 1, rate };
                [Tcp, Lithe, Axum].map(|program| run(program, load)).into()
            }
            Row::Fanout { burst } => {
                let [sockets, streams] = [Via::Sockets, Via::Streams]
                    .map(|via| fanout(via, SUBSCRIBERS, Pace::Burst(burst)));
                vec![
                    run(Tcp, LIMIT),
                    run(Lithe, sockets),
                    run(Axum, sockets),
                    run(Lithe, streams),
                    run(Axum, streams),
                ]
            }
            Row::Hub { subscribers, burst } => {
                let load = |via| run(Lithe, fanout(via, subscribers, Pace::Burst(burst)));
                let hub = [Via::Streams, Via::HubStreams, Via::HubSockets].map(load);
                [run(Tcp, LIMIT)].into_iter().chain(hub).collect()
            }
            Row::HubLatency { subscribers } => {
                let load = |via| fanout(via, subscribers, Pace::Rate(CALM_PUBLICATIONS));
                [Via::HubStreams, Via::HubSockets].map(|via| run(Lithe, load(via))).into()
            }
            Row::HubChannels => {
                let pace = Pace::Burst(1);
                let load = |via| {
                    let (subscribers, channels) = (CHANNELS, CHANNELS);
                    run(Lithe, Load::Fanout { via, subscribers, channels, pace })
                };
                let hub = [Via::HubStreams, Via::HubSockets].map(load);
                [run(Tcp, LIMIT)].into_iter().chain(hub).collect()
            }
            Row::HubResume => vec![run(Tcp, LIMIT), run(Lithe, Load::Resume)],
            Row::HubRedis => {
                let pace = Pace::Rate(CALM_PUBLICATIONS);
                let load = |via| run(Lithe, Load::Nodes { via, pace });
                [Via::HubStreams, Via::HubSockets].map(load).into()
            }
            Row::HubIdle { used } => {
                let load = |via| run(Lithe, Load::Idle { via, used });
                [Via::HubStreams, Via::HubSockets].map(load).into()
            }
            Row::Accept { sse } => {
                [Tcp, Lithe, Axum].map(|program| run(program, Load::Accept { sse })).into()
            }
            Row::Idle { sse, used } => {
                let via = if sse { Via::Streams } else { Via::Sockets };
                [Lithe, Axum].map(|program| run(program, Load::Idle { via, used })).into()
            }
        }
    }
}

fn bytes(size: usize) -> String {
    if size < 1024 { format!("{size} B") } else { format!("{} KiB", size / 1024) }
}

/// A load on a server.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    program: Program,
    load: Load,
}

#[derive(Clone, Copy, Debug)]
enum Load {
    Echo {
        connections: usize,
        size: usize,
        pipeline: usize,
        rate: Option<f64>,
    },
    Fanout {
        via: Via,
        subscribers: usize,
        channels: usize,
        pace: Pace,
    },
    /// The subscribers on one node, the publisher on another.
    Nodes {
        via: Via,
        pace: Pace,
    },
    Resume,
    Accept {
        sse: bool,
    },
    Idle {
        via: Via,
        used: bool,
    },
}

/// Two nodes and a Redis, on any core.
fn over_redis(program: &Path, via: Via, pace: Pace, timing: Timing) -> io::Result<Sample> {
    let redis = Redis::start()?;
    let node = || Server::start_with(program, &["--redis", &redis.url]);
    let (here, there) = (node()?, node()?);
    let fanout = Fanout {
        subscribe: via.subscribe(there.address),
        publish: via.publish(here.address, 1),
        subscribers: SUBSCRIBERS,
        channels: 1,
        frames: via == Via::HubSockets,
        size: PUBLICATION,
        pace,
        timing,
        server: Some(there.pid()),
    };
    fanout.run().map(Sample::from)
}

/// What a fan-out is held against: the bare TCP echo's figure.
const LIMIT: Load = Load::Echo { connections: 50, size: 64, pipeline: 1, rate: None };

fn fanout(via: Via, subscribers: usize, pace: Pace) -> Load {
    Load::Fanout { via, subscribers, channels: 1, pace }
}

/// What connects subscribers to what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    /// A list of senders.
    Sockets,
    Streams,
    /// A hub.
    HubSockets,
    HubStreams,
}

impl Via {
    fn subscribe(self, address: SocketAddrV4) -> Target {
        let (protocol, path) = match self {
            Via::Sockets => (Protocol::WebSocket, "/sub"),
            Via::Streams => (Protocol::Sse, "/sse"),
            Via::HubSockets => (Protocol::WebSocket, "/hub/ws?channel=bench.{}"),
            Via::HubStreams => (Protocol::Sse, "/hub/sse?channel=bench.{}"),
        };
        Target::new(address, protocol, path)
    }

    fn publish(self, address: SocketAddrV4, channels: usize) -> Target {
        let path = match self {
            Via::Sockets | Via::Streams => "/pub".to_owned(),
            Via::HubSockets | Via::HubStreams => format!("/hub-pub/{channels}"),
        };
        Target::new(address, Protocol::WebSocket, &path)
    }
}

impl Run {
    /// Starts the server afresh and runs the load on it.
    pub fn measure(self, programs: &Programs, timing: Timing) -> io::Result<Sample> {
        let path = programs.path(self.program);
        let result = self.load.run(self.program, &path, timing);
        result.map_err(|error| {
            io::Error::new(error.kind(), format!("{:?} on {:?}: {error}", self.load, self.program))
        })
    }
}

impl Load {
    fn run(self, program: Program, path: &Path, timing: Timing) -> io::Result<Sample> {
        let start = || Server::start_pinned(path);
        let stream = |address, sse| match (program, sse) {
            (Program::Tcp, _) => Target::new(address, Protocol::Tcp, "/"),
            (_, true) => Target::new(address, Protocol::Sse, "/sse"),
            (_, false) => Target::new(address, Protocol::WebSocket, "/"),
        };
        match self {
            Load::Nodes { via, pace } => over_redis(path, via, pace, timing),
            Load::Echo { connections, size, pipeline, rate } => {
                let server = start()?;
                let echo = Echo {
                    target: stream(server.address, false),
                    connections,
                    size,
                    pipeline,
                    rate,
                    spin: false,
                    text: false,
                    timing,
                    server: Some(server.pid()),
                };
                echo.run().map(Sample::from)
            }
            Load::Fanout { via, subscribers, channels, pace } => {
                let server = start()?;
                let fanout = Fanout {
                    subscribe: via.subscribe(server.address),
                    publish: via.publish(server.address, channels),
                    subscribers,
                    channels,
                    frames: via == Via::HubSockets,
                    size: PUBLICATION,
                    pace,
                    timing,
                    server: Some(server.pid()),
                };
                fanout.run().map(Sample::from)
            }
            Load::Resume => {
                let server = start()?;
                let resume = Resume {
                    address: server.address,
                    clients: RESUMED,
                    missed: MISSED,
                    size: PUBLICATION,
                    server: server.pid(),
                };
                resume.run().map(Sample::from)
            }
            Load::Accept { sse } => {
                let server = start()?;
                let target = stream(server.address, sse);
                let accept = Accept { target, concurrency: 50, timing, server: Some(server.pid()) };
                accept.run().map(Sample::from)
            }
            Load::Idle { via, used } => {
                let server = start()?;
                let idle = Idle {
                    target: match via {
                        // An echo, which gives each its message.
                        Via::Sockets => stream(server.address, false),
                        _ => via.subscribe(server.address),
                    },
                    publish: via.publish(server.address, 1),
                    frames: via == Via::HubSockets,
                    connections: IDLE,
                    message: used.then_some(IDLE_MESSAGE),
                    settle: Duration::from_secs(1),
                    server: server.pid(),
                };
                idle.run().map(|cost| Sample { figure: cost.per_connection(), ..Sample::default() })
            }
        }
    }
}

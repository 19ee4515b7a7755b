//! The loads of the rows, and the servers that each is put on.

use std::io;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::accept::Accept;
use crate::echo::Echo;
use crate::fanout::{Fanout, Pace};
use crate::follow::Follow;
use crate::idle::Idle;
use crate::net::{Protocol, Target};
use crate::process::{Redis, Server, on_server_core};
use crate::publish::Publish;
use crate::report::{Report, Timing};
use crate::resume::Resume;
use crate::suite::{IDLE, IDLE_MESSAGE, MANY, MISSED, PUBLICATION, RESUMED, SUBSCRIBERS};

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
    /// The example of a hub in C.
    CHub,
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
    /// Where the examples in C were.
    pub c_examples: PathBuf,
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
            (Program::CHub, _) => return self.c_examples.join("hub"),
        };
        self.directory.join(name)
    }
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
    /// The share of the time for which it had its core.
    pub busy: f64,
    /// Bytes of its resident memory, where that is measured beside the rest.
    pub resident: f64,
    /// Descriptors that it has open, likewise.
    pub descriptors: f64,
}

impl From<Report> for Sample {
    fn from(report: Report) -> Self {
        let share = |time: Duration| time.as_secs_f64() / report.elapsed.as_secs_f64();
        Sample {
            figure: report.per_cpu(),
            rate: report.rate(),
            latency: [0.5, 0.99, 0.999].map(|quantile| report.quantile(quantile)),
            waited: share(report.server_cpu.waited),
            busy: share(report.server_cpu.used),
            ..Sample::default()
        }
    }
}

/// A load on a server.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub(crate) program: Program,
    pub(crate) load: Load,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
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
    /// What nobody has subscribed to.
    Publish,
    /// Subscribers of a program that publishes by itself.
    Follow,
    Accept {
        sse: bool,
    },
    Idle {
        via: Via,
        used: bool,
    },
}

/// Two nodes and a Redis. The processor time is that of the node that delivers.
fn over_redis(program: &Path, via: Via, pace: Pace, timing: Timing) -> io::Result<Sample> {
    let redis = on_server_core(Redis::start)?;
    let node = || Server::start_with(program, &["--redis", &redis.url]);
    let (here, there) = (on_server_core(node)?, on_server_core(node)?);
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
pub(crate) const LIMIT: Load = Load::Echo { connections: 50, size: 64, pipeline: 1, rate: None };

pub(crate) fn fanout(via: Via, subscribers: usize, pace: Pace) -> Load {
    Load::Fanout { via, subscribers, channels: 1, pace }
}

/// What connects subscribers to what is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
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
        let start = || on_server_core(|| Server::start(path));
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
            Load::Publish => {
                let server = start()?;
                let (address, server) = (server.address, server.pid());
                let publish = Publish { address, size: PUBLICATION, timing, server };
                publish.run().map(Sample::from)
            }
            Load::Follow => {
                // Its port.
                let server = on_server_core(|| Server::start_with(path, &["0"]))?;
                let path = "/hub/sse?channel=load&format=json";
                let follow = Follow {
                    target: Target::new(server.address, Protocol::Sse, path),
                    clients: MANY,
                    timing,
                    server: server.pid(),
                };
                let (report, usage) = follow.run()?;
                Ok(Sample {
                    resident: usage.resident as f64,
                    descriptors: usage.descriptors as f64,
                    ..Sample::from(report)
                })
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

//! The rows of the table, and which runs each is made of.

use crate::fanout::Pace;
use crate::load::{LIMIT, Load, Program, Run, Via, fanout};

/// Subscribers of a fan-out, and bytes of a publication.
pub(crate) const SUBSCRIBERS: usize = 1000;
pub(crate) const PUBLICATION: usize = 128;
/// Connections that are many: of one thread of a host, or of a hub.
pub(crate) const MANY: usize = 10_000;
/// Connections of the idle rows, and the message that each may have had.
pub(crate) const IDLE: usize = 10_000;
pub(crate) const IDLE_MESSAGE: usize = 64 * 1024;
/// Messages per second where the latency is measured.
const CALM_RATE: f64 = 5000.0;
/// Publications per second where the latency of a hub is.
const CALM_PUBLICATIONS: f64 = 10.0;
/// Channels of a hub with one subscriber each.
const CHANNELS: usize = 10_000;
/// Clients that come back to a hub, and how much each has missed.
pub(crate) const RESUMED: usize = 2000;
pub(crate) const MISSED: usize = 100;

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
    HubRedis {
        /// Publications back to back.
        burst: usize,
    },
    /// Their latency, at the rate of that of a hub.
    HubRedisLatency,
    /// Publications that nobody has subscribed to.
    HubPublish,
    /// Browsers that listen to the example of a hub in C.
    HubC,
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
    rows.extend([1, 16].map(|burst| Row::HubRedis { burst }));
    rows.push(Row::HubRedisLatency);
    rows.push(Row::HubPublish);
    rows.push(Row::HubC);
    rows.extend([false, true].map(|used| Row::HubIdle { used }));
    rows.extend([false, true].map(|sse| Row::Accept { sse }));
    for sse in [false, true] {
        rows.extend([false, true].map(|used| Row::Idle { sse, used }));
    }
    rows
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
            Row::HubRedis { burst } => {
                format!("hub over Redis, fan-out to {SUBSCRIBERS}, {PUBLICATION} B, burst {burst}")
            }
            Row::HubRedisLatency => {
                format!(
                    "hub over Redis, fan-out to {SUBSCRIBERS}, {CALM_PUBLICATIONS} publications/s"
                )
            }
            Row::HubPublish => format!("hub, publish {PUBLICATION} B with no subscriber"),
            Row::HubC => {
                format!("hub.c, fan-out to {MANY} over SSE, {CALM_PUBLICATIONS} publications/s")
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
            Row::HubLatency { .. } | Row::HubRedis { .. } | Row::HubRedisLatency => false,
            Row::HubChannels | Row::HubResume | Row::HubPublish | Row::HubC => false,
            Row::Accept { .. } => false,
        }
    }

    /// The runs of a round: what is compared stands side by side.
    pub fn runs(self) -> Vec<Run> {
        use Program::{Axum, CBlocking, CEvents, CHub, Lithe, Tcp};
        let run = |program, load| Run { program, load };
        // A message to each of so many, and no more work than that.
        let echo_of_all =
            |connections| run(Tcp, Load::Echo { connections, size: 64, pipeline: 1, rate: None });
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
                let load =
                    |via| run(Lithe, fanout(via, subscribers, Pace::Rate(CALM_PUBLICATIONS)));
                let hub = [Via::HubStreams, Via::HubSockets].map(load);
                [echo_of_all(subscribers)].into_iter().chain(hub).collect()
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
            Row::HubRedis { burst } => {
                let load = |via| run(Lithe, Load::Nodes { via, pace: Pace::Burst(burst) });
                let hub = [Via::HubStreams, Via::HubSockets].map(load);
                [run(Tcp, LIMIT)].into_iter().chain(hub).collect()
            }
            Row::HubRedisLatency => {
                let pace = Pace::Rate(CALM_PUBLICATIONS);
                let load = |via| run(Lithe, Load::Nodes { via, pace });
                let hub = [Via::HubStreams, Via::HubSockets].map(load);
                [echo_of_all(SUBSCRIBERS)].into_iter().chain(hub).collect()
            }
            Row::HubPublish => vec![run(Tcp, LIMIT), run(Lithe, Load::Publish)],
            Row::HubC => vec![run(Tcp, LIMIT), run(CHub, Load::Follow)],
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

//! A load generator for WebSocket, event stream and plain TCP servers.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use lithe_bench::accept::Accept;
use lithe_bench::echo::Echo;
use lithe_bench::fanout::{Fanout, Pace};
use lithe_bench::idle::Idle;
use lithe_bench::net::{Protocol, Target, raise_descriptor_limit};
use lithe_bench::report::Timing;

/// Puts one load on a server and prints what it measured.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Messages that come back.
    Echo {
        #[command(flatten)]
        common: Common,
        /// Plain TCP instead of WebSocket.
        #[arg(long)]
        tcp: bool,
        #[arg(long, default_value = "/")]
        path: String,
        #[arg(long, default_value_t = 50, value_parser = positive)]
        connections: usize,
        /// Bytes of a message.
        #[arg(long, default_value_t = 64, value_parser = positive)]
        size: usize,
        /// Messages in flight on each connection.
        #[arg(long, default_value_t = 1, value_parser = positive)]
        pipeline: usize,
        /// Messages per second in all, sent when they are due; latency counts from then.
        #[arg(long)]
        rate: Option<f64>,
        /// Never sleep: over loopback it is the server that pays for waking the load.
        #[arg(long)]
        spin: bool,
        /// Text messages rather than binary ones.
        #[arg(long)]
        text: bool,
    },
    /// Publications that reach every subscriber.
    Fanout {
        #[command(flatten)]
        common: Common,
        /// Subscribers are event streams rather than WebSockets.
        #[arg(long)]
        sse: bool,
        /// What comes over the WebSockets are frames of a hub.
        #[arg(long)]
        frames: bool,
        /// The subscribers' path; /sub or /sse unless told. A {} in it is the channel's number.
        #[arg(long)]
        path: Option<String>,
        /// How many channels the subscribers and publications are spread over.
        #[arg(long, default_value_t = 1, value_parser = positive)]
        channels: usize,
        #[arg(long, default_value = "/pub")]
        publish: String,
        #[arg(long, default_value_t = 1000, value_parser = positive)]
        connections: usize,
        /// Bytes of a publication.
        #[arg(long, default_value_t = 128, value_parser = positive)]
        size: usize,
        /// Publications back to back; the next when all subscribers have them.
        #[arg(long, default_value_t = 1, value_parser = positive)]
        burst: usize,
        /// Publications per second instead of bursts.
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Memory of a server per idle connection; start the server afresh.
    Idle {
        #[command(flatten)]
        common: Common,
        /// Event streams rather than WebSockets.
        #[arg(long)]
        sse: bool,
        /// The path; / or /sse unless told.
        #[arg(long)]
        path: Option<String>,
        #[arg(long, default_value = "/pub")]
        publish: String,
        #[arg(long, default_value_t = 10_000, value_parser = positive)]
        connections: usize,
        /// Bytes of a message that goes over each connection first.
        #[arg(long)]
        message: Option<usize>,
    },
    /// Handshakes per second.
    Accept {
        #[command(flatten)]
        common: Common,
        /// The echo of the request over plain TCP.
        #[arg(long, conflicts_with = "sse")]
        tcp: bool,
        /// Event streams rather than WebSockets.
        #[arg(long)]
        sse: bool,
        /// The path; / or /sse unless told.
        #[arg(long)]
        path: Option<String>,
        /// Handshakes under way at a time.
        #[arg(long, default_value_t = 50, value_parser = positive)]
        connections: usize,
    },
}

#[derive(Args)]
struct Common {
    /// Address of the server.
    address: SocketAddrV4,
    /// Process of the server, for its processor time and memory.
    #[arg(long)]
    pid: Option<u32>,
    /// Length of the measurement.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Length of the warm-up.
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
}

impl Common {
    fn timing(&self) -> Timing {
        Timing {
            warm_up: Duration::from_secs_f64(self.warm_up),
            measure: Duration::from_secs_f64(self.seconds),
        }
    }

    fn stream(&self, sse: bool, path: Option<&str>, web_socket: &str) -> Target {
        let (protocol, usual) =
            if sse { (Protocol::Sse, "/sse") } else { (Protocol::WebSocket, web_socket) };
        Target::new(self.address, protocol, path.unwrap_or(usual))
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must not be 0".to_owned()),
        Ok(value) => Ok(value),
        Err(error) => Err(format!("{error}")),
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    raise_descriptor_limit();
    match options.load {
        Load::Echo { common, tcp, path, connections, size, pipeline, rate, spin, text } => {
            let protocol = if tcp { Protocol::Tcp } else { Protocol::WebSocket };
            let echo = Echo {
                target: Target::new(common.address, protocol, &path),
                connections,
                size,
                pipeline,
                rate,
                spin,
                text,
                timing: common.timing(),
                server: common.pid,
            };
            println!("{}", echo.run()?);
        }
        Load::Fanout {
            common,
            sse,
            frames,
            path,
            publish,
            connections,
            channels,
            size,
            burst,
            rate,
        } => {
            let fanout = Fanout {
                subscribe: common.stream(sse, path.as_deref(), "/sub"),
                publish: Target::new(common.address, Protocol::WebSocket, &publish),
                subscribers: connections,
                channels,
                frames,
                size,
                pace: rate.map_or(Pace::Burst(burst), Pace::Rate),
                timing: common.timing(),
                server: common.pid,
            };
            println!("{}", fanout.run()?);
        }
        Load::Idle { common, sse, path, publish, connections, message } => {
            let idle = Idle {
                target: common.stream(sse, path.as_deref(), "/"),
                publish: Target::new(common.address, Protocol::WebSocket, &publish),
                frames: false,
                connections,
                message,
                settle: common.timing().measure,
                server: common.pid.ok_or_else(|| io::Error::other("idle needs --pid"))?,
            };
            println!("{}", idle.run()?);
        }
        Load::Accept { common, tcp, sse, path, connections } => {
            let mut target = common.stream(sse, path.as_deref(), "/");
            if tcp {
                target.protocol = Protocol::Tcp;
            }
            let accept = Accept {
                target,
                concurrency: connections,
                timing: common.timing(),
                server: common.pid,
            };
            println!("{}", accept.run()?);
        }
    }
    Ok(())
}

//! What connections cost that do nothing.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use crate::echo::{Echo, Echoes};
use crate::fanout::{Channel, Fanout, Pace};
use crate::net::{Protocol, Target};
use crate::process::{cpu_time, resident};
use crate::report::{Clock, Meter, Timing};

/// A load of idle connections.
#[derive(Clone, Debug)]
pub struct Idle {
    /// Where to: a WebSocket echo or an event stream.
    pub target: Target,
    /// Where to publish what subscribers receive.
    pub publish: Target,
    /// The connections are WebSockets of a hub, and not an echo.
    pub frames: bool,
    /// How many connections.
    pub connections: usize,
    /// A message of so many bytes goes over each connection before they fall idle: an echo over
    /// a WebSocket, an event over an event stream. They go over all of them at the same time.
    pub message: Option<usize>,
    /// How long they are idle before memory is read.
    pub settle: Duration,
    /// The process of the server, started afresh.
    pub server: u32,
}

/// What the connections cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// How many there are.
    pub connections: usize,
    /// Resident bytes of the server that it had not before.
    pub bytes: u64,
    /// How long it took to open them.
    pub opening: Duration,
    /// Processor time of the server while they were idle, per second.
    pub idle_cpu: f64,
}

impl Idle {
    /// Runs the load.
    pub fn run(&self) -> io::Result<Cost> {
        let clock = Clock::start();
        let timing = Timing { warm_up: Duration::ZERO, measure: Duration::ZERO };
        let mut meter = Meter::new(clock, timing, None);
        let before = resident(self.server)?;
        let began = Instant::now();
        let mut held = match self.target.protocol {
            Protocol::Sse => Held::Subscribers(Channel::open(&self.channel(timing), clock)?),
            _ if self.frames => Held::Subscribers(Channel::open(&self.channel(timing), clock)?),
            _ => Held::WebSockets(Echoes::open(&self.echo(timing), clock)?),
        };
        let opening = began.elapsed();
        if self.message.is_some() {
            held.touch(&mut meter)?;
        }
        let (cpu, idle) = (cpu_time(self.server)?, Instant::now());
        while idle.elapsed() < self.settle {
            held.turn(&mut meter)?;
        }
        let used = (cpu_time(self.server)? - cpu).used;
        let idle_cpu = used.as_secs_f64() / idle.elapsed().as_secs_f64();
        let bytes = resident(self.server)?.saturating_sub(before);
        Ok(Cost { connections: self.connections, bytes, opening, idle_cpu })
    }

    fn echo(&self, timing: Timing) -> Echo {
        Echo {
            target: self.target.clone(),
            connections: self.connections,
            size: self.message.unwrap_or(1),
            pipeline: 1,
            rate: None,
            spin: false,
            text: false,
            timing,
            server: None,
        }
    }

    fn channel(&self, timing: Timing) -> Fanout {
        Fanout {
            subscribe: self.target.clone(),
            publish: self.publish.clone(),
            subscribers: self.connections,
            channels: 1,
            frames: self.frames,
            size: self.message.unwrap_or(0),
            pace: Pace::Burst(1),
            timing,
            server: None,
        }
    }
}

enum Held {
    WebSockets(Echoes),
    Subscribers(Channel),
}

impl Held {
    /// Sends one message over each.
    fn touch(&mut self, meter: &mut Meter) -> io::Result<()> {
        match self {
            Held::WebSockets(echoes) => {
                echoes.send_on_all(1)?;
                while echoes.outstanding > 0 {
                    echoes.turn(Duration::from_millis(5), meter, false)?;
                }
                Ok(())
            }
            Held::Subscribers(channel) => channel.reach_all(meter),
        }
    }

    fn turn(&mut self, meter: &mut Meter) -> io::Result<()> {
        match self {
            Held::WebSockets(echoes) => echoes.turn(Duration::from_millis(50), meter, false),
            Held::Subscribers(channel) => channel.turn(Duration::from_millis(50), meter),
        }
    }
}

impl Cost {
    /// Resident bytes of the server per connection.
    pub fn per_connection(&self) -> f64 {
        self.bytes as f64 / self.connections as f64
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} bytes per connection ({} connections opened in {:.2} s, idle server CPU {:.1} %)",
            self.per_connection(),
            self.connections,
            self.opening.as_secs_f64(),
            100.0 * self.idle_cpu,
        )
    }
}

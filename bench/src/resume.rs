//! Clients that come back to a hub all at once, and get what they have missed.

use std::io;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::fanout::{Channel, Fanout, Pace};
use crate::net::{self, Protocol, Target};
use crate::report::{Clock, Meter, Report, Timing};

/// A load of clients that come back.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The server.
    pub address: SocketAddrV4,
    /// How many come back.
    pub clients: usize,
    /// How many publications each has missed.
    pub missed: usize,
    /// Payload bytes of a publication.
    pub size: usize,
    /// The process of the server.
    pub server: u32,
}

impl Resume {
    /// Runs the load; a message of the report is a delivery, its latency the time since the first
    /// client began to connect.
    pub fn run(&self) -> io::Result<Report> {
        let cursor = self.publish()?;
        let clock = Clock::start();
        let timing = Timing { warm_up: Duration::ZERO, measure: Duration::ZERO };
        let mut meter = Meter::new(clock, timing, Some(self.server));
        meter.start();
        meter.advance()?;
        let path = format!("/hub/sse?channel=bench.0&cursor={cursor}");
        let fanout = Fanout {
            subscribe: Target::new(self.address, Protocol::Sse, &path),
            publish: Target::new(self.address, Protocol::WebSocket, "/hub-pub/1"),
            subscribers: self.clients,
            channels: 1,
            frames: false,
            size: self.size,
            pace: Pace::Burst(1),
            timing,
            server: None,
        };
        Channel::open_behind(&fanout, clock, self.missed, &mut meter)?.catch_up(&mut meter)?;
        meter.advance()?;
        Ok(meter.finish())
    }

    /// Has the server publish what is to be missed, and returns the cursor from before.
    fn publish(&self) -> io::Result<String> {
        net::get(self.address, &format!("/hub-missed/{}/{}", self.missed, self.size))
    }
}

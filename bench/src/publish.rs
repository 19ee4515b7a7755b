//! Publications that nobody has subscribed to.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use crate::net;
use crate::process::cpu_time;
use crate::report::{Report, Timing};

/// A load of publications in the server's own process.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The server.
    pub address: SocketAddrV4,
    /// Payload bytes of a publication.
    pub size: usize,
    /// How long.
    pub timing: Timing,
    /// The process of the server.
    pub server: u32,
}

impl Publish {
    /// Runs the load; a message of the report is a publication. There are no latencies.
    pub fn run(&self) -> io::Result<Report> {
        let publish = |time: Duration| {
            let path = format!("/hub-alone/{}/{}", self.size, time.as_millis());
            net::get(self.address, &path)?.parse::<u64>().map_err(io::Error::other)
        };
        publish(self.timing.warm_up)?;
        let (cpu, began) = (cpu_time(self.server)?, Instant::now());
        let messages = publish(self.timing.measure)?;
        let elapsed = began.elapsed();
        let server_cpu = cpu_time(self.server)? - cpu;
        Ok(Report { messages, elapsed, server_cpu, ..Report::default() })
    }
}

//! Connections that are opened and dropped again: handshakes per second.

use std::io;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::net::{Handshake, PATIENCE, Poller, READ, Target};
use crate::report::{Clock, Meter, Report, Timing};

/// A load of handshakes. Over plain TCP the echo of the same request takes the answer's place.
#[derive(Clone, Debug)]
pub struct Accept {
    /// Where to.
    pub target: Target,
    /// Handshakes under way at a time.
    pub concurrency: usize,
    /// How long.
    pub timing: Timing,
    /// The process of the server.
    pub server: Option<u32>,
}

impl Accept {
    /// Runs the load; a message of the report is a handshake.
    pub fn run(&self) -> io::Result<Report> {
        let clock = Clock::start();
        let mut meter = Meter::new(clock, self.timing, self.server);
        let request = self.target.request();
        let mut poller = Poller::new()?;
        let mut buffer = vec![0; READ];
        let mut slots = Vec::new();
        for token in 0..self.concurrency {
            slots.push(self.open(&poller, token, clock)?);
        }
        meter.start();
        let mut progress = Instant::now();
        while !meter.advance()? {
            for event in 0..poller.wait(Duration::from_millis(5))? {
                let (token, flags) = poller.event(event);
                let (handshake, began) = &mut slots[token];
                if handshake.advance(flags, &request, &mut buffer)?.is_none() {
                    continue;
                }
                meter.record(clock.now() - *began, 1);
                // A reset leaves no port behind in TIME-WAIT.
                set_socket_linger(&handshake.socket, Some(Duration::ZERO))?;
                slots[token] = self.open(&poller, token, clock)?;
                progress = Instant::now();
            }
            if progress.elapsed() > PATIENCE {
                return Err(io::Error::other("no handshake is answered any more"));
            }
        }
        Ok(meter.finish())
    }

    fn open(&self, poller: &Poller, token: usize, clock: Clock) -> io::Result<(Handshake, u64)> {
        let began = clock.now();
        let handshake = Handshake::start(&self.target, token)?;
        poller.add(&handshake.socket, token)?;
        Ok((handshake, began))
    }
}

//! What is measured: the window of time, the counts and latencies in it, and the processor time
//! that the server spent meanwhile.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::process::{CpuTime, cpu_time};

/// What a reader finds in the bytes from a server.
#[derive(Debug)]
pub enum Item<'a> {
    /// A part of a message's payload, which begins at `offset`.
    Payload {
        /// Where in the message.
        offset: usize,
        /// The part that is here.
        bytes: &'a [u8],
    },
    /// The message is complete and `len` bytes long.
    End {
        /// Bytes of payload.
        len: usize,
    },
    /// A ping that wants an answer.
    Ping(&'a [u8]),
}

/// How long a load runs.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Before it counts. All content is compared then, and samples of it later.
    pub warm_up: Duration,
    /// While it counts.
    pub measure: Duration,
}

/// Nanoseconds since the load began.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at 0.
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    /// The time.
    #[inline]
    pub fn now(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// Counts while its window is open.
pub struct Meter {
    timing: Timing,
    server: Option<u32>,
    clock: Clock,
    open: bool,
    opens_at: u64,
    closes_at: u64,
    before: [CpuTime; 2],
    report: Report,
}

impl Meter {
    /// For a load on the process `server`.
    pub fn new(clock: Clock, timing: Timing, server: Option<u32>) -> Self {
        Meter {
            timing,
            server,
            clock,
            open: false,
            opens_at: u64::MAX,
            closes_at: u64::MAX,
            before: [CpuTime::default(); 2],
            report: Report::default(),
        }
    }

    /// Starts the warm-up.
    pub fn start(&mut self) {
        self.opens_at = self.clock.now() + self.timing.warm_up.as_nanos() as u64;
    }

    /// Whether all content is to be compared, rather than samples.
    pub fn thorough(&self) -> bool {
        !self.open
    }

    /// Counts `count` messages that took `latency` ns each.
    #[inline]
    pub fn record(&mut self, latency: u64, count: u64) {
        if self.open {
            self.report.messages += count;
            self.report.latency.saturating_record_n(latency, count);
        }
    }

    /// Opens and closes the window in time; `true` when it is closed.
    pub fn advance(&mut self) -> io::Result<bool> {
        let now = self.clock.now();
        if !self.open && now >= self.opens_at {
            self.before = self.cpu_times()?;
            self.open = true;
            self.opens_at = self.clock.now();
            self.closes_at = self.opens_at + self.timing.measure.as_nanos() as u64;
        } else if self.open && now >= self.closes_at {
            let [server, client] = self.cpu_times()?;
            self.open = false;
            self.report.elapsed = Duration::from_nanos(self.clock.now() - self.opens_at);
            self.report.server_cpu = server - self.before[0];
            self.report.client_cpu = (client - self.before[1]).used;
            return Ok(true);
        }
        Ok(false)
    }

    /// What was counted.
    pub fn finish(self) -> Report {
        self.report
    }

    fn cpu_times(&self) -> io::Result<[CpuTime; 2]> {
        let server = self.server.map_or(Ok(CpuTime::default()), cpu_time)?;
        Ok([server, cpu_time(std::process::id())?])
    }
}

/// What a load did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Messages, deliveries or handshakes.
    pub messages: u64,
    /// In how much time.
    pub elapsed: Duration,
    /// Processor time of the server in it; zero when its process is not known.
    pub server_cpu: CpuTime,
    /// Processor time of the load itself.
    pub client_cpu: Duration,
    /// Nanoseconds.
    pub latency: Histogram<u64>,
}

impl Default for Report {
    fn default() -> Self {
        let latency = Histogram::new_with_max(60_000_000_000, 3).expect("valid bounds");
        Report {
            messages: 0,
            elapsed: Duration::ZERO,
            server_cpu: CpuTime::default(),
            client_cpu: Duration::ZERO,
            latency,
        }
    }
}

impl Report {
    /// Messages per second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }

    /// Messages per second of server CPU: what survives other load on the machine.
    pub fn per_cpu(&self) -> f64 {
        self.messages as f64 / self.server_cpu.used.as_secs_f64()
    }

    /// A quantile of the latency, in microseconds.
    pub fn quantile(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |cpu: Duration| 100.0 * cpu.as_secs_f64() / self.elapsed.as_secs_f64();
        write!(f, "{:.0}/s, ", self.rate())?;
        if !self.server_cpu.used.is_zero() {
            let [used, waited] = [self.server_cpu.used, self.server_cpu.waited].map(share);
            write!(f, "{:.0} per server CPU second ", self.per_cpu())?;
            write!(f, "(server {used:.0} % and waiting {waited:.0} %, ")?;
        } else {
            write!(f, "(")?;
        }
        write!(f, "load {:.0} % of a core), ", share(self.client_cpu))?;
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| self.quantile(quantile));
        write!(f, "p50 {p50:.0} µs, p99 {p99:.0} µs, p99.9 {p999:.0} µs")
    }
}

//! Event streams of a hub whose program publishes by itself.

use std::io;
use std::time::{Duration, SystemTime};

use rustix::event::epoll::EventFlags;

use crate::net::{self, Connections, PATIENCE, READ, Target};
use crate::process::Usage;
use crate::report::{Clock, Item, Meter, Report, Timing};
use crate::sse;

/// A load of clients that only listen.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The event stream, with frames for data: they tell when a publication was made.
    pub target: Target,
    /// How many clients.
    pub clients: usize,
    /// How long.
    pub timing: Timing,
    /// The process of the server.
    pub server: u32,
}

impl Follow {
    /// Runs the load; a message of the report is a delivery, its latency the time since it was
    /// published, which the server tells to the millisecond. What the server has taken of the
    /// machine is read at the end, with all clients connected.
    pub fn run(&self) -> io::Result<(Report, Usage)> {
        let clock = Clock::start();
        let mut meter = Meter::new(clock, self.timing, Some(self.server));
        let mut streams = Streams::open(self)?;
        let mut progress = clock.now();
        let mut started = false;
        loop {
            if streams.turn(&mut meter)? {
                progress = clock.now();
            }
            if clock.now() - progress > PATIENCE.as_nanos() as u64 {
                let (waiting, clients) = (streams.waiting, self.clients);
                let message = format!("{waiting} of {clients} clients wait for a publication");
                return Err(io::Error::other(message));
            }
            if !started && streams.waiting == 0 {
                meter.start();
                started = true;
            }
            if meter.advance()? {
                return Ok((meter.finish(), Usage::of(self.server)?));
            }
        }
    }
}

struct Streams {
    connections: Connections,
    clients: Vec<Client>,
    /// Clients that have had no publication yet.
    waiting: usize,
    buffer: Vec<u8>,
}

struct Client {
    reader: sse::Reader,
    /// What there is of the current frame.
    frame: Vec<u8>,
    /// The offset of the next publication; `None` until the first has come.
    next: Option<u64>,
}

impl Streams {
    fn open(follow: &Follow) -> io::Result<Self> {
        let mut connections = Connections::new()?;
        connections.open(&follow.target, follow.clients)?;
        let clients: Vec<Client> = connections
            .opened
            .iter()
            .map(|opened| Client {
                reader: sse::Reader::new(opened.chunked),
                frame: Vec::new(),
                next: None,
            })
            .collect();
        let waiting = clients.len();
        let mut streams = Streams { connections, clients, waiting, buffer: vec![0; READ] };
        // What has come meanwhile has no edge left to show, and is too old to count.
        let mut idle = Meter::new(Clock::start(), follow.timing, None);
        for index in 0..streams.clients.len() {
            let early = std::mem::take(&mut streams.connections.opened[index].early);
            streams.clients[index].receive(&early, &mut idle)?;
            streams.read(index, EventFlags::IN, &mut idle)?;
        }
        streams.waiting = streams.clients.iter().filter(|client| client.next.is_none()).count();
        Ok(streams)
    }

    /// Waits and reads what has come; `true` if that was anything.
    fn turn(&mut self, meter: &mut Meter) -> io::Result<bool> {
        let events = self.connections.poller.wait(Duration::from_millis(5))?;
        for event in 0..events {
            let (index, flags) = self.connections.poller.event(event);
            self.read(index, flags, meter).map_err(|error| net::about(index, error))?;
        }
        Ok(events > 0)
    }

    fn read(&mut self, index: usize, flags: EventFlags, meter: &mut Meter) -> io::Result<()> {
        if !flags.intersects(!EventFlags::OUT) {
            return Ok(());
        }
        let client = &mut self.clients[index];
        let waited = client.next.is_none();
        let socket = &self.connections.sockets[index];
        net::read_all(socket, flags, &mut self.buffer, |bytes| client.receive(bytes, meter))?;
        self.waiting -= usize::from(waited && client.next.is_some());
        Ok(())
    }
}

impl Client {
    fn receive(&mut self, bytes: &[u8], meter: &mut Meter) -> io::Result<()> {
        let Client { reader, frame, next } = self;
        reader.feed(bytes, |item| {
            match item {
                Item::Payload { bytes, .. } => frame.extend_from_slice(bytes),
                Item::End { .. } => {
                    let (Some(offset), Some(time)) =
                        (number(frame, b"\"offset\":"), number(frame, b"\"time\":"))
                    else {
                        let frame = String::from_utf8_lossy(frame);
                        return Err(io::Error::other(format!("no publication: {frame}")));
                    };
                    if next.is_some_and(|next| next != offset) {
                        let message = format!("publication {offset} instead of {next:?}");
                        return Err(io::Error::other(message));
                    }
                    *next = Some(offset + 1);
                    meter.record(unix_nanos().saturating_sub(time * 1_000_000), 1);
                    frame.clear();
                }
                Item::Ping(_) => unreachable!("there are none in an event stream"),
            }
            Ok(())
        })
    }
}

fn unix_nanos() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64)
}

/// The number that follows a key.
fn number(frame: &[u8], key: &[u8]) -> Option<u64> {
    let digits = &frame[memchr::memmem::find(frame, key)? + key.len()..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

//! Publications that reach every subscriber.

use std::io;
use std::time::Duration;

use rustix::event::epoll::EventFlags;

use crate::net::{self, Connections, Outgoing, PATIENCE, Protocol, READ, Target};
use crate::report::{Clock, Item, Meter, Report, Timing};
use crate::sse;
use crate::ws::{self, Opcode};

/// A publication begins with its number in so many hexadecimal digits.
const NUMBER: usize = 8;
/// The times of so many publications are remembered.
const REMEMBERED: usize = 1 << 16;
/// How long a subscriber that has seen nothing yet is waited for before one more publication
/// goes out: the end of a handshake does not tell that the subscription has begun.
const NUDGE: Duration = Duration::from_millis(100);

/// A fan-out load.
#[derive(Clone, Debug)]
pub struct Fanout {
    /// Where subscribers connect, over WebSocket or as event streams.
    pub subscribe: Target,
    /// Where the publisher's WebSocket connects.
    pub publish: Target,
    /// How many subscribers.
    pub subscribers: usize,
    /// How many channels they are spread over, and the publications with them, one after the other.
    /// With more than one, a `{}` in the path of the subscribers stands for the channel's number.
    pub channels: usize,
    /// What comes over a subscriber's WebSocket are frames of a hub.
    pub frames: bool,
    /// Payload bytes of a publication.
    pub size: usize,
    /// When to publish.
    pub pace: Pace,
    /// How long.
    pub timing: Timing,
    /// The process of the server.
    pub server: Option<u32>,
}

/// When to publish, on each channel.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// So many back to back, and the next when all subscribers have all of them.
    Burst(usize),
    /// So many per second, whatever has arrived.
    Rate(f64),
}

impl Fanout {
    /// Runs the load; a message of the report is a delivery.
    pub fn run(&self) -> io::Result<Report> {
        let clock = Clock::start();
        let mut meter = Meter::new(clock, self.timing, self.server);
        let mut channel = Channel::open(self, clock)?;
        channel.reach_all(&mut meter)?;
        let (began, mut due) = (clock.now(), 0);
        meter.start();
        loop {
            match self.pace {
                Pace::Burst(count) if channel.state.behind == 0 => {
                    channel.publish(count, clock.now())?;
                }
                Pace::Burst(_) => {}
                Pace::Rate(rate) => {
                    let now = (clock.now() - began) as f64;
                    while due as f64 * 1e9 / rate <= now {
                        channel.publish(1, began + (due as f64 * 1e9 / rate) as u64)?;
                        due += 1;
                    }
                }
            }
            let timeout = match self.pace {
                Pace::Burst(_) => Duration::from_millis(5),
                Pace::Rate(_) => Duration::ZERO,
            };
            channel.turn(timeout, &mut meter)?;
            if meter.advance()? {
                return Ok(meter.finish());
            }
        }
    }
}

/// The sockets, of which the publisher's is the last, and what goes over them.
pub(crate) struct Channel {
    connections: Connections,
    state: State,
    buffer: Vec<u8>,
}

struct State {
    subscribers: Vec<Subscriber>,
    publisher: Publisher,
    filler: Vec<u8>,
    published: Published,
    channels: u32,
    clock: Clock,
    /// Subscribers that lack a publication.
    behind: usize,
    /// When the last publication arrived anywhere.
    progress: u64,
}

#[derive(Default)]
struct Publisher {
    reader: ws::Reader,
    outgoing: Outgoing,
}

/// When which publication was sent.
struct Published {
    count: u32,
    times: Vec<u64>,
}

impl Published {
    fn time(&mut self, number: u32) -> &mut u64 {
        &mut self.times[number as usize % REMEMBERED]
    }
}

struct Subscriber {
    reader: Reader,
    pongs: Outgoing,
    number: [u8; NUMBER],
    /// The publication that comes next; `None` until the first has come.
    next: Option<u32>,
}

enum Reader {
    WebSocket(ws::Reader),
    /// With what there is of the current frame.
    Frames(ws::Reader, Vec<u8>),
    Sse(sse::Reader),
}

impl Channel {
    pub(crate) fn open(fanout: &Fanout, clock: Clock) -> io::Result<Self> {
        let mut idle = Meter::new(clock, fanout.timing, None);
        Channel::open_behind(fanout, clock, 0, &mut idle)
    }

    /// The same, after so many publications that each subscriber is to get.
    pub(crate) fn open_behind(
        fanout: &Fanout,
        clock: Clock,
        published: usize,
        meter: &mut Meter,
    ) -> io::Result<Self> {
        let times = vec![clock.now(); REMEMBERED];
        let mut connections = Connections::new()?;
        connections.open_over(&fanout.subscribe, fanout.channels, fanout.subscribers)?;
        connections.open(&fanout.publish, 1)?;
        let subscribers = connections.opened.iter().take(fanout.subscribers).map(|opened| {
            let reader = match fanout.subscribe.protocol {
                Protocol::Sse => Reader::Sse(sse::Reader::new(opened.chunked)),
                _ if fanout.frames => Reader::Frames(ws::Reader::default(), Vec::new()),
                _ => Reader::WebSocket(ws::Reader::default()),
            };
            let next = (published > 0).then_some(0);
            Subscriber { reader, pongs: Outgoing::default(), number: [0; NUMBER], next }
        });
        let state = State {
            subscribers: subscribers.collect(),
            publisher: Publisher::default(),
            filler: vec![b'x'; fanout.size.saturating_sub(NUMBER)],
            published: Published { count: published as u32, times },
            channels: fanout.channels as u32,
            clock,
            behind: if published > 0 { fanout.subscribers } else { 0 },
            progress: clock.now(),
        };
        let mut channel = Channel { connections, state, buffer: vec![0; READ] };
        for index in 0..channel.connections.sockets.len() {
            let early = std::mem::take(&mut channel.connections.opened[index].early);
            channel.state.receive(index, &early, meter)?;
            channel.on_event(index, EventFlags::IN, meter)?;
        }
        Ok(channel)
    }

    /// Goes on until every subscriber has all that was published.
    pub(crate) fn catch_up(&mut self, meter: &mut Meter) -> io::Result<()> {
        while self.state.behind > 0 {
            self.turn(Duration::from_millis(5), meter)?;
        }
        Ok(())
    }

    /// Publishes one by one until every subscriber has received something, and all that was
    /// published since.
    pub(crate) fn reach_all(&mut self, meter: &mut Meter) -> io::Result<()> {
        let clock = self.state.clock;
        self.publish(1, clock.now())?;
        let mut nudged = clock.now();
        while self.state.behind > 0 {
            self.turn(Duration::from_millis(5), meter)?;
            if clock.now() - self.state.progress.max(nudged) > NUDGE.as_nanos() as u64 {
                self.publish(1, clock.now())?;
                nudged = clock.now();
            }
        }
        Ok(())
    }

    fn publish(&mut self, count: usize, intended: u64) -> io::Result<()> {
        self.state.publish(count, intended);
        let publisher = self.connections.sockets.last().expect("the publisher is open");
        self.state.publisher.outgoing.flush(publisher)
    }

    /// Waits and handles what happened.
    pub(crate) fn turn(&mut self, timeout: Duration, meter: &mut Meter) -> io::Result<()> {
        for event in 0..self.connections.poller.wait(timeout)? {
            let (index, flags) = self.connections.poller.event(event);
            self.on_event(index, flags, meter).map_err(|error| net::about(index, error))?;
        }
        self.state.check_progress()
    }

    fn on_event(&mut self, index: usize, flags: EventFlags, meter: &mut Meter) -> io::Result<()> {
        let Channel { connections, state, buffer } = self;
        let socket = &connections.sockets[index];
        if flags.intersects(!EventFlags::OUT) {
            net::read_all(socket, flags, buffer, |bytes| state.receive(index, bytes, meter))?;
        }
        state.outgoing(index).flush(socket)
    }
}

impl State {
    /// Publishes so many on each channel.
    fn publish(&mut self, count: usize, intended: u64) {
        for _ in 0..count * self.channels as usize {
            let number = self.published.count;
            *self.published.time(number) = intended;
            let mut payload = format!("{number:0NUMBER$x}").into_bytes();
            payload.extend_from_slice(&self.filler);
            ws::push_frame(&mut self.publisher.outgoing.bytes, Opcode::Text, &payload);
            self.published.count += 1;
        }
        self.behind = self.subscribers.len();
    }

    fn outgoing(&mut self, index: usize) -> &mut Outgoing {
        match self.subscribers.get_mut(index) {
            Some(subscriber) => &mut subscriber.pongs,
            None => &mut self.publisher.outgoing,
        }
    }

    fn check_progress(&self) -> io::Result<()> {
        let idle = self.clock.now().saturating_sub(self.progress);
        if self.behind == 0 || idle <= PATIENCE.as_nanos() as u64 {
            return Ok(());
        }
        let (behind, published) = (self.behind, self.published.count);
        let message = format!("{behind} subscribers lack some of {published} publications");
        Err(io::Error::other(message))
    }

    fn receive(&mut self, index: usize, bytes: &[u8], meter: &mut Meter) -> io::Result<()> {
        let now = self.clock.now();
        let State { subscribers, publisher, filler, published, channels, behind, progress, .. } =
            self;
        let Some(subscriber) = subscribers.get_mut(index) else {
            let outgoing = &mut publisher.outgoing.bytes;
            return publisher.reader.feed(bytes, |item| {
                if let Item::Ping(payload) = item {
                    ws::push_frame(outgoing, Opcode::Pong, payload);
                }
                Ok(())
            });
        };
        let Subscriber { reader, pongs, number, next } = subscriber;
        let mut on_item = |item: Item<'_>| match item {
            Item::Payload { offset, bytes } => check(offset, bytes, number, filler),
            Item::End { len } => {
                let got = parse(number, len, filler.len())?;
                let wrong = next.is_some_and(|next| next != got);
                if wrong || got >= published.count || got % *channels != index as u32 % *channels {
                    let message = format!("publication {got} instead of {next:?}");
                    return Err(io::Error::other(message));
                }
                *next = Some(got + *channels);
                *behind -= usize::from(got + *channels >= published.count);
                *progress = now;
                meter.record(now.saturating_sub(*published.time(got)), 1);
                Ok(())
            }
            Item::Ping(payload) => {
                ws::push_frame(&mut pongs.bytes, Opcode::Pong, payload);
                Ok(())
            }
        };
        match reader {
            Reader::WebSocket(reader) => reader.feed(bytes, on_item),
            Reader::Sse(reader) => reader.feed(bytes, on_item),
            Reader::Frames(reader, frame) => reader.feed(bytes, |item| match item {
                Item::Payload { bytes, .. } => {
                    frame.extend_from_slice(bytes);
                    Ok(())
                }
                Item::End { .. } => {
                    if let Some(data) = publication(frame) {
                        on_item(Item::Payload { offset: 0, bytes: data })?;
                        on_item(Item::End { len: data.len() })?;
                    }
                    frame.clear();
                    Ok(())
                }
                ping => on_item(ping),
            }),
        }
    }
}

/// What was published, if that is what a frame of a hub tells. Publications have nothing in them
/// that JSON would write otherwise.
fn publication(frame: &[u8]) -> Option<&[u8]> {
    const PUB: &[u8] = br#"{"type":"pub","#;
    const DATA: &[u8] = br#""data":""#;
    let frame = frame.strip_prefix(PUB)?;
    let data = &frame[memchr::memmem::find(frame, DATA)? + DATA.len()..];
    Some(&data[..memchr::memchr(b'"', data)?])
}

/// Takes the number out of a piece of a publication, and compares the rest.
#[inline]
fn check(offset: usize, piece: &[u8], number: &mut [u8; NUMBER], filler: &[u8]) -> io::Result<()> {
    let (digits, rest) = piece.split_at(NUMBER.saturating_sub(offset).min(piece.len()));
    if !digits.is_empty() {
        number[offset..offset + digits.len()].copy_from_slice(digits);
    }
    let from = (offset + digits.len()).saturating_sub(NUMBER);
    if filler.get(from..from + rest.len()) == Some(rest) {
        return Ok(());
    }
    Err(io::Error::other(format!("a publication arrived changed, after byte {offset}")))
}

#[inline]
fn parse(number: &[u8; NUMBER], len: usize, filler: usize) -> io::Result<u32> {
    let digits = number
        .iter()
        .try_fold(0, |value: u32, &digit| Some(value << 4 | (digit as char).to_digit(16)?));
    match digits {
        Some(number) if len == NUMBER + filler => Ok(number),
        _ => Err(io::Error::other(format!("a publication of {len} bytes, number {number:?}"))),
    }
}

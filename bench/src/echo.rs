//! Messages that come back: a fixed number in flight on each connection, or a fixed rate.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use rustix::event::epoll::EventFlags;

use crate::net::{self, Connections, Outgoing, PATIENCE, Protocol, READ, Target};
use crate::report::{Clock, Item, Meter, Report, Timing};
use crate::ws::{self, Opcode};

/// So many messages in a row differ, which shows a server that loses, doubles or swaps some.
const DISTINCT: usize = 4;
/// How much of either end of a larger piece is compared while it counts.
const SAMPLE: usize = 128;

/// An echo load.
#[derive(Clone, Debug)]
pub struct Echo {
    /// Where to; over plain TCP the messages are not framed.
    pub target: Target,
    /// How many connections.
    pub connections: usize,
    /// Payload bytes of each message.
    pub size: usize,
    /// Messages in flight on each connection.
    pub pipeline: usize,
    /// Messages per second over all connections, sent when they are due whatever has come back;
    /// the latency counts from then. `pipeline` has no meaning with it.
    pub rate: Option<f64>,
    /// Never sleep, as with `rate`. Over loopback it is the server that pays for waking the load.
    pub spin: bool,
    /// Text messages rather than binary ones.
    pub text: bool,
    /// How long.
    pub timing: Timing,
    /// The process of the server.
    pub server: Option<u32>,
}

impl Echo {
    /// Runs the load.
    pub fn run(&self) -> io::Result<Report> {
        let clock = Clock::start();
        let mut meter = Meter::new(clock, self.timing, self.server);
        let mut echoes = Echoes::open(self, clock)?;
        let began = clock.now();
        meter.start();
        if self.rate.is_none() {
            echoes.send_on_all(self.pipeline)?;
        }
        let (mut due, mut next) = (0, 0);
        loop {
            let timeout = match self.rate {
                None if !self.spin => Duration::from_millis(5),
                _ => Duration::ZERO,
            };
            echoes.turn(timeout, &mut meter, self.rate.is_none())?;
            if let Some(rate) = self.rate {
                let now = (clock.now() - began) as f64;
                while due as f64 * 1e9 / rate <= now {
                    let intended = began + (due as f64 * 1e9 / rate) as u64;
                    echoes.send(next, 1, intended)?;
                    next = (next + 1) % self.connections;
                    due += 1;
                }
            }
            if meter.advance()? {
                return Ok(meter.finish());
            }
        }
    }
}

/// Open connections and what is under way on them.
pub(crate) struct Echoes {
    connections: Connections,
    each: Vec<Connection>,
    messages: Messages,
    buffer: Vec<u8>,
    clock: Clock,
    /// Messages that have not come back.
    pub(crate) outstanding: usize,
    progress: u64,
}

/// What is sent, over and over, and what comes back.
struct Messages {
    /// The encoded messages in their order, continued far enough that any slice of a pipeline's
    /// length is in one piece.
    encoded: Vec<u8>,
    /// Encoded bytes of one.
    encoded_len: usize,
    /// The payload of message `n` begins at `n % DISTINCT`.
    pattern: Vec<u8>,
    size: usize,
}

#[derive(Default)]
struct Connection {
    /// `None`: plain TCP.
    reader: Option<ws::Reader>,
    /// Where in `Messages::encoded` the next byte is, and how many are to go out.
    at: usize,
    unsent: usize,
    /// When those that are under way were sent.
    sent: VecDeque<u64>,
    /// The number of the message that comes back next.
    expected: usize,
    /// Bytes of it that have come; for plain TCP.
    received: usize,
    pongs: Outgoing,
}

impl Messages {
    fn new(echo: &Echo) -> Self {
        let pattern: Vec<u8> = (b'a'..=b'w').cycle().take(echo.size + DISTINCT).collect();
        let mut encoded = Vec::new();
        for number in 0..DISTINCT + echo.pipeline {
            let payload = &pattern[number % DISTINCT..][..echo.size];
            match (echo.target.protocol, echo.text) {
                (Protocol::WebSocket, true) => ws::push_frame(&mut encoded, Opcode::Text, payload),
                (Protocol::WebSocket, false) => {
                    ws::push_frame(&mut encoded, Opcode::Binary, payload);
                }
                _ => encoded.extend_from_slice(payload),
            }
        }
        let encoded_len = encoded.len() / (DISTINCT + echo.pipeline);
        Messages { encoded, encoded_len, pattern, size: echo.size }
    }

    /// Compares a piece of the payload of message `number`.
    #[inline]
    fn check(&self, number: usize, offset: usize, piece: &[u8], all: bool) -> io::Result<()> {
        let expected = &self.pattern[number % DISTINCT..][..self.size];
        let expected = expected.get(offset..offset + piece.len());
        let same = expected.is_some_and(|expected| {
            if all || piece.len() <= 2 * SAMPLE {
                return piece == expected;
            }
            let end = piece.len() - SAMPLE;
            piece[..SAMPLE] == expected[..SAMPLE] && piece[end..] == expected[end..]
        });
        if same {
            return Ok(());
        }
        let message = format!("message {number} came back changed, at byte {offset} or later");
        Err(io::Error::other(message))
    }
}

impl Echoes {
    pub(crate) fn open(echo: &Echo, clock: Clock) -> io::Result<Self> {
        let mut connections = Connections::new()?;
        connections.open(&echo.target, echo.connections)?;
        let framed = echo.target.protocol == Protocol::WebSocket;
        let connection =
            || Connection { reader: framed.then(ws::Reader::default), ..Connection::default() };
        let each = std::iter::repeat_with(connection).take(echo.connections).collect();
        let mut echoes = Echoes {
            connections,
            each,
            messages: Messages::new(echo),
            buffer: vec![0; READ],
            clock,
            outstanding: 0,
            progress: clock.now(),
        };
        // Nothing is expected yet, but a ping may have come.
        let mut idle = Meter::new(clock, echo.timing, None);
        for index in 0..echo.connections {
            let early = std::mem::take(&mut echoes.connections.opened[index].early);
            echoes.each[index].receive(&echoes.messages, &early, &mut idle, 0)?;
            echoes.on_event(index, EventFlags::IN, &mut idle, false)?;
        }
        Ok(echoes)
    }

    /// Sends `count` messages on each connection.
    pub(crate) fn send_on_all(&mut self, count: usize) -> io::Result<()> {
        for index in 0..self.each.len() {
            self.send(index, count, self.clock.now())?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, count: usize, intended: u64) -> io::Result<()> {
        let connection = &mut self.each[index];
        connection.sent.extend(std::iter::repeat_n(intended, count));
        connection.unsent += count * self.messages.encoded_len;
        self.outstanding += count;
        self.write(index)
    }

    fn write(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.each[index];
        connection
            .write(&self.messages, &self.connections.sockets[index])
            .map_err(|error| net::about(index, error))
    }

    /// Waits and handles what happened; answers each echo with a new message when told so.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        meter: &mut Meter,
        again: bool,
    ) -> io::Result<()> {
        let events = self.connections.poller.wait(timeout)?;
        for event in 0..events {
            let (index, flags) = self.connections.poller.event(event);
            self.on_event(index, flags, meter, again)?;
        }
        let now = self.clock.now();
        if events > 0 || self.outstanding == 0 {
            self.progress = now;
        } else if now - self.progress > PATIENCE.as_nanos() as u64 {
            let message = format!("{} messages did not come back", self.outstanding);
            return Err(io::Error::other(message));
        }
        Ok(())
    }

    fn on_event(
        &mut self,
        index: usize,
        flags: EventFlags,
        meter: &mut Meter,
        again: bool,
    ) -> io::Result<()> {
        if flags.contains(EventFlags::OUT) && self.each[index].unsent > 0 {
            self.write(index)?;
        }
        if !flags.intersects(!EventFlags::OUT) {
            return Ok(());
        }
        let (connection, messages, clock) = (&mut self.each[index], &self.messages, self.clock);
        let before = connection.sent.len();
        let socket = &self.connections.sockets[index];
        net::read_all(socket, flags, &mut self.buffer, |bytes| {
            connection.receive(messages, bytes, meter, clock.now())
        })
        .map_err(|error| net::about(index, error))?;
        let returned = before - connection.sent.len();
        self.outstanding -= returned;
        if again && returned > 0 {
            return self.send(index, returned, self.clock.now());
        }
        if !self.each[index].pongs.bytes.is_empty() {
            return self.write(index);
        }
        Ok(())
    }
}

impl Connection {
    fn receive(
        &mut self,
        messages: &Messages,
        mut bytes: &[u8],
        meter: &mut Meter,
        now: u64,
    ) -> io::Result<()> {
        let Connection { reader, sent, expected, received, pongs, .. } = self;
        let all = meter.thorough();
        let mut on_item = |item: Item<'_>| match item {
            Item::Payload { offset, bytes } => messages.check(*expected, offset, bytes, all),
            Item::End { len } => {
                let sent = sent.pop_front();
                let (Some(sent), true) = (sent, len == messages.size) else {
                    let message = format!("a message of {len} bytes that nobody sent");
                    return Err(io::Error::other(message));
                };
                *expected += 1;
                meter.record(now.saturating_sub(sent), 1);
                Ok(())
            }
            Item::Ping(payload) => {
                ws::push_frame(&mut pongs.bytes, Opcode::Pong, payload);
                Ok(())
            }
        };
        if let Some(reader) = reader {
            return reader.feed(bytes, on_item);
        }
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(bytes.len().min(messages.size - *received));
            on_item(Item::Payload { offset: *received, bytes: piece })?;
            *received += piece.len();
            bytes = rest;
            if *received == messages.size {
                on_item(Item::End { len: std::mem::take(received) })?;
            }
        }
        Ok(())
    }

    fn write(&mut self, messages: &Messages, socket: &std::net::TcpStream) -> io::Result<()> {
        let between_messages = self.at.is_multiple_of(messages.encoded_len);
        if between_messages && !self.pongs.bytes.is_empty() {
            self.pongs.flush(socket)?;
        }
        while self.unsent > 0 && self.pongs.bytes.is_empty() {
            let end = messages.encoded.len().min(self.at + self.unsent);
            let n = net::write_some(socket, &messages.encoded[self.at..end])?;
            if n == 0 {
                break;
            }
            self.unsent -= n;
            self.at = (self.at + n) % (DISTINCT * messages.encoded_len);
        }
        Ok(())
    }
}

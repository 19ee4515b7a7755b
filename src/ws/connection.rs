//! The task of a connection: it owns the stream, and runs the handler if there is one.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::codec::{CloseCode as Code, Decoder, Item, ProtocolError};
use super::shared::{Shared, Tie};
use super::{CloseCode, Config};
use crate::transport::{Limit, Membership, Stream, WriteQueue, scratch};

/// As good as never, and not too far away to be added to the time.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// How often a task reads before it lets other connections have their turn.
const TURNS: usize = 4;

/// How much is read at once of what is not wanted any more.
const LINGER_READ: usize = 64 * 1024;

thread_local! {
    /// What one read brought, on its way to the shared state.
    static BATCH: RefCell<Vec<Item>> = const { RefCell::new(Vec::new()) };
}

pin_project! {
    /// Drives a connection until its stream has ended and its handler is done.
    ///
    /// One wake-up reads what there is, runs the handler on it, and writes what the handler and
    /// others queued meanwhile in one go.
    pub(crate) struct Connection<H> {
        shared: Tie,
        link: Option<Link>,
        #[pin]
        timer: Sleep,
        #[pin]
        handler: Option<H>,
    }
}

impl<H: Future<Output = ()>> Connection<H> {
    /// `prefix` is what was read from the stream already.
    pub(crate) fn new(
        stream: Stream,
        prefix: Bytes,
        decoder: Decoder,
        shared: Tie,
        config: Arc<Config>,
        membership: Option<Membership>,
        handler: Option<H>,
    ) -> Self {
        let link = Link::new(stream, prefix, decoder, config, membership);
        // Armed by the first poll.
        let timer = sleep_until(Instant::now());
        Connection { shared, link: Some(link), timer, handler }
    }
}

impl<H: Future<Output = ()>> Future for Connection<H> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        let mut turns = 0;
        loop {
            let read = match this.link {
                Some(link) => link.receive(cx, this.shared, this.timer.as_mut()),
                None => Poll::Pending,
            };
            let mut again = read.is_ready();
            if turns == 0 || again {
                // What the handler queues is written behind it, also if nothing came that woke it.
                if this.handler.is_some() && this.link.is_some() && !again {
                    this.shared.will_flush();
                }
                poll_handler(this.handler.as_mut(), this.shared, cx);
            }
            if let Some(link) = this.link {
                // Only now, so that the handler has answered what came before.
                if let Poll::Ready(read) = read {
                    link.conclude(read, cx, this.shared, this.timer.as_mut());
                }
                match link.send(cx, this.shared, this.timer.as_mut()) {
                    Poll::Ready(End) => *this.link = None,
                    Poll::Pending => again |= link.can_read_on(),
                }
            }
            if this.link.is_none() {
                // The handler learns of the end; it may go on with other work.
                poll_handler(this.handler.as_mut(), this.shared, cx);
                return if this.handler.is_none() { Poll::Ready(()) } else { Poll::Pending };
            }
            if !again {
                return Poll::Pending;
            }
            turns += 1;
            if turns == TURNS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }
}

/// A handler that panics closes its own connection and takes nothing else down.
fn poll_handler<H: Future<Output = ()>>(
    mut handler: Pin<&mut Option<H>>,
    shared: &Shared,
    cx: &mut Context<'_>,
) {
    let Some(running) = handler.as_mut().as_pin_mut() else { return };
    match catch_unwind(AssertUnwindSafe(|| running.poll(cx))) {
        Ok(Poll::Pending) => return,
        Ok(Poll::Ready(())) => {}
        Err(_) => {
            tracing::error!("a WebSocket handler panicked");
            shared.close(CloseCode::ERROR, "");
        }
    }
    handler.set(None);
}

/// The stream is done with.
struct End;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not polled yet.
    New,
    Open,
    /// This side has sent, or queued, a close frame, and waits for the peer's.
    Closing,
    /// There is nothing more to say. What is queued is written, then our direction is shut down,
    /// and the stream is dropped when the peer has closed its own: closing with data unread would
    /// make TCP discard what we said last.
    Lingering,
}

struct Link {
    stream: Stream,
    /// What was read and not yet decoded: with the handshake, or behind messages that filled the
    /// receive queue. A copy: even an empty `Bytes` keeps the buffer of the HTTP library in memory.
    prefix: Option<Box<[u8]>>,
    decoder: Decoder,
    unsent: WriteQueue,
    phase: Phase,
    /// How many bytes may be read; 0 while the application is behind.
    room: usize,
    /// The last read was held up by the application, not by the socket.
    held_up: bool,
    /// Our direction was shut down.
    shut: bool,
    /// The peer's direction was.
    peer_shut: bool,
    /// The stream is lost, or cut.
    over: bool,
    alive: Liveness,
    rate: Option<Box<Rate>>,
    config: Arc<Config>,
    membership: Option<Membership>,
}

impl Link {
    fn new(
        stream: Stream,
        prefix: Bytes,
        decoder: Decoder,
        config: Arc<Config>,
        membership: Option<Membership>,
    ) -> Self {
        Link {
            stream,
            prefix: (!prefix.is_empty()).then(|| prefix.as_ref().into()),
            decoder,
            unsent: WriteQueue::default(),
            phase: Phase::New,
            room: config.receive_queue,
            held_up: false,
            shut: false,
            peer_shut: false,
            over: false,
            alive: Liveness::new(&config),
            rate: config.max_messages_per_second.map(|limit| Box::new(Rate::new(limit))),
            config,
            membership,
        }
    }

    /// Reads once and hands on what came; what follows from it is for `conclude`.
    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<Read> {
        if self.phase == Phase::New {
            shared.attach(cx.waker());
            self.phase = Phase::Open;
            self.arm(cx, timer.as_mut(), self.alive.next_tick(&self.config, false));
        }
        if timer.is_elapsed() {
            self.on_timer(cx, shared, timer.as_mut());
        }
        if self.phase == Phase::Lingering {
            // Nothing of it is kept any more.
            self.room = LINGER_READ;
        }
        self.held_up = self.room == 0;
        if let Some(rate) = &mut self.rate {
            rate.held_up |= self.held_up;
        }
        if self.held_up || self.peer_shut || self.over {
            return Poll::Pending;
        }
        BATCH.with_borrow_mut(|batch| {
            let read = ready!(self.poll_decode(cx, batch));
            if !batch.is_empty() {
                shared.deliver(batch);
            }
            Poll::Ready(read)
        })
    }

    fn conclude(
        &mut self,
        read: Read,
        cx: &mut Context<'_>,
        shared: &Shared,
        timer: Pin<&mut Sleep>,
    ) {
        match read {
            Read::Data => {}
            Read::Closed(close) => {
                shared.peer_closed(close);
                self.linger(cx, timer);
            }
            Read::Invalid(error) => {
                if error == ProtocolError::TooLarge {
                    self.hit(Limit::MessageSize);
                }
                shared.fail(error.close_code(), &error.to_string());
                self.linger(cx, timer);
            }
            Read::TooFast => {
                self.hit(Limit::MessageRate);
                shared.fail(Code::Policy, "too many messages");
                self.linger(cx, timer);
            }
            Read::End(None) if self.phase == Phase::Lingering => {
                self.peer_shut = true;
            }
            Read::End(error) => {
                let reason = error.map_or_else(|| "connection lost".into(), |e| e.to_string());
                shared.lost(&reason);
                self.over = true;
            }
        }
    }

    fn poll_decode(&mut self, cx: &mut Context<'_>, batch: &mut Vec<Item>) -> Poll<Read> {
        if let Some(mut prefix) = self.prefix.take() {
            return Poll::Ready(self.decode(&mut prefix, batch));
        }
        scratch::with_input(|buffer| {
            let window = self.room.min(buffer.len());
            let mut input = ReadBuf::new(&mut buffer[..window]);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut input)) {
                Ok(()) if input.filled().is_empty() => Poll::Ready(Read::End(None)),
                Ok(()) => Poll::Ready(self.decode(input.filled_mut(), batch)),
                Err(error) => Poll::Ready(Read::End(Some(error))),
            }
        })
    }

    fn decode(&mut self, input: &mut [u8], batch: &mut Vec<Item>) -> Read {
        self.alive.heard_at = Instant::now();
        if matches!(self.phase, Phase::Lingering) {
            return Read::Data;
        }
        let (mut messages, mut bytes, mut close) = (0, 0, None);
        let room = self.room as u64;
        let result = self.decoder.decode_until(input, |item| {
            match item {
                Item::Close(frame) => close = Some(frame),
                Item::Pong(_) => {}
                Item::Ping(_) => batch.push(item),
                Item::Message(ref message) => {
                    messages += 1;
                    bytes += message.len() as u64;
                    batch.push(item);
                }
            }
            // Compressed, the messages of one read may be a thousand times its size.
            if bytes < room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if messages > 0 {
            self.alive.active();
            if let Some(membership) = &self.membership {
                membership.traffic().received(messages, bytes);
            }
            if self.rate.as_mut().is_some_and(|rate| !rate.allows(messages)) {
                batch.clear();
                return Read::TooFast;
            }
        }
        match (result, close) {
            (Err(error), _) => Read::Invalid(error),
            (Ok(_), Some(frame)) => Read::Closed(frame),
            (Ok(left), None) => {
                self.prefix = (left > 0).then(|| input[input.len() - left..].into());
                Read::Data
            }
        }
    }

    /// Writes all that is queued, as far as the socket takes it.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<End> {
        let (mut written, mut blocked) = (0, false);
        let was_open = self.phase == Phase::Open;
        let was_late = !was_open && !self.unsent.is_empty();
        loop {
            let signals = shared.exchange(written, &mut self.unsent);
            self.room = signals.room;
            self.count(written, signals.queued_messages);
            if signals.abort || self.over {
                shared.lost("connection aborted");
                return Poll::Ready(End);
            }
            if signals.closing && self.phase == Phase::Open {
                self.phase = Phase::Closing;
            }
            if blocked || self.unsent.is_empty() {
                break;
            }
            written = 0;
            match self.unsent.poll_write(cx, &mut self.stream, &mut written) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    shared.lost(&error.to_string());
                    return Poll::Ready(End);
                }
                Poll::Pending => blocked = true,
            }
            self.alive.progressed |= written > 0;
        }
        let closes = was_open && self.phase == Phase::Closing;
        // What was queued before the close frame may have taken its time.
        if closes || (was_late && self.unsent.is_empty()) {
            self.alive.progressed = false;
            self.arm(cx, timer.as_mut(), Some(self.config.close_timeout));
        }
        if blocked && self.phase == Phase::Open && !self.alive.watched {
            (self.alive.watched, self.alive.progressed) = (true, false);
            let next = self.alive.next_tick(&self.config, true);
            self.arm(cx, timer, next);
        }
        self.flush(cx, shared)
    }

    fn flush(&mut self, cx: &mut Context<'_>, shared: &Shared) -> Poll<End> {
        if !matches!(self.stream, Stream::Tcp(_))
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            shared.lost(&error.to_string());
            return Poll::Ready(End);
        }
        if matches!(self.phase, Phase::Lingering) && self.unsent.is_empty() {
            if !self.shut {
                self.shut = ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_ok();
            }
            if self.peer_shut || !self.shut {
                return Poll::Ready(End);
            }
        }
        Poll::Pending
    }

    fn count(&self, written: usize, queued: u64) {
        let Some(membership) = &self.membership else { return };
        if queued > 0 {
            membership.traffic().queued(queued);
        }
        if written > 0 {
            membership.traffic().sent(written as u64);
        }
    }

    /// Whether reading was held up and is not any more.
    fn can_read_on(&self) -> bool {
        self.held_up && self.room > 0
    }

    fn linger(&mut self, cx: &mut Context<'_>, timer: Pin<&mut Sleep>) {
        self.phase = Phase::Lingering;
        self.alive.progressed = false;
        self.arm(cx, timer, Some(self.config.close_timeout));
    }

    fn on_timer(&mut self, cx: &mut Context<'_>, shared: &Shared, timer: Pin<&mut Sleep>) {
        match self.phase {
            Phase::New => {}
            Phase::Closing | Phase::Lingering
                if !self.unsent.is_empty() && std::mem::take(&mut self.alive.progressed) =>
            {
                self.arm(cx, timer, Some(self.config.close_timeout));
            }
            Phase::Closing | Phase::Lingering => {
                shared.lost("close timed out");
                self.over = true;
            }
            Phase::Open => {
                let held_up = self.room == 0;
                if shared.unread_bytes() > 0 {
                    // It is the application that has not said anything.
                    self.alive.active();
                }
                match self.alive.tick(&self.config, held_up, !self.unsent.is_empty()) {
                    Verdict::Alive => {}
                    Verdict::Ask => shared.ping(),
                    Verdict::Idle => {
                        self.hit(Limit::IdleTimeout);
                        shared.close(CloseCode::AWAY, "idle");
                        return;
                    }
                    Verdict::Dead => {
                        self.hit(Limit::PeerTimeout);
                        shared.lost("the peer does not answer");
                        self.over = true;
                        return;
                    }
                }
                self.alive.watched = !self.unsent.is_empty();
                let next = self.alive.next_tick(&self.config, self.alive.watched);
                // Set in any case, or it would count as elapsed on every poll.
                self.arm(cx, timer, next.or(Some(FAR)));
            }
        }
    }

    /// Sets the timer, and has it wake this task.
    fn arm(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>, after: Option<Duration>) {
        if let Some(after) = after {
            timer.as_mut().reset(Instant::now() + after.min(FAR));
            // A deadline that has passed already is seen by `is_elapsed` on the next poll.
            if timer.poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    fn hit(&self, limit: Limit) {
        if let Some(membership) = &self.membership {
            membership.limit_hit(limit);
        }
    }
}

enum Read {
    Data,
    Closed(Option<(Code, tokio_tungstenite::tungstenite::Utf8Bytes)>),
    Invalid(ProtocolError),
    TooFast,
    End(Option<io::Error>),
}

/// Whether the peer is still there, judged each time the timer fires and not on every message.
struct Liveness {
    /// When the last message came, if that matters.
    active: Option<Box<Instant>>,
    /// When something came in last.
    heard_at: Instant,
    /// The socket took something since this was last looked at.
    progressed: bool,
    /// When a ping was sent that nothing has answered yet, or the socket was found to take nothing.
    asked: Option<Instant>,
    /// The timer looks after bytes that the socket has not taken.
    watched: bool,
}

enum Verdict {
    Alive,
    Ask,
    Idle,
    Dead,
}

impl Liveness {
    fn new(config: &Config) -> Self {
        Liveness {
            active: config.idle_timeout.map(|_| Box::new(Instant::now())),
            heard_at: Instant::now(),
            progressed: false,
            asked: None,
            watched: false,
        }
    }

    /// A message came in, or still waits to be received.
    fn active(&mut self) {
        if let Some(active) = &mut self.active {
            **active = Instant::now();
        }
    }

    /// `unsent`: bytes wait for the socket.
    fn next_tick(&self, config: &Config, unsent: bool) -> Option<Duration> {
        let idle = config.idle_timeout.zip(self.active.as_deref());
        let idle = idle.map(|(timeout, active)| timeout.saturating_sub(active.elapsed()));
        let silence = config.ping_interval.map(|interval| match self.asked {
            Some(_) => interval,
            None => interval.saturating_sub(self.heard_at.elapsed()),
        });
        let patience = match self.asked {
            Some(at) => Some(config.peer_timeout.saturating_sub(at.elapsed())),
            None => unsent.then_some(config.peer_timeout),
        };
        idle.into_iter().chain(silence).chain(patience).min()
    }

    /// `held_up`: the socket was not read, which is not the peer's fault. `unsent`: bytes wait for
    /// the socket.
    fn tick(&mut self, config: &Config, held_up: bool, unsent: bool) -> Verdict {
        let idle = config.idle_timeout.zip(self.active.as_deref());
        if idle.is_some_and(|(timeout, active)| active.elapsed() >= timeout) {
            return Verdict::Idle;
        }
        if held_up {
            self.heard_at = Instant::now();
        }
        let progressed = self.progressed || !unsent;
        if let Some(at) = self.asked {
            let heard = self.heard_at >= at || config.ping_interval.is_none();
            if !heard && unsent && self.progressed {
                // The ping may still be behind what the peer is busy taking.
                self.progressed = false;
                self.asked = Some(Instant::now());
                return Verdict::Alive;
            }
            if !heard || !progressed {
                let dead = at.elapsed() >= config.peer_timeout;
                return if dead { Verdict::Dead } else { Verdict::Alive };
            }
            self.asked = None;
        }
        self.progressed = false;
        let silence = self.heard_at.elapsed();
        let silent = config.ping_interval.is_some_and(|interval| silence >= interval);
        if !silent && progressed {
            return Verdict::Alive;
        }
        self.asked = Some(Instant::now());
        if config.ping_interval.is_some() { Verdict::Ask } else { Verdict::Alive }
    }
}

/// A token bucket that holds a second's worth of messages.
pub(crate) struct Rate {
    per_second: f64,
    tokens: f64,
    at: Instant,
    /// The socket was not read, so that what comes now was sent over all of that time.
    pub(crate) held_up: bool,
}

impl Rate {
    pub(crate) fn new(limit: u32) -> Self {
        Rate { per_second: limit.into(), tokens: limit.into(), at: Instant::now(), held_up: false }
    }

    pub(crate) fn allows(&mut self, messages: u64) -> bool {
        let now = Instant::now();
        let earned = (now - self.at).as_secs_f64() * self.per_second;
        let full = match std::mem::take(&mut self.held_up) {
            true => f64::INFINITY,
            false => self.per_second.max(self.tokens),
        };
        self.tokens = (self.tokens + earned).min(full) - messages as f64;
        self.at = now;
        self.tokens >= 0.0
    }

    /// Messages that were too many do not count.
    #[cfg(feature = "endpoint")]
    pub(crate) fn refund(&mut self, messages: u64) {
        self.tokens += messages as f64;
    }
}

#[cfg(test)]
mod tests;

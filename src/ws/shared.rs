//! What a connection's task and the handles to it share.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding;

#[cfg(feature = "deflate")]
use super::codec::Deflater;
use super::codec::{Encoder, Item, Role, close_reason};
use super::{CloseCode, Closed, Config, Message, Prepared, RecvError, SendError};
use crate::transport::{Outbox, Supervised, WriteQueue};

/// What a queued message costs beside its payload, so that a flood of empty ones is bounded too.
const MESSAGE_COST: usize = 64;
/// The largest frame header of a server.
const HEADER_COST: usize = 10;
/// How many bytes of pongs may wait before the socket is no longer read.
const MAX_REPLIES: usize = 64 * 1024;

pub(crate) struct Shared {
    state: Mutex<State>,
    readable: Condvar,
    writable: Condvar,
    encoder: Encoder,
    receive_queue: usize,
    #[cfg(feature = "deflate")]
    deflater: Option<Box<Mutex<Deflater>>>,
    protocol: Option<Box<str>>,
}

struct State {
    inbound: VecDeque<Message>,
    inbound_bytes: usize,
    /// Set while the socket is not read because `inbound` is full.
    read_paused: bool,
    reader: Option<Waker>,
    blocked_readers: u32,

    outbox: Outbox,
    blocked_senders: u32,
    waiting_senders: Waiting,
    /// Bytes of pongs in the outbox, at most.
    replies: usize,
    /// Bytes in the outbox up to the end of the last pong.
    before_replied: usize,
    /// Messages queued since the task last asked.
    queued_messages: u64,

    /// The connection's task, to be woken unless `scheduled` says that it will look anyway.
    task: Option<Waker>,
    scheduled: bool,
    abort: bool,

    /// Set when a close frame was queued or the connection broke: nothing can be sent any more.
    closing: Option<Box<Closed>>,
    /// Set when this side closed: what still comes in is of no interest.
    closed_here: bool,
    /// `closing` is final.
    ended: bool,
    waiting_for_end: Waiting,
}

/// The tasks that wait for something; each takes its own away when it is done or has given up.
#[derive(Default)]
struct Waiting(Option<Box<Slab<Waker>>>);

impl Waiting {
    /// Keeps a waker, in the place of the one that this ticket was given for before.
    fn insert(&mut self, ticket: &mut Option<usize>, waker: &Waker) {
        let wakers = self.0.get_or_insert_default();
        match *ticket {
            Some(ticket) => wakers[ticket].clone_from(waker),
            None => *ticket = Some(wakers.insert(waker.clone())),
        }
    }

    fn remove(&mut self, ticket: usize) {
        if let Some(wakers) = &mut self.0 {
            wakers.remove(ticket);
            if wakers.is_empty() {
                self.0 = None;
            }
        }
    }

    fn wakers(&self) -> impl Iterator<Item = Waker> {
        self.0.iter().flat_map(|wakers| wakers.iter()).map(|(_, waker)| waker.clone())
    }
}

/// The connection's hold on the shared state. Dropped with its task, if only because the runtime
/// shuts down, it tells whoever waits elsewhere that the connection is gone.
pub(crate) struct Tie(pub(crate) Arc<Shared>);

impl Deref for Tie {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Tie {
    fn drop(&mut self) {
        self.0.lost("the server has stopped");
    }
}

/// What the connection's task has to know before it sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signals {
    /// How many bytes may be read; 0 while the application is behind.
    pub(crate) room: usize,
    /// Cut the connection.
    pub(crate) abort: bool,
    /// A close frame was queued.
    pub(crate) closing: bool,
    /// Messages queued since the last time.
    pub(crate) queued_messages: u64,
}

/// Wakers to call when the lock is released.
#[derive(Default)]
struct Wakes(Vec<Waker>, Option<Waker>);

impl Wakes {
    fn wake(self) {
        self.0.into_iter().chain(self.1).for_each(Waker::wake);
    }
}

impl Shared {
    pub(crate) fn new(
        config: &Config,
        #[cfg(feature = "deflate")] deflater: Option<Deflater>,
        protocol: Option<Box<str>>,
    ) -> Arc<Self> {
        let encoder = Encoder::new(Role::Server);
        Arc::new(Shared {
            state: Mutex::new(State {
                inbound: VecDeque::new(),
                inbound_bytes: 0,
                read_paused: false,
                reader: None,
                blocked_readers: 0,
                outbox: Outbox::new(config.send_queue),
                blocked_senders: 0,
                waiting_senders: Waiting::default(),
                replies: 0,
                before_replied: 0,
                queued_messages: 0,
                task: None,
                scheduled: false,
                abort: false,
                closing: None,
                closed_here: false,
                ended: false,
                waiting_for_end: Waiting::default(),
            }),
            readable: Condvar::new(),
            writable: Condvar::new(),
            encoder: match config.fragment_size {
                Some(size) => encoder.fragment_size(size),
                None => encoder,
            },
            receive_queue: config.receive_queue.max(1),
            #[cfg(feature = "deflate")]
            deflater: deflater.map(|deflater| Box::new(Mutex::new(deflater))),
            protocol,
        })
    }

    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The senders' side.
impl Shared {
    pub(crate) fn queued_bytes(&self) -> usize {
        self.lock().outbox.queued()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closing.is_some()
    }

    pub(crate) fn try_send(&self, message: &Message) -> Result<(), SendError> {
        let share = || message.clone().into_bytes();
        self.try_send_payload(message.is_text(), message.as_bytes(), share)
    }

    /// Sends a payload that is only borrowed: it is copied once.
    #[cfg(feature = "ffi")]
    pub(crate) fn try_send_copy(&self, text: bool, payload: &[u8]) -> Result<(), SendError> {
        self.try_send_payload(text, payload, || Bytes::copy_from_slice(payload))
    }

    /// `share` makes a handle to the payload, for one that is too large to be copied.
    fn try_send_payload(
        &self,
        text: bool,
        payload: &[u8],
        share: impl FnOnce() -> Bytes,
    ) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if let Some(deflater) = &self.deflater {
            // Held until the message is queued: the peer inflates in the order of compression.
            let mut deflater = deflater.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if deflater.wants(payload.len()) {
                self.lock().admits(payload.len())?;
                let deflated = deflater.deflate(payload);
                let compressed = deflated.is_some();
                let payload = deflated.as_deref().unwrap_or(payload);
                return self.push(|shared, state| {
                    state.outbox.push_with(|out| {
                        shared.encoder.message(text, compressed, payload, out);
                    });
                });
            }
        }
        let mut state = self.lock();
        state.admits(payload.len())?;
        if payload.len() >= Outbox::SHARE && self.encoder.is_verbatim(payload.len()) {
            state.outbox.push_with(|out| self.encoder.header(text, false, payload.len(), out));
            state.outbox.push_shared(share());
        } else {
            state.outbox.push_with(|out| self.encoder.message(text, false, payload, out));
        }
        self.queued(state);
        Ok(())
    }

    pub(crate) fn try_send_prepared(&self, prepared: &Prepared) -> Result<(), SendError> {
        let len = prepared.message().len();
        if !self.encoder.is_verbatim(len) {
            // In fragments, which each connection has of its own size.
            return self.try_send(prepared.message());
        }
        #[cfg(feature = "deflate")]
        if let Some(deflater) = &self.deflater {
            let mut deflater = deflater.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if deflater.wants(len) {
                self.lock().admits(len)?;
                let frame = prepared.deflated(deflater.key());
                if !deflater.is_stateless() {
                    deflater.reset();
                }
                return self.push(|_, state| state.outbox.push_shared(frame));
            }
        }
        let frame = prepared.plain().clone();
        let mut state = self.lock();
        state.admits(len)?;
        state.outbox.push_shared(frame);
        self.queued(state);
        Ok(())
    }

    /// Queues what was admitted before, unless the connection was closed since.
    #[cfg(feature = "deflate")]
    fn push(&self, push: impl FnOnce(&Self, &mut State)) -> Result<(), SendError> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(SendError::Closed);
        }
        push(self, &mut state);
        self.queued(state);
        Ok(())
    }

    fn queued(&self, mut state: MutexGuard<'_, State>) {
        state.queued_messages += 1;
        let task = state.schedule();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Retries `send` until it does not say full, and waits for room in between.
    pub(crate) fn sending<F>(&self, send: F) -> Sending<'_, F>
    where
        F: FnMut() -> Result<(), SendError> + Unpin,
    {
        Sending { shared: self, send, ticket: None }
    }

    /// The same as [`sending`](Self::sending), for a thread.
    pub(crate) fn send_blocking(
        &self,
        len: usize,
        timeout: Option<Duration>,
        mut send: impl FnMut() -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            match send() {
                Err(SendError::Full) => {}
                result => return result,
            }
            let mut state = self.lock();
            if state.admits(len) != Err(SendError::Full) {
                continue;
            }
            state.blocked_senders += 1;
            let (mut state, expired) = wait(&self.writable, state, deadline);
            state.blocked_senders -= 1;
            if expired && state.admits(len) == Err(SendError::Full) {
                return Err(SendError::Timeout);
            }
        }
    }

    /// Queues a close frame behind what is queued already; nothing can be sent or received after.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        let mut state = self.lock();
        if state.closing.is_some() {
            return;
        }
        let reason = close_reason(reason);
        state.queue_close(&self.encoder, Some((code.get().into(), reason)));
        let (code, reason) = (code.get(), reason.into());
        state.closing = Some(Box::new(Closed { code, reason, clean: false }));
        state.closed_here = true;
        state.inbound = VecDeque::new();
        state.inbound_bytes = 0;
        state.read_paused = false;
        let mut wakes = state.wake_all();
        wakes.1 = state.schedule();
        drop(state);
        self.readable.notify_all();
        self.writable.notify_all();
        wakes.wake();
    }

    /// Waits for the end.
    pub(crate) fn ending(&self) -> Ending<'_> {
        Ending { shared: self, ticket: None }
    }
}

/// The receiver's side.
impl Shared {
    pub(crate) fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = self.lock();
        if let Some(message) = state.inbound.pop_front() {
            self.received(state, &message);
            return Poll::Ready(Some(message));
        }
        if state.closing.is_some() {
            return Poll::Ready(None);
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(cx.waker()),
            None => state.reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(crate) fn recv_blocking(&self, timeout: Option<Duration>) -> Result<Message, RecvError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut expired = false;
        let mut state = self.lock();
        loop {
            if let Some(message) = state.inbound.pop_front() {
                self.received(state, &message);
                return Ok(message);
            }
            if let Some(closed) = &state.closing {
                return Err(RecvError::Closed(Closed::clone(closed)));
            }
            if expired {
                return Err(RecvError::Timeout);
            }
            state.blocked_readers += 1;
            (state, expired) = wait(&self.readable, state, deadline);
            state.blocked_readers -= 1;
        }
    }

    fn received(&self, mut state: MutexGuard<'_, State>, message: &Message) {
        state.inbound_bytes -= message.len() + MESSAGE_COST;
        if state.inbound.is_empty() {
            state.inbound = VecDeque::new();
        }
        if state.read_paused && state.inbound_bytes <= self.receive_queue / 2 {
            state.read_paused = false;
            let task = state.schedule();
            drop(state);
            if let Some(task) = task {
                task.wake();
            }
        }
    }

    pub(crate) fn closed(&self) -> Option<Closed> {
        let state = self.lock();
        state.closing.as_deref().filter(|_| state.ended).cloned()
    }
}

/// The task's side.
impl Shared {
    /// Bytes that were received and wait for the application.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.lock().inbound_bytes
    }

    /// Says which task to wake.
    pub(crate) fn attach(&self, task: &Waker) {
        self.lock().task = Some(task.clone());
    }

    /// Hands on what was received and answers pings. Messages count as read by nobody after this
    /// side has closed.
    pub(crate) fn deliver(&self, items: &mut Vec<Item>) {
        let mut state = self.lock();
        // The task flushes after this in any case.
        state.scheduled = true;
        let before = state.inbound.len();
        state.inbound.reserve(items.len());
        for item in items.drain(..) {
            match item {
                Item::Message(message) if !state.closed_here => {
                    state.inbound_bytes += message.len() + MESSAGE_COST;
                    state.inbound.push_back(message);
                }
                Item::Ping(payload) if state.closing.is_none() => {
                    state.replies += payload.len() + HEADER_COST;
                    state.outbox.push_with(|out| self.encoder.pong(&payload, out));
                    state.before_replied = state.outbox.queued();
                }
                _ => {}
            }
        }
        state.read_paused = state.inbound_bytes >= self.receive_queue;
        let arrived = state.inbound.len() - before;
        if arrived == 0 {
            return;
        }
        let own = |waker: &Waker| state.task.as_ref().is_some_and(|task| task.will_wake(waker));
        let reader = match &state.reader {
            // The reader runs inside the task, which polls it next.
            Some(reader) if own(reader) => None,
            _ => state.reader.take(),
        };
        let blocked = state.blocked_readers;
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        match (blocked, arrived) {
            (0, _) => {}
            (_, 1) => self.readable.notify_one(),
            _ => self.readable.notify_all(),
        }
    }

    pub(crate) fn ping(&self) {
        let mut state = self.lock();
        if state.closing.is_none() {
            state.outbox.push_with(|out| self.encoder.ping(&[], out));
        }
    }

    /// Accounts for what was written, takes what is queued, and says what else there is to do.
    /// Whatever happens after this call wakes the task.
    pub(crate) fn exchange(&self, written: usize, unsent: &mut WriteQueue) -> Signals {
        let mut state = self.lock();
        let mut wakes = Vec::new();
        let mut blocked = 0;
        if written > 0 {
            state.outbox.written(written);
            // Others may see to it that the outbox itself is never empty.
            state.before_replied = state.before_replied.saturating_sub(written);
            if state.before_replied == 0 {
                state.replies = 0;
            }
            if state.outbox.is_half_empty() {
                blocked = state.blocked_senders;
                wakes = state.waiting_senders.wakers().collect();
            }
        }
        unsent.take_from(&mut state.outbox);
        state.scheduled = false;
        let held_up = state.read_paused || state.replies > MAX_REPLIES;
        let signals = Signals {
            room: if held_up { 0 } else { (self.receive_queue - state.inbound_bytes).max(4096) },
            abort: state.abort,
            closing: state.closing.is_some(),
            queued_messages: std::mem::take(&mut state.queued_messages),
        };
        drop(state);
        if blocked > 0 {
            self.writable.notify_all();
        }
        wakes.into_iter().for_each(Waker::wake);
        signals
    }

    /// Takes note of the peer's close frame and answers it, if this side has not closed before.
    pub(crate) fn peer_closed(&self, close: Option<(coding::CloseCode, Utf8Bytes)>) {
        let mut state = self.lock();
        match &mut state.closing {
            Some(closed) => closed.clean = true,
            None => {
                let answer = close.as_ref().map(|(code, _)| (*code, ""));
                state.queue_close(&self.encoder, answer);
                let (code, reason) = close.map_or((1005, "".into()), |(c, r)| (c.into(), r));
                state.closing = Some(Box::new(Closed { code, reason, clean: true }));
            }
        }
        self.end(state);
    }

    /// Closes because of what the peer did, or failed to do, and does not wait for its answer.
    pub(crate) fn fail(&self, code: coding::CloseCode, reason: &str) {
        let mut state = self.lock();
        if state.closing.is_none() {
            state.queue_close(&self.encoder, Some((code, reason)));
            let (code, reason) = (code.into(), reason.into());
            state.closing = Some(Box::new(Closed { code, reason, clean: false }));
        }
        self.end(state);
    }

    /// The stream is gone. Nothing that is queued will be sent.
    pub(crate) fn lost(&self, reason: &str) {
        let mut state = self.lock();
        state.closing.get_or_insert_with(|| Box::new(Closed::abnormal(reason)));
        state.outbox.discard();
        // A waker keeps its task in memory, and senders may be kept for long.
        state.task = None;
        self.end(state);
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let mut wakes = state.wake_all();
        wakes.0.extend(state.waiting_for_end.wakers());
        drop(state);
        self.readable.notify_all();
        self.writable.notify_all();
        wakes.wake();
    }
}

impl State {
    fn admits(&self, len: usize) -> Result<(), SendError> {
        if self.closing.is_some() {
            return Err(SendError::Closed);
        }
        if !self.outbox.has_room(len + HEADER_COST) {
            return Err(SendError::Full);
        }
        Ok(())
    }

    fn queue_close(&mut self, encoder: &Encoder, close: Option<(coding::CloseCode, &str)>) {
        self.outbox.push_with(|out| encoder.close(close, out));
    }

    fn schedule(&mut self) -> Option<Waker> {
        if std::mem::replace(&mut self.scheduled, true) { None } else { self.task.clone() }
    }

    fn wake_all(&mut self) -> Wakes {
        let mut wakes: Vec<_> = self.waiting_senders.wakers().collect();
        wakes.extend(self.reader.take());
        Wakes(wakes, None)
    }
}

/// A message on its way into the queue. Dropped before it is done, it was not queued.
pub(crate) struct Sending<'a, F> {
    shared: &'a Shared,
    send: F,
    /// Where its waker is kept, once it had to wait.
    ticket: Option<usize>,
}

impl<F: FnMut() -> Result<(), SendError> + Unpin> Future for Sending<'_, F> {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match (self.send)() {
            Err(SendError::Full) => {}
            result => return Poll::Ready(result),
        }
        self.shared.lock().waiting_senders.insert(&mut self.ticket, cx.waker());
        // Room may have come up in between.
        match (self.send)() {
            Err(SendError::Full) => Poll::Pending,
            result => Poll::Ready(result),
        }
    }
}

impl<F> Drop for Sending<'_, F> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.lock().waiting_senders.remove(ticket);
        }
    }
}

/// How the connection ended, once it has.
pub(crate) struct Ending<'a> {
    shared: &'a Shared,
    /// Where its waker is kept, once it had to wait.
    ticket: Option<usize>,
}

impl Future for Ending<'_> {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let mut state = self.shared.lock();
        match &state.closing {
            Some(closed) if state.ended => Poll::Ready(Closed::clone(closed)),
            _ => {
                state.waiting_for_end.insert(&mut self.ticket, cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.shared.lock().waiting_for_end.remove(ticket);
        }
    }
}

impl Supervised for Shared {
    fn drain(&self, _retry: Duration) {
        Shared::close(self, CloseCode::AWAY, "");
    }

    fn close(&self, code: u16, reason: &str) {
        Shared::close(self, CloseCode::new(code).unwrap_or(CloseCode::NORMAL), reason);
    }

    fn abort(&self) {
        let mut state = self.lock();
        state.abort = true;
        let task = state.schedule();
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
    }

    fn queued_bytes(&self) -> usize {
        Shared::queued_bytes(self)
    }
}

/// Waits for a notification; the flag says that the deadline has passed.
fn wait<'a>(
    condition: &Condvar,
    state: MutexGuard<'a, State>,
    deadline: Option<Instant>,
) -> (MutexGuard<'a, State>, bool) {
    match deadline {
        None => {
            let state = condition.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            (state, false)
        }
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let (state, _) = condition
                .wait_timeout(state, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            (state, Instant::now() >= deadline)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn whoever_gives_up_waiting_for_the_end_leaves_nothing_behind() {
        let shared = Shared::new(
            &Config::default(),
            #[cfg(feature = "deflate")]
            None,
            None,
        );
        for _ in 0..1000 {
            let waker = Waker::from(Arc::new(Nobody));
            let mut ending = pin!(shared.ending());
            assert!(ending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(shared.lock().waiting_for_end.wakers().count(), 0);
    }
}

//! The side of the connection's task: handing on what was received, and ending.

use std::sync::MutexGuard;
use std::task::Waker;

use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::protocol::frame::coding;

use super::{HEADER_COST, MAX_REPLIES, Shared, Signals, State};
use crate::transport::WriteQueue;
use crate::transport::events::Announcement;
use crate::ws::Closed;
use crate::ws::codec::Item;

impl Shared {
    /// Bytes that were received and wait for the application.
    pub(crate) fn unread_bytes(&self) -> usize {
        self.lock().inbound.bytes()
    }

    /// Says which task to wake.
    pub(crate) fn attach(&self, task: &Waker) {
        let mut state = self.lock();
        state.task = Some(task.clone());
        let announcement = state.announce_open();
        drop(state);
        announcement.tell();
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
                    state.inbound.push(message);
                }
                Item::Ping(payload) if state.closing.is_none() => {
                    state.replies += payload.len() + HEADER_COST;
                    state.outbox.push_with(|out| self.encoder.pong(&payload, out));
                    state.before_replied = state.outbox.queued();
                }
                _ => {}
            }
        }
        state.read_paused = state.inbound.bytes() >= self.receive_queue;
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
        let announcement = state.announce();
        drop(state);
        announcement.tell();
        if let Some(reader) = reader {
            reader.wake();
        }
        match (blocked, arrived) {
            (0, _) => {}
            (_, 1) => self.readable.notify_one(),
            _ => self.readable.notify_all(),
        }
    }

    /// The task flushes before its turn is over: whoever queues something until then need not wake
    /// it.
    pub(crate) fn will_flush(&self) {
        self.lock().scheduled = true;
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
        let mut announcement = Announcement::default();
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
                announcement = state.announce_room();
            }
        }
        unsent.take_from(&mut state.outbox);
        state.scheduled = false;
        let held_up = state.read_paused || state.replies > MAX_REPLIES;
        let signals = Signals {
            room: if held_up { 0 } else { (self.receive_queue - state.inbound.bytes()).max(4096) },
            abort: state.abort,
            closing: state.closing.is_some(),
            queued_messages: std::mem::take(&mut state.queued_messages),
        };
        drop(state);
        announcement.tell();
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
        let discarded = state.outbox.discard();
        // A waker keeps its task in memory, and senders may be kept for long.
        state.task = None;
        self.end(state);
        drop(discarded);
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let mut wakes = state.wake_all();
        wakes.0.extend(state.waiting_for_end.wakers());
        let announcement = state.announce_end();
        drop(state);
        announcement.tell();
        self.readable.notify_all();
        self.writable.notify_all();
        wakes.wake();
    }
}

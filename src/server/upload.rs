//! The body of a request that the host reads while it comes in.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::transport::events::{Announcement, Batch, Event, Host, Port, Source, Tag};

/// How far the body is read ahead of the host, in bytes and in pieces. Then the peer has to wait.
const READ_AHEAD: usize = 64 * 1024;
const MAX_PIECES: usize = 64;

/// Why no more of a body can be read.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ReadError {
    #[error("nothing more of the body came in time")]
    Timeout,
    #[error("the body is larger than it may be")]
    TooLarge,
    #[error("the client has gone or sends too slowly, or the request is answered")]
    Closed,
}

/// What the host reads from, and the worker fills. Nothing is read off the connection before the
/// host asks for it the first time, so a client that waits to be told to go on (RFC 9110 §10.1.1)
/// is told only then.
pub(crate) struct Upload {
    state: Mutex<State>,
    /// Tells blocked threads that there is more, or the end.
    readable: Condvar,
    /// Tells the worker that there is room, or that nobody will read.
    changed: Notify,
}

struct State {
    pieces: VecDeque<Bytes>,
    buffered: usize,
    /// What comes after the pieces.
    end: Option<Result<(), ReadError>>,
    /// The host has asked for the body.
    begun: bool,
    /// The host has asked for more than there is, so now it is for the client to do something.
    starved: bool,
    /// Since when it is for the host to do something.
    turn: Instant,
    /// Whom to tell when there is more, for a host that does not wait here.
    port: Option<Box<Port>>,
    /// The host was told that there is nothing to read.
    told_empty: bool,
    /// The host is to be told that this is no longer so.
    readable: bool,
}

impl Upload {
    /// Reads a body for the host. To be called on the worker of its connection.
    pub(super) fn start(body: Body) -> Arc<Upload> {
        let is_empty = body.is_end_stream();
        let upload = Arc::new(Upload {
            state: Mutex::new(State {
                pieces: VecDeque::new(),
                buffered: 0,
                end: is_empty.then_some(Ok(())),
                begun: false,
                starved: false,
                turn: Instant::now(),
                port: None,
                told_empty: false,
                readable: false,
            }),
            readable: Condvar::new(),
            changed: Notify::new(),
        });
        if !is_empty {
            tokio::spawn(Pump(upload.clone()).run(body));
        }
        upload
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece of the body, of `max` bytes at most; empty at its end. Blocks the thread
    /// until there is one.
    pub(crate) fn read(&self, max: usize, timeout: Option<Duration>) -> Result<Bytes, ReadError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            let was_hungry = state.is_hungry();
            if let Some(read) = state.take(max) {
                let is_hungry_again = !was_hungry && state.is_hungry();
                drop(state);
                if is_hungry_again {
                    self.changed.notify_one();
                }
                return read;
            }
            if !std::mem::replace(&mut state.begun, true) {
                self.changed.notify_one();
            }
            state.starved = true;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.readable.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    state.told_empty = true;
                    return Err(ReadError::Timeout);
                }
                Some(left) => {
                    let waited = self.readable.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// For how long the host has been expected to do something. Not at all while it waits for the
    /// client.
    pub(super) fn idle(&self) -> Duration {
        let state = self.lock();
        if state.starved { Duration::ZERO } else { state.turn.elapsed() }
    }

    /// Nothing more will be read.
    pub(crate) fn close(&self) {
        self.finish(Err(ReadError::Closed), true);
    }

    /// From here on, the host is told when there is something to read after all.
    pub(crate) fn report_to(self: &Arc<Self>, host: Arc<dyn Host>, tag: Tag) {
        let source: Weak<Self> = Arc::downgrade(self);
        let mut state = self.lock();
        match &mut state.port {
            Some(port) => port.rename(tag),
            none => *none = Some(Port::new(host, source, tag)),
        }
        let announcement = state.announce();
        drop(state);
        announcement.tell();
    }

    /// The host wants to hear no more.
    pub(crate) fn report_to_nobody(&self) {
        let port = self.lock().port.take();
        drop(port);
    }

    fn finish(&self, end: Result<(), ReadError>, discard: bool) {
        self.change(|state| {
            if discard {
                state.pieces = VecDeque::new();
                state.buffered = 0;
                state.end = Some(end);
            } else {
                state.end.get_or_insert(end);
            }
        });
        self.changed.notify_one();
    }

    /// Gives the host something to read.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if std::mem::take(&mut state.starved) {
            state.turn = Instant::now();
        }
        let announcement = state.announce();
        drop(state);
        announcement.tell();
        self.readable.notify_all();
    }
}

impl State {
    fn can_be_read(&self) -> bool {
        !self.pieces.is_empty() || self.end.is_some()
    }

    /// Has the host told that there is something to read, if it was told that there is not.
    fn announce(&mut self) -> Announcement {
        if !self.told_empty || !self.can_be_read() {
            return Announcement::default();
        }
        let Some(port) = &mut self.port else { return Announcement::default() };
        (self.told_empty, self.readable) = (false, true);
        port.announce()
    }

    /// What there is to read, if there is anything.
    fn take(&mut self, max: usize) -> Option<Result<Bytes, ReadError>> {
        if self.can_be_read() {
            (self.told_empty, self.readable) = (false, false);
        }
        let Some(first) = self.pieces.front_mut() else {
            return self.end.map(|end| end.map(|()| Bytes::new()));
        };
        let piece = first.split_to(first.len().min(max));
        if first.is_empty() {
            self.pieces.pop_front();
        }
        self.buffered -= piece.len();
        self.starved = false;
        self.turn = Instant::now();
        Some(Ok(piece))
    }

    fn is_hungry(&self) -> bool {
        self.begun && self.buffered < READ_AHEAD && self.pieces.len() < MAX_PIECES
    }
}

impl Source for Upload {
    fn hand_over(&self, batch: &mut Batch<'_>) -> bool {
        let mut state = self.lock();
        let State { port, readable, .. } = &mut *state;
        let Some(port) = port else { return false };
        let next = || std::mem::take(readable).then_some(Event::Readable);
        let more = port.hand_over(batch, next, None::<fn() -> Event>) || *readable;
        port.stay_listed(more)
    }
}

/// The worker's side. When it goes, with its worker if need be, the host is told.
struct Pump(Arc<Upload>);

impl Pump {
    async fn run(self, mut body: Body) {
        let upload = &self.0;
        loop {
            let changed = upload.changed.notified();
            let (is_over, is_hungry) = {
                let state = upload.lock();
                (state.end.is_some(), state.is_hungry())
            };
            if is_over {
                return;
            }
            if !is_hungry {
                changed.await;
                continue;
            }
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = changed => continue,
            };
            match frame.map(|frame| frame.map(|frame| frame.into_data())) {
                Some(Ok(Ok(data))) if !data.is_empty() => upload.change(|state| {
                    state.buffered += data.len();
                    state.pieces.push_back(data);
                }),
                // Trailers.
                Some(Ok(_)) => {}
                Some(Err(error)) => upload.finish(Err(reason(error.into())), false),
                None => upload.finish(Ok(()), false),
            }
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.finish(Err(ReadError::Closed), false);
    }
}

/// Which limit the body has run into, if that is why it ends.
fn reason(error: BoxError) -> ReadError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return ReadError::TooLarge;
        }
        cause = error.source();
    }
    ReadError::Closed
}

#[cfg(test)]
mod tests;

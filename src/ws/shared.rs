//! What a connection's task and the handles to it share.

#[cfg_attr(not(feature = "ffi"), allow(dead_code, reason = "for hosts behind the C ABI"))]
mod events;
mod inbound;
mod receive;
mod send;
mod task;

use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;
use tokio_tungstenite::tungstenite::protocol::frame::coding;

#[cfg(feature = "deflate")]
use super::codec::Deflater;
use super::codec::{Encoder, Role};
use super::{CloseCode, Closed, Config, SendError};
use crate::transport::cork::{Mailbox, Wake};
use crate::transport::events::Port;
use crate::transport::{Outbox, Supervised};

pub(crate) use inbound::Inbound;

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
    inbound: Inbound,
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

    /// Where the task is woken when a host program drives the connection.
    mailbox: Option<Arc<Mailbox>>,
    /// What a host program is told of, if it wants to be.
    port: Option<Box<Port>>,
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
struct Wakes(Vec<Waker>, Option<Wake>);

impl Wakes {
    fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
        if let Some(task) = self.1 {
            task.wake();
        }
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
                inbound: Inbound::default(),
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
                mailbox: None,
                port: None,
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

    fn schedule(&mut self) -> Option<Wake> {
        if std::mem::replace(&mut self.scheduled, true) {
            return None;
        }
        Some(Wake::new(self.task.clone()?, self.mailbox.as_ref()))
    }

    fn wake_all(&mut self) -> Wakes {
        let mut wakes: Vec<_> = self.waiting_senders.wakers().collect();
        wakes.extend(self.reader.take());
        Wakes(wakes, None)
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

    use std::future::Future as _;
    use std::task::Context;

    use super::*;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// Bytes that say when they are dropped whether the connection's lock was free then.
    struct Witness(Arc<Shared>, std::sync::mpsc::Sender<bool>);

    impl AsRef<[u8]> for Witness {
        fn as_ref(&self) -> &[u8] {
            &[0; 100_000]
        }
    }

    impl Drop for Witness {
        fn drop(&mut self) {
            let _ = self.1.send(self.0.state.try_lock().is_ok());
        }
    }

    #[test]
    fn owner_of_shared_bytes_may_use_the_connection_when_they_are_dropped() {
        let shared = Shared::new(
            &Config::default(),
            #[cfg(feature = "deflate")]
            None,
            None,
        );
        let (said, was_free) = std::sync::mpsc::channel();
        let send = || {
            let bytes = bytes::Bytes::from_owner(Witness(shared.clone(), said.clone()));
            shared.try_send(&bytes.into())
        };
        assert_eq!(send(), Ok(()));
        assert!(was_free.try_recv().is_err(), "it is queued");
        shared.lost("the peer is gone");
        assert_eq!(was_free.try_recv(), Ok(true));
        assert_eq!(send(), Err(SendError::Closed));
        assert_eq!(was_free.try_recv(), Ok(true));
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

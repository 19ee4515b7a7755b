//! What is known of one connection, as long as anything of it is left.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::handoff::HandOff;
use super::limits::Limit;
use super::metrics::Stats;
use super::shared::Shared;
use crate::transport::{self, Kind, Supervised, Supervisor, Traffic, Watch};

/// How long a refused connection may take to be told so.
const REFUSAL: Duration = Duration::from_secs(5);

/// What its driver shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Signal {
    GoOn = 0,
    /// End after the responses that are on their way.
    Finish = 1,
    /// End now.
    Cut = 2,
}

/// How far the connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The TLS handshake, and the wait for the first bytes.
    Handshake = 0,
    Http1 = 1,
    Http2 = 2,
}

pub(super) struct Connection {
    this: Weak<Connection>,
    pub(super) server: Arc<Shared>,
    pub(super) worker: usize,
    pub(super) peer: SocketAddr,
    /// The limit for which the connection is only told that it is refused.
    pub(super) refused: Option<Limit>,
    /// The number in the registry, or 0.
    row: AtomicU64,
    /// Whether the driver still speaks HTTP on it.
    http: AtomicBool,
    phase: AtomicU8,
    signal: AtomicU8,
    driver: Mutex<Option<Waker>>,
    pub(super) hand_off: HandOff,
    /// Whether a request was given up before its end, so that more of it may still come.
    unread: AtomicBool,
    in_flight: AtomicU32,
    /// When the connection was opened, or its last request was done. Times are counted as by
    /// [`Shared::now`]; 0 stands for never.
    idle_since: AtomicU64,
    /// When the first byte of the present request head came.
    head_since: AtomicU64,
    /// Since when the kernel has been taking nothing.
    blocked_since: AtomicU64,
}

impl Connection {
    pub(super) fn new(
        server: Arc<Shared>,
        worker: usize,
        peer: SocketAddr,
        refused: Option<Limit>,
    ) -> Arc<Connection> {
        let connection = Arc::new_cyclic(|this| Connection {
            this: this.clone(),
            worker,
            peer,
            refused,
            row: AtomicU64::new(0),
            http: AtomicBool::new(true),
            phase: AtomicU8::new(Phase::Handshake as u8),
            signal: AtomicU8::new(Signal::GoOn as u8),
            driver: Mutex::new(None),
            hand_off: HandOff::default(),
            unread: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(server.now()),
            head_since: AtomicU64::new(0),
            blocked_since: AtomicU64::new(0),
            server,
        });
        let row = connection.server.registry.open(&connection);
        connection.row.store(row, SeqCst);
        connection
    }

    fn shared(&self) -> Arc<Connection> {
        self.this.upgrade().expect("whoever calls holds a reference")
    }

    pub(super) fn stats(&self) -> &Stats {
        &self.server.stats[self.worker]
    }

    pub(super) fn row(&self) -> Option<u64> {
        Some(self.row.load(SeqCst)).filter(|row| *row != 0)
    }

    pub(super) fn is_http(&self) -> bool {
        self.http.load(SeqCst)
    }

    pub(super) fn end_http(&self) {
        self.http.store(false, SeqCst);
    }

    pub(super) fn enter_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, SeqCst);
        self.idle_since.store(self.server.now(), Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.phase.load(SeqCst) == Phase::Http2 as u8
    }

    // What the driver is told.

    pub(super) fn signal(&self) -> Signal {
        match self.signal.load(SeqCst) {
            0 => Signal::GoOn,
            1 => Signal::Finish,
            _ => Signal::Cut,
        }
    }

    fn tell(&self, signal: Signal) {
        self.signal.fetch_max(signal as u8, SeqCst);
        self.wake();
    }

    /// Ends the connection after the responses that are on their way.
    pub(super) fn finish(&self) {
        self.tell(Signal::Finish);
    }

    /// Ends the connection now.
    pub(super) fn cut(&self) {
        self.tell(Signal::Cut);
    }

    /// Registers the task to be woken for a signal. To be called before looking at it.
    pub(super) fn register(&self, waker: &Waker) {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if !driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    /// Forgets the task, which its waker keeps in memory for as long as a stream holds on to the
    /// connection.
    pub(super) fn unregister(&self) {
        drop(self.take_driver());
    }

    fn take_driver(&self) -> Option<Waker> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn wake(&self) {
        if let Some(driver) = self.take_driver() {
            driver.wake();
        }
    }

    // What the driver must look out for.

    /// When the connection has been given time enough for what it is at, and the limit that it has
    /// reached then.
    pub(super) fn due(&self) -> Option<(Instant, Option<Limit>)> {
        let config = &self.server.config;
        let after = |since: u64, time: Duration, limit| {
            let due = self.server.instant(since).checked_add(time)?;
            Some((due, limit))
        };
        if self.refused.is_some() {
            return after(self.idle_since.load(Relaxed), REFUSAL, None);
        }
        let blocked = self.blocked_since.load(Relaxed);
        if blocked != 0 {
            return after(blocked, config.write_timeout, Some(Limit::PeerTime));
        }
        let idle = self.idle_since.load(Relaxed);
        if self.phase.load(SeqCst) == Phase::Handshake as u8 {
            return after(idle, config.handshake_timeout, Some(Limit::HandshakeTime));
        }
        if self.in_flight.load(Relaxed) > 0 {
            return None;
        }
        match self.head_since.load(Relaxed) {
            0 => after(idle, config.idle_timeout, Some(Limit::IdleTime)),
            head => after(head, config.header_timeout, Some(Limit::HeaderTime)),
        }
    }

    pub(super) fn limit_reached(&self, limit: Limit) {
        self.stats().limit_hit(limit);
        tracing::debug!(peer = %self.peer, limit = limit.name(), "limit reached");
    }

    /// Notes that the peer may still send something that nobody reads.
    pub(super) fn left_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Counts a request as being answered, until what is returned is dropped.
    pub(super) fn begin_request(&self) -> InFlight {
        self.head_since.store(0, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self.shared())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.admission.leave(self.peer.ip(), self.worker, self.refused.is_some());
    }
}

/// A request that is being answered.
pub(super) struct InFlight(Arc<Connection>);

impl InFlight {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, Relaxed) == 1 && self.0.refused.is_none() {
            self.0.idle_since.store(self.0.server.now(), Relaxed);
            if self.0.is_multiplexed() {
                // The response was driven by a task of its own; now the idle time runs.
                self.0.wake();
            }
        }
    }
}

impl Watch for Connection {
    fn read(&self, len: usize) {
        self.traffic(Kind::Http).received(0, len as u64);
        if len > 0
            && self.head_since.load(Relaxed) == 0
            && self.in_flight.load(Relaxed) == 0
            && !self.is_multiplexed()
        {
            self.head_since.store(self.server.now(), Relaxed);
        }
    }

    fn wrote(&self, len: usize) {
        self.traffic(Kind::Http).sent(len as u64);
        self.blocked_since.store(0, Relaxed);
        self.hand_off.wrote();
    }

    fn blocked(&self) {
        if self.blocked_since.load(Relaxed) == 0 {
            self.blocked_since.store(self.server.now(), Relaxed);
        }
    }

    fn flushed(&self) {
        self.blocked_since.store(0, Relaxed);
        self.hand_off.flushed();
    }
}

impl Supervised for Connection {
    fn drain(&self, _retry: Duration) {
        self.finish();
    }

    fn close(&self, _code: u16, _reason: &str) {
        self.finish();
    }

    fn abort(&self) {
        self.cut();
    }

    fn queued_bytes(&self) -> usize {
        0
    }
}

impl Supervisor for Connection {
    fn enter(&self, kind: Kind, stream: Arc<dyn Supervised>) -> u64 {
        let id = self.server.registry.enter(&self.shared(), kind, stream.clone());
        if self.server.shutdown.is_draining() {
            // It may have come too late to be asked by the drain.
            stream.drain(self.server.config.retry());
        }
        id
    }

    fn leave(&self, id: u64) {
        self.server.registry.leave(self, id);
    }

    fn traffic(&self, kind: Kind) -> &Traffic {
        self.stats().traffic(kind)
    }

    fn limit_hit(&self, limit: transport::Limit) {
        self.limit_reached(limit.into());
    }
}

//! Parting from all clients kindly.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::shared::Shared;

/// What came of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that ended by themselves once they were asked to.
    pub drained: usize,
    /// Connections that were still open when the time was over, and were cut.
    pub cut: usize,
}

/// Whether the server still takes new connections, and the drain that is going on if not.
#[derive(Debug)]
pub(super) struct Shutdown {
    listening: watch::Sender<Listening>,
    drain: Mutex<Option<Drain>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Listening {
    Yes,
    /// Not much longer.
    Stopping,
    No,
}

/// A drain, in which everyone who asks for one takes part.
#[derive(Clone, Debug)]
struct Drain {
    /// When it is over at the latest; `None` for never.
    deadline: Arc<watch::Sender<Option<Instant>>>,
    report: watch::Receiver<Option<DrainReport>>,
}

/// How long connections that were cut may take to notice.
const CUTTING: Duration = Duration::from_secs(1);

/// Drains the server on that worker, or joins the drain that is going on and lets it end by then.
pub(super) async fn drain(shared: Arc<Shared>, worker: Handle, timeout: Duration) -> DrainReport {
    let deadline = Instant::now().checked_add(timeout);
    let Drain { deadline: latest, mut report } = {
        let mut drain = shared.shutdown.drain.lock().unwrap_or_else(PoisonError::into_inner);
        drain.get_or_insert_with(|| begin(&shared, &worker, deadline)).clone()
    };
    latest.send_if_modified(|latest| {
        let earlier = deadline.is_some_and(|new| latest.is_none_or(|old| new < old));
        if earlier {
            *latest = deadline;
        }
        earlier
    });
    match report.wait_for(Option::is_some).await {
        Ok(report) => report.unwrap_or_default(),
        // The server was dropped meanwhile, which cuts everyone.
        Err(_) => DrainReport::default(),
    }
}

fn begin(shared: &Arc<Shared>, worker: &Handle, deadline: Option<Instant>) -> Drain {
    let (deadline, changed) = watch::channel(deadline);
    let (finished, report) = watch::channel(None);
    let shared = shared.clone();
    worker.spawn(async move {
        finished.send_replace(Some(run(&shared, changed).await));
    });
    Drain { deadline: Arc::new(deadline), report }
}

async fn run(shared: &Shared, mut deadline: watch::Receiver<Option<Instant>>) -> DrainReport {
    shared.shutdown.stop_accepting();
    shared.shutdown.reached(Listening::No).await;
    let before = shared.registry.len();
    tracing::info!(connections = before, "draining");
    shared.registry.drain(|| shared.config.retry());
    let cut = tokio::select! {
        () = shared.registry.emptied() => 0,
        () = passed(&mut deadline) => {
            let cut = shared.registry.abort();
            let _ = tokio::time::timeout(CUTTING, shared.registry.emptied()).await;
            cut
        }
    };
    let drained = before.saturating_sub(cut);
    shared.stats[0].drained(drained, cut);
    tracing::info!(drained, cut, "drained");
    DrainReport { drained, cut }
}

async fn passed(deadline: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let until = *deadline.borrow_and_update();
        let due = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => return,
            Ok(()) = deadline.changed() => {}
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { listening: watch::Sender::new(Listening::Yes), drain: Mutex::default() }
    }
}

impl Shutdown {
    fn advance(&self, to: Listening) {
        self.listening.send_if_modified(|listening| {
            let advances = *listening < to;
            if advances {
                *listening = to;
            }
            advances
        });
    }

    pub(super) fn stop_accepting(&self) {
        self.advance(Listening::Stopping);
    }

    /// Notes that the listener is gone, and everyone whom it has accepted is in the registry.
    pub(super) fn stopped_accepting(&self) {
        self.advance(Listening::No);
    }

    pub(super) fn is_draining(&self) -> bool {
        *self.listening.borrow() != Listening::Yes
    }

    /// Returns once no more connections shall be accepted.
    pub(super) async fn stopping(&self) {
        self.reached(Listening::Stopping).await;
    }

    async fn reached(&self, state: Listening) {
        // Cannot fail: the sender is in `self`.
        let _ = self.listening.subscribe().wait_for(|listening| *listening >= state).await;
    }
}

//! Making batches large, both ways, without anyone waiting for them.
//!
//! A worker that has found many connections readable wakes the host when it has read all of them,
//! not with the first. And what the host sends while it works through a batch wakes the workers
//! when it is done with it, see [`cork`](crate::transport::cork).

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Inbox;
use crate::transport::cork::{Mailbox, Stamp};
use crate::transport::events::{Host, Source};

/// How long what a host sends may be held back while the host works through a batch.
const PATIENCE: Duration = Duration::from_millis(1);

/// So many connections are worth a wake-up of the host at once.
const ENOUGH: usize = 64;

/// The corks of the host's threads.
pub(super) struct Batches {
    stamp: Stamp,
    /// One for each worker.
    mailboxes: Vec<Arc<Mailbox>>,
    /// A task draws the corks again and again, as long as new ones are given out.
    is_watched: bool,
    /// One was given out since the last time.
    is_corked: bool,
}

impl Default for Batches {
    fn default() -> Self {
        Batches { stamp: Stamp::new(), mailboxes: Vec::new(), is_watched: false, is_corked: false }
    }
}

impl Batches {
    /// For a thread that gets a batch, and will ask for the next one: nothing holds back what it
    /// sends for long.
    pub(super) fn cork(&mut self) -> Option<Stamp> {
        self.is_corked |= self.is_watched;
        self.is_watched.then_some(self.stamp)
    }
}

impl Inbox {
    /// The mailbox of the worker that this is called on.
    pub(super) fn mailbox(&self) -> Arc<Mailbox> {
        let worker = Handle::current();
        let Batches { stamp, mailboxes, .. } = &mut self.lock().batches;
        if let Some(mailbox) = mailboxes.iter().find(|known| known.worker().id() == worker.id()) {
            return mailbox.clone();
        }
        let mailbox = Mailbox::new(worker, *stamp);
        mailboxes.push(mailbox.clone());
        mailbox
    }

    /// Draws the corks. Says whether there may be others by the next time.
    fn draw_corks(&self) -> bool {
        let mut state = self.lock();
        let batches = &mut state.batches;
        batches.stamp = Stamp::new();
        batches.is_watched = std::mem::take(&mut batches.is_corked);
        let (stamp, goes_on) = (batches.stamp, batches.is_watched);
        let mailboxes = batches.mailboxes.clone();
        drop(state);
        for mailbox in mailboxes {
            mailbox.draw(stamp);
        }
        goes_on
    }
}

impl Host for Inbox {
    fn enlist(self: Arc<Self>, source: Arc<dyn Source>) {
        let mut state = self.lock();
        state.listed.push_back(source);
        state.level();
        if !state.is_asleep {
            return;
        }
        match Handle::try_current() {
            Ok(worker) if state.listed.len() < ENOUGH => {
                // Another worker may take longer over its turn.
                if state.roused_by.replace(worker.id()) != Some(worker.id()) {
                    drop(state);
                    // Behind the tasks that are ready now.
                    worker.spawn(rouse(Rouse(self)));
                }
            }
            _ => self.wake_sleeper(state),
        }
    }
}

/// Wakes the host when it is dropped, if only because the worker stops.
struct Rouse(Arc<Inbox>);

impl Drop for Rouse {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.roused_by = None;
        self.0.wake_sleeper(state);
    }
}

/// Wakes the host, and sees to it that what it sends is not held back for long.
async fn rouse(rouse: Rouse) {
    let inbox = rouse.0.clone();
    let was_watched = std::mem::replace(&mut inbox.lock().batches.is_watched, true);
    drop(rouse);
    if was_watched {
        return;
    }
    loop {
        tokio::time::sleep(PATIENCE).await;
        if !inbox.draw_corks() {
            return;
        }
    }
}

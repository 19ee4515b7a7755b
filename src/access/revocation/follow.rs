//! What hears of revocations.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tracing::warn;

use super::Shared;
use super::notice::Notice;
use crate::hub::{History, Item, Offset, Position, Publication};

/// How long to wait before the history is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// Passes changes on.
pub(super) async fn forward(mut from: watch::Receiver<u64>, to: watch::Sender<u64>) {
    while from.changed().await.is_ok() {
        to.send_modify(|changes| *changes += 1);
    }
}

/// Ends when there will be no more to hear, after which nothing is known any more.
struct Follower {
    shared: Arc<Shared>,
    /// All up to here was read.
    read: Option<Position>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.ledger().set_loaded(false);
        self.shared.change();
    }
}

pub(super) async fn follow(shared: Arc<Shared>) {
    let mut follower = Follower { shared: shared.clone(), read: None };
    let mut subscription = shared.hub.subscriber();
    if subscription.subscribe(shared.channel.clone()).is_err() {
        return;
    }
    while let Some(item) = subscription.next().await {
        match item {
            Item::Subscribed(_) | Item::Gap(_) => follower.catch_up().await,
            Item::Publication(publication) => follower.take(&publication),
            _ => {}
        }
    }
}

impl Follower {
    fn take(&mut self, publication: &Publication) {
        let position = publication.position();
        let is_known = self
            .read
            .is_some_and(|read| read.epoch == position.epoch && position.offset <= read.offset);
        if !is_known {
            self.read = Some(position);
            self.apply(publication);
            self.shared.change();
        }
    }

    /// Heeds one publication, and says what it was about.
    fn apply(&self, publication: &Publication) -> Option<Notice> {
        let now = SystemTime::now();
        let notice = Notice::from_json(publication.data());
        let mut ledger = self.shared.ledger();
        match &notice {
            Some(notice) => {
                if ledger.insert(notice.revocation.clone(), now).is_err() {
                    warn!("too many revocations: no token from before now is believed");
                    ledger.distrust(now);
                }
            }
            None => {
                warn!("a revocation cannot be read: no token from before now is believed");
                ledger.distrust(now);
            }
        }
        notice
    }

    /// Reads all in the history that was not read yet.
    async fn catch_up(&mut self) {
        let (mut is_lost, mut is_another_log) = (false, false);
        let mut found = HashSet::new();
        let log = loop {
            let after = self.read.map_or(0, |read| read.offset);
            let Some(page) = self.page(after).await else { continue };
            if self.read.is_some_and(|read| read.epoch != page.to.epoch) {
                // With what came last in the old one, which may not have been read.
                (is_lost, is_another_log) = (true, true);
                self.read = None;
                continue;
            }
            let notices: Vec<_> = page.publications.iter().map(|it| self.apply(it)).collect();
            if page.from.offset > after {
                // What was there before the oldest is over, or it is missing.
                let oldest = notices.first().and_then(Option::as_ref);
                let needed_until = oldest.map(|notice| notice.earlier_until);
                is_lost |= needed_until.is_none_or(|until| until > SystemTime::now());
            }
            found.extend(notices.into_iter().flatten().map(|notice| notice.revocation));
            let last = page.publications.last().map_or(page.to, |last| last.position());
            self.read = Some(last);
            if last.offset >= page.to.offset {
                break last.epoch;
            }
        };
        let (missing, earlier_until) = {
            let mut ledger = self.shared.ledger();
            if is_lost {
                warn!("revocations were lost: no token from before now is believed");
                ledger.distrust(SystemTime::now());
            }
            ledger.set_loaded(true);
            let missing = ledger.all().filter(|known| is_another_log && !found.contains(known));
            (missing.cloned().collect::<Vec<_>>(), ledger.until())
        };
        self.shared.change();
        for revocation in missing {
            let notice = Notice { revocation, earlier_until };
            if let Err(error) = self.shared.publish_again(log, notice).await {
                warn!(%error, "a revocation that another log has lost was not published again");
            }
        }
    }

    /// A part of the history, unless it cannot be read now.
    async fn page(&self, after: Offset) -> Option<History> {
        let page = self.shared.hub.load_history(&self.shared.channel, after).await;
        if let Err(error) = &page {
            warn!(%error, "revocations cannot be read");
        }
        let page = page.ok().flatten();
        if page.is_none() {
            tokio::time::sleep(RETRY).await;
        }
        page
    }
}

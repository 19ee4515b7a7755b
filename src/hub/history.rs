use std::sync::Arc;
use std::time::Duration;

use super::backplane::{Page, Record, Unavailable};
use super::core::Shared;
use super::{ChannelName, Hub, Offset, Position, Publication};

/// A part of a channel's history.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct History {
    /// The publications, from the oldest.
    pub publications: Vec<Arc<Publication>>,
    /// After this the history begins: what was published before is gone, or was not asked for.
    pub from: Position,
    /// Here the channel's log ends, whether or not all up to here was asked for.
    pub to: Position,
}

impl Hub {
    /// Where a channel's log ends, if the hub has such a channel. With a backplane: if somebody
    /// listens to it here; [`load_position`](Self::load_position) asks the backplane.
    pub fn position(&self, channel: &ChannelName) -> Option<Position> {
        self.shared.channel(channel)?.known_top()
    }

    /// A page of a channel's history: what was published after an offset, from the oldest, and no
    /// more than is replayed at once ([`Builder::replay_limit`](super::Builder::replay_limit)). Ask
    /// again with the offset of the last one for the next page. `None` when the hub has no such
    /// channel. With a backplane: when nobody listens to it here;
    /// [`load_history`](Self::load_history) asks the backplane.
    pub fn history(&self, channel: &ChannelName, after: Offset) -> Option<History> {
        let shared = &self.shared;
        let channel = shared.channel(channel)?;
        channel.known_top()?;
        Some(channel.history(after, shared.replay_limit, shared.now()))
    }

    /// [`position`](Self::position), of all hubs that the backplane joins.
    ///
    /// # Errors
    ///
    /// The backplane cannot be read.
    pub async fn load_position(
        &self,
        channel: &ChannelName,
    ) -> Result<Option<Position>, Unavailable> {
        match &self.shared.backplane {
            Some(backplane) => {
                let page = backplane.read(channel, Offset::MAX).await?;
                Ok(Some(page.top.position))
            }
            None => Ok(self.position(channel)),
        }
    }

    /// [`history`](Self::history), of all hubs that the backplane joins.
    ///
    /// # Errors
    ///
    /// The backplane cannot be read.
    pub async fn load_history(
        &self,
        channel: &ChannelName,
        after: Offset,
    ) -> Result<Option<History>, Unavailable> {
        let shared = &self.shared;
        let Some(backplane) = &shared.backplane else { return Ok(self.history(channel, after)) };
        let mut after = after;
        loop {
            let page = backplane.read(channel, after).await?;
            let last = page.records.last().map(|record| record.position.offset);
            let read_on = last.filter(|_| page.more);
            let history = shared.history_of(channel, page);
            match read_on {
                // All of it is over by age, which says nothing of what comes after it.
                Some(last) if history.publications.is_empty() => after = last,
                _ => return Ok(Some(history)),
            }
        }
    }
}

impl Shared {
    fn history_of(&self, channel: &ChannelName, page: Page) -> History {
        let to = page.top.position;
        let age = self.options(channel).history_age;
        let now = self.clock.unix_millis();
        let is_recent =
            |record: &Record| age > Duration::from_millis(now.saturating_sub(record.unix_millis));
        let limit = self.replay_limit;
        let mut bytes = 0;
        let publications: Vec<_> = page
            .records
            .into_iter()
            .filter(is_recent)
            .take(limit.publications)
            .take_while(|record| {
                let first = bytes == 0;
                bytes += record.content.data.len().max(1);
                first || bytes <= limit.bytes
            })
            .map(|record| {
                Arc::new(Publication::from_record(channel.clone(), record, self.budget.clone()))
            })
            .collect();
        let first = publications.first().map(|first| first.position().offset - 1);
        let from = Position { offset: first.unwrap_or(to.offset), ..to };
        History { publications, from, to }
    }
}

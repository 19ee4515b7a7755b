use std::time::Duration;

use super::backplane::{Backplane, Content, Outgoing, Unavailable};
use super::stats::add;
use super::{ChannelName, Hub, Message, Position};
use crate::transport::block_on;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Where it is in the channel's log.
    pub position: Position,
    /// How many subscriptions the channel has; with a backplane, on this hub.
    pub receivers: usize,
    /// It was published before, with the same idempotency key, and this is where.
    pub duplicate: bool,
}

/// Why a message was not published.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Its data are larger than [`MAX_DATA`](Hub::MAX_DATA).
    #[error("a message has at most {max} bytes, this one has {bytes}", max = Hub::MAX_DATA)]
    TooLarge {
        /// How large they are.
        bytes: usize,
    },
    /// The backplane cannot be reached, or has refused the message. When the connection broke
    /// meanwhile, the message may have been published all the same: publish it again with the same
    /// [idempotency key](Message::idempotency_key), and it is published once.
    #[error("the backplane has not taken the message: {0}")]
    Unavailable(Unavailable),
    /// The backplane has not answered in time. The message may have been published all the same:
    /// publish it again with the same [idempotency key](Message::idempotency_key), and it is
    /// published once.
    #[error("the backplane has not answered within {0:?}; the message may have been published")]
    Timeout(Duration),
}

impl Hub {
    /// How many bytes of data a message may have: 16 MiB.
    pub const MAX_DATA: usize = 16 * 1024 * 1024;

    /// Publishes a message: appends it to the channel's log and tells the subscribers, in one step.
    /// Never waits for a subscriber; with a backplane it waits for that.
    ///
    /// Not cancel safe: dropped before it is done, it may or may not have published the message.
    ///
    /// # Errors
    ///
    /// [`PublishError::TooLarge`]. With a backplane also [`PublishError::Unavailable`] and
    /// [`PublishError::Timeout`].
    pub async fn publish(
        &self,
        channel: &ChannelName,
        message: impl Into<Message>,
    ) -> Result<Published, PublishError> {
        let message = message.into();
        check(&message)?;
        let Some(backplane) = &self.shared.backplane else {
            return Ok(self.publish_here(channel, message));
        };
        let receipt = backplane.publish(self.outgoing(channel, message)).await;
        self.published(channel, receipt.map_err(|error| error.into_publish_error(&**backplane)))
    }

    /// [`publish`](Self::publish) for threads without an async runtime. Without a backplane it does
    /// not block; with one it does, until that has answered, at most for the time that it was given.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_blocking(
        &self,
        channel: &ChannelName,
        message: impl Into<Message>,
    ) -> Result<Published, PublishError> {
        let message = message.into();
        check(&message)?;
        let Some(backplane) = &self.shared.backplane else {
            return Ok(self.publish_here(channel, message));
        };
        let timeout = backplane.publish_timeout();
        let receipt = block_on(backplane.publish(self.outgoing(channel, message)), Some(timeout));
        let receipt = receipt.unwrap_or(Err(Unavailable::timeout()));
        self.published(channel, receipt.map_err(|error| error.into_publish_error(&**backplane)))
    }

    fn publish_here(&self, channel: &ChannelName, message: Message) -> Published {
        let mut message = message;
        let shared = &self.shared;
        let (now, unix_millis) = (shared.clock.now(), shared.clock.unix_millis());
        let published = shared.with_channel(channel, |channel| {
            channel.publish(&mut message, &shared.patterns, now, unix_millis)
        });
        let counters = &shared.counters;
        add(if published.duplicate { &counters.duplicates } else { &counters.published }, 1);
        shared.keep_to_budget();
        published
    }

    fn outgoing(&self, channel: &ChannelName, message: Message) -> Outgoing {
        let options = self.shared.options(channel);
        Outgoing {
            channel: channel.clone(),
            content: Content { data: message.data, name: message.name, key: message.key },
            unix_millis: self.shared.clock.unix_millis(),
            idempotency_key: message.idempotency_key,
            idempotency_age: options.idempotency_age,
            idempotency_size: options.idempotency_size,
            history_size: options.history_size,
            history_age: options.history_age,
        }
    }

    fn published(
        &self,
        channel: &ChannelName,
        receipt: Result<super::backplane::Receipt, PublishError>,
    ) -> Result<Published, PublishError> {
        let counters = &self.shared.counters;
        let receipt = receipt.inspect_err(|_| add(&counters.publish_failures, 1))?;
        add(if receipt.duplicate { &counters.duplicates } else { &counters.published }, 1);
        let receivers = self.shared.channel(channel).map_or(0, |channel| channel.receivers());
        Ok(Published { position: receipt.position, receivers, duplicate: receipt.duplicate })
    }
}

fn check(message: &Message) -> Result<(), PublishError> {
    match message.data.len() {
        ..=Hub::MAX_DATA => Ok(()),
        bytes => Err(PublishError::TooLarge { bytes }),
    }
}

impl Unavailable {
    fn into_publish_error(self, backplane: &dyn Backplane) -> PublishError {
        if self.is_timeout() {
            return PublishError::Timeout(backplane.publish_timeout());
        }
        PublishError::Unavailable(self)
    }
}

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::backplane::{Content, Record};
use super::budget::{Budget, Charge};
use super::encodings::Encodings;
use super::{ChannelName, Message, Position};

/// About what a publication takes besides its data and labels, with its place in the log.
const OVERHEAD: usize = 200;

/// One event on a channel. All subscribers share it.
pub struct Publication {
    channel: ChannelName,
    position: Position,
    data: Bytes,
    name: Option<Box<str>>,
    key: Option<Box<str>>,
    unix_millis: u64,
    encodings: Encodings,
    /// What its log is charged for it.
    charge: Charge,
}

/// What a publication looks like in one format of the wire.
///
/// It is made when the first subscriber needs it and kept with the publication, so that all others
/// share it:
///
/// ```
/// use lithe::hub::{Encoding, Hub, Publication};
///
/// struct Shouted(String);
///
/// impl Encoding for Shouted {
///     fn encode(publication: &Publication) -> Self {
///         Shouted(String::from_utf8_lossy(publication.data()).to_uppercase())
///     }
///     fn bytes(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// # use lithe::hub::{Interest, Item};
/// let hub = Hub::new();
/// let mut listener = hub.subscriber();
/// listener.subscribe("news".parse::<Interest>()?)?;
/// hub.publish_blocking(&"news".parse()?, "hello")?;
/// while let Some(item) = listener.try_next() {
///     if let Item::Publication(publication) = item {
///         assert_eq!(publication.encoded::<Shouted>().0, "HELLO");
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Encoding: Send + Sync + 'static {
    /// Encodes a publication. It must not ask the publication for the same encoding.
    fn encode(publication: &Publication) -> Self;

    /// How much memory it takes, in bytes: it counts against the budget of the hub.
    fn bytes(&self) -> usize;
}

impl Publication {
    pub(super) fn new(
        channel: ChannelName,
        position: Position,
        message: Message,
        unix_millis: u64,
        budget: Arc<Budget>,
    ) -> Self {
        let labels = [&message.name, &message.key].into_iter().flatten();
        let bytes = OVERHEAD + message.data.len() + labels.map(|label| label.len()).sum::<usize>();
        Publication {
            channel,
            position,
            data: message.data,
            name: message.name,
            key: message.key,
            unix_millis,
            encodings: Encodings::new(),
            charge: Charge::new(bytes, budget),
        }
    }

    /// One that comes from the backplane.
    pub(super) fn from_record(channel: ChannelName, record: Record, budget: Arc<Budget>) -> Self {
        let Content { data, name, key } = record.content;
        let message = Message { data, name, key, idempotency_key: None };
        Publication::new(channel, record.position, message, record.unix_millis, budget)
    }

    /// Whether it is what the backplane has at its place.
    pub(super) fn is(&self, record: &Record) -> bool {
        self.unix_millis == record.unix_millis && self.data == record.content.data
    }

    /// The channel it was published on.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Its place in the channel's log.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What was published.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// What kind of event it is.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What it is about.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// When it was published, in milliseconds since 1970.
    pub fn unix_millis(&self) -> u64 {
        self.unix_millis
    }

    /// The publication in a format of the wire, encoded once for all.
    pub fn encoded<T: Encoding>(&self) -> &T {
        self.encodings.get_or_make(|| {
            let encoding = T::encode(self);
            // If a log still holds the publication.
            self.charge.add(encoding.bytes());
            encoding
        })
    }

    /// The log holds it no longer.
    pub(super) fn release(&self) {
        self.charge.release();
    }

    /// What a replay of it counts as.
    pub(super) fn size(&self) -> usize {
        self.data.len()
    }
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publication")
            .field("channel", &self.channel)
            .field("position", &self.position)
            .field("name", &self.name)
            .field("key", &self.key)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::hub::Epoch;

    static ENCODED: AtomicU32 = AtomicU32::new(0);

    struct Upper(Vec<u8>);
    struct Length(usize);

    impl Encoding for Upper {
        fn encode(publication: &Publication) -> Self {
            ENCODED.fetch_add(1, Ordering::Relaxed);
            Upper(publication.data().to_ascii_uppercase())
        }
        fn bytes(&self) -> usize {
            self.0.len()
        }
    }

    impl Encoding for Length {
        fn encode(publication: &Publication) -> Self {
            Length(publication.data().len())
        }
        fn bytes(&self) -> usize {
            1
        }
    }

    fn publication(budget: &Arc<Budget>) -> Publication {
        let position = Position { epoch: Epoch::random(), offset: 1 };
        let channel = ChannelName::new("a").unwrap();
        Publication::new(channel, position, Message::new("abc"), 0, budget.clone())
    }

    #[test]
    fn each_format_is_encoded_once_for_all_threads() {
        let publication = publication(&Arc::new(Budget::new(0)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    assert_eq!(publication.encoded::<Length>().0, 3);
                    assert_eq!(publication.encoded::<Upper>().0, b"ABC");
                });
            }
        });
        assert_eq!(ENCODED.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_budget_counts_encodings_until_the_log_lets_go() {
        let budget = Arc::new(Budget::new(0));
        let publication = publication(&budget);
        let plain = budget.used();
        assert_eq!(publication.encoded::<Length>().0, 3);
        assert_eq!(budget.used(), plain + 1);
        publication.release();
        assert_eq!(budget.used(), 0);
        struct Late;
        impl Encoding for Late {
            fn encode(_: &Publication) -> Self {
                Late
            }
            fn bytes(&self) -> usize {
                100
            }
        }
        publication.encoded::<Late>();
        drop(publication);
        assert_eq!(budget.used(), 0);
    }
}

//! How publications look in Redis.

use bytes::Bytes;

use crate::hub::backplane::{Content, Record};
use crate::hub::{ChannelName, Pattern, Position};

const HAS_NAME: u8 = 1;
const HAS_KEY: u8 = 2;

/// A byte that says which labels there are, each of them behind its length, and the data.
pub(super) fn encode(content: &Content) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.data.len() + 8);
    let flag = |label: &Option<Box<str>>, flag| if label.is_some() { flag } else { 0 };
    out.push(flag(&content.name, HAS_NAME) | flag(&content.key, HAS_KEY));
    for label in [&content.name, &content.key].into_iter().flatten() {
        // At most 255 bytes, like all labels.
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.extend_from_slice(&content.data);
    out
}

pub(super) fn decode(content: Bytes) -> Option<Content> {
    let mut rest = content;
    let flags = take(&mut rest, 1)?[0];
    if flags & !(HAS_NAME | HAS_KEY) != 0 {
        return None;
    }
    let mut label = |flag| {
        if flags & flag == 0 {
            return Some(None);
        }
        let length = take(&mut rest, 1)?[0];
        let label = take(&mut rest, length.into())?;
        Some(Some(Box::from(str::from_utf8(&label).ok()?)))
    };
    let (name, key) = (label(HAS_NAME)?, label(HAS_KEY)?);
    Some(Content { data: rest, name, key })
}

fn take(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

/// What is passed on: `<position>:<milliseconds>:<content>`.
pub(super) fn decode_message(message: Bytes) -> Option<Record> {
    let mut rest = message;
    let mut field = || {
        let end = rest.iter().take(64).position(|byte| *byte == b':')?;
        let field = rest.split_to(end);
        let _colon = rest.split_to(1);
        Some(String::from_utf8_lossy(&field).into_owned())
    };
    let position: Position = field()?.parse().ok()?;
    let unix_millis = field()?.parse().ok()?;
    Some(Record { position, unix_millis, content: decode(rest)? })
}

/// The names of what belongs to a channel. All of it is in one slot of a cluster.
pub(super) struct Keys<'a> {
    pub(super) prefix: &'a str,
    pub(super) channel: &'a str,
}

impl Keys<'_> {
    fn key(&self, kind: char) -> String {
        format!("{}:{kind}:{{{}}}", self.prefix, self.channel)
    }

    /// The epoch and the end of the log.
    pub(super) fn meta(&self) -> String {
        self.key('m')
    }

    pub(super) fn stream(&self) -> String {
        self.key('s')
    }

    /// Where publications are passed on.
    pub(super) fn pubsub(&self) -> String {
        self.key('c')
    }

    pub(super) fn idempotency(&self, key: &str) -> String {
        format!("{}:{key}", self.key('i'))
    }

    /// What tells an attempt to publish from others.
    pub(super) fn attempt(&self, number: u128) -> String {
        format!("{}:{number:x}", self.key('a'))
    }
}

/// Where the publications of a pattern are passed on, as a pattern of Redis. Its `*` stands for
/// dots, too: more may match than should, and several patterns may be the same to it.
pub(super) fn pubsub_pattern(prefix: &str, pattern: &Pattern) -> String {
    let mut glob = String::new();
    for character in prefix.chars() {
        if "*?[]\\".contains(character) {
            glob.push('\\');
        }
        glob.push(character);
    }
    // Nothing else in a pattern is special to Redis.
    glob + ":c:{" + &pattern.as_str().replace("**", "*") + "}"
}

/// The channel that publications come from.
pub(super) fn channel_of(prefix: &str, pubsub: &[u8]) -> Option<ChannelName> {
    let name = str::from_utf8(pubsub).ok()?.strip_prefix(prefix)?.strip_prefix(":c:{")?;
    ChannelName::new(name.strip_suffix('}')?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn content_is_read_as_it_was_written(
            data in prop::collection::vec(any::<u8>(), 0..300),
            name in prop::option::of("[^\\x00-\\x1f]{0,60}"),
            key in prop::option::of("[^\\x00-\\x1f]{0,60}"),
            millis in any::<u64>(),
        ) {
            let content = Content {
                data: data.into(),
                name: name.map(Into::into),
                key: key.map(Into::into),
            };
            let mut message = format!("1f-7:{millis}:").into_bytes();
            message.extend(encode(&content));
            let record = decode_message(message.into()).unwrap();
            prop_assert_eq!(record.position.to_string(), "1f-7");
            prop_assert_eq!((record.unix_millis, record.content), (millis, content));
        }

        #[test]
        fn whatever_others_write_is_read_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let _ = decode(bytes.clone().into());
            let _ = decode_message(bytes.clone().into());
            let _ = decode_message([b"1-1:5:".as_slice(), &bytes].concat().into());
        }
    }

    #[test]
    fn a_channel_is_known_by_where_it_is_passed_on() {
        let keys = Keys { prefix: "lithe", channel: "a.b" };
        assert_eq!(channel_of("lithe", keys.pubsub().as_bytes()).unwrap().as_str(), "a.b");
        assert_eq!(channel_of("lithe", b"lithe:c:{a b}"), None);
        assert_eq!(channel_of("other", keys.pubsub().as_bytes()), None);
    }

    #[test]
    fn what_is_special_to_redis_in_a_prefix_stands_for_itself() {
        let glob = |pattern: &str| pubsub_pattern("a*[b]\\?", &pattern.parse().unwrap());
        assert_eq!(glob("logs.*.x.**"), "a\\*\\[b\\]\\\\\\?:c:{logs.*.x.*}");
        assert_eq!(glob("**"), glob("*"));
    }
}

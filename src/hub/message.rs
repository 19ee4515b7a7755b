use bytes::Bytes;

/// The longest name, key or idempotency key of a message, in bytes.
pub const MAX_LABEL: usize = 255;

/// How the names of the control events begin: no message may pass for one.
pub const RESERVED: &str = "lithe.";

/// What is published: data, and what is to be known about it.
///
/// ```
/// use lithe::hub::Message;
///
/// let plain = Message::new("42 %");
/// let more = Message::new(r#"{"done":42}"#).name("progress")?.key("download-7")?;
/// # Ok::<(), lithe::hub::MessageError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Message {
    pub(super) data: Bytes,
    pub(super) name: Option<Box<str>>,
    pub(super) key: Option<Box<str>>,
    pub(super) idempotency_key: Option<Box<str>>,
}

/// Why a label cannot be given to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is longer than [`MAX_LABEL`].
    #[error("the {label} of a message has at most {MAX_LABEL} bytes, this one has {bytes}")]
    TooLong {
        /// Which one.
        label: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// It holds a control character: in a line of an event stream it would pass for something else.
    #[error("the {label} of a message cannot hold {character:?}")]
    Character {
        /// Which one.
        label: &'static str,
        /// What must not be in it.
        character: char,
    },
    /// The name begins with [`RESERVED`].
    #[error("the names of messages that begin with {RESERVED:?} are those of the control events")]
    Reserved,
}

impl Message {
    /// A message with that data.
    pub fn new(data: impl Into<Bytes>) -> Self {
        Message { data: data.into(), ..Message::default() }
    }

    /// How many bytes of data it has.
    #[cfg(feature = "endpoint")]
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    /// What kind of message it is: the type of the event in an event stream.
    ///
    /// # Errors
    ///
    /// It is too long, holds a control character, or begins with [`RESERVED`].
    pub fn name(mut self, name: impl AsRef<str>) -> Result<Self, MessageError> {
        if name.as_ref().starts_with(RESERVED) {
            return Err(MessageError::Reserved);
        }
        self.name = Some(label("name", name.as_ref())?);
        Ok(self)
    }

    /// What the message is about. On a channel that is conflated it takes the place of earlier ones
    /// with the same key; there, all messages without a key have one in common.
    ///
    /// # Errors
    ///
    /// It is too long, or holds a control character.
    pub fn key(mut self, key: impl AsRef<str>) -> Result<Self, MessageError> {
        self.key = Some(label("key", key.as_ref())?);
        Ok(self)
    }

    /// Names this attempt to publish. Another message with the same idempotency key on the same
    /// channel is not published, but answered as the first one was, for as long as the channel
    /// remembers it: [`ChannelOptions::idempotency`](super::ChannelOptions::idempotency).
    ///
    /// # Errors
    ///
    /// It is too long, or holds a control character.
    pub fn idempotency_key(mut self, key: impl AsRef<str>) -> Result<Self, MessageError> {
        self.idempotency_key = Some(label("idempotency key", key.as_ref())?);
        Ok(self)
    }
}

impl<T: Into<Bytes>> From<T> for Message {
    fn from(data: T) -> Self {
        Message::new(data)
    }
}

fn label(label: &'static str, text: &str) -> Result<Box<str>, MessageError> {
    if text.len() > MAX_LABEL {
        return Err(MessageError::TooLong { label, bytes: text.len() });
    }
    match text.chars().find(|c| c.is_control()) {
        Some(character) => Err(MessageError::Character { label, character }),
        None => Ok(text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_could_leave_their_line_are_refused() {
        let refused = Message::new("x").name("a\nid: 7");
        assert_eq!(refused, Err(MessageError::Character { label: "name", character: '\n' }));
        assert_eq!(Message::new("x").name("lithe.gap"), Err(MessageError::Reserved));
        assert!(Message::new("x").key("a\0").is_err());
        assert!(Message::new("x").idempotency_key("k".repeat(256)).is_err());
        assert!(Message::new("x").key("größe 7").is_ok());
    }
}

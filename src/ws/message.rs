use bytes::Bytes;
use thiserror::Error;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A whole message. Pings, pongs and close frames are answered by the connection itself and never
/// show up here.
///
/// ```
/// use lithe::ws::Message;
///
/// let message = Message::from("hello");
/// assert_eq!(message.as_text(), Some("hello"));
/// assert!(!Message::from(vec![1, 2, 3]).is_text());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8 text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The payload, whatever it means.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_ref(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The payload, whatever it means, without a copy.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Message::Text(text) => text.into(),
            Message::Binary(bytes) => bytes,
        }
    }

    /// The text, unless the message is binary.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// Whether this is text.
    pub fn is_text(&self) -> bool {
        matches!(self, Message::Text(_))
    }

    /// The length of the payload in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::Text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::Text(text.into())
    }
}

impl From<Utf8Bytes> for Message {
    fn from(text: Utf8Bytes) -> Self {
        Message::Text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(bytes: &[u8]) -> Self {
        Message::Binary(Bytes::copy_from_slice(bytes))
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::Binary(bytes.into())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::Binary(bytes)
    }
}

/// A close code that may be sent (RFC 6455 §7.4).
///
/// ```
/// use lithe::ws::CloseCode;
///
/// assert_eq!(CloseCode::NORMAL.get(), 1000);
/// assert_eq!(CloseCode::new(4001).map(CloseCode::get), Some(4001));
/// // 1006 stands for a connection that broke, and is never sent.
/// assert_eq!(CloseCode::new(1006), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: the server is going down, or the page was left.
    pub const AWAY: CloseCode = CloseCode(1001);
    /// 1003: a kind of data that this endpoint does not accept.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// 1008: a message broke the endpoint's policy.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// 1009: a message is too large.
    pub const SIZE: CloseCode = CloseCode(1009);
    /// 1011: the server met an error of its own.
    pub const ERROR: CloseCode = CloseCode(1011);
    /// 1012: the server restarts.
    pub const RESTART: CloseCode = CloseCode(1012);
    /// 1013: try again later.
    pub const AGAIN: CloseCode = CloseCode(1013);

    /// A code by number: 1000 to 1003, 1007 to 1014, or 3000 to 4999, of which 4000 and above are
    /// for the application's own use. `None` for all others, which must not be sent.
    pub fn new(code: u16) -> Option<CloseCode> {
        matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999).then_some(CloseCode(code))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The close code (RFC 6455 §7.4): what the peer sent, or what this side closed with when it
    /// closed first. 1005 when the peer sent none, 1006 when the connection broke.
    pub code: u16,
    /// The reason that came with the code, or what went wrong here.
    pub reason: Utf8Bytes,
    /// Whether both sides sent a close frame (RFC 6455 §7.1.4).
    pub clean: bool,
}

impl Closed {
    pub(crate) fn abnormal(reason: impl Into<Utf8Bytes>) -> Self {
        Closed { code: 1006, reason: reason.into(), clean: false }
    }
}

/// Why a message was not queued. It was then not sent at all, nor in part.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection has ended or is closing.
    #[error("the connection is closed")]
    Closed,
    /// The send queue has no room for the message now.
    #[error("the send queue is full")]
    Full,
    /// The send queue had no room for the message in time.
    #[error("timed out waiting for room in the send queue")]
    Timeout,
}

/// Why there is no message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// The connection has ended, and every message before its end was received.
    #[error("the connection is closed ({})", .0.code)]
    Closed(Closed),
    /// No message came in time.
    #[error("timed out waiting for a message")]
    Timeout,
}

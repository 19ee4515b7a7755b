use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use once_cell::sync::OnceCell;

use super::Message;
use super::codec::{Encoder, Role};

/// A message for many connections: encoded once, and compressed once for each set of parameters
/// that its connections have agreed on. Cloning it is cheap.
///
/// ```
/// use lithe::ws::{Prepared, Sender};
///
/// fn broadcast(room: &[Sender], text: &str) {
///     let message = Prepared::new(text);
///     for member in room {
///         // A member whose queue is full misses the message; it may as well be closed.
///         let _ = member.try_send_prepared(&message);
///     }
/// }
/// ```
#[derive(Clone)]
pub struct Prepared(Arc<Inner>);

struct Inner {
    message: Message,
    plain: OnceCell<Bytes>,
    #[cfg(feature = "deflate")]
    deflated: std::sync::Mutex<Vec<((u8, u8), Bytes)>>,
}

impl Prepared {
    /// Prepares a message. It is encoded when the first connection needs it.
    pub fn new(message: impl Into<Message>) -> Self {
        Prepared(Arc::new(Inner {
            message: message.into(),
            plain: OnceCell::new(),
            #[cfg(feature = "deflate")]
            deflated: std::sync::Mutex::default(),
        }))
    }

    /// The message itself.
    pub fn message(&self) -> &Message {
        &self.0.message
    }

    /// The message as an uncompressed frame.
    pub(crate) fn plain(&self) -> &Bytes {
        let message = &self.0.message;
        self.0.plain.get_or_init(|| frame(message.is_text(), false, message.as_bytes()))
    }

    /// The message as a frame compressed for that level and window, or uncompressed where that is
    /// shorter.
    #[cfg(feature = "deflate")]
    pub(crate) fn deflated(&self, key: (u8, u8)) -> Bytes {
        let mut cache = self.0.deflated.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some((_, frame)) = cache.iter().find(|(cached, _)| *cached == key) {
            return frame.clone();
        }
        let message = &self.0.message;
        let encoded = match super::codec::deflate_alone(key, message.as_bytes()) {
            Some(deflated) => frame(message.is_text(), true, &deflated),
            None => self.plain().clone(),
        };
        cache.push((key, encoded.clone()));
        encoded
    }
}

fn frame(text: bool, compressed: bool, payload: &[u8]) -> Bytes {
    let mut out = Vec::new();
    Encoder::new(Role::Server).message(text, compressed, payload, &mut out);
    out.into()
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Prepared").field(self.message()).finish()
    }
}

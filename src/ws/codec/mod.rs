//! The WebSocket protocol without sockets (RFC 6455, RFC 7692): bytes in, messages and control
//! frames out, and back.
//!
//! Header coding, close codes and their meaning are tungstenite's; what is ours is that frames are
//! decoded in place, in a buffer that the caller lends, and that only what is incomplete is
//! copied.
//!
//! ```
//! use lithe::ws::codec::{Decoder, Encoder, Item, Role};
//!
//! let mut bytes = Vec::new();
//! Encoder::new(Role::Client).message(true, false, b"hello", &mut bytes);
//!
//! let mut decoder = Decoder::new(Role::Server, 1 << 20, 1 << 20);
//! let (first, second) = bytes.split_at_mut(4);
//! decoder.decode(first, |_| panic!("it is not complete yet"))?;
//! decoder.decode(second, |item| match item {
//!     Item::Message(message) => assert_eq!(message.as_text(), Some("hello")),
//!     _ => panic!("no control frame was sent"),
//! })?;
//! # Ok::<(), lithe::ws::codec::ProtocolError>(())
//! ```

mod decoder;
#[cfg(feature = "deflate")]
mod deflate;
mod encoder;
mod error;
mod mask;
#[cfg(feature = "deflate")]
mod negotiate;

#[cfg(test)]
mod tests;

pub use decoder::{Decoder, Item};
#[cfg(feature = "deflate")]
pub(crate) use deflate::deflate_alone;
#[cfg(feature = "deflate")]
pub use deflate::{Deflate, DeflateParams, Deflater, Inflater};
pub use encoder::Encoder;
pub(crate) use encoder::close_reason;
pub use error::ProtocolError;
#[cfg(feature = "deflate")]
pub use negotiate::negotiate;

pub use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Which end of the connection this is: a client masks what it sends, a server does not
/// (RFC 6455 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receives masked frames and sends them plain.
    Server,
    /// Receives plain frames and sends them masked.
    Client,
}

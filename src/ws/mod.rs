//! WebSockets (RFC 6455), with compression (RFC 7692), over HTTP/1.1 and HTTP/2 (RFC 8441).
//!
//! [`WebSocketUpgrade`] is the axum extractor, [`Socket`] the connection. Each connection is one
//! task: it reads into a buffer that belongs to its thread, hands on all that is there, and writes
//! all that was queued meanwhile in one go. An idle connection keeps no buffer.
//!
//! Nothing is dropped in silence. Inbound, a slow application makes Lithe stop reading, so that TCP
//! slows the peer down; pings among what was read are answered all the same. Outbound, the queue is
//! bounded in bytes: [`Sender::send`] waits, [`Sender::try_send`] says that it is full.

pub mod codec;
mod config;
mod connection;
mod message;
mod origins;
mod prepared;
mod shared;
mod socket;
mod upgrade;

#[cfg(feature = "deflate")]
pub use codec::Deflate;
#[cfg(feature = "deflate")]
pub use config::Compression;
pub use config::Config;
#[cfg(feature = "endpoint")]
pub(crate) use connection::Rate;
pub use message::{CloseCode, Closed, Message, RecvError, SendError};
pub use origins::Origins;
#[cfg(feature = "endpoint")]
pub(crate) use origins::host;
pub use prepared::Prepared;
#[cfg(feature = "ffi")]
pub(crate) use shared::Inbound;
pub use socket::{Receiver, Sender, Socket};
pub use tokio_tungstenite::tungstenite::Utf8Bytes;
#[cfg(feature = "ffi")]
pub(crate) use upgrade::is_key;
pub use upgrade::{UpgradeError, WebSocketUpgrade};

//! What `sse`, `ws` and `server` share: the bounded queue of bytes that wait to be written, the
//! per-thread buffers, the byte stream below a protocol, and the contract by which a server
//! watches over the streams that run on its connections.

mod outbox;
pub(crate) mod scratch;
#[cfg(feature = "ws")]
mod stream;
mod supervise;

pub(crate) use outbox::{Outbox, WriteQueue};
#[cfg(feature = "ws")]
pub(crate) use stream::Stream;
pub use supervise::{Kind, Limit, Membership, Supervised, Supervision, Supervisor, Traffic};

/// Response extension: the body is an endless stream of small pieces. A server enters the stream
/// in its registry and, where it owns the socket, drops the HTTP library once the head is out and
/// writes the body by itself. Anyone else ignores it.
#[cfg(feature = "sse")]
#[derive(Clone)]
pub(crate) struct EndlessBody(pub(crate) std::sync::Arc<dyn Supervised>);

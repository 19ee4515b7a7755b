//! What `sse`, `ws` and `server` share: the bounded queue of bytes that wait to be written, the
//! per-thread buffers, the byte stream below a protocol, and the contract by which a server
//! watches over the streams that run on its connections.

#[cfg(any(feature = "hub", feature = "server"))]
mod block_on;
#[cfg(any(feature = "sse", feature = "ws"))]
#[cfg_attr(not(feature = "ffi"), allow(dead_code, reason = "for hosts behind the C ABI"))]
pub(crate) mod cork;
#[cfg(any(feature = "sse", feature = "ws"))]
#[cfg_attr(not(feature = "ffi"), allow(dead_code, reason = "for hosts behind the C ABI"))]
pub(crate) mod events;
#[cfg(feature = "server")]
mod http;
#[cfg(any(feature = "sse", feature = "ws", feature = "server"))]
mod local;
#[cfg(any(feature = "sse", feature = "ws"))]
mod outbox;
#[cfg(feature = "sse")]
pub(crate) mod queue;
#[cfg(any(feature = "server", feature = "endpoint"))]
pub(crate) mod retry;
#[cfg(any(feature = "redis", feature = "server"))]
pub(crate) mod runtime_thread;
#[cfg(any(feature = "ws", feature = "server"))]
pub(crate) mod scratch;
#[cfg(any(feature = "ws", feature = "server"))]
mod stream;
mod supervise;

#[cfg(any(feature = "hub", feature = "server"))]
pub(crate) use block_on::block_on;
#[cfg(feature = "server")]
pub(crate) use http::{HttpStream, Watch};
#[cfg(any(feature = "sse", feature = "ws", feature = "server"))]
pub(crate) use local::lend;
#[cfg(any(feature = "sse", feature = "ws"))]
pub(crate) use outbox::Outbox;
#[cfg(feature = "ws")]
pub(crate) use outbox::WriteQueue;
#[cfg(any(feature = "ws", feature = "server"))]
pub(crate) use stream::Stream;
pub use supervise::{Kind, Limit, Membership, Supervised, Supervision, Supervisor, Traffic};

/// Response extension: the body is an endless stream of small pieces. A server enters the stream
/// in its registry and, where it owns the socket, drops the HTTP library once the head is out and
/// writes the body by itself. Anyone else ignores it.
#[derive(Clone)]
pub struct EndlessBody(pub std::sync::Arc<dyn Supervised>);

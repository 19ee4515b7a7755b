//! A server around an axum router: its own threads, limits, a registry of the connections, a drain
//! that ends long-lived streams kindly, and metrics.
//!
//! ```
//! use axum::{Router, routing::get};
//! use lithe::server::Server;
//!
//! let router = Router::new().route("/", get(|| async { "hello" }));
//! let server = Server::builder().bind("127.0.0.1:0").router(router).workers(1).start()?;
//! println!("http://{}", server.local_addr());
//! # Ok::<(), lithe::server::Error>(())
//! ```
//!
//! The server needs no async runtime around it: each of its workers is a thread with a runtime of
//! its own, and a connection stays on the worker that it was given to. Handlers run on these
//! threads, so one that blocks stops every connection of its worker; see
//! [`tokio::task::spawn_blocking`].

mod body;
mod builder;
mod config;
mod connection;
mod drain;
mod driver;
mod error;
mod handoff;
#[cfg(feature = "ffi")]
pub(crate) mod inbox;
mod limits;
mod listener;
mod metrics;
mod refuse;
mod registry;
#[cfg(feature = "ffi")]
pub(crate) mod request;
#[cfg(feature = "ffi")]
pub(crate) mod response;
mod service;
mod shared;
mod timer;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "ffi")]
pub(crate) mod upload;
mod worker;

pub use builder::Builder;
pub use drain::DrainReport;
pub use error::Error;
pub use metrics::{HistogramSnapshot, KindMetrics, Metrics};
pub use registry::Connection;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::transport::block_on;
use shared::Shared;
use worker::Worker;

/// A running server. Dropping it cuts every connection and joins the worker threads; call
/// [`drain`](Server::drain) first to part kindly.
pub struct Server {
    shared: Arc<Shared>,
    workers: Vec<Worker>,
    address: SocketAddr,
}

impl Server {
    /// A server to be configured and started.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The address the server listens on, with the port that the system chose if it was bound to
    /// port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// All open connections, in no particular order.
    ///
    /// An HTTP connection is one entry, of the kind of stream that it has become. The streams that
    /// share an HTTP/2 connection are one entry each, besides the one of the connection.
    ///
    /// ```
    /// use lithe::server::Server;
    ///
    /// fn close_those_far_behind(server: &Server) {
    ///     for connection in server.connections() {
    ///         if connection.queued_bytes > 512 * 1024 {
    ///             server.close(connection.id);
    ///         }
    ///     }
    /// }
    /// ```
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.registry.list()
    }

    /// How many entries [`connections`](Server::connections) would return.
    pub fn connection_count(&self) -> usize {
        self.shared.registry.len()
    }

    /// Ends one connection kindly: a WebSocket is closed with code 1001, an event stream ends
    /// after what is queued, an HTTP connection after the response that is on its way. Returns at
    /// once; `false` means that there is no such connection (any more).
    pub fn close(&self, id: u64) -> bool {
        self.shared.registry.close(id)
    }

    /// Ends all present connections as [`close`](Server::close) does, and goes on accepting new
    /// ones. Returns at once.
    pub fn close_all(&self) {
        self.shared.registry.close_all();
    }
}

impl Server {
    /// What the server has counted so far.
    ///
    /// ```
    /// # let server = lithe::server::Server::builder().start()?;
    /// let metrics = server.metrics();
    /// assert_eq!(metrics.websocket.open, 0);
    /// assert_eq!(metrics.limits["max_connections"], 0);
    /// # Ok::<(), lithe::server::Error>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shared)
    }

    /// The metrics as text for Prometheus, in the OpenMetrics format. All names begin with
    /// `lithe_`.
    pub fn metrics_text(&self) -> String {
        metrics::encode(self.metrics())
    }

    /// Parts from all clients kindly: stops accepting, ends event streams with a `retry:` of their
    /// own out of the [window](Builder::drain_retry), closes WebSockets with code 1001, lets HTTP
    /// requests finish, and cuts whoever is left after the timeout.
    ///
    /// May be called more than once, and from any runtime: all calls report the same drain, which
    /// is over at the earliest of their timeouts. Cancel safe; the drain goes on without its
    /// caller. The server accepts no connections afterwards and can only be dropped.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use lithe::server::Server;
    ///
    /// async fn run(server: Server) {
    ///     let _ = tokio::signal::ctrl_c().await;
    ///     let report = server.drain(Duration::from_secs(30)).await;
    ///     println!("{} ended, {} cut", report.drained, report.cut);
    /// }
    /// ```
    pub async fn drain(&self, timeout: Duration) -> DrainReport {
        drain::drain(self.shared.clone(), self.workers[0].handle.clone(), timeout).await
    }

    /// Does what [`drain`](Server::drain) does, and blocks the thread until it is done.
    ///
    /// # Panics
    ///
    /// When called from asynchronous code, where blocking would hold up everything else.
    pub fn drain_blocking(&self, timeout: Duration) -> DrainReport {
        if let Ok(runtime) = Handle::try_current() {
            // It knows whether the thread may be blocked.
            return runtime.block_on(self.drain(timeout));
        }
        // A thread that is ending cannot run a drain any more, only wait for it.
        let worker = &self.workers[0].handle;
        let (sender, report) = oneshot::channel();
        let drain = drain::drain(self.shared.clone(), worker.clone(), timeout);
        worker.spawn(async {
            let _ = sender.send(drain.await);
        });
        // No report when the server was dropped meanwhile, which cuts everyone.
        block_on(report, None).and_then(Result::ok).unwrap_or_default()
    }

    /// Does what [`drain`](Server::drain) does in the background, and says when it is over.
    #[cfg(feature = "ffi")]
    pub(crate) fn begin_drain(&self, timeout: Duration, over: impl FnOnce() + Send + 'static) {
        let worker = &self.workers[0].handle;
        let drain = drain::drain(self.shared.clone(), worker.clone(), timeout);
        worker.spawn(async {
            drain.await;
            over();
        });
    }

    /// Does what dropping the server does, while others may be using it.
    #[cfg(feature = "ffi")]
    pub(crate) fn stop(&self) {
        self.shared.shutdown.stop_accepting();
        worker::stop(&self.workers);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.shutdown.stop_accepting();
        worker::stop(&self.workers);
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

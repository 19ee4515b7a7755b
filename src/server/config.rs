//! The settings of a running server.

use std::ops::RangeInclusive;
use std::time::Duration;

use axum::http::Request;

use crate::transport::retry::within;

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) max_connections: usize,
    /// 0 for no limit.
    pub(super) max_connections_per_ip: usize,
    pub(super) handshake_timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) max_header_bytes: usize,
    pub(super) max_body_bytes: usize,
    pub(super) body_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) drain_retry: RangeInclusive<Duration>,
    pub(super) metrics_path: Option<String>,
    /// Those of a host program, which may have limits of their own.
    #[cfg(feature = "ffi")]
    pub(super) routes: Option<std::sync::Arc<super::inbox::Routes>>,
    #[cfg(feature = "ws")]
    pub(super) ws: std::sync::Arc<crate::ws::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_connections: 100_000,
            max_connections_per_ip: 1_024,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            max_header_bytes: 16 * 1024,
            max_body_bytes: 2 * 1024 * 1024,
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain_retry: Duration::from_secs(1)..=Duration::from_secs(10),
            metrics_path: None,
            #[cfg(feature = "ffi")]
            routes: None,
            #[cfg(feature = "ws")]
            ws: std::sync::Arc::default(),
        }
    }
}

impl Config {
    /// How large the body of a request may be.
    pub(super) fn body_limit<B>(&self, request: &Request<B>) -> usize {
        #[cfg(feature = "ffi")]
        if let Some(routes) = &self.routes
            && let Some(limit) = routes.max_body_bytes(request.method(), request.uri().path())
        {
            return limit;
        }
        #[cfg(not(feature = "ffi"))]
        let _ = request;
        self.max_body_bytes
    }

    /// A time within the window in which clients are asked to come back, so that they do not all
    /// come at once.
    pub(super) fn retry(&self) -> Duration {
        within(&self.drain_retry)
    }
}

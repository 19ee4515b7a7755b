//! What all connections of a server share.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Layer;

use super::config::Config;
use super::drain::Shutdown;
use super::limits::Admission;
use super::metrics::Stats;
use super::registry::Registry;

/// The router without axum's own limit on bodies, in whose place ours stands.
pub(super) type App = <DefaultBodyLimit as Layer<Router>>::Service;

/// The smallest buffer that hyper works with.
const MIN_BUFFER: usize = 8 * 1024;
/// How much hyper reads or keeps to write at a time, where the limit on heads does not ask for
/// more.
const BUFFER: usize = 64 * 1024;

/// After how long an HTTP/2 connection is asked for a sign of life, and given up without one.
const PING: Duration = Duration::from_secs(20);

pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) app: App,
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<TokioExecutor>,
    pub(super) admission: Admission,
    pub(super) registry: Registry,
    pub(super) shutdown: Shutdown,
    /// One for each worker, so that they do not slow each other down.
    pub(super) stats: Vec<Stats>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
    /// From when connections count their milliseconds.
    started: Instant,
}

impl Shared {
    pub(super) fn new(config: Config, router: Router, workers: usize) -> Self {
        Shared {
            app: DefaultBodyLimit::disable().layer(router.with_state(())),
            http1: http1(&config),
            http2: http2(&config),
            admission: Admission::new(workers),
            registry: Registry::new(workers),
            shutdown: Shutdown::default(),
            stats: (0..workers).map(|_| Stats::default()).collect(),
            #[cfg(feature = "tls")]
            tls: None,
            started: Instant::now(),
            config,
        }
    }

    /// Milliseconds since the start, never 0.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
    }

    /// The time that [`now`](Self::now) counts as `millis`.
    pub(super) fn instant(&self, millis: u64) -> Instant {
        self.started + Duration::from_millis(millis)
    }
}

fn http1(config: &Config) -> http1::Builder {
    let mut http = http1::Builder::new();
    // The connection has timeouts of its own, which tell a slow head from an idle connection.
    http.header_read_timeout(None)
        .max_header_size(config.max_header_bytes)
        .max_buf_size(config.max_header_bytes.max(BUFFER).max(MIN_BUFFER));
    http
}

fn http2(config: &Config) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(256)
        .max_send_buf_size(BUFFER)
        .max_header_list_size(u32::try_from(config.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    http
}

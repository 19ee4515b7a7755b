//! The settings of a server, and its start.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tower_http::services::ServeDir;

use super::config::Config;
use super::shared::Shared;
#[cfg(feature = "tls")]
use super::tls::PemFiles;
use super::{Error, Server, listener, worker};

/// More than any machine has a use for.
const MAX_WORKERS: usize = 1024;

/// The settings of a server that is not yet running.
///
/// Every limit is on by default. A timeout of [`Duration::MAX`] never passes.
///
/// ```
/// use std::time::Duration;
///
/// use axum::{Router, routing::get};
/// use lithe::server::{Error, Server};
///
/// fn start() -> Result<Server, Error> {
///     Server::builder()
///         .bind("127.0.0.1:8080")
///         .router(Router::new().route("/health", get(|| async { "ok" })))
///         .static_dir("public")
///         .metrics_path("/metrics")
///         .max_connections(50_000)
///         .idle_timeout(Duration::from_secs(30))
///         .start()
/// }
/// ```
#[derive(Debug)]
#[must_use = "a server runs once it is started"]
pub struct Builder {
    bind: String,
    workers: usize,
    router: Router,
    static_dir: Option<PathBuf>,
    #[cfg(feature = "tls")]
    tls: Option<PemFiles>,
    config: Config,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            bind: "127.0.0.1:0".to_owned(),
            workers: 0,
            router: Router::new(),
            static_dir: None,
            #[cfg(feature = "tls")]
            tls: None,
            config: Config::default(),
        }
    }

    /// The address to listen on, `host:port`. Port 0 lets the system choose one, `[::]:80` listens
    /// on all addresses of both IP versions. Default: `127.0.0.1:0`.
    pub fn bind(mut self, address: impl Into<String>) -> Self {
        self.bind = address.into();
        self
    }

    /// Who answers the requests. Default: nobody, each request is answered with 404.
    pub fn router(mut self, router: Router) -> Self {
        self.router = router;
        self
    }

    /// A directory whose files answer the requests for which the router has no route, in the place
    /// of its fallback. `index.html` stands for its directory.
    pub fn static_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.static_dir = Some(path.into());
        self
    }

    /// Speaks TLS 1.2 and 1.3 only, with the certificate chain and the private key in these PEM
    /// files. HTTP/2 is offered besides HTTP/1.1. Default: no TLS.
    #[cfg(feature = "tls")]
    pub fn tls_pem_files(
        mut self,
        certificates: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls = Some(PemFiles { certificates: certificates.into(), key: key.into() });
        self
    }

    /// How many threads serve connections, 1,024 at most. Default, and 0: one for each processor that the process
    /// may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many connections there may be at a time. One more is refused: an event stream with a
    /// time after which to try again, anything else with status 503. Each takes a file descriptor,
    /// of which the system gives a process so many (`ulimit -n`); when they run out, connections
    /// wait to be accepted. Default: 100,000.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// How many connections one client address may hold at a time, an IPv6 client being its /64
    /// network; one more is refused as for [`max_connections`](Self::max_connections). 0 switches
    /// the limit off, which a server behind a proxy should do: all its connections come from the
    /// proxy's address, and the limit belongs there. Default: 1,024.
    pub fn max_connections_per_ip(mut self, connections: usize) -> Self {
        self.config.max_connections_per_ip = connections;
        self
    }

    /// How long a new connection may take until its first byte arrives, or until its TLS handshake
    /// is done; then it is closed. Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.handshake_timeout = timeout;
        self
    }

    /// How long the head of an HTTP/1 request may take from its first byte to its last; then the
    /// answer is 408 and the connection is closed. HTTP/2 has the
    /// [idle timeout](Self::idle_timeout) instead. Default: 10 s.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.config.header_timeout = timeout;
        self
    }

    /// How large the head of a request may be, in bytes; a larger one is answered with 431. The
    /// metrics count those over HTTP/1 only. Default: 16 KiB.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.config.max_header_bytes = bytes;
        self
    }

    /// How large the body of a request may be, in bytes; a larger one is answered with 413, before
    /// it is read where its length is known. Takes the place of axum's own default limit. Default:
    /// 2 MiB.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.config.max_body_bytes = bytes;
        self
    }

    /// How long the server may be left waiting for the body of a request, in all; 500 bytes
    /// received make good for each second waited. Then reading fails, and an error that the
    /// handler makes of it is answered with 408. Default: 20 s.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.config.body_timeout = timeout;
        self
    }

    /// How long an HTTP connection may lie idle, without a request being answered; then it is
    /// closed. Default: 60 s.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = timeout;
        self
    }

    /// How long a client may take no byte of a response or event stream while there are some for
    /// it; then the connection is cut, and counted as `peer_timeout`. Over HTTP/2 that is the
    /// connection as a whole; a stream on it may wait for its client as long as the client answers
    /// pings. A WebSocket has [settings of its own](crate::ws::Config::peer_timeout). Default: 30 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.config.write_timeout = timeout;
        self
    }

    /// The window out of which each event stream gets the time after which it is asked to come
    /// back, when it is ended by a drain or refused by a limit. Default: 1 s to 10 s.
    pub fn drain_retry(mut self, window: RangeInclusive<Duration>) -> Self {
        self.config.drain_retry = window;
        self
    }

    /// The settings of WebSockets whose handlers bring none of their own.
    #[cfg(feature = "ws")]
    pub fn ws(mut self, config: crate::ws::Config) -> Self {
        self.config.ws = Arc::new(config);
        self
    }

    /// A path at which the server answers with its [metrics](Server::metrics_text), before the
    /// router is asked. Whoever can reach the server can read them there. Default: none.
    pub fn metrics_path(mut self, path: impl Into<String>) -> Self {
        self.config.metrics_path = Some(path.into());
        self
    }

    /// Routes of a host program, whose limits take the place of the server's.
    #[cfg(feature = "ffi")]
    pub(crate) fn host_routes(mut self, routes: Arc<super::inbox::Routes>) -> Self {
        self.config.routes = Some(routes);
        self
    }

    /// Starts the server: when this returns, it is listening.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, a file cannot be read, a setting makes no sense, or
    /// the system gives no more threads. Nothing is left running then.
    pub fn start(self) -> Result<Server, Error> {
        let router = match &self.static_dir {
            Some(path) => self.router.fallback_service(directory(path)?),
            None => self.router,
        };
        check(&self.config)?;
        let listener = listener::bind(&self.bind)?;
        let address = listener
            .local_addr()
            .map_err(|source| Error::Bind { address: self.bind.clone(), source })?;
        let count = match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count.min(MAX_WORKERS),
        };
        #[cfg_attr(not(feature = "tls"), expect(unused_mut, reason = "only TLS is set later"))]
        let mut shared = Shared::new(self.config, router, count);
        #[cfg(feature = "tls")]
        if let Some(files) = &self.tls {
            shared.tls = Some(files.acceptor()?);
        }
        let shared = Arc::new(shared);
        let workers = worker::start(count)?;
        let server = Server { shared, workers, address };
        listener::run(listener, &server.shared, &server.workers)
            .map_err(|source| Error::Bind { address: self.bind, source })?;
        tracing::info!(%address, workers = count, "listening");
        Ok(server)
    }
}

fn check(config: &Config) -> Result<(), Error> {
    let refuse = |setting, reason: &str| Err(Error::Setting { setting, reason: reason.to_owned() });
    if config.drain_retry.is_empty() {
        return refuse("drain_retry", "the window ends before it begins");
    }
    if config.metrics_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        return refuse("metrics_path", "a path begins with a slash");
    }
    Ok(())
}

fn directory(path: &PathBuf) -> Result<ServeDir, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(ServeDir::new(path)),
        Ok(_) => Err(Error::File { path: path.clone(), reason: "not a directory".to_owned() }),
        Err(error) => Err(Error::File { path: path.clone(), reason: super::error::plain(&error) }),
    }
}

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::{Endpoint, Shared};
use crate::access::{Authorizer, Public};
use crate::hub::{Hub, MAX_INTERESTS};
use crate::transport::retry::within;
use crate::ws::{self, Origins};

/// As good as for ever, and yet a time that a clock can express.
const MAX_GRACE: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The settings of an [`Endpoint`].
///
/// ```
/// use std::time::Duration;
///
/// use lithe::endpoint::Endpoint;
/// use lithe::hub::Hub;
/// use lithe::ws::Origins;
///
/// let endpoint = Endpoint::builder(Hub::new())
///     .origins(Origins::List(vec!["https://app.example.com".into()]))
///     .retry(Duration::from_secs(1)..=Duration::from_secs(3))
///     .build();
/// ```
#[must_use]
pub struct Builder {
    hub: Hub,
    authorizer: Arc<dyn Authorizer>,
    config: Config,
}

/// What is the same for all connections of an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) max_channels: usize,
    pub(crate) max_connections: usize,
    pub(crate) cookie: Box<str>,
    pub(crate) origins: Origins,
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) retry: RangeInclusive<Duration>,
    pub(crate) drain_window: Duration,
    pub(crate) max_frame: usize,
    pub(crate) ws: Arc<ws::Config>,
    pub(crate) max_request: usize,
    pub(crate) max_requests_per_second: Option<u32>,
    pub(crate) max_poll_timeout: Duration,
    pub(crate) expiry_warning: Duration,
    pub(crate) expiry_grace: Duration,
}

impl Config {
    /// A time within the window in which clients are asked to come back, so that they do not all
    /// come at once.
    pub(crate) fn retry(&self) -> Duration {
        within(&self.retry)
    }

    /// The same, for those who are sent away together.
    pub(crate) fn drain_retry(&self) -> Duration {
        let from = *self.retry.start();
        within(&(from..=from.saturating_add(self.drain_window)))
    }
}

impl Builder {
    pub(super) fn new(hub: Hub) -> Self {
        let config = Config {
            max_channels: MAX_INTERESTS,
            max_connections: usize::MAX,
            cookie: "lithe_token".into(),
            origins: Origins::SameHost,
            keep_alive: Some(Duration::from_secs(15)),
            retry: Duration::from_secs(1)..=Duration::from_secs(3),
            drain_window: Duration::from_secs(20),
            max_frame: 64 * 1024,
            ws: Arc::new(ws::Config::default().max_message_size(1 << 20).max_frame_size(1 << 20)),
            max_request: 64 * 1024,
            max_requests_per_second: None,
            max_poll_timeout: Duration::from_secs(60),
            expiry_warning: Duration::from_secs(30),
            expiry_grace: Duration::from_secs(25),
        };
        Builder { hub, authorizer: Arc::new(Public), config }
    }

    /// Who decides who may do what. Unless set, everybody may subscribe to everything and nobody
    /// may publish: [`Public`].
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> Self {
        self.authorizer = Arc::new(authorizer);
        self
    }

    /// How many channels and patterns one connection may have; [`MAX_INTERESTS`], which is also the
    /// most, unless set.
    pub fn max_channels(mut self, channels: usize) -> Self {
        self.config.max_channels = channels.min(MAX_INTERESTS);
        self
    }

    /// How many connections there may be at a time. Whoever comes then is told to come back later,
    /// in a way that an `EventSource` understands. No limit unless set: a
    /// [server](crate::server::Builder::max_connections) has one of its own.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// The name of the cookie that may hold a token; `lithe_token` unless set.
    pub fn cookie(mut self, name: impl Into<Box<str>>) -> Self {
        self.config.cookie = name.into();
        self
    }

    /// Which pages may connect, besides clients that are no pages; [`Origins::SameHost`] unless
    /// set. Those of other hosts that are listed are allowed to send cookies; with
    /// [`Origins::Any`] their cookies do not count.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.config.origins = origins;
        self
    }

    /// Sends a comment on an event stream when nothing else was sent for so long: it keeps proxies
    /// from closing the connection, and it is how a client that vanished without a word is noticed.
    /// 15 s unless set; `None` or zero sends none.
    pub fn keep_alive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.config.keep_alive = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// How long clients are to wait before they reconnect: each is told a time of its own out of
    /// that window, so that they do not all come at once. 1 s to 3 s unless set.
    pub fn retry(mut self, window: RangeInclusive<Duration>) -> Self {
        self.config.retry = window;
        self
    }

    /// Over how long the clients are spread that [`Endpoint::drain`] sends away; 20 s unless set.
    pub fn drain_window(mut self, window: Duration) -> Self {
        self.config.drain_window = window;
        self
    }

    /// About how many bytes a connection has on their way at a time; 64 KiB unless set. What comes
    /// meanwhile stays in the hub, once for all. A single event may be larger.
    pub fn max_in_flight(mut self, bytes: usize) -> Self {
        self.config.max_frame = bytes.max(1);
        self
    }

    /// The settings of WebSockets, all but their [`origins`](Self::origins), and the size of their
    /// send queue, which is [`max_in_flight`](Self::max_in_flight). Those of a
    /// [server](crate::server::Builder::ws) do not count. The default ones, with messages of at
    /// most 1 MiB, unless set: a larger one closes the connection.
    pub fn ws(mut self, config: ws::Config) -> Self {
        self.config.ws = Arc::new(config);
        self
    }

    /// How large a client's request on a WebSocket may be, in bytes, and so what it publishes; 64
    /// KiB unless set. A larger one is answered by an error.
    pub fn max_request(mut self, bytes: usize) -> Self {
        self.config.max_request = bytes;
        self
    }

    /// How many requests a client may make per second on a WebSocket, on average and in one burst.
    /// More are answered by an error each. No limit unless set.
    pub fn max_requests_per_second(mut self, requests: impl Into<Option<u32>>) -> Self {
        self.config.max_requests_per_second = requests.into();
        self
    }

    /// How long a poll may wait for something to happen, at most; 60 s unless set.
    pub fn max_poll_timeout(mut self, timeout: Duration) -> Self {
        self.config.max_poll_timeout = timeout;
        self
    }

    /// How long before its token expires a client is told so, and for how long after that it may
    /// stay without having presented a new one; 30 s and 25 s unless set.
    pub fn expiry(mut self, warning: Duration, grace: Duration) -> Self {
        self.config.expiry_warning = warning;
        self.config.expiry_grace = grace.min(MAX_GRACE);
        self
    }

    /// Makes the endpoint.
    pub fn build(mut self) -> Endpoint {
        let ws = Arc::unwrap_or_clone(std::mem::take(&mut self.config.ws));
        // A connection looks after what it queues by itself.
        let ws = ws.origins(self.config.origins.clone()).send_queue(usize::MAX);
        self.config.ws = Arc::new(ws);
        Endpoint { shared: Arc::new(Shared::new(self.hub, self.authorizer, self.config)) }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_grace_without_end_is_a_time_that_comes() {
        let builder = Builder::new(Hub::new()).expiry(Duration::MAX, Duration::MAX);
        assert!(Instant::now().checked_add(builder.config.expiry_grace).is_some());
    }
}

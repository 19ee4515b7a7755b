use std::time::Duration;

/// How an event stream behaves.
///
/// ```
/// use std::time::Duration;
///
/// use lithe::sse::{self, Config};
///
/// let config = Config::default().retry(Duration::from_secs(2)).send_queue(64 * 1024);
/// let (events, response) = sse::channel_with(config);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Config {
    pub(super) keep_alive: Option<Duration>,
    pub(super) retry: Option<Duration>,
    pub(super) send_queue: usize,
}

impl Default for Config {
    /// Keep-alive after 15 s, no `retry`, a send queue of 1 MiB.
    fn default() -> Self {
        Config { keep_alive: Some(Duration::from_secs(15)), retry: None, send_queue: 1024 * 1024 }
    }
}

impl Config {
    /// Sends a comment when nothing else was sent for so long: it keeps proxies from closing the
    /// connection, and it is how a client that vanished without a word is noticed. 15 s unless
    /// set; `None` or zero sends none.
    pub fn keep_alive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keep_alive = interval.into().filter(|interval| !interval.is_zero());
        self
    }

    /// Tells the client, before the first event, how long to wait before it reconnects; in whole
    /// milliseconds. Unless set the client uses its own default, a few seconds in browsers.
    pub fn retry(mut self, delay: impl Into<Option<Duration>>) -> Self {
        self.retry = delay.into();
        self
    }

    /// How many bytes may wait to be sent before senders have to wait; 1 MiB unless set. One
    /// event larger than this is still let in when nothing else waits.
    pub fn send_queue(mut self, bytes: usize) -> Self {
        self.send_queue = bytes;
        self
    }
}

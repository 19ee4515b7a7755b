use std::time::Duration;

use super::Origins;

#[cfg(feature = "deflate")]
use super::codec::Deflate;

/// Whether messages are compressed (RFC 7692), for clients that offer it.
///
/// ```
/// use lithe::ws::{Compression, Config, Deflate};
///
/// // For small messages that resemble each other.
/// let deflate = Deflate::default().context_takeover(true).window_bits(11).threshold(64);
/// let config = Config::default().compression(Compression::On(deflate));
/// ```
#[cfg(feature = "deflate")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Never. The default: compression costs CPU, and secrets beside text that an attacker chooses
    /// can be guessed from the size of the result.
    #[default]
    Off,
    /// Messages of 1 KiB and more, each by itself, as fast as can be; costs a connection no memory.
    Auto,
    /// With these settings.
    On(Deflate),
}

#[cfg(feature = "deflate")]
impl Compression {
    pub(crate) fn settings(self) -> Option<Deflate> {
        match self {
            Compression::Off => None,
            Compression::Auto => Some(Deflate::default()),
            Compression::On(settings) => Some(settings),
        }
    }
}

/// Settings of a connection, for a [server](crate::server::Builder::ws) or for
/// [one handler](super::WebSocketUpgrade::config).
///
/// ```
/// use std::time::Duration;
///
/// use lithe::ws::{Config, Origins};
///
/// let config = Config::default()
///     .max_message_size(64 * 1024)
///     .max_messages_per_second(20)
///     .idle_timeout(Duration::from_secs(600))
///     .origins(Origins::List(vec!["https://app.example.com".to_owned()]));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) max_message_size: usize,
    pub(crate) max_frame_size: usize,
    pub(crate) max_messages_per_second: Option<u32>,
    pub(crate) fragment_size: Option<usize>,
    pub(crate) send_queue: usize,
    pub(crate) receive_queue: usize,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) peer_timeout: Duration,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) handshake_timeout: Duration,
    pub(crate) close_timeout: Duration,
    #[cfg(feature = "deflate")]
    pub(crate) compression: Compression,
    pub(crate) origins: Origins,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_message_size: 16 << 20,
            max_frame_size: 16 << 20,
            max_messages_per_second: None,
            fragment_size: None,
            send_queue: 1 << 20,
            receive_queue: 256 << 10,
            ping_interval: Some(Duration::from_secs(25)),
            peer_timeout: Duration::from_secs(20),
            idle_timeout: None,
            handshake_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            #[cfg(feature = "deflate")]
            compression: Compression::Off,
            origins: Origins::SameHost,
        }
    }
}

impl Config {
    /// The largest message that is received, in bytes, before and after decompression; a larger one
    /// closes the connection with 1009. Default: 16 MiB.
    #[must_use]
    pub fn max_message_size(self, bytes: usize) -> Self {
        Config { max_message_size: bytes, ..self }
    }

    /// The largest frame that is received, in bytes; a larger one closes the connection with 1009.
    /// Default: 16 MiB.
    #[must_use]
    pub fn max_frame_size(self, bytes: usize) -> Self {
        Config { max_frame_size: bytes, ..self }
    }

    /// How many messages a peer may send per second, on average and in one burst; more close the
    /// connection with 1008. Default: no limit.
    #[must_use]
    pub fn max_messages_per_second(self, messages: impl Into<Option<u32>>) -> Self {
        Config { max_messages_per_second: messages.into(), ..self }
    }

    /// Sends messages with more payload than this many bytes in several frames (RFC 6455 §5.4).
    /// Default: every message is one frame.
    #[must_use]
    pub fn fragment_size(self, bytes: impl Into<Option<usize>>) -> Self {
        Config { fragment_size: bytes.into(), ..self }
    }

    /// How many encoded bytes may wait to be sent before senders wait. Default: 1 MiB.
    #[must_use]
    pub fn send_queue(self, bytes: usize) -> Self {
        Config { send_queue: bytes, ..self }
    }

    /// How many bytes may wait for the application before the socket is no longer read, so that
    /// TCP slows the peer down. Default: 256 KiB.
    #[must_use]
    pub fn receive_queue(self, bytes: usize) -> Self {
        Config { receive_queue: bytes, ..self }
    }

    /// After how long without a byte from the peer a ping is sent. Default: 25 s.
    #[must_use]
    pub fn ping_interval(self, interval: impl Into<Option<Duration>>) -> Self {
        Config { ping_interval: interval.into(), ..self }
    }

    /// How long after an unanswered ping, or without taking a byte of what is sent, a peer counts
    /// as dead; the connection then ends with 1006. Default: 20 s.
    #[must_use]
    pub fn peer_timeout(self, timeout: Duration) -> Self {
        Config { peer_timeout: timeout, ..self }
    }

    /// After how long without a message from the peer the connection is closed with 1001, pings
    /// answered or not; never while messages wait to be received. Default: never.
    #[must_use]
    pub fn idle_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        Config { idle_timeout: timeout.into(), ..self }
    }

    /// How long the switch from HTTP may take after the request was answered. Default: 10 s.
    #[must_use]
    pub fn handshake_timeout(self, timeout: Duration) -> Self {
        Config { handshake_timeout: timeout, ..self }
    }

    /// How long a peer may take to answer a close frame once it is out, and to close its end of the
    /// connection, before it is cut; and how long without taking a byte of what was queued before.
    /// Default: 5 s.
    #[must_use]
    pub fn close_timeout(self, timeout: Duration) -> Self {
        Config { close_timeout: timeout, ..self }
    }

    /// Whether messages are compressed. Default: off.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Config { compression, ..self }
    }

    /// Which pages may connect. Default: those from the same host.
    #[must_use]
    pub fn origins(self, origins: Origins) -> Self {
        Config { origins, ..self }
    }
}

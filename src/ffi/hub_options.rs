//! How a hub and its channels shall behave.

use std::ffi::c_char;
use std::mem::offset_of;
use std::time::Duration;

use super::convert::{
    Setting, Versioned, array_in, bad_argument, count, list, millis, text_z_in, versioned_in,
};
use super::error::{Error, LITHE_ERR_IO};
use crate::hub::backplane::{Redis, RedisError};
use crate::hub::{AfterGap, Builder, ChannelOptions, Hub, Overflow, Pattern, PresenceMode};

/// What becomes of publications that a subscriber does not read in time: LITHE_OVERFLOW_RESUME and
/// so on; 0 is the default.
pub type lithe_overflow = i32;

/// The subscriber reads on in the channel's history whenever it can. When the history has moved
/// past it, it is told of one gap, and goes on as lithe_after_gap says. The default.
pub const LITHE_OVERFLOW_RESUME: lithe_overflow = 1;
/// Of the publications with the same key only the newest is kept and delivered. Whoever reads in
/// time gets all of them.
pub const LITHE_OVERFLOW_LATEST: lithe_overflow = 2;
/// The subscriber is told of the gap, and goes on with the oldest publication that there is.
pub const LITHE_OVERFLOW_DROP_OLDEST: lithe_overflow = 3;
/// The subscriber's connection is closed, a WebSocket with 4201.
pub const LITHE_OVERFLOW_DISCONNECT: lithe_overflow = 4;

/// Where a subscriber goes on that has missed something: LITHE_AFTER_GAP_NEWEST or
/// LITHE_AFTER_GAP_OLDEST; 0 is the default.
pub type lithe_after_gap = i32;

/// With what is published from now on: it has to fetch the state anyway. The default.
pub const LITHE_AFTER_GAP_NEWEST: lithe_after_gap = 1;
/// With the oldest publication that there still is.
pub const LITHE_AFTER_GAP_OLDEST: lithe_after_gap = 2;

/// Whether a channel knows who is on it: LITHE_PRESENCE_OFF and so on; 0 is the default.
pub type lithe_presence = i32;

/// It does not. The default.
pub const LITHE_PRESENCE_OFF: lithe_presence = -1;
/// It does, and can be asked: lithe_hub_presence.
pub const LITHE_PRESENCE_LISTED: lithe_presence = 1;
/// Its subscribers are also told of who joins and who leaves.
pub const LITHE_PRESENCE_ANNOUNCED: lithe_presence = 2;

/// How the channels of a namespace shall behave. To be initialized with LITHE_CHANNEL_OPTIONS_INIT,
/// which asks for the defaults; a field that is 0 or NULL does so too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_channel_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Which channels: a pattern such as "prices.*", where "*" is one segment, or "chat.**", where
    /// "**" is all that follow. Where several fit, the one with the most segments that are no
    /// wildcards counts. NULL: all that are in no other namespace.
    pub pattern: *const c_char,
    /// How many publications are kept for those who come back; -1 for none: whoever was away and
    /// missed something is told of a gap. Default: 1,000.
    pub history_size: i64,
    /// For how long they are kept; -1 for no limit. Default: 5 minutes.
    pub history_age_ms: i64,
    /// How many publications are kept for subscribers who have yet to read them, where the history
    /// holds fewer, and however old they are. Default: 256.
    pub backlog: i64,
    /// What becomes of publications that a subscriber does not read in time.
    pub overflow: lithe_overflow,
    /// Where a subscriber goes on that was too slow for LITHE_OVERFLOW_RESUME.
    pub after_gap: lithe_after_gap,
    /// The shortest time between two deliveries to one subscriber: what is published meanwhile is
    /// delivered together, or with LITHE_OVERFLOW_LATEST the newest of each key. Default: no delay.
    pub min_interval_ms: i32,
    /// Whether the channels know who is on them.
    pub presence: lithe_presence,
    /// How many idempotency keys a channel remembers; -1 for none. Default: 1,000.
    pub idempotency_keys: i64,
    /// For how long it remembers them; -1 for no limit. Default: 5 minutes.
    pub idempotency_age_ms: i64,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_channel_options_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_channel_options_t, idempotency_age_ms) + size_of::<i64>();
}

/// How a hub shall behave. To be initialized with LITHE_HUB_OPTIONS_INIT, which asks for the
/// defaults; a field that is 0 or NULL does so too. -1 in the place of a limit is none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_hub_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// The bytes that all channels with all their publications may take together. When there are
    /// more, the channels that were not used for the longest time lose their oldest publications:
    /// who comes back for them is told of a gap. Default: 64 MiB.
    pub history_budget_bytes: i64,
    /// How many publications are replayed at most on a channel to one who comes back; who has
    /// missed more is told of a gap. Default: 1,000.
    pub replay_limit: i64,
    /// The same in bytes of data. Default: 1 MiB.
    pub replay_limit_bytes: i64,
    /// How many channels one subscriber may have by patterns. Default: 10,000.
    pub max_pattern_channels: i64,
    /// The options of namespaces: an array of `namespace_count` pointers, or NULL.
    pub namespaces: *const *const lithe_channel_options_t,
    /// How many namespaces there are.
    pub namespace_count: usize,
    /// The Redis or Valkey, such as "redis://redis.internal:6379", by which this hub is one with those
    /// of other processes that have the same namespaces; with redis_sentinel the Sentinels, with
    /// redis_cluster some nodes of the cluster, with commas between them. Default: none, the history
    /// is in memory.
    pub redis_url: *const c_char,
    /// What all keys in Redis begin with. Default: "lithe".
    pub redis_prefix: *const c_char,
    /// The name of the master that Sentinels watch over. Default: no Sentinels.
    pub redis_sentinel: *const c_char,
    /// 1: it is a cluster.
    pub redis_cluster: i32,
    /// How long lithe_publish may wait for Redis. Default: 5 s. Cannot be -1.
    pub publish_timeout_ms: i32,
    /// How long tokens live at most, so that some can be revoked (lithe_hub_revoke): a revocation is
    /// remembered for as long. Tokens that live longer are refused then, with LITHE_AUTHORIZE_JWT. At
    /// most ten years. Default: tokens live as long as they say, and none can be revoked. Cannot be -1.
    pub longest_token_ms: i64,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_hub_options_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_hub_options_t, publish_timeout_ms) + size_of::<i32>();
}

/// One of the values of an enumeration, or its default.
fn one_of<T: Copy>(name: &str, value: i32, values: &[(i32, T)]) -> Result<T, Error> {
    let found = values.iter().find(|(number, _)| value == *number || value == 0);
    let found = found.ok_or_else(|| bad_argument(format_args!("{name}: there is no {value}")))?;
    Ok(found.1)
}

/// Where a subscriber goes on after a gap.
pub(super) fn after_gap_in(value: lithe_after_gap) -> Result<AfterGap, Error> {
    let values =
        [(LITHE_AFTER_GAP_NEWEST, AfterGap::Newest), (LITHE_AFTER_GAP_OLDEST, AfterGap::Oldest)];
    one_of("after_gap", value, &values)
}

impl lithe_channel_options_t {
    fn options(&self) -> Result<ChannelOptions, Error> {
        let overflows = [
            (LITHE_OVERFLOW_RESUME, Overflow::Resume),
            (LITHE_OVERFLOW_LATEST, Overflow::Latest),
            (LITHE_OVERFLOW_DROP_OLDEST, Overflow::DropOldest),
            (LITHE_OVERFLOW_DISCONNECT, Overflow::Disconnect),
        ];
        let presences = [
            (LITHE_PRESENCE_OFF, PresenceMode::Off),
            (LITHE_PRESENCE_LISTED, PresenceMode::Listed),
            (LITHE_PRESENCE_ANNOUNCED, PresenceMode::Announced),
        ];
        let options = ChannelOptions::default()
            .overflow(one_of("overflow", self.overflow, &overflows)?)
            .after_gap(after_gap_in(self.after_gap)?)
            .presence(one_of("presence", self.presence, &presences)?);
        let history = count("history_size", self.history_size)?;
        let options = history.apply(options, 0, ChannelOptions::history_size);
        let age = millis("history_age_ms", self.history_age_ms)?;
        let options = age.apply(options, Duration::MAX, ChannelOptions::history_age);
        let options = match count("backlog", self.backlog)?.some("backlog")? {
            Some(backlog) => options.backlog(backlog),
            None => options,
        };
        let interval = millis("min_interval_ms", self.min_interval_ms)?;
        let options = interval.apply(options, Duration::ZERO, ChannelOptions::min_interval);
        let keys = count("idempotency_keys", self.idempotency_keys)?;
        let age = millis("idempotency_age_ms", self.idempotency_age_ms)?;
        if (keys, age) == (Setting::Default, Setting::Default) {
            return Ok(options);
        }
        let keys = keys.apply(IDEMPOTENCY_KEYS, 0, |_, keys| keys);
        let age = age.apply(IDEMPOTENCY_AGE, Duration::MAX, |_, age| age);
        Ok(options.idempotency(keys, age))
    }
}

/// What a channel remembers unless it is told otherwise.
const IDEMPOTENCY_KEYS: usize = 1000;
const IDEMPOTENCY_AGE: Duration = Duration::from_secs(300);

/// A hub with the settings of the host's.
pub(super) fn builder_in(options: Option<&lithe_hub_options_t>) -> Result<Builder, Error> {
    let builder = Hub::builder();
    let Some(options) = options else { return Ok(builder) };
    let budget = count("history_budget_bytes", options.history_budget_bytes)?;
    let builder = budget.apply(builder, usize::MAX, Builder::history_budget);
    let publications = count("replay_limit", options.replay_limit)?;
    let bytes = count("replay_limit_bytes", options.replay_limit_bytes)?;
    let builder = builder.replay_limit(
        publications.apply(REPLAY_LIMIT, usize::MAX, |_, publications| publications),
        bytes.apply(REPLAY_LIMIT_BYTES, usize::MAX, |_, bytes| bytes),
    );
    let channels = count("max_pattern_channels", options.max_pattern_channels)?;
    let mut builder = channels.apply(builder, i32::MAX as usize, Builder::max_channels);
    for namespace in array_in(options.namespaces, options.namespace_count)? {
        let options =
            versioned_in(*namespace)?.ok_or_else(|| bad_argument("a namespace is NULL"))?;
        builder = match text_z_in(options.pattern)? {
            None => builder.defaults(options.options()?),
            Some(pattern) => {
                let pattern = Pattern::new(pattern).map_err(bad_argument)?;
                builder.namespace(pattern, options.options()?)
            }
        };
    }
    match options.redis()? {
        Some(redis) => Ok(builder.backplane(redis)),
        None => Ok(builder),
    }
}

impl lithe_hub_options_t {
    /// How long tokens live that can be revoked.
    pub(super) fn longest_token(&self) -> Result<Option<Duration>, Error> {
        millis("longest_token_ms", self.longest_token_ms)?.some("longest_token_ms")
    }

    /// What joins the hub to others.
    fn redis(&self) -> Result<Option<Redis>, Error> {
        let timeout = millis("publish_timeout_ms", self.publish_timeout_ms)?;
        let timeout = timeout.some("publish_timeout_ms")?;
        let Some(urls) = text_z_in(self.redis_url)? else { return Ok(None) };
        let mut urls = list(urls);
        let mut builder = Redis::builder(urls.next().unwrap_or_default());
        for url in urls {
            builder = builder.url(url);
        }
        if let Some(prefix) = text_z_in(self.redis_prefix)? {
            builder = builder.prefix(prefix);
        }
        if let Some(master) = text_z_in(self.redis_sentinel)? {
            builder = builder.sentinel(master);
        }
        builder = match self.redis_cluster {
            0 => builder,
            1 => builder.cluster(),
            other => return Err(bad_argument(format_args!("redis_cluster: {other}"))),
        };
        if let Some(timeout) = timeout {
            builder = builder.publish_timeout(timeout);
        }
        let started = builder.start_thread();
        started.map(Some).map_err(|error| match error {
            RedisError::Thread(error) => Error::with(LITHE_ERR_IO, error),
            error => bad_argument(error),
        })
    }
}

/// What is replayed unless the hub is told otherwise.
const REPLAY_LIMIT: usize = 1000;
const REPLAY_LIMIT_BYTES: usize = 1024 * 1024;

//! The hub: publishing on channels with history, and asking for what they hold.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime;
use tokio::sync::{Notify, oneshot};

use super::convert::{
    Out, Versioned, bad_argument, content_in, lithe_string_t, text_in, versioned_in, versioned_out,
};
use super::error::{
    Error, LITHE_ERR_BAD_HANDLE, LITHE_ERR_IO, LITHE_ERR_NOT_FOUND, LITHE_ERR_TIMEOUT,
    LITHE_ERR_TOO_LARGE, boundary, counting,
};
use super::handle::{self, Kind, Object, Table};
use super::hub_options::{builder_in, lithe_hub_options_t};
use super::server::may_wait_for_threads;
use super::{fork, signal};
use crate::access::Revocations;
use crate::hub::{self, ChannelName, GapReason, Message, PublishError, Published};
use crate::transport::{block_on, cork, runtime_thread};

/// A hub: lithe_hub_create gives it, lithe_hub_free takes it back.
pub type lithe_hub_t = u64;

/// A place in the history of a channel: right after the publication with that offset.
///
/// As text, which is what clients present as their cursor, it is the epoch in hexadecimal digits, a
/// hyphen and the offset in decimal digits: "9f3a61c20b7e-42".
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_position_t {
    /// Which history: a random number, which is another one whenever the channel's history was
    /// begun anew.
    pub epoch: u64,
    /// The number of the publication. The first is 1, each one after it 1 more; 0 is the beginning.
    pub offset: u64,
}

impl lithe_position_t {
    pub(super) const NONE: Self = lithe_position_t { epoch: 0, offset: 0 };
}

impl From<hub::Position> for lithe_position_t {
    fn from(position: hub::Position) -> Self {
        lithe_position_t { epoch: position.epoch.get(), offset: position.offset }
    }
}

/// What is to be known about a publication besides its data. To be initialized with
/// LITHE_PUBLISH_OPTIONS_INIT. Each text has at most 255 bytes and no control characters, and its
/// length may be LITHE_CSTR.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_publish_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// What kind of message it is: the type of the event in an event stream. Cannot begin with
    /// "lithe.".
    pub name: lithe_string_t,
    /// What it is about: with LITHE_OVERFLOW_LATEST it takes the place of earlier ones with the
    /// same key.
    pub key: lithe_string_t,
    /// Names this attempt to publish: what was published on the channel before with the same one is
    /// not published again.
    pub idempotency_key: lithe_string_t,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_publish_options_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_publish_options_t, idempotency_key) + size_of::<lithe_string_t>();
}

/// What became of a publication. To be initialized with LITHE_PUBLISHED_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_published_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Where it is in the channel's history.
    pub position: lithe_position_t,
    /// How many subscribers the channel has.
    pub receivers: i32,
    /// 1 when it was published before, with the same idempotency key; then that is where it is.
    pub duplicate: i32,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_published_t {
    const FIRST_SIZE: usize = offset_of!(lithe_published_t, duplicate) + size_of::<i32>();
}

/// What a hub holds and has done. To be initialized with LITHE_HUB_STATS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_hub_stats_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// At present: channels.
    pub channels: u64,
    /// At present: subscribers.
    pub subscribers: u64,
    /// At present: bytes that channels and their publications take.
    pub history_bytes: u64,
    /// The bytes that they may take.
    pub history_budget_bytes: u64,
    /// Messages that were published.
    pub published: u64,
    /// Messages that were not, because their idempotency key was known.
    pub duplicates: u64,
    /// Publications that subscribers have got.
    pub delivered: u64,
    /// Channels that were dropped to keep to the budget.
    pub channels_lost: u64,
    /// Gaps that subscribers were told of because the history no longer held what they had missed.
    pub gaps_expired: u64,
    /// Because their cursor belonged to another history, or to other channels.
    pub gaps_epoch: u64,
    /// Because their cursor was ahead of the history.
    pub gaps_ahead: u64,
    /// Because they had missed more than is replayed.
    pub gaps_limit: u64,
    /// Because they were too slow.
    pub gaps_slow: u64,
    /// Because publications were lost between the nodes.
    pub gaps_backplane: u64,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_hub_stats_t {
    const FIRST_SIZE: usize = offset_of!(lithe_hub_stats_t, gaps_backplane) + size_of::<u64>();
}

/// How often a hub looks for publications that are over by age.
const SWEEP: Duration = Duration::from_secs(10);

/// What a handle names: a hub, and the thread that looks after it.
pub(super) struct Hub {
    pub(super) native: hub::Hub,
    /// Where tokens can be revoked.
    pub(super) revocations: Option<Revocations>,
    runtime: runtime::Handle,
    stop: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Object for Hub {
    const KIND: Kind = Kind::Hub;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Hub> = Table::new();
        &TABLE
    }
}

impl Hub {
    fn start(options: Option<&lithe_hub_options_t>) -> Result<Self, Error> {
        let system = |error| Error::with(LITHE_ERR_IO, error);
        let longest_token = options.map_or(Ok(None), lithe_hub_options_t::longest_token)?;
        // What others have revoked may be long in coming.
        let is_alone = options.is_none_or(|options| options.redis_url.is_null());
        let native = builder_in(options)?.build();
        let stop = Arc::new(Notify::new());
        let (hub, stopped) = (native.clone(), stop.clone());
        let (started, revocations) = oneshot::channel();
        let keep_house = async move {
            let _ = started.send(revocations_of(&hub, longest_token, is_alone).await);
            while tokio::time::timeout(SWEEP, stopped.notified()).await.is_err() {
                hub.sweep();
            }
        };
        let run = move |runtime: runtime::Runtime| runtime.block_on(keep_house);
        let (handle, thread) = runtime_thread::start("lithe-hub".into(), run).map_err(system)?;
        let revocations = block_on(revocations, None).and_then(Result::ok).ok_or_else(ended)??;
        let thread = Mutex::new(Some(thread));
        Ok(Hub { native, revocations, runtime: handle, stop, thread })
    }

    /// Does something on the hub's thread, where tasks can be started, and waits for it. A thread of
    /// the host's that is ending cannot enter the runtime itself.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let current = runtime::Handle::try_current();
        if current.is_ok_and(|current| current.id() == self.runtime.id()) {
            return Ok(work());
        }
        let (done, result) = oneshot::channel();
        self.runtime.spawn(async move {
            let _ = done.send(work());
        });
        block_on(result, None).and_then(Result::ok).ok_or_else(ended)
    }

    fn stop(&self) {
        self.stop.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Its panics were logged.
            let _ = thread.join();
        }
    }
}

fn ended() -> Error {
    Error::new(LITHE_ERR_BAD_HANDLE, c"the hub was freed meanwhile")
}

/// What is revoked on a hub of which tokens live for so long.
async fn revocations_of(
    hub: &hub::Hub,
    longest_token: Option<Duration>,
    is_alone: bool,
) -> Result<Option<Revocations>, Error> {
    let Some(longest) = longest_token else { return Ok(None) };
    let revocations = Revocations::builder(hub).longest_token(longest).build()?;
    if is_alone {
        revocations.ready().await;
    }
    Ok(Some(revocations))
}

/// The name of a channel.
pub(super) fn channel_in(channel: *const c_char, len: usize) -> Result<ChannelName, Error> {
    let name = text_in(channel, len)?.ok_or_else(|| bad_argument("the channel is NULL"))?;
    ChannelName::new(name).map_err(bad_argument)
}

pub(super) fn no_such_channel() -> Error {
    Error::new(LITHE_ERR_NOT_FOUND, c"nothing was published on that channel, or it was dropped")
}

impl lithe_publish_options_t {
    fn apply(&self, message: Message) -> Result<Message, Error> {
        let text = |text: lithe_string_t| text_in(text.ptr, text.len);
        let mut message = message;
        if let Some(name) = text(self.name)? {
            message = message.name(name).map_err(bad_argument)?;
        }
        if let Some(key) = text(self.key)? {
            message = message.key(key).map_err(bad_argument)?;
        }
        if let Some(key) = text(self.idempotency_key)? {
            message = message.idempotency_key(key).map_err(bad_argument)?;
        }
        Ok(message)
    }
}

impl From<Published> for lithe_published_t {
    fn from(published: Published) -> Self {
        lithe_published_t {
            size: 0,
            position: published.position.into(),
            receivers: i32::try_from(published.receivers).unwrap_or(i32::MAX),
            duplicate: published.duplicate.into(),
        }
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        let code = match error {
            PublishError::TooLarge { .. } => LITHE_ERR_TOO_LARGE,
            PublishError::Unavailable(_) => LITHE_ERR_IO,
            PublishError::Timeout(_) => LITHE_ERR_TIMEOUT,
        };
        Error::with(code, error)
    }
}

impl From<hub::Stats> for lithe_hub_stats_t {
    fn from(stats: hub::Stats) -> Self {
        lithe_hub_stats_t {
            size: 0,
            channels: stats.channels as u64,
            subscribers: stats.subscriptions,
            history_bytes: stats.history_bytes as u64,
            history_budget_bytes: stats.history_budget as u64,
            published: stats.published,
            duplicates: stats.duplicates,
            delivered: stats.delivered,
            channels_lost: stats.channels_lost,
            gaps_expired: stats.gaps_by(GapReason::Expired),
            gaps_epoch: stats.gaps_by(GapReason::Epoch),
            gaps_ahead: stats.gaps_by(GapReason::Ahead),
            gaps_limit: stats.gaps_by(GapReason::Limit),
            gaps_slow: stats.gaps_by(GapReason::Slow),
            gaps_backplane: stats.gaps_by(GapReason::Backplane),
        }
    }
}

/// Makes a hub: channels with history, on which the host publishes, and to which it subscribes
/// WebSockets (lithe_ws_subscribe) and event streams (lithe_sse_subscribe). From then on the library
/// delivers what is published to each of them, at the pace of its client. A hub belongs to no
/// server: several may share it.
///
/// A channel is there once it is used. Its name is made of segments with dots between them, as in
/// "builds.42.log", of ASCII letters and digits and - _ : @ ~ + =; it has at most 255 bytes.
///
/// `options` may be NULL for the defaults. The hub runs a thread of its own, which drops publications
/// that are over by age, and with Redis another one, which connects by itself and again whenever the
/// connection breaks (lithe_hub_health). On an error `*hub` is 0. Blocks for as long as the system takes to start a
/// thread. Errors: BAD_ARGUMENT, NOT_UTF8, IO when the system has no thread or descriptor left.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_create(
    options: *const lithe_hub_options_t,
    hub: *mut lithe_hub_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(hub, 0)?;
        fork::watch()?;
        let options = versioned_in(options)?;
        let hub = signal::with_blocked(|| Hub::start(options.as_ref()))?;
        out.put(handle::insert(hub)?);
        Ok(())
    })
}

/// Publishes a message on a channel: appends it to the channel's history, and has it delivered to
/// all who are subscribed. Never waits for any of them. The data is copied; `len` may be LITHE_CSTR,
/// as may `channel_len`.
///
/// `options` and `published` may be NULL. Whoever calls it again because it does not know what became
/// of the first attempt gives both the same idempotency key.
///
/// Never blocks, unless the hub has a Redis: then it waits for its answer, up to the time that the
/// hub's options say. Errors: BAD_HANDLE, BAD_ARGUMENT for what is no name of a channel, or a text in
/// the options that there cannot be, NOT_UTF8, TOO_LARGE for more than 16 MiB; with Redis IO when it
/// cannot be reached, and TIMEOUT, after which the message may or may not have been published.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_publish(
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
    data: *const c_void,
    len: usize,
    options: *const lithe_publish_options_t,
    published: *mut lithe_published_t,
) -> i32 {
    boundary(|| {
        // Before anything has happened: a struct that is no good is an error.
        versioned_out(published, NOT_PUBLISHED)?;
        let hub = handle::get::<Hub>(hub)?;
        let channel = channel_in(channel, channel_len)?;
        let message = Message::new(Bytes::copy_from_slice(content_in(data, len)?));
        let message = match versioned_in(options)? {
            Some(options) => options.apply(message)?,
            None => message,
        };
        let result = cork::gather(|| hub.native.publish_blocking(&channel, message))?;
        versioned_out(published, result.into())
    })
}

const NOT_PUBLISHED: lithe_published_t =
    lithe_published_t { size: 0, position: lithe_position_t::NONE, receivers: 0, duplicate: 0 };

/// Where the history of a channel ends: what is published after this was asked for comes behind it.
///
/// On an error `*position` is all 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8,
/// NOT_FOUND when nothing was ever published on the channel, or it was dropped to keep to the
/// hub's budget. With Redis only what this hub has read of a channel is known, as it does while
/// somebody is subscribed to it here; else it is NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_position(
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
    position: *mut lithe_position_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(position, lithe_position_t::NONE)?;
        let hub = handle::get::<Hub>(hub)?;
        let channel = channel_in(channel, channel_len)?;
        let position = hub.native.position(&channel).ok_or_else(no_such_channel)?;
        out.put(position.into());
        Ok(())
    })
}

/// 1 when a hub is well, as it always is without Redis; 0 while it cannot reach Redis, and nothing can
/// be published, or cannot read a channel: subscribers stay, and get what they have missed when it
/// can again.
///
/// Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_health(hub: lithe_hub_t) -> i32 {
    counting(|| Ok(handle::get::<Hub>(hub)?.native.health().is_ok().into()))
}

/// Fills in what a hub holds and has done. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_stats(hub: lithe_hub_t, stats: *mut lithe_hub_stats_t) -> i32 {
    boundary(|| {
        if stats.is_null() {
            return Err(bad_argument("the place for the result is NULL"));
        }
        versioned_out(stats, handle::get::<Hub>(hub)?.native.stats().into())
    })
}

/// Ends a hub's handle, and its thread. To be called behind lithe_server_free of the servers that
/// use it: connections that are subscribed to it stay open, but get nothing more. Blocks until the
/// thread has ended. Errors: BAD_HANDLE, WRONG_STATE inside a callback that runs on a thread of the
/// library.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_free(hub: lithe_hub_t) -> i32 {
    boundary(|| {
        may_wait_for_threads()?;
        handle::remove::<Hub>(hub)?.stop();
        Ok(())
    })
}

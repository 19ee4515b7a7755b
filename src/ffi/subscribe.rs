//! Subscribing connections to a hub.

use std::ffi::c_char;
use std::mem::offset_of;

use bytes::Bytes;

use super::convert::{
    Versioned, bad_argument, content_in, list, lithe_string_t, text_in, versioned_in,
};
use super::error::{Error, LITHE_ERR_NOT_FOUND, LITHE_ERR_WRONG_STATE, boundary};
use super::feed::Feeds;
use super::handle;
use super::hub::{Hub, lithe_hub_t};
use super::hub_options::{after_gap_in, lithe_after_gap};
use super::sse::{self, EventStream, lithe_sse_t};
use super::wire::{Format, Outlet, Settings};
use super::ws::{self, WebSocket, lithe_ws_t};
use crate::hub::{Client, Interest, MAX_LABEL};

/// In which form publications are delivered: LITHE_FORMAT_DATA and so on; 0 is the default.
pub type lithe_format = i32;

/// What was published, and nothing else: on a WebSocket a message of text if it is UTF-8, else one of
/// bytes. The default.
pub const LITHE_FORMAT_DATA: lithe_format = 1;
/// The same, but on a WebSocket always a message of bytes.
pub const LITHE_FORMAT_BINARY: lithe_format = 2;
/// An object in JSON, which names the channel and the position: a frame "pub" of the hub's protocol
/// for WebSockets, in which there are also frames that tell of gaps, of who comes and goes, and of
/// the cursor. On an event stream it is the data of the event.
pub const LITHE_FORMAT_JSON: lithe_format = 3;

/// How a connection is subscribed to a hub. To be initialized with LITHE_SUBSCRIBE_OPTIONS_INIT, which
/// asks for the defaults; a field that is 0 or NULL does so too.
///
/// All but the cursor holds for everything that the connection gets of that hub. It is said when the
/// connection is first subscribed to it; whatever is said later must be the same.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_subscribe_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Where the client left off: the cursor that it got last, such as its Last-Event-ID, or a
    /// position as text (lithe_position_t). It belongs to the very list of channels that it was got
    /// for. Empty: with what is published from now on.
    pub cursor: lithe_string_t,
    /// In which form publications are delivered.
    pub format: lithe_format,
    /// Where it goes on when it has missed something while it was away.
    pub after_gap: lithe_after_gap,
    /// 1: a client that has missed something is not sent away, though it cannot be told so. Default: a
    /// WebSocket that gets LITHE_FORMAT_DATA or LITHE_FORMAT_BINARY is closed with 4204 then.
    pub ignore_gaps: i32,
    /// 1: on an event stream every event has the cursor for its id, also where it is longer than 256
    /// bytes. Default: then only the last of those that are written together has it.
    pub strict_ids: i32,
    /// Who it is: where the channel's options ask for presence, others see it by that on each channel
    /// that it is subscribed to by name. Two connections with the same name are one client. At most
    /// 255 bytes, without control characters. Default: nobody.
    pub client: lithe_string_t,
    /// What others may know of it; any bytes.
    pub info: lithe_string_t,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_subscribe_options_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_subscribe_options_t, info) + size_of::<lithe_string_t>();
}

impl lithe_subscribe_options_t {
    /// What LITHE_SUBSCRIBE_OPTIONS_INIT asks for.
    const DEFAULT: Self = lithe_subscribe_options_t {
        size: size_of::<Self>(),
        cursor: lithe_string_t::NULL,
        format: 0,
        after_gap: 0,
        ignore_gaps: 0,
        strict_ids: 0,
        client: lithe_string_t::NULL,
        info: lithe_string_t::NULL,
    };

    /// Where the client left off.
    fn cursor(&self) -> Result<Option<&str>, Error> {
        let cursor = text_in(self.cursor.ptr, self.cursor.len)?;
        Ok(cursor.filter(|cursor| !cursor.is_empty()))
    }

    fn settings(&self) -> Result<Settings, Error> {
        Ok(Settings {
            format: match self.format {
                0 | LITHE_FORMAT_DATA => Format::Data,
                LITHE_FORMAT_BINARY => Format::Binary,
                LITHE_FORMAT_JSON => Format::Json,
                other => return Err(bad_argument(format_args!("there is no format {other}"))),
            },
            after_gap: after_gap_in(self.after_gap)?,
            client: self.client()?,
            ignores_gaps: flag("ignore_gaps", self.ignore_gaps)?,
            strict_ids: flag("strict_ids", self.strict_ids)?,
        })
    }

    fn client(&self) -> Result<Option<Client>, Error> {
        let Some(id) = text_in(self.client.ptr, self.client.len)? else {
            return Ok(None);
        };
        if id.is_empty() || id.len() > MAX_LABEL || id.contains(char::is_control) {
            return Err(bad_argument("client: has 1 to 255 bytes, and no control characters"));
        }
        let info = match self.info.ptr.is_null() {
            true => &[],
            false => content_in(self.info.ptr.cast(), self.info.len)?,
        };
        Ok(Some(Client { id: id.into(), info: Bytes::copy_from_slice(info) }))
    }

    /// Whether nothing is said in it that was not said when the connection was first subscribed.
    fn agrees_with(&self, settings: &Settings) -> Result<bool, Error> {
        let said = self.settings()?;
        Ok((self.format == 0 || said.format == settings.format)
            && (self.after_gap == 0 || said.after_gap == settings.after_gap)
            && (said.client.is_none() || said.client == settings.client)
            && (self.ignore_gaps == 0 || settings.ignores_gaps)
            && (self.strict_ids == 0 || settings.strict_ids))
    }
}

fn flag(name: &str, value: i32) -> Result<bool, Error> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(bad_argument(format_args!("{name}: {other} is neither 0 nor 1"))),
    }
}

/// Channels and patterns, with commas between them.
fn interests_in(channels: *const c_char, len: usize) -> Result<Vec<Interest>, Error> {
    let channels = text_in(channels, len)?.unwrap_or_default();
    let interests: Result<Vec<Interest>, _> = list(channels).map(str::parse).collect();
    match interests {
        Ok(interests) if interests.is_empty() => Err(bad_argument("there is no channel")),
        Ok(interests) => Ok(interests),
        Err(error) => Err(bad_argument(error)),
    }
}

/// What the host says of a subscription, the first time and later.
fn settings_of<'a>(
    options: Option<&'a lithe_subscribe_options_t>,
) -> impl FnOnce(Option<&Settings>) -> Result<Settings, Error> + 'a {
    move |before| match (before, options) {
        (None, None) => lithe_subscribe_options_t::DEFAULT.settings(),
        (None, Some(options)) => options.settings(),
        (Some(before), None) => Ok(before.clone()),
        (Some(before), Some(options)) if options.agrees_with(before)? => Ok(before.clone()),
        (Some(_), Some(_)) => Err(Error::new(
            LITHE_ERR_WRONG_STATE,
            c"the connection is subscribed to the hub already, in another way",
        )),
    }
}

/// Subscribes a WebSocket to a channel of a hub, to all channels of a pattern such as "chat.*" or
/// "logs.**", or to several, with commas between them: from then on the library sends it what is
/// published there, in order, until the WebSocket is closed or freed, or lithe_ws_unsubscribe. It may
/// be called again for more; what it is subscribed to already is left as it is. `channels_len` may be
/// LITHE_CSTR, `options` NULL for the defaults.
///
/// A client that is slow slows nobody down: it holds a place in the channel's history, and is sent on
/// from there when its send queue has room. With a cursor, a client that comes back is first sent all
/// that it has missed. A client that has missed what the history does not hold any more is told of a
/// gap; where the format cannot tell of it the WebSocket is closed with 4204, so that the client
/// knows.
///
/// What the host sends by itself goes between the publications. Never blocks. Errors: BAD_HANDLE, for
/// either, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, CLOSED, FULL for more than 256 channels and patterns,
/// WRONG_STATE when it is subscribed to the hub already and the options differ, or for a pattern on a
/// hub with a Redis Cluster, which knows none.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_subscribe(
    ws: lithe_ws_t,
    hub: lithe_hub_t,
    channels: *const c_char,
    channels_len: usize,
    options: *const lithe_subscribe_options_t,
) -> i32 {
    boundary(|| {
        let ws = handle::get::<WebSocket>(ws)?;
        let outlet = Outlet::WebSocket(ws.sender.clone());
        let channels = (channels, channels_len);
        let subscribed = subscribe(&ws.feeds, outlet, hub, channels, versioned_in(options)?)?;
        subscribed.ok_or_else(ws::closed)
    })
}

/// `None` when the connection has ended.
fn subscribe(
    feeds: &Feeds,
    outlet: Outlet,
    hub: lithe_hub_t,
    (channels, len): (*const c_char, usize),
    options: Option<lithe_subscribe_options_t>,
) -> Result<Option<()>, Error> {
    let native = handle::get::<Hub>(hub)?;
    let interests = interests_in(channels, len)?;
    let cursor = match &options {
        Some(options) => options.cursor()?,
        None => None,
    };
    feeds.subscribe((hub, &native), interests, cursor, settings_of(options.as_ref()), outlet)
}

/// Subscribes a WebSocket no longer to a channel or pattern, which is given as it was subscribed to.
/// What is on its way already still arrives. `channel_len` may be LITHE_CSTR.
///
/// Never blocks. Errors: BAD_HANDLE, for either, BAD_ARGUMENT, NOT_UTF8, NOT_FOUND when it was not
/// subscribed to it.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_unsubscribe(
    ws: lithe_ws_t,
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
) -> i32 {
    boundary(|| {
        let ws = handle::get::<WebSocket>(ws)?;
        handle::get::<Hub>(hub)?;
        unsubscribe(&ws.feeds, hub, channel, channel_len)
    })
}

/// Subscribes an event stream, as lithe_ws_subscribe does a WebSocket. Each event has the name of
/// the publication, and the client's cursor for its id: a browser sends it as Last-Event-ID when it
/// reconnects, and it is what the host then gives as the cursor (lithe_request_last_event_id).
///
/// Data that is not UTF-8 comes as a URL, "data:application/octet-stream;base64,...". Gaps and the
/// like are told by events: "lithe.sub" when the client is subscribed, "lithe.gap" when it has missed
/// something, "lithe.presence" when others come and go, whose data is JSON.
///
/// Never blocks. Errors: BAD_HANDLE, for either, BAD_ARGUMENT, such as LITHE_FORMAT_BINARY, NOT_UTF8,
/// TOO_LARGE, CLOSED, FULL for more than 256 channels and patterns, WRONG_STATE when it is subscribed
/// to the hub already and the options differ, or for a pattern on a hub with a Redis
/// Cluster.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_subscribe(
    sse: lithe_sse_t,
    hub: lithe_hub_t,
    channels: *const c_char,
    channels_len: usize,
    options: *const lithe_subscribe_options_t,
) -> i32 {
    boundary(|| {
        let sse = handle::get::<EventStream>(sse)?;
        let options = versioned_in(options)?;
        if options.is_some_and(|options| options.format == LITHE_FORMAT_BINARY) {
            return Err(bad_argument("format: an event stream holds text"));
        }
        let outlet = Outlet::EventStream(sse.sender.clone());
        let channels = (channels, channels_len);
        let subscribed = subscribe(&sse.feeds, outlet, hub, channels, options)?;
        subscribed.ok_or_else(sse::closed)
    })
}

/// Subscribes an event stream no longer to a channel or pattern. Otherwise it is
/// lithe_ws_unsubscribe.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_unsubscribe(
    sse: lithe_sse_t,
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
) -> i32 {
    boundary(|| {
        let sse = handle::get::<EventStream>(sse)?;
        handle::get::<Hub>(hub)?;
        unsubscribe(&sse.feeds, hub, channel, channel_len)
    })
}

fn unsubscribe(
    feeds: &Feeds,
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
) -> Result<(), Error> {
    let interest = text_in(channel, channel_len)?.unwrap_or_default();
    let interest: Interest = interest.parse().map_err(bad_argument)?;
    match feeds.unsubscribe(hub, &interest) {
        true => Ok(()),
        false => Err(Error::new(LITHE_ERR_NOT_FOUND, c"it is not subscribed to that")),
    }
}

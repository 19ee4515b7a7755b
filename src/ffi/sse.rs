//! Event streams: answering a request with one, and sending on it.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use super::convert::{
    Out, Timeout, Versioned, bad_argument, count, events_in, fill, lithe_string_t, millis, text_in,
    text_z_in, timed_out, versioned_in,
};
use super::error::{
    Error, LITHE_ERR_CLOSED, LITHE_ERR_FULL, LITHE_ERR_TIMEOUT, boundary, counting,
};
use super::feed::Feeds;
use super::handle::{self, Kind, Object, Table};
use super::request::{Request, lithe_request_t};
use crate::sse::{Config, Event, SendError, Sender};
use crate::transport::block_on;
use crate::transport::events::Tag;

/// An event stream: lithe_sse_open gives it, lithe_sse_free takes it back.
pub type lithe_sse_t = u64;

/// How an event stream shall behave. To be initialized with LITHE_SSE_OPTIONS_INIT, which asks for
/// the defaults; a field that is 0 does so too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_sse_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// How much may wait to be sent before lithe_sse_send waits; -1 for no limit. Default: 1 MiB.
    pub send_queue_bytes: i64,
    /// After how long without an event a comment is sent, so that proxies keep the connection open
    /// and a client that has vanished is noticed; -1 for never. Default: 15 s.
    pub keep_alive_ms: i32,
    /// How long the client shall wait before it reconnects. Default, and -1: the client's own, a
    /// few seconds.
    pub retry_ms: i32,
    /// 1: what happens on the stream, which is its end and room in its queue, comes out of
    /// lithe_server_wait. Default: 0.
    pub events: i32,
    /// The host's own number for the stream, which its events bear.
    pub user_data: u64,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_sse_options_t {
    const FIRST_SIZE: usize = offset_of!(lithe_sse_options_t, user_data) + size_of::<u64>();
}

/// An event. To be initialized with LITHE_SSE_EVENT_INIT; fields that are left NULL or 0 are not
/// sent. The lengths of the texts may be LITHE_CSTR.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_sse_event_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// What the client gets; any line ends in it arrive as newlines.
    pub data: lithe_string_t,
    /// The event's type, by which the client picks the listener; "message" when there is none.
    /// Without a line end or NUL.
    pub name: lithe_string_t,
    /// What the client sends as Last-Event-ID when it reconnects. Without a line end or NUL. Empty,
    /// but not NULL, makes the client forget the last one.
    pub id: lithe_string_t,
    /// A comment, which the client ignores.
    pub comment: lithe_string_t,
    /// How long the client shall wait before it reconnects, in milliseconds.
    pub retry_ms: i64,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_sse_event_t {
    const FIRST_SIZE: usize = offset_of!(lithe_sse_event_t, retry_ms) + size_of::<i64>();
}

/// What a handle names.
pub(super) struct EventStream {
    pub(super) sender: Sender,
    /// What it gets of hubs.
    pub(super) feeds: Feeds,
}

impl Object for EventStream {
    const KIND: Kind = Kind::EventStream;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<EventStream> = Table::new();
        &TABLE
    }
}

impl EventStream {
    fn send(&self, event: Event, timeout: Timeout) -> Result<(), Error> {
        let sent = if timeout.is_try() {
            self.sender.try_send(event)
        } else {
            self.sender.send_blocking(event, timeout.duration())
        };
        sent.map_err(send_error)
    }
}

pub(super) fn send_error(error: SendError) -> Error {
    match error {
        SendError::Closed => closed(),
        SendError::Full => Error::new(LITHE_ERR_FULL, c"the send queue is full"),
        _ => Error::new(LITHE_ERR_TIMEOUT, c"the send queue stayed full"),
    }
}

pub(super) fn closed() -> Error {
    Error::new(LITHE_ERR_CLOSED, c"the event stream is closed")
}

impl lithe_sse_options_t {
    fn config(&self) -> Result<Config, Error> {
        let config = Config::default();
        let config = count("send_queue_bytes", self.send_queue_bytes)?.apply(
            config,
            usize::MAX,
            Config::send_queue,
        );
        let config = millis("keep_alive_ms", self.keep_alive_ms)?.map(Some).apply(
            config,
            None,
            Config::keep_alive,
        );
        let retry = millis("retry_ms", self.retry_ms)?.map(Some);
        Ok(retry.apply(config, None, Config::retry))
    }
}

impl lithe_sse_event_t {
    pub(super) fn event(&self) -> Result<Event, Error> {
        let text = |text: lithe_string_t| text_in(text.ptr, text.len);
        let mut event = match text(self.comment)? {
            Some(comment) => Event::comment(comment),
            None => Event::default(),
        };
        if let Some(data) = text(self.data)? {
            event = event.data(data);
        }
        if let Some(name) = text(self.name)? {
            event = event.event(name).map_err(bad_argument)?;
        }
        if let Some(id) = text(self.id)? {
            event = event.id(id).map_err(bad_argument)?;
        }
        if let Some(retry) = millis("retry_ms", self.retry_ms)?.some("retry_ms")? {
            event = event.retry(retry);
        }
        Ok(event)
    }
}

/// Answers a request with an event stream, as an EventSource in a browser reads it. Events can be
/// sent at once.
///
/// `options` may be NULL for the defaults. The request's handle is still to be freed. On an error
/// `*sse` is 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, CLOSED when the client has gone or
/// was told that the answer took too long, WRONG_STATE when the request was answered already.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_open(
    request: lithe_request_t,
    options: *const lithe_sse_options_t,
    sse: *mut lithe_sse_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(sse, 0)?;
        let request = handle::get::<Request>(request)?;
        let options = versioned_in(options)?;
        let config = options.as_ref().map(lithe_sse_options_t::config).transpose()?;
        let events = match &options {
            Some(options) => events_in(options.events, options.user_data)?,
            None => None,
        };
        let sender = request.native().open_events(config.unwrap_or_default())?;
        let feeds = Feeds::new(request.native().mailbox().clone());
        let handle = handle::insert(EventStream { sender, feeds })?;
        if let Some(user_data) = events {
            let sse = handle::get::<EventStream>(handle)?;
            sse.sender.report_to(request.host(), Tag { handle, user_data });
        }
        out.put(handle);
        Ok(())
    })
}

/// Sends an event. All of it is copied. Success means that it is in the send queue; events leave in
/// the order in which they were queued.
///
/// Blocks while the send queue is full, for `timeout_ms` at most. Errors: BAD_HANDLE, BAD_ARGUMENT
/// (such as a line end in the name or id), NOT_UTF8, TOO_LARGE, CLOSED when the client has gone or
/// the stream was closed, TIMEOUT, or FULL when `timeout_ms` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_send(
    sse: lithe_sse_t,
    event: *const lithe_sse_event_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let sse = handle::get::<EventStream>(sse)?;
        let event = versioned_in(event)?.ok_or_else(|| bad_argument("the event is NULL"))?;
        sse.send(event.event()?, timeout)
    })
}

/// Sends an event with that name, or none for NULL, and that data; both are NUL-terminated.
/// Otherwise it is lithe_sse_send.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_send_text(
    sse: lithe_sse_t,
    name: *const c_char,
    data: *const c_char,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let sse = handle::get::<EventStream>(sse)?;
        let data = text_z_in(data)?.ok_or_else(|| bad_argument("the data is NULL"))?;
        let event = Event::new(data);
        let event = match text_z_in(name)? {
            Some(name) => event.event(name).map_err(bad_argument)?,
            None => event,
        };
        sse.send(event, timeout)
    })
}

/// Waits until an event stream has ended, because its client has gone or it was closed, for
/// `timeout_ms` at most: what a thread does that has nothing to send for a while.
///
/// Blocks. Success means that it has ended. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT when it has
/// not.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_wait_closed(sse: lithe_sse_t, timeout_ms: i32) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let sse = handle::get::<EventStream>(sse)?;
        block_on(sse.sender.closed(), timeout.duration()).ok_or_else(timed_out)
    })
}

/// Ends an event stream after what is queued. From here on every thread that waits on it, and every
/// later call, gets CLOSED. A browser will reconnect. Does nothing when it has ended already.
///
/// The handle stays valid until lithe_sse_free. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_close(sse: lithe_sse_t) -> i32 {
    boundary(|| {
        let sse = handle::get::<EventStream>(sse)?;
        sse.feeds.end();
        sse.sender.close();
        Ok(())
    })
}

/// How many bytes wait to be sent. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_queued(sse: lithe_sse_t) -> i64 {
    counting(|| {
        let queued = handle::get::<EventStream>(sse)?.sender.queued_bytes();
        Ok(i64::try_from(queued).unwrap_or(i64::MAX))
    })
}

/// Ends an event stream's handle. One that is still open is ended after what is queued; threads
/// that wait on it get CLOSED, and no more events come of it. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_free(sse: lithe_sse_t) -> i32 {
    boundary(|| {
        let sse = handle::remove::<EventStream>(sse)?;
        sse.sender.report_to_nobody();
        sse.feeds.end();
        sse.sender.close();
        Ok(())
    })
}

/// Writes an event as it goes over the wire, for a host that has sockets of its own: such a stream
/// is a response with the content type "text/event-stream" and one event behind the other.
///
/// The event goes to `buffer`, which has room for `capacity` bytes; no NUL is added. Its length
/// goes to `*len` even when there is no room for it, and then nothing is written: NULL and 0 ask
/// for the length. On another error `*len` is 0. Never blocks. Errors: BAD_ARGUMENT (such as a line
/// end in the name or id), NOT_UTF8, TOO_LARGE, TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_format(
    event: *const lithe_sse_event_t,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let event = versioned_in(event)?.ok_or_else(|| bad_argument("the event is NULL"))?;
        fill(buffer, capacity, &len, &event.event()?.encode())
    })
}

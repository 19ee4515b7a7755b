//! WebSockets: answering a handshake with one, and talking on it.

use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;
use std::sync::OnceLock;

use super::convert::{
    Out, OutArray, Timeout, Versioned, bad_argument, content_in, count, events_in, fill, list,
    lithe_string_t, millis, text_in, text_z_in, timed_out, versioned_in, versioned_out,
};
use super::error::{
    Error, LITHE_ERR_CLOSED, LITHE_ERR_FULL, LITHE_ERR_TIMEOUT, LITHE_ERR_TOO_LARGE,
    LITHE_ERR_TOO_SMALL, LITHE_ERR_WRONG_STATE, boundary, counting,
};
use super::feed::Feeds;
use super::handle::{self, Kind, Object, Table};
use super::message::{self, is_text, kind_of, lithe_message_kind, lithe_message_t};
use super::request::{Request, lithe_request_t};
use crate::transport::block_on;
use crate::transport::events::Tag;
use crate::ws::{
    CloseCode, Closed, Compression, Config, Inbound, Message, Origins, RecvError, SendError,
    Sender, Socket, WebSocketUpgrade,
};

/// A WebSocket: lithe_ws_accept gives it, lithe_ws_free takes it back.
pub type lithe_ws_t = u64;

/// LITHE_COMPRESSION_OFF or LITHE_COMPRESSION_AUTO; 0 is the default.
pub type lithe_compression = i32;

/// Messages are not compressed. The default: compression costs time, and secrets beside text that
/// an attacker chooses can be guessed from the size of the result.
pub const LITHE_COMPRESSION_OFF: lithe_compression = -1;
/// Messages of 1 KiB and more are compressed for clients that offer it (permessage-deflate).
pub const LITHE_COMPRESSION_AUTO: lithe_compression = 1;

/// How a WebSocket shall behave. To be initialized with LITHE_WS_OPTIONS_INIT, which asks for the
/// defaults; a field that is 0 or NULL does so too. -1 in the place of a limit or a time is none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_ws_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// The subprotocols that the host speaks, the most wanted first, with commas between them.
    /// The first that the client offers too is agreed on. Default: none.
    pub protocols: *const c_char,
    /// The pages that may connect, as a browser names them: origins such as
    /// "https://app.example.com", with commas between them, or "*" for all. A client that is no
    /// browser names none, and may always connect. Default: pages from the server's own host.
    pub origins: *const c_char,
    /// The largest message that is received; a larger one closes the connection with 1009.
    /// Default: 16 MiB.
    pub max_message_bytes: i64,
    /// How much may wait to be sent before lithe_ws_send waits. Default: 1 MiB.
    pub send_queue_bytes: i64,
    /// How much may wait for lithe_ws_receive before the connection is no longer read, so that TCP
    /// slows the peer down. Default: 256 KiB.
    pub receive_queue_bytes: i64,
    /// How many messages a peer may send per second; more close the connection with 1008. Default:
    /// no limit.
    pub max_messages_per_second: i32,
    /// After how long without a byte from the peer it is sent a ping. Default: 25 s.
    pub ping_interval_ms: i32,
    /// How long after a ping without an answer, or without taking a byte of what is sent to it, a
    /// peer counts as dead. Default: 20 s. Cannot be -1.
    pub peer_timeout_ms: i32,
    /// After how long without a message from the peer the connection is closed with 1001. Default:
    /// never.
    pub idle_timeout_ms: i32,
    /// How long the peer may take to answer a close before it is cut. Default: 5 s. Cannot be -1.
    pub close_timeout_ms: i32,
    /// LITHE_COMPRESSION_OFF or LITHE_COMPRESSION_AUTO. Default: off.
    pub compression: lithe_compression,
    /// 1: what happens on the WebSocket comes out of lithe_server_wait, and lithe_ws_receive is
    /// not for it. Default: 0.
    pub events: i32,
    /// The host's own number for the WebSocket, which its events bear.
    pub user_data: u64,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_ws_options_t {
    const FIRST_SIZE: usize = offset_of!(lithe_ws_options_t, user_data) + size_of::<u64>();
}

/// How a WebSocket ended. To be initialized with LITHE_WS_CLOSE_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_ws_close_info_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// The close code (RFC 6455, section 7.4): what the peer sent, or what this side closed with
    /// when it was first. 1005 when the peer sent none, 1006 when the connection broke.
    pub code: i32,
    /// 1 when both sides have said that they close, else 0.
    pub clean: i32,
    /// The reason that came with the code, or what went wrong. Valid until lithe_ws_free.
    pub reason: lithe_string_t,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_ws_close_info_t {
    const FIRST_SIZE: usize =
        offset_of!(lithe_ws_close_info_t, reason) + size_of::<lithe_string_t>();
}

/// The longest reason of a close: what a control frame has room for (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

/// What a handle names.
pub(super) struct WebSocket {
    socket: Socket,
    pub(super) sender: Sender,
    protocol: CString,
    /// Texts that the host may hold on to.
    reason: OnceLock<CString>,
    /// Messages come as events.
    events: bool,
    /// What it gets of hubs.
    pub(super) feeds: Feeds,
}

impl Object for WebSocket {
    const KIND: Kind = Kind::WebSocket;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<WebSocket> = Table::new();
        &TABLE
    }
}

impl WebSocket {
    fn new(socket: Socket, events: bool, feeds: Feeds) -> Self {
        let protocol = CString::new(socket.protocol().unwrap_or_default()).unwrap_or_default();
        let sender = socket.sender();
        WebSocket { sender, socket, protocol, reason: OnceLock::new(), events, feeds }
    }

    /// Waits until `take` finds something among the messages that have come in.
    fn receive<R>(
        &self,
        timeout: Timeout,
        take: impl FnMut(&mut Inbound) -> Option<R>,
    ) -> Result<R, Error> {
        if self.events {
            return Err(Error::new(
                LITHE_ERR_WRONG_STATE,
                c"the messages of this WebSocket come as events, out of lithe_server_wait",
            ));
        }
        self.socket.recv_blocking_with(timeout.duration(), take).map_err(|error| match error {
            RecvError::Timeout => timed_out(),
            _ => closed(),
        })
    }

    fn send(&self, text: bool, payload: &[u8], timeout: Timeout) -> Result<(), Error> {
        let sent = if timeout.is_try() {
            self.sender.try_send_copy(text, payload)
        } else {
            self.sender.send_copy_blocking(text, payload, timeout.duration())
        };
        sent.map_err(send_error)
    }

    fn pause(&self, paused: bool) -> Result<(), Error> {
        match self.events && self.socket.pause(paused) {
            true => Ok(()),
            false => Err(Error::new(
                LITHE_ERR_WRONG_STATE,
                c"the messages of this WebSocket do not come as events",
            )),
        }
    }

    pub(super) fn send_message(&self, message: Message, timeout: Timeout) -> Result<(), Error> {
        let sent = if timeout.is_try() {
            self.sender.try_send(message)
        } else {
            self.sender.send_blocking(message, timeout.duration())
        };
        sent.map_err(send_error)
    }

    fn close_info(&self, closed: Closed) -> lithe_ws_close_info_t {
        let reason = self.reason.get_or_init(|| {
            let reason = closed.reason.replace('\0', " ");
            CString::new(reason).unwrap_or_default()
        });
        lithe_ws_close_info_t {
            size: 0,
            code: closed.code.into(),
            clean: closed.clean.into(),
            reason: lithe_string_t::new(reason),
        }
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
    Error::new(LITHE_ERR_CLOSED, c"the WebSocket is closed")
}

impl lithe_ws_options_t {
    fn config(&self) -> Result<Config, Error> {
        let config = Config::default();
        let config = count("max_message_bytes", self.max_message_bytes)?.apply(
            config,
            usize::MAX,
            |config, bytes| config.max_message_size(bytes).max_frame_size(bytes),
        );
        let config = count("send_queue_bytes", self.send_queue_bytes)?.apply(
            config,
            usize::MAX,
            Config::send_queue,
        );
        let config = count("receive_queue_bytes", self.receive_queue_bytes)?.apply(
            config,
            usize::MAX,
            Config::receive_queue,
        );
        let rate = count("max_messages_per_second", self.max_messages_per_second)?;
        let config = rate.apply(config, 0, |config, rate| {
            config.max_messages_per_second(u32::try_from(rate).ok().filter(|rate| *rate > 0))
        });
        let config = millis("ping_interval_ms", self.ping_interval_ms)?.map(Some).apply(
            config,
            None,
            Config::ping_interval,
        );
        let config = millis("idle_timeout_ms", self.idle_timeout_ms)?.map(Some).apply(
            config,
            None,
            Config::idle_timeout,
        );
        let config =
            match millis("peer_timeout_ms", self.peer_timeout_ms)?.some("peer_timeout_ms")? {
                Some(timeout) => config.peer_timeout(timeout),
                None => config,
            };
        let config =
            match millis("close_timeout_ms", self.close_timeout_ms)?.some("close_timeout_ms")? {
                Some(timeout) => config.close_timeout(timeout),
                None => config,
            };
        let config = match self.compression {
            0 | LITHE_COMPRESSION_OFF => config.compression(Compression::Off),
            LITHE_COMPRESSION_AUTO => config.compression(Compression::Auto),
            other => return Err(bad_argument(format_args!("there is no compression {other}"))),
        };
        Ok(match text_z_in(self.origins)? {
            None => config,
            Some("*") => config.origins(Origins::Any),
            Some(origins) => config.origins(Origins::List(list(origins).map(Into::into).collect())),
        })
    }
}

/// Answers a request that is a WebSocket handshake (lithe_request_is_websocket). The WebSocket can
/// be used at once: what is sent before the client has the answer waits for it.
///
/// `options` may be NULL for the defaults. The request's handle is still to be freed. On an error
/// `*ws` is 0. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, CLOSED when the client has
/// gone or was told that the answer took too long, REFUSED when the page may not connect by
/// `origins` (the client was told 403), WRONG_STATE when the request is no handshake or was answered
/// already.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_accept(
    request: lithe_request_t,
    options: *const lithe_ws_options_t,
    ws: *mut lithe_ws_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(ws, 0)?;
        let request = handle::get::<Request>(request)?;
        let options = versioned_in(options)?;
        let config = options.as_ref().map(lithe_ws_options_t::config).transpose()?;
        let events = match &options {
            Some(options) => events_in(options.events, options.user_data)?,
            None => None,
        };
        let protocols = match options {
            Some(options) => text_z_in(options.protocols)?.unwrap_or_default(),
            None => "",
        };
        let socket = request.native().accept_websocket(|upgrade: WebSocketUpgrade| {
            let upgrade = upgrade.protocols(list(protocols));
            match config {
                Some(config) => upgrade.config(config),
                None => upgrade,
            }
        })?;
        let feeds = Feeds::new(request.native().mailbox().clone());
        let handle = handle::insert(WebSocket::new(socket, events.is_some(), feeds))?;
        if let Some(user_data) = events {
            let ws = handle::get::<WebSocket>(handle)?;
            ws.socket.report_to(request.host(), Tag { handle, user_data });
        }
        out.put(handle);
        Ok(())
    })
}

/// The subprotocol that was agreed on; empty when there is none.
///
/// The text is valid until lithe_ws_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_protocol(ws: lithe_ws_t, protocol: *mut lithe_string_t) -> i32 {
    boundary(|| {
        let out = Out::new(protocol, lithe_string_t::EMPTY)?;
        out.put(lithe_string_t::new(&handle::get::<WebSocket>(ws)?.protocol));
        Ok(())
    })
}

/// Waits for the next message, for `timeout_ms` at most. Messages come in the order in which the
/// peer has sent them; pings, pongs and fragments are taken care of.
///
/// The message belongs to the host until lithe_message_free. What was in `*message` is overwritten,
/// not freed; on an error it is empty. Several threads may wait; each message goes to one of them.
/// Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, WRONG_STATE when the messages come as events,
/// CLOSED when the connection has ended and every message from before was received, or this side
/// has closed it (see lithe_ws_close_info).
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_receive(
    ws: lithe_ws_t,
    message: *mut lithe_message_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let out = Out::new(message, lithe_message_t::EMPTY)?;
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        out.put(lithe_message_t::new(ws.receive(timeout, Inbound::pop)?));
        Ok(())
    })
}

/// Waits for messages, for `timeout_ms` at most, and takes as many as there are, up to `capacity`,
/// in one call. Returns how many, which is at least 1.
///
/// `messages` is an array of `capacity` structs, of which that many are filled; each belongs to the
/// host until lithe_message_free. Otherwise it is lithe_ws_receive.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_receive_many(
    ws: lithe_ws_t,
    messages: *mut lithe_message_t,
    capacity: usize,
    timeout_ms: i32,
) -> i32 {
    counting(|| {
        let mut out = OutArray::new(messages, capacity)?;
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        ws.receive(timeout, |waiting| {
            while !out.is_full()
                && let Some(message) = waiting.pop()
            {
                out.push(lithe_message_t::new(message));
            }
            (out.len() > 0).then_some(())
        })?;
        Ok(out.len())
    })
}

/// Waits for the next message, for `timeout_ms` at most, and copies it to `buffer`, which has room
/// for `capacity` bytes. `*kind` is LITHE_TEXT or LITHE_BINARY, `*len` the length in bytes.
///
/// A message that is larger than the buffer stays for the next call: the error is TOO_SMALL, `*len`
/// says how much room it needs. Otherwise it is lithe_ws_receive. Blocks. Errors: BAD_HANDLE,
/// BAD_ARGUMENT, TIMEOUT, TOO_SMALL, WRONG_STATE, CLOSED.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_receive_into(
    ws: lithe_ws_t,
    buffer: *mut c_void,
    capacity: usize,
    kind: *mut lithe_message_kind,
    len: *mut usize,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let len = Out::new(len, 0)?;
        let kind = Out::new(kind, 0)?;
        if buffer.is_null() && capacity > 0 {
            return Err(bad_argument("the buffer is NULL, its capacity is not 0"));
        }
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        let message = ws.receive(timeout, |waiting| {
            let next = waiting.front()?;
            len.put(next.len());
            Some(if next.len() <= capacity { waiting.pop() } else { None })
        })?;
        let message = message.ok_or_else(|| {
            Error::new(LITHE_ERR_TOO_SMALL, c"the message is larger than the buffer")
        })?;
        kind.put(kind_of(message.is_text()));
        fill(buffer, capacity, &len, message.as_bytes())
    })
}

/// Holds the messages of a WebSocket back that come as events: from here on lithe_server_wait gives
/// none of it, until lithe_ws_resume. They wait in its receive queue; when that is full the
/// connection is no longer read, and TCP slows the peer down. For a host that cannot send on what
/// it gets. Other events come all the same, but LITHE_EVENT_CLOSED comes behind the messages.
///
/// Events that a thread has taken already it has. Does nothing when it is paused already. Never
/// blocks. Errors: BAD_HANDLE, WRONG_STATE when the messages do not come as events.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_pause(ws: lithe_ws_t) -> i32 {
    boundary(|| handle::get::<WebSocket>(ws)?.pause(true))
}

/// Lets the messages of a WebSocket come again after lithe_ws_pause.
///
/// Never blocks. Errors: BAD_HANDLE, WRONG_STATE when the messages do not come as events.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_resume(ws: lithe_ws_t) -> i32 {
    boundary(|| handle::get::<WebSocket>(ws)?.pause(false))
}

/// Sends a message: `kind` is LITHE_TEXT, for UTF-8, or LITHE_BINARY. The data is copied; `len` may
/// be LITHE_CSTR. Success means that it is in the send queue; messages leave in the order in which
/// they were queued.
///
/// Blocks while the send queue is full, for `timeout_ms` at most. A message that was not queued was
/// not sent, nor any part of it; one that is larger than the whole queue is taken when nothing else
/// is queued. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE for a length that no memory has,
/// CLOSED, TIMEOUT, or FULL when `timeout_ms` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_send(
    ws: lithe_ws_t,
    kind: lithe_message_kind,
    data: *const c_void,
    len: usize,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        let data = content_in(data, len)?;
        ws.send(is_text(kind, data)?, data, timeout)
    })
}

/// Sends NUL-terminated text. Otherwise it is lithe_ws_send.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_send_text(ws: lithe_ws_t, text: *const c_char, timeout_ms: i32) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        let text = text_z_in(text)?.ok_or_else(|| bad_argument("the text is NULL"))?;
        ws.send(true, text.as_bytes(), timeout)
    })
}

/// Sends a message as it was received, on whatever connection, and does not copy it if it is large.
/// The message is left to the host, which still frees it.
///
/// Otherwise it is lithe_ws_send.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_send_message(
    ws: lithe_ws_t,
    message: *const lithe_message_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        ws.send_message(message::shared(message)?, timeout)
    })
}

/// Closes a WebSocket after what is queued. From here on every thread that waits on it, and every
/// later call, gets CLOSED; messages that were not received are lost. Does nothing when it is
/// closed already.
///
/// `code` is 0, for 1000, "normal", or a code that a server may send: 1000 to 1003, 1007 to 1014,
/// 3000 to 4999, of which those from 4000 are for the host's own use. The reason, at most 123
/// bytes of UTF-8, may be NULL; `reason_len` may be LITHE_CSTR.
///
/// Never blocks: the peer's answer is waited for in the background (see lithe_ws_close_info). The
/// handle stays valid until lithe_ws_free. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_close(
    ws: lithe_ws_t,
    code: i32,
    reason: *const c_char,
    reason_len: usize,
) -> i32 {
    boundary(|| {
        let ws = handle::get::<WebSocket>(ws)?;
        let code = match code {
            0 => CloseCode::NORMAL,
            code => u16::try_from(code)
                .ok()
                .and_then(CloseCode::new)
                .ok_or_else(|| bad_argument(format_args!("{code} is no close code to send")))?,
        };
        let reason = text_in(reason, reason_len)?.unwrap_or_default();
        if reason.len() > MAX_REASON {
            return Err(Error::new(LITHE_ERR_TOO_LARGE, c"the reason is longer than 123 bytes"));
        }
        ws.feeds.end();
        ws.sender.close(code, reason);
        Ok(())
    })
}

/// Says how a WebSocket ended; waits for its end for `timeout_ms` at most, which is not over before
/// the peer has answered a close, or is given up.
///
/// `info` may be NULL, to wait only. Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT when it has not ended.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_close_info(
    ws: lithe_ws_t,
    info: *mut lithe_ws_close_info_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        let closed = block_on(ws.sender.closed(), timeout.duration()).ok_or_else(timed_out)?;
        versioned_out(info, ws.close_info(closed))
    })
}

/// How many bytes wait to be sent: 0 once the kernel has taken all. Never blocks. Errors:
/// BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_queued(ws: lithe_ws_t) -> i64 {
    counting(|| {
        let queued = handle::get::<WebSocket>(ws)?.sender.queued_bytes();
        Ok(i64::try_from(queued).unwrap_or(i64::MAX))
    })
}

/// Ends a WebSocket's handle. One that is still open is closed with 1000, after what is queued;
/// threads that wait on it get CLOSED, and no more events come of it. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_free(ws: lithe_ws_t) -> i32 {
    boundary(|| {
        let ws = handle::remove::<WebSocket>(ws)?;
        ws.socket.report_to_nobody();
        ws.feeds.end();
        ws.sender.close(CloseCode::NORMAL, "");
        Ok(())
    })
}

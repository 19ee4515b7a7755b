//! Events: what happens on all connections of a server, taken in batches.

use std::ffi::c_int;

use super::authorization::Authorization;
use super::convert::{OutArray, Timeout};
use super::error::{Error, LITHE_ERR_IO, anywhere, boundary, counting};
use super::handle::{self, Kind};
use super::message::{self, LITHE_TEXT, kind_of, lithe_message_t};
use super::request::Request;
use super::server::{Server, lithe_server_t, stopped};
use crate::server::inbox::Happening;
use crate::transport::events::{Event, Tag};

/// What has happened: LITHE_EVENT_REQUEST and so on.
pub type lithe_event_kind = i32;

/// A request has come in: `handle` is a lithe_request_t, which the host answers and frees, or hands
/// to lithe_request_dispatch.
pub const LITHE_EVENT_REQUEST: lithe_event_kind = 1;
/// A WebSocket has finished its handshake: `handle` is the lithe_ws_t, as in the events below.
pub const LITHE_EVENT_OPEN: lithe_event_kind = 2;
/// A message has come in: `message`, which belongs to the host.
pub const LITHE_EVENT_MESSAGE: lithe_event_kind = 3;
/// There is room again: a send, be it one to many, was told FULL, and since then the send queue has
/// fallen to half, or the connection has ended while it was paused (see lithe_ws_pause).
pub const LITHE_EVENT_WRITABLE: lithe_event_kind = 4;
/// A WebSocket, event stream or streamed response has ended: its last event, whichever side has
/// ended it. Of a WebSocket `code` is the close code, `clean` is 1 when both sides have said that
/// they close, and `message` is the reason (see lithe_ws_close_info_t); of an event stream `clean`
/// is 1 when the server has ended it, 0 when the client has gone; of a response it is 1 when it was
/// finished and all of it has left the send queue, else 0.
///
/// The handle is still to be freed, by the function for its `handle_kind`.
pub const LITHE_EVENT_CLOSED: lithe_event_kind = 5;
/// A drain that lithe_server_begin_drain has begun is over: `handle` is the lithe_server_t. It comes
/// once, behind the LITHE_EVENT_CLOSED of the connections, whichever threads these go to.
pub const LITHE_EVENT_DRAINED: lithe_event_kind = 6;
/// The body of a request that lithe_request_watch was called for can be read on: a
/// lithe_request_read was told TIMEOUT, and since then more has come, or the end, or an error,
/// which the next one returns. `handle` is the lithe_request_t.
pub const LITHE_EVENT_READABLE: lithe_event_kind = 7;

/// A client of a hub that was mounted with LITHE_AUTHORIZE_HOST wants to do something: `handle` is
/// the lithe_authorization_t, which the host answers (lithe_authorization_answer) and frees.
pub const LITHE_EVENT_AUTHORIZE: lithe_event_kind = 8;

/// What a handle names: LITHE_HANDLE_REQUEST and so on.
pub type lithe_handle_kind = i32;

/// A lithe_server_t.
pub const LITHE_HANDLE_SERVER: lithe_handle_kind = 1;
/// A lithe_request_t.
pub const LITHE_HANDLE_REQUEST: lithe_handle_kind = 2;
/// A lithe_ws_t.
pub const LITHE_HANDLE_WS: lithe_handle_kind = 3;
/// A lithe_sse_t.
pub const LITHE_HANDLE_SSE: lithe_handle_kind = 4;
/// A lithe_response_t.
pub const LITHE_HANDLE_RESPONSE: lithe_handle_kind = 6;
/// A lithe_authorization_t.
pub const LITHE_HANDLE_AUTHORIZATION: lithe_handle_kind = 10;

const _: () = {
    assert!(LITHE_HANDLE_SERVER == Kind::Server as i32);
    assert!(LITHE_HANDLE_REQUEST == Kind::Request as i32);
    assert!(LITHE_HANDLE_WS == Kind::WebSocket as i32);
    assert!(LITHE_HANDLE_SSE == Kind::EventStream as i32);
    assert!(LITHE_HANDLE_RESPONSE == Kind::Response as i32);
    assert!(LITHE_HANDLE_AUTHORIZATION == Kind::Authorization as i32);
};

/// Something that has happened.
#[repr(C)]
pub struct lithe_event_t {
    /// LITHE_EVENT_REQUEST and so on. A program passes over kinds that it does not know.
    pub kind: lithe_event_kind,
    /// Of LITHE_EVENT_CLOSED: the close code, else 0.
    pub code: i32,
    /// Of LITHE_EVENT_CLOSED: whether the end was clean, else 0.
    pub clean: i32,
    /// What kind of handle `handle` is: LITHE_HANDLE_WS and so on.
    pub handle_kind: lithe_handle_kind,
    /// What it has happened to.
    pub handle: u64,
    /// The host's own number for it: `user_data` of the options that it was accepted or opened
    /// with; of LITHE_EVENT_REQUEST, that of the request's route. It has room for a pointer.
    pub user_data: u64,
    /// Of LITHE_EVENT_MESSAGE: the message. Of LITHE_EVENT_CLOSED: the reason, as text. Else empty.
    pub message: lithe_message_t,
    /// 0. Room for what later versions tell.
    pub reserved: [u64; 4],
}

impl lithe_event_t {
    fn new(kind: lithe_event_kind, Tag { handle, user_data }: Tag) -> Self {
        lithe_event_t {
            kind,
            code: 0,
            clean: 0,
            handle_kind: handle::kind(handle),
            handle,
            user_data,
            message: lithe_message_t::EMPTY,
            reserved: [0; 4],
        }
    }

    fn of(tag: Tag, event: Event) -> Self {
        match event {
            Event::Open => Self::new(LITHE_EVENT_OPEN, tag),
            Event::Message { text, payload } => lithe_event_t {
                message: lithe_message_t::of_bytes(kind_of(text), payload),
                ..Self::new(LITHE_EVENT_MESSAGE, tag)
            },
            Event::Readable => Self::new(LITHE_EVENT_READABLE, tag),
            Event::Writable => Self::new(LITHE_EVENT_WRITABLE, tag),
            Event::Closed { code, reason, clean } => lithe_event_t {
                code: code.into(),
                clean: clean.into(),
                message: lithe_message_t::of_bytes(LITHE_TEXT, reason),
                ..Self::new(LITHE_EVENT_CLOSED, tag)
            },
        }
    }
}

/// Waits until something has happened on the server or any of its connections, for `timeout_ms` at
/// most, and takes as much of it as there is, up to `capacity` events, in one call. Returns how
/// many events `events`, an array of `capacity` structs, was filled with: 0 when the time is over,
/// or when lithe_server_wake was called.
///
/// Events come of connections that were accepted or opened with `events` set to 1 in their
/// options, and of each in the order in which they have happened; every such connection ends with
/// one LITHE_EVENT_CLOSED, unless its handle is freed before. A request comes as an event, or out
/// of lithe_server_accept, whichever is called first.
///
/// A host that is slow here slows its peers down, and costs no memory: what has happened waits in
/// the queues of the connections. The messages in the events belong to the host until
/// lithe_event_free, or lithe_message_free for each. Several threads may wait; each event goes to
/// one of them. Blocks.
///
/// What a thread sends while it works through what this has returned may be held back until the
/// thread calls it again, for a millisecond at most, so that it leaves with few system calls. That
/// does not go for a call with a timeout of 0, after which a thread may have something else to do.
///
/// Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN when the server is stopped and every event from
/// before was taken.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_wait(
    server: lithe_server_t,
    events: *mut lithe_event_t,
    capacity: usize,
    timeout_ms: i32,
) -> i32 {
    counting(|| {
        let mut out = OutArray::new(events, capacity)?;
        let room = out.capacity();
        let timeout = Timeout::from_millis(timeout_ms)?;
        let handle = server;
        let server = handle::get::<Server>(handle)?;
        let mut result = Ok(());
        let mut put = |happening| match happening {
            Happening::Request(request) => {
                let user_data = request.found.route().map_or(0, |route| route.user_data as u64);
                let request = Request::new(request, server.inbox.clone());
                match handle::insert(request) {
                    Ok(handle) => {
                        let tag = Tag { handle, user_data };
                        out.push(lithe_event_t::new(LITHE_EVENT_REQUEST, tag));
                    }
                    // Without a handle, the request is answered with 503.
                    Err(error) => result = Err(error),
                }
            }
            Happening::Question(question) => match handle::insert(Authorization::new(question)) {
                Ok(handle) => {
                    let tag = Tag { handle, user_data: 0 };
                    out.push(lithe_event_t::new(LITHE_EVENT_AUTHORIZE, tag));
                }
                // Without a handle, it is refused.
                Err(error) => result = Err(error),
            },
            Happening::Event(tag, event) => out.push(lithe_event_t::of(tag, event)),
            Happening::Drained => {
                let tag = Tag { handle, user_data: 0 };
                out.push(lithe_event_t::new(LITHE_EVENT_DRAINED, tag));
            }
        };
        server.inbox.wait(room, timeout.duration(), &mut put).map_err(|_| stopped())?;
        if out.len() == 0 {
            result?;
        }
        Ok(out.len())
    })
}

/// Makes a thread that is blocked in lithe_server_wait return, or else the next call of it, with
/// what events there are, or none. For a thread that has something for the thread with the events
/// to do. May be called on any thread. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_wake(server: lithe_server_t) -> i32 {
    boundary(|| {
        handle::get::<Server>(server)?.inbox.wake();
        Ok(())
    })
}

/// A file descriptor that can be read, as poll, epoll and kqueue say it, while lithe_server_wait
/// has something to return: for a loop that waits for other things too. It is level-triggered:
/// whoever leaves events where they are is told again. Only lithe_server_wait makes it unreadable;
/// nothing is to be read from it, or written to it.
///
/// It belongs to the server, and is closed by lithe_server_free. Never blocks. Errors: BAD_HANDLE,
/// IO when there are no more file descriptors.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_event_fd(server: lithe_server_t) -> c_int {
    counting(|| {
        let server = handle::get::<Server>(server)?;
        event_fd(&server).map_err(|error| Error::with(LITHE_ERR_IO, error))
    })
}

#[cfg(unix)]
fn event_fd(server: &Server) -> std::io::Result<c_int> {
    server.inbox.event_fd()
}

#[cfg(not(unix))]
fn event_fd(_: &Server) -> std::io::Result<c_int> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Gives the messages of `count` events back, as lithe_message_free does: those whose message was
/// freed or moved out, and made empty, are left as they are. NULL does nothing. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_event_free(events: *mut lithe_event_t, count: usize) {
    anywhere(|| {
        if !events.is_null() {
            for index in 0..count {
                // SAFETY: the host lends `count` structs that were filled by lithe_server_wait.
                message::free(unsafe { &raw mut (*events.add(index)).message });
            }
        }
    });
}

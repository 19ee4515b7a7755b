//! One message, or one event, for many connections.

use std::ffi::c_void;

use bytes::Bytes;

use super::convert::{Out, Timeout, array_in, bad_argument, content_in, versioned_in};
use super::error::{Error, boundary, counting};
use super::handle::{self, Kind, Object, Table};
use super::message::{self, lithe_message_kind, lithe_message_t};
use super::sse::{self, EventStream, lithe_sse_event_t, lithe_sse_t};
use super::ws::{self, WebSocket, lithe_ws_t};
use crate::transport::cork;
use crate::ws::Prepared;

/// A message for many WebSockets: lithe_buffer_create gives it, lithe_buffer_free takes it back.
pub type lithe_buffer_t = u64;

/// What a handle names.
struct Buffer(Prepared);

impl Object for Buffer {
    const KIND: Kind = Kind::Buffer;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Buffer> = Table::new();
        &TABLE
    }
}

/// Sends something to each of many connections, and says how many took it.
fn send_to_each<T: Object>(
    handles: *const u64,
    count: usize,
    results: *mut i32,
    send: impl Fn(&T) -> Result<(), Error>,
) -> Result<i32, Error> {
    if i32::try_from(count).is_err() || !results.is_aligned() {
        return Err(bad_argument(
            "the array of handles is too long, or that of results misaligned",
        ));
    }
    let handles = array_in(handles, count)?;
    Ok(cork::gather(|| {
        let mut taken = 0;
        for (index, handle) in handles.iter().enumerate() {
            let sent = handle::get(*handle).and_then(|connection| send(&connection));
            let code = sent.map_or_else(|error| error.code(), |()| 0);
            taken += i32::from(code == 0);
            if !results.is_null() {
                // SAFETY: not null, aligned, and lent by the host for the call with room for
                // `count`.
                unsafe { results.add(index).write(code) };
            }
        }
        taken
    }))
}

/// Makes a message that can be sent to any number of WebSockets, and is encoded only once for all
/// of them, or once for each way of compression that their clients have agreed to. `kind` is
/// LITHE_TEXT, for UTF-8, or LITHE_BINARY. The data is copied; `len` may be LITHE_CSTR.
///
/// On an error `*buffer` is 0. Never blocks. Errors: BAD_ARGUMENT, NOT_UTF8, TOO_LARGE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_buffer_create(
    kind: lithe_message_kind,
    data: *const c_void,
    len: usize,
    buffer: *mut lithe_buffer_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(buffer, 0)?;
        let message = message::message_of(kind, Bytes::copy_from_slice(content_in(data, len)?))?;
        out.put(handle::insert(Buffer(Prepared::new(message)))?);
        Ok(())
    })
}

/// Makes a buffer of a message as it was received, and does not copy it: for a host that passes on to
/// many what one has said. The message is left to the host, which still frees it.
///
/// On an error `*buffer` is 0. Never blocks. Errors: BAD_ARGUMENT for a struct that is empty,
/// NOT_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_buffer_from_message(
    message: *const lithe_message_t,
    buffer: *mut lithe_buffer_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(buffer, 0)?;
        out.put(handle::insert(Buffer(Prepared::new(message::shared(message)?)))?);
        Ok(())
    })
}

/// Ends a buffer's handle. The message itself lives on in the send queues that hold it. Never
/// blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_buffer_free(buffer: lithe_buffer_t) -> i32 {
    boundary(|| handle::remove::<Buffer>(buffer).map(drop))
}

/// Sends the message in a buffer, which is shared with the send queue and not copied.
///
/// Blocks while the send queue is full, for `timeout_ms` at most, like lithe_ws_send. Errors:
/// BAD_HANDLE, for either, BAD_ARGUMENT, CLOSED, TIMEOUT, or FULL when `timeout_ms` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_send_buffer(
    ws: lithe_ws_t,
    buffer: lithe_buffer_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        let buffer = handle::get::<Buffer>(buffer)?;
        let sent = if timeout.is_try() {
            ws.sender.try_send_prepared(&buffer.0)
        } else {
            ws.sender.send_prepared_blocking(&buffer.0, timeout.duration())
        };
        sent.map_err(ws::send_error)
    })
}

/// Sends the message in a buffer on `count` WebSockets, and returns how many have taken it. Whoever
/// has no room in its send queue, because its client is slow, misses it.
///
/// What came of each goes to `results`, an array with `count` places, or NULL: LITHE_OK,
/// LITHE_ERR_FULL, LITHE_ERR_CLOSED or LITHE_ERR_BAD_HANDLE. When the call itself fails nothing
/// goes there, and nothing is sent. Never blocks. Errors: BAD_HANDLE for the buffer, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_send_many(
    ws: *const lithe_ws_t,
    count: usize,
    buffer: lithe_buffer_t,
    results: *mut i32,
) -> i32 {
    counting(|| {
        let buffer = handle::get::<Buffer>(buffer)?;
        send_to_each(ws, count, results, |ws: &WebSocket| {
            ws.sender.try_send_prepared(&buffer.0).map_err(ws::send_error)
        })
    })
}

/// Sends an event on `count` event streams, and returns how many have taken it. It is encoded only
/// once. Whoever has no room in its send queue, because its client is slow, misses it.
///
/// What came of each goes to `results`, an array with `count` places, or NULL: LITHE_OK,
/// LITHE_ERR_FULL, LITHE_ERR_CLOSED or LITHE_ERR_BAD_HANDLE. When the call itself fails nothing
/// goes there, and nothing is sent. Never blocks. Errors: BAD_ARGUMENT (such as a line end in the
/// name or id), NOT_UTF8, TOO_LARGE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_sse_send_many(
    sse: *const lithe_sse_t,
    count: usize,
    event: *const lithe_sse_event_t,
    results: *mut i32,
) -> i32 {
    counting(|| {
        let event = versioned_in(event)?.ok_or_else(|| bad_argument("the event is NULL"))?;
        let encoded = event.event()?.encode();
        send_to_each(sse, count, results, |sse: &EventStream| {
            sse.sender.try_send_encoded(encoded.clone()).map_err(sse::send_error)
        })
    })
}

//! Streamed responses: answering a request with a body that is written piece by piece.

use std::ffi::c_void;

use super::block_on::block_on;
use super::convert::{
    Out, Timeout, Versioned, array_in, bytes_in, count, events_in, timed_out, versioned_in,
};
use super::error::{
    Error, LITHE_ERR_CLOSED, LITHE_ERR_FULL, LITHE_ERR_TIMEOUT, LITHE_ERR_TOO_LARGE,
    LITHE_ERR_WRONG_STATE, boundary, counting,
};
use super::handle::{self, Kind, Object, Table};
use super::request::{Request, headers_and_length_in, lithe_header_t, lithe_request_t, status_in};
use crate::server::response::{StreamedResponse, WriteError};
use crate::transport::events::Tag;

/// A streamed response: lithe_request_respond_stream gives it, lithe_response_free takes it back.
pub type lithe_response_t = u64;

/// How a streamed response shall behave. To be initialized with LITHE_RESPONSE_OPTIONS_INIT, which
/// asks for the defaults; a field that is 0 does so too.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_response_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// How much may wait to be sent before lithe_response_write waits; -1 for no limit. Default:
    /// 1 MiB.
    pub send_queue_bytes: i64,
    /// 1: what happens to the response, which is its end and room in its queue, comes out of
    /// lithe_server_wait. Default: 0.
    pub events: i32,
    /// The host's own number for the response, which its events bear.
    pub user_data: u64,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_response_options_t {
    const FIRST_SIZE: usize = size_of::<lithe_response_options_t>();
}

const SEND_QUEUE: usize = 1024 * 1024;

impl Object for StreamedResponse {
    const KIND: Kind = Kind::Response;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<StreamedResponse> = Table::new();
        &TABLE
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        let code = match error {
            WriteError::Closed => LITHE_ERR_CLOSED,
            WriteError::Full => LITHE_ERR_FULL,
            WriteError::Timeout => LITHE_ERR_TIMEOUT,
            WriteError::TooLong(_) => LITHE_ERR_TOO_LARGE,
            WriteError::TooShort(_) => LITHE_ERR_WRONG_STATE,
        };
        Error::with(code, error)
    }
}

/// Answers a request with a status from 200 to 599 and headers, and begins its body, which
/// lithe_response_write goes on with and lithe_response_finish ends. The headers are copied.
///
/// When the headers say the Content-Length, exactly so much must be written. Otherwise the body may
/// have any length: it is sent in chunks over HTTP/1.1, and over HTTP/1.0 ends with the connection.
/// For a HEAD request, or a status without a body, there is nothing to write: the response is ended
/// already, so that lithe_response_write says CLOSED.
///
/// A response has no deadline once it has begun. `headers` may be NULL when `header_count` is 0,
/// `options` for the defaults. The request's handle is still to be freed; until then, and until the
/// response is finished, lithe_request_read goes on reading its body. On an error `*response` is 0.
/// Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT (status, a malformed header, or one that is for
/// Lithe to set), CLOSED when the client has gone or was told that the answer took too long,
/// WRONG_STATE when the request was answered already.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_respond_stream(
    request: lithe_request_t,
    status: i32,
    headers: *const lithe_header_t,
    header_count: usize,
    options: *const lithe_response_options_t,
    response: *mut lithe_response_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(response, 0)?;
        let (headers, length) = headers_and_length_in(array_in(headers, header_count)?)?;
        let request = handle::get::<Request>(request)?;
        let status = status_in(status)?;
        let options = versioned_in(options)?;
        let (queue, events) = match &options {
            Some(options) => (
                count("send_queue_bytes", options.send_queue_bytes)?.apply(
                    SEND_QUEUE,
                    usize::MAX,
                    |_, bytes| bytes,
                ),
                events_in(options.events, options.user_data)?,
            ),
            None => (SEND_QUEUE, None),
        };
        let native = request.native().respond_stream(status, headers, length, queue)?;
        let handle = handle::insert(native)?;
        if let Some(user_data) = events {
            let response = handle::get::<StreamedResponse>(handle)?;
            response.report_to(request.host(), Tag { handle, user_data });
        }
        out.put(handle);
        Ok(())
    })
}

/// Writes the next bytes of a response's body, which are copied. Success means that they are in the
/// send queue: all of them, or none on an error. More than the queue has room for is taken when
/// nothing else waits in it, so whoever has much to send writes it in smaller pieces.
///
/// Blocks while the send queue is full, for `timeout_ms` at most. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// CLOSED when the client has gone or the response was finished, TIMEOUT, or FULL when `timeout_ms`
/// is 0, TOO_LARGE when it is more than the Content-Length leaves.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_write(
    response: lithe_response_t,
    data: *const c_void,
    len: usize,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let data = bytes_in(data, len)?;
        let response = handle::get::<StreamedResponse>(response)?;
        if timeout.is_try() {
            response.try_write(data)?;
        } else {
            response.write_blocking(data, timeout.duration())?;
        }
        Ok(())
    })
}

/// Ends the body of a response after what is queued. From here on every thread that writes to it
/// gets CLOSED, and the request's body is not read any further. Does nothing when the response is
/// finished already.
///
/// The handle stays valid until lithe_response_free, which may follow at once. Never blocks. Errors:
/// BAD_HANDLE, CLOSED when the client has gone before it had all, WRONG_STATE when less was written
/// than the Content-Length says.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_finish(response: lithe_response_t) -> i32 {
    boundary(|| Ok(handle::get::<StreamedResponse>(response)?.finish()?))
}

/// Waits until a response has ended, for `timeout_ms` at most. Success means that it was finished
/// and that all of it has left the send queue, on its way to the client.
///
/// Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, CLOSED when the client has gone before, TIMEOUT when the
/// response has not ended.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_wait_closed(response: lithe_response_t, timeout_ms: i32) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let response = handle::get::<StreamedResponse>(response)?;
        match block_on(response.ended(), timeout) {
            None => Err(timed_out()),
            Some(true) => Ok(()),
            Some(false) => Err(Error::new(LITHE_ERR_CLOSED, c"the client has gone before")),
        }
    })
}

/// How many bytes of a response wait to be sent. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_queued(response: lithe_response_t) -> i64 {
    counting(|| {
        let queued = handle::get::<StreamedResponse>(response)?.queued_bytes();
        Ok(i64::try_from(queued).unwrap_or(i64::MAX))
    })
}

/// Ends a response's handle. One that is not finished is broken off, so that the client takes it for
/// the failure that it is and not for a shorter body; threads that write to it get CLOSED, and no
/// more events come of it. One that is finished is sent to its end. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_free(response: lithe_response_t) -> i32 {
    boundary(|| {
        handle::remove::<StreamedResponse>(response)?.abandon();
        Ok(())
    })
}

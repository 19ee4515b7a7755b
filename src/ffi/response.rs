//! Responses: answering a request with a body that is given at once, or written piece by piece.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;

use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use bytes::Bytes;

use super::convert::{
    Out, Timeout, Versioned, array_in, bad_argument, content_in, count, events_in, text_in,
    timed_out, versioned_in,
};
use super::error::{
    Error, LITHE_ERR_BAD_ARGUMENT, LITHE_ERR_CLOSED, LITHE_ERR_FULL, LITHE_ERR_TIMEOUT,
    LITHE_ERR_TOO_LARGE, LITHE_ERR_WRONG_STATE, boundary, counting,
};
use super::handle::{self, Kind, Object, Table};
use super::request::{Request, lithe_header_t, lithe_request_t};
use crate::server::response::{StreamedResponse, WriteError};
use crate::transport::block_on;
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
    const FIRST_SIZE: usize = offset_of!(lithe_response_options_t, user_data) + size_of::<u64>();
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

/// Answers a request with a status from 200 to 599, headers and a body. All of it is copied.
///
/// `headers` may be NULL when `header_count` is 0. Content-Length and Date are added by themselves,
/// a Content-Type is not; with 426 so is the Upgrade to a WebSocket. `body_len` may be LITHE_CSTR;
/// for a HEAD request, or a status without a body, the body is left out.
///
/// The request stays valid, for its texts, until lithe_request_free. Never blocks. Errors:
/// BAD_HANDLE, BAD_ARGUMENT (status, a malformed header, or one that is for Lithe to set),
/// TOO_LARGE, CLOSED when the client has gone or was told that the answer took too long,
/// WRONG_STATE when the request was answered already.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_respond(
    request: lithe_request_t,
    status: i32,
    headers: *const lithe_header_t,
    header_count: usize,
    body: *const c_void,
    body_len: usize,
) -> i32 {
    boundary(|| {
        let headers = headers_in(array_in(headers, header_count)?)?;
        respond(request, status, headers, content_in(body, body_len)?)
    })
}

/// Answers a request with a status, a content type such as "text/html; charset=utf-8", and a body,
/// both NUL-terminated. Either may be NULL, for none.
///
/// Otherwise it is lithe_request_respond. Errors: NOT_UTF8 as well, for the content type.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_respond_text(
    request: lithe_request_t,
    status: i32,
    content_type: *const c_char,
    body: *const c_char,
) -> i32 {
    boundary(|| {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = text_in(content_type, usize::MAX)? {
            headers.insert(header::CONTENT_TYPE, header_value(content_type.as_bytes())?);
        }
        respond(request, status, headers, content_in(body.cast(), usize::MAX)?)
    })
}

/// Answers a request with a status from 200 to 599 and headers, and begins its body, which
/// lithe_response_write goes on with and lithe_response_finish ends. The headers are copied.
///
/// When the headers say the Content-Length, exactly so much must be written. Otherwise the body may
/// have any length: it is sent in chunks over HTTP/1.1, and over HTTP/1.0 ends with the connection.
/// For a HEAD request, or a status without a body, there is nothing to write: the response is ended
/// already, so that lithe_response_write says CLOSED.
///
/// A response has no deadline once it has begun; a client that takes none of it for the server's
/// `write_timeout_ms` has gone. `headers` may be NULL when `header_count` is 0,
/// `options` for the defaults. The request's handle is still to be freed; until then, and until the
/// response is finished, lithe_request_read goes on reading its body. On an error `*response` is 0.
/// Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT (status, a malformed header, or one that is for
/// Lithe to set), TOO_LARGE, CLOSED when the client has gone or was told that the answer took too
/// long, WRONG_STATE when the request was answered already.
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

/// Writes the next bytes of a response's body, which are copied; `len` may be LITHE_CSTR. Success
/// means that they are in the send queue: all of them, or none on an error. More than the queue has
/// room for is taken when nothing else waits in it, so whoever has much to send writes it in
/// smaller pieces.
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
        let data = content_in(data, len)?;
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
/// The handle stays valid until lithe_response_free, which may follow at once. Never blocks.
/// Errors: BAD_HANDLE, CLOSED when the client has gone before it had all, WRONG_STATE when less was
/// written than the Content-Length says; what a thread still waits to write counts as not written.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_finish(response: lithe_response_t) -> i32 {
    boundary(|| Ok(handle::get::<StreamedResponse>(response)?.finish()?))
}

/// Waits until a response has ended, for `timeout_ms` at most. Success means that it was finished
/// and that all of it has left the send queue, on its way to the client.
///
/// Blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, CLOSED when the client has gone before, TIMEOUT when
/// the response has not ended.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_wait_closed(response: lithe_response_t, timeout_ms: i32) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let response = handle::get::<StreamedResponse>(response)?;
        match block_on(response.ended(), timeout.duration()) {
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

/// Ends a response's handle. One that is not finished is broken off, so that the client takes it
/// for the failure that it is and not for a shorter body; threads that write to it get CLOSED, and
/// no more events come of it. One that is finished is sent to its end. Never blocks. Errors:
/// BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_response_free(response: lithe_response_t) -> i32 {
    boundary(|| {
        handle::remove::<StreamedResponse>(response)?.abandon();
        Ok(())
    })
}

fn respond(
    request: lithe_request_t,
    status: i32,
    headers: HeaderMap,
    body: &[u8],
) -> Result<(), Error> {
    let request = handle::get::<Request>(request)?;
    let status = status_in(status)?;
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if status == StatusCode::UPGRADE_REQUIRED {
        // Who says so has to say to what (RFC 9110 §15.5.22).
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    request.native().respond(response)?;
    Ok(())
}

fn status_in(status: i32) -> Result<StatusCode, Error> {
    u16::try_from(status)
        .ok()
        .filter(|status| (200..=599).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| bad_argument(format_args!("a response cannot have status {status}")))
}

/// What the connection is, and how a body is framed, is not for the host to say.
const RESERVED: [HeaderName; 5] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
];

/// The headers of a response whose length Lithe knows.
fn headers_in(headers: &[lithe_header_t]) -> Result<HeaderMap, Error> {
    check_reserved(all_headers_in(headers)?)
}

/// The headers of a response that is streamed, and what the Content-Length among them says.
fn headers_and_length_in(headers: &[lithe_header_t]) -> Result<(HeaderMap, Option<u64>), Error> {
    let mut map = all_headers_in(headers)?;
    let mut lengths = map.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next().map(length_in).transpose()?;
    if lengths.next().is_some() {
        return Err(bad_argument("there is more than one Content-Length"));
    }
    map.remove(header::CONTENT_LENGTH);
    Ok((check_reserved(map)?, length))
}

fn length_in(value: &HeaderValue) -> Result<u64, Error> {
    // A number would also be parsed with a sign.
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad_argument("the Content-Length is no number of bytes"))
}

fn check_reserved(headers: HeaderMap) -> Result<HeaderMap, Error> {
    match RESERVED.iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(bad_argument(format_args!("the header {name} is set by Lithe"))),
        None => Ok(headers),
    }
}

fn all_headers_in(headers: &[lithe_header_t]) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for header in headers {
        let name = content_in(header.name.ptr.cast(), header.name.len)?;
        let name = HeaderName::from_bytes(name).map_err(|_| {
            let name = String::from_utf8_lossy(name);
            bad_argument(format_args!("{name:?} cannot be the name of a header"))
        })?;
        let value = header_value(content_in(header.value.ptr.cast(), header.value.len)?)?;
        map.try_append(name, value).map_err(bad_argument)?;
    }
    Ok(map)
}

fn header_value(value: &[u8]) -> Result<HeaderValue, Error> {
    HeaderValue::from_bytes(value).map_err(|_| {
        Error::new(LITHE_ERR_BAD_ARGUMENT, c"the value of a header cannot hold a line end or NUL")
    })
}

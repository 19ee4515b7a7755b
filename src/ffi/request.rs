//! Requests: reading them. Their answers are in the files of what they are answered with.

use std::ffi::{c_char, c_void};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use axum::http::header::{self, HeaderMap};

use super::convert::{
    Out, Room, Timeout, bad_argument, lithe_string_t, text_in, text_z_in, timed_out,
};
use super::error::{
    Error, LITHE_ERR_CLOSED, LITHE_ERR_NOT_FOUND, LITHE_ERR_REFUSED, LITHE_ERR_TOO_LARGE,
    LITHE_ERR_WRONG_STATE, boundary, counting,
};
use super::handle::{self, Kind, Object, Table};
use crate::server::inbox::{Found, Inbox};
use crate::server::request::{self as native, AnswerError, Content};
use crate::server::upload::{ReadError, Upload};
use crate::transport::events::Tag;

/// A request: lithe_server_accept gives it, lithe_request_free takes it back.
pub type lithe_request_t = u64;

/// A header of a request or response: its name and its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_header_t {
    /// In any case for a response; in lower case in a request.
    pub name: lithe_string_t,
    /// May hold bytes that are not UTF-8.
    pub value: lithe_string_t,
}

/// What a handle names: the request, and a copy of its texts in the form that the host gets.
pub(super) struct Request {
    native: Box<native::Request>,
    host: Arc<Inbox>,
    /// Not to be freed when its handler returns.
    kept: AtomicBool,
    texts: Texts,
    method: Text,
    path: Text,
    query: Text,
    peer: Text,
    last_event_id: Option<Text>,
    protocols: Text,
    headers: Vec<(Text, Text)>,
    /// `None` when it is read while it comes in.
    body: Option<Text>,
    params: Vec<(Text, Text)>,
    query_params: OnceLock<(Texts, Vec<(Text, Text)>)>,
}

impl Object for Request {
    const KIND: Kind = Kind::Request;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Request> = Table::new();
        &TABLE
    }
}

/// The texts of a request, one behind the other, each with a NUL after it.
#[derive(Default)]
struct Texts(Vec<u8>);

/// Where in `Texts`.
type Text = Range<usize>;

impl Texts {
    fn push(&mut self, text: impl AsRef<[u8]>) -> Text {
        let (start, text) = (self.0.len(), text.as_ref());
        self.0.reserve(text.len() + 1);
        self.0.extend_from_slice(text);
        let end = self.0.len();
        self.0.push(0);
        start..end
    }

    /// The second text of the pair whose first is `name`.
    fn find(&self, pairs: &[(Text, Text)], name: &str) -> Option<lithe_string_t> {
        let (_, value) = pairs.iter().find(|(key, _)| self.0[key.clone()] == *name.as_bytes())?;
        Some(self.get(value))
    }

    fn get(&self, text: &Text) -> lithe_string_t {
        lithe_string_t { ptr: self.0[text.clone()].as_ptr().cast(), len: text.len() }
    }
}

impl Request {
    pub(super) fn new(mut native: Box<native::Request>, host: Arc<Inbox>) -> Self {
        let mut texts = Texts::default();
        let mut headers: Vec<_> = native
            .headers
            .iter()
            .map(|(name, value)| (texts.push(name.as_str()), texts.push(value)))
            .collect();
        // HTTP/2 says it elsewhere.
        if let (None, Some(host)) = (native.headers.get(header::HOST), native.uri.authority()) {
            headers.push((texts.push("host"), texts.push(host.as_str())));
        }
        native.headers = HeaderMap::new();
        Request {
            method: texts.push(native.method.as_str()),
            path: texts.push(native.uri.path()),
            query: texts.push(native.uri.query().unwrap_or_default()),
            peer: texts.push(native.peer.map_or_else(String::new, |peer| peer.to_string())),
            last_event_id: native.last_event_id.take().map(|id| texts.push(id)),
            protocols: texts.push(native.protocols.as_deref().unwrap_or_default().join(", ")),
            headers,
            params: match &native.found {
                Found::Route { params, .. } => params
                    .iter()
                    .map(|(name, value)| (texts.push(name), texts.push(value)))
                    .collect(),
                Found::OtherMethods(_) | Found::Nothing => Vec::new(),
            },
            // Behind the others, so that it is copied once, into no more memory than it needs.
            body: match &mut native.content {
                Content::Whole(body) => Some(texts.push(std::mem::take(body))),
                Content::Streamed(_) => None,
            },
            query_params: OnceLock::new(),
            texts,
            native,
            host,
            kept: AtomicBool::new(false),
        }
    }

    pub(super) fn native(&self) -> &native::Request {
        &self.native
    }

    /// Whether the host has kept it since this was last asked.
    pub(super) fn take_kept(&self) -> bool {
        self.kept.swap(false, Relaxed)
    }

    /// Where the events of what the request is answered with go.
    pub(super) fn host(&self) -> Arc<Inbox> {
        self.host.clone()
    }

    fn upload(&self) -> Result<&Arc<Upload>, Error> {
        match &self.native.content {
            Content::Streamed(upload) => Ok(upload),
            Content::Whole(_) => Err(Error::new(
                LITHE_ERR_WRONG_STATE,
                c"the body came as a whole: lithe_request_body has it",
            )),
        }
    }

    pub(super) fn param(&self, name: &str) -> Option<lithe_string_t> {
        self.texts.find(&self.params, name)
    }

    fn query_param(&self, name: &str) -> Option<lithe_string_t> {
        let (texts, params) = self.query_params.get_or_init(|| {
            let mut texts = Texts::default();
            let query = self.native.uri.query().unwrap_or_default();
            let params = form_urlencoded::parse(query.as_bytes())
                .map(|(name, value)| (texts.push(&*name), texts.push(&*value)))
                .collect();
            (texts, params)
        });
        texts.find(params, name)
    }

    fn header(&self, name: &str) -> Option<lithe_string_t> {
        let is_it = |text: &Text| self.texts.0[text.clone()].eq_ignore_ascii_case(name.as_bytes());
        let (_, value) = self.headers.iter().find(|(name, _)| is_it(name))?;
        Some(self.texts.get(value))
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::Timeout => return timed_out(),
            ReadError::TooLarge => LITHE_ERR_TOO_LARGE,
            ReadError::Closed => LITHE_ERR_CLOSED,
        };
        Error::with(code, error)
    }
}

impl From<AnswerError> for Error {
    fn from(error: AnswerError) -> Self {
        let code = match error {
            AnswerError::Answered | AnswerError::NotWebSocket => LITHE_ERR_WRONG_STATE,
            AnswerError::Gone => LITHE_ERR_CLOSED,
            AnswerError::Refused(_) => LITHE_ERR_REFUSED,
        };
        Error::with(code, error)
    }
}

/// A getter of one of a request's texts.
fn text(
    request: lithe_request_t,
    out: *mut lithe_string_t,
    pick: impl FnOnce(&Request) -> &Text,
) -> i32 {
    boundary(|| {
        let out = Out::new(out, lithe_string_t::EMPTY)?;
        let request = handle::get::<Request>(request)?;
        out.put(request.texts.get(pick(&request)));
        Ok(())
    })
}

/// The request's method, such as "GET".
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_method(
    request: lithe_request_t,
    method: *mut lithe_string_t,
) -> i32 {
    text(request, method, |request| &request.method)
}

/// The path of the request's URL, such as "/chat/room%201": percent-encoded as it came.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_path(request: lithe_request_t, path: *mut lithe_string_t) -> i32 {
    text(request, path, |request| &request.path)
}

/// The query of the request's URL, what comes after '?', such as "name=Ann&x=1": percent-encoded
/// as it came. Empty when there is none.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_query(request: lithe_request_t, query: *mut lithe_string_t) -> i32 {
    text(request, query, |request| &request.query)
}

/// The address that the request came from, such as "127.0.0.1:50312": that of the proxy, if there
/// is one.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_peer(request: lithe_request_t, peer: *mut lithe_string_t) -> i32 {
    text(request, peer, |request| &request.peer)
}

/// The value of the first parameter of that name in the request's query, as a form in a browser
/// sends them: "/search?name=Ann%20B&x=1". Decoded, so it may hold any character, also a NUL before
/// its end; bytes that are not UTF-8 are replaced by U+FFFD. The name is NUL-terminated.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// NOT_UTF8, NOT_FOUND when the query has no such parameter.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_query_param(
    request: lithe_request_t,
    name: *const c_char,
    value: *mut lithe_string_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(value, lithe_string_t::EMPTY)?;
        let name = text_z_in(name)?.ok_or_else(|| bad_argument("the name is NULL"))?;
        let request = handle::get::<Request>(request)?;
        let value = request.query_param(name).ok_or_else(|| {
            Error::new(LITHE_ERR_NOT_FOUND, c"the query has no parameter of that name")
        })?;
        out.put(value);
        Ok(())
    })
}

/// The request's body: any bytes, empty when there is none. It has come in as a whole.
///
/// The bytes are valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// WRONG_STATE when the body is for lithe_request_read.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_body(request: lithe_request_t, body: *mut lithe_string_t) -> i32 {
    boundary(|| {
        let out = Out::new(body, lithe_string_t::EMPTY)?;
        let request = handle::get::<Request>(request)?;
        let body = request.body.as_ref().ok_or_else(|| {
            Error::new(LITHE_ERR_WRONG_STATE, c"the body is streamed: lithe_request_read reads it")
        })?;
        out.put(request.texts.get(body));
        Ok(())
    })
}

/// Reads on in the body of a request that reached the host before it: the bytes that have come, and
/// are not read yet, up to `capacity`. Success with a `*len` of 0 is the end of the body. Blocks
/// until there is something, for `timeout_ms` at most.
///
/// What the host does not read is left with the client, but for some 64 KiB: a slow host slows the
/// client down. A request may be answered before all of its body is read; what is left then ends up
/// unread, and the connection is closed over HTTP/1. After lithe_request_respond nothing more can
/// be read; while a streamed response goes on it can.
///
/// On an error `*len` is 0. Errors: BAD_HANDLE, BAD_ARGUMENT (also for a `capacity` of 0), TIMEOUT,
/// WRONG_STATE when the body came as a whole, TOO_LARGE when it is larger than it may be, CLOSED
/// when the client has gone, or sends too slowly, or the request was answered. After the last two
/// it can only be freed, or answered if the client is still there.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_read(
    request: lithe_request_t,
    buffer: *mut c_void,
    capacity: usize,
    len: *mut usize,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let out = Out::new(len, 0)?;
        let room = Room::new(buffer, capacity)?;
        let timeout = Timeout::from_millis(timeout_ms)?;
        let request = handle::get::<Request>(request)?;
        let piece = request.upload()?.read(room.len(), timeout.duration())?;
        room.fill(&piece);
        out.put(piece.len());
        Ok(())
    })
}

/// Has events tell of the body of a request that is streamed, for a host that does not block:
/// whenever a lithe_request_read was told TIMEOUT, one LITHE_EVENT_READABLE, which bears
/// `user_data`, comes out of lithe_server_wait as soon as there is something to read.
///
/// Called again, it changes `user_data`. Never blocks. Errors: BAD_HANDLE, WRONG_STATE when the
/// body came as a whole.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_watch(request: lithe_request_t, user_data: u64) -> i32 {
    boundary(|| {
        let handle = request;
        let request = handle::get::<Request>(handle)?;
        request.upload()?.report_to(request.host(), Tag { handle, user_data });
        Ok(())
    })
}

/// The subprotocols that a WebSocket handshake offers, the client's favourite first, with ", "
/// between them. Empty when it offers none, and for other requests.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_protocols(
    request: lithe_request_t,
    protocols: *mut lithe_string_t,
) -> i32 {
    text(request, protocols, |request| &request.protocols)
}

/// The id of the last event that the client of an event stream has seen: the Last-Event-ID header,
/// or the query parameter lastEventId, decoded. What came after it is what the client has missed.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// NOT_FOUND when the client comes for the first time.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_last_event_id(
    request: lithe_request_t,
    id: *mut lithe_string_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(id, lithe_string_t::EMPTY)?;
        let request = handle::get::<Request>(request)?;
        let id = request
            .last_event_id
            .as_ref()
            .ok_or_else(|| Error::new(LITHE_ERR_NOT_FOUND, c"the request has no Last-Event-ID"))?;
        out.put(request.texts.get(id));
        Ok(())
    })
}

/// The value of the first header of that name; `name_len` may be LITHE_CSTR. Case does not matter
/// in names. Where a header may come several times, go through all with lithe_request_header_at.
///
/// The value is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// NOT_UTF8, TOO_LARGE, NOT_FOUND when the request has no such header.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_header(
    request: lithe_request_t,
    name: *const c_char,
    name_len: usize,
    value: *mut lithe_string_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(value, lithe_string_t::EMPTY)?;
        let name = text_in(name, name_len)?.ok_or_else(|| bad_argument("the name is NULL"))?;
        let request = handle::get::<Request>(request)?;
        let value = request.header(name).ok_or_else(|| {
            Error::new(LITHE_ERR_NOT_FOUND, c"the request has no header of that name")
        })?;
        out.put(value);
        Ok(())
    })
}

/// How many headers the request has. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_header_count(request: lithe_request_t) -> i32 {
    counting(|| {
        let count = handle::get::<Request>(request)?.headers.len();
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    })
}

/// The header at `index`, counted from 0. Headers of the same name stand in the order they came in.
///
/// The texts are valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// NOT_FOUND when there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_header_at(
    request: lithe_request_t,
    index: usize,
    header: *mut lithe_header_t,
) -> i32 {
    boundary(|| {
        let empty = lithe_header_t { name: lithe_string_t::EMPTY, value: lithe_string_t::EMPTY };
        let out = Out::new(header, empty)?;
        let request = handle::get::<Request>(request)?;
        let (name, value) = request.headers.get(index).ok_or_else(|| {
            Error::new(LITHE_ERR_NOT_FOUND, c"the request has fewer headers than that")
        })?;
        let (name, value) = (request.texts.get(name), request.texts.get(value));
        out.put(lithe_header_t { name, value });
        Ok(())
    })
}

/// 1 when the request is a WebSocket handshake, which lithe_ws_accept can answer, else 0. Never
/// blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_is_websocket(request: lithe_request_t) -> i32 {
    counting(|| Ok(handle::get::<Request>(request)?.native.protocols.is_some().into()))
}

/// Keeps a request when its handler returns, which otherwise ends with it: for a host that answers
/// later, or on another thread, which then frees it as well. To be called by the handler. For
/// requests that the host has not got by way of a handler it changes nothing.
///
/// Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_keep(request: lithe_request_t) -> i32 {
    boundary(|| {
        handle::get::<Request>(request)?.kept.store(true, Relaxed);
        Ok(())
    })
}

/// Ends a request's handle, and with it the texts that its functions gave. A request that was not
/// answered is answered with 503, and what is left of its body is not read. Never blocks. Errors:
/// BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_free(request: lithe_request_t) -> i32 {
    boundary(|| {
        let request = handle::remove::<Request>(request)?;
        // Another thread may be in the middle of a call with it.
        request.native.abandon();
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_takes_no_more_memory_than_it_needs() {
        let mut texts = Texts::default();
        let method = texts.push("POST");
        let body = vec![b'x'; 1024 * 1024];
        let text = texts.push(&body);
        assert_eq!((texts.get(&method).len, texts.get(&text).len), (4, body.len()));
        assert_eq!(texts.0.capacity(), "POST\0".len() + body.len() + 1);
    }
}

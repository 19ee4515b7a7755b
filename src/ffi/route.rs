//! Routes: having requests answered by callbacks, by method and path.

use std::ffi::{c_char, c_void};
use std::mem::offset_of;
use std::ptr;

use super::convert::{
    Out, Timeout, Versioned, bad_argument, count, lithe_string_t, millis, text_z_in, versioned_in,
};
use super::error::{Error, LITHE_ERR_NOT_FOUND, LITHE_OK, boundary};
use super::handle;
use super::request::{Request, lithe_request_t};
use super::server::{Server, lithe_server_t};
use crate::server::inbox::{Handler, Route, RouteError, Settings};

/// Answers a request, on the thread that called lithe_request_dispatch or lithe_server_serve. When
/// it returns, the request is freed, unless it has called lithe_request_keep: one that it has not
/// answered is answered with 503. What it has answered the request with, a WebSocket say, goes on.
pub type lithe_request_handler =
    Option<extern "C" fn(request: lithe_request_t, user_data: *mut c_void)>;

/// What a route does in another way than its server. To be initialized with
/// LITHE_ROUTE_OPTIONS_INIT; a field that is 0 asks for what the server does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_route_options_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// The largest body of a request in bytes, also a larger one than the server allows; -1 for no
    /// limit. A larger one is answered with 413.
    pub max_body_bytes: i64,
    /// How long the host may take to answer a request; -1 for no limit. Then the client is told
    /// 504.
    pub timeout_ms: i32,
    /// 1: requests reach the host before their bodies, which lithe_request_read reads. -1: they
    /// reach it with their bodies.
    pub stream_body: i32,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_route_options_t {
    const FIRST_SIZE: usize = offset_of!(lithe_route_options_t, stream_body) + size_of::<i32>();
}

impl lithe_route_options_t {
    fn settings(&self) -> Result<Settings, Error> {
        let max_body_bytes = count("max_body_bytes", self.max_body_bytes)?;
        let timeout = millis("timeout_ms", self.timeout_ms)?;
        Ok(Settings {
            max_body_bytes: max_body_bytes.map(Some).apply(None, Some(usize::MAX), |_, max| max),
            timeout: timeout.map(Some).apply(None, Some(std::time::Duration::MAX), |_, time| time),
            stream_body: match self.stream_body {
                0 => None,
                1 => Some(true),
                -1 => Some(false),
                other => return Err(bad_argument(format_args!("stream_body: {other}"))),
            },
        })
    }
}

impl From<RouteError> for Error {
    fn from(error: RouteError) -> Self {
        bad_argument(error)
    }
}

/// Adds a route: requests with that method, such as "GET", whose path fits `pattern`. Both texts
/// are NUL-terminated. NULL in the place of the method stands for any that has no route of its own;
/// a request for HEAD goes where one for GET would, and has the body of its answer left out; so
/// does a WebSocket handshake, whatever its method.
///
/// In a pattern, "{name}" captures one segment of the path, and "{*name}" at the end captures all
/// that is left, slashes too: "/chat/{room}", "/files/{*path}". Both capture one byte at least.
/// "{{" and "}}" stand for braces; a segment cannot begin with ":" or "*". Patterns are compared with the path as it came, percent-encoded;
/// captured values are decoded. Where several patterns fit, the most specific one counts:
/// "/chat/lobby" before "/chat/{room}".
///
/// `handler` gets the requests that lithe_request_dispatch and lithe_server_serve take, with
/// `user_data`. It may be NULL for a host that takes them by other means and asks for their
/// lithe_request_user_data. It is only ever called by those two functions, so it may block, and
/// several threads that call them may be in it at the same time. `options` may be NULL for what the
/// server does.
///
/// Routes may be added while the server runs, and stay until it is freed. Never blocks. Errors:
/// BAD_HANDLE, BAD_ARGUMENT for a method or pattern that is malformed or conflicts with an earlier
/// one, NOT_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_route(
    server: lithe_server_t,
    method: *const c_char,
    pattern: *const c_char,
    handler: lithe_request_handler,
    user_data: *mut c_void,
    options: *const lithe_route_options_t,
) -> i32 {
    boundary(|| {
        let server = handle::get::<Server>(server)?;
        let method = text_z_in(method)?;
        let pattern = text_z_in(pattern)?.ok_or_else(|| bad_argument("the pattern is NULL"))?;
        let options = versioned_in(options)?;
        let settings = options.map(|options| options.settings()).transpose()?.unwrap_or_default();
        let user_data = user_data.expose_provenance();
        server.inbox.routes().add(method, pattern, Route { handler, user_data, settings })?;
        Ok(())
    })
}

/// Takes the next request, as lithe_server_accept does, and dispatches it, as
/// lithe_request_dispatch does. A whole server is `while (lithe_server_serve(server, -1) ==
/// LITHE_OK) {}`, on as many threads as requests shall be answered at a time.
///
/// Blocks, for `timeout_ms` at most until there is a request, and for as long as its handler takes.
/// Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, SHUTTING_DOWN when the server is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_serve(server: lithe_server_t, timeout_ms: i32) -> i32 {
    let mut request = 0;
    let code = boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let server = handle::get::<Server>(server)?;
        let taken = server.accept(timeout)?;
        request = handle::insert(Request::new(taken, server.inbox.clone()))?;
        Ok(())
    });
    if code != LITHE_OK {
        return code;
    }
    dispatch(request)
}

/// Calls the handler of a request's route, on the calling thread, and frees the request, unless the
/// handler has called lithe_request_keep. Answers a request for which there is no route itself: with
/// 404, or with 405 where its path has routes for other methods, which its Allow header names; so it
/// does for OPTIONS, with 204.
///
/// When the handler is NULL, or does not answer, the answer is 503. Blocks for as long as the
/// handler takes. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_dispatch(request: lithe_request_t) -> i32 {
    dispatch(request)
}

fn dispatch(request: lithe_request_t) -> i32 {
    let mut call: Option<(Handler, *mut c_void)> = None;
    let code = boundary(|| {
        let request = handle::get::<Request>(request)?;
        // When the client has gone there is nobody to answer.
        let _ = request.native().answer_unrouted();
        call = request.native().found.route().and_then(|route| {
            Some((route.handler?, ptr::with_exposed_provenance_mut(route.user_data)))
        });
        Ok(())
    });
    if code != LITHE_OK {
        return code;
    }
    // What happens in there is the host's, not ours.
    if let Some((handler, user_data)) = call {
        handler(request, user_data);
    }
    boundary(|| {
        // The handler may have freed it, or have kept it for later.
        match handle::get::<Request>(request) {
            Ok(kept) if kept.take_kept() => {}
            Ok(_) => {
                // Another thread may free it just now, which is its business.
                if let Ok(request) = handle::remove::<Request>(request) {
                    request.native().abandon();
                }
            }
            Err(_) => {}
        }
        Ok(())
    })
}

/// The value that the pattern of a request's route has captured by that name, NUL-terminated;
/// percent-decoded, so it may hold any character, also a slash, and a NUL before its end. Bytes
/// that are not UTF-8 are replaced by U+FFFD.
///
/// The text is valid until lithe_request_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// NOT_UTF8, NOT_FOUND when the pattern has no such name, or the request no route.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_param(
    request: lithe_request_t,
    name: *const c_char,
    value: *mut lithe_string_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(value, lithe_string_t::EMPTY)?;
        let name = text_z_in(name)?.ok_or_else(|| bad_argument("the name is NULL"))?;
        let request = handle::get::<Request>(request)?;
        let value = request.param(name).ok_or_else(|| {
            Error::new(LITHE_ERR_NOT_FOUND, c"the route of the request captures nothing so named")
        })?;
        out.put(value);
        Ok(())
    })
}

/// The `user_data` of a request's route, for hosts that dispatch requests by themselves.
///
/// Never blocks. On an error `*user_data` is NULL. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_FOUND when
/// the request has no route.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_request_user_data(
    request: lithe_request_t,
    user_data: *mut *mut c_void,
) -> i32 {
    boundary(|| {
        let out = Out::new(user_data, ptr::null_mut())?;
        let request = handle::get::<Request>(request)?;
        let route =
            request.native().found.route().ok_or_else(|| {
                Error::new(LITHE_ERR_NOT_FOUND, c"there is no route for the request")
            })?;
        out.put(ptr::with_exposed_provenance_mut(route.user_data));
        Ok(())
    })
}

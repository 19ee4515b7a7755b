//! The library's events, given to a callback of the host.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::fmt::{self, Write as _};
use std::panic;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Once, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::convert::bad_argument;
use super::error::{Error, LITHE_ERR_WRONG_STATE, boundary, inside_boundary, panic_message};

/// How grave an event is: LITHE_LOG_ERROR to LITHE_LOG_TRACE.
pub type lithe_log_level = i32;

/// Nothing.
pub const LITHE_LOG_OFF: lithe_log_level = 0;
/// Something failed that should not have: a bug.
pub const LITHE_LOG_ERROR: lithe_log_level = 1;
/// Something that deserves attention, such as a limit that keeps connections out.
pub const LITHE_LOG_WARN: lithe_log_level = 2;
/// What an operator wants to know, such as the address that a server listens on.
pub const LITHE_LOG_INFO: lithe_log_level = 3;
/// What a developer wants to know, such as why a connection ended.
pub const LITHE_LOG_DEBUG: lithe_log_level = 4;
/// Every step.
pub const LITHE_LOG_TRACE: lithe_log_level = 5;

/// Gets one event of the library: how grave it is, the part of the library that it comes from, and
/// what happened. Both texts are NUL-terminated UTF-8, valid during the call.
///
/// It is called on any thread, also on several at once, and must return soon: connections wait.
/// What the functions of Lithe that it calls have to log is left out.
pub type lithe_log_callback = Option<
    extern "C" fn(
        user_data: *mut c_void,
        level: lithe_log_level,
        target: *const c_char,
        message: *const c_char,
    ),
>;

struct Sink {
    callback: extern "C" fn(*mut c_void, lithe_log_level, *const c_char, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the header asks for a callback that can be called on any thread, with its data.
unsafe impl Send for Sink {}
// SAFETY: the same.
unsafe impl Sync for Sink {}

static SINK: RwLock<Option<Sink>> = RwLock::new(None);
static MAX_LEVEL: AtomicI32 = AtomicI32::new(LITHE_LOG_OFF);

thread_local! {
    /// Whether this thread is inside the callback.
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Has the library's events of `level` and graver given to `callback`, in place of an earlier one.
/// NULL, or LITHE_LOG_OFF, ends it: without a callback the library says nothing at all.
///
/// When this returns, the earlier callback is not running and will not be called again. Blocks for
/// as long as that takes. The callback and what `user_data` points to must be good until then.
///
/// Errors: BAD_ARGUMENT for a level that there is not, WRONG_STATE inside the callback.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_log_set(
    level: lithe_log_level,
    callback: lithe_log_callback,
    user_data: *mut c_void,
) -> i32 {
    boundary(|| {
        if !(LITHE_LOG_OFF..=LITHE_LOG_TRACE).contains(&level) {
            return Err(bad_argument(format_args!("there is no log level {level}")));
        }
        if LOGGING.get() {
            return Err(Error::new(
                LITHE_ERR_WRONG_STATE,
                c"the log callback cannot replace itself",
            ));
        }
        let sink = callback
            .filter(|_| level != LITHE_LOG_OFF)
            .map(|callback| Sink { callback, user_data });
        let level = if sink.is_some() { level } else { LITHE_LOG_OFF };
        *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
        MAX_LEVEL.store(level, Ordering::Relaxed);
        subscribe();
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    })
}

/// Makes the library's events go to the callback from now on. A subscriber that a Rust host has
/// set before keeps them.
fn subscribe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = tracing::subscriber::set_global_default(Forward);
    });
}

/// Keeps panics of the library's own from being printed: they are logged.
pub(super) fn keep_panics_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let ours = inside_boundary()
                || std::thread::current().name().is_some_and(|name| name.starts_with("lithe"));
            if ours {
                let place = info.location().map_or_else(String::new, ToString::to_string);
                tracing::error!("panic at {place}: {}", panic_message(info.payload()));
            } else {
                others(info);
            }
        }));
    });
}

fn number(level: &Level) -> lithe_log_level {
    match *level {
        Level::ERROR => LITHE_LOG_ERROR,
        Level::WARN => LITHE_LOG_WARN,
        Level::INFO => LITHE_LOG_INFO,
        Level::DEBUG => LITHE_LOG_DEBUG,
        Level::TRACE => LITHE_LOG_TRACE,
    }
}

/// Passes events on to the callback, as lines of text. Has no use for spans.
struct Forward;

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &Metadata<'_>) -> tracing::subscriber::Interest {
        if metadata.is_event() && number(metadata.level()) <= MAX_LEVEL.load(Ordering::Relaxed) {
            tracing::subscriber::Interest::sometimes()
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && number(metadata.level()) <= MAX_LEVEL.load(Ordering::Relaxed)
            && !LOGGING.get()
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        let (target, message) = (nul_terminated(metadata.target()), nul_terminated(&line.finish()));
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = &*sink {
            LOGGING.set(true);
            let level = number(metadata.level());
            (sink.callback)(sink.user_data, level, target.as_ptr(), message.as_ptr());
            LOGGING.set(false);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn nul_terminated(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

/// An event in one line: its message, and then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn finish(mut self) -> String {
        self.message.push_str(&self.fields);
        self.message
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a `String` does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::ptr::null_mut;
    use std::sync::Mutex;

    use super::*;
    use crate::ffi::error::{LITHE_ERR_BAD_ARGUMENT, LITHE_OK};

    static LINES: Mutex<Vec<(i32, String)>> = Mutex::new(Vec::new());

    extern "C" fn collect(_: *mut c_void, level: i32, target: *const c_char, text: *const c_char) {
        // SAFETY: both are NUL-terminated, as `lithe_log_callback` says.
        let (target, text) = unsafe { (CStr::from_ptr(target), CStr::from_ptr(text)) };
        if target.to_bytes() == b"log_test" {
            LINES.lock().unwrap().push((level, text.to_str().unwrap().to_owned()));
            assert_eq!(lithe_log_set(LITHE_LOG_OFF, None, null_mut()), LITHE_ERR_WRONG_STATE);
        }
    }

    #[test]
    fn callback_gets_what_is_grave_enough_until_it_is_removed() {
        let log = || {
            tracing::warn!(target: "log_test", peer = "::1", "limit\0reached");
            tracing::debug!(target: "log_test", "detail");
        };
        assert_eq!(lithe_log_set(9, Some(collect), null_mut()), LITHE_ERR_BAD_ARGUMENT);
        assert_eq!(lithe_log_set(LITHE_LOG_WARN, Some(collect), null_mut()), LITHE_OK);
        log();
        let warning = (LITHE_LOG_WARN, "limit reached peer=\"::1\"".to_owned());
        assert_eq!(std::mem::take(&mut *LINES.lock().unwrap()), [warning]);
        assert_eq!(lithe_log_set(LITHE_LOG_OFF, None, null_mut()), LITHE_OK);
        log();
        assert!(LINES.lock().unwrap().is_empty());
    }
}

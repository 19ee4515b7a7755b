//! Error codes, this thread's last message, and the boundary that every exported function runs in.

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fork;

/// Success.
pub const LITHE_OK: i32 = 0;
/// The connection, or this end of it, is closed. Nothing more can be sent or received.
pub const LITHE_ERR_CLOSED: i32 = -1;
/// What was waited for did not happen in time.
pub const LITHE_ERR_TIMEOUT: i32 = -2;
/// There is no room now: a send queue is full (with a timeout of 0), or the handles have run out.
pub const LITHE_ERR_FULL: i32 = -3;
/// The handle was freed, is of another kind, or never existed.
pub const LITHE_ERR_BAD_HANDLE: i32 = -4;
/// An argument makes no sense: a null pointer, a number out of range, a malformed name.
pub const LITHE_ERR_BAD_ARGUMENT: i32 = -5;
/// Text is not UTF-8.
pub const LITHE_ERR_NOT_UTF8: i32 = -6;
/// More bytes than can be handled.
pub const LITHE_ERR_TOO_LARGE: i32 = -7;
/// Not possible now, such as answering a request twice.
pub const LITHE_ERR_WRONG_STATE: i32 = -8;
/// There is nothing by that name or number.
pub const LITHE_ERR_NOT_FOUND: i32 = -9;
/// The operating system refused: an address is in use, a file cannot be read.
pub const LITHE_ERR_IO: i32 = -10;
/// The server is stopped.
pub const LITHE_ERR_SHUTTING_DOWN: i32 = -11;
/// The client may not connect, and was told so.
pub const LITHE_ERR_REFUSED: i32 = -12;
/// A bug in Lithe. The call had no effect that can be relied on; other handles are not affected.
pub const LITHE_ERR_PANIC: i32 = -13;
/// The process was forked from one that had used Lithe. The library's threads do not exist in it.
pub const LITHE_ERR_FORKED: i32 = -14;
/// The host's buffer has no room for the result. Nothing was written to it, nor taken from Lithe.
pub const LITHE_ERR_TOO_SMALL: i32 = -15;
/// The peer has broken the protocol.
pub const LITHE_ERR_PROTOCOL: i32 = -16;

const NAMES: [&CStr; 17] = [
    c"success",
    c"closed",
    c"timeout",
    c"full",
    c"bad handle",
    c"bad argument",
    c"not UTF-8",
    c"too large",
    c"wrong state",
    c"not found",
    c"input/output error",
    c"shutting down",
    c"refused",
    c"internal error",
    c"forked",
    c"too small",
    c"protocol error",
];

/// An error code, and what happened in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Error {
    code: i32,
    message: Cow<'static, CStr>,
}

impl Error {
    /// An error that is always the same: costs no allocation.
    pub(super) const fn new(code: i32, message: &'static CStr) -> Self {
        Error { code, message: Cow::Borrowed(message) }
    }

    /// An error with details.
    pub(super) fn with(code: i32, message: impl ToString) -> Self {
        let mut message = message.to_string().into_bytes();
        message.retain(|byte| *byte != 0);
        Error { code, message: Cow::Owned(CString::new(message).unwrap_or_default()) }
    }

    pub(super) fn code(&self) -> i32 {
        self.code
    }
}

thread_local! {
    static LAST: RefCell<Cow<'static, CStr>> = const { RefCell::new(Cow::Borrowed(c"")) };
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of an exported function that returns a code. Unwinding ends here.
pub(super) fn boundary(f: impl FnOnce() -> Result<(), Error>) -> i32 {
    run(f).map_or_else(report, |()| LITHE_OK)
}

/// Runs the body of an exported function that returns a number, which is never negative, or a
/// code.
pub(super) fn counting<N: From<i32>>(f: impl FnOnce() -> Result<N, Error>) -> N {
    run(f).unwrap_or_else(|error| N::from(report(error)))
}

/// Runs the body of an exported function that returns a pointer, which is NULL on an error.
pub(super) fn pointing<T>(f: impl FnOnce() -> Result<*const T, Error>) -> *const T {
    run(f).unwrap_or_else(|error| {
        report(error);
        std::ptr::null()
    })
}

/// Whether this thread is inside an exported function.
pub(super) fn inside_boundary() -> bool {
    INSIDE.get()
}

/// Runs the body of an exported function that cannot fail and works in the child of a fork too.
pub(super) fn anywhere(f: impl FnOnce()) {
    // There is nobody to tell about a panic, which was logged.
    let _ = unwinding_ends(|| {
        f();
        Ok(())
    });
}

fn run<R>(f: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    if fork::in_child() {
        return Err(Error::new(LITHE_ERR_FORKED, fork::MESSAGE));
    }
    // What is first used by the last destructors of a thread is never freed, and they may be the
    // first to fail.
    let _ = LAST.try_with(|_| ());
    unwinding_ends(f)
}

fn unwinding_ends<R>(f: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    let outer = INSIDE.replace(true);
    let result = catch_unwind(AssertUnwindSafe(f));
    INSIDE.set(outer);
    result.unwrap_or_else(|panic| {
        let message = panic_message(&*panic);
        let error = format!("this is a bug in Lithe: {message}");
        // A payload may panic when it is dropped; what it throws then is not looked into.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(another);
        }
        Err(Error::with(LITHE_ERR_PANIC, error))
    })
}

/// Keeps the message for `lithe_last_error`, which needs none in a child: memory is left alone
/// there.
fn report(error: Error) -> i32 {
    if error.code == LITHE_ERR_FORKED {
        return error.code;
    }
    // A thread that is ending may keep none any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = error.message);
    error.code
}

/// What a panic said.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (_, Some(message)) => message,
        _ => "a panic without a message",
    }
}

/// Names an error code in a few English words, such as "bad handle". Takes any number; one that is
/// no code is an "unknown error".
///
/// The text is NUL-terminated and lives for ever. Never blocks. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_strerror(code: i32) -> *const c_char {
    let name = code.checked_neg().and_then(|index| usize::try_from(index).ok());
    name.and_then(|index| NAMES.get(index)).map_or(c"unknown error", |name| name).as_ptr()
}

/// What went wrong in this thread's last call that failed, in words:
/// "bind 127.0.0.1:80: permission denied". Empty when none has failed yet.
///
/// The text is NUL-terminated and belongs to the calling thread; it is valid until the thread's
/// next call of any other function of this library. Never blocks. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_last_error() -> *const c_char {
    if fork::in_child() {
        return fork::MESSAGE.as_ptr();
    }
    // Gone only while the thread ends.
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pointer: *const c_char) -> String {
        // SAFETY: both functions return NUL-terminated text that outlives this call.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn every_code_has_a_name() {
        assert_eq!(text(lithe_strerror(LITHE_OK)), "success");
        assert_eq!(text(lithe_strerror(LITHE_ERR_BAD_HANDLE)), "bad handle");
        assert_eq!(text(lithe_strerror(LITHE_ERR_PANIC)), "internal error");
        for code in [1, -17, i32::MIN, i32::MAX] {
            assert_eq!(text(lithe_strerror(code)), "unknown error");
        }
    }

    #[test]
    fn last_error_stays_until_the_next_failure() {
        assert_eq!(text(lithe_last_error()), "");
        let failed = boundary(|| Err(Error::with(LITHE_ERR_IO, "disk\0 on fire")));
        assert_eq!(failed, LITHE_ERR_IO);
        assert_eq!(boundary(|| Ok(())), LITHE_OK);
        assert_eq!(text(lithe_last_error()), "disk on fire");
        assert_eq!(counting::<i64>(|| Err(Error::new(LITHE_ERR_FULL, c"no room"))), -3);
        assert_eq!(text(lithe_last_error()), "no room");
    }

    #[test]
    fn panic_stops_at_the_boundary() {
        assert_eq!(boundary(|| panic!("number {}", 7)), LITHE_ERR_PANIC);
        assert_eq!(text(lithe_last_error()), "this is a bug in Lithe: number 7");
        assert!(!inside_boundary());
    }

    #[test]
    #[cfg_attr(miri, ignore = "what the payload throws is leaked, which Miri would report")]
    fn payload_that_panics_when_dropped_stops_at_the_boundary() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("thrown by a payload");
            }
        }
        assert_eq!(boundary(|| std::panic::panic_any(Bomb)), LITHE_ERR_PANIC);
    }
}

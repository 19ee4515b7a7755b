//! Sending memory of the host's as it is.

use std::ffi::c_void;

use bytes::Bytes;

use super::convert::{Timeout, bytes_in};
use super::error::{Error, boundary};
use super::handle;
use super::message::{self, lithe_message_kind};
use super::ws::{WebSocket, lithe_ws_t};
use crate::ws::Message;

/// Takes memory back that was handed to lithe_ws_send_owned; `arg` is what was given with it.
///
/// It is called on any thread, and must return soon: connections wait. It may call those functions
/// of Lithe that never block.
pub type lithe_free_callback = Option<extern "C" fn(arg: *mut c_void)>;

/// Gives the host its memory back when it is dropped.
struct Loan {
    free: lithe_free_callback,
    arg: *mut c_void,
}

// SAFETY: the header asks for a callback that can be called on any thread, with its argument.
unsafe impl Send for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            free(self.arg);
        }
    }
}

/// Memory of the host's, until it is dropped.
struct Lent {
    bytes: &'static [u8],
    _loan: Loan,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

fn lent_message(
    kind: lithe_message_kind,
    data: *const c_void,
    len: usize,
    loan: Loan,
) -> Result<Message, Error> {
    // Lent for longer than the call: the header asks for memory that stays as it is until `loan`
    // ends, with which it is dropped.
    let bytes = Bytes::from_owner(Lent { bytes: bytes_in(data, len)?, _loan: loan });
    message::message_of(kind, bytes)
}

/// Sends a message that is not copied, if it is large: its memory is lent until `free_fn` is called
/// with `arg`, and must stay as it is until then.
///
/// `free_fn` is called exactly once, whatever happens: when the message was sent or will never be,
/// and on every error. That may be before this function returns, and on any thread. NULL is for
/// data that stays for ever.
///
/// Blocks while the send queue is full, for `timeout_ms` at most, like lithe_ws_send. Errors:
/// BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, TOO_LARGE, CLOSED, TIMEOUT, or FULL when `timeout_ms` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_ws_send_owned(
    ws: lithe_ws_t,
    kind: lithe_message_kind,
    data: *const c_void,
    len: usize,
    free_fn: lithe_free_callback,
    arg: *mut c_void,
    timeout_ms: i32,
) -> i32 {
    let loan = Loan { free: free_fn, arg };
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?;
        let ws = handle::get::<WebSocket>(ws)?;
        let message = lent_message(kind, data, len, loan)?;
        ws.send_message(message, timeout)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::ffi::error::{LITHE_ERR_BAD_ARGUMENT, LITHE_ERR_BAD_HANDLE, LITHE_ERR_NOT_UTF8};
    use crate::ffi::message::{LITHE_BINARY, LITHE_TEXT};

    extern "C" fn count(arg: *mut c_void) {
        // SAFETY: what the tests lend is a counter that outlives the loan.
        unsafe { &*arg.cast::<AtomicU32>() }.fetch_add(1, Ordering::Relaxed);
    }

    /// A message of lent memory, and how often it was given back once the message is dropped.
    fn lend(kind: lithe_message_kind, data: &[u8]) -> (i32, u32) {
        let counter = AtomicU32::new(0);
        let arg = (&raw const counter).cast_mut().cast();
        let loan = Loan { free: Some(count), arg };
        let message = lent_message(kind, data.as_ptr().cast(), data.len(), loan);
        let code = match &message {
            Ok(message) => {
                let shared = message.clone();
                assert_eq!((shared.as_bytes(), counter.load(Ordering::Relaxed)), (data, 0));
                0
            }
            Err(error) => error.code(),
        };
        drop(message);
        (code, counter.load(Ordering::Relaxed))
    }

    #[test]
    fn memory_is_given_back_once_with_the_last_share_of_it() {
        assert_eq!(lend(LITHE_TEXT, b"text"), (0, 1));
        assert_eq!(lend(LITHE_BINARY, &[0xff; 100_000]), (0, 1));
        assert_eq!(lend(LITHE_BINARY, b""), (0, 1));
    }

    #[test]
    fn memory_is_given_back_once_when_it_makes_no_message() {
        assert_eq!(lend(LITHE_TEXT, b"\xff"), (LITHE_ERR_NOT_UTF8, 1));
        assert_eq!(lend(7, b"text"), (LITHE_ERR_BAD_ARGUMENT, 1));
    }

    #[test]
    fn memory_is_given_back_once_when_there_is_nobody_to_send_to() {
        let counter = AtomicU32::new(0);
        let arg = (&raw const counter).cast_mut().cast();
        let data = b"text".as_ptr().cast();
        let code = lithe_ws_send_owned(0, LITHE_TEXT, data, 4, Some(count), arg, -1);
        assert_eq!((code, counter.load(Ordering::Relaxed)), (LITHE_ERR_BAD_HANDLE, 1));
    }
}

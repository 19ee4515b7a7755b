//! Messages that a host receives.

use std::ffi::{c_char, c_void};
use std::ptr;

use bytes::Bytes;

use super::convert::{bad_argument, utf8};
use super::error::{Error, LITHE_ERR_NOT_UTF8, anywhere};
use crate::ws::{Message, Utf8Bytes};

/// LITHE_TEXT or LITHE_BINARY.
pub type lithe_message_kind = i32;

/// A message of UTF-8 text. Lithe has checked that it is, and so may a host rely on it.
pub const LITHE_TEXT: lithe_message_kind = 1;
/// A message of bytes.
pub const LITHE_BINARY: lithe_message_kind = 2;

/// Whether a message of the host's is text, which must be UTF-8 then.
pub(super) fn is_text(kind: lithe_message_kind, payload: &[u8]) -> Result<bool, Error> {
    match kind {
        LITHE_TEXT => utf8(payload).map(|_| true),
        LITHE_BINARY => Ok(false),
        _ => Err(bad_argument(format_args!("there is no kind of message {kind}"))),
    }
}

/// A message of that kind, which must be one.
pub(super) fn message_of(kind: lithe_message_kind, bytes: Bytes) -> Result<Message, Error> {
    match kind {
        LITHE_TEXT => Utf8Bytes::try_from(bytes)
            .map(Message::Text)
            .map_err(|error| Error::with(LITHE_ERR_NOT_UTF8, error)),
        LITHE_BINARY => Ok(Message::Binary(bytes)),
        _ => Err(bad_argument(format_args!("there is no kind of message {kind}"))),
    }
}

pub(super) fn kind_of(text: bool) -> lithe_message_kind {
    if text { LITHE_TEXT } else { LITHE_BINARY }
}

/// A message that was received. It belongs to the host until it is handed to lithe_message_free.
///
/// Only one copy of a filled struct may be freed. `data` is not NUL-terminated: it points straight
/// into the buffer that the message was received in.
#[repr(C)]
pub struct lithe_message_t {
    /// LITHE_TEXT or LITHE_BINARY; 0 in an empty struct.
    pub kind: lithe_message_kind,
    /// The payload. Never NULL in a message that was received.
    pub data: *const c_char,
    /// The length of the payload in bytes.
    pub len: usize,
    /// Private.
    pub owner: [*mut c_void; 4],
}

// The buffer lives in `owner`, so that a message costs no allocation beside its own.
const _: () = assert!(size_of::<Bytes>() <= size_of::<[*mut c_void; 4]>());
const _: () = assert!(align_of::<Bytes>() <= align_of::<[*mut c_void; 4]>());

impl lithe_message_t {
    pub(super) const EMPTY: Self =
        lithe_message_t { kind: 0, data: ptr::null(), len: 0, owner: [ptr::null_mut(); 4] };

    pub(super) fn new(message: Message) -> Self {
        let kind = kind_of(message.is_text());
        Self::of_bytes(kind, message.into_bytes())
    }

    pub(super) fn of_bytes(kind: lithe_message_kind, bytes: Bytes) -> Self {
        let mut filled = lithe_message_t {
            kind,
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
            owner: [ptr::null_mut(); 4],
        };
        // SAFETY: `owner` has the size and alignment for it, as asserted above.
        unsafe { filled.owner.as_mut_ptr().cast::<Bytes>().write(bytes) };
        filled
    }
}

/// The message in a struct of the host's, which keeps it too.
pub(super) fn shared(message: *const lithe_message_t) -> Result<Message, Error> {
    // SAFETY: not null, and the host lends a struct that it has made empty or that was filled by
    // `of_bytes`.
    let filled = unsafe { message.as_ref() }
        .filter(|message| message.owner.iter().any(|word| !word.is_null()))
        .ok_or_else(|| bad_argument("the message is NULL or empty"))?;
    // SAFETY: written by `of_bytes`, as it is not empty.
    let bytes = unsafe { &*filled.owner.as_ptr().cast::<Bytes>() }.clone();
    message_of(filled.kind, bytes)
}

/// Gives a message back, and makes its struct empty. An empty struct, and NULL, are left as they
/// are, so freeing twice is harmless. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_message_free(message: *mut lithe_message_t) {
    anywhere(|| free(message));
}

pub(super) fn free(message: *mut lithe_message_t) {
    if message.is_null() {
        return;
    }
    // SAFETY: the host lends a struct that it has made empty or that was filled by `of_bytes`.
    let message = unsafe { message.replace(lithe_message_t::EMPTY) };
    // A `Bytes` holds pointers that are never null, so it is told from an empty struct.
    if message.owner.iter().any(|word| !word.is_null()) {
        // SAFETY: written by `of_bytes`, and read once, as the host's struct is empty now.
        drop(unsafe { message.owner.as_ptr().cast::<Bytes>().read() });
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn payload(message: &lithe_message_t) -> &[u8] {
        // SAFETY: the message is filled.
        unsafe { slice::from_raw_parts(message.data.cast(), message.len) }
    }

    #[test]
    fn points_into_the_buffer_that_was_received() {
        let bytes = Bytes::from(b"payload".to_vec());
        let mut message = lithe_message_t::new(bytes.clone().into());
        assert_eq!((message.kind, payload(&message)), (LITHE_BINARY, &b"payload"[..]));
        assert_eq!(message.data.cast(), bytes.as_ptr());
        assert!(!bytes.is_unique());
        lithe_message_free(&raw mut message);
        assert!(bytes.is_unique());
    }

    #[test]
    fn freeing_twice_is_harmless() {
        let bytes = Bytes::from(b"payload".to_vec());
        let mut message = lithe_message_t::new(bytes.into());
        for _ in 0..2 {
            lithe_message_free(&raw mut message);
            assert!(message.kind == 0 && message.data.is_null() && message.len == 0);
        }
        lithe_message_free(ptr::null_mut());
    }

    #[test]
    fn empty_message_is_no_null_pointer() {
        let mut message = lithe_message_t::new("".into());
        assert_eq!((message.kind, payload(&message)), (LITHE_TEXT, &b""[..]));
        lithe_message_free(&raw mut message);
    }
}

//! Buffers that belong to a thread, not to a connection: an idle connection holds none.

use std::cell::RefCell;

use super::lend;

/// How much one read may take from a socket.
pub(crate) const READ: usize = 256 * 1024;
/// How much small writes are gathered into one system call.
pub(crate) const WRITE: usize = 256 * 1024;

/// How many small buffers a thread keeps for its connections to fill, and how large they may be.
#[cfg(feature = "ws")]
const SPARES: usize = 16;
#[cfg(feature = "ws")]
const SPARE: usize = 64 * 1024;

thread_local! {
    #[cfg(feature = "ws")]
    static SPARE_BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's read buffer, `READ` bytes long. Its contents are left over from whoever
/// used it last.
pub(crate) fn with_input<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    lend(&INPUT, |buffer| {
        if buffer.is_empty() {
            buffer.resize(READ, 0);
        }
        f(buffer)
    })
}

/// Lends this thread's write buffer, empty.
pub(crate) fn with_output<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    lend(&OUTPUT, |buffer| {
        buffer.clear();
        let result = f(buffer);
        buffer.shrink_to(WRITE);
        result
    })
}

/// An empty buffer, which may have some capacity already.
#[cfg(feature = "ws")]
pub(crate) fn take_spare() -> Vec<u8> {
    lend(&SPARE_BUFFERS, |spares| spares.pop().unwrap_or_default())
}

/// Gives a buffer back.
#[cfg(feature = "ws")]
pub(crate) fn give_spare(mut buffer: Vec<u8>) {
    lend(&SPARE_BUFFERS, |spares| {
        if spares.len() < SPARES && buffer.capacity() <= SPARE {
            buffer.clear();
            spares.push(buffer);
        }
    });
}

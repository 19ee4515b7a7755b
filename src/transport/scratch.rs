//! Buffers that belong to a thread, not to a connection: an idle connection holds none.

use std::cell::RefCell;

/// How much one read may take from a socket.
pub(crate) const READ: usize = 256 * 1024;
/// How much small writes are gathered into one system call.
pub(crate) const WRITE: usize = 256 * 1024;

thread_local! {
    static INPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static OUTPUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends this thread's read buffer, `READ` bytes long. Its contents are left over from whoever
/// used it last.
pub(crate) fn with_input<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    INPUT.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(READ, 0);
        }
        f(buffer)
    })
}

/// Lends this thread's write buffer, empty.
pub(crate) fn with_output<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    OUTPUT.with_borrow_mut(|buffer| {
        buffer.clear();
        let result = f(buffer);
        buffer.shrink_to(WRITE);
        result
    })
}

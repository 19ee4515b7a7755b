//! Telling the child of a fork, in which nothing of the library can go on, from its parent.
//!
//! A child has the memory of its parent but only the thread that forked: the library's own threads
//! do not exist in it, and locks that other threads held stay locked for ever. So there is nothing
//! that a function could do in a child but say so.

use std::sync::atomic::{AtomicBool, Ordering};

use super::error::Error;

static IN_CHILD: AtomicBool = AtomicBool::new(false);

/// What `lithe_last_error` says in a child.
pub(super) const MESSAGE: &std::ffi::CStr =
    c"this process was forked from one that uses Lithe; call exec in it, or fork before Lithe is used";

/// Whether this process was forked after [`watch`] was called.
pub(super) fn in_child() -> bool {
    // Set before `fork` returns, by the only thread that there is.
    IN_CHILD.load(Ordering::Relaxed)
}

/// Takes note of forks from now on. To be called before there is anything that a child could lack
/// or find locked.
#[cfg(unix)]
pub(super) fn watch() -> Result<(), Error> {
    use std::io;
    use std::sync::OnceLock;

    use super::error::LITHE_ERR_IO;

    extern "C" fn note() {
        IN_CHILD.store(true, Ordering::Relaxed);
    }

    static REGISTERED: OnceLock<libc::c_int> = OnceLock::new();
    let code = REGISTERED.get_or_init(|| {
        // SAFETY: the handler does nothing but set an atomic flag, which may be done in a child.
        unsafe { libc::pthread_atfork(None, None, Some(note)) }
    });
    match *code {
        0 => Ok(()),
        code => {
            let error = io::Error::from_raw_os_error(code);
            Err(Error::with(LITHE_ERR_IO, format_args!("pthread_atfork: {error}")))
        }
    }
}

#[cfg(not(unix))]
pub(super) fn watch() -> Result<(), Error> {
    Ok(())
}

//! Keeping the host's signals away from the library's threads.

/// Runs `f` with signals blocked on this thread; the threads that `f` starts inherit that, and
/// pass it on to those that they start.
///
/// So a handler of the host's never runs on a thread that the host does not know, and writing to
/// a connection that the peer has reset raises no SIGPIPE, which would end a host that has left
/// that signal at its default. (`send` can be told not to raise it, `writev` cannot.)
///
/// Signals that a thread raises by a fault of its own, and the profiler's, are left alone.
#[cfg(unix)]
pub(super) fn with_blocked<R>(f: impl FnOnce() -> R) -> R {
    use std::mem::MaybeUninit;

    const LEFT_ALONE: [libc::c_int; 8] = [
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGABRT,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGPROF,
    ];

    /// Puts the thread's own mask back, also when `f` panics.
    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask was filled in by the system.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }

    let mut blocked = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: `sigfillset` fills the set in before it is used, and neither it nor `sigdelset`
    // fails for signals that exist. `pthread_sigmask` fills in the mask that it replaces; its only
    // error is a first argument that it does not know.
    let _restore = unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        for signal in LEFT_ALONE {
            libc::sigdelset(blocked.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    f()
}

#[cfg(not(unix))]
pub(super) fn with_blocked<R>(f: impl FnOnce() -> R) -> R {
    f()
}

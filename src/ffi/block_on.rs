//! Waiting for a future on a thread of the host.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use super::convert::Timeout;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks the thread until the future is done. `None` when it was not in time.
pub(super) fn block_on<F: Future>(future: F, timeout: Timeout) -> Option<F::Output> {
    let deadline = timeout.duration().and_then(|timeout| Instant::now().checked_add(timeout));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::park_timeout(left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn returns_what_another_thread_brings_about() {
        let (sender, receiver) = oneshot::channel();
        let thread = thread::spawn(move || block_on(receiver, Timeout::Forever));
        sender.send(7).unwrap();
        assert_eq!(thread.join().unwrap(), Some(Ok(7)));
    }

    #[test]
    fn gives_up_in_time() {
        let never = std::future::pending::<()>();
        assert_eq!(block_on(never, Timeout::After(Duration::from_millis(1))), None);
        assert_eq!(block_on(async { 7 }, Timeout::After(Duration::ZERO)), Some(7));
    }
}

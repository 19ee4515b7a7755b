//! Waiting for a future on a thread of the host.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Wakes the thread. Not by what the standard library keeps of the thread, which is gone when the
/// host calls from the last of its destructors.
#[derive(Default)]
struct Alarm {
    has_rung: Mutex<bool>,
    rung: Condvar,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.has_rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }
}

impl Alarm {
    /// Blocks the thread until it is woken. Says whether that was in time.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut has_rung = self.has_rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !std::mem::take(&mut *has_rung) {
            has_rung = match deadline {
                None => self.rung.wait(has_rung).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.rung.wait_timeout(has_rung, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

/// Blocks the thread until the future is done. `None` when it was not in time.
pub(crate) fn block_on<F: Future>(future: F, timeout: Option<Duration>) -> Option<F::Output> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(alarm.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
        if !alarm.wait(deadline) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn returns_what_another_thread_brings_about() {
        let (sender, receiver) = oneshot::channel();
        let thread = thread::spawn(move || block_on(receiver, None));
        sender.send(7).unwrap();
        assert_eq!(thread.join().unwrap(), Some(Ok(7)));
    }

    #[test]
    fn gives_up_in_time() {
        let never = std::future::pending::<()>();
        assert_eq!(block_on(never, Some(Duration::from_millis(1))), None);
        assert_eq!(block_on(async { 7 }, Some(Duration::ZERO)), Some(7));
    }
}

//! A timer for deadlines that mostly move away before they are reached.

use std::pin::Pin;
use std::task::Context;
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

pin_project! {
    /// Leaves the runtime's timer where it is while the deadline moves to later, and looks again
    /// when it fires.
    pub(super) struct Timer {
        #[pin]
        sleep: Sleep,
    }
}

impl Timer {
    pub(super) fn new(due: Instant) -> Self {
        Timer { sleep: tokio::time::sleep_until(due.into()) }
    }

    /// Whether the deadline has passed; if not, the task is woken when it has.
    pub(super) fn is_past(self: Pin<&mut Self>, cx: &mut Context<'_>, due: Instant) -> bool {
        let mut sleep = self.project().sleep;
        let due = due.into();
        if due < sleep.deadline() {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= due {
                return true;
            }
            sleep.as_mut().reset(due);
        }
        false
    }
}

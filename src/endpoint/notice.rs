use std::sync::PoisonError;
use std::task::{Context, Waker};

use crate::sync::atomic::{AtomicBool, Ordering::SeqCst};
use crate::sync::{Mutex, MutexGuard};

/// What any thread leaves for one task, which looks for it very often and nearly always in vain.
pub(crate) struct Notice<T> {
    /// Whether there is something. Looked at without the lock.
    signalled: AtomicBool,
    state: Mutex<State<T>>,
}

pub(crate) struct State<T> {
    waker: Option<Waker>,
    pub(crate) value: T,
}

impl<T> Notice<T> {
    pub(crate) fn new(value: T) -> Self {
        let state = State { waker: None, value };
        Notice { signalled: AtomicBool::new(false), state: Mutex::new(state) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what there is, and wakes the task.
    pub(crate) fn leave(&self, leave: impl FnOnce(&mut T)) {
        let mut state = self.lock();
        leave(&mut state.value);
        let waker = state.waker.clone();
        self.signalled.store(true, SeqCst);
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes what was left. If there is nothing, the task is woken when there is.
    ///
    /// `registered` is the waker that the task has left before: while it stays the same, and there
    /// is nothing, this costs no lock.
    pub(crate) fn poll<R>(
        &self,
        cx: &mut Context<'_>,
        registered: &mut Option<Waker>,
        take: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        if !registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *registered = Some(cx.waker().clone());
            let replaced = self.lock().waker.replace(cx.waker().clone());
            // Dropping a waker may run anything: not under the lock.
            drop(replaced);
        }
        if !self.signalled.load(SeqCst) {
            return None;
        }
        let mut state = self.lock();
        self.signalled.store(false, SeqCst);
        Some(take(&mut state.value))
    }
}

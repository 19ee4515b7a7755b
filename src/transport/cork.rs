//! Waking connections from the threads of a host program, many at a time.
//!
//! Each wake-up from another thread costs a system call, and where the host and the worker share a
//! processor a switch to the worker and back, for one message. So the wake-ups that a thread causes
//! while it works through a batch of events are gathered, and leave together: when it asks for the
//! next batch, when there are enough of them, or when it has taken so long that its cork is drawn.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::runtime::Handle;

use super::lend;

/// So many wake-ups are worth a system call; a worker on another processor can begin with them.
const ENOUGH: usize = 64;

/// The wake-ups for one worker.
pub(crate) struct Mailbox {
    worker: Handle,
    state: Mutex<State>,
}

struct State {
    /// Those of a thread whose cork is of this stamp are gathered.
    stamp: Stamp,
    gathered: Vec<Waker>,
}

/// Tells corks that still hold from those that were drawn; later ones are greater. No two servers
/// share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

impl Stamp {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Stamp(NEXT.fetch_add(1, Relaxed))
    }
}

impl Mailbox {
    pub(crate) fn new(worker: Handle, stamp: Stamp) -> Arc<Self> {
        Arc::new(Mailbox { worker, state: Mutex::new(State { stamp, gathered: Vec::new() }) })
    }

    pub(crate) fn worker(&self) -> &Handle {
        &self.worker
    }

    /// Draws the corks that there are: what was gathered goes out, and from here on only corks of
    /// the new stamp hold anything back. An older stamp than the last one draws nothing more: two
    /// threads may overtake each other with theirs.
    pub(crate) fn draw(&self, stamp: Stamp) {
        let mut state = self.lock();
        state.stamp = state.stamp.max(stamp);
        drop(state);
        self.deliver();
    }

    /// Lets the worker do what was gathered.
    fn deliver(&self) {
        let gathered = std::mem::take(&mut self.lock().gathered);
        self.send(gathered);
    }

    fn send(&self, gathered: Vec<Waker>) {
        if !gathered.is_empty() {
            self.worker.spawn(async { gathered.into_iter().for_each(Waker::wake) });
        }
    }

    fn post(self: Arc<Self>, task: Waker, cork: &mut Cork) {
        let mut state = self.lock();
        if cork.stamp.is_some_and(|stamp| stamp != state.stamp) {
            drop(state);
            return task.wake();
        }
        state.gathered.push(task);
        match state.gathered.len() {
            1 => {
                drop(state);
                cork.mailboxes.push(self);
            }
            ENOUGH.. => {
                let gathered = std::mem::take(&mut state.gathered);
                drop(state);
                self.send(gathered);
            }
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a thread holds back.
struct Cork {
    /// `None` holds until the end of the call.
    stamp: Option<Stamp>,
    /// Those with something in them.
    mailboxes: Vec<Arc<Mailbox>>,
}

impl Cork {
    fn new(stamp: Option<Stamp>) -> Self {
        Cork { stamp, mailboxes: Vec::new() }
    }

    fn pull(self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.deliver());
    }
}

thread_local! {
    static CORK: RefCell<Option<Cork>> = const { RefCell::new(None) };
}

/// From here on the thread works through a batch.
pub(crate) fn cork(stamp: Stamp) {
    put(Some(Cork::new(Some(stamp))));
}

/// The thread is done with its batch.
pub(crate) fn uncork() {
    put(None);
}

/// Gathers the wake-ups that `f` causes.
pub(crate) fn gather<R>(f: impl FnOnce() -> R) -> R {
    /// Put back in any case: a cork that holds until the end of a call must not outlive it.
    struct Outer(Option<Cork>);

    impl Drop for Outer {
        fn drop(&mut self) {
            put(self.0.take());
        }
    }

    let _outer = Outer(replace(Some(Cork::new(None))));
    f()
}

fn put(cork: Option<Cork>) {
    if let Some(before) = replace(cork) {
        before.pull();
    }
}

fn replace(cork: Option<Cork>) -> Option<Cork> {
    lend(&CORK, |kept| std::mem::replace(kept, cork))
}

/// The task of a connection, to be woken.
pub(crate) struct Wake {
    task: Waker,
    mailbox: Option<Arc<Mailbox>>,
}

impl Wake {
    /// `mailbox` is the one of the connection's worker, where a host program drives it.
    pub(crate) fn new(task: Waker, mailbox: Option<&Arc<Mailbox>>) -> Self {
        Wake { task, mailbox: mailbox.cloned() }
    }

    pub(crate) fn wake(self) {
        let Wake { task, mailbox: Some(mailbox) } = self else { return self.task.wake() };
        lend(&CORK, |cork| match cork {
            Some(cork) => mailbox.post(task, cork),
            None => task.wake(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    struct Bench {
        runtime: tokio::runtime::Runtime,
        stamp: Stamp,
        mailbox: Arc<Mailbox>,
        task: Arc<Task>,
    }

    impl Bench {
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let stamp = Stamp::new();
            let mailbox = Mailbox::new(runtime.handle().clone(), stamp);
            Bench { runtime, stamp, mailbox, task: Arc::default() }
        }

        fn wake(&self) {
            Wake::new(Waker::from(self.task.clone()), Some(&self.mailbox)).wake();
        }

        /// How often the task was woken, when the worker has done what there was.
        fn woken(&self) -> usize {
            self.runtime.block_on(async {
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            });
            self.task.0.load(Relaxed)
        }
    }

    #[test]
    fn thread_without_a_cork_wakes_at_once() {
        let bench = Bench::new();
        bench.wake();
        assert_eq!(bench.task.0.load(Relaxed), 1);
    }

    #[test]
    fn wake_ups_of_a_batch_leave_when_it_is_done() {
        let bench = Bench::new();
        cork(bench.stamp);
        for _ in 0..3 {
            bench.wake();
        }
        assert_eq!(bench.woken(), 0);
        uncork();
        assert_eq!(bench.woken(), 3);
    }

    #[test]
    fn enough_wake_ups_leave_before() {
        let bench = Bench::new();
        cork(bench.stamp);
        for _ in 0..ENOUGH + 1 {
            bench.wake();
        }
        assert_eq!(bench.woken(), ENOUGH);
        uncork();
        assert_eq!(bench.woken(), ENOUGH + 1);
    }

    #[test]
    fn drawn_cork_holds_nothing_back() {
        let bench = Bench::new();
        cork(bench.stamp);
        bench.wake();
        bench.mailbox.draw(Stamp::new());
        assert_eq!(bench.woken(), 1);
        bench.wake();
        assert_eq!(bench.task.0.load(Relaxed), 2);
        uncork();
    }

    #[test]
    fn cork_stays_drawn_whoever_draws_late() {
        let bench = Bench::new();
        let (drawn, held) = (bench.stamp, Stamp::new());
        bench.mailbox.draw(held);
        bench.mailbox.draw(drawn);
        cork(drawn);
        bench.wake();
        assert_eq!(bench.task.0.load(Relaxed), 1);
        cork(held);
        bench.wake();
        assert_eq!(bench.woken(), 1);
        uncork();
        assert_eq!(bench.woken(), 2);
    }

    #[test]
    fn cork_of_another_server_holds_nothing_back() {
        let bench = Bench::new();
        cork(Stamp::new());
        bench.wake();
        assert_eq!(bench.task.0.load(Relaxed), 1);
        uncork();
    }

    #[test]
    fn call_that_panics_holds_nothing_back() {
        let bench = Bench::new();
        let call = || {
            gather(|| {
                bench.wake();
                panic!("on purpose");
            })
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
        assert_eq!(bench.woken(), 1);
        bench.wake();
        assert_eq!(bench.task.0.load(Relaxed), 2);
    }

    #[test]
    fn wake_ups_of_one_call_leave_at_its_end() {
        let bench = Bench::new();
        gather(|| {
            bench.wake();
            assert_eq!(bench.woken(), 0);
        });
        assert_eq!(bench.woken(), 1);
    }
}

//! The library's lock-free code, in every order in which threads may take their steps and see each
//! other's: its own files, compiled with the atomics and locks of loom.

#[path = "../src/hub/budget.rs"]
#[allow(dead_code, unreachable_pub, reason = "the hub uses the rest")]
mod budget;
#[path = "../src/hub/encodings.rs"]
mod encodings;
#[path = "../src/endpoint/notice.rs"]
#[allow(dead_code, reason = "the endpoint uses the rest")]
mod notice;

/// In place of `src/sync.rs`.
mod sync {
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic};

    /// The standard library's, which loom does not have: whoever comes while it is filled waits.
    /// What is in it lives for as long as the test.
    pub(crate) struct OnceLock<T: 'static>(Mutex<Option<&'static T>>);

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            OnceLock(Mutex::new(None))
        }

        pub(crate) fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
            self.0.lock().unwrap().get_or_insert_with(|| Box::leak(Box::new(init())))
        }
    }
}

use std::future::poll_fn;
use std::task::Poll;

use budget::{Budget, Charge};
use encodings::Encodings;
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use notice::Notice;

/// Takes what is left, from several threads, until it is so much.
fn take(notice: &Notice<u32>, all: u32) {
    let mut taken = 0;
    let mut registered = None;
    block_on(poll_fn(|cx| {
        while let Some(more) = notice.poll(cx, &mut registered, std::mem::take) {
            taken += more;
        }
        if taken == all { Poll::Ready(()) } else { Poll::Pending }
    }));
    assert_eq!(notice.lock().value, 0);
}

#[test]
fn no_word_is_lost_and_no_task_sleeps_over_one() {
    // With every order of three threads it would take minutes.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let notice = Arc::new(Notice::new(0));
        for word in [1, 10] {
            let notice = notice.clone();
            thread::spawn(move || notice.leave(|words| *words += word));
        }
        take(&notice, 11);
    });
}

#[test]
fn word_after_word_wakes_the_task_again() {
    loom::model(|| {
        let notice = Arc::new(Notice::new(0));
        let other = notice.clone();
        thread::spawn(move || {
            other.leave(|words| *words += 1);
            other.leave(|words| *words += 10);
        });
        take(&notice, 11);
    });
}

#[test]
fn what_a_budget_is_charged_for_a_publication_is_given_back_whenever_its_log_lets_go() {
    loom::model(|| {
        let budget = Arc::new(Budget::new(100));
        let charge = Arc::new(Charge::new(10, budget.clone()));
        let encoders = [1, 2].map(|bytes| {
            let charge = charge.clone();
            thread::spawn(move || charge.add(bytes))
        });
        charge.release();
        for encoder in encoders {
            encoder.join().unwrap();
        }
        assert_eq!(budget.used(), 0);
        drop(charge);
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn encodings_that_several_ask_for_at_once_are_each_made_once() {
    struct First(usize);
    struct Second(usize);
    loom::model(|| {
        let encodings = Arc::new(Encodings::new());
        let made = Arc::new(AtomicUsize::new(0));
        let ask = {
            let (encodings, made) = (encodings.clone(), made.clone());
            move |second_first: bool| {
                let make = |number| {
                    made.fetch_add(1, Relaxed);
                    number
                };
                let second = || encodings.get_or_make(|| Second(make(2))).0;
                if second_first {
                    assert_eq!(second(), 2);
                }
                assert_eq!(encodings.get_or_make(|| First(make(1))).0, 1);
                assert_eq!(second(), 2);
            }
        };
        let other = ask.clone();
        let other = thread::spawn(move || other(true));
        ask(false);
        other.join().unwrap();
        assert_eq!(made.load(Relaxed), 2);
    });
}

//! Patience, and the heads of responses.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::time::{Duration, Instant};

/// When a test gives up waiting for what should have happened long ago.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The status code in the head of a response.
pub(crate) fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The value of a header in the head of a response.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.trim()))
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let given_up = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < given_up, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

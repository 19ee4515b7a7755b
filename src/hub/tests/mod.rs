//! Tests of the hub as a whole.

mod latest;
mod model;
mod nodes;
mod patterns;
mod threads;
mod wide;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;

pub(super) fn name(text: &str) -> ChannelName {
    text.parse().unwrap()
}

pub(super) fn interest(text: &str) -> Interest {
    text.parse().unwrap()
}

/// Counts how often it was woken.
#[derive(Default)]
pub(super) struct Alarm(AtomicUsize);

impl Alarm {
    pub(super) fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::<Alarm>::default();
        (alarm.clone(), alarm.into())
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// All items that there are, in words: `sub`, `12` for a publication's data, `gap slow`...
pub(super) fn words(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.try_next()).map(|item| word(&item)).collect()
}

pub(super) fn word(item: &Item) -> String {
    match item {
        Item::Subscribed(s) => {
            let outcome = match (s.was_recovering, s.recovered) {
                (true, true) => "recovered",
                (true, false) => "not recovered",
                (false, _) => "live",
            };
            format!("{} {outcome}", s.interest)
        }
        Item::Publication(p) => format!("{} {}", p.channel(), String::from_utf8_lossy(p.data())),
        Item::Gap(g) => {
            let offset = |position: Option<Position>| match position {
                Some(position) => position.offset.to_string(),
                None => "?".to_owned(),
            };
            let (from, to) = (offset(g.from), offset(g.to));
            format!("{} gap {} {from}..{to}", g.interest, g.reason.as_str())
        }
        Item::Presence(p) => match &p.kind {
            PresenceKind::Joined(client) => format!("{} joined {}", p.channel, client.id),
            PresenceKind::Left(client) => format!("{} left {}", p.channel, client.id),
            PresenceKind::Missed => format!("{} presence missed", p.channel),
        },
        Item::Unsubscribed { interest, reason } => format!("{interest} unsubscribed {reason:?}"),
        Item::Disconnected { channel } => format!("{channel} disconnected"),
    }
}

#[test]
fn history_is_read_page_by_page() {
    let hub = Hub::builder()
        .defaults(ChannelOptions::default().history_size(5))
        .replay_limit(2, 1000)
        .build();
    assert!(hub.history(&name("a"), 0).is_none());
    (1..=8).for_each(|_| _ = hub.publish_blocking(&name("a"), "x").unwrap());
    let mut after = 0;
    let mut read = Vec::new();
    loop {
        let page = hub.history(&name("a"), after).unwrap();
        assert_eq!((page.from.offset, page.to.offset), (3, 8));
        let Some(last) = page.publications.last() else { break };
        after = last.position().offset;
        assert!(page.publications.len() <= 2);
        read.extend(page.publications.iter().map(|publication| publication.position().offset));
    }
    assert_eq!(read, [4, 5, 6, 7, 8]);
    hub.publish_blocking(&name("large"), vec![0; 2000]).unwrap();
    assert_eq!(hub.history(&name("large"), 0).unwrap().publications.len(), 1);
}

#[test]
fn a_page_that_is_over_by_age_does_not_hide_what_comes_after_it() {
    let clock = clock::ManualClock::new();
    let age = Duration::from_secs(60);
    let hub = Hub::builder()
        .backplane(backplane::Memory::new().node())
        .clock(clock.clone())
        .defaults(ChannelOptions::default().history_size(2000).history_age(age))
        .build();
    (1..=1000).for_each(|_| _ = hub.publish_blocking(&name("a"), "old").unwrap());
    clock.advance(age);
    (1..=5).for_each(|_| _ = hub.publish_blocking(&name("a"), "new").unwrap());
    let channel = name("a");
    let mut load = pin!(hub.load_history(&channel, 0));
    // A backplane in this process is read at once.
    let Poll::Ready(page) = load.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("not read yet");
    };
    let page = page.unwrap().unwrap();
    assert_eq!((page.from.offset, page.to.offset), (1000, 1005));
    assert!(page.publications.iter().all(|publication| &publication.data()[..] == b"new"));
    assert_eq!(page.publications.len(), 5);
}

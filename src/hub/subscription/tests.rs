use std::task::{Context, Poll};
use std::time::Duration;

use super::*;
use crate::hub::clock::ManualClock;
use crate::hub::tests::{Alarm, interest, name, word, words};
use crate::hub::{ChannelOptions, Message, Overflow, PresenceMode};

fn publish(hub: &Hub, channel: &str, data: impl ToString) -> Position {
    hub.publish_blocking(&name(channel), data.to_string()).unwrap().position
}

fn subscribe(hub: &Hub, interests: &[&str]) -> Subscription {
    let mut subscription = hub.subscribe(interests.iter().map(|text| interest(text))).unwrap();
    words(&mut subscription);
    subscription
}

fn cursor(subscription: &Subscription) -> String {
    subscription.cursor().unwrap().to_string()
}

fn resume(hub: &Hub, interests: &[&str], cursor: &str) -> Subscription {
    let mut subscription = hub.subscriber();
    subscription.resume(interests.iter().map(|text| interest(text)), cursor).unwrap();
    subscription
}

fn hub(options: ChannelOptions) -> Hub {
    Hub::builder().defaults(options).build()
}

#[test]
fn a_subscriber_gets_what_is_published_from_then_on() {
    let hub = Hub::new();
    publish(&hub, "a", 1);
    let mut subscription = hub.subscribe([interest("a"), interest("b")]).unwrap();
    publish(&hub, "a", 2);
    publish(&hub, "c", 3);
    assert_eq!(words(&mut subscription), ["a live", "b live", "a 2"]);
    assert_eq!(hub.publish_blocking(&name("a"), "4").unwrap().receivers, 1);
    assert_eq!(words(&mut subscription), ["a 4"]);
}

#[test]
fn channels_take_turns() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub, &["a", "b"]);
    for n in 0..100 {
        publish(&hub, "a", n);
    }
    publish(&hub, "b", 0);
    let mut read = words(&mut subscription);
    assert_eq!(read.remove(16), "b 0");
    assert!(read.into_iter().eq((0..100).map(|n| format!("a {n}"))));
}

#[test]
fn a_burst_wakes_once() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub, &["a", "b"]);
    let (alarm, waker) = Alarm::new();
    let mut cx = Context::from_waker(&waker);
    assert!(subscription.poll_next(&mut cx).is_pending());
    for n in 0..16 {
        publish(&hub, "a", n);
        publish(&hub, "b", n);
    }
    assert_eq!(alarm.count(), 1);
    assert_eq!(words(&mut subscription).len(), 32);
    assert!(subscription.poll_next(&mut cx).is_pending());
    publish(&hub, "a", 16);
    assert_eq!(alarm.count(), 2);
}

#[test]
fn one_channel_is_resumed_by_its_position() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub, &["a"]);
    let position = publish(&hub, "a", 1);
    words(&mut subscription);
    assert_eq!(cursor(&subscription), position.to_string());
    publish(&hub, "a", 2);
    let mut again = resume(&hub, &["a"], &position.to_string());
    assert_eq!(words(&mut again), ["a recovered", "a 2"]);
    let mut third = hub.subscriber();
    third.subscribe_after(name("a"), position).unwrap();
    assert_eq!(words(&mut third), ["a recovered", "a 2"]);
}

#[test]
fn a_cursor_is_right_at_each_boundary() {
    let hub = Hub::new();
    let mut subscription = hub.subscribe([interest("a"), interest("b.*")]).unwrap();
    for n in 0..40 {
        publish(&hub, "a", n);
        publish(&hub, "b.x", n);
    }
    let mut seen: Vec<String> = Vec::new();
    loop {
        let mut rest = resume(&hub, &["a", "b.*"], &cursor(&subscription));
        let mut all = seen.clone();
        all.extend(words(&mut rest).into_iter().filter(|word| !word.contains("recovered")));
        for channel in ["a ", "b.x "] {
            let got: Vec<_> = all.iter().filter_map(|word| word.strip_prefix(channel)).collect();
            let expected: Vec<_> = (0..40).map(|n: u32| n.to_string()).collect();
            assert_eq!(got, expected, "{channel} after {}", seen.len());
        }
        match subscription.try_next() {
            Some(Item::Publication(publication)) => {
                let data = String::from_utf8_lossy(publication.data());
                seen.push(format!("{} {data}", publication.channel()));
            }
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(seen.len(), 80);
}

#[test]
fn a_cursor_of_another_list_is_a_gap_in_each_channel() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub, &["a", "b"]);
    publish(&hub, "a", 1);
    words(&mut subscription);
    let cursor = cursor(&subscription);
    let expected = ["b not recovered", "a not recovered", "b gap epoch ?..0", "a gap epoch ?..1"];
    let sorted = |mut words: Vec<String>| {
        words.sort();
        words
    };
    let mut swapped = resume(&hub, &["b", "a"], &cursor);
    let mut expected: Vec<_> = expected.map(str::to_owned).into();
    expected.sort();
    assert_eq!(sorted(words(&mut swapped)), expected);
    let mut nonsense = resume(&hub, &["b", "a"], "no cursor at all");
    assert_eq!(sorted(words(&mut nonsense)), expected);
    let mut fewer = resume(&hub, &["a"], &cursor);
    assert_eq!(words(&mut fewer), ["a not recovered", "a gap epoch ?..1"]);
    publish(&hub, "a", 2);
    assert_eq!(words(&mut fewer), ["a 2"]);
}

#[test]
fn who_breaks_off_before_a_gap_is_told_hears_of_it_later() {
    let hub = hub(ChannelOptions::default().history_size(2));
    let position = publish(&hub, "a", 1);
    (2..9).for_each(|n| _ = publish(&hub, "a", n));
    let mut first = resume(&hub, &["a"], &position.to_string());
    assert!(matches!(first.try_next(), Some(Item::Subscribed(_))));
    let mut second = resume(&hub, &["a"], &cursor(&first));
    assert_eq!(words(&mut second), ["a not recovered", "a gap expired 1..8"]);
    assert_eq!(words(&mut first), ["a gap expired 1..8"]);
    assert_eq!(words(&mut resume(&hub, &["a"], &cursor(&first))), ["a recovered"]);

    let mut first = resume(&hub, &["a"], "nonsense");
    first.try_next();
    let mut second = resume(&hub, &["a"], &cursor(&first));
    assert_eq!(words(&mut second)[0], "a not recovered");
}

#[test]
fn each_reason_for_a_gap_is_told() {
    let hub = Hub::builder().replay_limit(3, usize::MAX).build();
    (1..=5).for_each(|n| _ = publish(&hub, "a", n));
    let top = hub.position(&name("a")).unwrap();
    let after = |offset| Position { offset, ..top }.to_string();
    assert_eq!(words(&mut resume(&hub, &["a"], &after(1)))[1], "a gap limit 1..5");
    assert_eq!(words(&mut resume(&hub, &["a"], &after(6)))[1], "a gap ahead 6..5");
    assert_eq!(words(&mut resume(&hub, &["a"], "1-3"))[1], "a gap epoch 3..5");
    let mut subscription =
        hub.subscriber_with(SubscriptionOptions::default().after_gap(AfterGap::Oldest));
    subscription.subscribe_after(name("a"), Position { offset: 1, ..top }).unwrap();
    let expected = ["a not recovered", "a gap limit 1..2", "a 3", "a 4", "a 5"];
    assert_eq!(words(&mut subscription), expected);
    assert_eq!(hub.stats().gaps_by(crate::hub::GapReason::Limit), 2);
}

#[test]
fn a_slow_subscriber_reads_on_from_the_log_without_loss() {
    let hub = Hub::new();
    let mut slow = subscribe(&hub, &["a"]);
    (0..1000).for_each(|n| _ = publish(&hub, "a", n));
    assert!(words(&mut slow).into_iter().eq((0..1000).map(|n| format!("a {n}"))));
}

#[test]
fn a_subscriber_that_the_log_has_passed_meets_the_policy() {
    let read = |options: ChannelOptions| {
        let hub = hub(options.history_size(2).backlog(2));
        let mut slow = subscribe(&hub, &["a"]);
        for n in 1..=5 {
            let message = Message::new(n.to_string()).key((n % 2).to_string()).unwrap();
            hub.publish_blocking(&name("a"), message).unwrap();
        }
        let mut read = words(&mut slow);
        if !slow.is_ended() {
            publish(&hub, "a", 6);
        }
        read.extend(words(&mut slow));
        read
    };
    let options = ChannelOptions::default;
    assert_eq!(read(options()), ["a gap slow 0..5", "a 6"]);
    let oldest = options().after_gap(AfterGap::Oldest);
    assert_eq!(read(oldest), ["a gap slow 0..3", "a 4", "a 5", "a 6"]);
    let dropping = options().overflow(Overflow::DropOldest);
    assert_eq!(read(dropping), ["a gap slow 0..3", "a 4", "a 5", "a 6"]);
    assert_eq!(read(options().overflow(Overflow::Latest)), ["a 4", "a 5", "a 6"]);
    assert_eq!(read(options().overflow(Overflow::Disconnect)), ["a disconnected"]);
}

#[test]
fn a_channel_without_history_delivers_but_does_not_replay() {
    let hub = hub(ChannelOptions::default().history_size(0));
    let mut subscription = subscribe(&hub, &["a"]);
    let empty = hub.stats().history_bytes;
    (0..100).for_each(|n| _ = publish(&hub, "a", n));
    let before = cursor(&subscription);
    assert_eq!(words(&mut subscription).len(), 100);
    assert_eq!(hub.stats().history_bytes, empty, "all have read it");
    assert_eq!(words(&mut resume(&hub, &["a"], &before))[1], "a gap expired 0..100");
    assert_eq!(words(&mut resume(&hub, &["a"], &cursor(&subscription))), ["a recovered"]);
}

#[test]
fn deliveries_keep_their_distance() {
    let clock = ManualClock::new();
    let paced = ChannelOptions::default().min_interval(Duration::from_millis(100));
    let hub = Hub::builder()
        .namespace("latest".parse().unwrap(), paced.clone().overflow(Overflow::Latest))
        .defaults(paced)
        .clock(clock.clone())
        .build();
    for (channel, batch) in
        [("batched", vec!["batched 2", "batched 3"]), ("latest", vec!["latest 3"])]
    {
        let mut subscription = subscribe(&hub, &[channel]);
        publish(&hub, channel, 1);
        assert_eq!(words(&mut subscription), [format!("{channel} 1")]);
        publish(&hub, channel, 2);
        assert_eq!(words(&mut subscription), [""; 0]);
        clock.advance(Duration::from_millis(60));
        publish(&hub, channel, 3);
        assert_eq!(words(&mut subscription), [""; 0]);
        let due = subscription.next_due().unwrap();
        assert_eq!(due - hub.shared.now(), Duration::from_millis(40));
        clock.advance(Duration::from_millis(40));
        assert_eq!(words(&mut subscription), batch);
        // After a longer silence there is nothing to wait for.
        clock.advance(Duration::from_millis(100));
        assert_eq!(words(&mut subscription), [""; 0]);
        assert_eq!(subscription.next_due(), None);
        let (alarm, waker) = Alarm::new();
        assert!(subscription.poll_next(&mut Context::from_waker(&waker)).is_pending());
        publish(&hub, channel, 4);
        assert_eq!(alarm.count(), 1);
        assert_eq!(words(&mut subscription), [format!("{channel} 4")]);
    }
}

#[test]
fn what_was_missed_is_delivered_without_a_pause() {
    let hub = hub(ChannelOptions::default().min_interval(Duration::from_secs(3600)));
    let position = publish(&hub, "a", 0);
    (1..100).for_each(|n| _ = publish(&hub, "a", n));
    let mut subscription = resume(&hub, &["a"], &position.to_string());
    assert_eq!(words(&mut subscription).len(), 100);
    publish(&hub, "a", 100);
    publish(&hub, "a", 101);
    assert_eq!(words(&mut subscription), ["a 100", "a 101"]);
    publish(&hub, "a", 102);
    assert_eq!(words(&mut subscription), [""; 0]);
}

#[test]
fn patterns_find_channels_that_are_there_and_that_come() {
    let hub = Hub::new();
    publish(&hub, "logs.1", 1);
    let mut subscription = hub.subscribe([interest("logs.*"), interest("logs.**")]).unwrap();
    publish(&hub, "logs.1", 2);
    publish(&hub, "logs.2", 3);
    publish(&hub, "logs.2.x", 4);
    publish(&hub, "other", 5);
    let read = words(&mut subscription);
    assert_eq!(read, ["logs.* live", "logs.** live", "logs.1 2", "logs.2 3", "logs.2.x 4"]);
    assert!(subscription.unsubscribe(&interest("logs.**")));
    assert!(!subscription.unsubscribe(&interest("logs.**")));
    publish(&hub, "logs.2", 6);
    publish(&hub, "logs.2.x", 7);
    publish(&hub, "logs.3.x", 8);
    assert_eq!(words(&mut subscription), ["logs.** unsubscribed Requested", "logs.2 6"]);
}

#[test]
fn a_channel_that_has_come_while_its_pattern_was_away_is_replayed_from_the_beginning() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub, &["logs.*"]);
    publish(&hub, "logs.1", 1);
    words(&mut subscription);
    let cursor = cursor(&subscription);
    publish(&hub, "logs.1", 2);
    publish(&hub, "logs.2", 3);
    let mut read = words(&mut resume(&hub, &["logs.*"], &cursor));
    read[1..].sort();
    assert_eq!(read, ["logs.* recovered", "logs.1 2", "logs.2 3"]);
}

#[test]
fn channels_that_were_lost_are_told_to_patterns() {
    let hub = Hub::builder().history_budget(20_000).build();
    let mut subscription = subscribe(&hub, &["logs.*"]);
    publish(&hub, "logs.known", 1);
    words(&mut subscription);
    let cursor = cursor(&subscription);
    drop(subscription);
    publish(&hub, "logs.unknown", 1);
    (0..100).for_each(|n| _ = publish(&hub, &format!("other.{n}"), "x".repeat(1000)));
    assert!(hub.position(&name("logs.known")).is_none());
    let mut again = resume(&hub, &["logs.*"], &cursor);
    let expected =
        ["logs.* not recovered", "logs.known gap epoch 1..?", "logs.unknown gap expired ?..?"];
    // Each boundary before the last keeps the news of what is yet to be told.
    for told in expected {
        let mut later = resume(&hub, &["logs.*"], &super::tests::cursor(&again));
        assert_eq!(words(&mut later)[0], "logs.* not recovered", "before {told}");
        assert_eq!(word(&again.try_next().unwrap()), told);
    }
    let done = super::tests::cursor(&again);
    assert_eq!(words(&mut resume(&hub, &["logs.*"], &done)), ["logs.* recovered"]);
    // Another hub: nothing is known of what it had.
    let other = Hub::new();
    let read = words(&mut resume(&other, &["logs.*"], &cursor));
    assert_eq!(read, ["logs.* not recovered", "logs.* gap epoch ?..?"]);
}

#[test]
fn a_connected_pattern_is_told_of_what_it_had_not_read_when_a_channel_was_lost() {
    let hub = Hub::builder().history_budget(20_000).build();
    let mut subscription = subscribe(&hub, &["logs.*"]);
    publish(&hub, "logs.read", 1);
    words(&mut subscription);
    publish(&hub, "logs.late", 1);
    (0..100).for_each(|n| _ = publish(&hub, &format!("other.{n}"), "x".repeat(1000)));
    assert_eq!(words(&mut subscription), ["logs.late gap slow 0..?"]);
    publish(&hub, "logs.read", 2);
    publish(&hub, "logs.late", 2);
    let mut read = words(&mut subscription);
    read.sort();
    assert_eq!(read, ["logs.late 2", "logs.read 2"]);
}

#[test]
fn what_was_lost_before_a_pattern_was_subscribed_to_again_is_none_of_its_concern() {
    let hub = Hub::builder().history_budget(20_000).build();
    let mut subscription = subscribe(&hub, &["logs.*"]);
    publish(&hub, "logs.1", 1);
    (0..100).for_each(|n| _ = publish(&hub, &format!("other.{n}"), "x".repeat(1000)));
    publish(&hub, "logs.1", 2);
    subscription.unsubscribe(&interest("logs.*"));
    subscription.subscribe(interest("logs.*")).unwrap();
    publish(&hub, "logs.1", 3);
    let expected = ["logs.* unsubscribed Requested", "logs.* live", "logs.1 3"];
    assert_eq!(words(&mut subscription), expected);
}

#[test]
fn a_channel_with_subscribers_by_name_keeps_its_positions_when_its_log_makes_room() {
    let hub = Hub::builder().history_budget(20_000).build();
    let subscription = subscribe(&hub, &["a"]);
    let position = publish(&hub, "a", 1);
    (0..100).for_each(|n| _ = publish(&hub, &format!("other.{n}"), "x".repeat(1000)));
    assert!(hub.stats().history_bytes <= 20_000);
    let mut read = resume(&hub, &["a"], &Position { offset: 0, ..position }.to_string());
    assert_eq!(words(&mut read), ["a not recovered", "a gap expired 0..1"]);
    assert_eq!(words(&mut resume(&hub, &["a"], &position.to_string())), ["a recovered"]);
    drop(subscription);
}

#[test]
fn channels_that_have_to_stay_do_not_keep_others_from_making_room() {
    let hub = Hub::builder().history_budget(50_000).build();
    let pinned: Vec<_> = (0..200).map(|n| subscribe(&hub, &[&format!("pinned.{n}")])).collect();
    assert!(hub.stats().history_bytes > 50_000, "these alone are more");
    (0..1000).for_each(|n| _ = publish(&hub, &format!("other.{n}"), n));
    assert!(hub.stats().channels < 300, "{:?}", hub.stats());
    drop(pinned);
    (0..1000).for_each(|n| _ = publish(&hub, &format!("other.{n}"), n));
    assert!(hub.stats().history_bytes <= 50_000, "{:?}", hub.stats());
}

#[test]
fn a_pattern_that_finds_too_many_channels_is_given_up() {
    let hub = Hub::builder().max_channels(2).build();
    let mut subscription = subscribe(&hub, &["named", "logs.*"]);
    (0..3).for_each(|n| _ = publish(&hub, &format!("logs.{n}"), n));
    let read = words(&mut subscription);
    assert_eq!(read[..2], ["logs.* gap limit ?..?", "logs.* unsubscribed Limit"]);
    publish(&hub, "logs.0", 4);
    publish(&hub, "named", 5);
    assert_eq!(words(&mut subscription), ["named 5"]);
    assert_eq!(hub.publish_blocking(&name("logs.0"), "").unwrap().receivers, 0);
}

#[test]
fn a_channel_may_be_asked_for_by_name_and_by_pattern() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub, &["logs.*"]);
    publish(&hub, "logs.1", 1);
    assert_eq!(words(&mut subscription), ["logs.1 1"]);
    publish(&hub, "logs.1", 2);
    assert_eq!(subscription.subscribe(name("logs.1")), Ok(true));
    assert_eq!(subscription.subscribe(name("logs.1")), Ok(false));
    assert_eq!(words(&mut subscription), ["logs.1 live", "logs.1 2"]);
    let cursor = cursor(&subscription);
    publish(&hub, "logs.1", 3);
    let read = words(&mut resume(&hub, &["logs.*", "logs.1"], &cursor));
    assert_eq!(read, ["logs.1 recovered", "logs.* recovered", "logs.1 3"]);
    subscription.unsubscribe(&interest("logs.1"));
    assert_eq!(words(&mut subscription), ["logs.1 unsubscribed Requested", "logs.1 3"]);
    subscription.unsubscribe(&interest("logs.*"));
    publish(&hub, "logs.1", 4);
    assert_eq!(words(&mut subscription), ["logs.* unsubscribed Requested"]);
    assert_eq!(subscription.cursor(), None);
}

#[test]
fn a_subscription_has_a_limited_number_of_interests() {
    let hub = Hub::new();
    let mut subscription = hub.subscriber();
    for n in 0..MAX_INTERESTS {
        subscription.subscribe(name(&n.to_string())).unwrap();
    }
    assert_eq!(subscription.subscribe(name("more")), Err(SubscribeError::TooMany));
    let many = (0..=MAX_INTERESTS).map(|n| interest(&n.to_string()));
    assert_eq!(hub.subscriber().resume(many, "1-1"), Err(SubscribeError::TooMany));
}

#[test]
fn the_same_idempotency_key_is_published_once() {
    let clock = ManualClock::new();
    let hub = Hub::builder().clock(clock.clone()).build();
    let mut subscription = subscribe(&hub, &["a", "b"]);
    let message = |data: &'static str| Message::new(data).idempotency_key("k").unwrap();
    let first = hub.publish_blocking(&name("a"), message("1")).unwrap();
    let again = hub.publish_blocking(&name("a"), message("2")).unwrap();
    assert_eq!((again.position, again.duplicate), (first.position, true));
    assert!(!hub.publish_blocking(&name("b"), message("3")).unwrap().duplicate);
    clock.advance(Duration::from_secs(300));
    assert!(!hub.publish_blocking(&name("a"), message("4")).unwrap().duplicate);
    assert_eq!(words(&mut subscription), ["a 1", "a 4", "b 3"]);
    assert_eq!((hub.stats().published, hub.stats().duplicates), (3, 1));
}

#[test]
fn presence_tells_who_is_there() {
    let hub = hub(ChannelOptions::default().presence(PresenceMode::Announced));
    let of = |id: &str| {
        let options = SubscriptionOptions::default().client(id, "{}");
        let mut subscription = hub.subscriber_with(options);
        subscription.subscribe(name("room")).unwrap();
        subscription
    };
    let mut alice = of("alice");
    assert_eq!(words(&mut alice), ["room live", "room joined alice"]);
    let mut bob = of("bob");
    let bob_again = of("bob");
    assert_eq!(words(&mut alice), ["room joined bob"]);
    bob.unsubscribe(&interest("room"));
    assert_eq!(hub.presence(&name("room")).len(), 2);
    drop(bob_again);
    assert_eq!(words(&mut alice), ["room left bob"]);
    let present = hub.presence(&name("room"));
    assert_eq!(present.iter().map(|client| &*client.id).collect::<Vec<_>>(), ["alice"]);
}

#[test]
fn a_subscription_that_is_gone_leaves_nothing_behind() {
    let hub = Hub::new();
    let subscription = subscribe(&hub, &["a", "b.*"]);
    publish(&hub, "b.1", 1);
    assert_eq!(hub.stats().subscriptions, 1);
    drop(subscription);
    assert_eq!(hub.stats().subscriptions, 0);
    for channel in ["a", "b.1", "b.2"] {
        assert_eq!(hub.publish_blocking(&name(channel), "").unwrap().receivers, 0, "{channel}");
    }
}

#[test]
fn the_end_comes_once_all_is_said() {
    let hub =
        hub(ChannelOptions::default().history_size(1).backlog(1).overflow(Overflow::Disconnect));
    let mut subscription = subscribe(&hub, &["a"]);
    (0..3).for_each(|n| _ = publish(&hub, "a", n));
    let (_, waker) = Alarm::new();
    let mut cx = Context::from_waker(&waker);
    assert!(matches!(
        subscription.poll_next(&mut cx),
        Poll::Ready(Some(Item::Disconnected { .. }))
    ));
    assert!(matches!(subscription.poll_next(&mut cx), Poll::Ready(None)));
    assert!(subscription.is_ended());
    assert_eq!(subscription.subscribe(name("a")), Err(SubscribeError::Ended));
}

#[tokio::test]
async fn waiting_for_the_next_item_sees_to_pauses() {
    let hub = hub(ChannelOptions::default().min_interval(Duration::from_millis(5)));
    let mut subscription = hub.subscribe([interest("a")]).unwrap();
    let publisher = std::thread::spawn({
        let hub = hub.clone();
        move || (1..=20).for_each(|n| _ = publish(&hub, "a", n))
    });
    let mut seen = Vec::new();
    while seen.len() < 21 {
        seen.push(word(&subscription.next().await.unwrap()));
    }
    let expected = std::iter::once("a live".to_owned()).chain((1..=20).map(|n| format!("a {n}")));
    assert!(seen.iter().cloned().eq(expected), "{seen:?}");
    publisher.join().unwrap();
}

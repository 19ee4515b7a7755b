//! Patterns that match more channels than a cursor can name.

use std::collections::BTreeSet;

use super::*;
use crate::hub::backplane::Memory;

const CHANNELS: usize = 1000;

fn publish(hub: &Hub, channel: usize, data: impl ToString) {
    hub.publish_blocking(&name(&format!("logs.{channel:04}")), data.to_string()).unwrap();
}

fn publish_to_all(hub: &Hub, data: impl ToString) {
    (0..CHANNELS).for_each(|channel| publish(hub, channel, data.to_string()));
}

fn cursor(subscription: &Subscription) -> String {
    let cursor = subscription.cursor().unwrap().to_string();
    assert!(cursor.len() <= MAX_CURSOR);
    cursor
}

fn resume(hub: &Hub, cursor: &str) -> Subscription {
    let mut subscription = hub.subscriber();
    subscription.resume([interest("logs.*")], cursor).unwrap();
    subscription
}

fn subscribe(hub: &Hub) -> Subscription {
    let mut subscription = hub.subscribe([interest("logs.*")]).unwrap();
    words(&mut subscription);
    subscription
}

#[test]
fn whoever_has_heard_all_has_a_short_cursor_and_misses_nothing() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub);
    publish_to_all(&hub, "old");
    assert_eq!(words(&mut subscription).len(), CHANNELS);
    let before = cursor(&subscription);
    assert!(before.len() < 100, "{before}");
    let mut again = resume(&hub, &before);
    assert_eq!(words(&mut again), ["logs.* recovered"]);
    assert_eq!(cursor(&again), before);
    publish(&hub, 7, "new");
    publish(&hub, CHANNELS, "new");
    let expected = ["logs.* recovered", "logs.0007 new", "logs.1000 new"];
    assert_eq!(words(&mut resume(&hub, &before)), expected);
}

#[test]
fn a_channel_that_has_come_and_was_not_looked_at_yet_is_in_the_cursor() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub);
    publish_to_all(&hub, "old");
    words(&mut subscription);
    publish(&hub, CHANNELS, "unseen");
    let cursor = cursor(&subscription);
    assert_eq!(words(&mut resume(&hub, &cursor)), ["logs.* recovered", "logs.1000 unseen"]);
}

/// Goes on in pieces, as one who polls, and counts what comes.
fn read_in_pieces(hub: &Hub, mut at: String, piece: usize) -> (BTreeSet<String>, usize, usize) {
    let (mut seen, mut count, mut pieces) = (BTreeSet::new(), 0, 0);
    loop {
        let mut subscription = resume(hub, &at);
        assert_eq!(word(&subscription.try_next().unwrap()), "logs.* recovered");
        let items: Vec<_> = std::iter::from_fn(|| subscription.try_next())
            .take(piece)
            .map(|it| word(&it))
            .collect();
        if items.is_empty() {
            return (seen, count, pieces);
        }
        count += items.len();
        pieces += 1;
        seen.extend(items);
        assert!(pieces < 10 * CHANNELS, "it does not get on");
        at = cursor(&subscription);
    }
}

#[test]
fn whoever_breaks_off_again_and_again_gets_all_of_it_in_the_end() {
    let hub = Hub::new();
    let mut subscription = subscribe(&hub);
    publish_to_all(&hub, "old");
    words(&mut subscription);
    let at = cursor(&subscription);
    (0..20).for_each(|n| publish_to_all(&hub, n));
    let (seen, count, pieces) = read_in_pieces(&hub, at, 1000);
    assert_eq!(seen.len(), 20 * CHANNELS);
    assert!(count < 3 * seen.len(), "{count} in {pieces} pieces");
}

#[test]
fn what_is_gone_is_a_gap_of_its_channel_and_no_other() {
    let hub = Hub::builder().defaults(ChannelOptions::default().history_size(1).backlog(1)).build();
    let mut subscription = subscribe(&hub);
    publish_to_all(&hub, "old");
    words(&mut subscription);
    let at = cursor(&subscription);
    publish(&hub, 1, "recovered");
    publish(&hub, 2, "gone");
    publish(&hub, 2, "left");
    let read = words(&mut resume(&hub, &at));
    let expected = ["logs.* not recovered", "logs.0002 gap expired ?..3", "logs.0001 recovered"];
    assert_eq!(read, expected);
}

#[test]
fn channels_that_were_lost_are_told_of_however_many_there_are() {
    let hub = Hub::builder().history_budget(2_000_000).build();
    let mut subscription = subscribe(&hub);
    publish_to_all(&hub, "old");
    words(&mut subscription);
    let at = cursor(&subscription);
    drop(subscription);
    (0..100).for_each(|n| {
        hub.publish_blocking(&name(&format!("other.{n}")), vec![0; 20_000]).unwrap();
    });
    assert!(hub.position(&name("logs.0000")).is_none());
    let mut again = resume(&hub, &at);
    let told = words(&mut again);
    assert!(told.len() > 100 && told[1..].iter().all(|item| item.contains("gap")), "{told:?}");
    assert_eq!(words(&mut resume(&hub, &cursor(&again))), ["logs.* recovered"]);
    // Before all of it is told, all of it is told again.
    let mut cut = resume(&hub, &at);
    (0..10).for_each(|_| _ = cut.try_next());
    assert_eq!(words(&mut resume(&hub, &cursor(&cut))), told);
}

#[test]
fn over_a_backplane_nothing_is_missed_on_the_same_node_and_what_is_named_goes_on_on_another() {
    let memory = Memory::new();
    let [here, there, other] = [(); 3].map(|()| Hub::builder().backplane(memory.node()).build());
    let mut subscription = subscribe(&here);
    publish_to_all(&other, "old");
    assert_eq!(words(&mut subscription).len(), CHANNELS);
    let at = cursor(&subscription);
    for channel in [7, CHANNELS - 1, CHANNELS] {
        publish(&other, channel, "new");
    }
    let mut read = words(&mut resume(&here, &at));
    assert_eq!(read.remove(0), "logs.* recovered");
    read.sort();
    assert_eq!(read, ["logs.0007 new", "logs.0999 new", "logs.1000 new"]);

    let mut again = resume(&there, &at);
    let read = words(&mut again);
    assert_eq!(read[0], "logs.* not recovered");
    assert!(read[1].starts_with("logs.* gap epoch"), "{read:?}");
    assert_eq!(read[2..], ["logs.0007 new"]);
    let at = cursor(&again);
    publish(&other, 7, "newer");
    assert_eq!(words(&mut resume(&there, &at)), ["logs.* recovered", "logs.0007 newer"]);
}

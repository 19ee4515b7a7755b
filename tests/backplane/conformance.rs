//! What is so with any backplane, and with none.

use std::collections::HashSet;

use lithe::hub::{GapReason, Hub, Item, Message, PublishError};

use crate::support::*;

/// A test for each function of the suite, over the nodes that an expression makes.
macro_rules! conformance {
    ($nodes:expr) => {
        conformance! { crate::conformance, $nodes =>
            what_is_published_on_one_node_arrives_on_all_in_order
            publications_of_all_nodes_have_one_order
            a_publication_arrives_as_it_was_published
            an_idempotency_key_counts_on_all_nodes
            a_client_goes_on_at_another_node
            a_client_goes_on_with_several_channels_at_another_node
            the_history_is_trimmed_exactly_and_who_missed_more_is_told
            a_long_history_is_read_in_parts
            channels_without_history_deliver_what_is_live
            history_and_position_are_those_of_all_nodes
            a_foreign_cursor_is_told_of_a_gap
            the_newest_of_each_key_arrives
            a_channel_is_listened_to_again_after_it_was_left
            what_is_too_large_is_refused
        }
    };
    ($suite:path, $nodes:expr => $($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                use $suite as suite;
                suite::$test(&$nodes).await;
            }
        )*
    };
}

pub(crate) async fn what_is_published_on_one_node_arrives_on_all_in_order(nodes: &impl Nodes) {
    let hubs = [nodes.hub(), nodes.hub(), nodes.hub()];
    let channel = name("a.b");
    let mut subscriptions = Vec::new();
    for hub in &hubs {
        subscriptions.push(subscribe(hub, &channel).await);
    }
    for number in 0..300 {
        publish(&hubs[number % 3], &channel, number).await;
    }
    for subscription in &mut subscriptions {
        for number in 0..300 {
            assert_eq!(next_data(subscription).await, number.to_string());
        }
        assert!(subscription.try_next().is_none());
    }
}

pub(crate) async fn publications_of_all_nodes_have_one_order(nodes: &impl Nodes) {
    const EACH: usize = 200;
    let hubs = [nodes.hub(), nodes.hub()];
    let channel = name("busy");
    let mut subscriptions = Vec::new();
    for hub in hubs.iter().cycle().take(4) {
        subscriptions.push(subscribe(hub, &channel).await);
    }
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let (hub, channel): (Hub, _) = (hubs[publisher % 2].clone(), channel.clone());
            tokio::spawn(async move {
                for number in 0..EACH {
                    publish(&hub, &channel, format!("{publisher} {number}")).await;
                }
            })
        })
        .collect();
    let mut orders = HashSet::new();
    for subscription in &mut subscriptions {
        let mut order = Vec::new();
        while order.len() < 4 * EACH {
            order.push(next_data(subscription).await);
        }
        for publisher in 0..4 {
            let of_it = order.iter().filter_map(|data| {
                data.strip_prefix(&format!("{publisher} "))
                    .map(|number| number.parse::<usize>().unwrap())
            });
            assert!(of_it.eq(0..EACH), "one publisher's are in its order");
        }
        orders.insert(order);
    }
    assert_eq!(orders.len(), 1);
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

pub(crate) async fn a_publication_arrives_as_it_was_published(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("a.b:c-d");
    let mut subscriptions = [subscribe(&here, &channel).await, subscribe(&there, &channel).await];
    let all_bytes: Vec<u8> = (0..=255).collect();
    let labelled =
        Message::new(all_bytes.clone()).name("größe").unwrap().key("key \u{1f511}").unwrap();
    let messages = [labelled, Message::new(""), Message::new(vec![7; 300_000])];
    let mut positions = Vec::new();
    for message in &messages {
        positions.push(here.publish(&channel, message.clone()).await.unwrap().position);
    }
    let mut times = Vec::new();
    for subscription in &mut subscriptions {
        let mut publications = Vec::new();
        for position in &positions {
            let Item::Publication(publication) = next(subscription).await else { panic!() };
            assert_eq!(publication.position(), *position);
            assert_eq!(publication.channel(), &channel);
            publications.push(publication);
        }
        assert_eq!(publications[0].data(), &all_bytes);
        assert_eq!(publications[0].name(), Some("größe"));
        assert_eq!(publications[0].key(), Some("key \u{1f511}"));
        assert_eq!(publications[1].data(), "");
        assert_eq!((publications[1].name(), publications[1].key()), (None, None));
        assert_eq!(publications[2].data(), &vec![7; 300_000]);
        times.push(publications.iter().map(|p| p.unix_millis()).collect::<Vec<_>>());
    }
    assert_eq!(times[0], times[1]);
    assert!(times[0][0] > 1_600_000_000_000);
}

pub(crate) async fn an_idempotency_key_counts_on_all_nodes(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("orders");
    let mut subscription = subscribe(&there, &channel).await;
    let message = |data: &str| Message::new(data.to_owned()).idempotency_key("k 1").unwrap();
    let first = here.publish(&channel, message("first")).await.unwrap();
    let again = there.publish(&channel, message("again")).await.unwrap();
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(first.position, again.position);
    // On another channel it is another key.
    assert!(!here.publish(&name("other"), message("other")).await.unwrap().duplicate);
    publish(&here, &channel, "second").await;
    assert_eq!(next_data(&mut subscription).await, "first");
    assert_eq!(next_data(&mut subscription).await, "second");
}

pub(crate) async fn a_client_goes_on_at_another_node(nodes: &impl Nodes) {
    let here = nodes.hub();
    let channel = name("news");
    let mut subscription = subscribe(&here, &channel).await;
    let mut expected = 0;
    for round in 0..5 {
        publish_all(&here, &channel, 20 * round..20 * round + 10).await;
        for _ in 0..5 {
            assert_eq!(next_data(&mut subscription).await, expected.to_string());
            expected += 1;
        }
        let cursor = subscription.cursor().unwrap().to_string();
        drop(subscription);
        let there = nodes.hub();
        publish_all(&there, &channel, 20 * round + 10..20 * round + 20).await;
        subscription = resume(&there, &["news"], &cursor);
        let subscribed = next_subscribed(&mut subscription).await;
        assert!(subscribed.was_recovering && subscribed.recovered);
        while expected < 20 * round + 20 {
            assert_eq!(next_data(&mut subscription).await, expected.to_string());
            expected += 1;
        }
    }
}

pub(crate) async fn a_client_goes_on_with_several_channels_at_another_node(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channels = ["x.1", "x.2", "x.3"];
    let mut subscription = here.subscribe(channels.map(name)).unwrap();
    for _ in channels {
        next_subscribed(&mut subscription).await;
    }
    publish(&there, &name("x.1"), "a").await;
    assert_eq!(next_data(&mut subscription).await, "a");
    let cursor = subscription.cursor().unwrap().to_string();
    for channel in channels {
        publish(&here, &name(channel), channel).await;
    }
    let mut subscription = resume(&there, &channels, &cursor);
    let mut missed = HashSet::new();
    let mut subscribed = 0;
    while missed.len() < 3 {
        match next(&mut subscription).await {
            Item::Subscribed(item) => {
                assert!(item.recovered, "{item:?}");
                subscribed += 1;
            }
            Item::Publication(p) => assert!(missed.insert(p.data().clone()), "twice: {p:?}"),
            item => panic!("{item:?}"),
        }
    }
    assert_eq!(subscribed, 3);
}

pub(crate) async fn the_history_is_trimmed_exactly_and_who_missed_more_is_told(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("small.1");
    let first = publish(&here, &channel, 0).await;
    publish_all(&there, &channel, 1..SMALL + 1).await;
    // As much as there may be.
    let mut subscription = resume(&there, &["small.1"], &first.to_string());
    assert!(next_subscribed(&mut subscription).await.recovered);
    for number in 1..=SMALL {
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
    // One more. Nodes that have read it before, and one that has not.
    publish(&here, &channel, "more").await;
    assert_eq!(next_data(&mut subscription).await, "more");
    for hub in [there, nodes.hub()] {
        let mut late = resume(&hub, &["small.1"], &first.to_string());
        let subscribed = next_subscribed(&mut late).await;
        assert!(subscribed.was_recovering && !subscribed.recovered);
        let gap = next_gap(&mut late).await;
        assert_eq!((gap.reason, gap.from), (GapReason::Expired, Some(first)));
        assert_eq!(gap.to.map(|to| to.offset), Some(SMALL as u64 + 2));
    }
}

pub(crate) async fn a_long_history_is_read_in_parts(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("large.1");
    let first = publish(&here, &channel, "first").await;
    let data = |number: usize| match number % 200 {
        // Together more than is read at once, and one that is so by itself.
        0 => format!("{number} {}", "x".repeat(100_000 + 400 * number)),
        _ => number.to_string(),
    };
    for number in 0..700 {
        publish(&here, &channel, data(number)).await;
    }
    let mut subscription = resume(&there, &["large.1"], &first.to_string());
    assert!(next_subscribed(&mut subscription).await.recovered);
    for number in 0..700 {
        assert_eq!(next_data(&mut subscription).await, data(number));
    }
}

pub(crate) async fn channels_without_history_deliver_what_is_live(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("none.1");
    let before = publish(&here, &channel, "before").await;
    let mut subscription = subscribe(&there, &channel).await;
    publish_all(&here, &channel, 0..50).await;
    for number in 0..50 {
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
    let mut late = resume(&nodes.hub(), &["none.1"], &before.to_string());
    assert!(!next_subscribed(&mut late).await.recovered);
    assert_eq!(next_gap(&mut late).await.reason, GapReason::Expired);
    let at_the_end = subscription.cursor().unwrap().to_string();
    let mut current = resume(&here, &["none.1"], &at_the_end);
    assert!(next_subscribed(&mut current).await.recovered);
}

pub(crate) async fn history_and_position_are_those_of_all_nodes(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("small.2");
    publish_all(&here, &channel, 0..SMALL + 3).await;
    let last = publish(&there, &channel, "last").await;
    for hub in [&here, &there] {
        assert_eq!(hub.load_position(&channel).await.unwrap(), Some(last));
        let history = hub.load_history(&channel, 0).await.unwrap().unwrap();
        assert_eq!(history.publications.len(), SMALL);
        assert_eq!((history.to, history.from.offset), (last, last.offset - SMALL as u64));
        let rest = hub.load_history(&channel, last.offset - 1).await.unwrap().unwrap();
        assert_eq!(rest.publications.len(), 1);
        assert_eq!(rest.publications[0].data(), "last");
    }
    // Where somebody listens they are known without asking.
    let _subscription = subscribe(&there, &channel).await;
    assert_eq!(there.position(&channel), Some(last));
    assert_eq!(there.history(&channel, 0).unwrap().publications.len(), SMALL);
}

pub(crate) async fn a_foreign_cursor_is_told_of_a_gap(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("gaps");
    let position = publish(&here, &channel, "x").await;
    let ahead = format!("{}-{}", position.epoch, position.offset + 7);
    for (cursor, reason) in [("1234567890ab-3", GapReason::Epoch), (&*ahead, GapReason::Ahead)] {
        let mut subscription = resume(&there, &["gaps"], cursor);
        assert!(!next_subscribed(&mut subscription).await.recovered);
        let gap = next_gap(&mut subscription).await;
        assert_eq!((gap.reason, gap.to), (reason, Some(position)));
    }
}

pub(crate) async fn the_newest_of_each_key_arrives(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("latest.prices");
    let mut subscription = subscribe(&there, &channel).await;
    for (key, data) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("a", "a3")] {
        here.publish(&channel, Message::new(data).key(key).unwrap()).await.unwrap();
    }
    let mut read = Vec::new();
    while read.last().is_none_or(|last| last != "a3") {
        read.push(next_data(&mut subscription).await);
    }
    assert!(read.is_sorted_by_key(|data| {
        ["a1", "b1", "a2", "b2", "a3"].iter().position(|other| other == data)
    }));
    assert!(read.contains(&"b2".to_owned()));
}

pub(crate) async fn a_channel_is_listened_to_again_after_it_was_left(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("again");
    for round in 0..10 {
        let mut subscription = there.subscriber();
        subscription.subscribe(channel.clone()).unwrap();
        next_subscribed(&mut subscription).await;
        publish(&here, &channel, round).await;
        // The last one may still have been on its way when this began.
        let mut data = next_data(&mut subscription).await;
        if data == "unheard" {
            data = next_data(&mut subscription).await;
        }
        assert_eq!(data, round.to_string());
        assert!(subscription.unsubscribe(&channel.clone().into()));
        assert!(matches!(next(&mut subscription).await, Item::Unsubscribed { .. }));
        publish(&here, &channel, "unheard").await;
        there.sweep();
    }
}

pub(crate) async fn what_is_too_large_is_refused(nodes: &impl Nodes) {
    let bytes = Hub::MAX_DATA + 1;
    let refused = nodes.hub().publish(&name("a"), vec![0; bytes]).await;
    assert_eq!(refused, Err(PublishError::TooLarge { bytes }));
}

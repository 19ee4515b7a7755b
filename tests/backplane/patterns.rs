//! What is so of patterns with any backplane that knows them.

use std::collections::{HashMap, HashSet};

use lithe::hub::{ChannelName, GapReason, Hub, Interest, Item, Position, Subscription};

use crate::support::*;

/// A test for each function of the suite, over the nodes that an expression makes.
macro_rules! patterns {
    ($nodes:expr) => {
        conformance! { crate::patterns, $nodes =>
            a_pattern_has_the_channels_of_all_nodes_also_those_to_come
            a_pattern_without_history_delivers_what_is_live
            a_pattern_with_many_channels_misses_none
            a_pattern_goes_on_at_the_same_node_without_a_gap
            a_channel_goes_on_when_its_pattern_is_left
        }
    };
}

/// The same, for nodes that fail.
macro_rules! pattern_faults {
    ($nodes:expr) => {
        conformance! { crate::patterns, $nodes =>
            a_pattern_goes_on_at_another_node_after_one_gap
            a_pattern_begins_when_the_outage_ends
            an_outage_is_one_gap_of_a_pattern_and_known_channels_lose_nothing
        }
    };
}

async fn subscribe(hub: &Hub, pattern: &str) -> Subscription {
    let mut subscription = hub.subscribe([pattern.parse::<Interest>().unwrap()]).unwrap();
    let subscribed = next_subscribed(&mut subscription).await;
    assert_eq!((subscribed.interest.as_str(), subscribed.position), (pattern, None));
    subscription
}

fn cursor(subscription: &Subscription) -> String {
    subscription.cursor().unwrap().to_string()
}

/// Reads as many publications, of each channel in order and each once, and nothing else.
async fn read(subscription: &mut Subscription, count: usize) -> HashMap<ChannelName, Vec<String>> {
    let mut read: HashMap<_, Vec<String>> = HashMap::new();
    let mut at: HashMap<ChannelName, Position> = HashMap::new();
    for _ in 0..count {
        let item = next(subscription).await;
        let Item::Publication(publication) = item else { panic!("{item:?}") };
        let channel = publication.channel().clone();
        let position = publication.position();
        if let Some(before) = at.insert(channel.clone(), position) {
            assert_eq!(before.epoch, position.epoch);
            assert_eq!(before.offset + 1, position.offset, "{channel}: a hole, or twice");
        }
        let data = String::from_utf8(publication.data().to_vec()).unwrap();
        read.entry(channel).or_default().push(data);
    }
    read
}

pub(crate) async fn a_pattern_has_the_channels_of_all_nodes_also_those_to_come(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    publish_all(&here, &name("logs.1"), 0..3).await;
    publish_all(&here, &name("logs.1.deep"), 0..3).await;
    let mut one = subscribe(&there, "logs.*").await;
    let mut tail = subscribe(&there, "logs.**").await;
    publish(&here, &name("logs.1"), "a").await;
    publish(&here, &name("logs.2"), "b").await;
    publish(&here, &name("logs.1.deep"), "c").await;
    publish(&here, &name("blog.1"), "d").await;
    publish(&there, &name("logs.2"), "e").await;
    let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let first = read(&mut one, 3).await;
    assert_eq!(first[&name("logs.1")], words(&["a"]));
    assert_eq!(first[&name("logs.2")], words(&["b", "e"]));
    let first = read(&mut tail, 4).await;
    assert_eq!(first[&name("logs.1")], words(&["a"]));
    assert_eq!(first[&name("logs.2")], words(&["b", "e"]));
    assert_eq!(first[&name("logs.1.deep")], words(&["c"]));
    assert!(one.try_next().is_none() && tail.try_next().is_none());
}

pub(crate) async fn a_pattern_without_history_delivers_what_is_live(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    publish_all(&here, &name("none.1"), 0..3).await;
    let mut subscription = subscribe(&there, "none.*").await;
    for channel in ["none.1", "none.2"] {
        publish_all(&here, &name(channel), 3..20).await;
    }
    let expected: Vec<_> = (3..20).map(|number| number.to_string()).collect();
    let read = read(&mut subscription, 34).await;
    assert_eq!((&read[&name("none.1")], &read[&name("none.2")]), (&expected, &expected));
}

pub(crate) async fn a_pattern_with_many_channels_misses_none(nodes: &impl Nodes) {
    const CHANNELS: usize = 150;
    let (here, there) = (nodes.hub(), nodes.hub());
    let mut subscriptions = [subscribe(&there, "many.*").await, subscribe(&there, "many.**").await];
    let publishers: Vec<_> = (0..2)
        .map(|half| {
            let hub: Hub = [&here, &there][half].clone();
            tokio::spawn(async move {
                for round in 0..4 {
                    for number in (half..CHANNELS).step_by(2) {
                        publish(&hub, &name(&format!("many.{number}")), round).await;
                    }
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.await.unwrap();
    }
    for subscription in &mut subscriptions {
        let read = read(subscription, 4 * CHANNELS).await;
        assert_eq!(read.len(), CHANNELS);
        assert!(read.values().all(|data| *data == ["0", "1", "2", "3"]));
        assert!(subscription.try_next().is_none());
    }
}

pub(crate) async fn a_pattern_goes_on_at_the_same_node_without_a_gap(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let mut subscription = subscribe(&there, "logs.**").await;
    let mut expected = HashMap::new();
    for round in 0..5 {
        publish_all(&here, &name("logs.1"), 10 * round..10 * round + 5).await;
        expected = read(&mut subscription, 5).await;
        let cursor = cursor(&subscription);
        drop(subscription);
        publish_all(&here, &name("logs.1"), 10 * round + 5..10 * round + 10).await;
        publish(&here, &name(&format!("logs.new.{round}")), "new").await;
        subscription = resume(&there, &["logs.**"], &cursor);
        assert!(next_subscribed(&mut subscription).await.recovered);
        let missed = read(&mut subscription, 6).await;
        assert_eq!(missed[&name(&format!("logs.new.{round}"))], ["new"]);
        assert_eq!(missed[&name("logs.1")].len(), 5);
    }
    assert_eq!(expected.len(), 1);
}

pub(crate) async fn a_channel_goes_on_when_its_pattern_is_left(nodes: &impl Nodes) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let mut subscription = subscribe(&there, "logs.*").await;
    publish(&here, &name("logs.1"), "a").await;
    assert_eq!(next_data(&mut subscription).await, "a");
    subscription.subscribe(name("logs.1")).unwrap();
    assert_eq!(next_subscribed(&mut subscription).await.position.unwrap().offset, 1);
    assert!(subscription.unsubscribe(&"logs.*".parse().unwrap()));
    assert!(matches!(next(&mut subscription).await, Item::Unsubscribed { .. }));
    publish(&here, &name("logs.2"), "unheard").await;
    publish(&here, &name("logs.1"), "b").await;
    assert_eq!(next_data(&mut subscription).await, "b");
    // And the other way round.
    subscription.subscribe("logs.*".parse::<Interest>().unwrap()).unwrap();
    next_subscribed(&mut subscription).await;
    assert!(subscription.unsubscribe(&name("logs.1").into()));
    assert!(matches!(next(&mut subscription).await, Item::Unsubscribed { .. }));
    publish(&here, &name("logs.1"), "c").await;
    publish(&here, &name("logs.3"), "d").await;
    let read = read(&mut subscription, 2).await;
    assert_eq!((&*read[&name("logs.1")][0], &*read[&name("logs.3")][0]), ("c", "d"));
}

pub(crate) async fn a_pattern_goes_on_at_another_node_after_one_gap(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let mut subscription = subscribe(&there, "logs.*").await;
    publish(&here, &name("logs.1"), "a").await;
    assert_eq!(next_data(&mut subscription).await, "a");
    let cursor = cursor(&subscription);
    publish(&here, &name("logs.1"), "b").await;
    publish(&here, &name("logs.2"), "unknown").await;
    let mut subscription = resume(&nodes.hub(), &["logs.*"], &cursor);
    let subscribed = next_subscribed(&mut subscription).await;
    assert!(subscribed.was_recovering && !subscribed.recovered);
    let gap = next_gap(&mut subscription).await;
    assert_eq!((gap.interest.as_str(), gap.reason), ("logs.*", GapReason::Epoch));
    // What it knew goes on where it was.
    assert_eq!(next_data(&mut subscription).await, "b");
    publish(&here, &name("logs.1"), "c").await;
    assert_eq!(next_data(&mut subscription).await, "c");
    publish(&here, &name("logs.2"), "d").await;
    assert_eq!(next_data(&mut subscription).await, "d");
}

pub(crate) async fn a_pattern_begins_when_the_outage_ends(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    publish(&here, &name("logs.1"), "before").await;
    nodes.begin_outage().await;
    let mut subscription = there.subscribe(["logs.*".parse::<Interest>().unwrap()]).unwrap();
    assert!(subscription.try_next().is_none());
    let early = cursor(&subscription);
    nodes.end_outage().await;
    assert!(!next_subscribed(&mut subscription).await.was_recovering);
    until_ok(&here).await;
    publish(&here, &name("logs.1"), "after").await;
    publish(&here, &name("logs.2"), "new").await;
    let mut read: Vec<_> = [next_data(&mut subscription).await, next_data(&mut subscription).await]
        .into_iter()
        .collect();
    read.sort();
    assert_eq!(read, ["after", "new"]);
    // Who broke off before it had begun is told of a gap.
    let mut late = resume(&there, &["logs.*"], &early);
    assert!(!next_subscribed(&mut late).await.recovered);
    assert_eq!(next_gap(&mut late).await.interest.as_str(), "logs.*");
}

pub(crate) async fn an_outage_is_one_gap_of_a_pattern_and_known_channels_lose_nothing(
    nodes: &impl Faults,
) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        subscriptions.push(subscribe(&there, "logs.*").await);
    }
    publish(&here, &name("logs.1"), "a").await;
    for subscription in &mut subscriptions {
        assert_eq!(next_data(subscription).await, "a");
    }
    let before = cursor(&subscriptions[0]);
    nodes.begin_outage().await;
    until_degraded(&there).await;
    nodes.end_outage().await;
    until_ok(&here).await;
    for data in ["b", "c"] {
        publish(&here, &name("logs.1"), data).await;
    }
    for subscription in &mut subscriptions {
        let mut gaps = 0;
        let mut read = HashSet::new();
        while read.len() < 2 || gaps < 1 {
            match next(subscription).await {
                Item::Gap(gap) => {
                    assert_eq!(gap.interest.as_str(), "logs.*");
                    assert_eq!(gap.reason, GapReason::Backplane);
                    gaps += 1;
                }
                Item::Publication(publication) => {
                    assert!(read.insert(publication.position().offset), "twice");
                }
                item => panic!("{item:?}"),
            }
        }
        assert_eq!((read, gaps), ([2, 3].into(), 1));
        assert!(subscription.try_next().is_none());
    }
    // Who was away meanwhile is told the same.
    let mut late = resume(&there, &["logs.*"], &before);
    assert!(!next_subscribed(&mut late).await.recovered);
    assert_eq!(next_gap(&mut late).await.interest.as_str(), "logs.*");
    assert_eq!(next_data(&mut late).await, "b");
    // And what comes then arrives.
    publish(&here, &name("logs.2"), "new").await;
    assert_eq!(next_data(&mut subscriptions[0]).await, "new");
}

//! What is so with any backplane that fails.

use lithe::hub::{GapReason, PublishError};

use crate::support::*;

macro_rules! faults {
    ($nodes:expr) => {
        conformance! { crate::faults, $nodes =>
            an_outage_is_told_and_nothing_is_lost_by_it
            who_subscribes_during_an_outage_begins_when_it_ends
            a_lost_log_is_told_to_live_and_returning_subscribers
            lost_history_is_told_where_it_was_needed
            a_log_that_lost_its_end_begins_anew
        }
    };
}

pub(crate) async fn an_outage_is_told_and_nothing_is_lost_by_it(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("news");
    let mut subscription = subscribe(&there, &channel).await;
    publish(&here, &channel, "before").await;
    assert_eq!(next_data(&mut subscription).await, "before");
    assert!(here.health().is_ok());
    nodes.begin_outage().await;
    let failed = within(here.publish(&channel, "lost")).await.unwrap_err();
    assert!(
        matches!(failed, PublishError::Unavailable(_) | PublishError::Timeout(_)),
        "{failed:?}"
    );
    until_degraded(&here).await;
    assert!(here.stats().publish_failures >= 1);
    assert!(subscription.try_next().is_none());
    nodes.end_outage().await;
    until_ok(&here).await;
    publish(&here, &channel, "after").await;
    // The one that was said to have failed may have been published all the same.
    let mut data = next_data(&mut subscription).await;
    if data == "lost" {
        data = next_data(&mut subscription).await;
    }
    assert_eq!(data, "after");
}

pub(crate) async fn who_subscribes_during_an_outage_begins_when_it_ends(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("news");
    let cursor = publish(&here, &channel, "first").await.to_string();
    publish(&here, &channel, "second").await;
    nodes.begin_outage().await;
    let mut fresh = there.subscribe([channel.clone()]).unwrap();
    let mut late = resume(&there, &["news"], &cursor);
    assert!(fresh.try_next().is_none() && late.try_next().is_none());
    assert_eq!(late.cursor().unwrap().to_string(), cursor);
    nodes.end_outage().await;
    assert!(next_subscribed(&mut late).await.recovered);
    assert_eq!(next_data(&mut late).await, "second");
    assert_eq!(next_subscribed(&mut fresh).await.position.unwrap().offset, 2);
}

pub(crate) async fn a_lost_log_is_told_to_live_and_returning_subscribers(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("news");
    let mut subscription = subscribe(&there, &channel).await;
    let before = publish(&here, &channel, "before").await;
    assert_eq!(next_data(&mut subscription).await, "before");
    nodes.lose(&channel).await;
    let after = publish(&here, &channel, "after").await;
    assert!(before.epoch != after.epoch && after.offset == 1);
    let gap = next_gap(&mut subscription).await;
    assert_eq!((gap.reason, gap.from), (GapReason::Epoch, Some(before)));
    assert_eq!(next_data(&mut subscription).await, "after");
    let mut late = resume(&nodes.hub(), &["news"], &before.to_string());
    assert!(!next_subscribed(&mut late).await.recovered);
    assert_eq!(next_gap(&mut late).await.reason, GapReason::Epoch);
}

pub(crate) async fn lost_history_is_told_where_it_was_needed(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("news");
    let mut current = subscribe(&there, &channel).await;
    let first = publish(&here, &channel, "first").await;
    publish(&here, &channel, "second").await;
    assert_eq!(next_data(&mut current).await, "first");
    assert_eq!(next_data(&mut current).await, "second");
    nodes.lose_history(&channel).await;
    publish(&here, &channel, "third").await;
    // Whoever has everything misses nothing.
    assert_eq!(next_data(&mut current).await, "third");
    let mut late = resume(&nodes.hub(), &["news"], &first.to_string());
    assert!(!next_subscribed(&mut late).await.recovered);
    assert_eq!(next_gap(&mut late).await.reason, GapReason::Expired);
}

pub(crate) async fn a_log_that_lost_its_end_begins_anew(nodes: &impl Faults) {
    let (here, there) = (nodes.hub(), nodes.hub());
    let channel = name("news");
    let mut subscription = subscribe(&there, &channel).await;
    publish_all(&here, &channel, 0..10).await;
    for number in 0..10 {
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
    let last = subscription.cursor().unwrap().to_string();
    nodes.lose_end(&channel, 3).await;
    // At the place of another one, which the hub must not take for it.
    publish(&here, &channel, "new").await;
    let gap = next_gap(&mut subscription).await;
    assert_eq!(gap.reason, GapReason::Epoch);
    publish(&here, &channel, "newer").await;
    assert_eq!(next_data(&mut subscription).await, "newer");
    let mut late = resume(&nodes.hub(), &["news"], &last);
    assert!(!next_subscribed(&mut late).await.recovered);
    assert_eq!(next_gap(&mut late).await.reason, GapReason::Epoch);
}

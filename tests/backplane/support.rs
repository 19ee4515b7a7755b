//! What the tests of all backplanes use.

use std::time::Duration;

use lithe::hub::backplane::Health;
use lithe::hub::{
    Builder, ChannelName, ChannelOptions, Gap, Hub, Interest, Item, Overflow, Position, Subscribed,
    Subscription,
};

/// How many publications the channels `small.*` keep.
pub(crate) const SMALL: usize = 5;

/// Hubs that are joined by one backplane.
pub(crate) trait Nodes {
    /// One more hub.
    fn hub(&self) -> Hub;
}

/// What can go wrong with a backplane.
pub(crate) trait Faults: Nodes {
    /// Nothing can be published or read until [`end_outage`](Self::end_outage).
    async fn begin_outage(&self);
    async fn end_outage(&self);
    /// The log of a channel is gone.
    async fn lose(&self, channel: &ChannelName);
    /// The publications in the log of a channel are gone, but not how many there were.
    async fn lose_history(&self, channel: &ChannelName);
    /// The last publications of a channel are gone, as if they had never been published.
    async fn lose_end(&self, channel: &ChannelName, publications: usize);
}

/// The settings of all hubs.
pub(crate) fn builder() -> Builder {
    let options = ChannelOptions::default();
    let pattern = |text: &str| text.parse().unwrap();
    Hub::builder()
        .namespace(pattern("small.*"), options.clone().history_size(SMALL))
        .namespace(pattern("none.*"), options.clone().history_size(0))
        .namespace(pattern("latest.*"), options.clone().overflow(Overflow::Latest))
        .namespace(pattern("large.*"), options.history_size(100_000))
        .replay_limit(100_000, usize::MAX)
}

pub(crate) fn name(text: &str) -> ChannelName {
    text.parse().unwrap()
}

/// Fails instead of hanging. Generous: the machine may be busy.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("nothing came in time")
}

pub(crate) async fn next(subscription: &mut Subscription) -> Item {
    within(subscription.next()).await.expect("the subscription has ended")
}

pub(crate) async fn next_data(subscription: &mut Subscription) -> String {
    match next(subscription).await {
        Item::Publication(publication) => String::from_utf8(publication.data().to_vec()).unwrap(),
        item => panic!("no publication: {item:?}"),
    }
}

pub(crate) async fn next_subscribed(subscription: &mut Subscription) -> Subscribed {
    match next(subscription).await {
        Item::Subscribed(subscribed) => subscribed,
        item => panic!("not subscribed: {item:?}"),
    }
}

pub(crate) async fn next_gap(subscription: &mut Subscription) -> Gap {
    match next(subscription).await {
        Item::Gap(gap) => gap,
        item => panic!("no gap: {item:?}"),
    }
}

/// A subscription to one channel from now on, when it is there.
pub(crate) async fn subscribe(hub: &Hub, channel: &ChannelName) -> Subscription {
    let mut subscription = hub.subscribe([channel.clone()]).unwrap();
    assert!(!next_subscribed(&mut subscription).await.was_recovering);
    subscription
}

/// A subscription that goes on from a cursor.
pub(crate) fn resume(hub: &Hub, channels: &[&str], cursor: &str) -> Subscription {
    let mut subscription = hub.subscriber();
    let interests = channels.iter().map(|channel| channel.parse::<Interest>().unwrap());
    subscription.resume(interests, cursor).unwrap();
    subscription
}

pub(crate) async fn publish(hub: &Hub, channel: &ChannelName, data: impl ToString) -> Position {
    within(hub.publish(channel, data.to_string())).await.unwrap().position
}

/// Publishes so many, with their numbers as data.
pub(crate) async fn publish_all(hub: &Hub, channel: &ChannelName, numbers: std::ops::Range<usize>) {
    for number in numbers {
        publish(hub, channel, number).await;
    }
}

pub(crate) async fn until_degraded(hub: &Hub) {
    within(async {
        loop {
            if let Health::Degraded { since, reason } = hub.health() {
                assert!(since <= std::time::SystemTime::now());
                assert!(!reason.to_string().is_empty());
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) async fn until_ok(hub: &Hub) {
    within(async {
        while !hub.health().is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

//! The suite over hubs of one process, and over one hub without a backplane.

use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use lithe::hub::backplane::Memory;
use lithe::hub::{ChannelName, GapReason, Hub};

use crate::support::*;

impl Nodes for Memory {
    fn hub(&self) -> Hub {
        builder().backplane(self.node()).build()
    }
}

impl Faults for Memory {
    async fn begin_outage(&self) {
        self.set_available(false);
    }

    async fn end_outage(&self) {
        self.set_available(true);
    }

    async fn lose(&self, channel: &ChannelName) {
        Memory::lose(self, channel);
    }

    async fn lose_history(&self, channel: &ChannelName) {
        Memory::lose_history(self, channel);
    }

    async fn lose_end(&self, channel: &ChannelName, publications: usize) {
        Memory::lose_end(self, channel, publications);
    }
}

/// All "nodes" are one hub.
struct Alone(Hub);

impl Nodes for Alone {
    fn hub(&self) -> Hub {
        self.0.clone()
    }
}

mod joined {
    use super::*;

    conformance!(Memory::new());
    faults!(Memory::new());
    patterns!(Memory::new());
    pattern_faults!(Memory::new());
}

mod alone {
    use super::*;

    conformance!(Alone(builder().build()));
    patterns!(Alone(builder().build()));
}

#[tokio::test]
async fn publications_that_were_not_passed_on_are_read_before_later_ones() {
    let memory = Memory::new();
    let node = memory.node();
    let hub = builder().backplane(node.clone()).build();
    let other = memory.hub();
    let channel = name("news");
    let mut subscription = subscribe(&hub, &channel).await;
    for round in 0..20 {
        node.drop_deliveries(round % 5);
        publish_all(&other, &channel, 10 * round..10 * round + 10).await;
        for number in 10 * round..10 * round + 10 {
            assert_eq!(next_data(&mut subscription).await, number.to_string());
        }
    }
    assert!(hub.stats().holes >= 16);
    // Nothing follows on the last ones: the node sees it when it is told where the log ends.
    node.drop_deliveries(2);
    publish_all(&other, &channel, 200..202).await;
    assert!(subscription.try_next().is_none());
    node.check();
    assert_eq!(next_data(&mut subscription).await, "200");
    assert_eq!(next_data(&mut subscription).await, "201");
}

#[tokio::test]
async fn a_hole_that_cannot_be_read_is_a_gap() {
    let memory = Memory::new();
    let node = memory.node();
    let hub = builder().backplane(node.clone()).build();
    let channel = name("small.1");
    let mut subscription = subscribe(&hub, &channel).await;
    publish(&hub, &channel, "first").await;
    assert_eq!(next_data(&mut subscription).await, "first");
    node.set_connected(false);
    publish_all(&hub, &channel, 0..SMALL + 3).await;
    node.set_connected(true);
    let gap = next_gap(&mut subscription).await;
    assert_eq!(gap.reason, GapReason::Backplane);
    assert_eq!((gap.from.unwrap().offset, gap.to.unwrap().offset), (1, 4));
    for number in 3..SMALL + 3 {
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
}

#[tokio::test]
async fn what_is_passed_on_while_the_log_is_read_waits_for_it() {
    let memory = Memory::new();
    let node = memory.node();
    let hub = builder().backplane(node.clone()).build();
    let other = memory.hub();
    let channel = name("large.1");
    publish_all(&other, &channel, 0..10).await;
    node.set_reading(false);
    let mut subscription = hub.subscribe([channel.clone()]).unwrap();
    // More than may wait.
    publish_all(&other, &channel, 10..3_000).await;
    assert!(subscription.try_next().is_none());
    node.set_reading(true);
    assert_eq!(next_subscribed(&mut subscription).await.position.unwrap().offset, 3_000);
    node.set_reading(false);
    node.drop_deliveries(1);
    publish_all(&other, &channel, 3_000..6_000).await;
    assert!(subscription.try_next().is_none());
    node.set_reading(true);
    for number in 3_000..6_000 {
        assert_eq!(next_data(&mut subscription).await, number.to_string());
    }
}

#[tokio::test]
async fn a_hub_that_is_gone_leaves_the_others_alone() {
    let memory = Memory::new();
    let (here, there) = (memory.hub(), memory.hub());
    let channel = name("news");
    let mut subscription = subscribe(&here, &channel).await;
    drop(subscribe(&there, &channel).await);
    drop(there);
    publish(&here, &channel, "still").await;
    assert_eq!(next_data(&mut subscription).await, "still");
}

/// Fails instead of hanging: what hangs does not give its thread back.
fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(Duration::from_secs(60)).expect("it is not done in time")
}

#[tokio::test]
async fn channels_beyond_the_budget_can_be_subscribed_to() {
    let memory = Memory::new();
    publish_all(&memory.hub(), &name("room.5"), 0..100).await;
    // There is no room for anything else than those to which somebody listens.
    let hub = builder().history_budget(2_000).backplane(memory.node()).build();
    let rooms = (0..10).map(|number| name(&format!("room.{number}")));
    let mut subscription = on_a_thread(move || hub.subscribe(rooms).unwrap());
    for _ in 0..10 {
        next_subscribed(&mut subscription).await;
    }
}

/// Publishes when it is woken, at once.
struct Answers(Hub);

impl Wake for Answers {
    fn wake(self: Arc<Self>) {
        self.0.publish_blocking(&name("answers"), "heard").unwrap();
    }
}

#[tokio::test]
async fn who_is_woken_by_a_publication_may_publish() {
    let memory = Memory::new();
    let (here, there) = (memory.hub(), memory.hub());
    let mut questions = subscribe(&here, &name("questions")).await;
    let mut answers = subscribe(&there, &name("answers")).await;
    let waker = Waker::from(Arc::new(Answers(here.clone())));
    assert!(questions.poll_next(&mut Context::from_waker(&waker)).is_pending());
    on_a_thread(move || there.publish_blocking(&name("questions"), "who?").unwrap());
    assert_eq!(next_data(&mut questions).await, "who?");
    assert_eq!(next_data(&mut answers).await, "heard");
}

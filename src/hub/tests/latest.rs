//! Channels that are conflated: whatever a subscriber does not see has been superseded.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::hub::clock::ManualClock;

#[derive(Clone, Debug)]
enum Step {
    Publish { key: u8 },
    Read { items: usize },
    Resume,
    Advance { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5u8).prop_map(|key| Step::Publish { key }),
        2 => (1..8usize).prop_map(|items| Step::Read { items }),
        1 => Just(Step::Resume),
        2 => (1..150u64).prop_map(|millis| Step::Advance { millis }),
    ]
}

proptest! {
    #[test]
    fn the_newest_of_each_key_is_seen_and_in_order(
        steps in prop::collection::vec(step(), 1..80),
        interval in prop_oneof![Just(0), Just(100u64)],
    ) {
        let clock = ManualClock::new();
        let options = ChannelOptions::default()
            .overflow(Overflow::Latest)
            .history_size(5)
            .min_interval(Duration::from_millis(interval));
        let hub = Hub::builder().defaults(options).clock(clock.clone()).build();
        let channel = name("a");
        let mut subscription = hub.subscribe([channel.clone()]).unwrap();
        let mut newest: HashMap<String, Offset> = HashMap::new();
        let mut seen: HashMap<String, Offset> = HashMap::new();
        let mut last = 0;
        let mut take = |subscription: &mut Subscription| {
            match subscription.try_next() {
                Some(Item::Publication(publication)) => {
                    let offset = publication.position().offset;
                    assert!(offset > last, "{offset} after {last}");
                    last = offset;
                    seen.insert(publication.key().unwrap().to_owned(), offset);
                    true
                }
                Some(Item::Subscribed(_)) => true,
                Some(item) => panic!("{item:?}"),
                None => false,
            }
        };
        for step in steps {
            match step {
                Step::Publish { key } => {
                    let message = Message::new("x").key(key.to_string()).unwrap();
                    let published = hub.publish_blocking(&channel, message).unwrap();
                    newest.insert(key.to_string(), published.position.offset);
                }
                Step::Read { items } => {
                    let _ = (0..items).all(|_| take(&mut subscription));
                }
                Step::Resume => {
                    let cursor = subscription.cursor().unwrap().to_string();
                    subscription = hub.subscriber();
                    subscription.resume([channel.clone()], &cursor).unwrap();
                }
                Step::Advance { millis } => clock.advance(Duration::from_millis(millis)),
            }
        }
        loop {
            while take(&mut subscription) {}
            let Some(due) = subscription.next_due() else { break };
            clock.advance(due - clock.now());
        }
        prop_assert_eq!(seen, newest);
    }
}

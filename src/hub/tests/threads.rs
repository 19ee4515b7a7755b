use std::collections::HashMap;
use std::future::poll_fn;
use std::thread;

use super::*;

const PUBLISHERS: usize = 4;
const SUBSCRIBERS: usize = 8;
const EACH: usize = 5_000;
const CHANNELS: usize = 3;

fn channel(number: usize) -> ChannelName {
    name(&format!("load.{number}"))
}

/// Waits for items, as a connection does, until all publications were read.
fn read_all(mut subscription: Subscription) -> HashMap<ChannelName, Vec<Position>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut read: HashMap<ChannelName, Vec<Position>> = HashMap::new();
        let mut count = 0;
        while count < PUBLISHERS * EACH {
            match poll_fn(|cx| subscription.poll_next(cx)).await.unwrap() {
                Item::Publication(publication) => {
                    let positions = read.entry(publication.channel().clone()).or_default();
                    positions.push(publication.position());
                    count += 1;
                }
                Item::Subscribed(_) => {}
                item => panic!("{item:?}"),
            }
        }
        assert!(subscription.try_next().is_none());
        read
    })
}

#[test]
fn publishers_and_subscribers_on_many_threads_lose_nothing() {
    let options = ChannelOptions::default().history_size(PUBLISHERS * EACH);
    let hub = Hub::builder().defaults(options).build();
    let start = std::sync::Barrier::new(PUBLISHERS + SUBSCRIBERS);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..SUBSCRIBERS)
            .map(|n| {
                // Half of them find the channels by a pattern, while they come into being.
                let interests = match n % 2 {
                    0 => vec![interest("load.*")],
                    _ => (0..CHANNELS).map(|n| channel(n).into()).collect(),
                };
                let subscription = hub.subscribe(interests).unwrap();
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    read_all(subscription)
                })
            })
            .collect();
        for publisher in 0..PUBLISHERS {
            let (hub, start) = (&hub, &start);
            scope.spawn(move || {
                start.wait();
                for n in 0..EACH {
                    hub.publish_blocking(&channel((publisher + n) % CHANNELS), n.to_string())
                        .unwrap();
                }
            });
        }
        for reader in readers {
            let read = reader.join().unwrap();
            assert_eq!(read.len(), CHANNELS);
            for (channel, positions) in read {
                let top = hub.position(&channel).unwrap();
                let offsets = positions.iter().map(|position| position.offset);
                assert!(offsets.eq(1..=top.offset), "{channel}");
                assert!(positions.iter().all(|position| position.epoch == top.epoch));
            }
        }
    });
    let stats = hub.stats();
    assert_eq!(stats.published, (PUBLISHERS * EACH) as u64);
    assert_eq!(stats.delivered, (SUBSCRIBERS * PUBLISHERS * EACH) as u64);
}

/// Subscribers come and go, with their cursors, while channels are published on and lost.
#[test]
fn whoever_comes_back_while_channels_are_lost_misses_nothing_in_silence() {
    let hub = Hub::builder().history_budget(200_000).build();
    let interests = || ["a.1", "a.2", "a.*", "b.**"].map(interest);
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let (hub, done) = (&hub, &done);
                let mut subscription = hub.subscribe(interests()).unwrap();
                scope.spawn(move || {
                    let mut last: HashMap<ChannelName, Position> = HashMap::new();
                    let mut count = 0;
                    let mut is_last_round = false;
                    loop {
                        let finished = done.load(Ordering::SeqCst);
                        while let Some(item) = subscription.try_next() {
                            check(&mut last, &item);
                            count += 1;
                            if count % 97 == 0 {
                                let cursor = subscription.cursor().unwrap().to_string();
                                subscription = hub.subscriber();
                                subscription.resume(interests(), &cursor).unwrap();
                            }
                        }
                        if is_last_round {
                            return count;
                        }
                        is_last_round = finished;
                        thread::yield_now();
                    }
                })
            })
            .collect();
        let publishers: Vec<_> = (0..2)
            .map(|publisher| {
                let hub = &hub;
                scope.spawn(move || {
                    for n in 0..4000 {
                        let channel = match n % 3 {
                            0 => format!("a.{}", n % 5),
                            1 => format!("b.{}", (n / 50 + publisher) % 40),
                            _ => format!("c.{}", n % 100),
                        };
                        hub.publish_blocking(&name(&channel), vec![b'x'; 500]).unwrap();
                    }
                })
            })
            .collect();
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
        done.store(true, Ordering::SeqCst);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 100));
    });
    let stats = hub.stats();
    assert!(stats.channels_lost > 0);
    assert!(stats.history_bytes <= 200_000, "{stats:?}");
}

/// Publications follow without a hole on what came before, unless a gap was told.
fn check(last: &mut HashMap<ChannelName, Position>, item: &Item) {
    match item {
        Item::Publication(publication) => {
            let position = publication.position();
            match last.insert(publication.channel().clone(), position) {
                Some(before) if before.epoch == position.epoch => {
                    assert_eq!(before.offset + 1, position.offset, "{publication:?}");
                }
                // A new log; that the rest of the last one was missed would have been told, and a
                // publication that was missed in this one too.
                Some(_) => assert_eq!(position.offset, 1, "{publication:?}"),
                None => {}
            }
        }
        Item::Gap(gap) => match (&gap.interest, gap.to) {
            (Interest::Channel(name), Some(to)) => {
                last.insert(name.clone(), to);
            }
            (Interest::Channel(name), None) => {
                last.remove(name);
            }
            (Interest::Pattern(pattern), _) => last.retain(|name, _| !pattern.matches(name)),
        },
        Item::Subscribed(_) => {}
        item => panic!("{item:?}"),
    }
}

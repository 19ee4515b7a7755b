//! Random histories of several hubs that a backplane joins, of what goes wrong between them, and of
//! clients that go from one to another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::hub::backplane::{Memory, MemoryNode};
use crate::hub::clock::ManualClock;

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const NODES: usize = 3;
const CLIENTS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    Publish {
        node: usize,
        channel: usize,
        count: usize,
    },
    Read {
        client: usize,
        items: usize,
    },
    /// The connection breaks, and another one goes on from the cursor.
    Move {
        client: usize,
        node: usize,
    },
    /// The process ends, and another one begins in its place.
    Restart {
        node: usize,
    },
    Drop {
        node: usize,
        count: usize,
    },
    Connect {
        node: usize,
        connected: bool,
    },
    Reading {
        node: usize,
        reading: bool,
    },
    Available(bool),
    Check {
        node: usize,
    },
    Forget {
        node: usize,
    },
    Loss(Loss),
}

#[derive(Clone, Debug)]
enum Loss {
    Log { channel: usize },
    History { channel: usize },
    Time { seconds: u64 },
}

fn step(losses: bool) -> BoxedStrategy<Step> {
    let (node, client, channel) = (0..NODES, 0..CLIENTS, 0..CHANNELS.len());
    let loss = prop_oneof![
        channel.clone().prop_map(|channel| Loss::Log { channel }),
        channel.clone().prop_map(|channel| Loss::History { channel }),
        (1..90u64).prop_map(|seconds| Loss::Time { seconds }),
    ];
    let without = prop_oneof![
        10 => (node.clone(), channel, 1..7usize)
            .prop_map(|(node, channel, count)| Step::Publish { node, channel, count }),
        8 => (client.clone(), 1..12usize).prop_map(|(client, items)| Step::Read { client, items }),
        5 => (client, node.clone()).prop_map(|(client, node)| Step::Move { client, node }),
        1 => node.clone().prop_map(|node| Step::Restart { node }),
        2 => (node.clone(), 1..4usize).prop_map(|(node, count)| Step::Drop { node, count }),
        2 => (node.clone(), any::<bool>())
            .prop_map(|(node, connected)| Step::Connect { node, connected }),
        2 => (node.clone(), any::<bool>())
            .prop_map(|(node, reading)| Step::Reading { node, reading }),
        2 => any::<bool>().prop_map(Step::Available),
        2 => node.clone().prop_map(|node| Step::Check { node }),
        1 => node.prop_map(|node| Step::Forget { node }),
    ];
    if !losses {
        return without.boxed();
    }
    prop_oneof![35 => without, 2 => loss.prop_map(Step::Loss)].boxed()
}

/// A process with a hub.
struct Process {
    hub: Hub,
    node: MemoryNode,
}

/// What a client knows.
struct Client {
    subscription: Subscription,
    /// Where it stands in each channel; `None`: it was not told yet where it begins.
    at: HashMap<ChannelName, Option<Position>>,
    /// It was told that it has not recovered, and not yet what it has missed.
    must_hear: HashSet<ChannelName>,
}

struct World {
    memory: Memory,
    clock: Arc<ManualClock>,
    processes: Vec<Process>,
    clients: Vec<Client>,
    /// What was published where.
    published: HashMap<(ChannelName, Position), String>,
    last: HashMap<ChannelName, Position>,
    numbers: u64,
    losses: bool,
}

impl World {
    fn new(losses: bool) -> Self {
        let mut world = World {
            memory: Memory::new(),
            clock: ManualClock::new(),
            processes: Vec::new(),
            clients: Vec::new(),
            published: HashMap::new(),
            last: HashMap::new(),
            numbers: 0,
            losses,
        };
        world.processes = (0..NODES).map(|_| world.process()).collect();
        world.clients = (0..CLIENTS).map(|client| world.client(client)).collect();
        world
    }

    fn process(&self) -> Process {
        let node = self.memory.node();
        let options = if self.losses {
            let options = ChannelOptions::default().history_size(10).backlog(8);
            options.history_age(Duration::from_secs(60))
        } else {
            ChannelOptions::default().history_size(100_000).history_age(Duration::MAX)
        };
        let hub = Hub::builder()
            .defaults(options)
            .history_budget(if self.losses { 6_000 } else { usize::MAX / 2 })
            .replay_limit(usize::MAX, usize::MAX)
            .clock(self.clock.clone())
            .backplane(node.clone())
            .build();
        Process { hub, node }
    }

    /// One of them listens to all channels, the others to one each.
    fn client(&self, number: usize) -> Client {
        let channels = match CHANNELS.get(number) {
            Some(channel) => vec![name(channel)],
            None => CHANNELS.map(name).to_vec(),
        };
        let subscription = self.processes[number % NODES].hub.subscribe(channels.clone()).unwrap();
        let at = channels.into_iter().map(|channel| (channel, None)).collect();
        Client { subscription, at, must_hear: HashSet::new() }
    }

    fn publish(&mut self, node: usize, channel: &ChannelName) -> bool {
        self.numbers += 1;
        self.clock.advance(Duration::from_millis(3));
        let data = format!("{} {}", self.numbers, "x".repeat(self.numbers as usize % 7 * 50));
        let published = self.processes[node].hub.publish_blocking(channel, data.clone());
        let Ok(published) = published else { return false };
        self.published.insert((channel.clone(), published.position), data);
        self.last.insert(channel.clone(), published.position);
        true
    }

    fn move_client(&mut self, client: usize, node: usize) {
        let client = &mut self.clients[client];
        let cursor = client.subscription.cursor().unwrap().to_string();
        let interests: Vec<_> = client.subscription.interests().cloned().collect();
        client.subscription = self.processes[node].hub.subscriber();
        client.subscription.resume(interests, &cursor).unwrap();
        client.must_hear.clear();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { node, channel, count } => {
                (0..count).for_each(|_| _ = self.publish(node, &name(CHANNELS[channel])));
            }
            Step::Read { client, items } => {
                let _ = (0..items).all(|_| self.read(client));
            }
            Step::Move { client, node } => self.move_client(client, node),
            Step::Restart { node } => {
                let process = self.process();
                let old = std::mem::replace(&mut self.processes[node], process);
                let of_it = |client: &Client| {
                    Arc::ptr_eq(&client.subscription.hub().shared, &old.hub.shared)
                };
                let moved: Vec<_> =
                    (0..CLIENTS).filter(|client| of_it(&self.clients[*client])).collect();
                moved.into_iter().for_each(|client| self.move_client(client, node));
            }
            Step::Drop { node, count } => self.processes[node].node.drop_deliveries(count),
            Step::Connect { node, connected } => {
                self.processes[node].node.set_connected(connected);
            }
            Step::Reading { node, reading } => self.processes[node].node.set_reading(reading),
            Step::Available(available) => self.memory.set_available(available),
            Step::Check { node } => self.processes[node].node.check(),
            Step::Forget { node } => self.processes[node].hub.shared.drop_unwatched(),
            Step::Loss(Loss::Log { channel }) => self.memory.lose(&name(CHANNELS[channel])),
            Step::Loss(Loss::History { channel }) => {
                self.memory.lose_history(&name(CHANNELS[channel]));
            }
            Step::Loss(Loss::Time { seconds }) => {
                self.clock.advance(Duration::from_secs(seconds));
                self.processes.iter().for_each(|process| process.hub.sweep());
            }
        }
    }

    /// Takes one item, and checks that it is what has to come next.
    fn read(&mut self, client: usize) -> bool {
        let client = &mut self.clients[client];
        let Some(item) = client.subscription.try_next() else { return false };
        match item {
            Item::Subscribed(subscribed) => {
                let Interest::Channel(channel) = subscribed.interest else { panic!() };
                let at = client.at.get_mut(&channel).unwrap();
                if subscribed.recovered {
                    assert!(at.is_none_or(|at| Some(at) == subscribed.position));
                    *at = subscribed.position;
                } else if subscribed.was_recovering {
                    assert!(self.losses || at.is_none(), "{channel}: there was no reason");
                    client.must_hear.insert(channel);
                } else {
                    *at = subscribed.position;
                }
            }
            Item::Gap(gap) => {
                assert!(gap.to.is_some());
                let Interest::Channel(channel) = gap.interest else { panic!() };
                let at = client.at.get_mut(&channel).unwrap();
                assert!(self.losses || at.is_none(), "{channel}: {:?}", gap.reason);
                if let (Some(at), Some(from), Some(to)) = (*at, gap.from, gap.to) {
                    assert_eq!(at, from, "{:?}: all up to there was told", gap.reason);
                    assert!(
                        at.epoch != to.epoch
                            || at.offset < to.offset
                            || gap.reason == GapReason::Ahead,
                        "{gap_reason:?}: nothing was missed",
                        gap_reason = gap.reason
                    );
                }
                *at = gap.to;
                client.must_hear.remove(&channel);
            }
            Item::Publication(publication) => {
                let channel = publication.channel();
                let position = publication.position();
                assert!(!client.must_hear.contains(channel), "the gap comes first");
                let at = client.at[channel].expect("it was told where it begins");
                let next = Position { offset: at.offset + 1, ..at };
                assert_eq!(position, next, "in order, each once, and without a hole");
                let data = &self.published[&(channel.clone(), position)];
                assert_eq!(publication.data(), data);
                client.at.insert(channel.clone(), Some(position));
            }
            item => panic!("{item:?}"),
        }
        true
    }

    /// Everything works again: then all that there is arrives.
    fn finish(mut self) {
        for process in &self.processes {
            process.node.drop_deliveries(0);
            process.node.set_reading(true);
            process.node.set_connected(true);
        }
        self.memory.set_available(true);
        self.processes.iter().for_each(|process| process.node.check());
        for client in 0..CLIENTS {
            while self.read(client) {}
        }
        for (node, channel) in CHANNELS.map(name).iter().enumerate() {
            assert!(self.publish(node, channel));
        }
        for client in 0..CLIENTS {
            while self.read(client) {}
            for (channel, at) in &self.clients[client].at {
                assert_eq!(*at, self.last.get(channel).copied(), "{channel}: the last is missing");
            }
            assert!(self.clients[client].must_hear.is_empty());
        }
        self.clients.clear();
        for process in self.processes {
            let shared = Arc::downgrade(&process.hub.shared);
            drop(process);
            assert_eq!(shared.strong_count(), 0);
        }
    }
}

fn run(steps: Vec<Step>, losses: bool) {
    let mut world = World::new(losses);
    steps.into_iter().for_each(|step| world.step(step));
    world.finish();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_is_missed_whatever_happens_between_nodes(
        steps in prop::collection::vec(step(false), 1..150),
    ) {
        run(steps, false);
    }

    #[test]
    fn nothing_is_missed_in_silence_when_the_backplane_loses_it(
        steps in prop::collection::vec(step(true), 1..150),
    ) {
        run(steps, true);
    }
}

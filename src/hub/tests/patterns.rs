//! Random histories of several hubs that a backplane joins, and of clients that listen to patterns
//! there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::hub::backplane::{Memory, MemoryNode};
use crate::hub::clock::ManualClock;

const CHANNELS: [&str; 4] = ["l.1", "l.2", "l.3", "m"];
const NODES: usize = 2;
const CLIENTS: [&[&str]; 6] =
    [&["l.*"], &["**"], &["l.1", "l.*"], &["l.*", "l.**"], &["l.2"], &["l.*", "l.1"]];

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
    /// It leaves, and comes as one that was never there.
    Renew {
        client: usize,
        node: usize,
    },
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
    Lose {
        channel: usize,
    },
    LoseHistory {
        channel: usize,
    },
    Wait {
        seconds: u64,
    },
}

fn step(losses: bool) -> BoxedStrategy<Step> {
    let (node, client, channel) = (0..NODES, 0..CLIENTS.len(), 0..CHANNELS.len());
    let loss = prop_oneof![
        channel.clone().prop_map(|channel| Step::Lose { channel }),
        channel.clone().prop_map(|channel| Step::LoseHistory { channel }),
        (1..90u64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    let without = prop_oneof![
        10 => (node.clone(), channel, 1..4usize)
            .prop_map(|(node, channel, count)| Step::Publish { node, channel, count }),
        8 => (client.clone(), 1..8usize).prop_map(|(client, items)| Step::Read { client, items }),
        5 => (client.clone(), node.clone()).prop_map(|(client, node)| Step::Move { client, node }),
        2 => (client, node.clone()).prop_map(|(client, node)| Step::Renew { client, node }),
        1 => node.clone().prop_map(|node| Step::Restart { node }),
        2 => (node.clone(), 1..4usize).prop_map(|(node, count)| Step::Drop { node, count }),
        2 => (node.clone(), any::<bool>())
            .prop_map(|(node, connected)| Step::Connect { node, connected }),
        3 => (node.clone(), any::<bool>())
            .prop_map(|(node, reading)| Step::Reading { node, reading }),
        2 => any::<bool>().prop_map(Step::Available),
        2 => node.clone().prop_map(|node| Step::Check { node }),
        2 => node.prop_map(|node| Step::Forget { node }),
    ];
    match losses {
        false => without.boxed(),
        true => prop_oneof![38 => without, 2 => loss].boxed(),
    }
}

struct Process {
    hub: Hub,
    node: MemoryNode,
    /// How much was published on each channel when the backplane began to listen again.
    heard_from: Counts,
    /// Counts what may make a gap.
    disturbed: u64,
    /// Nothing is passed on to it.
    deaf: bool,
}

type Counts = HashMap<ChannelName, usize>;

/// What a client knows.
struct Client {
    node: usize,
    subscription: Subscription,
    interests: Vec<Interest>,
    /// Where it stands in each channel that it knows.
    at: HashMap<ChannelName, Position>,
    /// Of channels that it does not know: it has to get all after these.
    due: Option<Counts>,
    /// The same, if it had begun before it was told so.
    untold: Option<Counts>,
    /// How much was published when it came.
    came: Counts,
    /// How much was published when it asked first since the backplane has begun to listen.
    asked: Option<(u64, Counts)>,
    /// Patterns and channels of which it was told that it has not recovered, and not yet what.
    must_hear: HashSet<Interest>,
    /// Where nothing may be missing since.
    undisturbed: Option<u64>,
    /// Of which patterns it was told since it came.
    told: HashSet<Interest>,
    /// It came back to where nothing was missing.
    must_recover: bool,
}

impl Client {
    fn is_named(&self, channel: &ChannelName) -> bool {
        self.interests.contains(&Interest::Channel(channel.clone()))
    }

    /// Since then it gets everything.
    fn begins_at(&mut self, process: &Process, counts: &Counts) -> Counts {
        let disturbed = process.disturbed;
        self.asked.take_if(|(at, _)| *at != disturbed);
        self.asked.get_or_insert_with(|| (disturbed, counts.clone())).1.clone()
    }
}

/// How many were published up to a position. Logs that were lost are not told apart: a hub may have
/// forgotten its channel when nothing was missed.
fn behind(all: &[Position], at: Position) -> Option<usize> {
    let is_later = |other: &Position| other.epoch == at.epoch && other.offset > at.offset;
    let next = all.iter().position(is_later);
    next.or_else(|| Some(all.iter().rposition(|other| other.epoch == at.epoch)? + 1))
}

struct World {
    memory: Memory,
    clock: Arc<ManualClock>,
    processes: Vec<Process>,
    clients: Vec<Client>,
    /// What was published, in order.
    published: HashMap<ChannelName, Vec<Position>>,
    losses: bool,
    available: bool,
    restarts: u64,
}

impl World {
    fn new(losses: bool, history: usize) -> Self {
        let mut world = World {
            memory: Memory::new(),
            clock: ManualClock::new(),
            processes: Vec::new(),
            clients: Vec::new(),
            published: CHANNELS.map(|text| (name(text), Vec::new())).into(),
            losses,
            available: true,
            restarts: 0,
        };
        world.processes = (0..NODES).map(|_| world.process(history)).collect();
        for client in 0..CLIENTS.len() {
            let new = world.client(client, client % NODES);
            world.clients.push(new);
        }
        world
    }

    fn process(&self, history: usize) -> Process {
        let node = self.memory.node();
        let options = if self.losses {
            let options = ChannelOptions::default().history_size(history).backlog(8);
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
        Process {
            hub,
            node,
            heard_from: self.counts(),
            disturbed: self.restarts << 32,
            deaf: false,
        }
    }

    fn counts(&self) -> Counts {
        self.published.iter().map(|(name, all)| (name.clone(), all.len())).collect()
    }

    fn client(&self, number: usize, node: usize) -> Client {
        let interests: Vec<_> = CLIENTS[number].iter().map(|text| interest(text)).collect();
        Client {
            node,
            subscription: self.processes[node].hub.subscribe(interests.clone()).unwrap(),
            interests,
            at: HashMap::new(),
            due: None,
            untold: None,
            came: self.counts(),
            asked: Some((self.processes[node].disturbed, self.counts())),
            must_hear: HashSet::new(),
            undisturbed: None,
            told: HashSet::new(),
            must_recover: false,
        }
    }

    fn publish(&mut self, node: usize, channel: &ChannelName) -> bool {
        self.clock.advance(Duration::from_millis(3));
        let number = self.published[channel].len();
        let data = format!("{number} {}", "x".repeat(number % 7 * 50));
        let published = self.processes[node].hub.publish_blocking(channel, data);
        let Ok(published) = published else { return false };
        self.published.get_mut(channel).unwrap().push(published.position);
        true
    }

    fn disturb(&mut self, node: usize) {
        let counts = self.counts();
        self.processes[node].heard_from = counts;
        self.processes[node].disturbed += 1;
    }

    fn move_client(&mut self, number: usize, node: usize) {
        let came = self.counts();
        let client = &mut self.clients[number];
        let untold = client.begins_at(&self.processes[client.node], &came);
        let cursor = client.subscription.cursor().unwrap().to_string();
        let process = &self.processes[node];
        if client.due.is_none() && client.untold.is_none() {
            client.untold = Some(untold);
        }
        let is_same = node == client.node && client.undisturbed == Some(process.disturbed);
        client.undisturbed.take_if(|_| !is_same);
        client.must_recover = is_same && !self.losses;
        client.node = node;
        client.subscription = process.hub.subscriber();
        client.subscription.resume(client.interests.clone(), &cursor).unwrap();
        client.came = came;
        client.told.clear();
        client.asked = Some((process.disturbed, client.came.clone()));
        client.must_hear.clear();
    }

    fn step(&mut self, step: Step, history: usize) {
        match step {
            Step::Publish { node, channel, count } => {
                (0..count).for_each(|_| _ = self.publish(node, &name(CHANNELS[channel])));
            }
            Step::Read { client, items } => {
                let _ = (0..items).all(|_| self.read(client));
            }
            Step::Move { client, node } => self.move_client(client, node),
            Step::Renew { client, node } => self.clients[client] = self.client(client, node),
            Step::Restart { node } => {
                self.restarts += 1;
                let process = self.process(history);
                let _old = std::mem::replace(&mut self.processes[node], process);
                for client in 0..CLIENTS.len() {
                    if self.clients[client].node == node {
                        self.move_client(client, node);
                    }
                }
            }
            Step::Drop { node, count } => self.processes[node].node.drop_deliveries(count),
            Step::Connect { node, connected } => {
                self.processes[node].node.set_connected(connected);
                self.processes[node].deaf = !connected;
                self.disturb(node);
            }
            Step::Reading { node, reading } => self.processes[node].node.set_reading(reading),
            Step::Available(available) => {
                self.memory.set_available(available);
                self.available = available;
                (0..NODES).for_each(|node| self.disturb(node));
            }
            Step::Check { node } => self.processes[node].node.check(),
            Step::Forget { node } => {
                self.processes[node].hub.shared.drop_unwatched();
                self.processes[node].disturbed += 1;
            }
            Step::Lose { channel } => self.memory.lose(&name(CHANNELS[channel])),
            Step::LoseHistory { channel } => self.memory.lose_history(&name(CHANNELS[channel])),
            Step::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(seconds));
                self.processes.iter().for_each(|process| process.hub.sweep());
            }
        }
    }

    /// Takes one item, and checks that it is what has to come next.
    fn read(&mut self, number: usize) -> bool {
        let counts = self.counts();
        let client = &mut self.clients[number];
        let process = &self.processes[client.node];
        let begins_at = client.begins_at(process, &counts);
        let Some(item) = client.subscription.try_next() else {
            let is_told = |interest: &Interest| {
                matches!(interest, Interest::Channel(_)) || client.told.contains(interest)
            };
            client.undisturbed = client.interests.iter().all(is_told).then_some(process.disturbed);
            return false;
        };
        let has_patterns = client.interests.iter().any(|i| matches!(i, Interest::Pattern(_)));
        match item {
            Item::Subscribed(subscribed) => match &subscribed.interest {
                Interest::Pattern(_) => {
                    client.told.insert(subscribed.interest.clone());
                    if !subscribed.was_recovering {
                        client.due = Some(begins_at);
                        return true;
                    }
                    client.due = client.due.take().or(client.untold.take());
                    assert!(client.due.is_some(), "nobody knew where it was");
                    if !subscribed.recovered {
                        assert!(!client.must_recover, "there was no reason");
                        client.must_hear.insert(subscribed.interest);
                    }
                }
                Interest::Channel(channel) => {
                    let position = subscribed.position.unwrap();
                    if subscribed.recovered {
                        let at = client.at.get(channel);
                        assert!(at.is_none_or(|at| *at == position));
                        client.at.insert(channel.clone(), position);
                    } else if subscribed.was_recovering {
                        client.must_hear.insert(subscribed.interest);
                    } else {
                        // While it listens to none of them a gap is yet to be told.
                        let listens = !process.deaf && self.available;
                        let is_found = |interest: &Interest| listens && interest.covers(channel);
                        let is_found = client.told.iter().any(is_found);
                        let at = behind(&self.published[channel], position).unwrap_or(0);
                        let due = client.due.as_ref().filter(|_| is_found);
                        if let Some(due) = due.map(|due| due[channel]) {
                            assert!(at <= due, "{channel}: {at} > {due}: the pattern had it");
                        }
                        client.at.insert(channel.clone(), position);
                    }
                }
            },
            Item::Gap(gap) => {
                match &gap.interest {
                    Interest::Pattern(_) => {
                        let is_break = gap.reason == GapReason::Backplane;
                        let is_right = match is_break {
                            true => client.undisturbed != Some(process.disturbed),
                            false => !client.must_recover,
                        };
                        assert!(is_right, "{:?}: nothing can be missing", gap.reason);
                        client.due = Some(match is_break {
                            true => {
                                let mut due = process.heard_from.clone();
                                // A channel that was lost since may be told of first.
                                for (name, before) in client.due.iter().flatten() {
                                    due.entry(name.clone()).and_modify(|at| *at = *before.max(at));
                                }
                                due
                            }
                            false => begins_at,
                        });
                    }
                    Interest::Channel(channel) => {
                        let known = client.at.get(channel).copied();
                        let named = client.is_named(channel);
                        assert!(self.losses || named && known.is_none(), "{gap:?}");
                        // Who broke off before it was told of a gap does not say where it stood.
                        let all = &self.published[channel];
                        let is_place = |at: &Position| all.iter().any(|p| p.epoch == at.epoch);
                        if let (Some(at), Some(from)) = (known, gap.from.filter(is_place)) {
                            let (at, from) = (behind(all, at), behind(all, from));
                            assert_eq!(at, from, "{gap:?}: where it stood");
                        }
                        match gap.to {
                            Some(to) => _ = client.at.insert(channel.clone(), to),
                            None => {
                                client.at.remove(channel);
                                if let Some(due) = &mut client.due {
                                    due.insert(channel.clone(), counts[channel]);
                                }
                            }
                        }
                    }
                }
                // Of a pattern, too, it may be one of the channels.
                client.must_hear.retain(|interest| !interest.contains(&gap.interest));
            }
            Item::Publication(publication) => {
                let channel = publication.channel();
                let position = publication.position();
                let all = &self.published[channel];
                let index = all.iter().position(|at| *at == position).unwrap();
                assert_eq!(*publication.data(), {
                    let data = format!("{index} {}", "x".repeat(index % 7 * 50));
                    data.into_bytes()
                });
                assert!(client.interests.iter().any(|interest| interest.covers(channel)));
                match client.at.get(channel) {
                    Some(at) => {
                        let at = behind(all, *at);
                        assert_eq!(at, Some(index), "in order, each once, and without a hole");
                    }
                    None => {
                        assert!(has_patterns && !client.is_named(channel));
                        assert!(client.must_hear.is_empty(), "the gap comes first");
                        let due = client.due.as_ref().expect("it was told where it begins");
                        assert!(index <= due[channel], "{channel}: {index} > {}", due[channel]);
                    }
                }
                client.at.insert(channel.clone(), position);
            }
            item => panic!("{item:?}"),
        }
        true
    }

    /// Everything works again: then all that there is arrives.
    fn finish(mut self) {
        for node in 0..NODES {
            self.processes[node].node.drop_deliveries(0);
            self.processes[node].node.set_reading(true);
            self.processes[node].node.set_connected(true);
            self.disturb(node);
        }
        self.memory.set_available(true);
        self.available = true;
        (0..NODES).for_each(|node| self.disturb(node));
        self.processes.iter().for_each(|process| process.node.check());
        for client in 0..CLIENTS.len() {
            while self.read(client) {}
        }
        for (number, channel) in CHANNELS.map(name).iter().enumerate() {
            assert!(self.publish(number % NODES, channel));
            for client in 0..CLIENTS.len() {
                while self.read(client) {}
                let client = &self.clients[client];
                if client.interests.iter().any(|interest| interest.covers(channel)) {
                    let at = client.at.get(channel);
                    let last = self.published[channel].last();
                    assert_eq!(at, last, "{channel}: the last is missing");
                }
                assert!(client.must_hear.is_empty());
            }
        }
        self.clients.clear();
        for process in self.processes {
            let shared = Arc::downgrade(&process.hub.shared);
            drop(process);
            assert_eq!(shared.strong_count(), 0);
        }
    }
}

fn run(steps: Vec<Step>, losses: bool, history: usize) {
    let mut world = World::new(losses, history);
    steps.into_iter().for_each(|step| world.step(step, history));
    world.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2 * ProptestConfig::default().cases, ..Default::default() })]

    #[test]
    fn patterns_miss_nothing_whatever_happens_between_nodes(
        steps in prop::collection::vec(step(false), 1..120),
    ) {
        run(steps, false, 100_000);
    }

    #[test]
    fn patterns_miss_nothing_in_silence_when_the_backplane_loses_it(
        steps in prop::collection::vec(step(true), 1..120),
        history in 0..12usize,
    ) {
        run(steps, true, history);
    }
}

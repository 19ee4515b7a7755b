//! Random histories of a hub and its subscribers, checked against a list of all that was ever
//! published.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::hub::clock::ManualClock;

const CHANNELS: [&str; 6] = ["a.1", "a.2", "a.3", "b.1", "b.2", "c"];
const INTERESTS: [&str; 7] = ["a.1", "b.1", "c", "a.*", "b.*", "**", "a.2"];
const SUBSCRIBERS: usize = 3;
const HISTORY: usize = 12;
const BACKLOG: usize = 8;
const REPLAY: usize = 9;
const PLENTY: usize = 64 * 1024 * 1024;
const AGE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        count: usize,
        bytes: usize,
    },
    Read {
        subscriber: usize,
        items: usize,
    },
    Subscribe {
        subscriber: usize,
        interest: usize,
    },
    Unsubscribe {
        subscriber: usize,
        interest: usize,
    },
    /// The connection breaks, and another one goes on from the cursor.
    Resume {
        subscriber: usize,
    },
    /// It comes back with a cursor that is good for nothing.
    ResumeWithNonsense {
        subscriber: usize,
    },
    Advance {
        seconds: u64,
    },
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let subscriber = 0..SUBSCRIBERS;
    let interest = 0..INTERESTS.len();
    prop_oneof![
        8 => (0..CHANNELS.len(), 1..6usize, prop_oneof![Just(1), Just(500), Just(1500)])
            .prop_map(|(channel, count, bytes)| Step::Publish { channel, count, bytes }),
        6 => (subscriber.clone(), 1..12usize)
            .prop_map(|(subscriber, items)| Step::Read { subscriber, items }),
        2 => (subscriber.clone(), interest.clone())
            .prop_map(|(subscriber, interest)| Step::Subscribe { subscriber, interest }),
        1 => (subscriber.clone(), interest)
            .prop_map(|(subscriber, interest)| Step::Unsubscribe { subscriber, interest }),
        3 => subscriber.clone().prop_map(|subscriber| Step::Resume { subscriber }),
        1 => subscriber.prop_map(|subscriber| Step::ResumeWithNonsense { subscriber }),
        1 => (1..40u64).prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Sweep),
    ]
}

/// All that was published on a channel, whether the hub still has it or not.
#[derive(Default)]
struct Published {
    all: Vec<(Position, Instant)>,
}

impl Published {
    /// How many were published up to that position. In a log on which nothing was published yet:
    /// as many as there were when the position was found.
    fn up_to(&self, position: Position, found_at: usize) -> usize {
        let same = |(other, _): &(Position, Instant)| other.epoch == position.epoch;
        match self.all.iter().position(same) {
            Some(first) => first + position.offset as usize,
            None => found_at,
        }
    }
}

type Model = HashMap<ChannelName, Published>;

/// What a client knows.
struct Client {
    subscription: Subscription,
    interests: Vec<Interest>,
    /// How many publications of each channel are behind it; `None`: a log that was lost, and what
    /// was missed in it was told.
    behind: HashMap<ChannelName, Option<usize>>,
    /// How many there were when it has subscribed.
    at_start: HashMap<ChannelName, usize>,
    /// What it has given up, and not been told yet that it has.
    given_up: Vec<Interest>,
    /// What it had asked for by name then.
    named: Vec<ChannelName>,
    /// It came back with nonsense, and has not heard of all that it has missed by that.
    is_lost: bool,
    /// Its cursors have so little room that it may get some again.
    gets_again: bool,
    /// Where it has to recover.
    must_recover: HashMap<ChannelName, bool>,
}

impl Client {
    fn covers(&self, name: &ChannelName) -> bool {
        self.interests.iter().any(|interest| interest.covers(name))
    }

    fn subscribe(&mut self, interest: &Interest, model: &Model) {
        let new: Vec<_> = model.keys().filter(|name| interest.covers(name)).cloned().collect();
        let new: Vec<_> = new.into_iter().filter(|name| !self.covers(name)).collect();
        if self.subscription.subscribe(interest.clone()).unwrap() {
            for name in new {
                let there = model[&name].all.len();
                self.at_start.insert(name.clone(), there);
                self.behind.insert(name, Some(there));
            }
            self.interests.push(interest.clone());
        }
    }

    fn unsubscribe(&mut self, interest: &Interest) {
        let was_there = self.interests.contains(interest);
        assert_eq!(self.subscription.unsubscribe(interest), was_there);
        if was_there {
            self.given_up.push(interest.clone());
        }
        self.interests.retain(|other| other != interest);
    }

    fn resume(&mut self, hub: &Hub, cursor: &str, model: &Model, now: Instant, evicts: bool) {
        self.at_start = model.iter().map(|(name, log)| (name.clone(), log.all.len())).collect();
        let named = self.interests.iter().filter_map(|interest| match interest {
            Interest::Channel(name) => Some(name.clone()),
            Interest::Pattern(_) => None,
        });
        self.named = named.collect();
        self.given_up.clear();
        self.must_recover.clear();
        for (name, behind) in &self.behind {
            let log = &model[name];
            let Some(behind) = *behind else { continue };
            let missed = &log.all[behind..];
            let recent = missed.iter().all(|(_, at)| now - *at < AGE);
            let may_all = !evicts && !self.is_lost && !self.gets_again;
            let must = may_all && recent && missed.len() <= HISTORY.min(REPLAY);
            self.must_recover.insert(name.clone(), must);
        }
        self.subscription = hub.subscriber();
        self.subscription.resume(self.interests.clone(), cursor).unwrap();
    }

    fn take(&mut self, model: &Model) -> bool {
        let Some(item) = self.subscription.try_next() else {
            self.is_lost = false;
            return false;
        };
        let context: String = word(&item).chars().take(60).collect();
        match item {
            Item::Publication(publication) => {
                let name = publication.channel();
                assert!(self.covers(name), "{context}: nobody has asked for it");
                let log = &model[name].all;
                let index = log.iter().position(|(at, _)| *at == publication.position()).unwrap();
                match self.behind.get(name).copied().flatten() {
                    Some(behind) if self.gets_again && index < behind => return true,
                    Some(behind) => assert_eq!(index, behind, "{context}: out of order"),
                    // What was told of was lost before it has subscribed.
                    None if self.gets_again => {}
                    None => assert_eq!(publication.position().offset, 1, "{context}: a hole"),
                }
                self.behind.insert(name.clone(), Some(index + 1));
            }
            Item::Gap(gap) => self.gap(gap, model, &context),
            Item::Subscribed(subscribed) => {
                let Interest::Channel(name) = &subscribed.interest else { return true };
                if self.given_up.contains(&subscribed.interest) {
                    return true;
                }
                let log = &model[name];
                let at = log.up_to(subscribed.position.unwrap(), self.at_start[name]);
                if subscribed.recovered {
                    match self.behind[name] {
                        Some(behind) if self.gets_again && at < behind => return true,
                        Some(behind) => assert_eq!(behind, at, "{context}"),
                        None => assert_eq!(subscribed.position.unwrap().offset, 0, "{context}"),
                    }
                    self.behind.insert(name.clone(), Some(at));
                }
                if self.must_recover.get(name) == Some(&true) && subscribed.was_recovering {
                    assert!(subscribed.recovered, "{context}: all was there");
                }
            }
            Item::Unsubscribed { interest, .. } => {
                let place = self.given_up.iter().position(|other| *other == interest);
                self.given_up.remove(place.expect(&context));
            }
            item => panic!("{item:?}"),
        }
        true
    }

    fn gap(&mut self, gap: Gap, model: &Model, context: &str) {
        match (gap.interest, gap.to) {
            (Interest::Channel(name), Some(to)) => {
                if !self.covers(&name) {
                    return;
                }
                let to = model[&name].up_to(to, self.at_start[&name]);
                if let Some(behind) = self.behind[&name] {
                    assert!(
                        to >= behind || self.gets_again,
                        "{context}: goes back: {to} < {behind} {:?}",
                        model[&name].all
                    );
                    let is_new_log = gap.reason == GapReason::Epoch;
                    let may_be_none = is_new_log || self.gets_again;
                    assert!(to > behind || may_be_none, "{context}: nothing was missed");
                }
                self.behind.insert(name, Some(to));
            }
            (Interest::Channel(name), None) => {
                self.behind.insert(name, None);
            }
            (Interest::Pattern(pattern), _) => {
                assert_eq!(gap.reason, GapReason::Epoch, "{context}");
                // Channels that were asked for by name are told of on their own.
                let named = |name: &ChannelName| self.named.contains(name);
                let found: Vec<_> = model
                    .keys()
                    .filter(|name| pattern.matches(name) && !named(name))
                    .cloned()
                    .collect();
                for name in found {
                    let start = self.at_start[&name];
                    // Two patterns may both have missed it; the second changes nothing.
                    let behind = self.behind[&name].map_or(start, |behind| behind.max(start));
                    self.behind.insert(name, Some(behind));
                }
            }
        }
    }
}

/// How many channels a cursor names without need, and how much room it has for names.
#[derive(Clone, Copy)]
struct Cursors {
    names: usize,
    room: usize,
}

const NAMES: Cursors = Cursors { names: 16, room: usize::MAX };
const NUMBERS: Cursors = Cursors { names: 0, room: usize::MAX };

fn run(steps: Vec<Step>, budget: usize, cursors: Cursors) {
    let clock = ManualClock::new();
    let options = ChannelOptions::default().history_size(HISTORY).history_age(AGE).backlog(BACKLOG);
    let hub = Hub::builder()
        .defaults(options)
        .history_budget(budget)
        .replay_limit(REPLAY, usize::MAX)
        .clock(clock.clone())
        .cursors(cursors.names, cursors.room)
        .build();
    let mut model: Model = CHANNELS.iter().map(|text| (name(text), Published::default())).collect();
    let mut clients: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| Client {
            subscription: hub.subscriber(),
            interests: Vec::new(),
            behind: HashMap::new(),
            at_start: HashMap::new(),
            given_up: Vec::new(),
            named: Vec::new(),
            is_lost: false,
            gets_again: cursors.room < usize::MAX,
            must_recover: HashMap::new(),
        })
        .collect();
    let publish = |model: &mut Model, channel: &str, bytes: usize| {
        let channel = name(channel);
        let position = hub.publish_blocking(&channel, vec![b'x'; bytes]).unwrap().position;
        model.get_mut(&channel).unwrap().all.push((position, clock.now()));
    };
    let evicts = budget < PLENTY;
    for step in steps {
        match step {
            Step::Publish { channel, count, bytes } => {
                (0..count).for_each(|_| publish(&mut model, CHANNELS[channel], bytes));
            }
            Step::Read { subscriber, items } => {
                let client = &mut clients[subscriber];
                let _ = (0..items).all(|_| client.take(&model));
            }
            Step::Subscribe { subscriber, interest: text } => {
                clients[subscriber].subscribe(&interest(INTERESTS[text]), &model);
            }
            Step::Unsubscribe { subscriber, interest: text } => {
                clients[subscriber].unsubscribe(&interest(INTERESTS[text]));
            }
            Step::Resume { subscriber } => {
                let client = &mut clients[subscriber];
                if let Some(cursor) = client.subscription.cursor() {
                    client.resume(&hub, &cursor.to_string(), &model, clock.now(), evicts);
                }
            }
            Step::ResumeWithNonsense { subscriber } => {
                let client = &mut clients[subscriber];
                client.is_lost = true;
                client.resume(&hub, "nonsense", &model, clock.now(), evicts);
            }
            Step::Advance { seconds } => clock.advance(Duration::from_secs(seconds)),
            Step::Sweep => hub.sweep(),
        }
    }
    // Whoever has read everything has the last of each channel, too.
    for client in &mut clients {
        while client.take(&model) {}
    }
    for channel in CHANNELS {
        publish(&mut model, channel, 1);
        for client in &mut clients {
            while client.take(&model) {}
            let name = name(channel);
            if client.covers(&name) {
                let behind = client.behind[&name];
                assert_eq!(behind, Some(model[&name].all.len()), "{channel}: the last is missing");
            }
        }
    }
    // All is given back.
    drop(clients);
    assert_eq!(hub.stats().subscriptions, 0);
    let shared = Arc::downgrade(&hub.shared);
    drop(hub);
    assert_eq!(shared.strong_count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nothing_is_missed_in_silence(steps in prop::collection::vec(step(), 1..120)) {
        run(steps, PLENTY, NAMES);
    }

    #[test]
    fn nothing_is_missed_in_silence_when_cursors_name_only_what_is_behind(
        steps in prop::collection::vec(step(), 1..120),
        budget in prop_oneof![Just(PLENTY), 6_000..20_000usize],
    ) {
        run(steps, budget, NUMBERS);
    }

    #[test]
    fn nothing_is_missed_in_silence_when_cursors_have_no_room_for_what_is_behind(
        steps in prop::collection::vec(step(), 1..120),
        budget in prop_oneof![Just(PLENTY), 6_000..20_000usize],
        room in 0..40usize,
    ) {
        run(steps, budget, Cursors { names: 0, room });
    }

    #[test]
    fn nothing_is_missed_in_silence_while_channels_make_room(
        steps in prop::collection::vec(step(), 1..120),
        budget in 6_000..20_000usize,
    ) {
        run(steps, budget, NAMES);
    }
}

use super::*;
use crate::hub::budget::Budget;
use crate::hub::{ChannelName, Message, Overflow};

const NO_LIMIT: ReplayLimit = ReplayLimit { publications: usize::MAX, bytes: usize::MAX };

struct Fixture {
    log: Log,
    options: ChannelOptions,
    now: Instant,
    budget: Arc<Budget>,
}

impl Fixture {
    fn new(options: ChannelOptions) -> Self {
        let log = Log::new(Epoch::random(), Arc::default());
        Fixture { log, options, now: Instant::now(), budget: Arc::new(Budget::new(0)) }
    }

    fn push(&mut self, message: Message, lagging: bool) {
        let name = ChannelName::new("a").unwrap();
        let next = self.log.next();
        let publication = Publication::new(name, next, message, 0, self.budget.clone());
        self.log.push(publication.into(), self.now, self.options.conflates());
        self.log.trim(&self.options, lagging, self.now);
    }

    fn push_many(&mut self, count: usize) {
        (0..count).for_each(|_| self.push(Message::new("x"), false));
    }

    fn offsets(&self, after: Offset) -> Vec<Offset> {
        self.log.read(after).map(|publication| publication.position().offset).collect()
    }

    fn recovers(&self, offset: Offset, limit: ReplayLimit) -> Result<(), GapReason> {
        self.log.recovers(self.log.position(offset), &self.options, limit, self.now)
    }
}

#[test]
fn offsets_begin_at_one_and_have_no_hole() {
    let mut f = Fixture::new(ChannelOptions::default());
    f.push_many(3);
    assert_eq!(f.offsets(0), [1, 2, 3]);
    assert_eq!(f.offsets(2), [3]);
    assert!(f.offsets(3).is_empty());
}

#[test]
fn the_recovered_test_asks_for_a_range_without_a_hole() {
    let mut f = Fixture::new(ChannelOptions::default().history_size(3));
    f.push_many(5);
    assert_eq!(f.recovers(5, NO_LIMIT), Ok(()));
    assert_eq!(f.recovers(2, NO_LIMIT), Ok(()));
    assert_eq!(f.recovers(1, NO_LIMIT), Err(GapReason::Expired));
    assert_eq!(f.recovers(6, NO_LIMIT), Err(GapReason::Ahead));
    let other = Position { epoch: Epoch::random(), offset: 5 };
    let outcome = f.log.recovers(other, &f.options, NO_LIMIT, f.now);
    assert_eq!(outcome, Err(GapReason::Epoch));
}

#[test]
fn a_replay_is_bounded_in_publications_and_bytes() {
    let mut f = Fixture::new(ChannelOptions::default());
    f.push_many(10);
    let three = ReplayLimit { publications: 3, bytes: usize::MAX };
    assert_eq!(f.recovers(7, three), Ok(()));
    assert_eq!(f.recovers(6, three), Err(GapReason::Limit));
    assert_eq!(f.log.oldest_replay(&f.options, three, f.now).offset, 7);
    let bytes = ReplayLimit { publications: usize::MAX, bytes: 2 };
    assert_eq!(f.recovers(8, bytes), Ok(()));
    assert_eq!(f.recovers(7, bytes), Err(GapReason::Limit));
    // Nothing to replay is never too much.
    let nothing = ReplayLimit { publications: 0, bytes: 0 };
    assert_eq!(f.recovers(10, nothing), Ok(()));
}

#[test]
fn history_ends_by_age() {
    let mut f = Fixture::new(ChannelOptions::default().history_age(Duration::from_secs(10)));
    f.push_many(2);
    f.now += Duration::from_secs(9);
    f.push_many(1);
    f.now += Duration::from_secs(1);
    assert_eq!(f.recovers(1, NO_LIMIT), Err(GapReason::Expired));
    assert_eq!(f.recovers(2, NO_LIMIT), Ok(()));
    f.log.trim(&f.options, false, f.now);
    assert_eq!(f.offsets(0), [3]);
    assert_eq!(f.log.floor().offset, 2);
}

#[test]
fn the_backlog_outlives_the_history_but_is_not_replayed() {
    let mut f = Fixture::new(ChannelOptions::default().history_size(2).backlog(4));
    (0..6).for_each(|_| f.push(Message::new("x"), true));
    assert_eq!(f.offsets(0), [3, 4, 5, 6]);
    assert_eq!(f.recovers(3, NO_LIMIT), Err(GapReason::Expired));
    assert_eq!(f.recovers(4, NO_LIMIT), Ok(()));
    f.now += Duration::from_secs(3600);
    f.log.trim(&f.options, true, f.now);
    assert_eq!(f.offsets(0), [3, 4, 5, 6]);
    f.log.trim(&f.options, false, f.now);
    assert!(f.offsets(0).is_empty());
}

#[test]
fn a_conflated_log_keeps_the_newest_of_each_key() {
    let mut f = Fixture::new(ChannelOptions::default().overflow(Overflow::Latest).history_size(3));
    for key in ["a", "b", "a", "c", "b"] {
        f.push(Message::new("x").key(key).unwrap(), false);
    }
    assert_eq!(f.offsets(0), [3, 4, 5]);
    assert_eq!(f.recovers(0, NO_LIMIT), Ok(()), "only what was superseded is missing");
    f.push(Message::new("x").key("d").unwrap(), false);
    assert_eq!(f.offsets(0), [4, 5, 6]);
    assert_eq!(f.recovers(2, NO_LIMIT), Err(GapReason::Expired), "the newest of a is missing");
    assert_eq!(f.recovers(3, NO_LIMIT), Ok(()));
    f.push(Message::new("x"), false);
    f.push(Message::new("y"), false);
    assert_eq!(f.offsets(0), [5, 6, 8], "no key is a key in common");
    assert_eq!(f.log.newest.len(), 3);
}

#[test]
fn the_budget_is_charged_for_what_the_log_holds() {
    let mut f = Fixture::new(ChannelOptions::default().history_size(2));
    f.push_many(2);
    let two = f.budget.used();
    let held: Vec<_> = f.log.read(0).cloned().collect();
    f.push_many(1);
    assert_eq!(f.budget.used(), two);
    drop(f.log);
    assert_eq!(f.budget.used(), 0);
    drop(held);
    assert_eq!(f.budget.used(), 0);
}

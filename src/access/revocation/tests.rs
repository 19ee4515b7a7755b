use super::*;
use crate::access::{Grants, from_fn};
use crate::hub::ChannelOptions;
use crate::hub::backplane::{Memory, MemoryNode};

/// Whoever presents "NAME/NUMBER/SECOND" is that one, with a token of that number and age, that
/// lasts for an hour.
fn by_name(credentials: Credentials<'_>) -> Result<Identity, Refusal> {
    let all: Vec<Interest> = vec!["**".parse().unwrap()];
    let grants = Grants { subscribe: all, ..Grants::default() };
    let mut identity = Identity { grants, ..Identity::default() };
    if let Some(token) = credentials.token {
        let [name, number, second] = token.split('/').collect::<Vec<_>>()[..] else { panic!() };
        let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        identity.subject = text(name);
        identity.token_id = text(number);
        identity.issued =
            second.parse().ok().map(|second| UNIX_EPOCH + Duration::from_secs(second));
        identity.expires = Some(SystemTime::now() + Duration::from_secs(3600));
    }
    Ok(identity)
}

type Named = Guard<crate::access::FromFn<fn(Credentials<'_>) -> Result<Identity, Refusal>>>;

fn guard(revocations: &Revocations) -> Named {
    revocations.guard(from_fn(by_name as fn(Credentials<'_>) -> _))
}

/// A node of a hub that knows what was revoked.
async fn node(hub: &Hub) -> (Revocations, Named) {
    let revocations = Revocations::new(hub).unwrap();
    revocations.ready().await;
    let guard = guard(&revocations);
    (revocations, guard)
}

async fn present(guard: &Named, token: &str) -> Result<Identity, RefusalKind> {
    let credentials = Credentials { token: Some(token), request: None, previous: None };
    guard.authenticate(credentials).await.map_err(|refusal| refusal.kind)
}

async fn may_use(guard: &Named, identity: &Identity, interest: &str) -> bool {
    guard.authorize(identity, Action::Subscribe, &interest.parse().unwrap()).await
}

/// A hub that a backplane joins to others.
fn joined(memory: &Memory) -> (Hub, MemoryNode) {
    let node = memory.node();
    (Hub::builder().backplane(node.clone()).replay_limit(7, 1 << 20).build(), node)
}

/// Waits until another node has heard of something.
async fn heard(node: &Revocations, is_known: impl Fn(&Ledger) -> bool) {
    let mut changes = node.shared.changed.subscribe();
    while !is_known(&node.shared.ledger()) {
        changes.changed().await.unwrap();
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn channel() -> ChannelName {
    ChannelName::new(Revocations::CHANNEL).unwrap()
}

fn by_size(publications: usize) -> Hub {
    let options = ChannelOptions::default().history_size(publications);
    Hub::builder().namespace("lithe.**".parse().unwrap(), options.backlog(1)).build()
}

#[tokio::test]
async fn a_revoked_token_is_refused_and_others_are_not() {
    let (revocations, guard) = node(&Hub::new()).await;
    let alice = present(&guard, "alice/1/1000").await.unwrap();
    let mut changes = guard.changes().unwrap();
    changes.mark_unchanged();
    revocations.revoke(Revocation::token("1")).await.unwrap();
    assert!(changes.has_changed().unwrap());
    assert_eq!(present(&guard, "alice/1/1000").await.unwrap_err(), RefusalKind::Revoked);
    assert!(!may_use(&guard, &alice, "news").await);
    let other = present(&guard, "alice/2/1000").await.unwrap();
    assert!(may_use(&guard, &other, "news").await);
}

#[tokio::test]
async fn threads_without_a_runtime_revoke_for_all_nodes_too() {
    let memory = Memory::new();
    let (here, _guard) = node(&joined(&memory).0).await;
    let (_there, guard) = node(&joined(&memory).0).await;
    let mut changes = guard.changes().unwrap();
    changes.mark_unchanged();
    let revoke = move || here.revoke_blocking(Revocation::token("1"));
    std::thread::spawn(revoke).join().unwrap().unwrap();
    changes.changed().await.unwrap();
    assert_eq!(present(&guard, "alice/1/1000").await.unwrap_err(), RefusalKind::Revoked);
}

#[tokio::test]
async fn a_subject_is_revoked_up_to_a_time() {
    let (revocations, guard) = node(&Hub::new()).await;
    let at = UNIX_EPOCH + Duration::from_secs(5000);
    revocations.revoke(Revocation::subject("alice").issued_before(at)).await.unwrap();
    for token in ["alice/1/4999", "alice/1/0", "alice/1/none"] {
        assert_eq!(present(&guard, token).await.unwrap_err(), RefusalKind::Revoked, "{token}");
    }
    for token in ["alice/1/5000", "bob/1/4999", "alicea/1/4999"] {
        assert!(present(&guard, token).await.is_ok(), "{token}");
    }
    // An earlier time takes nothing back.
    let at = UNIX_EPOCH + Duration::from_secs(10);
    revocations.revoke(Revocation::subject("alice").issued_before(at)).await.unwrap();
    assert_eq!(present(&guard, "alice/1/4999").await.unwrap_err(), RefusalKind::Revoked);
}

#[tokio::test]
async fn a_channel_is_revoked_with_all_patterns_that_have_it() {
    let (revocations, guard) = node(&Hub::new()).await;
    let (alice, bob) = (present(&guard, "alice/1/9").await, present(&guard, "bob/2/9").await);
    let (alice, bob) = (alice.unwrap(), bob.unwrap());
    let room = Revocation::channel("rooms.42".parse().unwrap()).only_of("alice");
    revocations.revoke(room).await.unwrap();
    for interest in ["rooms.42", "rooms.*", "**", "*.42"] {
        assert!(!may_use(&guard, &alice, interest).await, "{interest}");
        assert!(may_use(&guard, &bob, interest).await, "{interest}");
    }
    assert!(may_use(&guard, &alice, "rooms.43").await);
    assert!(present(&guard, "alice/1/9").await.is_ok());
    let newer = present(&guard, &format!("alice/1/{}", now() + 5)).await.unwrap();
    assert!(may_use(&guard, &newer, "rooms.42").await);

    revocations.revoke(Revocation::channel("rooms.**".parse().unwrap())).await.unwrap();
    let guest = Identity { token_id: None, subject: None, ..bob.clone() };
    for identity in [&alice, &bob, &guest] {
        assert!(!may_use(&guard, identity, "rooms.7").await);
        assert!(may_use(&guard, identity, "news").await);
    }
}

#[tokio::test]
async fn a_revocation_is_forgotten_when_it_is_over() {
    let (revocations, guard) = node(&Hub::new()).await;
    let over = SystemTime::now() - Duration::from_secs(1);
    revocations.revoke(Revocation::token("1").until(over)).await.unwrap();
    assert!(present(&guard, "alice/1/9").await.is_ok());
    assert_eq!(revocations.shared.ledger().all().count(), 0);
}

#[tokio::test]
async fn other_nodes_hear_of_it() {
    let hub = Hub::new();
    let (here, _) = node(&hub).await;
    let (there, guard) = node(&hub).await;
    here.revoke(Revocation::token("1")).await.unwrap();
    heard(&there, |ledger| ledger.all().count() == 1).await;
    assert_eq!(present(&guard, "alice/1/9").await.unwrap_err(), RefusalKind::Revoked);
}

#[tokio::test]
async fn a_node_that_starts_later_reads_the_history() {
    let hub = Hub::builder().replay_limit(7, 1 << 20).build();
    let (here, _) = node(&hub).await;
    for number in 0..50 {
        here.revoke(Revocation::token(number.to_string())).await.unwrap();
    }
    let (_, guard) = node(&hub).await;
    for number in 0..50 {
        let refused = present(&guard, &format!("alice/{number}/9")).await.unwrap_err();
        assert_eq!(refused, RefusalKind::Revoked);
    }
    assert!(present(&guard, "alice/50/9").await.is_ok());
}

#[tokio::test]
async fn until_everything_is_known_clients_are_to_try_again() {
    let revocations = Revocations::new(&Hub::new()).unwrap();
    let guard = guard(&revocations);
    // On this runtime nothing has run yet that could have read anything.
    assert_eq!(present(&guard, "alice/1/9").await.unwrap_err(), RefusalKind::Unavailable);
    assert!(!may_use(&guard, &Identity::default(), "news").await);
    revocations.ready().await;
    assert!(present(&guard, "alice/1/9").await.is_ok());
}

#[tokio::test]
async fn when_the_history_is_too_short_old_tokens_are_not_believed() {
    let hub = by_size(2);
    let (here, _) = node(&hub).await;
    for number in 0..3 {
        here.revoke(Revocation::token(number.to_string())).await.unwrap();
    }
    let (_, guard) = node(&hub).await;
    for token in ["alice/0/9", "alice/7/9", "alice/7/none"] {
        assert_eq!(present(&guard, token).await.unwrap_err(), RefusalKind::Revoked, "{token}");
    }
    let fresh = present(&guard, &format!("alice/7/{}", now() + 5)).await;
    assert!(fresh.is_ok());
    let nobody = Credentials { token: None, request: None, previous: None };
    assert!(guard.authenticate(nobody).await.is_ok());
}

#[tokio::test]
async fn what_is_over_need_not_be_in_the_history() {
    let hub = by_size(1);
    let (here, _) = node(&hub).await;
    let over = SystemTime::now() + Duration::from_millis(20);
    here.revoke(Revocation::token("1").until(over)).await.unwrap();
    here.revoke(Revocation::token("2")).await.unwrap();
    while SystemTime::now() <= over + Duration::from_millis(1) {
        tokio::task::yield_now().await;
    }
    let (_, guard) = node(&hub).await;
    assert!(present(&guard, "alice/7/9").await.is_ok());
    assert_eq!(present(&guard, "alice/2/9").await.unwrap_err(), RefusalKind::Revoked);
}

#[tokio::test]
async fn a_notice_that_cannot_be_read_may_have_been_about_anybody() {
    let hub = Hub::new();
    let (revocations, guard) = node(&hub).await;
    assert!(present(&guard, "alice/1/9").await.is_ok());
    hub.publish(&channel(), r#"{"everybody":true}"#).await.unwrap();
    heard(&revocations, |ledger| ledger.until() > SystemTime::now()).await;
    assert_eq!(present(&guard, "alice/1/9").await.unwrap_err(), RefusalKind::Revoked);
    assert!(present(&guard, &format!("alice/1/{}", now() + 5)).await.is_ok());
}

#[tokio::test]
async fn a_log_that_had_to_make_room_is_not_believed_to_be_all() {
    let hub = Hub::builder().history_budget(4096).build();
    let (revocations, guard) = node(&hub).await;
    revocations.revoke(Revocation::token("1")).await.unwrap();
    for number in 0..100 {
        let name = ChannelName::new(format!("filler.{number}")).unwrap();
        hub.publish(&name, vec![b'x'; 1000]).await.unwrap();
    }
    revocations.revoke(Revocation::token("2")).await.unwrap();
    for number in [1, 2] {
        let refused = present(&guard, &format!("alice/{number}/9")).await.unwrap_err();
        assert_eq!(refused, RefusalKind::Revoked);
    }
    assert!(present(&guard, "alice/3/9").await.is_ok());
    let (_, late) = node(&hub).await;
    for number in [1, 2, 3] {
        let refused = present(&late, &format!("alice/{number}/9")).await.unwrap_err();
        assert_eq!(refused, RefusalKind::Revoked);
    }
}

#[tokio::test]
async fn tokens_that_outlive_revocations_are_refused() {
    let builder = Revocations::builder(&Hub::new()).longest_token(Duration::from_secs(60));
    let revocations = builder.build().unwrap();
    revocations.ready().await;
    let last = SystemTime::now() + Duration::from_secs(2 * 60 * 60);
    let guard = revocations.guard(from_fn(move |_| {
        let subject = Some("alice".into());
        Ok(Identity { subject, expires: Some(last), ..Identity::default() })
    }));
    let credentials = Credentials { token: Some(""), request: None, previous: None };
    let refused = guard.authenticate(credentials).await.unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Invalid);
}

#[tokio::test]
async fn tokens_from_before_a_time_are_not_believed_where_that_is_wanted() {
    let (revocations, guard) = node(&Hub::new()).await;
    revocations.distrust(SystemTime::now());
    assert_eq!(present(&guard, "alice/1/9").await.unwrap_err(), RefusalKind::Revoked);
    assert!(present(&guard, &format!("alice/1/{}", now() + 5)).await.is_ok());
    // Also those without a name or a number, of which a channel may have been revoked.
    assert_eq!(present(&guard, "//9").await.unwrap_err(), RefusalKind::Revoked);
    let guest = Credentials { token: None, request: None, previous: None };
    assert!(guard.authenticate(guest).await.is_ok());
}

#[tokio::test]
async fn the_changes_of_the_authorizer_are_passed_on() {
    struct Changing(watch::Sender<u64>);
    impl Authorizer for Changing {
        fn authenticate<'a>(&'a self, _: Credentials<'a>) -> Answer<'a, Result<Identity, Refusal>> {
            Box::pin(std::future::ready(Ok(Identity::default())))
        }
        fn authorize<'a>(
            &'a self,
            _: &'a Identity,
            _: Action,
            _: &'a Interest,
        ) -> Answer<'a, bool> {
            Box::pin(std::future::ready(true))
        }
        fn changes(&self) -> Option<watch::Receiver<u64>> {
            Some(self.0.subscribe())
        }
    }
    let (revocations, _) = node(&Hub::new()).await;
    let changing = watch::Sender::new(0);
    let guard = revocations.guard(Changing(changing.clone()));
    let mut changes = guard.changes().unwrap();
    changing.send_modify(|changes| *changes += 1);
    changes.changed().await.unwrap();
}

#[tokio::test]
async fn it_ends_with_the_last_of_its_guards() {
    let hub = Hub::new();
    let (revocations, guard) = node(&hub).await;
    let shared = Arc::downgrade(&revocations.shared);
    drop(revocations);
    assert!(present(&guard, "alice/1/9").await.is_ok());
    drop(guard);
    while shared.upgrade().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(hub.stats().subscriptions, 0);
}

#[test]
fn without_a_runtime_there_are_none() {
    assert!(matches!(Revocations::new(&Hub::new()), Err(RevokeError::NoRuntime)));
}

#[test]
fn when_there_is_no_room_for_more_that_is_said() {
    let now = SystemTime::now();
    let mut ledger = Ledger::new(Duration::from_secs(60));
    let until = now + Duration::from_secs(60);
    let room = |number: usize| {
        Revocation::channel(format!("rooms.{number}").parse().unwrap()).until(until)
    };
    for number in 0..MAX_CHANNEL_REVOCATIONS {
        assert_eq!(ledger.insert(room(number), now), Ok(()));
    }
    assert_eq!(ledger.insert(room(MAX_CHANNEL_REVOCATIONS), now), Err(Full));
    let later = until + Duration::from_secs(1);
    let more = room(MAX_CHANNEL_REVOCATIONS).until(later + Duration::from_secs(60));
    assert_eq!(ledger.insert(more, later), Ok(()));
    assert_eq!(ledger.all().count(), 1);
}

#[tokio::test]
async fn a_revocation_reaches_nodes_that_a_backplane_joins_and_those_that_start_later() {
    let memory = Memory::new();
    let ((here, _), (there, _)) = (joined(&memory), joined(&memory));
    let (revocations, _) = node(&here).await;
    let (other, other_guard) = node(&there).await;
    for number in 0..300 {
        revocations.revoke(Revocation::token(number.to_string())).await.unwrap();
    }
    heard(&other, |ledger| ledger.all().count() == 300).await;
    drop((revocations, here, other, there));
    let (_, late_guard) = node(&joined(&memory).0).await;
    for guard in [&other_guard, &late_guard] {
        for number in 0..300 {
            let refused = present(guard, &format!("alice/{number}/9")).await.unwrap_err();
            assert_eq!(refused, RefusalKind::Revoked);
        }
        assert!(present(guard, "alice/300/9").await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn until_the_backplane_can_be_read_clients_are_to_try_again() {
    let memory = Memory::new();
    let (here, _) = node(&joined(&memory).0).await;
    here.revoke(Revocation::token("1")).await.unwrap();
    let (hub, _) = joined(&memory);
    // What is mirrored already is not all that there was.
    let _mirror = hub.subscribe([channel()]).unwrap();
    memory.set_available(false);
    let revocations = Revocations::new(&hub).unwrap();
    let guard = guard(&revocations);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(present(&guard, "alice/2/9").await.unwrap_err(), RefusalKind::Unavailable);
    }
    memory.set_available(true);
    revocations.ready().await;
    assert_eq!(present(&guard, "alice/1/9").await.unwrap_err(), RefusalKind::Revoked);
    assert!(present(&guard, "alice/2/9").await.is_ok());
}

#[tokio::test]
async fn what_a_backplane_has_lost_is_revoked_again_once_by_all_that_know_it() {
    let memory = Memory::new();
    let ((here, here_node), (there, there_node)) = (joined(&memory), joined(&memory));
    let (revocations, guard) = node(&here).await;
    let (other, other_guard) = node(&there).await;
    for number in 1..=2 {
        revocations.revoke(Revocation::token(number.to_string())).await.unwrap();
    }
    heard(&other, |ledger| ledger.all().count() == 2).await;
    memory.lose(&channel());
    here_node.check();
    there_node.check();
    // Whatever else was in the log may have been about anybody.
    for guard in [&guard, &other_guard] {
        while !matches!(present(guard, "alice/3/9").await, Err(RefusalKind::Revoked)) {
            tokio::task::yield_now().await;
        }
    }
    let (late_hub, _) = joined(&memory);
    let (late, late_guard) = node(&late_hub).await;
    heard(&late, |ledger| ledger.all().count() == 2).await;
    for number in 1..=2 {
        let refused = present(&late_guard, &format!("alice/{number}/9")).await.unwrap_err();
        assert_eq!(refused, RefusalKind::Revoked);
    }
    // All that there was to do was done before the task of the late one ran.
    let log = late_hub.load_history(&channel(), 0).await.unwrap().unwrap();
    assert_eq!(log.to.offset, 2);
}

use tokio::sync::Semaphore;

use super::*;
use crate::access::{Authorizer, Public, Refusal};
use crate::endpoint::Endpoint;
use crate::hub::{ChannelName, Hub};

/// Grants nothing, and takes its time to say so.
struct Slow(Arc<Semaphore>);

impl Authorizer for Slow {
    fn authenticate<'a>(
        &'a self,
        credentials: Credentials<'a>,
    ) -> Answer<'a, Result<Identity, Refusal>> {
        Public.authenticate(credentials)
    }

    fn authorize<'a>(&'a self, _: &'a Identity, _: Action, _: &'a Interest) -> Answer<'a, bool> {
        Box::pin(async {
            self.0.acquire().await.unwrap().forget();
            false
        })
    }
}

#[tokio::test]
async fn a_review_ends_however_often_something_changes_meanwhile() {
    let leave = Arc::new(Semaphore::new(0));
    let hub = Hub::new();
    let endpoint = Endpoint::builder(hub.clone()).authorizer(Slow(leave.clone())).build();
    let begun = Session::begin(&endpoint.shared, &StreamRequest::default()).await;
    let mut session = begun.ok().unwrap();
    let names = ["a", "b"].map(|name| name.parse::<ChannelName>().unwrap());
    let mut subscription = hub.subscribe(names).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        session.link.leave_word(|word| word.review = true);
        assert!(session.poll_change(&mut cx, &mut subscription).is_pending());
        leave.add_permits(1);
        if let Poll::Ready(change) = session.poll_change(&mut cx, &mut subscription) {
            assert!(matches!(change, Change::Refused(refused) if refused.len() == 2));
            assert!(session.is_in_review(), "what has changed meanwhile is yet to be looked at");
            return;
        }
    }
    panic!("it has begun anew");
}

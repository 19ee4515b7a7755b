//! Delivering what is published on a hub on a connection of the host's, from a task of the worker
//! that serves the connection: nothing crosses the boundary for it.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake as _, Waker, ready};
use std::time::Instant;

use tokio::task::coop;
use tokio::time::{Sleep, sleep_until};

use super::error::{Error, LITHE_ERR_FULL, LITHE_ERR_WRONG_STATE};
use super::hub::Hub;
use super::wire::{Batch, Form, Gone, Outlet, Settings};
use crate::hub::{Interest, MAX_INTERESTS, SubscribeError, Subscription};
use crate::transport::cork::{self, Mailbox};

/// What one connection gets of hubs.
pub(super) struct Feeds {
    /// Of the worker that serves the connection.
    mailbox: Arc<Mailbox>,
    list: Mutex<Vec<Arc<Feed>>>,
}

/// What it gets of one hub.
struct Feed {
    /// The hub's handle.
    hub: u64,
    settings: Settings,
    /// `None` when the connection has ended.
    subscribed: Mutex<Option<Subscribed>>,
    task: Mutex<Option<Waker>>,
    mailbox: Arc<Mailbox>,
}

struct Subscribed {
    subscription: Subscription,
    form: Form,
}

/// A subscription wakes its feed, and that its task: with many others at once, where a thread of the
/// host's has published.
impl std::task::Wake for Feed {
    fn wake(self: Arc<Self>) {
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            cork::Wake::new(task, Some(&self.mailbox)).wake();
        }
    }
}

/// What a feed has for its connection.
enum Next {
    Batch(Option<Batch>),
    /// Nothing, before it is woken or a pause ends.
    Wait(Option<Instant>),
}

impl Feeds {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Feeds { mailbox, list: Mutex::default() }
    }

    /// Subscribes to channels and patterns of a hub. `None` when the connection has ended.
    pub(super) fn subscribe(
        &self,
        (handle, hub): (u64, &Hub),
        interests: Vec<Interest>,
        cursor: Option<&str>,
        settings: impl FnOnce(Option<&Settings>) -> Result<Settings, Error>,
        outlet: Outlet,
    ) -> Result<Option<()>, Error> {
        if outlet.is_closed() {
            return Ok(None);
        }
        let mut list = lock(&self.list);
        if let Some(feed) = list.iter().find(|feed| feed.hub == handle) {
            settings(Some(&feed.settings))?;
            match &mut *lock(&feed.subscribed) {
                Some(subscribed) => subscribe(&mut subscribed.subscription, interests, cursor)?,
                None => return Ok(None),
            }
            feed.clone().wake();
            return Ok(Some(()));
        }
        let settings = settings(None)?;
        let mut subscription = hub.native.subscriber_with(settings.options());
        subscribe(&mut subscription, interests, cursor)?;
        let form = outlet.form(&settings);
        let feed = Arc::new(Feed {
            hub: handle,
            settings,
            subscribed: Mutex::new(Some(Subscribed { subscription, form })),
            task: Mutex::default(),
            mailbox: self.mailbox.clone(),
        });
        // Dropped before it is run when the server has stopped.
        self.mailbox.worker().spawn(run(Running(feed.clone()), outlet));
        list.push(feed);
        Ok(Some(()))
    }

    /// Says whether it was subscribed to.
    pub(super) fn unsubscribe(&self, hub: u64, interest: &Interest) -> bool {
        let list = lock(&self.list);
        let Some(feed) = list.iter().find(|feed| feed.hub == hub) else { return false };
        let found = match &mut *lock(&feed.subscribed) {
            Some(subscribed) => subscribed.subscription.unsubscribe(interest),
            None => false,
        };
        feed.clone().wake();
        found
    }

    /// The connection is about to end.
    pub(super) fn end(&self) {
        for feed in lock(&self.list).drain(..) {
            feed.end();
        }
    }
}

impl Feed {
    /// What is to be sent next; `None` is the end.
    async fn next(self: &Arc<Self>) -> Option<Batch> {
        // Few have pauses, so the others have no room for a timer.
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            loop {
                let due = match self.poll_next(cx) {
                    Next::Batch(batch) => return Poll::Ready(batch),
                    Next::Wait(None) => return Poll::Pending,
                    Next::Wait(Some(due)) => due.into(),
                };
                let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
                if timer.deadline() != due {
                    timer.as_mut().reset(due);
                }
                ready!(timer.as_mut().poll(cx));
            }
        })
        .await
    }

    fn poll_next(self: &Arc<Self>, cx: &Context<'_>) -> Next {
        let mut task = lock(&self.task);
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        drop(task);
        let waker = Waker::from(self.clone());
        let mut subscribed = lock(&self.subscribed);
        let Some(Subscribed { subscription, form }) = &mut *subscribed else {
            return Next::Batch(None);
        };
        match subscription.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(item)) => Next::Batch(Some(form.gather(item, subscription))),
            Poll::Ready(None) => Next::Batch(None),
            Poll::Pending => Next::Wait(subscription.next_due()),
        }
    }

    fn end(self: Arc<Self>) {
        let ended = lock(&self.subscribed).take();
        // Others are told that it has left, so not under the lock.
        drop(ended);
        self.wake();
    }
}

fn subscribe(
    subscription: &mut Subscription,
    interests: Vec<Interest>,
    cursor: Option<&str>,
) -> Result<(), Error> {
    let is_new = |interest: &&Interest| !subscription.interests().any(|other| other == *interest);
    let new = interests.iter().filter(is_new).count();
    if subscription.interests().count() + new > MAX_INTERESTS {
        return Err(SubscribeError::TooMany.into());
    }
    match cursor {
        Some(cursor) => subscription.resume(interests, cursor)?,
        None => {
            for interest in interests {
                subscription.subscribe(interest)?;
            }
        }
    }
    Ok(())
}

impl From<SubscribeError> for Error {
    fn from(error: SubscribeError) -> Self {
        let code = match error {
            SubscribeError::TooMany => LITHE_ERR_FULL,
            _ => LITHE_ERR_WRONG_STATE,
        };
        Error::with(code, error)
    }
}

/// Held by the task: whichever way it ends, if only because the server stops, the connection is no
/// longer among the subscribers.
struct Running(Arc<Feed>);

impl Drop for Running {
    fn drop(&mut self) {
        let ended = lock(&self.0.subscribed).take();
        drop(ended);
        let task = lock(&self.0.task).take();
        drop(task);
    }
}

/// Delivers until the connection or the subscription has ended.
async fn run(running: Running, outlet: Outlet) {
    let feed = &running.0;
    loop {
        // A client that is behind has much to get, and so have others.
        coop::consume_budget().await;
        let batch = tokio::select! {
            biased;
            () = outlet.closed() => return,
            batch = feed.next() => batch,
        };
        let sent = match batch {
            Some(batch) => outlet.send(batch).await,
            None => Err(Gone),
        };
        if sent.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

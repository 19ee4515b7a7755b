//! What is said on a WebSocket while it lasts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::close::Parting;
use super::control::{Command, ControlFrame, ControlFrameError, Since};
use super::work::{self, Done, Judged, Lanes, Publish};
use super::{Opened, reply};
use crate::endpoint::event_stream::is_due;
use crate::endpoint::frames::{self, Frame, WsFrame};
use crate::endpoint::link::End;
use crate::endpoint::session::{self, Change, Session};
use crate::endpoint::{Rejection, Shared};
use crate::hub::{Interest, Item, Subscription, UnsubscribeReason};
use crate::ws::{Message, Rate, Receiver, Sender, Socket};

/// Runs inside the task of its connection. It reads the subscription only while little waits to be
/// sent: what a slow client has not got yet stays in the hub.
pub(super) struct Conversation {
    sender: Sender,
    receiver: Receiver,
    /// While there is no room.
    ticket: Option<usize>,
    session: Session,
    subscription: Subscription,
    lanes: Lanes,
    /// Until a channel goes on that pauses.
    pause: Option<Pin<Box<Sleep>>>,
    rate: Option<Box<Rate>>,
    cursor: CursorMode,
    /// To be parted from when all is done that it has asked for.
    parting: Option<(Parting, Duration)>,
    /// Until it is parted from all the same.
    patience: Option<Pin<Box<Sleep>>>,
}

/// How long is waited for what a client has asked for before it is parted from.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the client has to be told its cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CursorMode {
    /// It is about one channel only: each publication tells it.
    Single,
    /// After all that was written together.
    Vector,
}

impl CursorMode {
    fn of(subscription: &Subscription) -> Self {
        let mut interests = subscription.interests();
        match (interests.next(), interests.next()) {
            (None | Some(Interest::Channel(_)), None) => CursorMode::Single,
            _ => CursorMode::Vector,
        }
    }
}

impl Conversation {
    pub(super) fn new(socket: Socket, opened: Opened) -> Self {
        let Opened { session, subscription, refused } = opened;
        let (sender, receiver) = socket.split();
        let rate = session.link.shared().and_then(|shared| shared.config.max_requests_per_second);
        let conversation = Conversation {
            sender,
            receiver,
            ticket: None,
            cursor: CursorMode::of(&subscription),
            session,
            subscription,
            lanes: Lanes::default(),
            pause: None,
            rate: rate.map(|limit| Box::new(Rate::new(limit))),
            parting: None,
            patience: None,
        };
        for interest in &refused {
            conversation.say_frame(&Frame::refused(interest.as_str()));
        }
        conversation
    }

    /// Queues a frame, for which there is always room. A connection that is closed needs none.
    fn say(&self, text: String) {
        let _ = self.sender.try_send(text);
    }

    fn say_frame(&self, frame: &Frame<'_>) {
        self.say(frames::json(frame));
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        self.session.link.shared()
    }

    fn max_in_flight(&self) -> usize {
        self.shared().map_or(64 * 1024, |shared| shared.config.max_frame)
    }

    fn part(&mut self, parting: Parting, retry: Duration) {
        // The first reason counts.
        self.parting.get_or_insert((parting, retry));
    }

    fn part_for(&mut self, parting: Parting) {
        let retry = self.shared().map(|shared| shared.config.retry());
        self.part(parting, retry.unwrap_or_default());
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Expiring(left) | Change::Renewed(Some(left)) => {
                self.say_frame(&Frame::expires_in(left));
            }
            Change::Renewed(None) => {}
            Change::Expired => self.say_frame(&Frame::expired()),
            Change::Refused(refused) => {
                for interest in &refused {
                    self.say_frame(&Frame::refused(interest.as_str()));
                }
                self.channels_changed();
                if self.subscription.interests().next().is_none() {
                    self.part_for(Parting::Denied);
                }
            }
            Change::End(End::Drain(retry)) => self.part(Parting::Drain, retry),
            Change::End(End::Close | End::Abort) => self.part_for(Parting::Close),
            Change::Unsure => self.part_for(Parting::Unavailable),
            Change::TimedOut => self.part_for(Parting::TokenExpired),
        }
    }

    fn channels_changed(&mut self) {
        self.cursor = CursorMode::of(&self.subscription);
        self.say_cursor();
    }

    fn say_cursor(&self) {
        if let Some(cursor) = self.subscription.cursor() {
            self.say_frame(&Frame::Cursor { cursor: cursor.to_string() });
        }
    }

    fn say_vector(&self) {
        if self.cursor == CursorMode::Vector {
            self.say_cursor();
        }
    }

    /// Sees to one message of the client.
    fn take(&mut self, message: &Message) {
        match self.read(message) {
            Ok(ControlFrame { id, command }) => self.begin(id, command),
            Err(error) => {
                self.say(reply::error(error.id(), None, error.code(), &error.to_string()))
            }
        }
    }

    fn read(&mut self, message: &Message) -> Result<ControlFrame, ControlFrameError> {
        let text = message.as_text().ok_or_else(ControlFrameError::binary)?;
        let Some(config) = self.session.link.shared().map(|shared| &shared.config) else {
            return text.parse();
        };
        if let (Some(rate), Some(max)) = (&mut self.rate, config.max_requests_per_second)
            && !rate.allows(1)
        {
            rate.refund(1);
            return Err(ControlFrameError::too_fast(text, max));
        }
        if text.len() > config.max_request {
            return Err(ControlFrameError::too_large(text, config.max_request));
        }
        text.parse()
    }

    fn begin(&mut self, id: Option<u64>, command: Command) {
        let may_always =
            matches!(command, Command::Token(_) | Command::Ping | Command::Unsubscribe { .. });
        if self.session.has_expired() && !may_always {
            return self.say(reply::rejected(id, &Rejection::expired()));
        }
        let Some(shared) = self.shared().cloned() else { return };
        let identity = self.session.identity();
        match command {
            Command::Ping => self.say(reply::pong(id)),
            Command::Unsubscribe { wanted } => self.unsubscribe(id, &wanted),
            Command::Subscribe { wanted, since } => self.subscribe(id, wanted, since),
            Command::Publish { channel, message } => {
                self.lanes.publish(Publish { id, channel, message, shared, identity });
            }
            Command::History { channel, after, limit } => {
                self.lanes.begin(work::history(shared, identity, id, channel, after, limit));
            }
            Command::Presence { channel } => {
                self.lanes.begin(work::presence(shared, identity, id, channel));
            }
            Command::Token(token) => {
                self.lanes.begin(work::renew(shared, self.session.link.clone(), id, token));
            }
        }
    }

    fn unsubscribe(&mut self, id: Option<u64>, wanted: &[Interest]) {
        for interest in wanted {
            self.subscription.unsubscribe(interest);
            self.session.forget(interest);
        }
        if let Some(id) = id {
            self.say(reply::done(id));
        }
        self.channels_changed();
    }

    /// Asks whether the client may have what it wants.
    fn subscribe(&mut self, id: Option<u64>, wanted: Vec<Interest>, since: Since) {
        let era = self.session.reviews();
        let Some(asked) = self.session.ask(wanted) else { return };
        self.lanes.begin(async move {
            match asked.await {
                Some(verdicts) => Done::Judged(Judged { id, since, verdicts, era }),
                None => Done::Told(Some(reply::unavailable(id, None))),
            }
        });
    }

    fn judged(&mut self, judged: Judged) {
        let Judged { id, since, verdicts, era } = judged;
        if era != self.session.reviews() {
            let wanted = verdicts.into_iter().map(|verdict| verdict.interest).collect();
            return self.subscribe(id, wanted, since);
        }
        let max = self.shared().map_or(0, |shared| shared.config.max_channels);
        let is_new = |wanted: &Interest| !self.subscription.interests().any(|had| had == wanted);
        let granted = verdicts.iter().filter(|verdict| verdict.subscribe);
        let added = granted.filter(|verdict| is_new(&verdict.interest)).count();
        if self.subscription.interests().count() + added > max {
            return self.say(reply::rejected(id, &Rejection::too_many(max)));
        }
        let (granted, refused) = self.session.heed(verdicts);
        if let ([], [only]) = (&granted[..], &refused[..]) {
            let channel = Some(only.as_str());
            return self.say(reply::error(id, channel, "denied", "this channel is not granted"));
        }
        for interest in &refused {
            self.say_frame(&Frame::refused(interest.as_str()));
        }
        if granted.is_empty() {
            let rejection = Rejection::denied("none of these channels is granted");
            return self.say(reply::rejected(id, &rejection));
        }
        let subscribed = match since {
            Since::Now => session::subscribe(&mut self.subscription, granted.clone(), None),
            Since::Cursor(cursor) => {
                session::subscribe(&mut self.subscription, granted.clone(), Some(&cursor))
            }
            Since::Position(position) => {
                session::subscribe_after(&mut self.subscription, &granted, position)
            }
        };
        match (subscribed, id) {
            (Ok(()), Some(id)) => self.say(reply::subscribed(id, &granted)),
            (Ok(()), None) => {}
            (Err(rejection), id) => self.say(reply::rejected(id, &rejection)),
        }
        self.channels_changed();
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Told(told) => told.into_iter().for_each(|text| self.say(text)),
            Done::Judged(judged) => self.judged(judged),
        }
    }

    /// Says what a client is told of an item, and how many bytes that is.
    fn pass_on(&mut self, item: &Item) -> usize {
        let text = match item {
            Item::Publication(publication) => {
                let WsFrame(frame) = publication.encoded();
                let _ = self.sender.try_send_prepared(frame);
                return frame.message().len();
            }
            Item::Subscribed(subscribed) => frames::json(&subscribed.into()),
            Item::Gap(gap) => frames::json(&gap.into()),
            Item::Presence(change) if self.session.may_see(change) => frames::json(&change.into()),
            Item::Unsubscribed { interest, reason: UnsubscribeReason::Limit } => {
                self.cursor = CursorMode::of(&self.subscription);
                frames::json(&Frame::too_many(interest.as_str()))
            }
            Item::Disconnected { .. } => {
                self.part_for(Parting::Slow);
                return 0;
            }
            Item::Presence(_) | Item::Unsubscribed { .. } => return 0,
        };
        let bytes = text.len();
        self.say(text);
        bytes
    }

    /// Passes on what there is, as long as there is room. `Ready`: there may be more.
    fn pass_on_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let room = self.max_in_flight().saturating_sub(self.sender.queued_bytes());
        let mut said = 0;
        let mut is_news = false;
        let mut untold_gap = false;
        let more = loop {
            if self.session.is_in_review() || self.parting.is_some() {
                break Poll::Pending;
            }
            if said >= room {
                break Poll::Ready(());
            }
            match self.subscription.poll_next(cx) {
                Poll::Ready(Some(item)) => {
                    said += self.pass_on(&item);
                    is_news |= is_news_of_channels(&item);
                    untold_gap |= matches!(item, Item::Gap(_));
                    // Who comes back from before a gap is told of it again, and forgets again what it
                    // has got since: nothing may follow it before the cursor.
                    if untold_gap && !self.subscription.has_more_to_tell() {
                        (is_news, untold_gap) = (false, false);
                        self.say_vector();
                    }
                }
                Poll::Pending if is_due(&mut self.pause, &self.subscription, cx) => {}
                Poll::Ready(None) | Poll::Pending => break Poll::Pending,
            }
        };
        if is_news {
            self.say_vector();
        }
        more
    }

    /// Takes what the client has sent, while it may ask for more. `true`: it will send no more.
    ///
    /// Many small requests may come at once, with large answers: the client takes those before more
    /// is done for it.
    fn take_all(&mut self, cx: &mut Context<'_>) -> bool {
        let max = self.max_in_flight();
        while self.lanes.are_free() && self.parting.is_none() && self.sender.queued_bytes() < max {
            match self.receiver.poll_recv(cx) {
                Poll::Ready(Some(message)) => self.take(&message),
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
            self.poll_lanes(cx);
        }
        self.held_up();
        false
    }

    /// What the client sends from now on is not read: it may be much by the time it is.
    fn held_up(&mut self) {
        if let Some(rate) = &mut self.rate {
            rate.held_up = true;
        }
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(done) = self.lanes.poll(cx) {
            self.done(done);
        }
    }

    fn is_out_of_patience(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        patience.as_mut().poll(cx).is_ready()
    }

    fn say_good_bye(&self, parting: Parting, retry: Duration) {
        self.say_frame(&Frame::bye(parting.reason(), retry));
        self.sender.close(parting.code(), parting.reason());
    }
}

/// Whether the cursor is another after the item, and the client has not been told of it.
fn is_news_of_channels(item: &Item) -> bool {
    let requested = UnsubscribeReason::Requested;
    !matches!(item, Item::Presence(_))
        && !matches!(item, Item::Unsubscribed { reason, .. } if *reason == requested)
}

impl Future for Conversation {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        while let Poll::Ready(change) = this.session.poll_change(cx, &mut this.subscription) {
            this.change(change);
        }
        this.poll_lanes(cx);
        let max = this.max_in_flight();
        let mut has_ended = this.sender.is_closed();
        while this.sender.poll_below(cx, max, &mut this.ticket).is_ready() {
            has_ended = this.take_all(cx);
            if has_ended || this.pass_on_all(cx).is_pending() {
                break;
            }
        }
        let is_done =
            this.lanes.are_empty() || this.parting.is_some() && this.is_out_of_patience(cx);
        match this.parting {
            // What it has asked for was perhaps done: it shall know.
            Some((parting, retry)) if is_done => {
                this.say_good_bye(parting, retry);
                Poll::Ready(())
            }
            // What was said before the end counts.
            None if has_ended && is_done => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

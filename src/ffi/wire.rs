//! What the publications of a hub look like on a connection of the host's.

use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::encoder::{Batch as Events, Encoder};
use crate::endpoint::frames::{Format as EventFormat, Frame, WsFrame, json};
use crate::hub::{
    AfterGap, Client, Encoding, Interest, Item, Publication, Subscription, SubscriptionOptions,
    UnsubscribeReason,
};
use crate::sse;
use crate::ws::{CloseCode, Message, Prepared, Sender, Utf8Bytes};

/// About how many bytes are taken out of the hub at a time.
const BATCH: usize = 64 * 1024;
/// What a message or anything else that is taken counts for besides its bytes, so that many small
/// ones do not keep the worker from other connections.
const ITEM: usize = 64;

/// When a client is to come back that was too slow.
const RETRY: Duration = Duration::from_secs(2);

/// In which form publications are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// What was published.
    Data,
    /// What was published, as bytes.
    Binary,
    /// An object in JSON.
    Json,
}

/// How a connection is subscribed to a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) format: Format,
    pub(super) after_gap: AfterGap,
    pub(super) client: Option<Client>,
    /// A client that cannot be told of a gap is not sent away for one.
    pub(super) ignores_gaps: bool,
    pub(super) strict_ids: bool,
}

impl Settings {
    pub(super) fn options(&self) -> SubscriptionOptions {
        let options = SubscriptionOptions::default().after_gap(self.after_gap);
        match self.client.clone() {
            Some(Client { id, info }) => options.client(id, info),
            None => options,
        }
    }
}

/// Nothing more can be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

/// Where it goes.
pub(super) enum Outlet {
    WebSocket(Sender),
    EventStream(sse::Sender),
}

impl Outlet {
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Outlet::WebSocket(sender) => sender.is_closed(),
            Outlet::EventStream(sender) => sender.is_closed(),
        }
    }

    /// Waits until nothing more can be sent.
    pub(super) async fn closed(&self) {
        match self {
            Outlet::WebSocket(sender) => drop(sender.closed().await),
            Outlet::EventStream(sender) => sender.closed().await,
        }
    }

    /// What turns items into what is sent here.
    pub(super) fn form(&self, settings: &Settings) -> Form {
        match self {
            Outlet::WebSocket(_) => {
                Form::Messages { format: settings.format, ignores_gaps: settings.ignores_gaps }
            }
            Outlet::EventStream(_) => {
                let format = match settings.format {
                    Format::Json => EventFormat::Json,
                    Format::Data | Format::Binary => EventFormat::Raw,
                };
                Form::Events(Encoder::new(format, settings.strict_ids))
            }
        }
    }

    /// Waits while the client has enough to take.
    pub(super) async fn send(&self, batch: Batch) -> Result<(), Gone> {
        match self {
            Outlet::WebSocket(sender) => {
                for message in &batch.messages {
                    sender.send_prepared(message).await.map_err(|_| Gone)?;
                }
                let Some(end) = batch.end else { return Ok(()) };
                end.close(sender);
            }
            Outlet::EventStream(sender) => {
                if !batch.events.is_empty() {
                    sender.send_encoded(batch.events).await.map_err(|_| Gone)?;
                }
                if batch.end.is_none() {
                    return Ok(());
                }
                sender.close();
            }
        }
        Err(Gone)
    }
}

/// What is sent together.
#[derive(Default)]
pub(super) struct Batch {
    messages: Vec<Prepared>,
    events: Bytes,
    /// Behind it the connection ends.
    end: Option<End>,
}

/// Why the library closes a connection by itself.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It has missed something, and its format cannot tell so.
    Missed,
    /// It was too slow for [`Overflow::Disconnect`](crate::hub::Overflow::Disconnect).
    Slow,
}

impl End {
    fn close(self, sender: &Sender) {
        let (code, reason) = match self {
            End::Missed => (4204, "messages were missed"),
            End::Slow => (4201, "too slow"),
        };
        sender.close(CloseCode::new(code).unwrap_or(CloseCode::POLICY), reason);
    }
}

/// What turns items into what is sent.
pub(super) enum Form {
    Messages { format: Format, ignores_gaps: bool },
    Events(Encoder),
}

impl Form {
    /// That item, and others that there are, as they are sent together.
    pub(super) fn gather(&mut self, first: Item, subscription: &mut Subscription) -> Batch {
        match self {
            Form::Messages { format, ignores_gaps } => {
                messages(*format, *ignores_gaps, first, subscription)
            }
            Form::Events(encoder) => events(encoder, first, subscription),
        }
    }
}

fn messages(
    format: Format,
    ignores_gaps: bool,
    first: Item,
    subscription: &mut Subscription,
) -> Batch {
    let is_json = format == Format::Json;
    let mut batch = Batch::default();
    let mut bytes = 0;
    let mut next = Some(first);
    while let Some(item) = next {
        let message = match &item {
            Item::Publication(publication) => Some(message(format, publication)),
            Item::Disconnected { .. } => {
                batch.end = Some(End::Slow);
                None
            }
            Item::Gap(_) if !is_json && !ignores_gaps => {
                batch.end = Some(End::Missed);
                None
            }
            item if is_json => control(item).map(|frame| Prepared::new(json(&frame))),
            _ => None,
        };
        bytes += ITEM + message.as_ref().map_or(0, |message| message.message().len());
        batch.messages.extend(message);
        let is_full = batch.end.is_some() || bytes >= BATCH;
        next = if is_full { None } else { subscription.try_next() };
    }
    // Of one channel the position of the last publication is the cursor.
    let mut interests = subscription.interests();
    let is_single =
        matches!((interests.next(), interests.next()), (Some(Interest::Channel(_)), None));
    drop(interests);
    if is_json
        && !is_single
        && !batch.messages.is_empty()
        && let Some(cursor) = subscription.cursor()
    {
        let frame = Frame::Cursor { cursor: cursor.to_string() };
        batch.messages.push(Prepared::new(json(&frame)));
    }
    batch
}

fn message(format: Format, publication: &Publication) -> Prepared {
    match format {
        Format::Data => publication.encoded::<Data>().0.clone(),
        Format::Binary => publication.encoded::<Binary>().0.clone(),
        Format::Json => publication.encoded::<WsFrame>().0.clone(),
    }
}

/// What a client is told of an item that is no publication.
fn control(item: &Item) -> Option<Frame<'_>> {
    match item {
        Item::Subscribed(subscribed) => Some(subscribed.into()),
        Item::Gap(gap) => Some(gap.into()),
        Item::Presence(change) => Some(change.into()),
        Item::Unsubscribed { interest, reason: UnsubscribeReason::Limit } => {
            Some(Frame::too_many(interest.as_str()))
        }
        _ => None,
    }
}

fn events(encoder: &mut Encoder, first: Item, subscription: &mut Subscription) -> Batch {
    encoder.look_at(subscription);
    let mut batch = Events::new(encoder, Vec::new());
    let mut end = None;
    let mut next = Some(first);
    while let Some(item) = next {
        match &item {
            Item::Publication(publication) => batch.publication(publication, subscription),
            Item::Disconnected { .. } => {
                batch.bye("slow", RETRY, subscription);
                end = Some(End::Slow);
            }
            item => {
                if let Some(frame) = control(item) {
                    batch.control(&frame, subscription);
                }
            }
        }
        let is_full = end.is_some() || batch.len() >= BATCH;
        next = if is_full { None } else { subscription.try_next() };
    }
    Batch { events: batch.finish(subscription).0, end, ..Batch::default() }
}

/// [`Format::Data`].
struct Data(Prepared);

/// [`Format::Binary`].
struct Binary(Prepared);

impl Encoding for Data {
    fn encode(publication: &Publication) -> Self {
        let text = Utf8Bytes::try_from(publication.data().clone()).map(Message::Text);
        let message = text.unwrap_or_else(|_| Message::Binary(publication.data().clone()));
        Data(Prepared::new(message))
    }

    fn bytes(&self) -> usize {
        // The message itself shares the publication's data, the frame does not.
        self.0.message().len()
    }
}

impl Encoding for Binary {
    fn encode(publication: &Publication) -> Self {
        Binary(Prepared::new(Message::Binary(publication.data().clone())))
    }

    fn bytes(&self) -> usize {
        self.0.message().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{ChannelName, ChannelOptions, Hub};

    #[test]
    fn a_batch_of_messages_is_bounded_however_small_they_are() {
        const PUBLISHED: usize = 5000;
        let options = ChannelOptions::default().backlog(PUBLISHED);
        let hub = Hub::builder().defaults(options).build();
        let channel: ChannelName = "a".parse().unwrap();
        for (format, data) in [(Format::Data, ""), (Format::Binary, "x"), (Format::Json, "x")] {
            let mut subscription = hub.subscriber();
            subscription.subscribe(channel.clone()).unwrap();
            let publish = |_| _ = hub.publish_blocking(&channel, data).unwrap();
            (0..PUBLISHED).for_each(publish);
            let mut form = Form::Messages { format, ignores_gaps: false };
            let mut sizes = Vec::new();
            while let Some(item) = subscription.try_next() {
                let batch = form.gather(item, &mut subscription);
                assert!(batch.end.is_none());
                sizes.push(batch.messages.len());
            }
            assert!(sizes.iter().all(|size| *size <= BATCH / ITEM), "{format:?}: {sizes:?}");
            // In JSON the client is also told that it is subscribed.
            let told = usize::from(format == Format::Json);
            assert_eq!(sizes.iter().sum::<usize>(), PUBLISHED + told, "{format:?}");
        }
    }
}

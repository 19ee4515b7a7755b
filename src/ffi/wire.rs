//! What the publications of a hub look like on a connection of the host's.

use crate::hub::{
    AfterGap, Client, Encoding, Item, Publication, Subscription, SubscriptionOptions,
};
use crate::ws::{CloseCode, Message, Prepared, SendError, Sender, Utf8Bytes};

/// About how many bytes are taken out of the hub at a time.
const BATCH: usize = 64 * 1024;

/// In which form publications are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As text if it is UTF-8, else as bytes.
    Data,
    /// As bytes.
    Binary,
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
}

/// What is sent together.
pub(super) struct Batch {
    messages: Vec<Prepared>,
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
            End::Slow => (4205, "too slow"),
        };
        sender.close(CloseCode::new(code).unwrap_or(CloseCode::POLICY), reason);
    }
}

impl Outlet {
    pub(super) async fn closed(&self) {
        match self {
            Outlet::WebSocket(sender) => drop(sender.closed().await),
        }
    }

    /// Waits while the client has enough to take.
    pub(super) async fn send(&self, batch: Batch) -> Result<(), Gone> {
        let Outlet::WebSocket(sender) = self;
        for message in &batch.messages {
            sender.send_prepared(message).await.map_err(|_: SendError| Gone)?;
        }
        match batch.end {
            None => Ok(()),
            Some(end) => {
                end.close(sender);
                Err(Gone)
            }
        }
    }
}

impl Settings {
    /// That item, and others that there are, as they are sent together.
    pub(super) fn gather(&self, first: Item, subscription: &mut Subscription) -> Batch {
        let mut batch = Batch { messages: Vec::new(), end: None };
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Publication(publication) => {
                    bytes += publication.data().len();
                    batch.messages.push(self.message(&publication));
                }
                Item::Gap(_) if !self.ignores_gaps => batch.end = Some(End::Missed),
                Item::Disconnected { .. } => batch.end = Some(End::Slow),
                _ => {}
            }
            let is_full = batch.end.is_some() || bytes >= BATCH;
            next = if is_full { None } else { subscription.try_next() };
        }
        batch
    }

    fn message(&self, publication: &Publication) -> Prepared {
        match self.format {
            Format::Data => publication.encoded::<Data>().0.clone(),
            Format::Binary => publication.encoded::<Binary>().0.clone(),
        }
    }
}

/// [`Format::Data`].
struct Data(Prepared);

/// [`Format::Binary`].
struct Binary(Prepared);

impl Encoding for Data {
    fn encode(publication: &Publication) -> Self {
        let data = publication.data().clone();
        let message = Utf8Bytes::try_from(data)
            .map_or_else(|_| Message::Binary(publication.data().clone()), Message::Text);
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

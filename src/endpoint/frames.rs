//! What goes over the wire: publications, encoded once for all who get them, and control frames.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;

use crate::hub::{Encoding, Gap, PresenceChange, PresenceKind, Publication, Subscribed};
use crate::sse::push_lines;
use crate::ws::Prepared;

/// What the events of an event stream look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Their data is what was published.
    #[default]
    Raw,
    /// Their data is an object in JSON that also names the channel and the position, the same as on
    /// a WebSocket.
    Json,
}

/// A frame in JSON: a message on a WebSocket, an entry in the answer to a poll, the data of a
/// control event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Frame<'a> {
    /// A publication.
    Pub {
        channel: &'a str,
        epoch: String,
        offset: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        base64: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<&'a str>,
        time: u64,
    },
    /// From here on publications follow.
    Sub {
        channel: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        recovered: bool,
        was_recovering: bool,
    },
    /// Publications were missed.
    Gap { channel: &'a str, reason: &'a str, from: Option<String>, to: Option<String> },
    /// Something is not as it was asked for.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        channel: Option<&'a str>,
        code: &'a str,
        message: &'a str,
    },
    /// The token expires in so many seconds.
    Token { expires_in: u64 },
    /// The name by which a new token can be presented for this connection.
    Session { session: &'a str },
    /// Somebody has come or gone.
    Presence {
        channel: &'a str,
        kind: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        client: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<std::borrow::Cow<'a, str>>,
    },
    /// Where the client stands in all of its channels.
    Cursor { cursor: String },
    /// The connection ends; come back after so many milliseconds.
    Bye { reason: &'a str, retry: u64 },
}

impl<'a> Frame<'a> {
    fn publication(publication: &'a Publication) -> Self {
        let text = std::str::from_utf8(publication.data()).ok();
        let position = publication.position();
        Frame::Pub {
            channel: publication.channel().as_str(),
            epoch: position.epoch.to_string(),
            offset: position.offset,
            data: text,
            base64: text.is_none().then(|| BASE64.encode(publication.data())),
            name: publication.name(),
            key: publication.key(),
            time: publication.unix_millis(),
        }
    }

    pub(crate) fn refused(channel: &'a str) -> Self {
        let message = "this channel is not granted";
        Frame::Error { id: None, channel: Some(channel), code: "denied", message }
    }

    pub(crate) fn too_many(pattern: &'a str) -> Self {
        let message = "more channels match this pattern than one connection may have";
        Frame::Error { id: None, channel: Some(pattern), code: "too_many", message }
    }

    pub(crate) fn expired() -> Self {
        let message = "the token has expired: present a new one, or the connection ends";
        Frame::Error { id: None, channel: None, code: "token_expired", message }
    }

    pub(crate) fn expires_in(left: Duration) -> Self {
        Frame::Token { expires_in: left.as_secs() }
    }

    pub(crate) fn bye(reason: &'a str, retry: Duration) -> Self {
        let retry = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
        Frame::Bye { reason, retry }
    }

    /// The name of the control event.
    fn name(&self) -> &'static str {
        match self {
            Frame::Pub { .. } => "lithe.pub",
            Frame::Sub { .. } => "lithe.sub",
            Frame::Gap { .. } => "lithe.gap",
            Frame::Error { .. } => "lithe.error",
            Frame::Token { .. } => "lithe.token",
            Frame::Session { .. } => "lithe.session",
            Frame::Presence { .. } => "lithe.presence",
            Frame::Cursor { .. } => "lithe.cursor",
            Frame::Bye { .. } => "lithe.bye",
        }
    }

    /// Writes it as an event, without its id and the blank line at its end.
    pub(crate) fn push_event(&self, out: &mut Vec<u8>) {
        push_lines(out, b"event: ", self.name().as_bytes());
        push_lines(out, b"data: ", json(self).as_bytes());
    }
}

impl<'a> From<&'a Subscribed> for Frame<'a> {
    fn from(subscribed: &'a Subscribed) -> Self {
        Frame::Sub {
            channel: subscribed.interest.as_str(),
            epoch: subscribed.position.map(|position| position.epoch.to_string()),
            offset: subscribed.position.map(|position| position.offset),
            recovered: subscribed.recovered,
            was_recovering: subscribed.was_recovering,
        }
    }
}

impl<'a> From<&'a Gap> for Frame<'a> {
    fn from(gap: &'a Gap) -> Self {
        Frame::Gap {
            channel: gap.interest.as_str(),
            reason: gap.reason.as_str(),
            from: gap.from.map(|position| position.to_string()),
            to: gap.to.map(|position| position.to_string()),
        }
    }
}

impl<'a> From<&'a PresenceChange> for Frame<'a> {
    fn from(change: &'a PresenceChange) -> Self {
        let (kind, client) = match &change.kind {
            PresenceKind::Joined(client) => ("joined", Some(client)),
            PresenceKind::Left(client) => ("left", Some(client)),
            PresenceKind::Missed => ("missed", None),
        };
        Frame::Presence {
            channel: change.channel.as_str(),
            kind,
            client: client.map(|client| &*client.id),
            info: client
                .filter(|client| !client.info.is_empty())
                .map(|client| String::from_utf8_lossy(&client.info)),
        }
    }
}

/// The frame as text.
pub(crate) fn json(frame: &Frame<'_>) -> String {
    serde_json::to_string(frame).expect("text and numbers can be written as JSON")
}

/// A publication as a WebSocket message, which is also an entry in the answer to a poll.
pub(crate) struct WsFrame(pub(crate) Prepared);

impl WsFrame {
    /// The frame in JSON.
    pub(crate) fn as_json(&self) -> &str {
        self.0.message().as_text().unwrap_or_default()
    }
}

impl Encoding for WsFrame {
    fn encode(publication: &Publication) -> Self {
        WsFrame(Prepared::new(json(&Frame::publication(publication))))
    }

    fn bytes(&self) -> usize {
        // As text, and as a frame.
        2 * self.0.message().len()
    }
}

/// A publication as an event, with its position for an id: what everybody gets who listens to that
/// one channel.
pub(crate) struct EventBytes {
    all: Bytes,
    /// How much of it comes before the id.
    fields: usize,
}

impl EventBytes {
    fn new(publication: &Publication, data: &[u8]) -> Self {
        let mut out = Vec::with_capacity(data.len() + 64);
        if let Some(name) = publication.name() {
            push_lines(&mut out, b"event: ", name.as_bytes());
        }
        push_lines(&mut out, b"data: ", data);
        let fields = out.len();
        push_lines(&mut out, b"id: ", publication.position().to_string().as_bytes());
        out.push(b'\n');
        EventBytes { all: out.into_boxed_slice().into(), fields }
    }

    /// The whole event.
    pub(crate) fn all(&self) -> &Bytes {
        &self.all
    }

    /// The event without its id and the blank line at its end.
    pub(crate) fn fields(&self) -> &[u8] {
        &self.all[..self.fields]
    }
}

/// [`Format::Raw`].
pub(crate) struct RawEvent(pub(crate) EventBytes);

impl Encoding for RawEvent {
    fn encode(publication: &Publication) -> Self {
        let data = publication.data();
        RawEvent(match std::str::from_utf8(data) {
            Ok(text) => EventBytes::new(publication, text.as_bytes()),
            Err(_) => {
                let url = format!("data:application/octet-stream;base64,{}", BASE64.encode(data));
                EventBytes::new(publication, url.as_bytes())
            }
        })
    }

    fn bytes(&self) -> usize {
        self.0.all.len()
    }
}

/// [`Format::Json`].
pub(crate) struct JsonEvent(pub(crate) EventBytes);

impl Encoding for JsonEvent {
    fn encode(publication: &Publication) -> Self {
        let json = json(&Frame::publication(publication));
        JsonEvent(EventBytes::new(publication, json.as_bytes()))
    }

    fn bytes(&self) -> usize {
        self.0.all.len()
    }
}

impl Format {
    /// A publication as an event in that format.
    pub(crate) fn event(self, publication: &Publication) -> &EventBytes {
        match self {
            Format::Raw => &publication.encoded::<RawEvent>().0,
            Format::Json => &publication.encoded::<JsonEvent>().0,
        }
    }
}

#[cfg(test)]
mod tests;

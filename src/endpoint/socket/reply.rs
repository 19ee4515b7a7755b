//! The answers to requests.

use std::fmt::Write as _;

use serde::Serialize;

use super::super::Rejection;
use super::super::frames::{self, Frame, WsFrame};
use crate::hub::{ChannelName, Client, History, Interest, Published};

/// How many of those who are on a channel are named.
const MAX_CLIENTS: usize = 1000;

/// An answer, with the number of the request.
#[derive(Serialize)]
#[serde(tag = "type", rename = "reply")]
struct Reply<B> {
    id: u64,
    #[serde(flatten)]
    body: B,
}

fn reply(id: u64, body: impl Serialize) -> String {
    let reply = Reply { id, body };
    serde_json::to_string(&reply).expect("text and numbers can be written as JSON")
}

/// It is done.
pub(super) fn done(id: u64) -> String {
    #[derive(Serialize)]
    struct Nothing {}
    reply(id, Nothing {})
}

/// These are subscribed to.
pub(super) fn subscribed(id: u64, channels: &[Interest]) -> String {
    #[derive(Serialize)]
    struct Channels<'a> {
        channels: Vec<&'a str>,
    }
    reply(id, Channels { channels: channels.iter().map(Interest::as_str).collect() })
}

pub(super) fn published(id: u64, channel: &ChannelName, published: Published) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        channel: &'a str,
        epoch: String,
        offset: u64,
        receivers: usize,
        duplicate: bool,
    }
    let Published { position, receivers, duplicate } = published;
    let (channel, epoch) = (channel.as_str(), position.epoch.to_string());
    reply(id, Body { channel, epoch, offset: position.offset, receivers, duplicate })
}

/// A page of the history, which holds no more than so many publications.
pub(super) fn history(id: u64, channel: &ChannelName, history: &History, limit: usize) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        channel: &'a str,
        epoch: String,
        /// Before this and with it, all is gone.
        from: u64,
        /// Here the log ends.
        to: u64,
        more: bool,
    }
    let page = &history.publications[..history.publications.len().min(limit)];
    let last = page.last().map(|publication| publication.position().offset);
    let body = Body {
        channel: channel.as_str(),
        epoch: history.to.epoch.to_string(),
        from: history.from.offset,
        to: history.to.offset,
        more: last.is_some_and(|last| last < history.to.offset),
    };
    let mut text = reply(id, body);
    // The publications are JSON already, the same for all.
    text.pop();
    text.push_str(",\"publications\":[");
    for (index, publication) in page.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(publication.encoded::<WsFrame>().as_json());
    }
    text.push_str("]}");
    text
}

pub(super) fn presence(id: u64, channel: &ChannelName, clients: &[Client]) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        channel: &'a str,
        count: usize,
        clients: Vec<Present<'a>>,
    }
    #[derive(Serialize)]
    struct Present<'a> {
        client: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        info: Option<std::borrow::Cow<'a, str>>,
    }
    fn present(client: &Client) -> Present<'_> {
        let info = Some(&client.info).filter(|info| !info.is_empty());
        Present { client: &client.id, info: info.map(|info| String::from_utf8_lossy(info)) }
    }
    let named = clients.iter().take(MAX_CLIENTS).map(present).collect();
    reply(id, Body { channel: channel.as_str(), count: clients.len(), clients: named })
}

pub(super) fn pong(id: Option<u64>) -> String {
    let mut text = String::from(r#"{"type":"pong""#);
    if let Some(id) = id {
        let _ = write!(text, r#","id":{id}"#);
    }
    text.push('}');
    text
}

/// It is not done.
pub(super) fn error(
    id: Option<u64>,
    channel: Option<&str>,
    code: &'static str,
    message: &str,
) -> String {
    frames::json(&Frame::Error { id, channel, code, message })
}

/// Nobody can say whether it may be done.
pub(super) fn unavailable(id: Option<u64>, channel: Option<&str>) -> String {
    error(id, channel, "unavailable", "there is nobody to ask just now")
}

pub(super) fn rejected(id: Option<u64>, rejection: &Rejection) -> String {
    error(id, None, rejection.code(), rejection.message())
}

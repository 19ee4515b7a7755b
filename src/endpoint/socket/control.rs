//! What a client asks for on a WebSocket.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::Value;

use crate::endpoint::request::Secret;
use crate::hub::{ChannelName, Interest, Message, Offset, Position};

/// How many publications of a channel's history are answered with, unless a client says otherwise.
const HISTORY: usize = 100;

/// A request in a text message of a client, as JSON: `{"type":"subscribe","id":1,"channel":"news"}`.
///
/// ```
/// use lithe::endpoint::ControlFrame;
///
/// let frame: ControlFrame = r#"{"type":"ping","id":7}"#.parse()?;
/// assert_eq!(frame.id(), Some(7));
/// let error = r#"{"type":"pong","id":8}"#.parse::<ControlFrame>().unwrap_err();
/// assert_eq!((error.id(), error.code()), (Some(8), "unknown_type"));
/// # Ok::<(), lithe::endpoint::ControlFrameError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ControlFrame {
    pub(super) id: Option<u64>,
    pub(super) command: Command,
}

#[derive(Clone, Debug)]
pub(super) enum Command {
    Subscribe { wanted: Vec<Interest>, since: Since },
    Unsubscribe { wanted: Vec<Interest> },
    Publish { channel: ChannelName, message: Message },
    History { channel: ChannelName, after: Option<Offset>, limit: usize },
    Presence { channel: ChannelName },
    Token(Secret),
    Ping,
}

/// From where on a client wants what it subscribes to.
#[derive(Clone, Debug)]
pub(super) enum Since {
    Now,
    Position(Position),
    Cursor(String),
}

/// Why a message is not a request that can be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ControlFrameError {
    id: Option<u64>,
    code: &'static str,
    message: String,
}

impl ControlFrame {
    /// The number by which the client knows the answer.
    pub fn id(&self) -> Option<u64> {
        self.id
    }
}

impl ControlFrameError {
    pub(super) fn too_large(text: &str, max: usize) -> Self {
        let message = format!("a request has at most {max} bytes");
        ControlFrameError { id: Seen::of(text).id(), code: "too_large", message }
    }

    pub(super) fn too_fast(text: &str, max: u32) -> Self {
        let message = format!("there may be {max} requests per second");
        ControlFrameError { id: Seen::of(text).id(), code: "rate", message }
    }

    pub(super) fn binary() -> Self {
        let message = "requests are text, in JSON".to_owned();
        ControlFrameError { id: None, code: "bad_request", message }
    }

    /// The number that the client knows the answer by, as far as it could be made out.
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// The reason in one word, as clients are told it.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

/// All fields of all requests.
#[derive(Deserialize)]
struct Fields {
    id: Option<u64>,
    #[serde(rename = "type")]
    kind: String,
    channel: Option<String>,
    channels: Option<Vec<String>>,
    since: Option<String>,
    cursor: Option<String>,
    data: Option<String>,
    base64: Option<String>,
    name: Option<String>,
    key: Option<String>,
    idempotency_key: Option<String>,
    after: Option<Offset>,
    limit: Option<usize>,
    token: Option<Secret>,
}

/// So much of what is no request that it can be answered.
#[derive(Default, Deserialize)]
struct Seen {
    #[serde(default)]
    id: Value,
    #[serde(default, rename = "type")]
    kind: Value,
}

impl Seen {
    fn of(text: &str) -> Seen {
        if is_object(text) {
            serde_json::from_str(text).unwrap_or_default()
        } else {
            Seen::default()
        }
    }

    fn id(&self) -> Option<u64> {
        self.id.as_u64()
    }
}

/// A list would pass for an object without the names of its fields.
fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{')
}

const KINDS: [&str; 8] =
    ["subscribe", "resume", "unsubscribe", "publish", "history", "presence", "token", "ping"];

impl FromStr for ControlFrame {
    type Err = ControlFrameError;

    fn from_str(text: &str) -> Result<Self, ControlFrameError> {
        if !is_object(text) {
            return Err(bad(None, "a request is an object in JSON"));
        }
        let fields: Fields = serde_json::from_str(text).map_err(|error| {
            let seen = Seen::of(text);
            match seen.kind.as_str() {
                Some(kind) if !KINDS.contains(&kind) => unknown(seen.id(), kind),
                _ if error.is_data() => {
                    bad(seen.id(), "a field is missing, or of another type than it has to be")
                }
                _ => bad(seen.id(), "this is no JSON"),
            }
        })?;
        let id = fields.id;
        let command = match &*fields.kind {
            "subscribe" => fields.subscribe(),
            "resume" if fields.cursor.is_none() => Err("where to resume? add the cursor".into()),
            "resume" => fields.subscribe(),
            "unsubscribe" => fields.wanted().map(|wanted| Command::Unsubscribe { wanted }),
            "publish" => fields.publish(),
            "history" => fields.channel().map(|channel| {
                let limit = fields.limit.unwrap_or(HISTORY);
                Command::History { channel, after: fields.after, limit }
            }),
            "presence" => fields.channel().map(|channel| Command::Presence { channel }),
            "token" => fields.token.map(Command::Token).ok_or_else(|| "where is the token?".into()),
            "ping" => Ok(Command::Ping),
            kind => return Err(unknown(id, kind)),
        };
        command.map(|command| ControlFrame { id, command }).map_err(|message| bad(id, message))
    }
}

impl Fields {
    fn wanted(&self) -> Result<Vec<Interest>, String> {
        let one = self.channel.iter();
        let names: Vec<_> = one.chain(self.channels.iter().flatten()).collect();
        if names.is_empty() {
            return Err("which channel? add channel or channels".into());
        }
        let mut wanted = Vec::with_capacity(names.len().min(crate::hub::MAX_INTERESTS));
        for name in names {
            let interest = parse(name)?;
            if !wanted.contains(&interest) {
                wanted.push(interest);
            }
            if wanted.len() > crate::hub::MAX_INTERESTS {
                // It is refused by whoever knows how many there may be.
                break;
            }
        }
        Ok(wanted)
    }

    fn channel(&self) -> Result<ChannelName, String> {
        parse(self.channel.as_ref().ok_or("which channel? add channel")?)
    }

    fn subscribe(self) -> Result<Command, String> {
        let wanted = self.wanted()?;
        let since = match (self.since, self.cursor) {
            (None, None) => Since::Now,
            // Who has none yet shall not be told of a gap.
            (None, Some(cursor)) if cursor.is_empty() => Since::Now,
            (None, Some(cursor)) => Since::Cursor(cursor),
            (Some(_), Some(_)) => return Err("either since or cursor".into()),
            (Some(since), None) => match &wanted[..] {
                [Interest::Channel(_)] => {
                    Since::Position(since.parse().map_err(|error| format!("since: {error}"))?)
                }
                _ => return Err("since is for one channel; for several there is cursor".into()),
            },
        };
        Ok(Command::Subscribe { wanted, since })
    }

    fn publish(self) -> Result<Command, String> {
        let channel = self.channel()?;
        let mut message = match (self.data, self.base64) {
            (Some(data), None) => Message::new(data),
            (None, Some(base64)) => {
                let data = BASE64.decode(base64).map_err(|_| "base64 cannot be decoded")?;
                Message::new(data)
            }
            _ => return Err("publish what? add either data, which is text, or base64".into()),
        };
        let label = |error: crate::hub::MessageError| error.to_string();
        if let Some(name) = self.name {
            message = message.name(name).map_err(label)?;
        }
        if let Some(key) = self.key {
            message = message.key(key).map_err(label)?;
        }
        if let Some(key) = self.idempotency_key {
            message = message.idempotency_key(key).map_err(label)?;
        }
        Ok(Command::Publish { channel, message })
    }
}

fn parse<T: FromStr<Err: fmt::Display>>(name: &str) -> Result<T, String> {
    name.parse().map_err(|error| format!("{:?}: {error}", shortened(name)))
}

/// So much of a text as an error message can hold.
fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn bad(id: Option<u64>, message: impl fmt::Display) -> ControlFrameError {
    ControlFrameError { id, code: "bad_request", message: message.to_string() }
}

fn unknown(id: Option<u64>, kind: &str) -> ControlFrameError {
    let message = format!("there is no request of type {:?}", shortened(kind));
    ControlFrameError { id, code: "unknown_type", message }
}

#[cfg(test)]
mod tests;

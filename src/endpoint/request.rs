use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use serde::Deserialize;

use super::Rejection;
use super::frames::Format;
use crate::access::RequestHead;
use crate::hub::{AfterGap, Interest, MAX_INTERESTS};
use crate::sse::LastEventId;
use crate::ws::{self, Origins};

/// What a client asks for by the URL and the headers of its request, as an extractor:
///
/// | parameter | what it says |
/// |---|---|
/// | `channel`, any number of them | a channel or a pattern |
/// | `cursor` | go on from there; `Last-Event-ID` wins, then `lastEventId` |
/// | `gap=earliest` | after a gap, go on with the oldest publication that there still is |
/// | `format=json` | events whose data is an object with the channel and the position |
/// | `strict_ids=1` | the cursor with each event, however long it is |
/// | `ticket` | a ticket in place of a token |
///
/// Whoever it comes from is found out by [`Endpoint::open`](super::Endpoint::open).
///
/// ```
/// use lithe::endpoint::StreamRequest;
///
/// async fn feed(request: StreamRequest) -> String {
///     format!("{} channels", request.channels.len())
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(feed));
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct StreamRequest {
    /// The channels and patterns, each once.
    pub channels: Vec<Interest>,
    /// Where the client has left off, if it was here before.
    pub cursor: Option<String>,
    /// Where it wants to go on if something was missed.
    pub after_gap: AfterGap,
    /// What events shall look like on an event stream.
    pub format: Format,
    /// Whether each event has the cursor.
    pub strict_ids: bool,
    /// For how long a poll may wait, in seconds.
    pub(crate) timeout: Option<f64>,
    pub(crate) ticket: Option<Secret>,
    /// In place of the one in the headers.
    pub(crate) token: Option<Secret>,
    pub(crate) head: Head,
}

/// A token or a ticket; does not appear in logs.
#[derive(Clone, Default, Deserialize)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

/// The beginning of a request.
#[derive(Clone, Default)]
pub(crate) struct Head {
    uri: Uri,
    pub(crate) headers: HeaderMap,
    peer: Option<IpAddr>,
}

/// Headers and queries may hold tokens and tickets.
impl std::fmt::Debug for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Head").field("path", &self.uri.path()).field("peer", &self.peer).finish()
    }
}

impl Head {
    pub(crate) fn of(parts: &Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Head {
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            peer: peer.map(|ConnectInfo(peer)| peer.ip().to_canonical()),
        }
    }

    pub(crate) fn as_request_head(&self) -> RequestHead<'_> {
        RequestHead { uri: &self.uri, headers: &self.headers, peer: self.peer }
    }

    /// Whether it comes from a page that may connect, or from none.
    pub(crate) fn check_origin(&self, origins: &Origins) -> Result<(), Rejection> {
        let host = ws::host(&self.headers, &self.uri);
        match origins.allow(self.headers.get(header::ORIGIN), host) {
            true => Ok(()),
            false => Err(Rejection::denied("pages from this origin may not connect")),
        }
    }

    /// The token that the request presents. The header counts before the cookie: who sets it
    /// means it. `Err` for a header that holds something else, which must not pass for no token.
    pub(crate) fn token(&self, cookie: &str) -> Result<Option<&str>, Rejection> {
        if let Some(value) = self.headers.get(header::AUTHORIZATION) {
            let text = value.to_str().unwrap_or_default();
            return match text.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    Ok(Some(token.trim()))
                }
                _ => Err(Rejection::invalid_token("the Authorization header is no bearer token")),
            };
        }
        // As bytes: other cookies may hold anything, and this one must not pass for none.
        let cookies = self.headers.get_all(header::COOKIE).iter();
        let mut pairs = cookies
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b';'))
            .filter_map(|pair| {
                let pair = pair.trim_ascii();
                let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
                Some((name, &value[1..]))
            });
        let token = pairs.find(|(name, _)| *name == cookie.as_bytes());
        let token =
            token.map(|(_, value)| std::str::from_utf8(value).map(|it| it.trim_matches('"')));
        let token = token.transpose();
        let token = token.map_err(|_| Rejection::invalid_token("the cookie holds no token"))?;
        Ok(token.filter(|token| !token.is_empty()))
    }
}

impl StreamRequest {
    /// The same as extracting it.
    ///
    /// # Errors
    ///
    /// A parameter says something that cannot be. 400.
    pub fn from_parts(parts: &Parts) -> Result<Self, Rejection> {
        let mut request = StreamRequest { head: Head::of(parts), ..StreamRequest::default() };
        let mut cursor = None;
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "channel" => request.add_channel(&value)?,
                "cursor" => cursor = Some(value.into_owned()),
                "gap" => request.after_gap = after_gap(&value)?,
                "format" => request.format = format(&value)?,
                "strict_ids" => request.strict_ids = matches!(&*value, "1" | "true"),
                "timeout" => request.timeout = Some(timeout(&value)?),
                "ticket" => request.ticket = Some(Secret(value.into_owned())),
                _ => {}
            }
        }
        let LastEventId(last) = LastEventId::from_parts_with(parts, "lastEventId");
        request.cursor = last.or(cursor).filter(|cursor| !cursor.is_empty());
        Ok(request)
    }

    /// Adds a channel or a pattern by its name, unless it is there already.
    pub(crate) fn add_channel(&mut self, name: &str) -> Result<(), Rejection> {
        let interest: Interest = name.parse().map_err(|error| {
            Rejection::bad_request(format!("{:?} names no channel: {error}", shortened(name)))
        })?;
        if !self.channels.contains(&interest) {
            if self.channels.len() == MAX_INTERESTS {
                return Err(Rejection::too_many(MAX_INTERESTS));
            }
            self.channels.push(interest);
        }
        Ok(())
    }
}

/// In how long the body of a request has to be there.
const BODY_TIME: Duration = Duration::from_secs(20);

/// Reads the body of a request, also where no server sees to it that it comes in time.
pub(crate) async fn read_body(body: Body, max: usize) -> Result<Bytes, Rejection> {
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(Rejection::bad_request("the body is too large, or cut short")),
        Err(_) => Err(Rejection::bad_request("the body has taken too long")),
    }
}

/// So much of a name as an error message can hold.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

pub(crate) fn after_gap(value: &str) -> Result<AfterGap, Rejection> {
    match value {
        "earliest" => Ok(AfterGap::Oldest),
        "latest" => Ok(AfterGap::Newest),
        _ => Err(Rejection::bad_request("gap is earliest or latest")),
    }
}

fn format(value: &str) -> Result<Format, Rejection> {
    match value {
        "json" => Ok(Format::Json),
        "raw" => Ok(Format::Raw),
        _ => Err(Rejection::bad_request("format is raw or json")),
    }
}

fn timeout(value: &str) -> Result<f64, Rejection> {
    let seconds = value.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0);
    seconds.ok_or_else(|| Rejection::bad_request("timeout is a number of seconds"))
}

impl<S: Sync> FromRequestParts<S> for StreamRequest {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let found = StreamRequest::from_parts(parts);
        found.map_err(|rejection| rejection.for_request(&Head::of(parts)))
    }
}

#[cfg(test)]
mod tests;

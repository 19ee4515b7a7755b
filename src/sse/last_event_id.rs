use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;

/// Extractor of the identifier of the last event that the client has seen, with which it asks to
/// be sent what it missed; `None` for a client that comes for the first time.
///
/// It is the `Last-Event-ID` header, which an `EventSource` sends when it reconnects, or else the
/// query parameter `lastEventId`, for clients that cannot set a header: the header wins, as the URL
/// of an `EventSource` stays the one it was first opened with. An empty identifier, or one that no
/// event can have had (not UTF-8; a CR, LF or NUL), is none.
///
/// ```
/// use lithe::sse::{self, LastEventId, Sse};
///
/// async fn news(LastEventId(seen): LastEventId) -> Sse {
///     let (events, response) = sse::channel();
///     let last: Option<u64> = seen.and_then(|id| id.parse().ok());
///     // Send what came since, then what is new.
/// #   let _ = (events, last);
///     response
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(news));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(pub Option<String>);

impl LastEventId {
    /// Like the extractor, with a query parameter of another name.
    ///
    /// ```
    /// use axum::extract::Request;
    /// use lithe::sse::LastEventId;
    ///
    /// let request = Request::get("/news?since=41").body(()).unwrap();
    /// let (parts, ()) = request.into_parts();
    /// assert_eq!(LastEventId::from_parts_with(&parts, "since").0.as_deref(), Some("41"));
    /// ```
    pub fn from_parts_with(parts: &Parts, query_parameter: &str) -> Self {
        LastEventId(from_header(parts).or_else(|| from_query(parts, query_parameter)))
    }
}

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(LastEventId::from_parts_with(parts, "lastEventId"))
    }
}

fn from_header(parts: &Parts) -> Option<String> {
    let id = std::str::from_utf8(parts.headers.get("last-event-id")?.as_bytes()).ok()?;
    valid(id).then(|| id.to_owned())
}

/// Finds the parameter in `application/x-www-form-urlencoded` form (WHATWG URL, §5.1).
fn from_query(parts: &Parts, name: &str) -> Option<String> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().ok().map(|text| text.into_owned())
    };
    let mut parameters = parts.uri.query()?.split('&');
    let value = parameters.find_map(|parameter| {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decoded(key)? == name).then_some(value)
    })?;
    decoded(value).filter(|id| valid(id))
}

fn valid(id: &str) -> bool {
    !id.is_empty() && !id.contains(['\r', '\n', '\0'])
}

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::frames::{self, Frame};
use super::request::Head;
use crate::access::{Refusal, RefusalKind};
use crate::transport::retry::wants_events;

/// Why a request is not answered with what it asks for. As a response it says so in the words of
/// the protocol: `{"type":"error","code":"…","message":"…"}`.
///
/// A client that is only to come back later is told so in its own way. An `EventSource` gives up for
/// good on any status but 200 (WHATWG HTML §9.2.2): it gets an event stream that sets the time after
/// which it reconnects, and ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    kind: RejectionKind,
    message: String,
    event_source: bool,
}

/// What kind of reason there is for a [`Rejection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectionKind {
    /// The request cannot be understood. 400.
    BadRequest,
    /// It asks for too much at once. 400.
    TooMany,
    /// It presents no token, and has to. 401.
    Unauthorized,
    /// Its token is not valid. 401.
    InvalidToken,
    /// Its token was valid once. 401.
    ExpiredToken,
    /// The client may have nothing of what it asks for. 403.
    Denied,
    /// What it names is not there. 404.
    NotFound,
    /// The client may come back after that time.
    Later(Duration),
}

impl Rejection {
    pub(crate) fn new(kind: RejectionKind, message: impl Into<String>) -> Self {
        Rejection { kind, message: message.into(), event_source: false }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Rejection::new(RejectionKind::BadRequest, message)
    }

    pub(crate) fn invalid_token(message: impl Into<String>) -> Self {
        Rejection::new(RejectionKind::InvalidToken, message)
    }

    pub(crate) fn expired() -> Self {
        Rejection::new(RejectionKind::ExpiredToken, "the token has expired")
    }

    pub(crate) fn too_many(max: usize) -> Self {
        let message = format!("a connection has at most {max} channels");
        Rejection::new(RejectionKind::TooMany, message)
    }

    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Rejection::new(RejectionKind::Denied, message)
    }

    pub(crate) fn later(retry: Duration) -> Self {
        Rejection::new(RejectionKind::Later(retry), "come back later")
    }

    /// Why an authorizer does not let a client in, who may come back after `retry` if that is not
    /// final.
    pub(crate) fn refused(refusal: Refusal, retry: Duration) -> Self {
        let kind = match refusal.kind {
            RefusalKind::Missing => RejectionKind::Unauthorized,
            RefusalKind::Invalid | RefusalKind::Revoked => RejectionKind::InvalidToken,
            RefusalKind::Expired => RejectionKind::ExpiredToken,
            RefusalKind::Denied => RejectionKind::Denied,
            RefusalKind::Unavailable => RejectionKind::Later(retry),
        };
        Rejection::new(kind, refusal.message)
    }

    /// As the client that asked understands it.
    pub(crate) fn for_request(mut self, head: &Head) -> Self {
        self.event_source = wants_events(&head.headers);
        self
    }

    /// As an `EventSource` understands it.
    pub(crate) fn for_event_source(mut self) -> Self {
        self.event_source = true;
        self
    }

    /// What kind of reason it is.
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// The reason in words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The reason in one word, as clients are told it.
    pub fn code(&self) -> &'static str {
        match self.kind {
            RejectionKind::BadRequest => "bad_request",
            RejectionKind::TooMany => "too_many",
            RejectionKind::Unauthorized | RejectionKind::InvalidToken => "token_invalid",
            RejectionKind::ExpiredToken => "token_expired",
            RejectionKind::Denied => "denied",
            RejectionKind::NotFound => "not_found",
            RejectionKind::Later(_) => "unavailable",
        }
    }

    fn status(&self) -> StatusCode {
        match self.kind {
            RejectionKind::BadRequest | RejectionKind::TooMany => StatusCode::BAD_REQUEST,
            RejectionKind::Unauthorized
            | RejectionKind::InvalidToken
            | RejectionKind::ExpiredToken => StatusCode::UNAUTHORIZED,
            RejectionKind::Denied => StatusCode::FORBIDDEN,
            RejectionKind::NotFound => StatusCode::NOT_FOUND,
            RejectionKind::Later(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        if let (RejectionKind::Later(retry), true) = (self.kind, self.event_source) {
            let headers = crate::sse::HEADERS;
            return (headers, format!("retry: {}\n\n", retry.as_millis())).into_response();
        }
        let frame =
            Frame::Error { id: None, channel: None, code: self.code(), message: &self.message };
        let mut response = Response::new(Body::from(frames::json(&frame)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.kind {
            RejectionKind::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            RejectionKind::InvalidToken | RejectionKind::ExpiredToken => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, challenge);
            }
            RejectionKind::Later(retry) => {
                let seconds = retry.as_millis().div_ceil(1000) as u64;
                headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        response
    }
}

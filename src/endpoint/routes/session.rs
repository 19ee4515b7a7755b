//! `POST /session`: a ticket in exchange for a token, or a new token for a stream that is open.

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::MAX_BODY;
use crate::endpoint::request::{Secret, read_body};
use crate::endpoint::tickets::TICKET_AGE;
use crate::endpoint::{Endpoint, Rejection, RejectionKind, StreamRequest};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The stream for which a new token is presented, by the name that it was told.
    session: Option<String>,
    /// In place of the one in the headers.
    token: Option<Secret>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<String>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        let body = serde_json::to_string(&self).expect("text and numbers can be written as JSON");
        (headers, body).into_response()
    }
}

pub(super) async fn session(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answer = async {
        let mut request = StreamRequest::from_parts(&parts)?;
        request.head.check_origin(&endpoint.shared.config.origins)?;
        let body = parse(&read_body(body, MAX_BODY).await?)?;
        request.token = body.token;
        match body.session {
            Some(session) => renew(&endpoint, &request, &session).await,
            None => ticket(&endpoint, &request).await,
        }
    };
    answer.await.into_response()
}

fn parse(body: &Bytes) -> Result<Body, Rejection> {
    if body.is_empty() {
        return Ok(Body::default());
    }
    // What is wrong with it may quote the token.
    serde_json::from_slice(body)
        .map_err(|_| Rejection::bad_request("the body is an object of session and token, or empty"))
}

async fn ticket(endpoint: &Endpoint, request: &StreamRequest) -> Result<Answer, Rejection> {
    let shared = &endpoint.shared;
    if request.ticket.is_some() {
        // Or whoever has got hold of one would have one for ever.
        return Err(Rejection::bad_request("a ticket is for a connection: present the token"));
    }
    let identity = shared.identify(request).await?;
    let holder = shared.tickets.holder(&identity, shared.token(request)?);
    let ticket = shared.tickets.issue(holder, identity, std::time::Instant::now());
    let ticket = ticket.ok_or_else(|| Rejection::later(shared.config.retry()))?;
    Ok(Answer { ticket: Some(ticket.to_string()), expires_in: Some(TICKET_AGE.as_secs()) })
}

async fn renew(
    endpoint: &Endpoint,
    request: &StreamRequest,
    session: &str,
) -> Result<Answer, Rejection> {
    let shared = &endpoint.shared;
    let link = shared.session(session);
    let link =
        link.ok_or_else(|| Rejection::new(RejectionKind::NotFound, "there is no such session"))?;
    let left = shared.renew(&link, shared.token(request)?, Some(&request.head)).await?;
    Ok(Answer { ticket: None, expires_in: left.map(|left| left.as_secs()) })
}

//! The worker's side: from an HTTP request to one for the host, and from its answer to a response.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts};
use axum::http::{self, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::oneshot;
use tower_http::services::ServeDir;

use super::Inbox;
use crate::server::refuse;
use crate::server::request::{Content, Exchange, Request};
use crate::server::upload::Upload;
use crate::sse::LastEventId;
use crate::transport::retry::within;
use crate::ws::{UpgradeError, WebSocketUpgrade};

impl Inbox {
    /// A router that puts every request into the inbox, except for those that a file in
    /// `static_dir` answers, or what is mounted.
    pub(crate) fn router(self: &Arc<Self>, static_dir: Option<&Path>) -> Router {
        let inbox = self.clone();
        let host = Router::new().fallback(async move |request: http::Request<Body>| {
            match inbox.mounts.answer(request).await {
                Ok(response) => response,
                Err(request) => inbox.serve(request).await,
            }
        });
        match static_dir {
            None => host,
            Some(path) => Router::new().fallback_service(
                ServeDir::new(path).call_fallback_on_method_not_allowed(true).fallback(host),
            ),
        }
    }

    pub(super) async fn serve(&self, request: http::Request<Body>) -> Response {
        let (mut head, body) = request.into_parts();
        let upgrade = match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
            Ok(upgrade) => Some(upgrade),
            Err(UpgradeError::Method | UpgradeError::NotUpgrade) => None,
            Err(error) => return error.into_response(),
        };
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        let last_event_id = LastEventId::from_parts_with(&head, "lastEventId").0;
        let (method, uri, headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
        // Over HTTP/2 the method of a WebSocket handshake is CONNECT.
        let routed_as = if upgrade.is_some() { &Method::GET } else { &method };
        let found = self.routes.find(routed_as, uri.path());
        let content = if upgrade.is_some() {
            // Over HTTP/2 the body is the WebSocket.
            Content::Whole(Bytes::new())
        } else if self.routes.streams_body_of(&found) {
            Content::Streamed(Upload::start(body))
        } else {
            match Bytes::from_request(http::Request::from_parts(head, body), &()).await {
                Ok(body) => Content::Whole(body),
                Err(error) => return error.into_response(),
            }
        };
        let upload = match &content {
            Content::Streamed(upload) => Some(upload.clone()),
            Content::Whole(_) => None,
        };
        let deadline = found.route().and_then(|route| route.settings.timeout);
        let deadline = deadline.unwrap_or(self.deadline);
        let protocols = upgrade.as_ref().map(|upgrade| upgrade.offered_protocols().to_vec());
        let (exchange, _guard, answer) = Exchange::new(self.mailbox(), upgrade, upload.clone());
        let request = Request {
            method,
            uri,
            headers,
            content,
            found,
            peer,
            last_event_id,
            protocols,
            exchange,
        };
        if let Err(request) = self.put(Box::new(request)) {
            let retry = within(&self.retry);
            return refuse::later(&request.headers, retry, "too busy, try again later\n");
        }
        wait_for(answer, deadline, upload.as_deref()).await
    }
}

/// The host's answer, or the one in its place when it gives none in time. A host that reads the
/// body has its time anew with each piece, and while it waits for the client none passes.
async fn wait_for(
    mut answer: oneshot::Receiver<Response>,
    deadline: Duration,
    upload: Option<&Upload>,
) -> Response {
    let mut left = deadline;
    loop {
        match tokio::time::timeout(left, &mut answer).await {
            Ok(Ok(response)) => return response,
            Ok(Err(_)) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Err(_) => left = deadline.saturating_sub(upload.map_or(deadline, Upload::idle)),
        }
        if left.is_zero() {
            // The host may have answered this very moment, and was then told that it has.
            answer.close();
            let late = answer.try_recv();
            return late.unwrap_or_else(|_| StatusCode::GATEWAY_TIMEOUT.into_response());
        }
    }
}

#[cfg(test)]
mod tests;

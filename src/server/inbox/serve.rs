//! The worker's side: from an HTTP request to one for the host, and from its answer to a response.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tower_http::services::ServeDir;

use super::Inbox;
use crate::server::request::{Exchange, Request};
use crate::server::{config, refuse};
use crate::sse::LastEventId;
use crate::ws::{UpgradeError, WebSocketUpgrade};

impl Inbox {
    /// A router that puts every request into the inbox, except for those that a file in
    /// `static_dir` answers.
    pub(crate) fn router(self: &Arc<Self>, static_dir: Option<&Path>) -> Router {
        let inbox = self.clone();
        let host = Router::new()
            .fallback(async move |request: http::Request<Body>| inbox.serve(request).await);
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
        let body = match &upgrade {
            // Over HTTP/2 the body is the WebSocket.
            Some(_) => Bytes::new(),
            None => match Bytes::from_request(http::Request::from_parts(head, body), &()).await {
                Ok(body) => body,
                Err(error) => return error.into_response(),
            },
        };
        let protocols = upgrade.as_ref().map(|upgrade| upgrade.offered_protocols().to_vec());
        let (exchange, _guard, mut answer) = Exchange::new(upgrade);
        let request =
            Request { method, uri, headers, body, peer, last_event_id, protocols, exchange };
        if let Err(request) = self.put(Box::new(request)) {
            let retry = config::within(&self.retry);
            return refuse::later(&request.headers, retry, "too busy, try again later\n");
        }
        match tokio::time::timeout(self.deadline, &mut answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Err(_) => {
                // The host may have answered this very moment, and was then told that it has.
                answer.close();
                answer.try_recv().unwrap_or_else(|_| StatusCode::GATEWAY_TIMEOUT.into_response())
            }
        }
    }
}

//! The routes of an endpoint.

mod cors;
mod session;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use super::{Endpoint, StreamRequest, open, poll, socket};

/// How large the body of a request may be.
const MAX_BODY: usize = 64 * 1024;

pub(super) fn router(endpoint: &Endpoint) -> Router {
    Router::new()
        .route("/sse", get(sse))
        .route("/ws", any(socket::socket))
        .route("/poll", get(poll::poll).post(poll::poll).head(poll::head))
        .route("/session", post(session::session))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(cors::layer(&endpoint.shared.config.origins))
        .with_state(endpoint.clone())
}

/// Whoever asks for this route is an `EventSource` or behaves like one, whatever its headers say.
async fn sse(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let stream = async {
        let request = StreamRequest::from_parts(&parts)?;
        open(&endpoint.shared, &request).await
    };
    stream.await.map_err(|rejection| rejection.for_event_source()).into_response()
}

//! The routes of an endpoint.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{Endpoint, StreamRequest, open};

pub(super) fn router(endpoint: &Endpoint) -> Router {
    Router::new().route("/sse", get(sse)).with_state(endpoint.clone())
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

//! Which pages of other hosts may read the answers (Fetch standard, "CORS protocol").

use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::ws::{self, Origins};

/// For how long a browser may remember what it was told.
const MAX_AGE: Duration = Duration::from_secs(600);

pub(super) fn layer(origins: &Origins) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CACHE_CONTROL,
            header::CONTENT_TYPE,
            HeaderName::from_static("last-event-id"),
        ])
        .max_age(MAX_AGE);
    if let Origins::Any = origins {
        // Without credentials: no page at all may read what others are logged in for.
        return layer.allow_origin(AllowOrigin::any());
    }
    let origins = origins.clone();
    let allow = move |origin: &HeaderValue, parts: &Parts| {
        origins.allow(Some(origin), ws::host(&parts.headers, &parts.uri))
    };
    layer.allow_credentials(true).allow_origin(AllowOrigin::predicate(allow))
}

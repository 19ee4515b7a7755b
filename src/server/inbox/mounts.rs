//! Routers of the library's own, which answer all requests below a path before the host is asked.

use std::convert::Infallible;
use std::sync::{PoisonError, RwLock};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use tower::Service as _;

/// Why nothing can be mounted there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum MountError {
    #[error("{0:?}: a path to mount something at is like /hub, without a slash at its end")]
    Path(String),
    #[error("{0:?}: something is mounted there already, or above or below it")]
    Taken(String),
}

/// What is mounted on a server.
#[derive(Debug, Default)]
pub(crate) struct Mounts(RwLock<Vec<(String, Router)>>);

impl Mounts {
    /// Has a router answer all that is below a path, which it does not see.
    pub(crate) fn add(&self, path: &str, router: Router) -> Result<(), MountError> {
        let is_plain = |segment: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            !segment.is_empty() && segment.bytes().all(plain)
        };
        let segments = path.strip_prefix('/').unwrap_or_default();
        if !segments.split('/').all(is_plain) {
            return Err(MountError::Path(path.to_owned()));
        }
        let mut mounts = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if mounts.iter().any(|(other, _)| is_below(path, other) || is_below(other, path)) {
            return Err(MountError::Taken(path.to_owned()));
        }
        mounts.push((path.to_owned(), Router::new().nest(path, router)));
        Ok(())
    }

    /// The answer to a request, if something is mounted there.
    pub(super) async fn answer(&self, request: Request<Body>) -> Result<Response, Request<Body>> {
        let Some(mut router) = self.find(request.uri().path()) else { return Err(request) };
        match router.call(request).await {
            Ok(response) => Ok(response),
            Err(never) => match never as Infallible {},
        }
    }

    fn find(&self, path: &str) -> Option<Router> {
        let mounts = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = mounts.iter().find(|(mount, _)| is_below(path, mount));
        found.map(|(_, router)| router.clone())
    }
}

fn is_below(path: &str, mount: &str) -> bool {
    path.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_mean_something_else_are_refused() {
        let mounts = Mounts::default();
        for path in ["", "/", "hub", "/hub/", "/{hub}", "/hub//x", "/a b", "/*", "/:a", "/%41"] {
            let added = mounts.add(path, Router::new());
            assert_eq!(added, Err(MountError::Path(path.to_owned())));
        }
        assert_eq!(mounts.add("/a/hub", Router::new()), Ok(()));
        for path in ["/a/hub", "/a", "/a/hub/b"] {
            assert_eq!(mounts.add(path, Router::new()), Err(MountError::Taken(path.to_owned())));
        }
        assert_eq!(mounts.add("/a/hub2", Router::new()), Ok(()));
        assert!(mounts.find("/a/hub/sse").is_some() && mounts.find("/a/hub").is_some());
        assert!(mounts.find("/a").is_none() && mounts.find("/a/hub3").is_none());
    }
}

//! Requests for a host program, which takes and answers them on threads of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts};
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tower_http::services::ServeDir;

use super::config::{self, Config};
use super::refuse;
use super::request::{Exchange, Request};
use crate::sse::LastEventId;
use crate::ws::{UpgradeError, WebSocketUpgrade};

/// Where requests wait for the host. Bounded: when the host is too slow, the surplus is refused,
/// so that clients come back later instead of waiting for nothing.
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    capacity: usize,
    /// How long the host may take to answer, from the arrival of the whole request.
    deadline: Duration,
    /// The window out of which the surplus gets a time after which to come back.
    retry: RangeInclusive<Duration>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<Request>>,
    closed: bool,
}

/// Why [`Inbox::take`] has no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakeError {
    Timeout,
    /// The inbox was closed.
    Closed,
}

impl Inbox {
    pub(crate) fn new(capacity: usize, deadline: Duration) -> Arc<Self> {
        Arc::new(Inbox {
            state: Mutex::default(),
            arrived: Condvar::new(),
            capacity: capacity.max(1),
            deadline,
            retry: Config::default().drain_retry,
        })
    }

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

    /// The next request whose client is still there; blocks the thread until there is one. `None`
    /// waits for ever.
    pub(crate) fn take(&self, timeout: Option<Duration>) -> Result<Box<Request>, TakeError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if state.closed {
                return Err(TakeError::Closed);
            }
            while let Some(request) = state.waiting.pop_front() {
                if request.exchange.is_open() {
                    return Ok(request);
                }
            }
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(TakeError::Timeout);
                    }
                    let waited = self.arrived.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Takes no more requests, and wakes every thread that waits for one. Those that nobody has
    /// taken are answered with 503.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let unanswered = std::mem::take(&mut state.waiting);
        drop(state);
        self.arrived.notify_all();
        drop(unanswered);
    }

    fn put(&self, request: Box<Request>) -> Result<(), Box<Request>> {
        let mut state = self.lock();
        if state.closed {
            return Err(request);
        }
        if state.waiting.len() >= self.capacity {
            // Those whose client has gone meanwhile take no room.
            state.waiting.retain(|request| request.exchange.is_open());
            if state.waiting.len() >= self.capacity {
                return Err(request);
            }
        }
        state.waiting.push_back(request);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    async fn serve(&self, request: http::Request<Body>) -> Response {
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! A hub's channels for browsers and other clients: event streams, WebSockets and long-polls, which
//! share one cursor, so that a client goes on by any of them where it has left off by another.
//!
//! An [`Endpoint`] is the hub, who may use it, and some limits. Its [router](Endpoint::router) has
//! everything:
//!
//! ```
//! use axum::Router;
//! use lithe::endpoint::Endpoint;
//! use lithe::hub::Hub;
//! use lithe::server::Server;
//!
//! let hub = Hub::new();
//! let endpoint = Endpoint::builder(hub.clone()).build();
//! let router = Router::new().nest("/hub", endpoint.router());
//! let server = Server::builder().bind("127.0.0.1:0").router(router).workers(1).start()?;
//!
//! // new EventSource("/hub/sse?channel=builds.42")
//! hub.publish_blocking(&"builds.42".parse()?, "compiling")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A handler of one's own is made of the same parts: [`StreamRequest`] is what the client asks for,
//! [`Endpoint::open`] lets it in, and an [`EventStream`] is the response:
//!
//! ```
//! use axum::extract::{Path, State};
//! use axum::{Router, routing::get};
//! use lithe::endpoint::{Endpoint, EventStream, Rejection, StreamRequest};
//! use lithe::hub::{Hub, Interest, NameError};
//!
//! /// All that happens in a project, under a URL of its own.
//! async fn project(
//!     State(endpoint): State<Endpoint>,
//!     Path(project): Path<u32>,
//!     mut request: StreamRequest,
//! ) -> Result<EventStream, Rejection> {
//!     let channel = format!("projects.{project}").parse().expect("a number is a segment");
//!     request.channels = vec![channel];
//!     endpoint.open(request).await
//! }
//!
//! let endpoint = Endpoint::builder(Hub::new()).build();
//! let router: Router =
//!     Router::new().route("/projects/{project}/events", get(project)).with_state(endpoint);
//! ```
//!
//! # What a client can rely on
//!
//! * All that is published after its `sub`, in order and once, or a `gap` that says where something
//!   is missing. A cursor of channels that it is not granted replays nothing of them.
//! * A slow client costs memory for what is on its way to it, and nothing else: it reads on in the
//!   hub when it can.
//! * An `EventSource` is never answered in a way that kills it for good, but for a request that
//!   cannot be met (400, 401, 403): when there are too many connections, the server is about to go
//!   or the authorizer does not answer, it gets status 200, a time after which to come back, and the
//!   end. A [server](crate::server::Server) over its own limits does the same for whoever
//!   [accepts](https://html.spec.whatwg.org/multipage/server-sent-events.html) event streams; where
//!   there are too many even for that it closes the connection, after which an `EventSource` comes
//!   back too. A proxy in front that answers with 502 or 503 while no server runs is what remains:
//!   have it wait for the next one, or the page open a new `EventSource` when `readyState` is 2.

mod builder;
mod event_stream;
pub(crate) mod frames;
mod link;
mod notice;
mod poll;
mod rejection;
mod request;
mod routes;
mod session;
mod shared;
mod socket;
mod tickets;

use std::sync::Arc;

use axum::Router;

pub use builder::Builder;
#[cfg(feature = "ffi")]
pub(crate) use event_stream::encoder;
pub use event_stream::{Body, EventStream};
pub use frames::Format;
pub use rejection::{Rejection, RejectionKind};
pub use request::StreamRequest;
pub(crate) use shared::Shared;
pub use socket::{ControlFrame, ControlFrameError};

use crate::hub::Hub;
use session::Session;

/// A hub, who may use it, and the limits within which clients do. Cloning it is cheap; all clones
/// are one endpoint.
///
/// See the [module](self) for how it is used.
#[derive(Clone)]
pub struct Endpoint {
    shared: Arc<Shared>,
}

impl Endpoint {
    /// An endpoint to be configured.
    pub fn builder(hub: Hub) -> Builder {
        Builder::new(hub)
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    /// The routes, to be nested wherever they belong:
    ///
    /// | route | what it is |
    /// |---|---|
    /// | `GET /sse` | channels as an event stream |
    /// | `GET /ws` | channels on a WebSocket |
    /// | `GET /poll`, `POST /poll` | what has come since a cursor, or what comes in a while |
    /// | `POST /session` | tickets, and new tokens for streams that last longer than theirs |
    pub fn router(&self) -> Router {
        routes::router(self)
    }

    /// Lets a client in, subscribes it to what it asks for and may have, and answers it by an event
    /// stream. What it may not have it is told of there.
    ///
    /// # Errors
    ///
    /// The client is not let in, asks for nothing or for too much, may have nothing of what it asks
    /// for, or is to come back later.
    pub async fn open(&self, request: StreamRequest) -> Result<EventStream, Rejection> {
        let opened = open(&self.shared, &request).await;
        opened.map_err(|rejection| rejection.for_request(&request.head))
    }

    /// Parts from all clients kindly: event streams end with a time of their own to come back after,
    /// spread over the [window](Builder::drain_window), WebSockets are closed with a code that says
    /// so, polls are answered. Whoever comes from now on is told to come back later.
    ///
    /// Returns at once. A [server](crate::server::Server::drain) does the same for all that runs on
    /// it; this is for endpoints that another server runs.
    pub fn drain(&self) {
        self.shared.drain();
    }
}

async fn open(shared: &Arc<Shared>, request: &StreamRequest) -> Result<EventStream, Rejection> {
    if request.channels.is_empty() {
        return Err(Rejection::bad_request("no channel: add ?channel=… for each"));
    }
    let mut session = Session::begin(shared, request).await?;
    let (granted, refused) = session.sort_for(request).await?;
    let mut subscription =
        shared.hub.subscriber_with(session.options().after_gap(request.after_gap));
    session::subscribe(&mut subscription, granted, request.cursor.as_deref())?;
    Ok(EventStream::of(session, subscription, refused, request))
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("hub", self.hub()).finish_non_exhaustive()
    }
}

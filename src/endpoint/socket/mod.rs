//! Channels on a WebSocket: text messages in JSON, requests one way, and answers, publications and
//! what else there is to know the other.

mod close;
mod control;
mod conversation;
mod reply;
mod work;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

pub use control::{ControlFrame, ControlFrameError};

use super::link::Link;
use super::request::Head;
use super::session::Session;
use super::{Endpoint, Rejection, Shared, StreamRequest, frames, session};
use crate::transport::Supervised;
use crate::ws::{self, Socket, WebSocketUpgrade};
use close::Parting;
use conversation::Conversation;

/// Answers the handshake. A client that is not let in is told why on the WebSocket: a page never
/// learns how a handshake was answered that has failed.
pub(super) async fn socket(State(endpoint): State<Endpoint>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.config(endpoint.shared.config.ws.clone()),
        Err(error) => return error.into_response(),
    };
    let shared = &endpoint.shared;
    if let Err(rejection) = Head::of(&parts).check_origin(&shared.config.origins) {
        return rejection.into_response();
    }
    let host = ws::host(&parts.headers, &parts.uri);
    if !shared.config.origins.trust(parts.headers.get(header::ORIGIN), host) {
        // A browser sends it along whoever has made the page; nothing else does.
        parts.headers.remove(header::COOKIE);
    }
    let opened = open(shared, StreamRequest::from_parts(&parts)).await;
    match opened {
        Ok(opened) => {
            let link = opened.session.link.clone();
            upgrade
                .behind(move |socket| Arc::new(Front { link, socket }))
                .on_upgrade(move |socket| Conversation::new(socket, opened))
        }
        Err(rejection) => {
            let retry = shared.config.retry();
            upgrade.on_upgrade(move |socket| {
                turn_away(&socket, &rejection, retry);
                std::future::ready(())
            })
        }
    }
}

/// A client that was let in, with what it listens to.
struct Opened {
    session: Session,
    subscription: crate::hub::Subscription,
    /// What it may not have of what it has asked for.
    refused: Vec<crate::hub::Interest>,
}

async fn open(
    shared: &Arc<Shared>,
    request: Result<StreamRequest, Rejection>,
) -> Result<Opened, Rejection> {
    let request = request?;
    let mut session = Session::begin(shared, &request).await?;
    let mut refused = Vec::new();
    let options = session.options().after_gap(request.after_gap);
    let mut subscription = shared.hub.subscriber_with(options);
    if !request.channels.is_empty() {
        if request.channels.len() > shared.config.max_channels {
            return Err(Rejection::too_many(shared.config.max_channels));
        }
        let granted;
        (granted, refused) = session.sort(&request.channels).await?;
        session::subscribe(&mut subscription, granted, request.cursor.as_deref())?;
    }
    Ok(Opened { session, subscription, refused })
}

fn turn_away(socket: &Socket, rejection: &Rejection, retry: Duration) {
    let (parting, later) = Parting::of(rejection);
    let bye = frames::Frame::bye(parting.reason(), later.unwrap_or(retry));
    for text in [reply::rejected(None, rejection), frames::json(&bye)] {
        // Nothing else is queued, so there is room.
        let _ = socket.try_send(text);
    }
    socket.close(parting.code(), parting.reason());
}

/// What the server sees of the connection: it is asked to go, and says good-bye first.
struct Front {
    link: Arc<Link>,
    socket: Arc<dyn Supervised>,
}

impl Supervised for Front {
    fn drain(&self, retry: Duration) {
        self.link.drain(retry);
    }

    fn close(&self, code: u16, reason: &str) {
        self.link.close(code, reason);
    }

    fn abort(&self) {
        self.socket.abort();
    }

    fn queued_bytes(&self) -> usize {
        self.socket.queued_bytes()
    }
}

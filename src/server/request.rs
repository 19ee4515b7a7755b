//! One request in the hands of a host program, which answers it exactly once.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::inbox::Found;
use super::response::StreamedResponse;
use super::upload::Upload;
use crate::sse;
use crate::transport::cork::Mailbox;
use crate::ws::{Socket, UpgradeError, WebSocketUpgrade};

/// A request. Dropped without an answer, it is answered with 503.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// Where it goes.
    pub(crate) found: Found,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) last_event_id: Option<String>,
    /// The subprotocols offered by a WebSocket handshake; `None` for any other request.
    pub(crate) protocols: Option<Vec<String>>,
    pub(super) exchange: Exchange,
}

/// The body of a request.
pub(crate) enum Content {
    /// It has come in.
    Whole(Bytes),
    /// It is read while it comes in.
    Streamed(Arc<Upload>),
}

/// Why a request cannot be answered so.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AnswerError {
    #[error("the request was answered already")]
    Answered,
    #[error("the client has gone, or was told that the answer took too long")]
    Gone,
    #[error("the request is no WebSocket handshake")]
    NotWebSocket,
    #[error("{0}")]
    Refused(UpgradeError),
}

impl Request {
    /// Answers with a response. What is left of the body will not be read.
    pub(crate) fn respond(&self, response: Response) -> Result<(), AnswerError> {
        let Open { answer, .. } = self.exchange.take()?;
        self.close_upload();
        answer.send(response).map_err(|_| AnswerError::Gone)
    }

    /// Of the worker that serves the connection.
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.exchange.mailbox
    }

    /// Answers a request that has no route with 404 or 405, or, if it is one for OPTIONS, with the
    /// methods that there are. Does nothing for a request that has one.
    pub(crate) fn answer_unrouted(&self) -> Result<(), AnswerError> {
        match self.found.answer(&self.method) {
            Some(response) => self.respond(response),
            None => Ok(()),
        }
    }

    fn close_upload(&self) {
        if let Content::Streamed(upload) = &self.content {
            upload.close();
        }
    }

    /// Answers with a response whose body the host writes piece by piece. What is left of the
    /// request's body may be read meanwhile.
    pub(crate) fn respond_stream(
        &self,
        status: StatusCode,
        headers: HeaderMap,
        length: Option<u64>,
        send_queue: usize,
    ) -> Result<StreamedResponse, AnswerError> {
        let Open { answer, .. } = self.exchange.take()?;
        let upload = match &self.content {
            Content::Streamed(upload) => Some(upload.clone()),
            Content::Whole(_) => None,
        };
        let (stream, body) = StreamedResponse::new(send_queue, length, upload);
        stream.wake_by(self.exchange.mailbox.clone());
        if self.method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || length == Some(0)
        {
            stream.close();
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        if let Some(length) = length {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        answer.send(response).map_err(|_| AnswerError::Gone)?;
        Ok(stream)
    }

    /// Answers a WebSocket handshake; the socket may be used at once. `configure` is only called
    /// for a request that can be answered so.
    pub(crate) fn accept_websocket(
        &self,
        configure: impl FnOnce(WebSocketUpgrade) -> WebSocketUpgrade,
    ) -> Result<Socket, AnswerError> {
        if self.protocols.is_none() {
            return Err(AnswerError::NotWebSocket);
        }
        let Open { answer, upgrade } = self.exchange.take()?;
        let upgrade = configure(*upgrade.ok_or(AnswerError::NotWebSocket)?);
        // The connection's task belongs on the worker that serves the connection.
        match upgrade.accept_on(self.exchange.mailbox.worker()) {
            Ok((socket, response)) => {
                socket.wake_by(self.exchange.mailbox.clone());
                answer.send(response).map_err(|_| AnswerError::Gone)?;
                Ok(socket)
            }
            Err(error) => {
                // When the client has gone meanwhile there is nobody to tell.
                let _ = answer.send(error.into_response());
                Err(AnswerError::Refused(error))
            }
        }
    }

    /// Answers with an event stream.
    pub(crate) fn open_events(&self, config: sse::Config) -> Result<sse::Sender, AnswerError> {
        let Open { answer, .. } = self.exchange.take()?;
        self.close_upload();
        let (sender, events) = sse::channel_with(config);
        sender.wake_by(self.exchange.mailbox.clone());
        answer.send(events.into_response()).map_err(|_| AnswerError::Gone)?;
        Ok(sender)
    }

    /// Gives the request up: if it was not answered, it is answered with 503.
    pub(crate) fn abandon(&self) {
        // The handler notices that the sender is gone.
        drop(self.exchange.take());
        if let Content::Streamed(upload) = &self.content {
            upload.report_to_nobody();
            upload.close();
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// What the host and the handler of the request share until the request is answered.
pub(super) struct Exchange {
    state: Arc<Mutex<State>>,
    /// Of the worker that serves the connection.
    mailbox: Arc<Mailbox>,
}

enum State {
    Open(Open),
    Answered,
    /// The client has gone, or the handler has answered by itself.
    Gone,
}

/// What it takes to answer.
struct Open {
    answer: oneshot::Sender<Response>,
    upgrade: Option<Box<WebSocketUpgrade>>,
}

impl Exchange {
    pub(super) fn new(
        mailbox: Arc<Mailbox>,
        upgrade: Option<WebSocketUpgrade>,
        upload: Option<Arc<Upload>>,
    ) -> (Exchange, HandlerGuard, oneshot::Receiver<Response>) {
        let (sender, answer) = oneshot::channel();
        let open = Open { answer: sender, upgrade: upgrade.map(Box::new) };
        let state = Arc::new(Mutex::new(State::Open(open)));
        let guard = HandlerGuard { state: state.clone(), upload };
        (Exchange { state, mailbox }, guard, answer)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(*lock(&self.state), State::Open(_))
    }

    fn take(&self) -> Result<Open, AnswerError> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Answered) {
            State::Open(open) => Ok(open),
            State::Answered => Err(AnswerError::Answered),
            State::Gone => {
                *state = State::Gone;
                Err(AnswerError::Gone)
            }
        }
    }
}

/// Held by the handler: when it ends without an answer from the host, everything of the connection
/// is let go at once, however long the host keeps the request.
pub(super) struct HandlerGuard {
    state: Arc<Mutex<State>>,
    upload: Option<Arc<Upload>>,
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if matches!(*state, State::Open(_)) {
            let open = std::mem::replace(&mut *state, State::Gone);
            drop(state);
            drop(open);
            if let Some(upload) = &self.upload {
                upload.close();
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

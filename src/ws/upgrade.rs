use std::future::{Future, Ready};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Extensions, Method, StatusCode, Version};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use thiserror::Error;
#[cfg(feature = "ffi")]
use tokio::runtime::Handle;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::codec::{Decoder, Role};
use super::connection::Connection;
use super::origins::host;
use super::shared::{Shared, Tie};
use super::{Config, Origins, Socket};
use crate::transport::{Kind, Limit, Membership, Stream, Supervised, Supervision};

#[cfg(feature = "deflate")]
use super::codec::{Deflater, Inflater, negotiate};

/// Why a request is no WebSocket handshake (RFC 6455 §4.2.1), and what it is answered with.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// Neither `GET` over HTTP/1.1 nor `CONNECT` over HTTP/2 (RFC 8441). 405.
    #[error("a WebSocket handshake is a GET request, or an extended CONNECT over HTTP/2")]
    Method,
    /// No `Connection: Upgrade` and `Upgrade: websocket`. 426.
    #[error("this resource speaks WebSocket only: Connection: Upgrade, Upgrade: websocket")]
    NotUpgrade,
    /// Another version than 13. 426.
    #[error("only WebSocket version 13 is spoken here")]
    Version,
    /// No, or no valid, `Sec-WebSocket-Key`. 400.
    #[error("Sec-WebSocket-Key is missing or is not 16 bytes in base64")]
    Key,
    /// A page that may not connect, see [`Origins`]. 403.
    #[error("pages from this origin may not connect")]
    Origin,
    /// The HTTP server below does not support upgrades, or HTTP/1.0. 500.
    #[error("the connection cannot be upgraded")]
    NotUpgradable,
}

impl IntoResponse for UpgradeError {
    fn into_response(self) -> Response {
        let status = match self {
            UpgradeError::Method => StatusCode::METHOD_NOT_ALLOWED,
            UpgradeError::NotUpgrade | UpgradeError::Version => StatusCode::UPGRADE_REQUIRED,
            UpgradeError::Key => StatusCode::BAD_REQUEST,
            UpgradeError::Origin => StatusCode::FORBIDDEN,
            UpgradeError::NotUpgradable => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut response = (status, format!("{self}\n")).into_response();
        let headers = response.headers_mut();
        match self {
            UpgradeError::Method => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
            }
            UpgradeError::NotUpgrade | UpgradeError::Version => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            _ => {}
        }
        response
    }
}

/// Extracts a WebSocket handshake from a request: over HTTP/1.1 (RFC 6455 §4.2) or HTTP/2
/// (RFC 8441).
///
/// ```
/// use axum::{Router, response::Response, routing::any};
/// use lithe::ws::{Socket, WebSocketUpgrade};
///
/// async fn echo(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.on_upgrade(async |mut socket: Socket| {
///         while let Some(message) = socket.recv().await {
///             if socket.send(message).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
///
/// // `any`, because the handshake is a GET over HTTP/1.1 and a CONNECT over HTTP/2.
/// let app: Router = Router::new().route("/ws", any(echo));
/// ```
#[must_use = "the handshake is only answered by `on_upgrade` or `accept`"]
pub struct WebSocketUpgrade {
    config: Arc<Config>,
    /// Over HTTP/1.1, what the answer proves to have understood (RFC 6455 §4.2.2).
    key: Option<HeaderValue>,
    on_upgrade: OnUpgrade,
    offered: Vec<String>,
    protocol: Option<Box<str>>,
    #[cfg(feature = "deflate")]
    extensions: Option<String>,
    origin: Option<HeaderValue>,
    host: Option<String>,
    supervision: Option<Supervision>,
    #[cfg(feature = "endpoint")]
    front: Option<Front>,
}

/// Makes of a connection what its server shall see in its place.
#[cfg(feature = "endpoint")]
type Front = Box<dyn FnOnce(Arc<dyn Supervised>) -> Arc<dyn Supervised> + Send + Sync>;

impl WebSocketUpgrade {
    /// Replaces all settings.
    pub fn config(self, config: impl Into<Arc<Config>>) -> Self {
        WebSocketUpgrade { config: config.into(), ..self }
    }

    /// Which pages may connect; replaces the one of the settings.
    pub fn origins(mut self, origins: Origins) -> Self {
        Arc::make_mut(&mut self.config).origins = origins;
        self
    }

    /// What the server asks of the connection it shall ask of another, who gets the connection.
    #[cfg(feature = "endpoint")]
    pub(crate) fn behind(
        mut self,
        front: impl FnOnce(Arc<dyn Supervised>) -> Arc<dyn Supervised> + Send + Sync + 'static,
    ) -> Self {
        self.front = Some(Box::new(front));
        self
    }

    /// The subprotocols that the server speaks, the most wanted first. The first one that the
    /// client has offered is agreed on; when there is none, the connection has no subprotocol.
    ///
    /// ```
    /// use axum::http::StatusCode;
    /// use axum::response::{IntoResponse, Response};
    /// use lithe::ws::{Socket, WebSocketUpgrade};
    ///
    /// async fn editor(upgrade: WebSocketUpgrade) -> Response {
    ///     let upgrade = upgrade.protocols(["editor.v2", "editor.v1"]);
    ///     if upgrade.selected_protocol().is_none() {
    ///         return (StatusCode::BAD_REQUEST, "speak editor.v1 or v2\n").into_response();
    ///     }
    ///     upgrade.on_upgrade(async |socket: Socket| println!("{:?}", socket.protocol()))
    /// }
    /// ```
    pub fn protocols<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocol = protocols
            .into_iter()
            .map(Into::into)
            .find(|protocol| self.offered.contains(protocol))
            .map(String::into_boxed_str);
        self
    }

    /// The subprotocols that the client offers, in its order.
    pub fn offered_protocols(&self) -> &[String] {
        &self.offered
    }

    /// The subprotocol that was agreed on, if any.
    pub fn selected_protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Answers the handshake and runs `handler` on the connection, inside the connection's own
    /// task: what it receives and sends costs no switch between tasks. When the handler returns,
    /// the connection is closed with 1000; when it panics, with 1011.
    ///
    /// A page that may not connect is answered 403, and the handler is not run.
    pub fn on_upgrade<F, Fut>(self, handler: F) -> Response
    where
        F: FnOnce(Socket) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        match self.answer() {
            Ok((socket, response, switch)) => {
                tokio::spawn(switch.run(Some(handler(socket))));
                response
            }
            Err(error) => error.into_response(),
        }
    }

    /// Answers the handshake for a handler that lives elsewhere, such as another thread. The
    /// response must be returned to the client. The socket may be used at once; what is sent
    /// before the switch is queued.
    ///
    /// ```
    /// use axum::response::Response;
    /// use lithe::ws::{UpgradeError, WebSocketUpgrade};
    ///
    /// async fn echo(upgrade: WebSocketUpgrade) -> Result<Response, UpgradeError> {
    ///     let (socket, response) = upgrade.accept()?;
    ///     let (sender, receiver) = socket.split();
    ///     std::thread::spawn(move || {
    ///         while let Ok(message) = receiver.recv_blocking(None) {
    ///             if sender.send_blocking(message, None).is_err() {
    ///                 break;
    ///             }
    ///         }
    ///     });
    ///     Ok(response)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`UpgradeError::Origin`], to be returned to the client.
    pub fn accept(self) -> Result<(Socket, Response), UpgradeError> {
        let (socket, response, switch) = self.answer()?;
        tokio::spawn(switch.run(None::<Ready<()>>));
        Ok((socket, response))
    }

    /// Does what [`accept`](Self::accept) does, for a connection that is served on that worker.
    /// Needs nothing that belongs to the calling thread, which may be ending.
    #[cfg(feature = "ffi")]
    pub(crate) fn accept_on(self, worker: &Handle) -> Result<(Socket, Response), UpgradeError> {
        let (socket, response, switch) = self.answer()?;
        worker.spawn(switch.run(None::<Ready<()>>));
        Ok((socket, response))
    }

    fn answer(self) -> Result<(Socket, Response, Switch), UpgradeError> {
        if !self.may_connect() {
            return Err(UpgradeError::Origin);
        }
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if let Some(key) = &self.key {
            let accept = derive_accept_key(key.as_bytes());
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            insert(headers, header::SEC_WEBSOCKET_ACCEPT, &accept);
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        let headers = response.headers_mut();
        if let Some(protocol) = &self.protocol {
            insert(headers, header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let config = &*self.config;
        let decoder = Decoder::new(Role::Server, config.max_message_size, config.max_frame_size);
        #[cfg(feature = "deflate")]
        let (decoder, deflater) = {
            let settings = config.compression.settings();
            let agreed = self.extensions.as_deref().zip(settings).and_then(|(offers, settings)| {
                negotiate(offers, &settings).map(|agreed| (agreed, settings))
            });
            match agreed {
                Some(((params, answer), settings)) => {
                    insert(headers, header::SEC_WEBSOCKET_EXTENSIONS, &answer);
                    let inflater = Inflater::new(&params);
                    (decoder.inflate(Some(inflater)), Some(Deflater::new(&params, &settings)))
                }
                None => (decoder, None),
            }
        };
        let shared = Shared::new(
            config,
            #[cfg(feature = "deflate")]
            deflater,
            self.protocol,
        );
        let supervised: Arc<dyn Supervised> = shared.clone();
        #[cfg(feature = "endpoint")]
        let supervised = match self.front {
            Some(front) => front(supervised),
            None => supervised,
        };
        let membership = self.supervision.map(|s| s.enter(Kind::WebSocket, supervised));
        let socket = Socket::new(shared.clone());
        let switch = Switch {
            on_upgrade: self.on_upgrade,
            config: self.config,
            decoder,
            shared: Tie(shared),
            membership,
        };
        Ok((socket, response, switch))
    }

    fn may_connect(&self) -> bool {
        self.config.origins.allow(self.origin.as_ref(), self.host.as_deref())
    }
}

/// The switch to the new protocol, once the client has the response.
struct Switch {
    on_upgrade: OnUpgrade,
    config: Arc<Config>,
    decoder: Decoder,
    shared: Tie,
    membership: Option<Membership>,
}

impl Switch {
    /// Waits for the HTTP library to let go of the stream, and starts the connection's task on it:
    /// a new one, which has nothing of the handshake left in it.
    async fn run<Fut>(self, handler: Option<Fut>)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        let Switch { on_upgrade, config, decoder, shared, membership } = self;
        match tokio::time::timeout(config.handshake_timeout, on_upgrade).await {
            Ok(Ok(upgraded)) => {
                let (stream, prefix) = Stream::from_upgraded(upgraded);
                tokio::spawn(Connection::new(
                    stream, prefix, decoder, shared, config, membership, handler,
                ));
            }
            failed => {
                if let (Err(_), Some(membership)) = (&failed, &membership) {
                    membership.limit_hit(Limit::HandshakeTimeout);
                }
                tracing::debug!("a WebSocket handshake was not finished");
                shared.lost("the handshake was not finished");
                drop(membership);
                if let Some(handler) = handler {
                    handler.await;
                }
            }
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for WebSocketUpgrade {
    type Rejection = UpgradeError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, UpgradeError> {
        let headers = &parts.headers;
        let key = if parts.version == Version::HTTP_2 {
            check_connect(&parts.method, &parts.extensions)?;
            None
        } else {
            Some(check_get(&parts.method, headers)?)
        };
        if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|v| v != "13") {
            return Err(UpgradeError::Version);
        }
        let upgrade = WebSocketUpgrade {
            key,
            offered: list(headers, header::SEC_WEBSOCKET_PROTOCOL),
            protocol: None,
            #[cfg(feature = "deflate")]
            extensions: Some(list(headers, header::SEC_WEBSOCKET_EXTENSIONS).join(",")),
            origin: headers.get(header::ORIGIN).cloned(),
            host: host(headers, &parts.uri).map(str::to_owned),
            config: parts.extensions.get::<Arc<Config>>().cloned().unwrap_or_default(),
            supervision: parts.extensions.get::<Supervision>().cloned(),
            #[cfg(feature = "endpoint")]
            front: None,
            on_upgrade: parts
                .extensions
                .remove::<OnUpgrade>()
                .ok_or(UpgradeError::NotUpgradable)?,
        };
        Ok(upgrade)
    }
}

fn check_get(method: &Method, headers: &HeaderMap) -> Result<HeaderValue, UpgradeError> {
    if method != Method::GET {
        return Err(UpgradeError::Method);
    }
    let has = |name, token: &str| {
        list(headers, name).iter().any(|value| value.eq_ignore_ascii_case(token))
    };
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") {
        return Err(UpgradeError::NotUpgrade);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(UpgradeError::Key)?;
    if !is_key(key.as_bytes()) {
        return Err(UpgradeError::Key);
    }
    Ok(key.clone())
}

fn check_connect(method: &Method, extensions: &Extensions) -> Result<(), UpgradeError> {
    if method != Method::CONNECT {
        return Err(UpgradeError::Method);
    }
    let protocol = extensions.get::<hyper::ext::Protocol>().map(|protocol| protocol.as_str());
    if protocol == Some("websocket") { Ok(()) } else { Err(UpgradeError::NotUpgrade) }
}

/// 16 bytes in base64: 22 characters and two of padding.
pub(crate) fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))
}

/// All elements of a header that is a comma-separated list and may come several times.
fn list(headers: &HeaderMap, name: HeaderName) -> Vec<String> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(|element| element.trim().to_owned())
        .filter(|element| !element.is_empty())
        .collect()
}

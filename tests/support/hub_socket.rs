//! A client that speaks the hub's protocol on a WebSocket.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{self, Error, Message, WebSocket};

use super::support::PATIENCE;

pub(crate) struct HubSocket {
    pub(crate) wire: WebSocket<TcpStream>,
    /// The last cursor that the client was told, of one channel or of many.
    pub(crate) cursor: String,
    single: bool,
}

impl HubSocket {
    pub(crate) fn open(address: SocketAddr, path: &str) -> Self {
        HubSocket::open_with(address, path, &[])
    }

    pub(crate) fn open_with(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        HubSocket::try_open(address, path, headers).unwrap()
    }

    pub(crate) fn try_open(
        address: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        match tungstenite::client(request, socket) {
            Ok((wire, _)) => {
                let channels = path.matches("channel=").count();
                let single = channels == 1 && !path.contains('*');
                Ok(HubSocket { wire, cursor: String::new(), single })
            }
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
                Err(response.status().as_u16())
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string());
    }

    pub(crate) fn send_text(&mut self, text: impl Into<String>) {
        self.wire.send(Message::text(text.into())).unwrap();
    }

    /// The next frame; `Err` is the code and the reason with which the connection was closed.
    pub(crate) fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            match self.wire.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    self.note(&frame);
                    return Ok(frame);
                }
                Ok(Message::Close(close)) => {
                    // The answer goes out with the next read.
                    while self.wire.read().is_ok() {}
                    let close = close.expect("no code");
                    return Err((close.code.into(), close.reason.as_str().to_owned()));
                }
                Ok(Message::Ping(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn note(&mut self, frame: &Value) {
        match frame["type"].as_str().unwrap() {
            "cursor" => self.cursor = frame["cursor"].as_str().unwrap().to_owned(),
            "pub" | "sub" if self.single => {
                let epoch = frame["epoch"].as_str().unwrap();
                self.cursor = format!("{epoch}-{}", frame["offset"]);
            }
            "gap" if self.single => self.cursor = frame["to"].as_str().unwrap().to_owned(),
            _ => {}
        }
    }

    pub(crate) fn frame(&mut self) -> Value {
        self.next().unwrap_or_else(|close| panic!("closed: {close:?}"))
    }

    /// The next frame that is no cursor, which is of that type.
    pub(crate) fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame();
            if frame["type"] == kind {
                return frame;
            }
            assert_eq!(frame["type"], "cursor", "{frame}, not {kind}");
        }
    }

    /// The data of the next publications.
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        let data = |_| self.expect("pub")["data"].as_str().unwrap().to_owned();
        (0..count).map(data).collect()
    }

    /// What comes until all is said that there was to say.
    pub(crate) fn settle(&mut self) -> Vec<Value> {
        self.send(json!({"type": "ping", "id": 999_999}));
        let mut frames = Vec::new();
        loop {
            let frame = self.frame();
            if frame["type"] == "pong" {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Sends a request, and returns its answer.
    pub(crate) fn ask(&mut self, request: Value) -> Value {
        let id = request["id"].clone();
        assert!(id.is_u64(), "{request} has no id");
        self.send(request);
        loop {
            let frame = self.frame();
            if frame["id"] == id {
                return frame;
            }
        }
    }

    /// The code and the reason with which the connection is closed, after what is said before.
    pub(crate) fn closed(&mut self) -> (u16, String) {
        loop {
            if let Err(close) = self.next() {
                return close;
            }
        }
    }
}

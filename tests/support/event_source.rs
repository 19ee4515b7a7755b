//! A client of event streams on a socket of its own: the parser of the specification, and its rules
//! for coming back.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::event_stream_parser::{DispatchedEvent, EventStreamParser};
use super::support::PATIENCE;

pub(crate) struct EventSource {
    pub(crate) socket: TcpStream,
    pub(crate) parser: EventStreamParser,
    pub(crate) head: String,
    /// The identifier of the last event that the test has looked at.
    pub(crate) last_seen_id: String,
    events: VecDeque<DispatchedEvent>,
    ended: bool,
}

impl EventSource {
    /// Opens a stream, without waiting for the answer. HTTP/1.0 comes without chunks.
    pub(crate) fn request(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET {path} HTTP/1.0\r\nhost: localhost\r\naccept: text/event-stream\r\n{headers}\r\n"
        );
        socket.write_all(request.as_bytes()).unwrap();
        EventSource {
            socket,
            parser: EventStreamParser::new(),
            head: String::new(),
            last_seen_id: String::new(),
            events: VecDeque::new(),
            ended: false,
        }
    }

    /// Opens a stream, up to the end of the head.
    pub(crate) fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut source = EventSource::request(address, path, headers);
        source.read_head();
        source
    }

    /// Comes back with the identifier of the last event.
    pub(crate) fn reopen(&self, address: SocketAddr, path: &str, headers: &str) -> Self {
        let id = &self.parser.last_event_id;
        EventSource::open(address, path, &format!("last-event-id: {id}\r\n{headers}"))
    }

    pub(crate) fn read_head(&mut self) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.socket.read(&mut byte).unwrap(), 1, "no head");
            head.push(byte[0]);
        }
        self.head = String::from_utf8(head).unwrap();
    }

    pub(crate) fn status(&self) -> u16 {
        super::support::status(&self.head)
    }

    /// Reads once. Says whether there was anything.
    pub(crate) fn read(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        // A reset is an end like another.
        let len = self.socket.read(&mut buffer).unwrap_or_else(|error| match error.kind() {
            std::io::ErrorKind::ConnectionReset => 0,
            _ => panic!("{error}: nothing comes"),
        });
        self.events.extend(self.parser.feed(&buffer[..len]));
        self.ended |= len == 0;
        len > 0
    }

    /// The next event; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<DispatchedEvent> {
        while self.events.is_empty() && !self.ended {
            self.read();
        }
        let event = self.events.pop_front()?;
        self.last_seen_id.clone_from(&event.last_event_id);
        Some(event)
    }

    /// The next event, which is a control event of that type; its data.
    pub(crate) fn control(&mut self, event_type: &str) -> Value {
        let event = self.next().unwrap_or_else(|| panic!("the end before {event_type}"));
        assert_eq!(event.event_type, event_type, "{}", event.data);
        serde_json::from_str(&event.data).unwrap()
    }

    /// The data of the next events, which are publications.
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        let event = |_| {
            let event = self.next().expect("the end before all events");
            assert!(!event.event_type.starts_with("lithe."), "{event:?}");
            event.data
        };
        (0..count).map(event).collect()
    }

    /// All that comes until the end.
    pub(crate) fn rest(&mut self) -> Vec<DispatchedEvent> {
        while self.read() {}
        self.events.drain(..).collect()
    }

    /// The body of an answer that is no event stream.
    pub(crate) fn body(&mut self) -> String {
        let mut body = String::new();
        self.socket.read_to_string(&mut body).unwrap();
        body
    }
}

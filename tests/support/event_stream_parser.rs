//! What an `EventSource` makes of a stream of bytes: WHATWG HTML, §9.2.6, step by step and without
//! regard to speed. Written from the specification alone, so that it can judge the encoder.
//!
//! Several test crates include this file, and none of them uses all of it.
#![allow(dead_code, unreachable_pub)]

/// An event that a page would have seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispatchedEvent {
    pub event_type: String,
    pub data: String,
    pub last_event_id: String,
}

#[derive(Debug, Default)]
pub struct EventStreamParser {
    line: Vec<u8>,
    first_line_done: bool,
    last_was_cr: bool,
    data: String,
    event_type: String,
    /// Survives from event to event.
    last_event_id_buffer: String,
    /// What a reconnecting client would send as `Last-Event-ID`.
    pub last_event_id: String,
    /// In milliseconds, once the stream has set it.
    pub reconnection_time: Option<u64>,
    /// Comments, which a client ignores but a test may want to see, without their colon.
    pub comments: Vec<String>,
    /// How many identifiers there were.
    pub ids_seen: usize,
}

impl EventStreamParser {
    pub fn new() -> Self {
        EventStreamParser::default()
    }

    /// Takes the next bytes, cut anywhere, and returns the events they complete. What is not
    /// completed by a blank line is never dispatched.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<DispatchedEvent> {
        let mut dispatched = Vec::new();
        for &byte in bytes {
            let lf_of_crlf = byte == b'\n' && self.last_was_cr;
            self.last_was_cr = byte == b'\r';
            match byte {
                b'\n' if lf_of_crlf => {}
                b'\r' | b'\n' => dispatched.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        dispatched
    }

    fn end_line(&mut self) -> Option<DispatchedEvent> {
        let mut bytes = std::mem::take(&mut self.line);
        // "UTF-8 decode" drops one byte order mark at the start of the stream.
        if !self.first_line_done && bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        self.first_line_done = true;
        let line = String::from_utf8_lossy(&bytes);
        if line.is_empty() {
            return self.dispatch();
        }
        match line.split_once(':') {
            Some(("", comment)) => self.comments.push(comment.to_owned()),
            Some((field, value)) => {
                self.process_field(field, value.strip_prefix(' ').unwrap_or(value));
            }
            None => self.process_field(&line, ""),
        }
        None
    }

    fn process_field(&mut self, field: &str, value: &str) {
        match field {
            "event" => self.event_type = value.to_owned(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => {
                self.ids_seen += 1;
                self.last_event_id_buffer = value.to_owned();
            }
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.reconnection_time = value.parse().ok().or(self.reconnection_time);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<DispatchedEvent> {
        self.last_event_id = self.last_event_id_buffer.clone();
        let mut data = std::mem::take(&mut self.data);
        let event_type = std::mem::take(&mut self.event_type);
        if data.is_empty() {
            return None;
        }
        if data.ends_with('\n') {
            data.pop();
        }
        let event_type = if event_type.is_empty() { "message".to_owned() } else { event_type };
        Some(DispatchedEvent { event_type, data, last_event_id: self.last_event_id.clone() })
    }
}

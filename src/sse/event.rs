use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

/// Room for the fields that usually go with the data, so that they need no second allocation.
const FIELDS: usize = 64;

/// One event, as it goes over the wire (WHATWG HTML, §9.2.5 and §9.2.6).
///
/// The fields are written down as they are set. Where one is set twice the client goes by the
/// last, but data adds up, line by line.
///
/// ```
/// use lithe::sse::Event;
///
/// let event = Event::new("42 %").event("progress")?.id("7")?;
/// assert_eq!(event.encode(), "data: 42 %\nevent: progress\nid: 7\n\n");
/// # Ok::<(), lithe::sse::EventError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Event {
    /// All fields, without the blank line that ends the event.
    fields: Vec<u8>,
}

/// Why an [`Event`] cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The value holds a CR, LF or NUL: it would end the field and let its remainder pass for
    /// other fields, or be ignored by the client.
    #[error("{field:?} of an event cannot hold {character:?}; escape it or leave it out")]
    InvalidCharacter {
        /// The field: `id` or `event`.
        field: &'static str,
        /// What the value must not hold.
        character: char,
    },
    /// The value could not be serialized.
    #[error("the event's data cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Event {
    /// An event with that data. The client gets each CRLF, CR and LF in it as one LF, and all
    /// else, leading spaces included, as it is.
    ///
    /// ```
    /// use lithe::sse::Event;
    ///
    /// assert_eq!(Event::new("two\r\n lines").encode(), "data: two\ndata:  lines\n\n");
    /// ```
    pub fn new(data: impl AsRef<str>) -> Self {
        let data = data.as_ref();
        Event { fields: Vec::with_capacity(FIELDS + data.len()) }.data(data)
    }

    /// An event whose data is `value` as JSON.
    ///
    /// ```
    /// use lithe::sse::Event;
    ///
    /// let event = Event::json(&serde_json::json!({ "user": 7 }))?;
    /// assert_eq!(event.encode(), "data: {\"user\":7}\n\n");
    /// # Ok::<(), lithe::sse::EventError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EventError::Json`] when `value` cannot be serialized.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, EventError> {
        const START: &[u8] = b"data: ";
        let mut fields = Vec::with_capacity(2 * FIELDS);
        fields.extend_from_slice(START);
        serde_json::to_writer(&mut fields, value)?;
        // Only text that went into the JSON as it is (`serde_json::value::RawValue`) can hold a
        // line end.
        if memchr::memchr2(b'\r', b'\n', &fields).is_some() {
            let json = fields.split_off(START.len());
            fields.clear();
            push_lines(&mut fields, START, &json);
        } else {
            fields.push(b'\n');
        }
        Ok(Event { fields })
    }

    /// A comment, which clients ignore. A line end in it begins another comment line.
    ///
    /// ```
    /// use lithe::sse::Event;
    ///
    /// assert_eq!(Event::comment("ready\nsteady").encode(), ": ready\n: steady\n\n");
    /// ```
    pub fn comment(text: impl AsRef<str>) -> Self {
        let text = text.as_ref().as_bytes();
        let mut fields = Vec::with_capacity(text.len() + 4);
        push_lines(&mut fields, b": ", text);
        Event { fields }
    }

    /// Adds data, on a line of its own.
    pub fn data(mut self, data: impl AsRef<str>) -> Self {
        push_lines(&mut self.fields, b"data: ", data.as_ref().as_bytes());
        self
    }

    /// Sets the event's type, by which an `EventSource` picks the listener; `message` unless set.
    ///
    /// # Errors
    ///
    /// [`EventError::InvalidCharacter`] for a CR, LF or NUL.
    pub fn event(mut self, name: impl AsRef<str>) -> Result<Self, EventError> {
        self.push_line("event", name.as_ref())?;
        Ok(self)
    }

    /// Sets the identifier that the client sends as `Last-Event-ID` when it reconnects. An empty
    /// one makes it forget the last.
    ///
    /// # Errors
    ///
    /// [`EventError::InvalidCharacter`] for a CR, LF or NUL.
    pub fn id(mut self, id: impl AsRef<str>) -> Result<Self, EventError> {
        self.push_line("id", id.as_ref())?;
        Ok(self)
    }

    /// Sets how long the client waits before it reconnects, in whole milliseconds.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use lithe::sse::Event;
    ///
    /// let event = Event::default().retry(Duration::from_secs(3));
    /// assert_eq!(event.encode(), "retry: 3000\n\n");
    /// ```
    pub fn retry(mut self, delay: Duration) -> Self {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.fields.extend_from_slice(format!("retry: {milliseconds}\n").as_bytes());
        self
    }

    /// The event as it goes over the wire, with the blank line at its end. To be shared by all
    /// receivers of a broadcast ([`Sender::send_encoded`](super::Sender::send_encoded)): a clone
    /// of [`Bytes`] copies nothing.
    #[must_use]
    pub fn encode(self) -> Bytes {
        // Without spare capacity `Bytes` takes the allocation over as it is.
        Bytes::from(self.into_vec().into_boxed_slice())
    }

    pub(super) fn into_vec(mut self) -> Vec<u8> {
        self.fields.push(b'\n');
        self.fields
    }

    pub(super) fn append_to(self, events: &mut Vec<u8>) {
        if events.is_empty() {
            *events = self.into_vec();
        } else {
            events.extend_from_slice(&self.fields);
            events.push(b'\n');
        }
    }

    fn push_line(&mut self, field: &'static str, value: &str) -> Result<(), EventError> {
        if let Some(at) = memchr::memchr3(b'\r', b'\n', 0, value.as_bytes()) {
            let character = char::from(value.as_bytes()[at]);
            return Err(EventError::InvalidCharacter { field, character });
        }
        for part in [field, ": ", value, "\n"] {
            self.fields.extend_from_slice(part.as_bytes());
        }
        Ok(())
    }
}

/// Shows the fields as they go over the wire.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Event").field(&String::from_utf8_lossy(&self.fields)).finish()
    }
}

impl From<&str> for Event {
    fn from(data: &str) -> Self {
        Event::new(data)
    }
}

impl From<String> for Event {
    fn from(data: String) -> Self {
        Event::new(data)
    }
}

/// Writes `text` line by line, each with `start` before it. CRLF, LF and CR end a line.
pub(crate) fn push_lines(fields: &mut Vec<u8>, start: &[u8], mut text: &[u8]) {
    loop {
        fields.extend_from_slice(start);
        let Some(end) = memchr::memchr2(b'\r', b'\n', text) else {
            fields.extend_from_slice(text);
            fields.push(b'\n');
            return;
        };
        fields.extend_from_slice(&text[..end]);
        fields.push(b'\n');
        let line_end = if text[end..].starts_with(b"\r\n") { 2 } else { 1 };
        text = &text[end + line_end..];
    }
}

/// What a stream behind an [`Sse`](super::Sse) may yield: an [`Event`], or a `Result` whose error
/// breaks the stream off.
pub trait IntoEvent {
    /// Why the stream breaks off.
    type Error: Into<axum::BoxError>;

    /// The event, or why there is none.
    ///
    /// # Errors
    ///
    /// The item's own error.
    fn into_event(self) -> Result<Event, Self::Error>;
}

impl IntoEvent for Event {
    type Error = std::convert::Infallible;

    fn into_event(self) -> Result<Event, Self::Error> {
        Ok(self)
    }
}

impl<E: Into<axum::BoxError>> IntoEvent for Result<Event, E> {
    type Error = E;

    fn into_event(self) -> Result<Event, E> {
        self
    }
}

#[cfg(test)]
mod tests;

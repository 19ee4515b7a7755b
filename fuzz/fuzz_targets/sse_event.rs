//! Whatever an event is built of, a client that follows the specification sees exactly that event
//! and nothing else.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lithe::sse::Event;

#[path = "../../tests/support/event_stream_parser.rs"]
mod event_stream_parser;
use event_stream_parser::EventStreamParser;

#[derive(Arbitrary, Debug)]
enum Field {
    Data(String),
    Event(String),
    Id(String),
    Retry(u32),
}

/// What a client that has seen all events should be left with.
#[derive(Debug, Default)]
struct Client {
    last_event_id: String,
    retry: Option<u64>,
}

fuzz_target!(|events: Vec<Vec<Field>>| {
    let mut parser = EventStreamParser::new();
    let mut client = Client::default();
    for fields in &events {
        send(fields, &mut client, &mut parser);
    }
    assert_eq!(parser.last_event_id, client.last_event_id);
    assert_eq!(parser.reconnection_time, client.retry);
});

fn send(fields: &[Field], client: &mut Client, parser: &mut EventStreamParser) {
    let mut event = Event::default();
    let mut data = Vec::new();
    let mut name = "message";
    for field in fields {
        match field {
            Field::Data(text) => {
                data.push(text.replace("\r\n", "\n").replace('\r', "\n"));
                event = event.data(text);
            }
            Field::Event(text) => match event.clone().event(text) {
                Ok(with_name) => {
                    assert!(!text.contains(['\r', '\n', '\0']), "{text:?} was let through");
                    name = if text.is_empty() { "message" } else { text };
                    event = with_name;
                }
                Err(_) => assert!(text.contains(['\r', '\n', '\0']), "{text:?} was refused"),
            },
            Field::Id(text) => match event.clone().id(text) {
                Ok(with_id) => {
                    assert!(!text.contains(['\r', '\n', '\0']), "{text:?} was let through");
                    client.last_event_id.clone_from(text);
                    event = with_id;
                }
                Err(_) => assert!(text.contains(['\r', '\n', '\0']), "{text:?} was refused"),
            },
            Field::Retry(milliseconds) => {
                client.retry = Some(u64::from(*milliseconds));
                event = event.retry(Duration::from_millis(u64::from(*milliseconds)));
            }
        }
    }

    let dispatched = parser.feed(&event.encode());
    if data.is_empty() {
        assert!(dispatched.is_empty(), "without data there is no event: {dispatched:?}");
        return;
    }
    let [seen] = &dispatched[..] else { panic!("one event, not {dispatched:?}") };
    assert_eq!(seen.data, data.join("\n"));
    assert_eq!(seen.event_type, name);
    assert_eq!(seen.last_event_id, client.last_event_id);
}

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Event, EventError};
use crate::sse::event_stream_parser::{DispatchedEvent, EventStreamParser};

fn received(stream: impl AsRef<[u8]>) -> Vec<DispatchedEvent> {
    EventStreamParser::new().feed(stream.as_ref())
}

fn message(data: &str) -> DispatchedEvent {
    DispatchedEvent {
        event_type: "message".to_owned(),
        data: data.to_owned(),
        last_event_id: String::new(),
    }
}

/// The parser is the judge of all else here, so it is held to the examples of WHATWG HTML, §9.2.6.
#[test]
fn the_parser_agrees_with_the_examples_of_the_specification() {
    assert_eq!(received("data: YHOO\ndata: +2\ndata: 10\n\n"), [message("YHOO\n+2\n10")]);

    let mut parser = EventStreamParser::new();
    let events = parser.feed(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
    );
    let first = DispatchedEvent { last_event_id: "1".to_owned(), ..message("first event") };
    assert_eq!(events, [first, message("second event"), message(" third event")]);
    assert_eq!(parser.comments, [" test stream"]);

    // The last block is not ended by a blank line.
    assert_eq!(received("data\n\ndata\ndata\n\ndata:"), [message(""), message("\n")]);
    assert_eq!(received("data:test\n\ndata: test\n\n"), [message("test"), message("test")]);
    assert_eq!(received("\u{feff}data: a\r\rdata: b\r\n\r\n"), [message("a"), message("b")]);
}

#[test]
fn fields_are_written_in_the_order_they_are_set() {
    let event = Event::new("a").event("b").unwrap().id("c").unwrap().retry(Duration::from_secs(1));
    assert_eq!(event.encode(), "data: a\nevent: b\nid: c\nretry: 1000\n\n");
}

#[test]
fn every_kind_of_line_end_splits_data() {
    let encoded = Event::new("a\r\nb\nc\rd\n\re\r\r\n").encode();
    assert_eq!(received(&encoded), [message("a\nb\nc\nd\n\ne\n\n")]);
}

#[test]
fn empty_data_is_still_an_event() {
    assert_eq!(received(Event::new("").encode()), [message("")]);
}

#[test]
fn an_event_without_data_moves_the_last_event_id_only() {
    let mut parser = EventStreamParser::new();
    assert_eq!(parser.feed(&Event::default().id("9").unwrap().encode()), []);
    assert_eq!(parser.last_event_id, "9");
    assert_eq!(parser.feed(&Event::default().id("").unwrap().encode()), []);
    assert_eq!(parser.last_event_id, "");
}

#[test]
fn a_retry_too_long_to_be_written_is_the_longest() {
    let event = Event::default().retry(Duration::MAX);
    assert_eq!(event.encode(), format!("retry: {}\n\n", u64::MAX));
}

#[test]
fn line_ends_and_nul_in_id_or_event_are_refused() {
    for character in ['\r', '\n', '\0'] {
        let value = format!("a{character}data: b");
        for (field, result) in
            [("id", Event::new("x").id(&value)), ("event", Event::new("x").event(&value))]
        {
            match result.unwrap_err() {
                EventError::InvalidCharacter { field: f, character: c } => {
                    assert_eq!((f, c), (field, character));
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[test]
fn data_cannot_pass_for_other_fields() {
    let data = "x\nid: 1\nevent: evil\nretry: 0\n\ndata: y\r\rdata: z";
    let mut parser = EventStreamParser::new();
    let events = parser.feed(&Event::new(data).encode());
    assert_eq!(events, [message(&data.replace('\r', "\n"))]);
    assert_eq!((parser.last_event_id.as_str(), parser.reconnection_time), ("", None));
}

#[test]
fn a_comment_cannot_pass_for_fields() {
    let mut parser = EventStreamParser::new();
    let comment = Event::comment("ping\ndata: evil\r\n\r\ndata: evil");
    assert_eq!(parser.feed(&comment.encode()), []);
    assert_eq!(parser.comments, [" ping", " data: evil", " ", " data: evil"]);
}

#[test]
fn json_is_data() {
    let encoded = Event::json(&["a\nb", " c"]).unwrap().encode();
    assert_eq!(encoded, "data: [\"a\\nb\",\" c\"]\n\n");
}

/// As `serde_json::value::RawValue` does, which is how text gets into the JSON unescaped.
#[test]
fn line_ends_between_json_tokens_are_kept_as_lines() {
    let pretty = "{\r\n  \"a\": 1\r\n}";
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(pretty).unwrap();
    let events = received(Event::json(&raw).unwrap().encode());
    assert_eq!(events, [message("{\n  \"a\": 1\n}")]);
}

#[test]
fn what_json_cannot_express_is_an_error() {
    let map = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(matches!(Event::json(&map), Err(EventError::Json(_))));
}

#[test]
fn the_usual_event_is_encoded_into_one_allocation() {
    let event = Event::new("x".repeat(1000));
    let allocation = event.fields.as_ptr();
    let event = event.event("progress").unwrap().id("1234567890").unwrap();
    let encoded = event.into_vec();
    assert_eq!(encoded.as_ptr(), allocation);
}

#[derive(Clone, Debug)]
enum Field {
    Data(String),
    Event(String),
    Id(String),
    Retry(u64),
}

/// Text made mostly of what has a meaning in an event stream.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        2 => prop::sample::select(vec!['\r', '\n', '\0', ' ', ':', '\u{feff}', '\u{2028}']),
        1 => prop::sample::select("datievnry".chars().collect::<Vec<_>>()),
        1 => any::<char>(),
    ];
    vec(character, 0..24).prop_map(|characters| characters.into_iter().collect())
}

fn single_line() -> impl Strategy<Value = String> {
    text().prop_map(|text| text.replace(['\r', '\n', '\0'], ""))
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        text().prop_map(Field::Data),
        single_line().prop_map(Field::Event),
        single_line().prop_map(Field::Id),
        any::<u64>().prop_map(Field::Retry),
    ]
}

/// An event made of a comment, if any, and fields.
fn build(comment: Option<&str>, fields: &[Field]) -> Event {
    let event = comment.map(Event::comment).unwrap_or_default();
    fields.iter().fold(event, |event, field| match field {
        Field::Data(data) => event.data(data),
        Field::Event(name) => event.event(name).unwrap(),
        Field::Id(id) => event.id(id).unwrap(),
        Field::Retry(milliseconds) => event.retry(Duration::from_millis(*milliseconds)),
    })
}

/// What the client should make of events: computed from the fields, not from the encoding.
#[derive(Default)]
struct Expected {
    events: Vec<DispatchedEvent>,
    last_event_id: String,
    reconnection_time: Option<u64>,
}

impl Expected {
    fn event(&mut self, fields: &[Field]) {
        let mut data = Vec::new();
        let mut event_type = "";
        for field in fields {
            match field {
                Field::Data(text) => data.push(text.replace("\r\n", "\n").replace('\r', "\n")),
                Field::Event(name) => event_type = name,
                Field::Id(id) => self.last_event_id.clone_from(id),
                Field::Retry(milliseconds) => self.reconnection_time = Some(*milliseconds),
            }
        }
        if !data.is_empty() {
            self.events.push(DispatchedEvent {
                event_type: if event_type.is_empty() { "message" } else { event_type }.to_owned(),
                data: data.join("\n"),
                last_event_id: self.last_event_id.clone(),
            });
        }
    }
}

proptest! {
    #[test]
    fn clients_receive_what_was_sent_however_the_stream_is_cut(
        sent in vec((prop::option::of(text()), vec(field(), 0..6)), 1..8),
        cuts in vec(any::<Index>(), 0..12),
    ) {
        let mut expected = Expected::default();
        let mut stream = Vec::new();
        for (comment, fields) in &sent {
            expected.event(fields);
            build(comment.as_deref(), fields).append_to(&mut stream);
        }

        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let mut parser = EventStreamParser::new();
        let mut received = Vec::new();
        for piece in cuts.windows(2) {
            received.extend(parser.feed(&stream[piece[0]..piece[1]]));
        }

        prop_assert_eq!(received, expected.events);
        prop_assert_eq!(parser.last_event_id, expected.last_event_id);
        prop_assert_eq!(parser.reconnection_time, expected.reconnection_time);
    }

    #[test]
    fn encode_and_append_agree(fields in vec(field(), 0..6)) {
        let event = build(None, &fields);
        let mut appended = b"data: before\n\n".to_vec();
        event.clone().append_to(&mut appended);
        prop_assert_eq!(&appended[b"data: before\n\n".len()..], &event.encode()[..]);
    }

    #[test]
    fn id_and_event_take_all_but_line_ends_and_nul(value in text()) {
        let valid = !value.contains(['\r', '\n', '\0']);
        prop_assert_eq!(Event::default().id(&value).is_ok(), valid);
        prop_assert_eq!(Event::default().event(&value).is_ok(), valid);
    }
}

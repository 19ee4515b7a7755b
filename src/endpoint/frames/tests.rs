use super::*;
use crate::hub::{Hub, Item, Message};

fn publication(message: Message) -> std::sync::Arc<Publication> {
    let hub = Hub::new();
    let mut subscription = hub.subscribe(["a.b".parse::<crate::hub::Interest>().unwrap()]).unwrap();
    hub.publish_blocking(&"a.b".parse().unwrap(), message).unwrap();
    loop {
        match subscription.try_next() {
            Some(Item::Publication(publication)) => return publication,
            Some(_) => {}
            None => panic!("nothing was published"),
        }
    }
}

#[test]
fn an_event_is_what_was_published_and_where() {
    let publication = publication(Message::new("two\nlines").name("note").unwrap());
    let event = Format::Raw.event(&publication);
    let fields = "event: note\ndata: two\ndata: lines\n";
    assert_eq!(event.fields(), fields.as_bytes());
    assert_eq!(*event.all(), format!("{fields}id: {}\n\n", publication.position()));
}

#[test]
fn data_that_is_no_text_is_a_data_url() {
    let publication = publication(Message::new(&b"\xff\0"[..]));
    let event = Format::Raw.event(&publication);
    assert_eq!(event.fields(), b"data: data:application/octet-stream;base64,/wA=\n");
    let json: serde_json::Value =
        serde_json::from_str(publication.encoded::<WsFrame>().as_json()).unwrap();
    assert_eq!((json["base64"].as_str(), json.get("data")), (Some("/wA="), None));
}

#[test]
fn a_frame_says_all_that_is_known_of_a_publication() {
    let message = Message::new("{\"a\":1}").name("n").unwrap().key("k").unwrap();
    let publication = publication(message);
    let text = publication.encoded::<WsFrame>().as_json();
    let frame: serde_json::Value = serde_json::from_str(text).unwrap();
    let expected = serde_json::json!({
        "type": "pub",
        "channel": "a.b",
        "epoch": publication.position().epoch.to_string(),
        "offset": 1,
        "data": "{\"a\":1}",
        "name": "n",
        "key": "k",
        "time": publication.unix_millis(),
    });
    assert_eq!(frame, expected);
    let event = Format::Json.event(&publication);
    assert_eq!(event.fields(), format!("event: n\ndata: {text}\n").as_bytes());
}

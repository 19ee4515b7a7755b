use axum::http::{HeaderValue, Request};

use super::LastEventId;

fn last_event_id(header: Option<&[u8]>, uri: &str) -> Option<String> {
    let mut request = Request::get(uri).body(()).unwrap();
    if let Some(header) = header {
        let header = HeaderValue::from_bytes(header).unwrap();
        request.headers_mut().insert("last-event-id", header);
    }
    LastEventId::from_parts_with(&request.into_parts().0, "lastEventId").0
}

#[test]
fn it_is_read_from_the_header() {
    assert_eq!(last_event_id(Some(b"42"), "/"), Some("42".to_owned()));
    assert_eq!(last_event_id(Some("ä ½".as_bytes()), "/"), Some("ä ½".to_owned()));
    assert_eq!(last_event_id(None, "/"), None);
}

#[test]
fn it_is_read_from_the_query_where_no_header_is() {
    for (uri, expected) in [
        ("/?lastEventId=42", Some("42")),
        ("/?a=1&lastEventId=%C3%A4+%26%3D%2B&b", Some("ä &=+")),
        ("/?last%45ventId=1&lastEventId=2", Some("1")),
        ("/?lastEventId=a=b", Some("a=b")),
        ("/?lasteventid=1", None),
        ("/?lastEventId", None),
        ("/?lastEventId=", None),
        ("/?", None),
    ] {
        assert_eq!(last_event_id(None, uri).as_deref(), expected, "{uri}");
        assert_eq!(last_event_id(Some(b""), uri).as_deref(), expected, "{uri}");
    }
}

/// The URL of an `EventSource` is the one of its first connection, the header is up to date.
#[test]
fn the_header_wins() {
    assert_eq!(last_event_id(Some(b"43"), "/?lastEventId=42"), Some("43".to_owned()));
}

#[test]
fn what_no_event_can_have_had_is_none() {
    assert_eq!(last_event_id(Some(b"\xFF"), "/"), None);
    for uri in
        ["/?lastEventId=%FF", "/?lastEventId=a%00", "/?lastEventId=a%0Ab", "/?lastEventId=%0D"]
    {
        assert_eq!(last_event_id(None, uri), None, "{uri}");
    }
}

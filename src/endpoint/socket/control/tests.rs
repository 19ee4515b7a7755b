use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> (Option<u64>, &'static str) {
    match text.parse::<ControlFrame>() {
        Ok(frame) => panic!("{text}: {frame:?}"),
        Err(error) => (error.id, error.code),
    }
}

#[test]
fn whoever_has_no_cursor_yet_begins_now() {
    for kind in ["subscribe", "resume"] {
        let text = format!(r#"{{"type":"{kind}","channel":"a","cursor":""}}"#);
        let frame: ControlFrame = text.parse().unwrap();
        assert!(matches!(frame.command, Command::Subscribe { since: Since::Now, .. }), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_in_words_of_the_protocol() {
    for (text, words) in [
        ("[]", "a request is an object in JSON"),
        ("{", "this is no JSON"),
        (r#"{"type":[]}"#, "a field is missing, or of another type than it has to be"),
        (r#"{"type":"publish","channel":"a","base64":"?"}"#, "base64 cannot be decoded"),
    ] {
        assert_eq!(text.parse::<ControlFrame>().unwrap_err().to_string(), words, "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_answered_by_its_number_where_it_has_one() {
    for (text, expected) in [
        ("", (None, "bad_request")),
        ("null", (None, "bad_request")),
        ("[1]", (None, "bad_request")),
        (
            r#"[1,"ping",null,null,null,null,null,null,null,null,null,null,null,null]"#,
            (None, "bad_request"),
        ),
        ("{", (None, "bad_request")),
        (r#"{"id":1}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":7}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"dance"}"#, (Some(1), "unknown_type")),
        (r#"{"id":1,"type":"dance","channel":7}"#, (Some(1), "unknown_type")),
        (r#"{"id":"1","type":"ping"}"#, (None, "bad_request")),
        (r#"{"id":-1,"type":"ping"}"#, (None, "bad_request")),
        (r#"{"id":1,"id":2,"type":"ping"}"#, (None, "bad_request")),
        (r#"{"id":1,"type":"subscribe"}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"subscribe","channels":[]}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"subscribe","channel":"a..b"}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"subscribe","channel":7}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"subscribe","channel":"a","since":"x"}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"subscribe","channel":"a.*","since":"1-1"}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"resume","channel":"a"}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"publish","channel":"a"}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"publish","channel":"a.*","data":""}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"publish","channel":"a","data":{}}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"publish","channel":"a","base64":"?"}"#, (Some(1), "bad_request")),
        (
            r#"{"id":1,"type":"publish","channel":"a","data":"","name":"lithe.gap"}"#,
            (Some(1), "bad_request"),
        ),
        (r#"{"id":1,"type":"history","channel":"a","after":-1}"#, (Some(1), "bad_request")),
        (r#"{"id":1,"type":"token"}"#, (Some(1), "bad_request")),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
}

#[test]
fn fields_that_a_later_version_may_know_do_no_harm() {
    let frame: ControlFrame = r#"{"type":"ping","id":0,"more":{"a":[]}}"#.parse().unwrap();
    assert!(matches!(frame, ControlFrame { id: Some(0), command: Command::Ping }));
}

#[test]
fn a_channel_that_is_named_twice_is_wanted_once() {
    let text = r#"{"type":"subscribe","channel":"a","channels":["b","a","b"]}"#;
    let frame: ControlFrame = text.parse().unwrap();
    match frame.command {
        Command::Subscribe { wanted, since: Since::Now } => {
            assert_eq!(wanted, ["a", "b"].map(|name| name.parse().unwrap()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_appears_in_no_log() {
    let frame: ControlFrame = r#"{"type":"token","token":"geheim"}"#.parse().unwrap();
    assert!(!format!("{frame:?}").contains("geheim"));
    let error = r#"{"type":"token","token":{"geheim":1}}"#.parse::<ControlFrame>().unwrap_err();
    assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
}

proptest! {
    #[test]
    fn whatever_has_a_number_keeps_it(
        id in proptest::option::of(any::<u64>()),
        kind in prop_oneof![proptest::sample::select(&KINDS[..]).prop_map(str::to_owned), ".*"],
        fields in proptest::collection::hash_map("channels?|since|cursor|data|key|limit|x", ".*", 0..5),
    ) {
        let mut object = serde_json::Map::new();
        object.extend(fields.into_iter().map(|(name, text)| (name, Value::from(text))));
        object.insert("type".into(), kind.into());
        if let Some(id) = id {
            object.insert("id".into(), id.into());
        }
        let seen = match Value::from(object).to_string().parse::<ControlFrame>() {
            Ok(frame) => frame.id(),
            Err(error) => error.id(),
        };
        prop_assert_eq!(seen, id);
    }
}

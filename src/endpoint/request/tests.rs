use axum::extract::Request;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    struct Never;
    impl http_body::Body for Never {
        type Data = Bytes;
        type Error = axum::BoxError;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::BoxError>>> {
            std::task::Poll::Pending
        }
    }
    let read = tokio::time::timeout(2 * BODY_TIME, read_body(Body::new(Never), 10));
    assert_eq!(read.await.unwrap().unwrap_err().code(), "bad_request");
}

use crate::endpoint::RejectionKind;

fn parse(uri: &str, headers: &[(&str, &str)]) -> Result<StreamRequest, Rejection> {
    let mut request = Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    StreamRequest::from_parts(&request.body(()).unwrap().into_parts().0)
}

#[test]
fn channels_come_decoded_in_order_and_once() {
    let request = parse("/sse?channel=a.b&channel=logs.%2A&channel=a.b&other=x", &[]).unwrap();
    let channels: Vec<_> = request.channels.iter().map(Interest::as_str).collect();
    assert_eq!(channels, ["a.b", "logs.*"]);
}

#[test]
fn no_more_channels_are_taken_in_than_there_may_be() {
    let query = |count: usize| (0..count).map(|n| format!("channel={n}&")).collect::<String>();
    let ask = |count| parse(&format!("/sse?{}", query(count)), &[]);
    assert_eq!(ask(MAX_INTERESTS).unwrap().channels.len(), MAX_INTERESTS);
    for count in [MAX_INTERESTS + 1, 5000] {
        assert_eq!(ask(count).unwrap_err().kind(), RejectionKind::TooMany);
    }
}

#[test]
fn the_header_counts_before_what_the_url_says_of_where_to_go_on() {
    let uri = "/sse?cursor=one&lastEventId=two";
    let header = [("last-event-id", "three")];
    assert_eq!(parse(uri, &header).unwrap().cursor.as_deref(), Some("three"));
    assert_eq!(parse(uri, &[]).unwrap().cursor.as_deref(), Some("two"));
    assert_eq!(parse("/sse?cursor=one", &[]).unwrap().cursor.as_deref(), Some("one"));
    assert_eq!(parse("/sse?cursor=", &[]).unwrap().cursor, None);
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    for uri in ["/?channel=", "/?channel=a..b", "/?gap=all", "/?format=xml", "/?timeout=-1"] {
        let rejection = parse(uri, &[]).unwrap_err();
        assert_eq!(rejection.kind(), RejectionKind::BadRequest, "{uri}: {rejection}");
    }
    let long = format!("/?channel={}", "ä".repeat(1000));
    assert!(parse(&long, &[]).unwrap_err().to_string().len() < 300);
}

#[test]
fn a_token_is_in_the_header_or_else_in_the_cookie() {
    let token = |headers: &[(&str, &str)]| {
        let request = parse("/", headers).unwrap();
        request.head.token("tok").map(|token| token.map(str::to_owned))
    };
    let header = ("authorization", "bearer abc");
    let cookie = ("cookie", "a=1; tok=def; b=2");
    assert_eq!(token(&[header, cookie]), Ok(Some("abc".to_owned())));
    assert_eq!(token(&[cookie]), Ok(Some("def".to_owned())));
    assert_eq!(token(&[("cookie", "tok=")]), Ok(None));
    // Whatever other cookies hold.
    assert_eq!(token(&[("cookie", "name=Jörg; tok=def")]), Ok(Some("def".to_owned())));
    assert_eq!(token(&[]), Ok(None));
    // Somebody presents something: not a guest.
    assert!(token(&[("authorization", "Basic YTpi"), cookie]).is_err());
    assert_eq!(token(&[("cookie", "tok=dëf")]), Ok(Some("dëf".to_owned())));
}

#[test]
fn secrets_do_not_show() {
    let request = parse("/sse?ticket=s3cret", &[("authorization", "Bearer s3cret")]).unwrap();
    let shown = format!("{request:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

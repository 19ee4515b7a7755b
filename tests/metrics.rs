//! The metrics, as a structure and as text.
#![cfg(all(feature = "server", feature = "sse"))]

mod support;

use std::collections::BTreeMap;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use lithe::sse;
use support::{Client, PATIENCE, eventually, header, server, status};

fn routes() -> Router {
    let endless = || async {
        let (sender, response) = sse::channel();
        sender.try_send("hello").unwrap();
        tokio::spawn(async move { sender.closed().await });
        response
    };
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .route("/events", get(endless))
}

/// A family of samples in the OpenMetrics text format.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    /// By the rest of the name, and the labels.
    samples: BTreeMap<String, f64>,
}

/// Parses the text, and checks what the format asks for: each family once and together, with its
/// type and help first, names by type, and the end mark.
fn parse(text: &str) -> BTreeMap<String, Family> {
    let mut families = BTreeMap::new();
    let mut name = String::new();
    let text = text.strip_suffix("# EOF\n").expect("the end is marked");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (new, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            assert!(new.starts_with("lithe_"), "{new}");
            assert!(families.insert(new.to_owned(), Family::default()).is_none(), "{new} twice");
            name = new.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (typed, kind) = rest.split_once(' ').unwrap();
            assert_eq!(typed, name);
            families.get_mut(&name).unwrap().kind = kind.to_owned();
        } else if let Some(rest) = line.strip_prefix("# UNIT ") {
            let (measured, unit) = rest.split_once(' ').unwrap();
            assert_eq!(measured, name);
            assert!(name.ends_with(unit), "{name} in {unit}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let rest = sample.strip_prefix(&name).expect("samples of a family stand together");
            let family = families.get_mut(&name).unwrap();
            match family.kind.as_str() {
                "counter" => assert!(rest.starts_with("_total"), "{sample}"),
                "gauge" => assert!(rest.is_empty() || rest.starts_with('{'), "{sample}"),
                "histogram" => assert!(
                    ["_bucket", "_sum", "_count"].iter().any(|suffix| rest.starts_with(suffix)),
                    "{sample}"
                ),
                other => panic!("{other}"),
            }
            let value = value.parse().unwrap();
            assert!(family.samples.insert(rest.to_owned(), value).is_none(), "{sample} twice");
        }
    }
    families
}

#[test]
fn the_text_says_what_the_structure_does() {
    let server = server(routes()).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/").response();
    client.get("/").response();
    client.get("/teapot").response();
    let mut events = Client::connect(&server);
    events.get("/events").read_until("hello\n\n\r\n");
    let sent = "d\r\ndata: hello\n\n\r\n".len() as u64;
    eventually("what was read is counted", || server.metrics().sse.bytes_out == sent);

    let metrics = server.metrics();
    assert_eq!(metrics.accepted, 2);
    assert_eq!(metrics.responses, BTreeMap::from([(200, 3), (418, 1)]));
    assert_eq!((metrics.http.open, metrics.sse.open), (1, 1));
    assert_eq!((metrics.http.messages_in, metrics.http.messages_out), (4, 4));
    assert_eq!(metrics.response_time.count, 4);
    assert!(metrics.http.bytes_in > 0 && metrics.http.bytes_out > 0);

    let families = parse(&server.metrics_text());
    let sample = |family: &str, sample: &str| families[family].samples[sample];
    assert_eq!(sample("lithe_connections_accepted", "_total"), 2.0);
    assert_eq!(sample("lithe_connections", "{kind=\"sse\"}"), 1.0);
    assert_eq!(sample("lithe_connections", "{kind=\"websocket\"}"), 0.0);
    assert_eq!(sample("lithe_http_responses", "_total{code=\"418\"}"), 1.0);
    assert_eq!(sample("lithe_limit_hits", "_total{limit=\"max_connections\"}"), 0.0);
    assert_eq!(sample("lithe_sent_bytes", "_total{kind=\"sse\"}"), metrics.sse.bytes_out as f64);
    assert_eq!(sample("lithe_http_response_time_seconds", "_count"), 4.0);
    assert_eq!(sample("lithe_http_response_time_seconds", "_bucket{le=\"+Inf\"}"), 4.0);
    assert_eq!(families["lithe_queued_bytes"].kind, "gauge");
}

#[test]
fn lifetimes_are_counted_when_they_are_over() {
    let server = server(routes()).start().unwrap();
    let mut client = Client::connect(&server);
    client.get("/events").head();
    assert_eq!(server.metrics().http.lifetime.count, 1, "it is an event stream now");
    assert_eq!(server.metrics().sse.lifetime.count, 0);
    drop(client);
    eventually("it is over", || server.metrics().sse.lifetime.count == 1);
    let families = parse(&server.metrics_text());
    let lifetimes = &families["lithe_connection_duration_seconds"].samples;
    assert_eq!(lifetimes["_count{kind=\"sse\"}"], 1.0);
}

#[test]
fn buckets_grow_with_their_bounds() {
    let server = server(routes()).start().unwrap();
    Client::connect(&server).get("/").response();
    let families = parse(&server.metrics_text());
    let mut buckets: Vec<(f64, f64)> = families["lithe_http_response_time_seconds"]
        .samples
        .iter()
        .filter_map(|(name, count)| {
            let bound = name.strip_prefix("_bucket{le=\"")?.strip_suffix("\"}")?;
            Some((bound.parse().unwrap(), *count))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.len() > 5);
    assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, 1.0)));
}

#[test]
fn they_are_served_at_their_path_and_nowhere_else() {
    let server = server(routes()).metrics_path("/-/metrics").start().unwrap();
    let mut client = Client::connect(&server);
    let (head, body) = client.get("/-/metrics?x=y").response();
    assert_eq!(status(&head), 200);
    assert!(header(&head, "content-type").unwrap().starts_with("application/openmetrics-text"));
    assert_eq!(parse(&body)["lithe_connections"].samples["{kind=\"http\"}"], 1.0);
    assert_eq!(status(&client.get("/metrics").response().0), 404);
    client.send("POST /-/metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    let (head, _) = client.response();
    assert_eq!((status(&head), header(&head, "allow")), (405, Some("GET, HEAD")));
}

#[test]
fn the_counters_of_all_workers_are_added_up() {
    let server = server(routes()).workers(3).start().unwrap();
    let mut clients: Vec<_> = (0..6).map(|_| Client::connect(&server)).collect();
    clients.iter_mut().for_each(|client| drop(client.get("/").response()));
    let metrics = server.metrics();
    assert_eq!((metrics.http.messages_in, metrics.http.open), (6, 6));
    server.drain_blocking(PATIENCE);
    assert_eq!(server.metrics().http.lifetime.count, 6);
}

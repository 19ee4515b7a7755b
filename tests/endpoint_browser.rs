//! What a browser's own `EventSource` makes of a hub, through restarts of the server.
#![cfg(all(feature = "endpoint", feature = "server"))]

mod support;
#[path = "support/browser.rs"]
mod webdriver;

use std::net::SocketAddr;
use std::time::Duration;

use axum::response::Html;
use axum::routing::get;
use lithe::endpoint::Endpoint;
use lithe::hub::{ChannelName, Hub};
use lithe::server::Server;
use serde_json::{Value, json};
use support::PATIENCE;
use webdriver::Browser;

const SOON: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_millis(50);

fn serve(hub: &Hub, address: impl ToString) -> Server {
    let endpoint = Endpoint::builder(hub.clone()).retry(SOON).build();
    let page = || async { Html("<!doctype html><title>test</title>") };
    let router = endpoint.router().route("/", get(page));
    support::server(router).bind(address.to_string()).drain_retry(SOON).start().unwrap()
}

fn publish(hub: &Hub, channel: &str, numbers: std::ops::Range<u32>) {
    let channel: ChannelName = channel.parse().unwrap();
    for number in numbers {
        hub.publish_blocking(&channel, number.to_string()).unwrap();
    }
}

/// A page that notes what it gets, and when it is told from where on.
fn listen(address: SocketAddr) -> Browser {
    let browser = Browser::open(&format!("http://{address}/"));
    browser.run(
        "window.seen = [], window.subs = [], window.gaps = [], window.byes = 0;
        window.source = new EventSource('/sse?channel=a&channel=b');
        source.onmessage = event => seen.push(Number(event.data));
        const note = (name, list) => source.addEventListener(`lithe.${name}`, event =>
            list.push(JSON.parse(event.data)));
        note('sub', subs);
        note('gap', gaps);
        source.addEventListener('lithe.bye', () => byes += 1);",
    );
    browser.wait_until("subs.length === 2");
    browser
}

fn seen(browser: &Browser) -> Vec<u64> {
    let seen = browser.run("return seen");
    seen.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// Of the two channels in turn, so each is in order by itself.
fn assert_all_once(browser: &Browser, count: u32) {
    browser.wait_until(&format!("seen.length >= {count}"));
    let seen = seen(browser);
    for parity in [0, 1] {
        let of: Vec<_> = seen.iter().copied().filter(|number| number % 2 == parity).collect();
        let expected: Vec<_> = (0..u64::from(count)).filter(|n| n % 2 == parity).collect();
        assert_eq!(of, expected);
    }
    assert_eq!(browser.run("return [gaps.length, source.readyState]"), json!([0, 1]));
}

fn publish_both(hub: &Hub, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let channel = if number % 2 == 0 { "a" } else { "b" };
        publish(hub, channel, number..number + 1);
    }
}

#[test]
fn a_page_loses_and_doubles_nothing_when_the_server_is_drained_and_started_again() {
    let hub = Hub::new();
    let server = serve(&hub, "127.0.0.1:0");
    let address = server.local_addr();
    let browser = listen(address);
    publish_both(&hub, 0..50);
    assert_eq!(server.drain_blocking(PATIENCE).cut, 0);
    drop(server);
    publish_both(&hub, 50..100);
    let _server = serve(&hub, address);
    publish_both(&hub, 100..150);
    assert_all_once(&browser, 150);
    assert_eq!(browser.run("return byes"), 1);
}

#[test]
fn a_page_loses_and_doubles_nothing_when_the_server_is_cut_again_and_again() {
    let hub = Hub::new();
    let mut server = serve(&hub, "127.0.0.1:0");
    let address = server.local_addr();
    let browser = listen(address);
    let mut count = 0;
    for round in 1..=5 {
        publish_both(&hub, count..count + 20);
        // In the middle of it.
        drop(server);
        publish_both(&hub, count + 20..count + 40);
        server = serve(&hub, address);
        count += 40;
        browser.wait_until(&format!("subs.length === {}", 2 * (round + 1)));
    }
    assert_all_once(&browser, count);
    let recovered = browser.run("return subs.slice(2).every(sub => sub.recovered)");
    assert_eq!(recovered, Value::Bool(true));
}

#[test]
fn a_page_is_told_of_a_gap_when_the_hub_was_lost_with_the_server() {
    let hub = Hub::new();
    let server = serve(&hub, "127.0.0.1:0");
    let address = server.local_addr();
    let browser = listen(address);
    publish_both(&hub, 0..10);
    browser.wait_until("seen.length === 10");
    drop((server, hub));
    let hub = Hub::new();
    publish_both(&hub, 10..20);
    let _server = serve(&hub, address);
    browser.wait_until("gaps.length === 2");
    publish_both(&hub, 20..30);
    browser.wait_until("seen.length === 20");
    let gaps = browser.run("return gaps.map(gap => [gap.channel, gap.reason])");
    assert_eq!(gaps, json!([["a", "epoch"], ["b", "epoch"]]));
    assert_eq!(seen(&browser).iter().filter(|number| (10..20).contains(*number)).count(), 0);
    assert_eq!(browser.run("return source.readyState"), 1);
}

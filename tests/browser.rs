//! What a real browser makes of it: Chromium's own `EventSource` and `WebSocket`.
#![cfg(all(feature = "sse", feature = "deflate", feature = "server"))]

#[path = "../examples/chat.rs"]
#[allow(dead_code, reason = "it has its own main")]
mod chat;
#[path = "../examples/download_progress.rs"]
#[allow(dead_code, reason = "it has its own main")]
mod download_progress;
mod support;
#[path = "support/browser.rs"]
mod webdriver;

use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::routing::{any, get};
use lithe::server::Server;
use lithe::sse::{self, Event, LastEventId};
use lithe::transport::Kind;
use lithe::ws::{CloseCode, Closed, Compression, Config, Deflate, Socket, WebSocketUpgrade};
use serde_json::{Value, json};
use support::{PATIENCE, count, eventually};
use webdriver::Browser;

/// A server with an empty page beside the routes, and a browser on that page.
fn open(router: Router) -> (Server, Browser) {
    let router = router.route("/", get(|| async { Html("<!doctype html><title>test</title>") }));
    let server = support::server(router).start().unwrap();
    let browser = Browser::open(&format!("http://{}/", server.local_addr()));
    (server, browser)
}

#[test]
fn an_event_source_receives_events() {
    let events = || async {
        let (events, response) = sse::channel();
        events.try_send(Event::new("plain")).unwrap();
        events.try_send(Event::comment("not an event")).unwrap();
        events.try_send(Event::new(" two\nlines, ümläut 🦀").id("7").unwrap()).unwrap();
        let named = Event::json(&json!({"a": [1, 2]})).unwrap().event("named").unwrap();
        events.try_send(named).unwrap();
        tokio::spawn(async move { events.closed().await });
        response
    };
    let (server, browser) = open(Router::new().route("/events", get(events)));
    let received = browser.run(
        "const received = [];
        const source = new EventSource('/events');
        await new Promise((resolve, reject) => {
            const take = ({ type, data, lastEventId }) => received.push([type, data, lastEventId]);
            source.onmessage = take;
            source.addEventListener('named', event => { take(event); resolve(); });
            source.onerror = () => reject('the stream broke');
        });
        source.close();
        return received;",
    );
    let expected = json!([
        ["message", "plain", ""],
        ["message", " two\nlines, ümläut 🦀", "7"],
        ["named", "{\"a\":[1,2]}", "7"],
    ]);
    assert_eq!(received, expected);
    eventually("the stream is gone", || count(&server, Kind::Sse) == 0);
}

#[test]
fn an_event_source_comes_back_and_resumes_where_its_stream_ended() {
    const LAST: u64 = 10;
    let (seen, ids) = mpsc::channel();
    // Four events for each connection, then the stream ends; but the last one stays.
    let events = move |LastEventId(id): LastEventId| {
        seen.send(id.clone()).unwrap();
        let first = id.map_or(1, |id| id.parse::<u64>().unwrap() + 1);
        async move {
            let config = sse::Config::default().retry(Duration::from_millis(10));
            let (events, response) = sse::channel_with(config);
            for number in first..=LAST.min(first + 3) {
                let event = Event::new(format!("event {number}")).id(number.to_string()).unwrap();
                events.try_send(event).unwrap();
            }
            if first + 3 >= LAST {
                tokio::spawn(async move { events.closed().await });
            }
            response
        }
    };
    let (_server, browser) = open(Router::new().route("/events", get(events)));
    let received = browser.run(
        "const received = [];
        const source = new EventSource('/events');
        await new Promise(resolve => source.onmessage = ({ data, lastEventId }) => {
            received.push([lastEventId, data]);
            if (lastEventId === '10') resolve();
        });
        // Whatever came twice would come now.
        await fetch('/');
        source.close();
        return received;",
    );
    let expected: Vec<_> = (1..=LAST).map(|n| [n.to_string(), format!("event {n}")]).collect();
    assert_eq!(received, json!(expected));
    let ids: Vec<_> = ids.try_iter().collect();
    assert_eq!(ids, [None, Some("4".to_owned()), Some("8".to_owned())]);
}

/// Echoes with that setting to the browser, which finds all as it was; returns the extensions that
/// were agreed on.
fn echo(compression: Compression) -> String {
    let config = Config::default().compression(compression);
    let echo = async |upgrade: WebSocketUpgrade| {
        upgrade.config(config).on_upgrade(async |mut socket: Socket| {
            while let Some(message) = socket.recv().await {
                socket.send(message).await.unwrap();
            }
        })
    };
    let (_server, browser) = open(Router::new().route("/echo", any(echo)));
    let extensions = browser.run(
        "const socket = new WebSocket(`ws://${location.host}/echo`);
        socket.binaryType = 'arraybuffer';
        const noise = crypto.getRandomValues(new Uint8Array(50_000));
        const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);
        const texts = ['', 'ümläut 🦀', 'much the same, '.repeat(20_000), noise.join()];
        const sent = [...texts, everyByte, noise, new Uint8Array(300_000), ...texts];
        const received = await new Promise((resolve, reject) => {
            const received = [];
            socket.onopen = () => sent.forEach(message => socket.send(message));
            socket.onmessage = ({ data }) => received.push(data) === sent.length && resolve(received);
            socket.onclose = ({ code }) => reject(`closed with ${code} after ${received.length}`);
        });
        const content = data => typeof data === 'string' ? data : new Uint8Array(data).join();
        sent.forEach((message, i) => {
            if (typeof message !== typeof received[i] || content(message) !== content(received[i]))
                throw `message ${i} did not come back as it was`;
        });
        return socket.extensions;",
    );
    extensions.as_str().unwrap().to_owned()
}

#[test]
fn a_web_socket_echoes_text_and_bytes() {
    assert_eq!(echo(Compression::Off), "");
}

#[test]
fn a_web_socket_echoes_compressed_messages() {
    let extensions = echo(Compression::On(Deflate::default()));
    assert!(extensions.contains("permessage-deflate"), "{extensions:?}");
}

#[test]
fn a_web_socket_echoes_messages_compressed_with_what_came_before() {
    let settings = Deflate::default().context_takeover(true).threshold(0);
    let extensions = echo(Compression::On(settings));
    assert!(extensions.contains("permessage-deflate"), "{extensions:?}");
    assert!(!extensions.contains("no_context_takeover"), "{extensions:?}");
}

/// Opens a WebSocket, lets the host and the page do as they are told, and returns how each of the
/// two saw its end.
fn close(host: fn(&Socket), page: &str) -> (Closed, Value) {
    let (give, take) = mpsc::channel();
    let handler = async move |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async move |mut socket: Socket| {
            host(&socket);
            while socket.recv().await.is_some() {}
            give.send(socket.sender().closed().await).unwrap();
        })
    };
    let (_server, browser) = open(Router::new().route("/ws", any(handler)));
    let seen = browser.run(&format!(
        "const socket = new WebSocket(`ws://${{location.host}}/ws`);
        return await new Promise(resolve => {{
            socket.onopen = () => {{ {page} }};
            socket.onclose = ({{ code, reason, wasClean }}) => resolve([code, reason, wasClean]);
        }});"
    ));
    (take.recv_timeout(PATIENCE).unwrap(), seen)
}

#[test]
fn the_host_learns_why_the_page_closed() {
    let (host, page) = close(|_| {}, "socket.close(4001, 'genug für heute')");
    assert_eq!(host, Closed { code: 4001, reason: "genug für heute".into(), clean: true });
    // The answer has the code alone (RFC 6455 §5.5.1).
    assert_eq!(page, json!([4001, "", true]));

    let (host, page) = close(|_| {}, "socket.close()");
    assert_eq!(host, Closed { code: 1005, reason: "".into(), clean: true });
    assert_eq!(page, json!([1005, "", true]));
}

#[test]
fn the_page_learns_why_the_host_closed() {
    let shop_is_shut = |socket: &Socket| socket.close(CloseCode::new(4002).unwrap(), "geschlöss’n");
    let (host, page) = close(shop_is_shut, "");
    assert_eq!(host, Closed { code: 4002, reason: "geschlöss’n".into(), clean: true });
    assert_eq!(page, json!([4002, "geschlöss’n", true]));
}

/// A server with an example's routes, and a browser on its page.
fn example(router: Router) -> (Server, Browser) {
    let server = support::server(router).start().unwrap();
    let browser = Browser::open(&format!("http://{}/", server.local_addr()));
    (server, browser)
}

#[test]
fn the_chat_example_shows_who_is_there_and_what_they_say() {
    let (server, browser) = example(chat::router());
    browser.wait_until("document.querySelectorAll('#people li').length === 1");
    browser.run(
        "window.ann = new WebSocket(`ws://${location.host}/chat?name=Ann`);
        ann.onopen = () => ann.send('<b>hello</b>');",
    );
    let hello = "document.querySelector('#messages li')?.textContent === 'Ann<b>hello</b>'";
    browser.wait_until(hello);
    browser.wait_until("document.querySelector('#people').textContent.startsWith('Ann')");

    browser.run("ann.close()");
    browser.wait_until("document.querySelectorAll('#people li').length === 1");

    // The page comes back by itself, and what was said is there once.
    server.close_all();
    browser.wait_until("socket.readyState !== WebSocket.OPEN");
    browser.wait_until("socket.readyState === WebSocket.OPEN");
    browser.wait_until(hello);
    assert_eq!(browser.run("return document.querySelectorAll('#messages li').length"), 1);
}

#[test]
fn the_download_example_goes_on_after_an_interruption_and_a_reload() {
    let (server, browser) = example(download_progress::router());
    let done = "document.querySelector('progress').value";
    let started_over =
        |before: &Value| browser.run(&format!("return {done}")).as_f64() < before.as_f64();
    browser.wait_until("document.querySelector('#state').dataset.is === 'open'");
    browser.run("document.querySelector('#start').click()");
    browser.wait_until("document.querySelector('progress')?.value > 0");

    browser.run("document.querySelector('#interrupt').click()");
    browser.wait_until("document.querySelector('#state').dataset.is === 'waiting'");
    let before = browser.run(&format!("return {done}"));
    browser.wait_until(&format!("{done} > {before}"));

    let before = browser.run(&format!("return {done}"));
    browser.go(&format!("http://{}/", server.local_addr()));
    assert!(!started_over(&before), "the page forgot");
    browser.wait_until(&format!("{done} > {before}"));
    assert_eq!(browser.run("return document.querySelectorAll('progress').length"), 1);
}

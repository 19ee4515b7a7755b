//! An axum application of your own, with an event stream and a WebSocket in it.
//!
//! ```sh
//! cargo run --example axum_app
//! ```
//!
//! Nothing here is specific to Lithe but two handlers: `status` returns an event stream, `echo`
//! takes a WebSocket. The router, its state and `axum::serve` are axum's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, Response};
use axum::routing::{any, get};
use axum::{Router, serve};
use futures_util::{Stream, stream};
use lithe::sse::{Event, EventError, Sse};
use lithe::ws::{Compression, Config, Socket, WebSocketUpgrade};
use serde_json::json;
use tokio::net::TcpListener;

struct App {
    started: Instant,
    sockets: AtomicU64,
    messages: AtomicU64,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app =
        App { started: Instant::now(), sockets: AtomicU64::new(0), messages: AtomicU64::new(0) };
    let router = Router::new()
        .route("/", get(async || Html(include_str!("pages/axum_app.html"))))
        .route("/style.css", get(style))
        .route("/status", get(status))
        // `any`, because the handshake is a GET over HTTP/1.1 and a CONNECT over HTTP/2.
        .route("/echo", any(echo))
        .with_state(Arc::new(app));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    serve(listener, router).await
}

async fn style() -> ([(axum::http::HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "text/css")], include_str!("pages/style.css"))
}

/// Once a second, what the server has done so far. When the client goes away, axum drops the
/// stream.
async fn status(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<Event, EventError>>> {
    let ticks = tokio::time::interval(Duration::from_secs(1));
    let events = stream::unfold((ticks, app), async |(mut ticks, app)| {
        ticks.tick().await;
        let event = Event::json(&json!({
            "uptime": app.started.elapsed().as_secs(),
            "sockets": app.sockets.load(Relaxed),
            "messages": app.messages.load(Relaxed),
        }));
        Some((event, (ticks, app)))
    });
    Sse::new(events).retry(Duration::from_secs(2))
}

/// Sends back what comes, compressed where the browser offers it.
async fn echo(State(app): State<Arc<App>>, upgrade: WebSocketUpgrade) -> Response {
    let config = Config::default().compression(Compression::Auto).max_message_size(64 * 1024);
    upgrade.config(config).on_upgrade(async move |mut socket: Socket| {
        app.sockets.fetch_add(1, Relaxed);
        while let Some(message) = socket.recv().await {
            app.messages.fetch_add(1, Relaxed);
            if socket.send(message).await.is_err() {
                break;
            }
        }
        app.sockets.fetch_sub(1, Relaxed);
    })
}

//! The services that are measured: `/` echoes, `/pub` publishes to the WebSockets at `/sub` and
//! the event streams at `/sse`.

use std::error::Error;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{any, get};
use clap::Parser;
use lithe::server::Server;
use lithe::sse::{self, Event, Sse};
use lithe::ws::{self, Message, Prepared, WebSocketUpgrade};

/// Who receives what is published. Whoever cannot keep up, or is gone, is forgotten.
#[derive(Default)]
struct Subscribers {
    sockets: Mutex<Vec<ws::Sender>>,
    streams: Mutex<Vec<sse::Sender>>,
}

impl Subscribers {
    fn publish(&self, text: &str) {
        let mut sockets = self.sockets.lock().expect("no holder of the lock panics");
        if !sockets.is_empty() {
            let message = Prepared::new(text);
            sockets.retain(|socket| socket.try_send_prepared(&message).is_ok());
        }
        let mut streams = self.streams.lock().expect("no holder of the lock panics");
        if !streams.is_empty() {
            let event = Event::new(text).encode();
            streams.retain(|stream| stream.try_send_encoded(event.clone()).is_ok());
        }
    }
}

type Shared = State<Arc<Subscribers>>;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(message) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn publish(upgrade: WebSocketUpgrade, State(subscribers): Shared) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(message) = socket.recv().await {
            if let Message::Text(text) = message {
                subscribers.publish(&text);
            }
        }
    })
}

async fn subscribe(upgrade: WebSocketUpgrade, State(subscribers): Shared) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        subscribers.sockets.lock().expect("no holder of the lock panics").push(socket.sender());
        while socket.recv().await.is_some() {}
    })
}

async fn stream(State(subscribers): Shared) -> Sse {
    let (sender, stream) = sse::channel();
    subscribers.streams.lock().expect("no holder of the lock panics").push(sender);
    stream
}

/// Serves on a free port of 127.0.0.1, whose address is printed.
#[derive(Parser)]
struct Options {
    /// Threads that serve connections.
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    lithe_bench::net::raise_descriptor_limit();
    let router = Router::new()
        .route("/", any(echo))
        .route("/pub", any(publish))
        .route("/sub", any(subscribe))
        .route("/sse", get(stream))
        .with_state(Arc::new(Subscribers::default()));
    let server = Server::builder()
        .bind("127.0.0.1:0")
        .router(router)
        .workers(options.workers)
        // The whole load comes from one address.
        .max_connections_per_ip(0)
        .start()?;
    println!("{}", server.local_addr());
    loop {
        std::thread::park();
    }
}

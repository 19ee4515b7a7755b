//! The services that are measured: `/` echoes, `/pub` publishes to the WebSockets at `/sub` and
//! the event streams at `/sse`, `/hub-pub/{channels}` on so many channels of the hub at `/hub`,
//! `/hub-alone/{size}/{milliseconds}` on one without subscribers.

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use clap::Parser;
use lithe::endpoint::Endpoint;
use lithe::hub::backplane::Redis;
use lithe::hub::{self, ChannelName, ChannelOptions, Hub, Overflow};
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

fn channel(number: usize) -> ChannelName {
    format!("bench.{number}").parse().expect("a number is a segment")
}

/// Publishes on the channels in turn.
async fn publish_on_hub(
    upgrade: WebSocketUpgrade,
    State(hub): State<Hub>,
    Path(channels): Path<usize>,
) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let mut channels = (0..channels).map(channel).collect::<Vec<_>>().into_iter().cycle();
        while let (Some(message), Some(channel)) = (socket.recv().await, channels.next()) {
            if hub.publish(&channel, message.into_bytes()).await.is_err() {
                return;
            }
        }
    })
}

/// Publishes so many numbered publications of that size, and says where they begin.
async fn miss(State(hub): State<Hub>, Path((count, size)): Path<(usize, usize)>) -> String {
    let channel = channel(0);
    let publish = async |data| hub.publish(&channel, data).await.expect("published").position;
    let before = publish("to begin with".to_owned()).await;
    for number in 0..count {
        publish(format!("{number:08x}{}", "x".repeat(size.saturating_sub(8)))).await;
    }
    before.to_string()
}

/// Publishes what nobody has subscribed to, for so long, and says how often.
async fn publish_alone(State(hub): State<Hub>, Path((size, time)): Path<(usize, u64)>) -> String {
    let channel: ChannelName = "alone".parse().expect("a channel");
    let (began, time) = (Instant::now(), Duration::from_millis(time));
    let mut count = 0_u64;
    while began.elapsed() < time {
        // The clock costs about as much as a part of what is measured.
        for _ in 0..64 {
            hub.publish(&channel, vec![b'x'; size]).await.expect("published");
        }
        count += 64;
    }
    count.to_string()
}

/// The shortest time between two deliveries in the namespace `calm`.
const CALM: Duration = Duration::from_secs(2);

/// How often each download has changed. They do so all at the same time.
type Downloads = Arc<AtomicU32>;

fn download(id: usize, changes: u32) -> String {
    format!("{{\"id\":{id},\"state\":\"downloading\",\"changes\":{changes}}}")
}

async fn downloads(State(changes): State<Downloads>, Path(id): Path<usize>) -> Response {
    let body = download(id, changes.load(Relaxed));
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Starts so many downloads, ten for each page, which change at such intervals from now on.
async fn start_downloads(
    State((changes, hub)): State<(Downloads, Hub)>,
    Path((namespace, count, interval)): Path<(String, usize, u64)>,
) -> &'static str {
    let channels: Vec<ChannelName> = (0..count.div_ceil(10))
        .map(|page| format!("{namespace}.{page}").parse().expect("a number is a segment"))
        .collect();
    let mut turns = tokio::time::interval(Duration::from_millis(interval));
    turns.tick().await;
    tokio::spawn(async move {
        loop {
            turns.tick().await;
            let change = changes.fetch_add(1, Relaxed) + 1;
            for id in 0..count {
                let message = hub::Message::new(download(id, change));
                let message = message.key(id.to_string()).expect("a number is a key");
                hub.publish(&channels[id / 10], message).await.expect("published");
            }
        }
    });
    "started"
}

/// Serves on a free port of 127.0.0.1, whose address is printed.
#[derive(Parser)]
struct Options {
    /// Threads that serve connections.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The Redis that joins the hub to those of other nodes.
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    lithe_bench::net::raise_descriptor_limit();
    let calm = ChannelOptions::default().overflow(Overflow::Latest).min_interval(CALM);
    let namespace = "calm.*".parse().expect("a pattern");
    let mut hub = Hub::builder().namespace(namespace, calm);
    if let Some(url) = options.redis {
        hub = hub.backplane(Redis::builder(url).start()?);
    }
    let hub = hub.build();
    let hub_routes = Router::new()
        .route("/hub-pub/{channels}", any(publish_on_hub))
        .route("/hub-missed/{count}/{size}", get(miss))
        .route("/hub-alone/{size}/{milliseconds}", get(publish_alone))
        .with_state(hub.clone())
        .nest("/hub", Endpoint::builder(hub.clone()).build().router());
    let changes = Downloads::default();
    let download_routes = Router::new()
        .route("/downloads-start/{namespace}/{count}/{interval}", get(start_downloads))
        .with_state((changes.clone(), hub.clone()))
        .route("/downloads/{id}", get(downloads))
        .with_state(changes);
    let router = Router::new()
        .route("/", any(echo))
        .route("/pub", any(publish))
        .route("/sub", any(subscribe))
        .route("/sse", get(stream))
        .with_state(Arc::new(Subscribers::default()))
        .merge(hub_routes)
        .merge(download_routes);
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

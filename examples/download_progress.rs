//! Downloads on the server, and their progress in the page.
//!
//! ```sh
//! cargo run --example download_progress
//! ```
//!
//! Every change has a number, which is the `id` of its event. A client that comes back says with
//! `Last-Event-ID` which it has seen, and is sent those downloads alone that have changed since,
//! each once, as they are now. So nothing has to be kept for clients that are away, however long
//! they are. The downloads are made up; the rest is as it would be with real ones.

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::{get, post};
use bytes::Bytes;
use lithe::server::Server;
use lithe::sse::{self, Event, LastEventId, Sse};
use serde_json::json;

/// So many run at a time.
const AT_ONCE: usize = 6;

/// So many are kept, running or not.
const KEPT: usize = 100;

const FILES: [&str; 6] = [
    "autumn-lecture-01.mp4",
    "field-recordings.flac",
    "city-map.pmtiles",
    "backup-tuesday.tar.zst",
    "interview-raw.mov",
    "weather-2025.parquet",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let server = Server::builder().bind(address).router(router()).start()?;
    println!("http://{}", server.local_addr());

    tokio::signal::ctrl_c().await?;
    let report = server.drain(Duration::from_secs(5)).await;
    println!("{} connections ended, {} were cut", report.drained, report.cut);
    Ok(())
}

pub(crate) fn router() -> Router {
    let style = ([(CONTENT_TYPE, "text/css")], include_str!("pages/style.css"));
    Router::new()
        .route("/", get(Html(include_str!("pages/download_progress.html"))))
        .route("/style.css", get(style))
        .route("/downloads", post(start))
        .route("/progress", get(progress))
        .route("/interrupt", post(interrupt))
        .with_state(Downloads::new())
}

/// Starts a download.
async fn start(State(downloads): State<Downloads>) -> StatusCode {
    let Some(id) = downloads.lock().add() else {
        return StatusCode::TOO_MANY_REQUESTS;
    };
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        while {
            tick.tick().await;
            downloads.lock().advance(id)
        } {}
    });
    StatusCode::ACCEPTED
}

/// The progress of all downloads, from what the client has already seen.
async fn progress(State(downloads): State<Downloads>, LastEventId(seen): LastEventId) -> Sse {
    let config = sse::Config::default().retry(Duration::from_secs(1));
    let (events, response) = sse::channel_with(config);
    let mut inside = downloads.lock();
    if events.try_send_encoded(inside.since(seen.as_deref())).is_ok() {
        inside.watchers.push(events);
    }
    response
}

/// Ends every event stream, as a restart or a lost connection would: the clients come back.
async fn interrupt(State(downloads): State<Downloads>) {
    downloads.lock().watchers.clear();
}

#[derive(Clone)]
struct Downloads(Arc<Mutex<Inside>>);

impl Downloads {
    fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Downloads(Arc::new(Mutex::new(Inside {
            run: now.as_millis().to_string(),
            changes: 0,
            all: Vec::new(),
            watchers: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("nobody panics inside")
    }
}

struct Inside {
    /// Tells the numbers of this run from those of the one before a restart.
    run: String,
    changes: u64,
    all: Vec<Download>,
    watchers: Vec<sse::Sender>,
}

struct Download {
    file: &'static str,
    size: u64,
    done: u64,
    /// Bytes in a tenth of a second.
    speed: u64,
    /// The number of its last change.
    change: u64,
}

impl Inside {
    fn add(&mut self) -> Option<usize> {
        let running = self.all.iter().filter(|download| download.done < download.size).count();
        if running == AT_ONCE || self.all.len() == KEPT {
            return None;
        }
        let id = self.all.len();
        self.all.push(Download {
            file: FILES[id % FILES.len()],
            size: fastrand::u64(40_000_000..160_000_000),
            done: 0,
            speed: fastrand::u64(300_000..1_200_000),
            change: 0,
        });
        self.changed(id);
        Some(id)
    }

    /// Returns whether there is more to come.
    fn advance(&mut self, id: usize) -> bool {
        let download = &mut self.all[id];
        let part = download.speed * fastrand::u64(50..150) / 100;
        download.done = download.size.min(download.done + part);
        let more = download.done < download.size;
        self.changed(id);
        more
    }

    fn changed(&mut self, id: usize) {
        self.changes += 1;
        self.all[id].change = self.changes;
        let event = self.event(id).encode();
        // Whoever is too slow comes back later, and is then told what he missed.
        self.watchers.retain(|watcher| watcher.try_send_encoded(event.clone()).is_ok());
    }

    fn event(&self, id: usize) -> Event {
        let Download { file, size, done, change, .. } = self.all[id];
        Event::json(&json!({"id": id, "file": file, "size": size, "done": done}))
            .and_then(|event| event.id(format!("{}-{change}", self.run)))
            .expect("plain data")
    }

    /// What has changed since the event with that id.
    fn since(&self, seen: Option<&str>) -> Bytes {
        let seen: Option<u64> = seen
            .and_then(|id| id.split_once('-'))
            .filter(|(run, _)| *run == self.run)
            .and_then(|(_, change)| change.parse().ok());
        let mut events = Vec::new();
        if seen.is_none() {
            // What the client may have is not of this run.
            events.extend(Event::new("").event("reset").expect("a plain name").encode());
        }
        let seen = seen.unwrap_or(0);
        let mut changed: Vec<_> =
            (0..self.all.len()).filter(|&id| self.all[id].change > seen).collect();
        changed.sort_unstable_by_key(|&id| self.all[id].change);
        for id in changed {
            events.extend(self.event(id).encode());
        }
        events.into()
    }
}

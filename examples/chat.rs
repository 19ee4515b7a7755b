//! A chat over WebSockets, with an event stream of who is there.
//!
//! ```sh
//! cargo run --example chat
//! ```
//!
//! A message is encoded, and compressed, once for everybody who is there. Ctrl-C drains the server:
//! the pages learn that it went away and come back when it runs again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, Response};
use axum::routing::{any, get};
use bytes::Bytes;
use lithe::server::Server;
use lithe::sse::{self, Event, Sse};
use lithe::ws::{self, CloseCode, Compression, Prepared, SendError, Socket, WebSocketUpgrade};
use serde_json::json;

/// What someone who comes in is shown of what was said before.
const HISTORY: usize = 50;

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
        .route("/", get(Html(include_str!("pages/chat.html"))))
        .route("/style.css", get(style))
        .route("/people", get(people))
        // `any`, because the handshake is a GET over HTTP/1.1 and a CONNECT over HTTP/2.
        .route("/chat", any(chat))
        .with_state(Room::default())
}

/// An event whenever somebody comes or goes: the names of all who are there.
async fn people(State(room): State<Room>) -> Sse {
    let (events, response) =
        sse::channel_with(sse::Config::default().retry(Duration::from_secs(1)));
    let mut inside = room.lock();
    if events.try_send_encoded(inside.people()).is_ok() {
        inside.watchers.push(events);
    }
    response
}

/// Takes part in the chat under the name in the query, as in `/chat?name=Ann`.
async fn chat(
    State(room): State<Room>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let name = query.get("name").map_or("", |name| name.trim());
    let name = if name.is_empty() { "Guest" } else { name };
    let name: String = name.chars().take(20).collect();
    let config = ws::Config::default()
        .max_message_size(4 * 1024)
        .max_messages_per_second(20)
        .compression(Compression::Auto);
    upgrade.config(config).on_upgrade(async move |mut socket: Socket| {
        let id = room.lock().enter(&name, socket.sender());
        while let Some(message) = socket.recv().await {
            match message.as_text() {
                Some(text) => room.lock().say(&name, text),
                None => socket.close(CloseCode::UNSUPPORTED, "only text is spoken here"),
            }
        }
        room.lock().leave(id);
    })
}

#[derive(Clone, Default)]
struct Room(Arc<Mutex<Inside>>);

impl Room {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("nobody panics inside")
    }
}

/// Nothing here waits for a client: what does not fit into a client's queue ends its connection.
#[derive(Default)]
struct Inside {
    members: BTreeMap<u64, (String, ws::Sender)>,
    last_member: u64,
    history: VecDeque<Prepared>,
    watchers: Vec<sse::Sender>,
}

impl Inside {
    fn enter(&mut self, name: &str, sender: ws::Sender) -> u64 {
        for message in &self.history {
            give(&sender, message);
        }
        self.last_member += 1;
        self.members.insert(self.last_member, (name.to_owned(), sender));
        self.tell_watchers();
        self.last_member
    }

    fn leave(&mut self, member: u64) {
        self.members.remove(&member);
        self.tell_watchers();
    }

    fn say(&mut self, name: &str, text: &str) {
        let message = Prepared::new(json!({"from": name, "text": text}).to_string());
        for (_, sender) in self.members.values() {
            give(sender, &message);
        }
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(message);
    }

    fn tell_watchers(&mut self) {
        let people = self.people();
        self.watchers.retain(|watcher| watcher.try_send_encoded(people.clone()).is_ok());
    }

    fn people(&self) -> Bytes {
        let mut names: Vec<_> = self.members.values().map(|(name, _)| name).collect();
        names.sort();
        Event::json(&names).expect("names are strings").encode()
    }
}

fn give(sender: &ws::Sender, message: &Prepared) {
    // One who has gone leaves by himself.
    if sender.try_send_prepared(message) == Err(SendError::Full) {
        sender.close(CloseCode::AGAIN, "too slow to follow");
    }
}

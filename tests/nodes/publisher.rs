//! Publishers that publish each message once, whatever becomes of the nodes.

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lithe::hub::Position;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::node::Addresses;
use crate::record::{END, Published};
use crate::support::PATIENCE;

/// For how long a node may keep a publisher waiting before it tries another.
const TIMEOUT: Duration = Duration::from_secs(1);

/// One publisher for each channel, together with 1,000 messages in a second.
pub(crate) struct Publishers {
    pub(crate) channels: Vec<String>,
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Published>>,
}

#[derive(Default)]
struct Progress {
    published: AtomicUsize,
    failed: AtomicUsize,
}

impl Publishers {
    pub(crate) fn start(channels: &[String], messages: usize, addresses: &Arc<Addresses>) -> Self {
        let progress = Arc::<Progress>::default();
        let every = Duration::from_millis(channels.len() as u64);
        let start = |(number, channel): (usize, &String)| {
            let mut publisher = Publisher {
                channel: channel.clone(),
                addresses: addresses.clone(),
                node: number,
                socket: None,
                progress: progress.clone(),
                published: Published::default(),
            };
            let messages = messages / channels.len();
            thread::spawn(move || {
                publisher.run(messages, every);
                publisher.published
            })
        };
        let threads = channels.iter().enumerate().map(start).collect();
        Publishers { channels: channels.to_vec(), progress, threads }
    }

    /// Waits until so many more messages have been published.
    pub(crate) fn go_on(&self, messages: usize) {
        let goal = self.progress.published.load(Ordering::Relaxed) + messages;
        crate::support::eventually("publishers go on", || {
            self.progress.published.load(Ordering::Relaxed) >= goal
        });
    }

    /// Waits until publishing has failed once more for each of them, and again.
    pub(crate) fn fail(&self) {
        let goal = self.progress.failed.load(Ordering::Relaxed) + 2 * self.channels.len();
        crate::support::eventually("publishers fail", || {
            self.progress.failed.load(Ordering::Relaxed) >= goal
        });
    }

    /// What was published, when all is.
    pub(crate) fn finish(self) -> HashMap<String, Published> {
        let published = self.threads.into_iter().map(|thread| thread.join().unwrap());
        self.channels.into_iter().zip(published).collect()
    }
}

struct Publisher {
    channel: String,
    addresses: Arc<Addresses>,
    node: usize,
    socket: Option<WebSocket<TcpStream>>,
    progress: Arc<Progress>,
    published: Published,
}

impl Publisher {
    fn run(&mut self, messages: usize, every: Duration) {
        let begin = Instant::now();
        for number in 0..messages {
            let due = begin + every * number as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            self.publish(&number.to_string());
        }
        self.publish(END);
    }

    /// Publishes one message, however often that takes.
    fn publish(&mut self, data: &str) {
        let given_up = Instant::now() + PATIENCE;
        loop {
            if let Some(position) = self.try_publish(data) {
                self.published.places.push((position, data.to_owned()));
                self.progress.published.fetch_add(1, Ordering::Relaxed);
                return;
            }
            assert!(Instant::now() < given_up, "{data} cannot be published");
            self.progress.failed.fetch_add(1, Ordering::Relaxed);
            self.published.again.insert(data.to_owned());
            self.socket = None;
            self.node += 1;
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn try_publish(&mut self, data: &str) -> Option<Position> {
        if self.socket.is_none() {
            let address = self.addresses.get(self.node);
            let socket = TcpStream::connect(address).ok()?;
            socket.set_read_timeout(Some(TIMEOUT)).ok()?;
            socket.set_write_timeout(Some(TIMEOUT)).ok()?;
            socket.set_nodelay(true).ok()?;
            let (socket, _) = tungstenite::client(format!("ws://{address}/ws"), socket).ok()?;
            self.socket = Some(socket);
        }
        let socket = self.socket.as_mut()?;
        let publish = json!({
            "type": "publish", "id": 1, "channel": self.channel, "data": data, "idempotency_key": data,
        });
        socket.send(Message::text(publish.to_string())).ok()?;
        loop {
            let Message::Text(text) = socket.read().ok()? else { continue };
            let answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == 1 {
                let epoch = answer["epoch"].as_str()?;
                return Some(format!("{epoch}-{}", answer["offset"]).parse().unwrap());
            }
        }
    }
}

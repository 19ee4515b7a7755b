//! A client that reads nothing for a minute, among a thousand that do.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use lithe::endpoint::Endpoint;
use lithe::hub::{AfterGap, ChannelName, ChannelOptions, Hub, Position};
use lithe::server::Server;
use lithe::transport::Kind;
use serde_json::Value;
use socket2::SockRef;

use crate::event_source::EventSource;
use crate::support::{self, count, eventually};

const HEALTHY: usize = 1000;
/// More than the kernel takes for a client that does not read: so many messages, each so long.
const FLOOD: (u64, usize) = (48, 256 * 1024);
/// How many publications the channel `short` keeps.
const KEPT: usize = 4;

const ALL: &str = "/sse?channel=all";
const SHORT: &str = "/sse?channel=short&gap=earliest";

/// The data of a message: its number, and something that takes room.
fn message(number: u64, room: usize) -> String {
    format!("{number} {}", "x".repeat(room))
}

fn number(data: &str) -> u64 {
    data.split(' ').next().unwrap().parse().unwrap()
}

/// What a client has got of one channel that it reads, or comes back to as often as it has to, up to
/// the given message.
struct Read {
    numbers: Vec<u64>,
    gaps: Vec<Value>,
}

fn read_up_to(last: u64, mut source: EventSource, address: SocketAddr, path: &str) -> Read {
    let mut read = Read { numbers: Vec::new(), gaps: Vec::new() };
    while read.numbers.last() != Some(&last) {
        match source.next() {
            None => source = source.reopen(address, path, ""),
            Some(event) if event.event_type == "lithe.gap" => {
                read.gaps.push(serde_json::from_str(&event.data).unwrap());
            }
            Some(event) if event.event_type.starts_with("lithe.") => {}
            Some(event) => read.numbers.push(number(&event.data)),
        }
    }
    read
}

/// A hub with a client that has stopped to read the channel `all` and one that has stopped to read
/// `short`, and many that read `news`.
pub(crate) struct Stall {
    hub: Hub,
    server: Server,
    healthy: Vec<EventSource>,
    published: u64,
}

impl Stall {
    pub(crate) fn start() -> (Stall, [EventSource; 2]) {
        let whole = ChannelOptions::default().history_size(usize::MAX);
        let short =
            ChannelOptions::default().history_size(KEPT).backlog(KEPT).after_gap(AfterGap::Oldest);
        let hub = Hub::builder()
            .defaults(whole)
            .namespace("short".parse().unwrap(), short)
            .replay_limit(usize::MAX, usize::MAX)
            .build();
        let endpoint = Endpoint::builder(hub.clone()).keep_alive(None).build();
        let server = support::server(endpoint.router()).max_connections_per_ip(0).start().unwrap();
        let address = server.local_addr();
        let stalled = [ALL, SHORT].map(|path| {
            let source = EventSource::open(address, path, "");
            // The kernel is not to read in place of the client.
            SockRef::from(&source.socket).set_recv_buffer_size(64 * 1024).unwrap();
            source
        });
        let healthy = (0..HEALTHY).map(|_| EventSource::request(address, "/sse?channel=news", ""));
        let mut healthy: Vec<_> = healthy.collect();
        for source in &mut healthy {
            source.read_head();
            source.control("lithe.sub");
        }
        assert_eq!(count(&server, Kind::Sse), HEALTHY + stalled.len());
        (Stall { hub, server, healthy, published: 0 }, stalled)
    }

    fn publish(&mut self, room: usize) {
        self.published += 1;
        for channel in ["all", "short", "news"] {
            let room = if channel == "news" { 0 } else { room };
            let channel: ChannelName = channel.parse().unwrap();
            self.hub.publish_blocking(&channel, message(self.published, room)).unwrap();
        }
    }

    /// Every healthy client has the last message, and is not sent another before.
    fn healthy_have_it(&mut self) {
        for source in &mut self.healthy {
            assert_eq!(number(&source.data(1)[0]), self.published);
        }
    }

    /// What is on its way to those that do not take it.
    fn queued(&self) -> Vec<usize> {
        let rows = self.server.connections().into_iter().map(|row| row.queued_bytes);
        rows.filter(|bytes| *bytes >= FLOOD.1).collect()
    }

    /// Publishes more than is on its way to clients that do not read, and goes on for so long.
    pub(crate) fn last(&mut self, how_long: Duration) {
        for _ in 0..FLOOD.0 {
            self.publish(FLOOD.1);
            self.healthy_have_it();
        }
        eventually("both are stuck", || self.queued().len() == 2);
        let begun = Instant::now();
        while begun.elapsed() < how_long {
            self.publish(100);
            self.healthy_have_it();
            // What is on its way to each is bounded. It may have been cut since.
            assert!(self.queued().iter().all(|bytes| *bytes < 4 * FLOOD.1), "{:?}", self.queued());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Reads what those that were stuck get in the end: all, where the history has it, and one gap
    /// for what it has not.
    pub(crate) fn end(mut self, [all, short]: [EventSource; 2]) {
        let address = self.server.local_addr();
        self.publish(100);
        self.healthy_have_it();
        let read = read_up_to(self.published, all, address, ALL);
        assert_eq!(read.numbers, (1..=self.published).collect::<Vec<_>>());
        assert_eq!(read.gaps, [Value::Null; 0]);

        let read = read_up_to(self.published, short, address, SHORT);
        let [gap] = &read.gaps[..] else { panic!("{:?}", read.gaps) };
        let [from, to] = ["from", "to"].map(|end| gap[end].as_str().unwrap().parse().unwrap());
        let [from, to]: [Position; 2] = [from, to];
        let whole = (1..=from.offset).chain(to.offset + 1..=self.published);
        assert_eq!(read.numbers, whole.collect::<Vec<_>>(), "{:?}", read.gaps);
    }
}

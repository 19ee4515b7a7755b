//! The list of all open connections.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use slab::Slab;
use tokio::sync::Notify;

use super::connection::Connection as Link;
use crate::transport::{Kind, Supervised};

/// The WebSocket close code of a connection that its server ends (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1001;

/// An open connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Connection {
    /// Its number, which no other connection of this server has had lately.
    pub id: u64,
    /// What it is used for.
    pub kind: Kind,
    /// The client's address; an IPv4 client of an IPv6 socket is shown by its IPv4 address.
    pub peer: SocketAddr,
    /// When it was opened, or became the kind of stream that it is.
    pub since: SystemTime,
    /// Bytes that wait to be sent.
    pub queued_bytes: usize,
}

/// One list for each worker, so that they do not wait for each other.
pub(super) struct Registry {
    shards: Vec<Mutex<Shard>>,
    len: AtomicUsize,
    changed: Notify,
}

#[derive(Default)]
struct Shard {
    rows: Slab<Row>,
    generation: u32,
}

struct Row {
    generation: u32,
    kind: Kind,
    since: Instant,
    link: Arc<Link>,
    /// `None` while the connection is what is supervised.
    stream: Option<Arc<dyn Supervised>>,
}

impl Row {
    fn new(kind: Kind, link: Arc<Link>, stream: Option<Arc<dyn Supervised>>) -> Row {
        Row { generation: 0, kind, since: Instant::now(), link, stream }
    }

    fn supervised(&self) -> Arc<dyn Supervised> {
        self.stream.clone().unwrap_or_else(|| self.link.clone())
    }
}

/// The worker in the upper 12 bits, then 20 bits of the generation, then the index. Never 0.
fn id(shard: usize, generation: u32, index: usize) -> u64 {
    (shard as u64) << 52 | u64::from(generation) << 32 | index as u64
}

fn parts(id: u64) -> (usize, u32, usize) {
    ((id >> 52) as usize, (id >> 32) as u32 & 0xf_ffff, (id & 0xffff_ffff) as usize)
}

impl Shard {
    fn insert(&mut self, shard: usize, row: Row) -> u64 {
        self.generation = self.generation % 0xf_ffff + 1;
        let generation = self.generation;
        id(shard, generation, self.rows.insert(Row { generation, ..row }))
    }

    fn get(&mut self, id: u64) -> Option<&mut Row> {
        let (_, generation, index) = parts(id);
        self.rows.get_mut(index).filter(|row| row.generation == generation)
    }

    fn remove(&mut self, id: u64) -> Option<Row> {
        self.get(id)?;
        let row = self.rows.remove(parts(id).2);
        if self.rows.is_empty() {
            self.rows.shrink_to_fit();
        }
        Some(row)
    }
}

impl Registry {
    pub(super) fn new(workers: usize) -> Self {
        Registry {
            shards: (0..workers).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
            changed: Notify::new(),
        }
    }

    fn shard(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(SeqCst)
    }

    /// Enters a new connection.
    pub(super) fn open(&self, link: &Arc<Link>) -> u64 {
        let row = Row::new(Kind::Http, link.clone(), None);
        self.len.fetch_add(1, SeqCst);
        self.shard(link.worker).insert(link.worker, row)
    }

    /// Enters the stream that a connection has become, or one more of an HTTP/2 connection.
    pub(super) fn enter(&self, link: &Arc<Link>, kind: Kind, stream: Arc<dyn Supervised>) -> u64 {
        let mut shard = self.shard(link.worker);
        let whole = link.row().filter(|_| !link.is_multiplexed());
        if let Some(id) = whole
            && let Some(row) = shard.get(id).filter(|row| row.stream.is_none())
        {
            let opened = std::mem::replace(&mut row.since, Instant::now());
            row.kind = kind;
            row.stream = Some(stream);
            link.stats().lived(Kind::Http, opened.elapsed());
            return id;
        }
        self.len.fetch_add(1, SeqCst);
        shard.insert(link.worker, Row::new(kind, link.clone(), Some(stream)))
    }

    /// Forgets a stream; the connection that it was goes back to HTTP if that is still there.
    pub(super) fn leave(&self, link: &Link, id: u64) {
        let mut shard = self.shard(link.worker);
        let row = match shard.get(id) {
            Some(row) if link.row() == Some(id) && link.is_http() => {
                let kind = std::mem::replace(&mut row.kind, Kind::Http);
                let since = std::mem::replace(&mut row.since, Instant::now());
                let stream = row.stream.take();
                link.stats().lived(kind, since.elapsed());
                drop(shard);
                // What a stream holds may take part in the registry itself.
                drop(stream);
                return;
            }
            _ => shard.remove(id),
        };
        drop(shard);
        self.removed(row);
    }

    /// Forgets a connection whose HTTP has ended, unless it has become a stream.
    pub(super) fn close_http(&self, link: &Link) {
        let mut shard = self.shard(link.worker);
        link.end_http();
        let row = match link.row() {
            Some(id) if shard.get(id).is_some_and(|row| row.stream.is_none()) => shard.remove(id),
            _ => None,
        };
        drop(shard);
        self.removed(row);
    }

    fn removed(&self, row: Option<Row>) {
        if let Some(row) = row {
            row.link.stats().lived(row.kind, row.since.elapsed());
            drop(row);
            if self.len.fetch_sub(1, SeqCst) == 1 {
                self.changed.notify_waiters();
            }
        }
    }

    /// Returns once there are no connections.
    pub(super) async fn emptied(&self) {
        loop {
            let changed = self.changed.notified();
            if self.len() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Calls for each row, under the lock of its shard.
    fn each(&self, mut f: impl FnMut(u64, &Row)) {
        for index in 0..self.shards.len() {
            for (key, row) in &self.shard(index).rows {
                f(id(index, row.generation, key), row);
            }
        }
    }

    fn rows(&self) -> Vec<(Kind, Arc<Link>, Arc<dyn Supervised>)> {
        let mut rows = Vec::new();
        self.each(|_, row| rows.push((row.kind, row.link.clone(), row.supervised())));
        rows
    }

    pub(super) fn list(&self) -> Vec<Connection> {
        let (now, instant) = (SystemTime::now(), Instant::now());
        let mut rows = Vec::new();
        self.each(|id, row| {
            let age = instant.saturating_duration_since(row.since);
            let since = now.checked_sub(age).unwrap_or(now);
            let (kind, peer) = (row.kind, row.link.peer);
            let connection = Connection { id, kind, peer, since, queued_bytes: 0 };
            rows.push((connection, row.supervised()));
        });
        // Asked outside the lock, which a stream may need for its answer.
        let queued = |(connection, stream): (Connection, Arc<dyn Supervised>)| Connection {
            queued_bytes: stream.queued_bytes(),
            ..connection
        };
        rows.into_iter().map(queued).collect()
    }

    pub(super) fn close(&self, id: u64) -> bool {
        let shard = parts(id).0;
        if shard >= self.shards.len() {
            return false;
        }
        let stream = self.shard(shard).get(id).map(|row| row.supervised());
        match stream {
            Some(stream) => {
                stream.close(GOING_AWAY, "");
                true
            }
            None => false,
        }
    }

    pub(super) fn close_all(&self) {
        for (kind, link, stream) in self.rows() {
            stream.close(GOING_AWAY, "");
            finish_after(kind, &link);
        }
    }

    /// Asks everyone to go, and to come back after a time that is different for each. Says how
    /// many there are.
    pub(super) fn drain(&self, mut retry: impl FnMut() -> Duration) -> usize {
        let rows = self.rows();
        for (kind, link, stream) in &rows {
            stream.drain(retry());
            finish_after(*kind, link);
        }
        rows.len()
    }

    /// Cuts everyone. Says how many there were.
    pub(super) fn abort(&self) -> usize {
        let rows = self.rows();
        for (_, link, stream) in &rows {
            stream.abort();
            link.cut();
        }
        rows.len()
    }
}

/// A connection outlives the poll that was answered on it, and is to end as well.
fn finish_after(kind: Kind, link: &Link) {
    if kind == Kind::LongPoll {
        link.finish();
    }
}

//! The backplane over Redis or Valkey: one server, a master behind Sentinels, or a cluster.

mod connection;
mod logs;
mod session;
mod wire;

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use self::connection::{Connection, Servers};
use self::session::Command;
use super::{Backplane, Health, Outgoing, Page, Receipt, Sink, Unavailable, Work};
use crate::hub::{ChannelName, Epoch, Offset, Pattern};
use crate::transport::runtime_thread;

/// A backplane over Redis 7 or Valkey: for a hub on each of several machines.
///
/// ```no_run
/// use lithe::hub::Hub;
/// use lithe::hub::backplane::Redis;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::builder("redis://redis.internal:6379").prefix("chat").start()?;
/// let hub = Hub::builder().backplane(redis).build();
/// # Ok(())
/// # }
/// ```
///
/// It connects by itself, again whenever the connection breaks: [`Hub::health`](crate::hub::Hub::health)
/// tells. Each hub has two connections, or two to each server of a cluster: one for what it asks,
/// one that publications come by.
///
/// # What is in Redis
///
/// For each channel a hash with its epoch and the end of its log, which is kept for
/// [`meta_ttl`](RedisBuilder::meta_ttl) after it was last used, and a stream with the history, which
/// is exactly as long as [`history_size`](crate::hub::ChannelOptions::history_size) says, and is
/// kept for [`history_age`](crate::hub::ChannelOptions::history_age) after the last publication.
/// For each idempotency key there is one more, for as long as it is remembered; in a cluster, where
/// the client asks again when a connection breaks, for each message, for twice the
/// [`publish_timeout`](RedisBuilder::publish_timeout).
/// All keys begin with the prefix. A script appends and passes on in one step; all that it uses of a
/// channel is in one slot of a cluster.
///
/// A Redis that evicts keys for want of memory makes gaps, which subscribers are told of;
/// `noeviction` makes publishing fail instead. A Redis that is restarted without persistence has
/// lost all logs: subscribers are told of a gap in each of their channels. One that goes back to what
/// it had saved before (snapshots, or `appendfsync everysec`), or a replica that was behind, has lost
/// the end of its logs: the hubs, which have it still, let new logs begin, and subscribers are told of
/// a gap. Hubs that start only after that cannot know; with `appendfsync always` nothing is lost.
pub struct Redis {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    /// What the session is sent, until it is started. It ends with the sender.
    received: Mutex<Option<mpsc::UnboundedReceiver<Command>>>,
    handle: Handle,
    /// Ends the thread, if there is one.
    stop: Option<Arc<Notify>>,
}

/// The settings cannot be used, or no thread can be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// A URL is none of a Redis.
    #[error("not the URL of a Redis: {0}")]
    Url(#[source] redis::RedisError),
    /// There is no URL, or there are several without [`RedisBuilder::sentinel`] or
    /// [`RedisBuilder::cluster`].
    #[error("one URL is for one server; several are for Sentinels, or for the nodes of a cluster")]
    Urls,
    /// No runtime or thread could be started.
    #[error("cannot start a thread for the backplane: {0}")]
    Thread(#[source] std::io::Error),
}

/// The settings of a [`Redis`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedisBuilder {
    urls: Vec<String>,
    sentinel: Option<String>,
    cluster: bool,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    prefix: Box<str>,
    publish_timeout: Duration,
    probe_interval: Duration,
    check_interval: Duration,
    meta_ttl: Duration,
}

/// What the tasks of one backplane share.
struct Shared {
    servers: Servers,
    settings: Settings,
    link: watch::Sender<Link>,
    /// Whoever finds that the connection is of no use any more tells the session.
    broken: Notify,
    /// Bounds what is read at the same time: after a break all channels are.
    reads: Semaphore,
}

/// How many logs are read at the same time.
const READS: usize = 64;

/// The connection for commands.
#[derive(Clone)]
enum Link {
    /// It is being made for the first time.
    Connecting(SystemTime),
    Up(Connection),
    Down {
        since: SystemTime,
        reason: Unavailable,
    },
}

impl Redis {
    /// The settings of a backplane over a server with that URL:
    /// `redis://[user:password@]host:port/db`. There is no TLS.
    pub fn builder(url: impl Into<String>) -> RedisBuilder {
        RedisBuilder {
            urls: vec![url.into()],
            sentinel: None,
            cluster: false,
            settings: Settings {
                prefix: "lithe".into(),
                publish_timeout: Duration::from_secs(5),
                probe_interval: Duration::from_secs(5),
                check_interval: Duration::from_secs(25),
                meta_ttl: Duration::from_secs(30 * 24 * 3600),
            },
        }
    }
}

impl RedisBuilder {
    /// One more Sentinel, or one more node of a cluster.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The URLs are those of Sentinels, which know the master of that name.
    pub fn sentinel(mut self, master: impl Into<String>) -> Self {
        self.sentinel = Some(master.into());
        self
    }

    /// The URLs are those of nodes of a cluster. Publications are passed on by sharded pub/sub,
    /// which Redis has since 7.0.
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// What all keys and channels in Redis begin with; `lithe` unless set. Hubs with different
    /// prefixes know nothing of each other.
    pub fn prefix(mut self, prefix: impl Into<Box<str>>) -> Self {
        self.settings.prefix = prefix.into();
        self
    }

    /// For how long publishing waits for Redis; 5 s unless set.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.settings.publish_timeout = timeout;
        self
    }

    /// How often the hub sends something to itself through Redis; 5 s unless set. When it does not
    /// arrive before the next one is sent, the connection is taken for dead and made anew.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.settings.probe_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How often the end of each channel's log is compared with what has arrived, on average, and
    /// not for all at the same time; 25 s unless set.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.settings.check_interval = interval;
        self
    }

    /// For how long Redis keeps the end of a log after its channel was last published on or listened
    /// to; 30 days unless set. Clients that are away for longer are told of a gap. Longer than any
    /// [`history_age`](crate::hub::ChannelOptions::history_age).
    pub fn meta_ttl(mut self, age: Duration) -> Self {
        self.settings.meta_ttl = age;
        self
    }

    /// Starts it, without waiting for Redis: on the tokio runtime that this is called in, or, where
    /// there is none, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The settings cannot be used, or no thread can be started.
    pub fn start(self) -> Result<Redis, RedisError> {
        match Handle::try_current() {
            Ok(handle) => self.start_on(handle, None),
            Err(_) => self.start_thread(),
        }
    }

    /// [`start`](Self::start), on a thread of its own in any case: publishers that block
    /// ([`Hub::publish_blocking`](crate::hub::Hub::publish_blocking)) cannot keep it from its work.
    ///
    /// # Errors
    ///
    /// The settings cannot be used, or no thread can be started.
    pub fn start_thread(self) -> Result<Redis, RedisError> {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let run = move |runtime: Runtime| runtime.block_on(stopped.notified());
        let (handle, _) =
            runtime_thread::start("lithe-redis".into(), run).map_err(RedisError::Thread)?;
        self.start_on(handle, Some(stop.clone())).inspect_err(|_| stop.notify_one())
    }

    fn start_on(self, handle: Handle, stop: Option<Arc<Notify>>) -> Result<Redis, RedisError> {
        let takes_several = self.sentinel.is_some() || self.cluster;
        if self.urls.is_empty() || self.urls.len() > 1 && !takes_several {
            return Err(RedisError::Urls);
        }
        let servers =
            Servers::new(&self.urls, self.sentinel, self.cluster).map_err(RedisError::Url)?;
        let (commands, received) = mpsc::unbounded_channel();
        let shared = Shared {
            servers,
            settings: self.settings,
            link: watch::Sender::new(Link::Connecting(SystemTime::now())),
            broken: Notify::new(),
            reads: Semaphore::new(READS),
        };
        Ok(Redis {
            shared: Arc::new(shared),
            commands,
            received: Mutex::new(Some(received)),
            handle,
            stop,
        })
    }
}

impl Shared {
    /// The connection, for which the first time is waited.
    async fn connection(&self) -> Result<Connection, Unavailable> {
        let mut link = self.link.subscribe();
        let made = link.wait_for(|link| !matches!(link, Link::Connecting(_))).await;
        match made.as_deref() {
            Ok(Link::Up(connection)) => Ok(connection.clone()),
            Ok(Link::Down { reason, .. }) => Err(reason.clone()),
            Ok(Link::Connecting(_)) | Err(_) => Err(Unavailable::new("it is not connected")),
        }
    }
}

impl Redis {
    /// Does something on the runtime, until the timeout.
    fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, Unavailable>> + Send + 'static,
    ) -> Work<Result<T, Unavailable>> {
        let (done, result) = oneshot::channel();
        self.handle.spawn(async move {
            let finished = tokio::time::timeout(timeout, work).await;
            // Nobody may wait for it any more.
            let _ = done.send(finished.unwrap_or(Err(Unavailable::timeout())));
        });
        Box::pin(answer(result))
    }
}

async fn answer<T>(result: oneshot::Receiver<Result<T, Unavailable>>) -> Result<T, Unavailable> {
    result.await.unwrap_or(Err(Unavailable::new("its runtime has been shut down")))
}

impl Backplane for Redis {
    fn start(&self, sink: Sink) {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(received) = received {
            self.handle.spawn(session::run(self.shared.clone(), sink, received));
        }
    }

    fn spawn(&self, work: Work<()>) {
        self.handle.spawn(work);
    }

    fn attach(&self, channel: &ChannelName) {
        let _ = self.commands.send(Command::Attach(channel.clone()));
    }

    fn detach(&self, channel: &ChannelName) {
        let _ = self.commands.send(Command::Detach(channel.clone()));
    }

    /// Sharded pub/sub knows none.
    fn has_patterns(&self) -> bool {
        !self.shared.servers.are_a_cluster()
    }

    fn attach_pattern(&self, pattern: &Pattern) {
        let _ = self.commands.send(Command::AttachPattern(pattern.clone()));
    }

    fn detach_pattern(&self, pattern: &Pattern) {
        let _ = self.commands.send(Command::DetachPattern(pattern.clone()));
    }

    fn publish(&self, message: Outgoing) -> Work<Result<Receipt, Unavailable>> {
        self.run(self.publish_timeout(), logs::publish(self.shared.clone(), message))
    }

    fn read(&self, channel: &ChannelName, after: Offset) -> Work<Result<Page, Unavailable>> {
        let (shared, channel) = (self.shared.clone(), channel.clone());
        let (mut done, result) = oneshot::channel();
        self.handle.spawn(async move {
            let read = async {
                let _turn = shared.reads.acquire().await;
                let read = logs::read(shared.clone(), channel, after);
                let read = tokio::time::timeout(shared.settings.publish_timeout, read).await;
                read.unwrap_or(Err(Unavailable::timeout()))
            };
            tokio::select! {
                // Nobody waits for it any more, but others may for its turn.
                () = done.closed() => {}
                read = read => {
                    let _ = done.send(read);
                }
            }
        });
        Box::pin(answer(result))
    }

    fn renew(&self, channel: &ChannelName, epoch: Epoch) -> Work<Result<(), Unavailable>> {
        self.run(self.publish_timeout(), logs::renew(self.shared.clone(), channel.clone(), epoch))
    }

    fn health(&self) -> Health {
        match &*self.shared.link.borrow() {
            Link::Up(_) => Health::Ok,
            Link::Connecting(since) => Health::Degraded {
                since: *since,
                reason: Unavailable::new("it is not connected yet"),
            },
            Link::Down { since, reason } => {
                Health::Degraded { since: *since, reason: reason.clone() }
            }
        }
    }

    fn publish_timeout(&self) -> Duration {
        self.shared.settings.publish_timeout
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.notify_one();
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("settings", &self.shared.settings)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_log_no_longer_gives_its_turn_back() {
        let redis = Redis::builder("redis://127.0.0.1:1").publish_timeout(Duration::MAX);
        let redis = redis.start().unwrap();
        // It is not started: there is no connection, for which all of them wait.
        let channel = "news".parse().unwrap();
        let reads: Vec<_> = (0..2 * READS).map(|_| redis.read(&channel, 0)).collect();
        until_free(&redis, 0).await;
        drop(reads);
        until_free(&redis, READS).await;
    }

    async fn until_free(redis: &Redis, turns: usize) {
        let free = async {
            while redis.shared.reads.available_permits() != turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), free).await.expect("turns are kept");
    }
}

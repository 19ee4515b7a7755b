//! What is asked of Redis.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use redis::cluster_routing::Slot;
use redis::{RedisError, Script, Value, from_redis_value};

use super::wire::{Keys, decode, encode};
use super::{Connection, Shared};
use crate::hub::backplane::{Outgoing, Page, Receipt, Record, Top, Unavailable};
use crate::hub::{ChannelName, Epoch, Offset, Position};

static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("publish.lua")));
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("read.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("renew.lua")));

/// How much is read at once, in publications and in bytes. Two publications may be larger.
const PAGE: usize = 256;
const PAGE_BYTES: usize = 256 * 1024;

/// The longest time that Redis is given: it does not take all that fit into its numbers.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

fn millis(age: Duration) -> u64 {
    age.clamp(Duration::from_millis(1), LONGEST).as_millis() as u64
}

impl Shared {
    fn keys<'a>(&'a self, channel: &'a ChannelName) -> Keys<'a> {
        Keys { prefix: &self.settings.prefix, channel: channel.as_str() }
    }

    /// What an operator has to know of an error; a connection that is of no use any more is given up.
    pub(super) fn unavailable(&self, error: &RedisError) -> Unavailable {
        use redis::{ErrorKind, ServerErrorKind};
        let demoted = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
        if demoted || error.is_unrecoverable_error() {
            self.broken.notify_one();
        }
        if error.is_timeout() { Unavailable::timeout() } else { Unavailable::new(error) }
    }
}

pub(super) async fn publish(
    shared: Arc<Shared>,
    message: Outgoing,
) -> Result<Receipt, Unavailable> {
    let mut connection = shared.connection().await?;
    let keys = shared.keys(&message.channel);
    let mut call = PUBLISH.prepare_invoke();
    call.key(keys.meta()).key(keys.stream()).key(keys.pubsub());
    let cluster = shared.servers.are_a_cluster();
    let mut remembered = message.idempotency_age;
    if let Some(key) = &message.idempotency_key {
        call.key(keys.idempotency(key));
    } else if cluster {
        // The client asks again by itself when a connection to a cluster breaks, and what it has
        // asked for may have been done. After the timeout it does not.
        call.key(keys.attempt(fastrand::u128(..)));
        remembered = shared.settings.publish_timeout.saturating_mul(2);
    }
    let pass_on = if cluster { "SPUBLISH" } else { "PUBLISH" };
    call.arg(Epoch::random().to_string())
        .arg(encode(&message.content))
        .arg(message.history_size)
        .arg(millis(message.history_age))
        .arg(millis(shared.settings.meta_ttl))
        .arg(millis(remembered))
        .arg(pass_on);
    let answer: (u8, String) =
        call.invoke_async(&mut connection).await.map_err(|error| shared.unavailable(&error))?;
    let position = answer.1.parse().map_err(|_| not_ours(&message.channel))?;
    Ok(Receipt { position, duplicate: answer.0 == 1 && message.idempotency_key.is_some() })
}

type Entry = (String, (String, u64, String, Vec<u8>));

pub(super) async fn read(
    shared: Arc<Shared>,
    channel: ChannelName,
    after: Offset,
) -> Result<Page, Unavailable> {
    let mut connection = shared.connection().await?;
    let keys = shared.keys(&channel);
    let answer: (String, Offset, u64, Vec<Entry>, u8) = READ
        .key(keys.meta())
        .key(keys.stream())
        .arg(Epoch::random().to_string())
        .arg(after.saturating_add(1))
        .arg(PAGE)
        .arg(PAGE_BYTES)
        .arg(millis(shared.settings.meta_ttl))
        .invoke_async(&mut connection)
        .await
        .map_err(|error| shared.unavailable(&error))?;
    let (epoch, offset, unix_millis, entries, more) = answer;
    let page = page(&epoch, offset, unix_millis, entries);
    let page = page.ok_or_else(|| not_ours(&channel))?;
    Ok(Page { more: more == 1, ..page })
}

fn page(epoch: &str, offset: Offset, unix_millis: u64, entries: Vec<Entry>) -> Option<Page> {
    let start: Position = format!("{epoch}-0").parse().ok()?;
    let top = Top { position: Position { offset, ..start }, unix_millis };
    let records = entries.into_iter().map(|(id, (_, unix_millis, _, content))| {
        let offset = id.strip_suffix("-0")?.parse().ok()?;
        let position = Position { offset, ..start };
        Some(Record { position, unix_millis, content: decode(Bytes::from(content))? })
    });
    let mut records = records.collect::<Option<Vec<_>>>()?;
    // What is left of a log whose end was lost.
    records.retain(|record| record.position.offset <= offset);
    Some(Page { top, records, more: false })
}

fn not_ours(channel: &ChannelName) -> Unavailable {
    Unavailable::new(format_args!("the keys of {channel} hold what no hub has written"))
}

pub(super) async fn renew(
    shared: Arc<Shared>,
    channel: ChannelName,
    epoch: Epoch,
) -> Result<(), Unavailable> {
    let mut connection = shared.connection().await?;
    let keys = shared.keys(&channel);
    let renewed: Result<u8, _> = RENEW
        .key(keys.meta())
        .key(keys.stream())
        .arg(epoch.to_string())
        .invoke_async(&mut connection)
        .await;
    renewed.map(drop).map_err(|error| shared.unavailable(&error))
}

/// Where the log of a channel ends, if there is one. Whoever asks keeps it from being forgotten.
pub(super) async fn top(
    shared: &Shared,
    connection: &mut Connection,
    channel: &ChannelName,
) -> Result<Option<Top>, Unavailable> {
    let meta = shared.keys(channel).meta();
    let age = millis(shared.settings.meta_ttl);
    let mut ask = redis::pipe();
    ask.cmd("HMGET").arg(&meta).arg(&["e", "o", "t"]).cmd("PTTL").arg(&meta);
    type Answer = ((Option<String>, Option<Offset>, Option<u64>), i64);
    let ((epoch, offset, unix_millis), left): Answer =
        ask.query_async(connection).await.map_err(|error| shared.unavailable(&error))?;
    // Not each time: it would be written to all replicas.
    if u64::try_from(left).is_ok_and(|left| left < age / 2) {
        let keep = redis::cmd("PEXPIRE").arg(&meta).arg(age).exec_async(connection).await;
        keep.map_err(|error| shared.unavailable(&error))?;
    }
    let offset = offset.unwrap_or(0);
    let position = epoch.and_then(|epoch| format!("{epoch}-{offset}").parse().ok());
    Ok(position.map(|position| Top { position, unix_millis: unix_millis.unwrap_or(0) }))
}

/// Which server of a cluster has which slot.
pub(super) async fn shards(
    shared: &Shared,
    connection: &mut Connection,
) -> Result<HashMap<Slot, Arc<str>>, Unavailable> {
    let mut ask = redis::cmd("CLUSTER");
    let asked = ask.arg("SLOTS").query_async(connection).await;
    let ranges: Vec<Vec<Value>> = asked.map_err(|error| shared.unavailable(&error))?;
    let mut shards = HashMap::new();
    for range in ranges {
        // Behind the range there are its servers: address, port, name; the master first.
        let [first, last, Value::Array(master), ..] = &range[..] else { continue };
        let name = master.get(2).cloned().unwrap_or(Value::Nil);
        let parts = (from_redis_value::<u16>(first.clone()), from_redis_value::<u16>(last.clone()));
        let ((Ok(first), Ok(last)), Ok(name)) = (parts, from_redis_value::<String>(name)) else {
            continue;
        };
        let name = Arc::<str>::from(name);
        let slots = (first..=last).filter_map(Slot::new);
        shards.extend(slots.map(|slot| (slot, name.clone())));
    }
    Ok(shards)
}

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::channel::Channel;
use super::patterns::Losses;
use super::subscriber::Woken;
use super::{ChannelName, Pattern};

const SHARDS: usize = 64;

/// So many channels that have to stay, and have nothing to give, are looked at before a publisher
/// may go on; the next one looks at others.
const MAX_IN_VAIN: usize = 32;

/// What making room has cost.
enum Evicted {
    /// A channel. Its subscribers are to be told.
    Lost(Arc<Channel>, Woken),
    Publications,
    Nothing,
}

type Shard = LruCache<ChannelName, Arc<Channel>, RandomState>;

/// All channels of a hub, by name, and from the one that was used last to the one whose turn it is
/// to make room.
pub(super) struct Channels {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    /// Counts uses, so that channels of different shards can be told apart by age.
    tick: AtomicU64,
    /// Whoever holds it makes room.
    evicting: Mutex<()>,
}

impl Channels {
    pub(super) fn new() -> Self {
        let hasher = RandomState::new();
        let shard = || Mutex::new(LruCache::unbounded_with_hasher(hasher.clone()));
        let shards = (0..SHARDS).map(|_| shard()).collect();
        Channels { hasher, shards, tick: AtomicU64::new(0), evicting: Mutex::new(()) }
    }

    fn shard(&self, name: &ChannelName) -> MutexGuard<'_, Shard> {
        // The low bits choose the place within the shard.
        let index = (self.hasher.hash_one(name) >> 32) as usize % SHARDS;
        lock(&self.shards[index])
    }

    fn tick(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::Relaxed)
    }

    /// The channel, which is made unless there is one. Says whether it was.
    pub(super) fn get_or_create(
        &self,
        name: &ChannelName,
        create: impl FnOnce(u64) -> Channel,
    ) -> (Arc<Channel>, bool) {
        let mut shard = self.shard(name);
        let tick = self.tick();
        if let Some(channel) = shard.get(name) {
            channel.touch(tick);
            return (channel.clone(), false);
        }
        let channel = Arc::new(create(tick));
        shard.push(name.clone(), channel.clone());
        (channel, true)
    }

    pub(super) fn get(&self, name: &ChannelName) -> Option<Arc<Channel>> {
        self.shard(name).peek(name).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    pub(super) fn matching(&self, pattern: &Pattern) -> Vec<Arc<Channel>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            let matching = shard.iter().filter(|(name, _)| pattern.matches(name));
            found.extend(matching.map(|(_, channel)| channel.clone()));
        }
        found
    }

    pub(super) fn for_each(&self, mut visit: impl FnMut(&Channel)) {
        for shard in &self.shards {
            let channels: Vec<_> = lock(shard).iter().map(|(_, channel)| channel.clone()).collect();
            channels.iter().for_each(|channel| visit(channel));
        }
    }

    /// Takes out the channels for which that is so, unless a subscriber has asked for them by name.
    pub(super) fn remove_if(
        &self,
        is_over: impl Fn(&Channel) -> bool,
        losses: &Losses,
    ) -> Vec<Arc<Channel>> {
        let mut removed = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let over: Vec<_> = shard
                .iter()
                .filter(|(_, channel)| is_over(channel))
                .map(|(_, c)| c.clone())
                .collect();
            for channel in over {
                let unused = channel.is_unused();
                // Nobody listens, so there is nobody to tell.
                let Some(_woken) = channel.lose() else { continue };
                shard.pop(channel.name());
                if !unused {
                    losses.push(channel.name().clone());
                }
                removed.push(channel);
            }
        }
        removed
    }

    pub(super) fn names(&self) -> Vec<ChannelName> {
        let names = |shard| lock(shard).iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        self.shards.iter().flat_map(names).collect()
    }

    /// Makes room: from the channel that was not used for the longest time on, drops the oldest
    /// publications, and channels without any to which nobody has subscribed by name. Says how many
    /// channels were lost, and tells which.
    ///
    /// One thread at a time does it; others go on.
    pub(super) fn evict(
        &self,
        has_room: impl Fn() -> bool,
        losses: &Losses,
        on_lost: impl Fn(&Channel),
    ) -> u64 {
        let Ok(_evicting) = self.evicting.try_lock() else { return 0 };
        let mut lost = 0;
        let mut in_vain = 0;
        while in_vain < MAX_IN_VAIN && !has_room() {
            match self.evict_oldest(&has_room, losses) {
                Evicted::Lost(channel, mut woken) => {
                    woken.tell();
                    on_lost(&channel);
                    lost += 1;
                    in_vain = 0;
                }
                Evicted::Publications => in_vain = 0,
                Evicted::Nothing => in_vain += 1,
            }
        }
        lost
    }

    fn evict_oldest(&self, has_room: impl Fn() -> bool, losses: &Losses) -> Evicted {
        let age = |shard: &&Mutex<Shard>| {
            lock(shard).peek_lru().map_or(u64::MAX, |(_, channel)| channel.used())
        };
        let Some(shard) = self.shards.iter().min_by_key(age) else { return Evicted::Nothing };
        let mut shard = lock(shard);
        let Some((name, channel)) = shard.peek_lru() else { return Evicted::Nothing };
        let (name, channel) = (name.clone(), channel.clone());
        let shrunk = channel.shrink();
        if has_room() {
            return Evicted::Publications;
        }
        let unused = channel.is_unused();
        let Some(woken) = channel.lose() else {
            // It has to stay: the others come first from now on.
            channel.touch(self.tick());
            shard.promote(&name);
            return if shrunk { Evicted::Publications } else { Evicted::Nothing };
        };
        shard.pop(&name);
        // Under the lock of the shard: before there can be another channel by this name.
        if !unused {
            losses.push(name);
        }
        Evicted::Lost(channel, woken)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

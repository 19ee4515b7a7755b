//! Handles: the numbers by which a host names the objects that live on this side.
//!
//! A handle holds the kind of its object, the slot that the object lies in, and the generation of
//! the slot, which grows whenever an object leaves it. So a handle that is stale, of another kind,
//! or made up is told from a good one by looking at numbers, and never by following a pointer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::error::{Error, LITHE_ERR_BAD_HANDLE, LITHE_ERR_FULL};
use super::fork;

const INDEX_BITS: u32 = 28;
const GENERATION_BITS: u32 = 28;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;

/// Threads that work on different objects mostly lock different shards.
const SHARDS: usize = 16;

/// What kind of object a handle names. Never 0, so that 0 is no handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Server = 1,
    Request = 2,
    WebSocket = 3,
    EventStream = 4,
    Buffer = 5,
    Response = 6,
    Codec = 7,
    Options = 8,
    Hub = 9,
    Authorization = 10,
}

/// An object that a host can hold a handle to.
pub(super) trait Object: Send + Sync + Sized + 'static {
    const KIND: Kind;

    /// Where all objects of this kind are.
    fn table() -> &'static Table<Self>;
}

/// Stores an object and returns its handle.
pub(super) fn insert<T: Object>(object: T) -> Result<u64, Error> {
    fork::watch()?;
    let (index, generation) = T::table().insert(object).ok_or_else(|| {
        Error::new(LITHE_ERR_FULL, c"no more handles of this kind; free some that are done with")
    })?;
    Ok(pack(T::KIND, generation, index))
}

/// The object that a handle names. It lives at least as long as the value returned, even when the
/// handle is freed meanwhile.
pub(super) fn get<T: Object>(handle: u64) -> Result<Arc<T>, Error> {
    let (index, generation) = unpack(T::KIND, handle).ok_or_else(bad_handle)?;
    T::table().get(index, generation).ok_or_else(bad_handle)
}

/// Ends a handle; from here on it is stale.
pub(super) fn remove<T: Object>(handle: u64) -> Result<Arc<T>, Error> {
    let (index, generation) = unpack(T::KIND, handle).ok_or_else(bad_handle)?;
    T::table().remove(index, generation).ok_or_else(bad_handle)
}

/// What kind of object a handle says that it names.
pub(super) fn kind(handle: u64) -> i32 {
    (handle >> (GENERATION_BITS + INDEX_BITS)) as i32
}

fn bad_handle() -> Error {
    Error::new(
        LITHE_ERR_BAD_HANDLE,
        c"not a handle of this kind: it was freed, belongs to another kind, or never existed",
    )
}

fn pack(kind: Kind, generation: u32, index: u32) -> u64 {
    (kind as u64) << (GENERATION_BITS + INDEX_BITS)
        | u64::from(generation) << INDEX_BITS
        | u64::from(index)
}

fn unpack(kind: Kind, handle: u64) -> Option<(u32, u32)> {
    if handle >> (GENERATION_BITS + INDEX_BITS) != kind as u64 {
        return None;
    }
    let index = handle & INDEX_MASK;
    let generation = (handle >> INDEX_BITS) & GENERATION_MASK;
    Some((index as u32, generation as u32))
}

/// The objects of one kind.
pub(super) struct Table<T> {
    shards: [RwLock<Slots<T>>; SHARDS],
    /// Where the next object goes.
    next: AtomicUsize,
}

struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    object: Option<Arc<T>>,
}

impl<T> Table<T> {
    pub(super) const fn new() -> Self {
        Table {
            shards: [const { RwLock::new(Slots { slots: Vec::new(), free: Vec::new() }) }; SHARDS],
            next: AtomicUsize::new(0),
        }
    }

    fn insert(&self, object: T) -> Option<(u32, u32)> {
        let shard = self.next.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let mut slots = self.shards[shard].write().unwrap_or_else(PoisonError::into_inner);
        let (slot, generation) = slots.insert(Arc::new(object))?;
        Some((slot * SHARDS as u32 + shard as u32, generation))
    }

    fn get(&self, index: u32, generation: u32) -> Option<Arc<T>> {
        let (shard, slot) = self.place(index);
        let slots = shard.read().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.slots.get(slot).filter(|slot| slot.generation == generation)?;
        slot.object.clone()
    }

    fn remove(&self, index: u32, generation: u32) -> Option<Arc<T>> {
        let (shard, slot) = self.place(index);
        let mut slots = shard.write().unwrap_or_else(PoisonError::into_inner);
        slots.remove(slot, generation)
    }

    fn place(&self, index: u32) -> (&RwLock<Slots<T>>, usize) {
        let index = index as usize;
        (&self.shards[index % SHARDS], index / SHARDS)
    }
}

impl<T> Slots<T> {
    fn insert(&mut self, object: Arc<T>) -> Option<(u32, u32)> {
        if let Some(free) = self.free.pop() {
            let slot = &mut self.slots[free as usize];
            slot.object = Some(object);
            return Some((free, slot.generation));
        }
        let next = self.slots.len();
        if next > INDEX_MASK as usize / SHARDS {
            return None;
        }
        self.slots.push(Slot { generation: 1, object: Some(object) });
        Some((next as u32, 1))
    }

    fn remove(&mut self, index: usize, generation: u32) -> Option<Arc<T>> {
        let slot = self.slots.get_mut(index).filter(|slot| slot.generation == generation)?;
        let object = slot.object.take()?;
        // A slot that has used up its generations stays empty, or an old handle would come back
        // to life.
        if u64::from(slot.generation) < GENERATION_MASK {
            slot.generation += 1;
            self.free.push(index as u32);
        }
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    struct Apple(u32);
    struct Pear;

    macro_rules! object {
        ($type:ty, $kind:expr) => {
            impl Object for $type {
                const KIND: Kind = $kind;
                fn table() -> &'static Table<Self> {
                    static TABLE: Table<$type> = Table::new();
                    &TABLE
                }
            }
        };
    }
    object!(Apple, Kind::Server);
    object!(Pear, Kind::Request);

    fn code<T>(result: Result<T, Error>) -> i32 {
        result.map_or_else(|error| error.code(), |_| 0)
    }

    #[test]
    fn names_its_object_until_removed() {
        let handle = insert(Apple(7)).unwrap();
        assert_eq!(get::<Apple>(handle).unwrap().0, 7);
        assert_eq!(remove::<Apple>(handle).unwrap().0, 7);
        assert_eq!(code(get::<Apple>(handle)), LITHE_ERR_BAD_HANDLE);
        assert_eq!(code(remove::<Apple>(handle)), LITHE_ERR_BAD_HANDLE);
    }

    #[test]
    fn stale_handle_does_not_name_the_next_object_in_its_slot() {
        let table = Table::new();
        let handles: Vec<_> = (0..SHARDS as u32).map(|n| table.insert(n).unwrap()).collect();
        let (index, generation) = handles[0];
        table.remove(index, generation).unwrap();
        for n in 0..SHARDS as u32 {
            table.insert(100 + n).unwrap();
        }
        assert!(table.get(index, generation).is_none());
        assert_eq!(*table.get(index, generation + 1).unwrap(), 100);
    }

    #[test]
    fn handle_of_another_kind_is_bad() {
        let pear = insert(Pear).unwrap();
        assert_eq!(code(get::<Apple>(pear)), LITHE_ERR_BAD_HANDLE);
        assert!(get::<Pear>(pear).is_ok());
    }

    #[test]
    fn made_up_handles_are_bad() {
        for handle in [0, 1, u64::MAX, u64::from(u32::MAX), pack(Kind::Server, 1, 0xfff_ffff)] {
            assert_eq!(code(get::<Apple>(handle)), LITHE_ERR_BAD_HANDLE, "{handle:#x}");
            assert_eq!(code(remove::<Apple>(handle)), LITHE_ERR_BAD_HANDLE, "{handle:#x}");
        }
    }

    #[test]
    fn packing_keeps_every_bit() {
        let (generation, index) = (0xabc_def1, 0x123_4567);
        let handle = pack(Kind::EventStream, generation, index);
        assert_eq!(unpack(Kind::EventStream, handle), Some((index, generation)));
        assert_eq!(unpack(Kind::WebSocket, handle), None);
        assert!(i64::try_from(handle).is_ok(), "languages without unsigned numbers can hold it");
    }

    #[test]
    fn slot_without_generations_left_is_not_used_again() {
        let mut slots = Slots { slots: Vec::new(), free: Vec::new() };
        slots.insert(Arc::new(1)).unwrap();
        let last = GENERATION_MASK as u32;
        slots.slots[0].generation = last;
        slots.remove(0, last).unwrap();
        assert_eq!(slots.insert(Arc::new(2)), Some((1, 1)));
        assert!(slots.remove(0, last).is_none());
    }

    #[test]
    fn threads_share_a_table() {
        let table = Table::new();
        let rounds = if cfg!(miri) { 20 } else { 2_000 };
        thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    for round in 0..rounds {
                        let value = thread * rounds + round;
                        let (index, generation) = table.insert(value).unwrap();
                        assert_eq!(*table.get(index, generation).unwrap(), value);
                        assert_eq!(*table.remove(index, generation).unwrap(), value);
                        assert!(table.get(index, generation).is_none());
                    }
                });
            }
        });
    }
}

//! What a hub's channels hold: publications, and who is there.

use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;
use std::ptr;
use std::sync::Arc;

use super::convert::{OutArray, Versioned, lithe_string_t, versioned_out};
use super::error::{Error, anywhere, counting};
use super::handle;
use super::hub::{Hub, channel_in, lithe_hub_t, lithe_position_t, no_such_channel};
use crate::hub::{Client, History, Position, Publication};

/// A publication in the history of a channel. It belongs to the host until lithe_publication_free.
#[repr(C)]
pub struct lithe_publication_t {
    /// Where it is in the history.
    pub position: lithe_position_t,
    /// When it was published, in milliseconds since 1970.
    pub time_ms: u64,
    /// What was published. Never NULL, not NUL-terminated.
    pub data: *const c_char,
    /// The length of the data in bytes.
    pub len: usize,
    /// What kind of message it is; empty when that was not said.
    pub name: lithe_string_t,
    /// What it is about; empty when that was not said.
    pub key: lithe_string_t,
    /// Private.
    pub owner: *mut c_void,
    /// 0. Room for what later versions tell.
    pub reserved: [u64; 2],
}

/// A client that is on a channel. It belongs to the host until lithe_client_free.
#[repr(C)]
pub struct lithe_client_t {
    /// Who it is.
    pub id: lithe_string_t,
    /// What others may know of it; bytes, with a NUL behind them.
    pub info: lithe_string_t,
    /// Private.
    pub owner: *mut c_void,
    /// 0. Room for what later versions tell.
    pub reserved: [u64; 2],
}

/// How far the history of a channel goes. To be initialized with LITHE_HISTORY_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_history_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// After this it begins: what was published before is gone.
    pub from: lithe_position_t,
    /// Here it ends, whether or not all up to here was asked for.
    pub to: lithe_position_t,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_history_t {
    const FIRST_SIZE: usize = offset_of!(lithe_history_t, to) + size_of::<lithe_position_t>();
}

/// What keeps the texts of a publication alive.
struct OwnedPublication {
    publication: Arc<Publication>,
    name: CString,
    key: CString,
}

/// What keeps the texts of a client alive.
struct OwnedClient {
    id: CString,
    /// May hold NULs, so it is no `CString`.
    info: Vec<u8>,
}

impl lithe_publication_t {
    fn new(publication: Arc<Publication>) -> Self {
        // Labels hold no control characters, and so no NUL.
        let text = |text: Option<&str>| CString::new(text.unwrap_or_default()).unwrap_or_default();
        let (name, key) = (text(publication.name()), text(publication.key()));
        let owned = Box::new(OwnedPublication { publication, name, key });
        lithe_publication_t {
            position: owned.publication.position().into(),
            time_ms: owned.publication.unix_millis(),
            data: owned.publication.data().as_ptr().cast(),
            len: owned.publication.data().len(),
            name: lithe_string_t::new(&owned.name),
            key: lithe_string_t::new(&owned.key),
            owner: Box::into_raw(owned).cast(),
            reserved: [0; 2],
        }
    }
}

impl lithe_client_t {
    fn new(client: &Client) -> Self {
        let id: String = client.id.replace('\0', " ");
        let mut info = client.info.to_vec();
        let info_len = info.len();
        info.push(0);
        let owned = Box::new(OwnedClient { id: CString::new(id).unwrap_or_default(), info });
        lithe_client_t {
            id: lithe_string_t::new(&owned.id),
            info: lithe_string_t { ptr: owned.info.as_ptr().cast(), len: info_len },
            owner: Box::into_raw(owned).cast(),
            reserved: [0; 2],
        }
    }
}

/// Where the elements of an array that the host lends go, which may have no place at all.
fn room<T>(first: *mut T, capacity: usize) -> Result<Option<OutArray<T>>, Error> {
    match capacity {
        0 => Ok(None),
        _ => OutArray::new(first, capacity).map(Some),
    }
}

/// A page of a channel's history: what was published after that offset, from the oldest; 0 asks for
/// the first page. Returns how many publications `publications`, an array of `capacity` structs, was
/// filled with; 0 is the end. Ask again with the offset of the last one for the next page.
///
/// A page is no longer than what is replayed at once (lithe_hub_options_t). `history`, which may be
/// NULL, tells how far the history goes: when `from.offset` is larger than `after`, what is between
/// them is gone. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8, NOT_FOUND when nothing
/// was ever published on the channel, or it was dropped to keep to the hub's budget. With Redis only
/// what this hub has read of a channel is known, as it does while somebody is subscribed to it here;
/// else it is NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_history(
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
    after: u64,
    publications: *mut lithe_publication_t,
    capacity: usize,
    history: *mut lithe_history_t,
) -> i32 {
    counting(|| {
        let mut out = OutArray::new(publications, capacity)?;
        let ends = |from: Option<Position>, to: Option<Position>| lithe_history_t {
            size: 0,
            from: from.map_or(lithe_position_t::NONE, Into::into),
            to: to.map_or(lithe_position_t::NONE, Into::into),
        };
        versioned_out(history, ends(None, None))?;
        let hub = handle::get::<Hub>(hub)?;
        let channel = channel_in(channel, channel_len)?;
        let found = hub.native.history(&channel, after).ok_or_else(no_such_channel)?;
        let History { publications, from, to } = found;
        versioned_out(history, ends(Some(from), Some(to)))?;
        for publication in publications.into_iter().take(out.capacity()) {
            out.push(lithe_publication_t::new(publication));
        }
        Ok(out.len())
    })
}

/// Gives `count` publications back, and makes their structs empty; those that are empty are left as
/// they are. NULL does nothing. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_publication_free(publications: *mut lithe_publication_t, count: usize) {
    anywhere(|| {
        if publications.is_null() {
            return;
        }
        for index in 0..count {
            // SAFETY: the host lends `count` structs that were filled by lithe_hub_history or are
            // empty.
            let publication = unsafe { &mut *publications.add(index) };
            let owner = std::mem::replace(&mut publication.owner, ptr::null_mut());
            if !owner.is_null() {
                (publication.data, publication.len) = (ptr::null(), 0);
                (publication.name, publication.key) =
                    (lithe_string_t::EMPTY, lithe_string_t::EMPTY);
                // SAFETY: made by `lithe_publication_t::new`, and taken once, as the struct is empty
                // now.
                drop(unsafe { Box::from_raw(owner.cast::<OwnedPublication>()) });
            }
        }
    });
}

/// Lists who is on a channel whose options ask for presence, in no particular order. Returns how
/// many there are, of which `clients`, an array of `capacity` structs, was filled with as many as
/// have room; it may be NULL when `capacity` is 0. With Redis those who are on it by this hub.
///
/// Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, NOT_UTF8.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_hub_presence(
    hub: lithe_hub_t,
    channel: *const c_char,
    channel_len: usize,
    clients: *mut lithe_client_t,
    capacity: usize,
) -> i32 {
    counting(|| {
        let mut out = room(clients, capacity)?;
        let hub = handle::get::<Hub>(hub)?;
        let present = hub.native.presence(&channel_in(channel, channel_len)?);
        if let Some(out) = &mut out {
            present.iter().take(out.capacity()).for_each(|client| {
                out.push(lithe_client_t::new(client));
            });
        }
        Ok(i32::try_from(present.len()).unwrap_or(i32::MAX))
    })
}

/// Gives `count` clients back, and makes their structs empty; those that are empty are left as they
/// are. NULL does nothing. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_client_free(clients: *mut lithe_client_t, count: usize) {
    anywhere(|| {
        if clients.is_null() {
            return;
        }
        for index in 0..count {
            // SAFETY: the host lends `count` structs that were filled by lithe_hub_presence or are
            // empty.
            let client = unsafe { &mut *clients.add(index) };
            let owner = std::mem::replace(&mut client.owner, ptr::null_mut());
            if !owner.is_null() {
                (client.id, client.info) = (lithe_string_t::EMPTY, lithe_string_t::EMPTY);
                // SAFETY: made by `lithe_client_t::new`, and taken once, as the struct is empty now.
                drop(unsafe { Box::from_raw(owner.cast::<OwnedClient>()) });
            }
        }
    });
}

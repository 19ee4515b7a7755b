//! How connections tell a host program what happens on them, without knowing who that is.
//!
//! A connection keeps what happens to itself, within its own bounds, and only puts itself on the
//! host's list. So a slow host costs no memory: its list holds each connection once, and what the
//! connections keep holds up their peers.

use std::sync::{Arc, Weak};

use bytes::Bytes;

/// Something that happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The handshake is finished.
    Open,
    /// A message came in.
    Message { text: bool, payload: Bytes },
    /// There is something to read, after a read was told that there is nothing.
    Readable,
    /// There is room in the send queue, after a send that was told that it is full.
    Writable,
    /// It has ended; the last event.
    Closed { code: u16, reason: Bytes, clean: bool },
}

/// What the host calls a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) handle: u64,
    pub(crate) user_data: u64,
}

/// A connection on which something has happened.
pub(crate) trait Source: Send + Sync {
    /// Hands over what has happened, in order, until the batch is full. Says whether there is
    /// more; if not, the source will put itself on the list again when there is.
    fn hand_over(&self, batch: &mut Batch<'_>) -> bool;
}

/// Whoever takes events.
pub(crate) trait Host: Send + Sync {
    /// Puts a source on the list. Called with no lock held.
    fn enlist(self: Arc<Self>, source: Arc<dyn Source>);
}

/// Room for events.
pub(crate) struct Batch<'a> {
    pub(crate) room: usize,
    pub(crate) put: &'a mut dyn FnMut(Tag, Event),
}

impl Batch<'_> {
    pub(crate) fn is_full(&self) -> bool {
        self.room == 0
    }

    /// There must be room.
    pub(crate) fn put(&mut self, tag: Tag, event: Event) {
        self.room -= 1;
        (self.put)(tag, event);
    }
}

/// A source's way to its host, and what the host is still to be told. Lives under the source's
/// lock; what its methods return is to be told when that is released.
pub(crate) struct Port {
    host: Arc<dyn Host>,
    source: Weak<dyn Source>,
    tag: Tag,
    is_listed: bool,
    /// The host wants no messages for now.
    pub(crate) is_paused: bool,
    opened: bool,
    /// A send was told that the queue is full.
    full: bool,
    writable: bool,
    /// The host knows of the end.
    over: bool,
}

impl Port {
    pub(crate) fn new(host: Arc<dyn Host>, source: Weak<dyn Source>, tag: Tag) -> Box<Self> {
        Box::new(Port {
            host,
            source,
            tag,
            is_listed: false,
            is_paused: false,
            opened: false,
            full: false,
            writable: false,
            over: false,
        })
    }

    /// The host calls the source something else, also in what it is still to be told.
    #[cfg(feature = "ffi")]
    pub(crate) fn rename(&mut self, tag: Tag) {
        self.tag = tag;
    }

    /// Something has happened.
    pub(crate) fn announce(&mut self) -> Announcement {
        if self.is_listed || self.over {
            return Announcement(None);
        }
        let Some(source) = self.source.upgrade() else { return Announcement(None) };
        self.is_listed = true;
        Announcement(Some((self.host.clone(), source)))
    }

    /// The handshake is finished.
    pub(crate) fn announce_open(&mut self) -> Announcement {
        self.opened = true;
        self.announce()
    }

    /// A send was told that the queue is full.
    pub(crate) fn note_full(&mut self) {
        self.full = true;
    }

    /// There is room in the queue, of which those are to know who were told that there is none.
    pub(crate) fn announce_room(&mut self) -> Announcement {
        if !std::mem::take(&mut self.full) {
            return Announcement(None);
        }
        self.writable = true;
        self.announce()
    }

    /// The source has ended. Whoever waits for room waits no longer, and learns so by trying.
    pub(crate) fn announce_end(&mut self) -> Announcement {
        self.writable |= std::mem::take(&mut self.full);
        self.announce()
    }

    /// Hands over what has happened, as far as there is room: what `next` gives comes between the
    /// beginning and the `end`. Says whether something is left, apart from what `next` has.
    pub(crate) fn hand_over(
        &mut self,
        batch: &mut Batch<'_>,
        mut next: impl FnMut() -> Option<Event>,
        end: Option<impl FnOnce() -> Event>,
    ) -> bool {
        let mut end = end.filter(|_| !self.over);
        while !batch.is_full() {
            if std::mem::take(&mut self.opened) {
                batch.put(self.tag, Event::Open);
            } else if let Some(event) = next() {
                batch.put(self.tag, event);
            } else if let Some(end) = end.take() {
                (self.over, self.writable) = (true, false);
                batch.put(self.tag, end());
            } else if std::mem::take(&mut self.writable) {
                batch.put(self.tag, Event::Writable);
            } else {
                break;
            }
        }
        self.opened || self.writable || end.is_some()
    }

    /// Whether the source stays on the list.
    pub(crate) fn stay_listed(&mut self, stays: bool) -> bool {
        self.is_listed = stays;
        stays
    }
}

/// A source on its way to the host's list.
#[must_use = "the host has to be told"]
#[derive(Default)]
pub(crate) struct Announcement(Option<(Arc<dyn Host>, Arc<dyn Source>)>);

impl Announcement {
    pub(crate) fn tell(self) {
        if let Some((host, source)) = self.0 {
            host.enlist(source);
        }
    }
}

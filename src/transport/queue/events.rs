//! The stream as a source of events for a host program.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::{Queue, State};
use crate::transport::cork::Mailbox;
use crate::transport::events::{Announcement, Batch, Event, Host, Port, Source, Tag};

impl Queue {
    /// From here on, what happens on the stream is told to the host.
    pub(crate) fn report_to(self: &Arc<Self>, host: Arc<dyn Host>, tag: Tag) {
        let source: Weak<Self> = Arc::downgrade(self);
        let mut port = Port::new(host, source, tag);
        let mut state = self.lock();
        let announcement = match state.ending() {
            None => Announcement::default(),
            Some(_) => port.announce(),
        };
        state.port = Some(port);
        drop(state);
        announcement.tell();
    }

    /// A host program drives the stream.
    pub(crate) fn wake_by(&self, mailbox: Arc<Mailbox>) {
        self.lock().mailbox = Some(mailbox);
    }

    /// The host wants to hear no more.
    pub(crate) fn report_to_nobody(&self) {
        let port = self.lock().port.take();
        drop(port);
    }
}

impl State {
    /// Bytes have left the queue: there may be room for those who were told that there is none.
    pub(super) fn announce_room(&mut self) -> Announcement {
        let room = self.outbox.is_half_empty();
        let port = self.port.as_mut().filter(|_| room);
        port.map(|port| port.announce_room()).unwrap_or_default()
    }

    pub(super) fn announce_end(&mut self) -> Announcement {
        let has_ended = self.ending().is_some();
        let port = self.port.as_mut().filter(|_| has_ended);
        port.map(|port| port.announce()).unwrap_or_default()
    }
}

impl Source for Queue {
    fn hand_over(&self, batch: &mut Batch<'_>) -> bool {
        let mut state = self.lock();
        let ending = state.ending();
        let Some(port) = &mut state.port else { return false };
        let end =
            ending.map(|clean| move || Event::Closed { code: 0, reason: Bytes::new(), clean });
        let more = port.hand_over(batch, || None, end);
        port.stay_listed(more)
    }
}

//! The connection as a source of events for a host program.

use std::sync::{Arc, Weak};

use super::{Shared, State};
use crate::transport::cork::Mailbox;
use crate::transport::events::{Announcement, Batch, Event, Host, Port, Source, Tag};

impl Shared {
    /// From here on, what happens on the connection is told to the host.
    pub(crate) fn report_to(self: &Arc<Self>, host: Arc<dyn Host>, tag: Tag) {
        let source: Weak<Self> = Arc::downgrade(self);
        let mut port = Port::new(host, source, tag);
        let mut state = self.lock();
        // The task has attached itself when the handshake was finished.
        let happened = !state.inbound.is_empty() || state.ended;
        let announcement = match &state.task {
            Some(_) => port.announce_open(),
            None if happened => port.announce(),
            None => Announcement::default(),
        };
        state.port = Some(port);
        drop(state);
        announcement.tell();
    }

    /// A host program drives the connection.
    pub(crate) fn wake_by(&self, mailbox: Arc<Mailbox>) {
        self.lock().mailbox = Some(mailbox);
    }

    /// The host wants no messages for now, or wants them again; what has come in waits, and holds
    /// up the peer when there is enough of it. Says whether the host is told of messages at all.
    pub(crate) fn pause(&self, paused: bool) -> bool {
        let mut state = self.lock();
        let Some(port) = &mut state.port else { return false };
        port.is_paused = paused;
        let announcement = if paused { Announcement::default() } else { port.announce() };
        drop(state);
        announcement.tell();
        true
    }

    /// The host wants to hear no more.
    pub(crate) fn report_to_nobody(&self) {
        let port = self.lock().port.take();
        drop(port);
    }
}

impl State {
    /// Something has happened that a host may want to know.
    pub(super) fn announce(&mut self) -> Announcement {
        self.port.as_mut().map(|port| port.announce()).unwrap_or_default()
    }

    pub(super) fn announce_open(&mut self) -> Announcement {
        self.port.as_mut().map(|port| port.announce_open()).unwrap_or_default()
    }

    pub(super) fn note_full(&mut self) {
        if let Some(port) = &mut self.port {
            port.note_full();
        }
    }

    pub(super) fn announce_room(&mut self) -> Announcement {
        self.port.as_mut().map(|port| port.announce_room()).unwrap_or_default()
    }

    /// A host that has paused the messages until there is room hears of the end by being told that
    /// there is, as the messages hold the end itself back.
    pub(super) fn announce_end(&mut self) -> Announcement {
        self.port.as_mut().map(|port| port.announce_end()).unwrap_or_default()
    }
}

impl Source for Shared {
    fn hand_over(&self, batch: &mut Batch<'_>) -> bool {
        let mut state = self.lock();
        let State { port, inbound, closing, ended, .. } = &mut *state;
        let Some(port) = port else { return false };
        let is_paused = port.is_paused;
        // The end comes behind the messages, which a pause may hold back.
        let ended = *ended && (!is_paused || inbound.is_empty());
        let next = || {
            let message = if is_paused { None } else { inbound.pop() }?;
            Some(Event::Message { text: message.is_text(), payload: message.into_bytes() })
        };
        let end = closing.as_deref().filter(|_| ended).map(|closed| {
            let (code, reason) = (closed.code, closed.reason.clone().into());
            move || Event::Closed { code, reason, clean: closed.clean }
        });
        let more = port.hand_over(batch, next, end) || !(is_paused || inbound.is_empty());
        let more = port.stay_listed(more);
        let task = self.read_on(&mut state);
        drop(state);
        if let Some(task) = task {
            task.wake();
        }
        more
    }
}

//! Messages that wait for the application.

use std::collections::VecDeque;

use crate::ws::Message;

/// What a queued message costs beside its payload, so that a flood of empty ones is bounded too.
const MESSAGE_COST: usize = 64;

/// A queue that knows how much memory it holds.
#[derive(Default)]
pub(crate) struct Inbound {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Inbound {
    pub(super) fn reserve(&mut self, messages: usize) {
        self.messages.reserve(messages);
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.len() + MESSAGE_COST;
        self.messages.push_back(message);
    }

    #[cfg(feature = "ffi")]
    pub(crate) fn front(&self) -> Option<&Message> {
        self.messages.front()
    }

    /// Gives the memory back with the last message: an idle connection shall cost none.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= message.len() + MESSAGE_COST;
        if self.messages.is_empty() {
            self.messages = VecDeque::new();
        }
        Some(message)
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// What the messages cost.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

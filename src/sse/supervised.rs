//! An event stream, as its server sees it.

use std::time::Duration;

use super::Event;
use crate::transport::Supervised;
use crate::transport::queue::Queue;

impl Supervised for Queue {
    fn drain(&self, retry: Duration) {
        self.close_with(Event::default().retry(retry).into_vec());
    }

    fn close(&self, _code: u16, _reason: &str) {
        Queue::close(self);
    }

    fn abort(&self) {
        Queue::abort(self);
    }

    fn queued_bytes(&self) -> usize {
        Queue::queued_bytes(self)
    }

    fn take_messages(&self) -> u64 {
        Queue::take_messages(self)
    }
}

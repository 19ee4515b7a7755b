//! Events with the cursor for their id, and what of them is written together.

use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::frames::{Format, Frame};
use crate::hub::{Interest, Publication, Subscription};

/// A cursor up to this length goes with every event.
const SMALL_ID: usize = 256;

/// How the events of one connection are written.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(super) format: Format,
    pub(super) strict: bool,
    /// It is about one channel only, so that its cursor is the position in it, and events are the
    /// same for all.
    single: bool,
    /// How long the cursor was the last time.
    id_len: usize,
    /// The client was told of a gap, and not where it stands after it.
    untold_gap: bool,
}

impl Encoder {
    pub(crate) fn new(format: Format, strict: bool) -> Self {
        Encoder { format, strict, ..Encoder::default() }
    }

    /// To be called when what is subscribed to has changed.
    pub(crate) fn look_at(&mut self, subscription: &Subscription) {
        let mut interests = subscription.interests();
        self.single =
            matches!((interests.next(), interests.next()), (Some(Interest::Channel(_)), None));
    }
}

/// Events that are written together.
pub(crate) struct Batch<'a> {
    encoder: &'a mut Encoder,
    out: Vec<u8>,
    /// The only event so far, which is the same for all who get it.
    shared: Option<Bytes>,
    /// The last event has neither its id yet nor the blank line at its end.
    open: bool,
    events: u64,
}

impl<'a> Batch<'a> {
    /// Begins with whole events.
    pub(crate) fn new(encoder: &'a mut Encoder, opening: Vec<u8>) -> Self {
        Batch { encoder, out: opening, shared: None, open: false, events: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len() + self.shared.as_ref().map_or(0, Bytes::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn publication(&mut self, publication: &Publication, subscription: &Subscription) {
        let event = self.encoder.format.event(publication);
        if !self.encoder.single {
            self.begin();
            self.out.extend_from_slice(event.fields());
            self.end(subscription);
        } else if self.is_empty() {
            self.events += 1;
            self.shared = Some(event.all().clone());
        } else {
            self.begin();
            self.out.extend_from_slice(event.all());
        }
    }

    pub(crate) fn control(&mut self, frame: &Frame<'_>, subscription: &Subscription) {
        self.begin();
        self.encoder.untold_gap |= matches!(frame, Frame::Gap { .. });
        frame.push_event(&mut self.out);
        self.end(subscription);
    }

    /// What is subscribed to has changed.
    pub(crate) fn subscription_changed(&mut self, subscription: &Subscription) {
        self.encoder.look_at(subscription);
    }

    /// The last event: the client is to come back after that time.
    pub(crate) fn bye(&mut self, reason: &str, retry: Duration, subscription: &Subscription) {
        let retry = u64::try_from(retry.as_millis()).unwrap_or(u64::MAX);
        self.begin();
        Frame::Bye { reason, retry }.push_event(&mut self.out);
        self.out.extend_from_slice(format!("retry: {retry}\n").as_bytes());
        self.end(subscription);
    }

    /// Begins another event.
    fn begin(&mut self) {
        self.events += 1;
        if let Some(first) = self.shared.take() {
            self.out.reserve(4 * first.len());
            self.out.extend_from_slice(&first);
        }
        if std::mem::take(&mut self.open) {
            self.out.push(b'\n');
        }
    }

    fn end(&mut self, subscription: &Subscription) {
        let is_small = self.encoder.id_len <= SMALL_ID && !subscription.finds_many();
        // Who comes back from before a gap is told of it again, and forgets again what it has got
        // since: nothing may follow it without an id.
        let ends_gaps = self.encoder.untold_gap && !subscription.has_more_to_tell();
        if self.encoder.strict || is_small || ends_gaps {
            self.identify(subscription);
        } else {
            self.open = true;
        }
    }

    /// Ends an event with the cursor that there is after it.
    fn identify(&mut self, subscription: &Subscription) {
        if let Some(cursor) = subscription.cursor() {
            let id = cursor.to_string();
            self.encoder.id_len = id.len();
            self.encoder.untold_gap = false;
            self.out.extend_from_slice(b"id: ");
            self.out.extend_from_slice(id.as_bytes());
            self.out.push(b'\n');
        }
        self.out.push(b'\n');
    }

    /// All of it, and how many events it is.
    pub(crate) fn finish(mut self, subscription: &Subscription) -> (Bytes, u64) {
        if std::mem::take(&mut self.open) {
            self.identify(subscription);
        }
        (self.shared.unwrap_or_else(|| self.out.into()), self.events)
    }
}

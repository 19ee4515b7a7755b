use std::any::Any;

use crate::sync::OnceLock;

/// What was made of a publication: one after the other, in the order in which they were first asked
/// for, and each once for all threads.
pub(super) struct Encodings(Slot);

type Slot = OnceLock<Box<Node>>;

struct Node {
    encoding: Box<dyn Any + Send + Sync>,
    next: Slot,
}

impl Encodings {
    pub(super) fn new() -> Self {
        Encodings(Slot::new())
    }

    /// The one of that type, which is made if nobody has asked for it yet.
    pub(super) fn get_or_make<T: Send + Sync + 'static>(&self, make: impl Fn() -> T) -> &T {
        let mut slot = &self.0;
        loop {
            let node = slot
                .get_or_init(|| Box::new(Node { encoding: Box::new(make()), next: Slot::new() }));
            match node.encoding.downcast_ref() {
                Some(encoding) => return encoding,
                None => slot = &node.next,
            }
        }
    }
}

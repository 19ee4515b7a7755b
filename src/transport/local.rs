//! What threads keep for themselves.

use std::cell::RefCell;
use std::thread::LocalKey;

/// Lends what a thread keeps, or something new when the thread is ending and keeps nothing more: a
/// host program may call from the last of its destructors.
pub(crate) fn lend<T: Default, R>(
    kept: &'static LocalKey<RefCell<T>>,
    f: impl FnOnce(&mut T) -> R,
) -> R {
    let mut f = Some(f);
    let mut once = |value: &mut T| f.take().map(|f| f(value));
    let lent = kept.try_with(|kept| once(&mut kept.borrow_mut())).ok().flatten();
    lent.or_else(|| once(&mut T::default())).expect("called once, with either")
}

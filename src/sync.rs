//! What lock-free code is made of. Files that take it from here are compiled a second time in
//! `tests/interleavings.rs`, where it is loom's, and run in every order that there is.

#[cfg(feature = "hub")]
pub(crate) use std::sync::{Arc, OnceLock, atomic};
#[cfg(feature = "endpoint")]
pub(crate) use std::sync::{Mutex, MutexGuard};

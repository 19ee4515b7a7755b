//! lithe-ffi-tests

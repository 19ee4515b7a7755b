//! Which library this is.

use std::ffi::{CStr, c_char};

/// The version of the ABI that this header describes. It grows when a program has to be compiled
/// anew, and not when functions or fields are added.
pub const LITHE_ABI_VERSION: i32 = 1;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version holds no NUL"),
    };

/// The version of the library that is linked, such as "0.1.0". NUL-terminated, lives for ever.
/// Never blocks. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the ABI that the linked library speaks. A program that was compiled with this
/// header needs it to be LITHE_ABI_VERSION. Never blocks.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_abi_version() -> i32 {
    LITHE_ABI_VERSION
}

//! The C ABI: what `include/lithe.h` declares, which is generated from this folder.
//!
//! One file per noun. Each exported function converts its arguments, looks its handle up, calls the
//! Rust API and turns the result into a code; there is no logic here. The documentation of the
//! exported items is written for the reader of the header.
//!
//! Private, because only the header's rules make these functions safe to call.
#![allow(non_camel_case_types, unreachable_pub)]

mod authorization;
mod buffer;
mod codec;
mod convert;
mod error;
mod event;
mod feed;
mod fork;
mod handle;
mod history;
mod hub;
mod hub_options;
#[cfg(all(test, target_pointer_width = "64"))]
mod layouts;
mod log;
mod message;
mod mount;
mod options;
mod owned;
mod request;
mod response;
mod revoke;
mod route;
mod server;
mod signal;
mod sse;
mod stats;
mod subscribe;
mod version;
mod wire;
mod ws;

#[cfg(test)]
mod tests {
    #[test]
    fn committed_header_is_fresh() {
        let generated = include_str!(concat!(env!("OUT_DIR"), "/lithe.h"));
        let committed = include_str!("../../include/lithe.h");
        assert!(generated == committed, "include/lithe.h is stale: run `make header`, commit it");
    }
}

//! Lithe is the real-time engine that you link into your program.
//!
//! Rust owns the sockets; the host program owns the logic. This crate is both the native Rust
//! API, made of building blocks for [axum], and, with the `ffi` feature, the C library behind
//! `lithe.h`.
//!
//! * [`sse`]: Server-Sent Events (WHATWG HTML, §9.2).
//! * [`ws`]: WebSockets (RFC 6455, RFC 7692, RFC 8441).
//! * [`server`]: a listener with limits, a registry, draining and metrics around an axum router.
#![warn(missing_docs)]
#![cfg_attr(not(feature = "ffi"), forbid(unsafe_code))]

#[cfg(feature = "ffi")]
mod ffi;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "sse")]
pub mod sse;
pub mod transport;
#[cfg(feature = "ws")]
pub mod ws;

//! Lithe is the real-time engine that you link into your program: Server-Sent Events and
//! WebSockets, and the server around them.
//!
//! Rust owns the sockets; the host program owns the logic. This crate is both the native Rust
//! API, made of building blocks for [axum], and, with the `ffi` feature, the C library behind
//! `lithe.h`.
//!
//! * [`sse`]: Server-Sent Events (WHATWG HTML, §9.2).
//! * [`ws`]: WebSockets (RFC 6455, RFC 7692, RFC 8441).
//! * [`server`]: a listener with limits, a registry, draining and metrics around an axum router.
//! * [`hub`]: channels with history, cursors and presence; the part without sockets.
//! * [`access`]: who may do what on a hub.
//! * [`endpoint`]: a hub's channels for browsers and other clients, over HTTP.
//! * [`transport`]: what these share, for whoever writes a server or a protocol of their own.
//!
//! [`sse`] and [`ws`] are extractors and responses on any axum router, whoever serves it. Served by
//! [`server::Server`], their connections are also limited, listed, counted and drained.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::response::Response;
//! use axum::routing::{any, get};
//! use lithe::server::Server;
//! use lithe::sse::{self, Sse};
//! use lithe::ws::{Socket, WebSocketUpgrade};
//!
//! async fn ticks() -> Sse {
//!     let (events, response) = sse::channel();
//!     tokio::spawn(async move {
//!         let mut second = tokio::time::interval(Duration::from_secs(1));
//!         // An error: the client is gone.
//!         while events.send("tick").await.is_ok() {
//!             second.tick().await;
//!         }
//!     });
//!     response
//! }
//!
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(async |mut socket: Socket| {
//!         while let Some(message) = socket.recv().await {
//!             if socket.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//! }
//!
//! let router = Router::new().route("/ticks", get(ticks)).route("/echo", any(echo));
//! let server = Server::builder().bind("127.0.0.1:0").router(router).start()?;
//! println!("http://{}", server.local_addr());
//!
//! // Event streams end with a time to come back after, WebSockets with code 1001.
//! let report = server.drain_blocking(Duration::from_secs(30));
//! assert_eq!(report.cut, 0);
//! # Ok::<(), lithe::server::Error>(())
//! ```
//!
//! # Features
//!
//! | feature | what it adds | on by default |
//! |---|---|---|
//! | `sse` | [`sse`] | yes |
//! | `ws` | [`ws`] | yes |
//! | `deflate` | permessage-deflate for [`ws`] | yes |
//! | `server` | [`server`] | yes |
//! | `hub` | [`hub`] | yes |
//! | `endpoint` | [`endpoint`] | yes |
//! | `jwt` | JSON Web Tokens for [`access`] | no |
//! | `tls` | TLS for [`server`], by rustls | no |
//! | `ffi` | the C library; brings all of the above | no |
//!
//! # What is never traded away
//!
//! Messages and events arrive in the order in which they were queued. Queues are bounded in bytes:
//! a sender waits, or is told that there is no room, and a peer whose messages nobody takes is
//! slowed down by TCP. Nothing is dropped in silence.
//!
//! # Where handlers run
//!
//! Handlers are asynchronous, and share their thread with other connections: what blocks belongs
//! into [`tokio::task::spawn_blocking`] or on a thread of its own, for which senders and receivers
//! have methods that block.
//!
//! The guide, `docs/rust-api.md` in the repository, goes through all of this step by step;
//! `docs/access.md` is about who may do what.
#![warn(missing_docs)]
#![cfg_attr(not(feature = "ffi"), forbid(unsafe_code))]

#[cfg(feature = "hub")]
pub mod access;
#[cfg(feature = "endpoint")]
pub mod endpoint;
#[cfg(feature = "ffi")]
mod ffi;
#[cfg(feature = "hub")]
pub mod hub;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "sse")]
pub mod sse;
#[cfg(feature = "hub")]
mod sync;
pub mod transport;
#[cfg(feature = "ws")]
pub mod ws;

/// The programs in the documentation, so that they are compiled with the examples in the code.
#[cfg(all(doctest, feature = "sse", feature = "deflate", feature = "tls"))]
mod documentation {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/rust-api.md")]
    struct RustApi;
    #[cfg(feature = "endpoint")]
    #[doc = include_str!("../docs/hub.md")]
    struct Hub;
    #[doc = include_str!("../docs/migration.md")]
    struct Migration;
    #[doc = include_str!("../docs/deploy.md")]
    struct Deploy;
    #[cfg(all(feature = "endpoint", feature = "jwt"))]
    #[doc = include_str!("../docs/access.md")]
    struct Access;
}

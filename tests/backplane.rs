//! Hubs that a backplane joins: the same suite over each kind of backplane, and what each does when
//! it fails.
#![cfg(feature = "hub")]

#[path = "backplane/conformance.rs"]
#[macro_use]
mod conformance;
#[path = "backplane/faults.rs"]
#[macro_use]
mod faults;
#[path = "backplane/patterns.rs"]
#[macro_use]
mod patterns;
#[cfg(feature = "redis")]
#[path = "backplane/cluster.rs"]
mod cluster;
#[path = "backplane/memory.rs"]
mod memory;
#[cfg(feature = "redis")]
#[path = "backplane/proxy.rs"]
mod proxy;
#[cfg(feature = "redis")]
#[path = "backplane/redis.rs"]
mod redis;
#[cfg(feature = "redis")]
#[path = "backplane/redis_server.rs"]
mod redis_server;
#[path = "backplane/support.rs"]
mod support;

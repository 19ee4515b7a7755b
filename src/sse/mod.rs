//! Server-Sent Events (WHATWG HTML, §9.2).
//!
//! An [`Sse`] is an axum response whose body never ends by itself. Its events come from any
//! [`Stream`](futures_core::Stream), or from [`Sender`]s that may live anywhere, in tasks or in
//! threads without a runtime. What is queued leaves in one write, an idle stream holds no buffer,
//! and a client that does not read slows its senders down instead of filling the memory.
//!
//! An `EventSource` reconnects whenever a stream ends, with the identifier of the last event it
//! saw ([`LastEventId`]); answer it with 204 No Content to make it stop.
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use lithe::sse::{self, Event, LastEventId, Sse};
//!
//! async fn countdown(LastEventId(seen): LastEventId) -> Sse {
//!     let (events, response) = sse::channel();
//!     let from = seen.and_then(|id| id.parse().ok()).unwrap_or(10);
//!     tokio::spawn(async move {
//!         for left in (0..from).rev() {
//!             let event = Event::new(format!("T minus {left}")).id(left.to_string())?;
//!             // An error here: the client is gone.
//!             events.send(event).await?;
//!             tokio::time::sleep(Duration::from_secs(1)).await;
//!         }
//!         events.send(Event::new("lift-off").event("end")?).await?;
//!         Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
//!     });
//!     response
//! }
//!
//! let app: Router = Router::new().route("/countdown", get(countdown));
//! ```

mod body;
mod channel;
mod config;
mod event;
#[cfg(test)]
#[path = "../../tests/support/event_stream_parser.rs"]
pub(crate) mod event_stream_parser;
mod last_event_id;
mod response;
mod supervised;

pub use body::Body;
#[cfg(feature = "endpoint")]
pub(crate) use body::KeepAlive;
pub use channel::{SendError, Sender, channel, channel_with};
pub use config::Config;
#[cfg(feature = "endpoint")]
pub(crate) use event::push_lines;
pub use event::{Event, EventError, IntoEvent};
pub use last_event_id::LastEventId;
#[cfg(feature = "endpoint")]
pub(crate) use response::HEADERS;
pub use response::{Queued, Sse};

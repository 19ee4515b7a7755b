//! What a server has counted.

use std::mem::offset_of;

use super::convert::{Out, Versioned, bad_argument, versioned_out};
use super::error::boundary;
use super::handle;
use super::message::lithe_message_t;
use super::server::{Server, lithe_server_t};
use crate::server::Metrics;

/// What a server has counted since it was started, and what there is at present. To be initialized
/// with LITHE_SERVER_STATS_INIT.
///
/// The bytes of HTTP are all that went over its connections, encryption not included.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_server_stats_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Connections accepted from the system, those that were refused included.
    pub accepted: u64,
    /// Connections refused because there were too many.
    pub refused: u64,
    /// Failures to accept a connection, for want of file descriptors or memory.
    pub accept_errors: u64,
    /// How often clients have run into a limit. The metrics tell each limit apart.
    pub limit_hits: u64,
    /// Connections that ended by themselves in a drain.
    pub drained: u64,
    /// Connections that a drain has cut.
    pub cut: u64,
    /// Requests, those that Lithe has answered by itself included.
    pub requests: u64,
    /// Responses, those that begin a WebSocket or an event stream included.
    pub responses: u64,
    /// At present: requests that wait for the host to take them.
    pub waiting_requests: u64,
    /// At present: HTTP connections that are neither of those below.
    pub http_open: u64,
    /// Bytes received.
    pub http_bytes_in: u64,
    /// Bytes sent.
    pub http_bytes_out: u64,
    /// At present: WebSockets.
    pub ws_open: u64,
    /// At present: bytes that wait to be sent on them.
    pub ws_queued_bytes: u64,
    /// Messages received.
    pub ws_messages_in: u64,
    /// Bytes of these messages.
    pub ws_bytes_in: u64,
    /// Messages queued to be sent.
    pub ws_messages_out: u64,
    /// Bytes sent, as they are encoded.
    pub ws_bytes_out: u64,
    /// At present: event streams.
    pub sse_open: u64,
    /// At present: bytes that wait to be sent on them.
    pub sse_queued_bytes: u64,
    /// Events queued to be sent.
    pub sse_events_out: u64,
    /// Bytes sent, as they are encoded.
    pub sse_bytes_out: u64,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_server_stats_t {
    const FIRST_SIZE: usize = offset_of!(lithe_server_stats_t, sse_bytes_out) + size_of::<u64>();
}

impl lithe_server_stats_t {
    fn new(metrics: &Metrics, waiting_requests: usize) -> Self {
        let Metrics { http, sse, websocket: ws, .. } = metrics;
        lithe_server_stats_t {
            size: 0,
            accepted: metrics.accepted,
            refused: metrics.refused,
            accept_errors: metrics.accept_errors,
            limit_hits: metrics.limits.values().sum(),
            drained: metrics.drained,
            cut: metrics.cut,
            requests: http.messages_in,
            responses: http.messages_out,
            waiting_requests: waiting_requests as u64,
            http_open: http.open,
            http_bytes_in: http.bytes_in,
            http_bytes_out: http.bytes_out,
            ws_open: ws.open,
            ws_queued_bytes: ws.queued_bytes,
            ws_messages_in: ws.messages_in,
            ws_bytes_in: ws.bytes_in,
            ws_messages_out: ws.messages_out,
            ws_bytes_out: ws.bytes_out,
            sse_open: sse.open,
            sse_queued_bytes: sse.queued_bytes,
            sse_events_out: sse.messages_out,
            sse_bytes_out: sse.bytes_out,
        }
    }
}

/// Fills in what a server has counted. The numbers are read one by one while the server goes on, so
/// two of them may be a moment apart.
///
/// Takes time in proportion to the connections, but never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT,
/// SHUTTING_DOWN when the server is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_stats(
    server: lithe_server_t,
    stats: *mut lithe_server_stats_t,
) -> i32 {
    boundary(|| {
        if stats.is_null() {
            return Err(bad_argument("the place for the result is NULL"));
        }
        let server = handle::get::<Server>(server)?;
        let metrics = server.native()?.metrics();
        versioned_out(stats, lithe_server_stats_t::new(&metrics, server.inbox.waiting()))
    })
}

/// Gives all that a server has counted as text, as Prometheus reads it: in the OpenMetrics format,
/// for a host that answers its requests. (With `metrics_path` in the configuration Lithe does so.)
///
/// The text belongs to the host until lithe_message_free; on an error it is empty. Takes time in
/// proportion to the connections, but never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN
/// when the server is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_metrics(server: lithe_server_t, text: *mut lithe_message_t) -> i32 {
    boundary(|| {
        let out = Out::new(text, lithe_message_t::EMPTY)?;
        let server = handle::get::<Server>(server)?;
        let text = server.native()?.metrics_text();
        out.put(lithe_message_t::new(text.into()));
        Ok(())
    })
}

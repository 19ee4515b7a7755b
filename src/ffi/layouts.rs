//! Where each field of each struct lies, which programs in C are compiled with.

use std::fmt::Write as _;
use std::mem::offset_of;

use super::authorization::{lithe_authorization_info_t, lithe_grant_t};
use super::codec::{lithe_codec_options_t, lithe_item_t};
use super::convert::lithe_string_t;
use super::event::lithe_event_t;
use super::history::{lithe_client_t, lithe_history_t, lithe_publication_t};
use super::hub::{lithe_hub_stats_t, lithe_position_t, lithe_publish_options_t, lithe_published_t};
use super::hub_options::{lithe_channel_options_t, lithe_hub_options_t};
use super::message::lithe_message_t;
use super::mount::lithe_mount_options_t;
use super::request::lithe_header_t;
use super::response::lithe_response_options_t;
use super::revoke::lithe_revocation_t;
use super::route::lithe_route_options_t;
use super::server::{lithe_drain_report_t, lithe_server_config_t};
use super::sse::{lithe_sse_event_t, lithe_sse_options_t};
use super::stats::lithe_server_stats_t;
use super::subscribe::lithe_subscribe_options_t;
use super::ws::{lithe_ws_close_info_t, lithe_ws_options_t};

fn size_of_field<S, T>(_field: fn(&S) -> &T) -> usize {
    size_of::<T>()
}

macro_rules! layouts {
    ($($struct:ident { $($field:ident),* $(,)? })*) => {{
        let mut lines = String::new();
        $(
            // Does not compile when a field is left out.
            const _: fn($struct) = |$struct { $($field: _),* }| {};
            writeln!(lines, "{} {}", stringify!($struct), size_of::<$struct>()).unwrap();
            $(
                let offset = offset_of!($struct, $field);
                let size = size_of_field(|all: &$struct| &all.$field);
                let (name, field) = (stringify!($struct), stringify!($field));
                writeln!(lines, "{name}.{field} {offset} {size}").unwrap();
            )*
        )*
        lines
    }};
}

#[test]
fn structs_are_laid_out_as_ever() {
    let layouts = layouts! {
        lithe_message_t { kind, data, len, owner }
        lithe_server_config_t { size, address, static_dir, tls_cert_file, tls_key_file, metrics_path, workers, max_connections, max_connections_per_ip, max_waiting_requests, max_header_bytes, max_body_bytes, handshake_timeout_ms, header_timeout_ms, body_timeout_ms, request_timeout_ms, idle_timeout_ms, write_timeout_ms, stream_bodies, reconnect_ms }
        lithe_string_t { ptr, len }
        lithe_drain_report_t { size, drained, cut }
        lithe_server_stats_t { size, accepted, refused, accept_errors, limit_hits, drained, cut, requests, responses, waiting_requests, http_open, http_bytes_in, http_bytes_out, ws_open, ws_queued_bytes, ws_messages_in, ws_bytes_in, ws_messages_out, ws_bytes_out, sse_open, sse_queued_bytes, sse_events_out, sse_bytes_out }
        lithe_event_t { kind, code, clean, handle_kind, handle, user_data, message, reserved }
        lithe_header_t { name, value }
        lithe_response_options_t { size, send_queue_bytes, events, user_data }
        lithe_route_options_t { size, max_body_bytes, timeout_ms, stream_body }
        lithe_ws_options_t { size, protocols, origins, max_message_bytes, send_queue_bytes, receive_queue_bytes, max_messages_per_second, ping_interval_ms, peer_timeout_ms, idle_timeout_ms, close_timeout_ms, compression, events, user_data }
        lithe_ws_close_info_t { size, code, clean, reason }
        lithe_sse_options_t { size, send_queue_bytes, keep_alive_ms, retry_ms, events, user_data }
        lithe_sse_event_t { size, data, name, id, comment, retry_ms }
        lithe_channel_options_t { size, pattern, history_size, history_age_ms, backlog, overflow, after_gap, min_interval_ms, presence, idempotency_keys, idempotency_age_ms }
        lithe_hub_options_t { size, history_budget_bytes, replay_limit, replay_limit_bytes, max_pattern_channels, namespaces, namespace_count, redis_url, redis_prefix, redis_sentinel, redis_cluster, publish_timeout_ms, longest_token_ms }
        lithe_position_t { epoch, offset }
        lithe_publish_options_t { size, name, key, idempotency_key }
        lithe_published_t { size, position, receivers, duplicate }
        lithe_hub_stats_t { size, channels, subscribers, history_bytes, history_budget_bytes, published, duplicates, delivered, channels_lost, gaps_expired, gaps_epoch, gaps_ahead, gaps_limit, gaps_slow, gaps_backplane }
        lithe_publication_t { position, time_ms, data, len, name, key, owner, reserved }
        lithe_client_t { id, info, owner, reserved }
        lithe_history_t { size, from, to }
        lithe_subscribe_options_t { size, cursor, format, after_gap, ignore_gaps, strict_ids, client, info }
        lithe_mount_options_t { size, authorize, authorize_timeout_ms, origins, cookie, max_channels, max_connections, max_in_flight_bytes, keep_alive_ms, retry_ms, jwt_algorithm, jwt_key, jwt_key_file, jwt_issuer, jwt_audience }
        lithe_authorization_info_t { size, action, renews, tag, subject, channel, token, query, peer }
        lithe_grant_t { size, allow, refusal, subject, info, expires_in_ms, tag }
        lithe_revocation_t { size, token_id, subject, channel, issued_before_ms, until_ms }
        lithe_codec_options_t { size, max_message_bytes, extensions }
        lithe_item_t { kind, code, message, reserved }
    };
    let golden = include_str!("../../ffi-tests/layouts.txt");
    assert!(
        layouts == golden,
        "ffi-tests/layouts.txt differs from what follows. A field at the end of a struct that begins \
        with its size may be added there; anything else breaks programs, and is a new \
        LITHE_ABI_VERSION.\n{layouts}"
    );
}

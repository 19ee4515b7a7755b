//! The header and the symbols: what a C program is promised.

use std::process::Command;

use lithe_ffi_tests::{Language, check_compiles, include_dir, library};

/// Uses every initializer of the header.
const PROGRAM: &str = r#"
#include <lithe.h>
#include <lithe.h>

int main(void) {
    lithe_server_config_t config = LITHE_SERVER_CONFIG_INIT;
    lithe_response_options_t response = LITHE_RESPONSE_OPTIONS_INIT;
    lithe_route_options_t route = LITHE_ROUTE_OPTIONS_INIT;
    lithe_drain_report_t report = LITHE_DRAIN_REPORT_INIT;
    lithe_ws_options_t ws = LITHE_WS_OPTIONS_INIT;
    lithe_ws_close_info_t closed = LITHE_WS_CLOSE_INFO_INIT;
    lithe_sse_options_t sse = LITHE_SSE_OPTIONS_INIT;
    lithe_sse_event_t event = LITHE_SSE_EVENT_INIT;
    lithe_server_stats_t stats = LITHE_SERVER_STATS_INIT;
    lithe_codec_options_t codec = LITHE_CODEC_OPTIONS_INIT;
    lithe_channel_options_t channel = LITHE_CHANNEL_OPTIONS_INIT;
    lithe_hub_options_t hub = LITHE_HUB_OPTIONS_INIT;
    lithe_publish_options_t publish = LITHE_PUBLISH_OPTIONS_INIT;
    lithe_published_t published = LITHE_PUBLISHED_INIT;
    lithe_hub_stats_t hub_stats = LITHE_HUB_STATS_INIT;
    lithe_history_t history = LITHE_HISTORY_INIT;
    lithe_subscribe_options_t subscribe = LITHE_SUBSCRIBE_OPTIONS_INIT;
    lithe_mount_options_t mount = LITHE_MOUNT_OPTIONS_INIT;
    lithe_authorization_info_t authorization = LITHE_AUTHORIZATION_INFO_INIT;
    lithe_grant_t grant = LITHE_GRANT_INIT;
    lithe_revocation_t revocation = LITHE_REVOCATION_INIT;
    lithe_message_t message = LITHE_MESSAGE_INIT;
    lithe_string_t text = LITHE_STRING("text");
    lithe_header_t header = LITHE_HEADER("name", "value");
    return config.size == sizeof config && response.size == sizeof response && route.size == sizeof route && report.size == sizeof report && ws.size == sizeof ws
        && closed.size == sizeof closed && sse.size == sizeof sse && event.size == sizeof event
        && stats.size == sizeof stats && codec.size == sizeof codec
        && channel.size == sizeof channel && hub.size == sizeof hub && publish.size == sizeof publish
        && published.size == sizeof published && hub_stats.size == sizeof hub_stats
        && history.size == sizeof history && subscribe.size == sizeof subscribe
        && mount.size == sizeof mount && authorization.size == sizeof authorization
        && grant.size == sizeof grant && revocation.size == sizeof revocation && message.kind == 0 && text.len == LITHE_CSTR && header.value.ptr[0] == 'v'
        && lithe_abi_version() == LITHE_ABI_VERSION ? LITHE_OK : 1;
}
"#;

#[test]
fn header_is_clean_c99_for_gcc() {
    check_compiles("gcc", Language::C, PROGRAM);
}

#[test]
fn header_is_clean_c99_for_clang() {
    check_compiles("clang", Language::C, PROGRAM);
}

#[test]
fn header_is_clean_cpp11_for_gcc() {
    check_compiles("g++", Language::Cpp, PROGRAM);
}

#[test]
fn header_is_clean_cpp11_for_clang() {
    check_compiles("clang++", Language::Cpp, PROGRAM);
}

/// The functions that the header declares, sorted.
fn declared() -> Vec<String> {
    let header = std::fs::read_to_string(include_dir().join("lithe.h")).unwrap();
    let code = header.lines().filter(|line| !line.trim_start().starts_with(['/', '*', '#']));
    let mut names: Vec<_> = code
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("lithe_"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// What the shared library exports, sorted.
fn exported() -> Vec<String> {
    let nm = Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=just-symbols"])
        .arg(library().join("liblithe.so"))
        .output()
        .expect("nm comes with the linker");
    assert!(nm.status.success(), "{}", String::from_utf8_lossy(&nm.stderr));
    let mut names: Vec<_> =
        String::from_utf8(nm.stdout).unwrap().lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// A change here is a change of the ABI: a symbol that goes away breaks programs.
#[test]
fn exported_symbols_are_those_on_the_list() {
    let list = include_str!("../symbols.txt");
    assert_eq!(exported(), list.lines().collect::<Vec<_>>());
}

#[test]
fn every_exported_symbol_is_declared() {
    assert_eq!(declared(), exported());
}

#[test]
fn every_declared_function_is_documented() {
    let header = std::fs::read_to_string(include_dir().join("lithe.h")).unwrap();
    for name in declared() {
        let at = header
            .match_indices(&format!("{name}("))
            .map(|(at, _)| at)
            .find(|at| {
                !header[..*at].lines().next_back().unwrap_or("").trim_start().starts_with('*')
            })
            .unwrap();
        let before = &header[..header[..at].rfind('\n').unwrap()];
        assert!(before.ends_with("*/"), "{name}");
        let comment = &before[before.rfind("/**").unwrap()..];
        assert!(comment.contains("lock") || comment.contains("Otherwise"), "{name} blocks?");
    }
}

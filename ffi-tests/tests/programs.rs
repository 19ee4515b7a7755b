//! Programs in C that check the library from inside: `c/<name>.c`, each with a client on a bare
//! socket. Run as they are, under valgrind, and one with the shared library.

use std::fs;
use std::path::PathBuf;

use lithe_ffi_tests::{Linkage, Program, compile, root, scratch_dir};

fn source(name: &str) -> PathBuf {
    root().join("ffi-tests/c").join(name).with_extension("c")
}

fn build(name: &str, linkage: Linkage) -> PathBuf {
    compile(name, &[source(name), source("check")], linkage)
}

fn plain(name: &str) {
    Program::start(&build(name, Linkage::Static), [""; 0]).finish();
}

fn valgrind(name: &str) {
    Program::start_in_valgrind(&build(name, Linkage::Static), [""; 0]).finish();
}

macro_rules! programs {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn passes() {
                super::plain(stringify!($name));
            }

            #[test]
            fn passes_in_valgrind() {
                super::valgrind(stringify!($name));
            }
        }
    )*};
}

programs! {
    buffers
    callbacks
    codec
    event_batch
    event_bodies
    event_end
    event_flow
    event_wake
    events
    format
    hub
    hub_events
    hub_mount
    hub_revoke
    log
    misuse
    options
    owned
    requests
    routes
    signals
    slow_reader
    stats
    thread_end
    thread_end_hub
    threads
    unanswered
    websocket
}

/// A program that calls every function there is, by a table of them.
fn build_fork() -> PathBuf {
    let entries = include_str!("../symbols.txt")
        .lines()
        .map(|name| format!("{{ \"{name}\", (void (*)(void)){name} }},\n"));
    let table = format!(
        "#include <lithe.h>\n\
        struct entry {{ const char *name; void (*call)(void); }};\n\
        extern const struct entry every_function[];\n\
        const struct entry every_function[] = {{\n{}{{ NULL, NULL }}\n}};\n",
        entries.collect::<String>()
    );
    let file = scratch_dir("fork").join("every_function.c");
    fs::write(&file, table).unwrap();
    compile("fork", &[source("fork"), source("check"), file], Linkage::Static)
}

#[test]
fn forked_children_are_told_so_by_every_function() {
    Program::start(&build_fork(), [""; 0]).finish();
}

#[test]
fn forks_pass_in_valgrind() {
    Program::start_in_valgrind(&build_fork(), [""; 0]).finish();
}

#[test]
fn handles_that_sixteen_threads_use_end_well() {
    plain("hammer");
}

#[test]
fn hammer_passes_in_valgrind() {
    Program::start_in_valgrind(&build("hammer", Linkage::Static), ["3"]).finish();
}

#[test]
fn large_uploads_pass() {
    plain("uploads");
}

#[test]
fn uploads_pass_in_valgrind() {
    let program = build("uploads", Linkage::Static);
    Program::start_in_valgrind(&program, ["4"]).finish();
}

#[test]
fn large_downloads_pass() {
    plain("downloads");
}

#[test]
fn downloads_pass_in_valgrind() {
    let program = build("downloads", Linkage::Static);
    Program::start_in_valgrind(&program, ["4"]).finish();
}

#[test]
fn thousand_starts_and_stops_leak_nothing() {
    plain("start_stop");
}

#[test]
fn starts_and_stops_pass_in_valgrind() {
    let program = build("start_stop", Linkage::Static);
    Program::start_in_valgrind(&program, ["5"]).finish();
}

#[test]
fn shared_library_serves_as_well() {
    Program::start(&build("requests", Linkage::Shared), [""; 0]).finish();
}

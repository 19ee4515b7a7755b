//! The programs of `programs.rs` with AddressSanitizer, UndefinedBehaviorSanitizer, LeakSanitizer and
//! ThreadSanitizer.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use lithe_ffi_tests::{Program, Sanitizer, compile_sanitized, root, scratch_dir};

fn source(name: &str) -> PathBuf {
    root().join("ffi-tests/c").join(name).with_extension("c")
}

fn run(name: &str, arguments: &[&str], sanitizer: Sanitizer) {
    let sources = [source(name), source("check")];
    if let Some(program) = compile_sanitized(name, &sources, sanitizer) {
        Program::start(&program, arguments).finish();
    }
}

macro_rules! programs {
    ($($name:ident $($argument:literal)?,)*) => {
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];

        $(mod $name {
            use lithe_ffi_tests::Sanitizer;

            #[test]
            fn passes_with_address_sanitizer() {
                super::run(stringify!($name), &[$($argument)?], Sanitizer::Address);
            }

            #[test]
            fn passes_with_thread_sanitizer() {
                super::run(stringify!($name), &[$($argument)?], Sanitizer::Thread);
            }
        })*
    };
}

programs! {
    buffers,
    callbacks,
    codec,
    downloads "4",
    event_batch,
    event_bodies,
    event_end,
    event_flow,
    event_wake,
    events,
    format,
    hammer "3",
    hub,
    hub_events,
    hub_mount,
    hub_revoke,
    log,
    misuse,
    options,
    owned,
    requests,
    routes,
    signals,
    slow_reader,
    start_stop "5",
    stats,
    thread_end,
    thread_end_hub,
    threads,
    unanswered,
    uploads "4",
    websocket,
}

/// No part of the others, run in other ways, or children of a fork, which ThreadSanitizer does not
/// follow.
const OTHERS: [&str; 7] =
    ["api_fuzz", "check", "configured", "fork", "fuzz_clients", "installed", "nothing"];

#[test]
fn every_program_is_on_the_list() {
    let files = fs::read_dir(root().join("ffi-tests/c")).unwrap().map(|file| file.unwrap().path());
    let programs = files.filter(|file| file.extension().is_some_and(|name| name == "c"));
    let names = programs.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    let listed = PROGRAMS.iter().chain(&OTHERS).map(|name| (*name).to_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), listed.collect::<BTreeSet<_>>());
}

/// What the sanitizers must see, in C and in the library.
fn find(name: &str, code: &str, sanitizer: Sanitizer, finding: &str) {
    let file = scratch_dir("sanitizers").join(name).with_extension("c");
    fs::write(&file, code).unwrap();
    if let Some(program) = compile_sanitized(name, &[file], sanitizer) {
        let output = Program::start(&program, [""; 0]).wait();
        assert!(!output.status.success(), "{name}");
        assert!(output.stderr.contains(finding), "{}", output.stderr);
    }
}

#[test]
fn library_that_writes_beyond_the_end_of_a_buffer_is_found() {
    let code = "#include <lithe.h>\n#include <stdlib.h>\n\
        int main(void) {\n\
        size_t len;\n\
        void *buffer = malloc(8);\n\
        return lithe_codec_create_key(buffer, 24, &len);\n\
        }\n";
    find("overflow", code, Sanitizer::Address, "heap-buffer-overflow");
}

#[test]
fn message_that_is_not_freed_is_found() {
    let code = "#include <lithe.h>\n\
        int main(void) {\n\
        lithe_server_t server;\n\
        lithe_message_t text = LITHE_MESSAGE_INIT;\n\
        lithe_server_start(NULL, &server);\n\
        lithe_server_metrics(server, &text);\n\
        text.data = NULL;\n\
        text.owner[0] = text.owner[1] = text.owner[2] = text.owner[3] = NULL;\n\
        return lithe_server_free(server);\n\
        }\n";
    find("leak", code, Sanitizer::Address, "detected memory leaks");
}

#[test]
fn library_that_writes_what_another_thread_reads_is_found() {
    let code = "#include <lithe.h>\n#include <pthread.h>\n\
        static char buffer[24];\n\
        static void *create(void *unused) {\n\
        size_t len;\n\
        lithe_codec_create_key(buffer, sizeof buffer, &len);\n\
        return unused;\n\
        }\n\
        int main(void) {\n\
        pthread_t thread;\n\
        pthread_create(&thread, NULL, create, NULL);\n\
        char first = *(volatile char *)buffer;\n\
        pthread_join(thread, NULL);\n\
        return first != 0;\n\
        }\n";
    find("race", code, Sanitizer::Thread, "data race");
}

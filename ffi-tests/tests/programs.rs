//! Programs in C that check the library from inside: `c/<name>.c`, each with a client on a bare
//! socket. Run as they are, under valgrind, and one with the shared library.

use std::path::PathBuf;

use lithe_ffi_tests::{Linkage, Program, compile, root};

fn build(name: &str, linkage: Linkage) -> PathBuf {
    let source = |name: &str| root().join("ffi-tests/c").join(name).with_extension("c");
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
    events
    log
    misuse
    requests
    signals
    slow_reader
    threads
    unanswered
    websocket
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

//! The benchmark's programs in C: that they still compile, start and say what the runner reads.

use std::net::SocketAddr;
use std::path::PathBuf;

use lithe_ffi_tests::{Linkage, Program, compile, root};

fn build(name: &str) -> PathBuf {
    compile(name, &[root().join("bench/c").join(name).with_extension("c")], Linkage::Static)
}

#[test]
fn echo_servers_print_their_address() {
    for name in ["echo-events", "echo-blocking"] {
        let mut server = Program::start(&build(name), [""; 0]);
        let line = server.line();
        assert!(line.parse::<SocketAddr>().is_ok(), "{name}: {line}");
        server.terminate();
    }
}

#[test]
fn crossings_are_named_and_counted() {
    let mut program = Program::start(&build("crossing"), [""; 0]);
    for _ in 0..4 {
        let line = program.line();
        let nanoseconds = line.split_once(": ").map(|(_, nanoseconds)| nanoseconds.parse::<f64>());
        assert!(matches!(nanoseconds, Some(Ok(nanoseconds)) if nanoseconds > 0.0), "{line}");
    }
    program.finish();
}

//! What a server takes from its process, and what it gives back. The tests run one by one in
//! processes of their own, because they count what all of a process has.
#![cfg(all(feature = "server", target_os = "linux"))]

mod support;

use std::fs::{self, File};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use lithe::sse;
use support::{Client, PATIENCE, eventually, server, status};

const CHILD: &str = "LITHE_TEST_CHILD";

/// Runs the test of that name again in a process that may have so many descriptors open. Says
/// whether this is that process.
fn in_child(test: &str, descriptors: u32) -> bool {
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\" --exact {test} --nocapture"))
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success());
    false
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

fn routes() -> Router {
    let endless = || async {
        let (sender, response) = sse::channel();
        tokio::spawn(async move { sender.closed().await });
        response
    };
    Router::new().route("/", get(|| async { "hello" })).route("/events", get(endless))
}

#[test]
fn a_thousand_starts_and_stops_leave_nothing_behind() {
    if !in_child("a_thousand_starts_and_stops_leave_nothing_behind", 256) {
        return;
    }
    let once = |n: usize| {
        let server = server(routes()).workers(2).static_dir("src").start().unwrap();
        let mut plain = Client::connect(&server);
        plain.get("/").response();
        // Files are read on threads of their own.
        plain.get("/lib.rs").response();
        let mut events = Client::connect(&server);
        events.get("/events").head();
        // One that the server may not have got round to when it is dropped.
        let _new = TcpStream::connect(server.local_addr()).unwrap();
        if n.is_multiple_of(2) {
            server.drain_blocking(PATIENCE);
        }
    };
    (0..10).for_each(once);
    let before = (entries("/proc/self/task"), entries("/proc/self/fd"));
    let memory = resident();
    (0..1_000).for_each(once);
    assert_eq!((entries("/proc/self/task"), entries("/proc/self/fd")), before);
    let grown = resident().saturating_sub(memory);
    assert!(grown < 8 << 20, "{grown} bytes more than before");
}

/// The memory of the process in bytes.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
}

#[test]
fn running_out_of_descriptors_holds_accepting_up_and_does_not_spin() {
    if !in_child("running_out_of_descriptors_holds_accepting_up_and_does_not_spin", 64) {
        return;
    }
    let server = server(routes()).start().unwrap();
    let mut first = Client::connect(&server);
    first.get("/").response();
    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    // One for the client, none for the server.
    hoard.pop();
    let mut waiting = Client::connect(&server);
    waiting.get("/");
    eventually("accepting fails", || server.metrics().accept_errors > 0);
    assert_eq!(first.get("/").response().1, "hello", "the others are served");
    std::thread::sleep(Duration::from_millis(300));
    let errors = server.metrics().accept_errors;
    assert!(errors < 20, "it has tried {errors} times");
    drop(hoard);
    assert_eq!(status(&waiting.head()), 200, "it was only kept waiting");
}

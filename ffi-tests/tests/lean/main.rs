//! Programs in Lean: the examples do what they are meant to show, and a program whose handlers
//! throw and hang goes on.
//!
//! They take a Lean toolchain, which not every machine has, so `cargo test` leaves them out;
//! `make test-lean` runs them.

#[path = "../examples/client.rs"]
mod client;
mod documentation;
mod handlers;
mod load;
mod pages;
mod streams;
#[path = "../../../tests/support/patience.rs"]
mod support;
#[path = "../../../tests/support/browser.rs"]
mod webdriver;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use lithe_ffi_tests::{Program, library, root};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::client::{Get, Socket};

/// Builds an example and starts it.
fn example(name: &str) -> Program {
    Program::start(&build(&root().join("lean-bindings/examples").join(name), name), ["0"])
}

/// Builds the program whose handlers throw and hang, and starts it.
fn trial() -> Program {
    Program::start(&build(&root().join("ffi-tests/lean"), "trial"), [""; 0])
}

/// Builds a project of Lake's, and returns its program.
fn build(project: &Path, program: &str) -> PathBuf {
    // They share the package in `lean-bindings`, which only one of them may build.
    static LAKE: Mutex<()> = Mutex::new(());
    let _lake = LAKE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = project.canonicalize().expect("the project is there");
    let target = library().parent().expect("it is a directory of cargo's");
    let mut lake = Command::new("lake");
    lake.arg("build").current_dir(&directory).env("CARGO_TARGET_DIR", target);
    let output = lake.output().unwrap_or_else(|error| {
        panic!("lake could not be run: {error}; it comes with a Lean toolchain, see docs/lean.md")
    });
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}: {said}", project.display());
    directory.join(".lake/build/bin").join(program)
}

/// The head and the beginning of the body of an answer, up to and with `end`.
async fn answer(address: &str, request: &str, end: &str) -> String {
    let (line, rest) = request.split_once("\r\n").unwrap_or((request, "\r\n"));
    let stream = client::connect_tcp(address).await;
    Get::write(stream, format!("{line} HTTP/1.1\r\nHost: localhost\r\n{rest}"))
        .await
        .until(end)
        .await
}

/// How a WebSocket is closed, whatever comes before that.
async fn closed(socket: &mut Socket) -> CloseFrame {
    loop {
        if let Message::Close(frame) = socket.next().await.expect("a close comes first").unwrap() {
            return frame.expect("it has a code");
        }
    }
}

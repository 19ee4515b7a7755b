//! The examples in Python.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use futures_util::{SinkExt as _, StreamExt as _};
use lithe_ffi_tests::{Program, library, root};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Get, address, connect, test};
use crate::events::flood;

fn start(script: &Path, argument: impl Into<OsString>) -> Program {
    let variable = |name: &str, value: &Path| {
        let mut variable = OsString::from(name);
        variable.push("=");
        variable.push(value);
        variable
    };
    let arguments = [
        variable("LITHE_LIBRARY", &library().join("liblithe.so")),
        variable("PYTHONPATH", &root().join("examples/python")),
        // The sources are left as they are.
        "PYTHONDONTWRITEBYTECODE=1".into(),
        "python3".into(),
        // Whatever Python has to complain of is an error.
        "-Xdev".into(),
        "-Werror".into(),
        script.into(),
        argument.into(),
    ];
    Program::start(Path::new("env"), arguments)
}

fn example(name: &str) -> Program {
    start(&root().join("examples/python").join(name).with_extension("py"), "0")
}

/// Clients that leave at once, so that their last messages and their ends come in one batch.
async fn hasty_clients(address: &str, count: usize) {
    for _ in 0..count {
        let mut socket = connect(address, "/").await;
        for _ in 0..10 {
            socket.feed(Message::text("bye")).await.unwrap();
        }
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// A page of others is refused, and nothing else comes of it.
async fn foreign_page(address: &str) {
    let handshake = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://other.example\r\n";
    let status = Get::send(address, "/", handshake).await.until("\r\n").await;
    assert!(status.contains(" 403 "), "{status}");
}

/// Has a program part from a client.
async fn part(program: &Program, address: &str) {
    let mut socket = connect(address, "/").await;
    program.interrupt();
    let close = socket.next().await.unwrap().unwrap();
    let Message::Close(Some(close)) = close else { panic!("{close:?}") };
    assert_eq!(close.code, CloseCode::Away);
    assert!(socket.next().await.is_none_or(|end| end.is_err()));
}

#[test]
fn module_agrees_with_the_library() {
    let script = root().join("ffi-tests/python/module.py");
    start(&script, root().join("ffi-tests/layouts.txt")).finish();
}

#[test]
fn threads_echo() {
    let mut program = example("echo");
    let address = address(&program.line());
    test(async {
        foreign_page(&address).await;
        crate::echoes(&address).await;
        part(&program, &address).await;
    });
    assert!(program.line().contains("closed kindly, 0 cut"));
    program.finish();
}

#[test]
fn asyncio_echoes() {
    let mut program = example("asyncio_echo");
    let address = address(&program.line());
    test(async {
        foreign_page(&address).await;
        crate::echoes(&address).await;
        hasty_clients(&address, 20).await;
        flood(&address).await;
        part(&program, &address).await;
    });
    let mut left = BTreeMap::new();
    let last = loop {
        let line = program.line();
        match line.strip_prefix("a client has left with ") {
            Some(code) => *left.entry(code.to_owned()).or_insert(0) += 1,
            None => break line,
        }
    };
    let expected = [("1001", 1), ("1005", 23), ("1013", 1)];
    assert_eq!(left, expected.map(|(code, count)| (code.to_owned(), count)).into());
    assert!(last.contains("closed kindly, 0 cut"), "{last}");
    program.finish();
}

#[test]
fn clock_ticks() {
    crate::ticks(example("clock"));
}

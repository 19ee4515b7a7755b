//! The examples do what they are meant to show: those in C and C++ as they are and under valgrind,
//! those in Python with the shared library.

mod chats;
mod client;
mod events;
mod hubs;
mod python;
#[path = "../../../tests/support/patience.rs"]
mod support;
#[path = "../../../tests/support/browser.rs"]
mod webdriver;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use futures_util::{SinkExt as _, StreamExt as _};
use lithe_ffi_tests::{Linkage, Program, compile, root, scratch_dir};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::chats::chat;
use crate::client::{Get, address, connect, test};
use crate::events::{broadcast, echo_events, epoll_loop};
use crate::hubs::{hub, hub_cpp};

fn build(name: &str) -> PathBuf {
    let source = match name.strip_suffix("_cpp") {
        Some(name) => root().join("examples/cpp").join(name).with_extension("cpp"),
        None => root().join("examples/c").join(name).with_extension("c"),
    };
    let source = source.canonicalize().expect("the example is there");
    compile(name, &[source], Linkage::Static)
}

#[derive(Clone, Copy)]
enum Run {
    Plain,
    Valgrind,
}

fn start(name: &str, run: Run) -> Program {
    start_with(name, run, [OsStr::new("0")])
}

fn start_with<const N: usize>(name: &str, run: Run, arguments: [&OsStr; N]) -> Program {
    match run {
        Run::Plain => Program::start(&build(name), arguments),
        Run::Valgrind => Program::start_in_valgrind(&build(name), arguments),
    }
}

async fn echoes(address: &str) {
    let mut sockets = [connect(address, "/").await, connect(address, "/").await];
    let messages = [
        Message::text("héllo"),
        Message::text(""),
        Message::binary(vec![0, 159, 146, 150]),
        Message::binary(vec![7; 1_000_000]),
    ];
    for message in messages {
        for socket in &mut sockets {
            socket.send(message.clone()).await.unwrap();
        }
        for socket in &mut sockets {
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
    }
    sockets[0].send(Message::Ping("p".into())).await.unwrap();
    assert_eq!(sockets[0].next().await.unwrap().unwrap(), Message::Pong("p".into()));
    for mut socket in sockets {
        socket.close(None).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            assert!(message.is_close());
        }
    }
    let refused = Get::send(address, "/", "").await.until("\r\n\r\n").await;
    assert!(refused.contains(" 426 ") && refused.contains("upgrade: websocket\r\n"), "{refused}");
}

fn echo(run: Run) {
    echo_of("echo", run);
}

fn echo_cpp(run: Run) {
    echo_of("echo_cpp", run);
}

fn echo_of(name: &str, run: Run) {
    let mut program = start(name, run);
    let address = address(&program.line());
    test(echoes(&address));
    program.terminate();
}

/// The id of the next tick.
async fn tick(stream: &mut Get) -> u64 {
    let event = stream.until("\n\n").await;
    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    assert_eq!(data.len(), "12:34:56".len(), "{event}");
    event.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().parse().unwrap()
}

fn sse_clock(run: Run) {
    ticks(start("sse_clock", run));
}

fn ticks(mut program: Program) {
    let address = address(&program.line());
    test(async {
        assert!(
            Get::send(&address, "/", "").await.until("</script>").await.contains("EventSource")
        );
        assert!(Get::send(&address, "/no", "").await.until("\r\n").await.contains(" 404 "));
        let mut stream = Get::send(&address, "/clock", "").await;
        assert!(stream.until("\r\n\r\n").await.contains("text/event-stream"));
        assert!(stream.until("\n\n").await.contains("retry: 1000\n"));
        let first = tick(&mut stream).await;
        assert!(tick(&mut stream).await > first);

        let seen = format!("Last-Event-ID: {}\r\n", first - 100);
        let mut back = Get::send(&address, "/clock", &seen).await;
        back.until("retry: 1000\n\n").await;
        let missed = back.until("\n\n").await;
        assert!(missed.contains("event: missed\n"), "{missed}");
        tick(&mut back).await;
        drop(back);

        program.interrupt();
        while !stream.until("\n\n").await.contains("retry: ") {}
    });
    program.finish();
}

/// The byte at a place in an upload.
fn byte_at(place: usize) -> u8 {
    (place * 31 + (place >> 11)) as u8
}

async fn uploads(address: &str, directory: &Path) {
    const LEN: usize = 20 * 1024 * 1024;
    let file: Vec<u8> = (0..LEN).map(byte_at).collect();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /files/a%20b.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LEN}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&file).await.unwrap();
    let mut put = Get(BufReader::new(stream));
    assert!(put.until("Thank you.\n").await.contains(" 201 "));
    assert!(std::fs::read(directory.join("a b.bin")).unwrap() == file);

    let mut get = Get::send(address, "/files/a%20b.bin", "").await;
    let head = get.until("\r\n\r\n").await;
    assert!(head.contains(" 200 ") && head.contains(&format!("content-length: {LEN}\r\n")));
    let mut got = vec![0; LEN];
    get.0.read_exact(&mut got).await.unwrap();
    assert!(got == file);

    // A client that goes leaves nothing behind; one with a bad name is told so.
    let mut gone = TcpStream::connect(address).await.unwrap();
    let head = b"PUT /files/gone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbegun";
    gone.write_all(head).await.unwrap();
    drop(gone);
    for (path, status) in [
        ("/files/none", " 404 "),
        ("/files/..%2fetc%2fpasswd", " 404 "),
        ("/files/%00", " 404 "),
        ("/files/", " 404 "),
        ("/", " 200 "),
    ] {
        assert!(Get::send(address, path, "").await.until("\r\n").await.contains(status), "{path}");
    }
    let mut bad = Get(BufReader::new(TcpStream::connect(address).await.unwrap()));
    let head = b"PUT /files/.hidden HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
    bad.0.write_all(head).await.unwrap();
    assert!(bad.until("\r\n").await.contains(" 400 "));
}

fn upload(run: Run) {
    let directory = scratch_dir("upload");
    let mut program = start_with("upload", run, [OsStr::new("0"), directory.as_os_str()]);
    let address = address(&program.line());
    test(uploads(&address, &directory));
    assert_eq!(program.line(), "16 MiB so far");
    assert!(program.line().ends_with("a b.bin: 20971520 bytes"));
    assert!(program.line().ends_with("gone: given up after 5 bytes: closed"));
    program.interrupt();
    program.finish();
    let left: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["a b.bin"]);
}

macro_rules! examples {
    ($($name:ident)*) => {$(
        mod $name {
            use super::Run;

            #[test]
            fn works() {
                super::$name(Run::Plain);
            }

            #[test]
            fn works_in_valgrind() {
                super::$name(Run::Valgrind);
            }
        }
    )*};
}

examples! {
    broadcast
    chat
    echo
    echo_cpp
    echo_events
    epoll_loop
    hub
    hub_cpp
    sse_clock
    upload
}

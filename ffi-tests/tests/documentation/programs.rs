//! The whole programs of the pages do what the pages say.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lithe_ffi_tests::{Linkage, Program, compile};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::{CPP_PAGE, blocks};

/// Longer than anything takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program in a page whose text has that in it, on a free port.
fn program(file: &str, language: &str, name: &str, mark: &str) -> Program {
    let mut programs = blocks(file, language).into_iter().filter(|block| block.contains(mark));
    let program = programs.next().expect("a whole program");
    assert!(programs.next().is_none(), "two programs with {mark}");
    assert_eq!(program.matches("127.0.0.1:8080\"").count(), 1);
    let source = scratch_file(&format!("{name}.{language}"));
    fs::write(&source, program.replace("127.0.0.1:8080\"", "127.0.0.1:0\"")).unwrap();
    let binary = format!("page-{name}-{language}");
    Program::start(&compile(&binary, &[source], Linkage::Static), [""; 0])
}

fn program_of_the_guide(name: &str) -> (Program, String) {
    let mut program = program("docs/c-api.md", "c", name, &format!("/* {name}.c: "));
    let address = address(&program.line());
    (program, address)
}

fn program_in_cpp(name: &str) -> (Program, String) {
    let mut program = program(CPP_PAGE, "cpp", name, &format!("// {name}.cpp: "));
    let address = address(&program.line());
    (program, address)
}

fn scratch_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// `host:port` out of a URL.
fn address(url: &str) -> String {
    let after = url.split_once("://").expect("the program prints its URL first").1;
    after.split('/').next().unwrap_or(after).to_owned()
}

fn test(steps: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, steps).await.expect("stuck") });
}

/// The client's end of an HTTP connection.
struct Http(TcpStream);

impl Http {
    async fn send(address: &str, request: &str, body: &[u8]) -> Http {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let head =
            format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        Http(stream)
    }

    async fn listen(address: &str, path: &str, last_seen: &str) -> Http {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{last_seen}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut http = Http(stream);
        http.until("\r\n\r\n").await;
        http
    }

    /// What comes up to and with `end`.
    async fn until(&mut self, end: &str) -> String {
        let mut got = Vec::new();
        while !got.ends_with(end.as_bytes()) {
            got.push(self.0.read_u8().await.unwrap_or_else(|error| {
                panic!("{error} after {:?}", String::from_utf8_lossy(&got))
            }));
        }
        String::from_utf8(got).unwrap()
    }
}

/// The status of the response to a request.
async fn status(address: &str, request: &str, body: &[u8]) -> String {
    let line = Http::send(address, request, body).await.until("\r\n").await;
    line.split(' ').nth(1).expect("a status line").to_owned()
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(address: &str) -> Socket {
    connect_async(format!("ws://{address}/")).await.unwrap().0
}

async fn next(socket: &mut Socket) -> Message {
    socket.next().await.unwrap().unwrap()
}

async fn echoes(address: &str) {
    let mut sockets = [connect(address).await, connect(address).await];
    for message in [Message::text("héllo"), Message::text(""), Message::binary(vec![7; 50_000])] {
        for socket in &mut sockets {
            socket.send(message.clone()).await.unwrap();
        }
        for socket in &mut sockets {
            assert_eq!(next(socket).await, message);
        }
    }
    for mut socket in sockets {
        socket.close(None).await.unwrap();
        assert!(next(&mut socket).await.is_close());
    }
}

#[test]
fn hello_says_hello() {
    let (program, address) = program_of_the_guide("hello");
    test(async {
        let mut client = Http::send(&address, "GET /", b"").await;
        assert!(client.until("\r\n\r\nhello\n").await.starts_with("HTTP/1.1 200 "));
    });
    program.terminate();
}

#[test]
fn echo_blocking_echoes() {
    let (program, address) = program_of_the_guide("echo_blocking");
    test(async {
        echoes(&address).await;
        assert_eq!(status(&address, "GET /", b"").await, "426");
    });
    program.terminate();
}

#[test]
fn echo_events_echoes() {
    let (program, address) = program_of_the_guide("echo_events");
    test(async {
        echoes(&address).await;
        assert_eq!(status(&address, "GET /", b"").await, "426");
    });
    program.terminate();
}

#[test]
fn echo_paused_echoes_to_those_who_send_before_they_read() {
    /// Several times what all buffers on the way hold.
    const MESSAGES: usize = 600;
    let message = |number: usize| Message::binary(vec![number as u8; 100_000]);
    let (program, address) = program_of_the_guide("echo_paused");
    test(async {
        echoes(&address).await;
        assert_eq!(status(&address, "GET /", b"").await, "426");

        let (mut sender, mut receiver) = connect(&address).await.split();
        let sent = Arc::new(AtomicUsize::new(0));
        let sending = tokio::spawn({
            let sent = sent.clone();
            async move {
                for number in 0..MESSAGES {
                    sender.send(message(number)).await.unwrap();
                    sent.fetch_add(1, Relaxed);
                }
            }
        });
        // Until the program holds this client up. The others go on.
        let mut before = usize::MAX;
        while sent.load(Relaxed) != before {
            before = sent.load(Relaxed);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(before < MESSAGES);
        echoes(&address).await;
        for number in 0..MESSAGES {
            assert_eq!(receiver.next().await.unwrap().unwrap(), message(number));
        }
        sending.await.unwrap();
    });
    program.terminate();
}

#[test]
fn broadcast_tells_all_and_parts_kindly() {
    let (mut program, address) = program_of_the_guide("broadcast");
    test(async {
        let mut sockets = Vec::new();
        for _ in 0..10 {
            sockets.push(connect(&address).await);
        }
        // One that has gone is no hindrance.
        sockets.pop().unwrap().close(None).await.unwrap();
        sockets[3].send(Message::text("hello all")).await.unwrap();
        for socket in &mut sockets {
            assert_eq!(next(socket).await, Message::text("hello all"));
        }
        program.interrupt();
        for mut socket in sockets {
            let Message::Close(Some(close)) = next(&mut socket).await else { panic!("no close") };
            assert_eq!(close.code, CloseCode::Away);
            assert!(socket.next().await.is_none_or(|end| end.is_err()));
        }
    });
    assert!(program.line().ends_with(" closed kindly, 0 cut"));
    program.finish();
}

#[test]
fn feed_goes_on_where_the_client_was() {
    let (program, address) = program_of_the_guide("feed");
    test(async {
        let mut first = Http::listen(&address, "/feed", "").await;
        first.until("retry: 1000\n\n").await;
        assert_eq!(status(&address, "POST /news", b"one").await, "202");
        assert_eq!(status(&address, "POST /news", b"two\nlines").await, "202");
        assert_eq!(status(&address, "POST /news", b"\xff").await, "400");
        assert_eq!(status(&address, "POST /news", &[b'x'; 1001]).await, "413");
        first.until("data: one\nid: 1\n\n").await;
        first.until("data: two\ndata: lines\nid: 2\n\n").await;

        let mut back = Http::listen(&address, "/feed", "Last-Event-ID: 1\r\n").await;
        let missed = back.until("id: 2\n\n").await;
        assert!(!missed.contains("gap") && !missed.contains("one"), "{missed}");
        for number in 3..=150 {
            assert_eq!(status(&address, "POST /news", b"more").await, "202");
            first.until(&format!("id: {number}\n\n")).await;
        }
        let mut late = Http::listen(&address, "/feed", "Last-Event-ID: 2\r\n").await;
        late.until("event: gap\n\n").await;
        late.until("data: more\nid: 51\n\n").await;
        late.until("id: 150\n\n").await;
        let mut current = Http::listen(&address, "/feed", "Last-Event-ID: 150\r\n").await;
        drop(late);
        assert_eq!(status(&address, "POST /news", b"last").await, "202");
        let got = current.until("id: 151\n\n").await;
        assert!(!got.contains("gap") && !got.contains("id: 150"), "{got}");
    });
    program.terminate();
}

/// Bodies in both directions, larger than all buffers on the way; the last one breaks off.
async fn transfers(address: &str) {
    const LEN: usize = 20 * 1024 * 1024;
    let mut put = Http::send(address, "PUT /upload", &vec![7; LEN]).await;
    put.until(&format!("\r\n\r\n{LEN} bytes\n")).await;
    let mut get = Http::send(address, &format!("GET /zeros/{LEN}"), b"").await;
    assert!(get.until("\r\n\r\n").await.contains("transfer-encoding: chunked"));
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n0\r\n\r\n") {
        assert_ne!(get.0.read_buf(&mut got).await.unwrap(), 0, "broken off");
    }
    assert_eq!(got.iter().filter(|byte| **byte == 0).count(), LEN);
    assert_eq!(status(address, "GET /zeros/", b"").await, "404");

    let mut gone = TcpStream::connect(address).await.unwrap();
    let head = b"PUT /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nbegun";
    gone.write_all(head).await.unwrap();
}

#[test]
fn upload_takes_and_sends_bodies_of_any_size() {
    let (mut program, address) = program_of_the_guide("upload");
    test(transfers(&address));
    assert_eq!(program.line(), "given up after 5 bytes: closed");
    program.interrupt();
    program.finish();
}

#[test]
fn upload_events_takes_and_sends_bodies_of_any_size() {
    let (mut program, address) = program_of_the_guide("upload_events");
    test(transfers(&address));
    assert_eq!(program.line(), "given up after 5 bytes: closed");
    program.terminate();
}

#[test]
fn the_programs_in_cpp_echo() {
    for name in ["echo", "echo_events"] {
        let (program, address) = program_in_cpp(name);
        test(async {
            echoes(&address).await;
            assert_eq!(status(&address, "GET /", b"").await, "426");
        });
        program.terminate();
    }
}

#[test]
fn the_program_in_python_echoes() {
    let source = scratch_file("echo.py");
    let program = blocks("docs/c-api/production.md", "python").pop().expect("a whole program");
    let library = lithe_ffi_tests::library().join("liblithe.so.1");
    fs::write(&source, program.replace("liblithe.so.1", library.to_str().unwrap())).unwrap();
    let arguments = [source.to_str().unwrap(), "127.0.0.1:0"];
    let mut program = Program::start(Path::new("python3"), arguments);
    let address = address(&program.line());
    test(echoes(&address));
    program.terminate();
}

#[test]
fn the_program_of_the_readme_tells_visitors_of_each_other() {
    let mut program = program("README.md", "c", "visitors", "int main");
    let address = address(&program.line());
    test(async {
        let mut first = Http::listen(&address, "/", "").await;
        first.until("data: somebody came\n\n").await;
        let mut second = Http::listen(&address, "/", "").await;
        second.until("data: somebody came\n\n").await;
        first.until("data: somebody came\n\n").await;
    });
    program.terminate();
}

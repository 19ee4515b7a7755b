//! The loads against the servers that they are made for, and against one that lies.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use lithe_bench::accept::Accept;
use lithe_bench::echo::Echo;
use lithe_bench::fanout::{Fanout, Pace};
use lithe_bench::follow::Follow;
use lithe_bench::idle::Idle;
use lithe_bench::net::{self, Protocol, Target};
use lithe_bench::process::Server;
use lithe_bench::publish::Publish;
use lithe_bench::report::Timing;
use lithe_bench::resume::Resume;

const LITHE: &str = env!("CARGO_BIN_EXE_lithe-bench-server");
const AXUM: &str = env!("CARGO_BIN_EXE_axum-baseline");
const TCP: &str = env!("CARGO_BIN_EXE_tcp-echo");

const TIMING: Timing =
    Timing { warm_up: Duration::from_millis(50), measure: Duration::from_millis(200) };

fn echo(target: Target) -> Echo {
    Echo {
        target,
        connections: 5,
        size: 100,
        pipeline: 3,
        rate: None,
        spin: false,
        text: false,
        timing: TIMING,
        server: None,
    }
}

#[test]
fn every_server_echoes_messages_of_every_size() {
    let servers = [(TCP, Protocol::Tcp), (LITHE, Protocol::WebSocket), (AXUM, Protocol::WebSocket)];
    for (program, protocol) in servers {
        let server = Server::start(program).unwrap();
        for size in [1, 125, 126, 65_536] {
            let target = Target::new(server.address, protocol, "/");
            let report = Echo { size, server: Some(server.pid()), ..echo(target) }.run().unwrap();
            assert!(report.messages > 0, "{size} bytes from {program}");
            assert_eq!(report.latency.len(), report.messages);
            assert!(report.per_cpu() > report.rate() / 2.0, "one thread cannot use two cores");
        }
    }
}

#[test]
fn no_more_is_sent_than_the_rate_says() {
    let server = Server::start(LITHE).unwrap();
    let target = Target::new(server.address, Protocol::WebSocket, "/");
    let began = Instant::now();
    let report = Echo { rate: Some(200.0), text: true, ..echo(target) }.run().unwrap();
    let due = 200.0 * began.elapsed().as_secs_f64() + 1.0;
    let messages = report.messages as f64;
    assert!(0.0 < messages && messages <= due, "{messages} where {due} were due");
}

/// On a busy machine nothing may arrive within a short window.
fn delivers(fanout: Fanout) -> bool {
    [1, 10, 100].into_iter().any(|times| {
        let timing = Timing { measure: TIMING.measure * times, ..TIMING };
        Fanout { timing, ..fanout.clone() }.run().unwrap().messages > 0
    })
}

#[test]
fn publications_reach_all_subscribers() {
    for program in [LITHE, AXUM] {
        let server = Server::start(program).unwrap();
        for (protocol, path) in [(Protocol::WebSocket, "/sub"), (Protocol::Sse, "/sse")] {
            for pace in [Pace::Burst(1), Pace::Burst(70), Pace::Rate(500.0)] {
                let fanout = Fanout {
                    subscribe: Target::new(server.address, protocol, path),
                    publish: Target::new(server.address, Protocol::WebSocket, "/pub"),
                    subscribers: 20,
                    channels: 1,
                    frames: false,
                    size: 128,
                    pace,
                    timing: TIMING,
                    server: None,
                };
                assert!(delivers(fanout), "{pace:?} {path} from {program}");
            }
        }
    }
}

#[test]
fn publications_reach_the_subscribers_of_a_hub() {
    let server = Server::start(LITHE).unwrap();
    for channels in [1, 5] {
        for pace in [Pace::Burst(1), Pace::Burst(16), Pace::Rate(100.0)] {
            let fanout = Fanout {
                subscribe: Target::new(server.address, Protocol::Sse, "/hub/sse?channel=bench.{}"),
                publish: Target::new(
                    server.address,
                    Protocol::WebSocket,
                    &format!("/hub-pub/{channels}"),
                ),
                subscribers: 20,
                channels,
                frames: false,
                size: 128,
                pace,
                timing: TIMING,
                server: None,
            };
            assert!(delivers(fanout), "{pace:?} on {channels} channels");
        }
    }
}

#[test]
fn those_who_come_back_get_all_that_they_have_missed() {
    let server = Server::start(LITHE).unwrap();
    let (clients, missed) = (50, 20);
    let resume =
        Resume { address: server.address, clients, missed, size: 128, server: server.pid() };
    assert_eq!(resume.run().unwrap().messages, (clients * missed) as u64);
}

#[test]
fn publications_without_a_subscriber_are_counted() {
    let server = Server::start(LITHE).unwrap();
    let (address, server) = (server.address, server.pid());
    let publish = Publish { address, size: 128, timing: TIMING, server };
    let report = publish.run().unwrap();
    assert!(report.messages > 0);
    assert!(report.elapsed >= TIMING.measure, "{:?}", report.elapsed);
}

#[test]
fn what_a_program_publishes_by_itself_reaches_those_who_listen() {
    let server = Server::start(LITHE).unwrap();
    // Ten publications every 20 ms.
    net::get(server.address, "/downloads-start/load/10/20").unwrap();
    let follow = |times| Follow {
        target: Target::new(server.address, Protocol::Sse, "/hub/sse?channel=load.0&format=json"),
        clients: 20,
        timing: Timing { measure: TIMING.measure * times, ..TIMING },
        server: server.pid(),
    };
    let (report, usage) = [1, 10, 100]
        .into_iter()
        .map(|times| follow(times).run().unwrap())
        .find(|(report, _)| report.messages > 0)
        .expect("something arrives within 20 s");
    assert_eq!(report.latency.len(), report.messages);
    assert!(usage.descriptors > 20, "{usage:?}");
    assert!(usage.resident > 0, "{usage:?}");
}

/// An event stream of one client with publications of these offsets.
fn stream_of(offsets: &'static [u64]) -> SocketAddrV4 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 4096]).unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        socket.write_all(head.as_bytes()).unwrap();
        for offset in offsets {
            let frame = format!("{{\"type\":\"pub\",\"offset\":{offset},\"time\":1}}");
            socket.write_all(format!("data: {frame}\n\n").as_bytes()).unwrap();
        }
        // Until the client goes.
        let _ = socket.read(&mut [0; 1]);
    });
    address
}

#[test]
fn a_publication_that_is_missing_from_a_stream_is_an_error() {
    let target = Target::new(stream_of(&[7, 8, 10]), Protocol::Sse, "/");
    let server = std::process::id();
    let error = Follow { target, clients: 1, timing: TIMING, server }.run().unwrap_err();
    assert!(error.to_string().contains("publication 10 instead of Some(9)"), "{error}");
}

#[test]
fn idle_connections_cost_less_than_axums() {
    let cost = |program, protocol, path| {
        let server = Server::start(program).unwrap();
        let idle = Idle {
            target: Target::new(server.address, protocol, path),
            publish: Target::new(server.address, Protocol::WebSocket, "/pub"),
            frames: false,
            connections: 200,
            message: Some(65_536),
            settle: Duration::ZERO,
            server: server.pid(),
        };
        idle.run().unwrap().per_connection()
    };
    for (protocol, path) in [(Protocol::WebSocket, "/"), (Protocol::Sse, "/sse")] {
        let (lithe, axum) = (cost(LITHE, protocol, path), cost(AXUM, protocol, path));
        assert!(lithe < axum, "{lithe} against {axum} bytes at {path}");
    }
}

#[test]
fn handshakes_are_counted() {
    let server = Server::start(LITHE).unwrap();
    let tcp = Server::start(TCP).unwrap();
    for target in [
        Target::new(server.address, Protocol::WebSocket, "/"),
        Target::new(server.address, Protocol::Sse, "/sse"),
        Target::new(tcp.address, Protocol::Tcp, "/"),
    ] {
        let accept = Accept { target, concurrency: 4, timing: TIMING, server: None };
        assert!(accept.run().unwrap().messages > 0);
    }
}

#[test]
fn a_refused_handshake_is_an_error() {
    let server = Server::start(LITHE).unwrap();
    let error =
        echo(Target::new(server.address, Protocol::WebSocket, "/nowhere")).run().unwrap_err();
    assert!(error.to_string().contains("404"), "{error}");
}

/// A TCP echo for one connection that does something to the bytes.
fn tamper(change: fn(&mut Vec<u8>)) -> io::Error {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { unreachable!() };
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = socket.read(&mut bytes) {
            let mut answer = bytes[..n].to_vec();
            change(&mut answer);
            if socket.write_all(&answer).is_err() {
                return;
            }
        }
    });
    let target = Target::new(address, Protocol::Tcp, "/");
    Echo { connections: 1, ..echo(target) }.run().unwrap_err()
}

#[test]
fn a_changed_byte_is_an_error() {
    let error = tamper(|bytes| *bytes.last_mut().unwrap() ^= 1);
    assert!(error.to_string().contains("came back changed"), "{error}");
}

#[test]
fn a_doubled_message_is_an_error() {
    let error = tamper(|bytes| bytes.extend_from_slice(&bytes.clone()));
    let message = error.to_string();
    assert!(message.contains("changed") || message.contains("nobody sent"), "{message}");
}

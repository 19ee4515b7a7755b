//! A thousand connections, and what is left of them.

use std::fs;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use lithe_ffi_tests::Program;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Get, Socket, address, connect, connect_narrow, next_text, test};
use crate::support::eventually;
use crate::{example, trial};

/// How often they come and go.
const ROUNDS: usize = 4;

/// What a process has of the system.
#[derive(Clone, Copy, Debug)]
struct Usage {
    threads: usize,
    descriptors: usize,
    /// Memory, in KiB.
    resident: usize,
}

impl Usage {
    fn of(program: &Program) -> Usage {
        let directory = format!("/proc/{}", program.id());
        let count = |entries: &str| fs::read_dir(format!("{directory}/{entries}")).unwrap().count();
        let status = fs::read_to_string(format!("{directory}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        Usage {
            threads: count("task"),
            descriptors: count("fd"),
            resident: resident.trim().trim_end_matches(" kB").parse().unwrap(),
        }
    }

    /// Waits until as many threads and descriptors are left as there were.
    fn settled(program: &Program, before: Usage) -> Usage {
        let mut now = before;
        eventually("nothing is left of those who have gone", || {
            now = Usage::of(program);
            (now.threads, now.descriptors) == (before.threads, before.descriptors)
        });
        now
    }
}

async fn close(mut socket: Socket) {
    socket.close(None).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(message.is_close());
    }
}

/// Clients that come together, talk, and leave: half of them without a word.
async fn crowd(program: &Program, address: &str) {
    const CLIENTS: usize = 1000;
    let mut sockets = Vec::new();
    while sockets.len() < CLIENTS {
        sockets.extend(join_all((0..50).map(|_| connect(address, "/echo"))).await);
    }
    let threads = Usage::of(program).threads;
    assert!(threads < 32, "{threads} threads for {CLIENTS} connections");
    for number in 0..5 {
        for (client, socket) in sockets.iter_mut().enumerate() {
            let text = format!("{number} of {client}").repeat(100);
            socket.send(Message::text(text)).await.unwrap();
        }
        for (client, socket) in sockets.iter_mut().enumerate() {
            let text = format!("{number} of {client}").repeat(100);
            assert_eq!(next_text(socket).await, text);
        }
    }
    drop(sockets.split_off(CLIENTS / 2));
    join_all(sockets.into_iter().map(close)).await;
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn nothing_is_left_of_a_thousand_connections() {
    let mut program = example("websocket");
    let address = address(&program.line());
    let before = Usage::of(&program);
    let mut after = Vec::new();
    for _ in 0..ROUNDS {
        test(crowd(&program, &address));
        after.push(Usage::settled(&program, before));
    }
    // What memory the first crowd has taken the next ones get.
    let (second, last) = (after[1], after[ROUNDS - 1]);
    assert!(last.resident < second.resident + 2048, "{before:?}, then {after:?}");
    program.interrupt();
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn nothing_is_left_of_handlers_whose_clients_have_gone() {
    const CLIENTS: usize = 200;
    let mut program = trial();
    let address = address(&program.line());
    let before = Usage::of(&program);
    let mut after = Vec::new();
    for _ in 0..ROUNDS {
        test(async {
            let mut sockets =
                join_all((0..CLIENTS / 2).map(|_| connect(&address, "/thread"))).await;
            let mut streams = Vec::new();
            for _ in 0..CLIENTS / 2 {
                streams.push(Get::send(&address, "/hang", "").await);
            }
            for stream in &mut streams {
                stream.until("\r\n\r\n").await;
            }
            for socket in &mut sockets {
                socket.send(Message::text("hello")).await.unwrap();
                assert_eq!(next_text(socket).await, "hello");
            }
            assert!(Usage::of(&program).threads > CLIENTS);
        });
        for _ in 0..CLIENTS / 2 {
            assert_eq!(program.line(), "nobody hangs any more");
        }
        after.push(Usage::settled(&program, before));
    }
    // A thread that ends leaves memory behind for the next one, of which some gets more.
    let (second, last) = (after[1], after[ROUNDS - 1]);
    assert!(last.resident < second.resident + 8192, "{before:?}, then {after:?}");
    program.interrupt();
    assert_eq!(program.line(), "ended");
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn a_client_that_reads_slowly_gets_everything_and_holds_nobody_up() {
    const MESSAGES: usize = 400;
    let mut program = example("websocket");
    let address = address(&program.line());
    test(async {
        let url = format!("ws://{address}/echo");
        let stream = connect_narrow(&address).await;
        let (slow, _) = client_async(url, stream).await.unwrap();
        let mut other = connect(&address, "/echo").await;
        let (mut sender, mut receiver) = slow.split();
        let message = |number: usize| Message::binary(vec![number as u8; 65536]);
        let flood = async {
            for number in 0..MESSAGES {
                sender.send(message(number)).await.unwrap();
            }
        };
        tokio::pin!(flood);
        // The echo waits for the slow one when the queue of what it is sent is full, and reads no
        // further; nobody else has to wait.
        for _ in 0..200 {
            tokio::select! {
                () = &mut flood => panic!("25 MB have gone nowhere"),
                () = async {
                    other.send(Message::text("still there?")).await.unwrap();
                    assert_eq!(next_text(&mut other).await, "still there?");
                } => {}
            }
        }
        let read = async {
            for number in 0..MESSAGES {
                assert_eq!(receiver.next().await.unwrap().unwrap(), message(number));
            }
        };
        tokio::join!(flood, read);
    });
    program.interrupt();
    program.finish();
}

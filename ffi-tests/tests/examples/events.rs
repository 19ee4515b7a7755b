//! The examples that take what happens in batches.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Get, Socket, address, connect, connect_narrow, connect_tcp, next_text, test};
use crate::{Run, start};

pub async fn close(mut socket: Socket) {
    socket.close(None).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        assert!(message.is_close());
    }
}

/// Has the program close a client that reads nothing, while another is served.
pub async fn flood(address: &str) {
    let url = format!("ws://{address}/");
    let (mut slow, _) = client_async(url, connect_narrow(address).await).await.unwrap();
    let mut other = connect(address, "/").await;
    let message = Message::binary(vec![0; 65536]);
    // The program gives up on it, and then cuts it.
    while slow.send(message.clone()).await.is_ok() {
        other.send(Message::text("still there?")).await.unwrap();
        assert_eq!(next_text(&mut other).await, "still there?");
    }
    close(other).await;
}

pub fn echo_events(run: Run) {
    const CLIENTS: usize = 50;
    const MESSAGES: usize = 20;
    let mut program = start("echo_events", run);
    let address = address(&program.line());
    test(async {
        let mut sockets = join_all((0..CLIENTS).map(|_| connect(&address, "/"))).await;
        for number in 0..MESSAGES {
            for (client, socket) in sockets.iter_mut().enumerate() {
                let text = format!("{number} of {client}");
                socket.send(Message::text(text)).await.unwrap();
            }
        }
        for (client, socket) in sockets.iter_mut().enumerate() {
            for number in 0..MESSAGES {
                assert_eq!(next_text(socket).await, format!("{number} of {client}"));
            }
        }
        let large = Message::binary(vec![7; 1_000_000]);
        sockets[0].send(large.clone()).await.unwrap();
        assert_eq!(sockets[0].next().await.unwrap().unwrap(), large);
        join_all(sockets.into_iter().map(close)).await;
        assert!(Get::send(&address, "/", "").await.until("\r\n").await.contains(" 426 "));
    });
    let left: BTreeSet<String> = (0..CLIENTS).map(|_| program.line()).collect();
    let expected = (1..=CLIENTS).map(|number| format!("client {number} has left with 1005"));
    assert_eq!(left, expected.collect());

    test(flood(&address));
    let left = BTreeSet::from([program.line(), program.line()]);
    let (slow, other) = (CLIENTS + 1, CLIENTS + 2);
    let expected =
        [format!("client {slow} has left with 1013"), format!("client {other} has left with 1005")];
    assert_eq!(left, expected.into());
    program.terminate();
}

fn tick_number(text: &str) -> u64 {
    let number = text.strip_prefix("tick ").unwrap_or_else(|| panic!("{text:?} is no tick"));
    number.parse().unwrap()
}

pub fn epoll_loop(run: Run) {
    let mut program = start("epoll_loop", run);
    let address = address(&program.line());
    test(async {
        assert!(Get::send(&address, "/no", "").await.until("\r\n").await.contains(" 404 "));
        assert!(Get::send(&address, "/ws", "").await.until("\r\n").await.contains(" 426 "));
        let mut sockets = [connect(&address, "/ws").await, connect(&address, "/ws").await];
        let mut stream = Get::stream(connect_tcp(&address).await, "/ticks").await;

        // Timer and clients are served by turns.
        sockets[0].send(Message::text("echo")).await.unwrap();
        let mut got = vec![];
        while !(got.len() > 2 && got.iter().any(|text| text == "echo")) {
            got.push(next_text(&mut sockets[0]).await);
        }
        got.retain(|text| text != "echo");
        let ticks: Vec<u64> = got.iter().map(|text| tick_number(text)).collect();
        assert!(ticks.is_sorted_by(|a, b| a < b), "{ticks:?}");
        let first = tick_number(&next_text(&mut sockets[1]).await);
        assert!(tick_number(&next_text(&mut sockets[1]).await) > first);
        let event = stream.until("\n\n").await;
        tick_number(event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap());

        // The ticks go on when some have left.
        let [left, mut socket] = sockets;
        close(left).await;
        drop(Get::send(&address, "/ticks", "").await);
        let last = tick_number(&next_text(&mut socket).await);
        assert!(tick_number(&next_text(&mut socket).await) > last);

        program.interrupt();
        let close = loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Close(close) => break close,
                message => drop(tick_number(message.to_text().unwrap())),
            }
        };
        assert_eq!(close.unwrap().code, CloseCode::Away);
        assert!(socket.next().await.is_none_or(|end| end.is_err()));
        while !stream.until("\n\n").await.contains("retry: ") {}
    });
    assert!(program.line().contains("closed kindly, 0 cut"));
    program.finish();
}

/// All talk at the same time, and all hear the same.
async fn conversation(sockets: &mut [Socket], streams: &mut [Get]) {
    const MESSAGES: usize = 20;
    for number in 0..MESSAGES {
        for (talker, socket) in sockets.iter_mut().enumerate() {
            socket.send(Message::text(format!("{talker} says\n{number}"))).await.unwrap();
        }
    }
    let total = sockets.len() * MESSAGES;
    let mut heard = vec![];
    for _ in 0..total {
        heard.push(next_text(&mut sockets[0]).await);
    }
    for talker in 0..sockets.len() {
        let own: Vec<_> =
            heard.iter().filter(|text| text.starts_with(&talker.to_string())).collect();
        let said: Vec<_> = (0..MESSAGES).map(|number| format!("{talker} says\n{number}")).collect();
        assert_eq!(own, said.iter().collect::<Vec<_>>());
    }
    for socket in &mut sockets[1..] {
        for text in &heard {
            assert_eq!(next_text(socket).await, *text);
        }
    }
    for stream in streams {
        for text in &heard {
            let event = format!("data: {}\n\n", text.replace('\n', "\ndata: "));
            assert_eq!(stream.until("\n\n").await, event);
        }
    }
}

/// Says so much that whoever does not read is too slow.
async fn slow_clients(address: &str, talker: &mut Socket, listener: &mut Get) {
    const MESSAGES: usize = 768;
    let url = format!("ws://{address}/talk");
    let (mut slow_talker, _) = client_async(url, connect_narrow(address).await).await.unwrap();
    let mut slow_listener = Get::stream(connect_narrow(address).await, "/listen").await;

    let text = "x".repeat(16 * 1024);
    let event = format!("data: {text}\n\n");
    for _ in 0..MESSAGES {
        talker.send(Message::text(text.as_str())).await.unwrap();
        assert!(next_text(talker).await == text);
        assert!(listener.until("\n\n").await == event);
    }

    let mut heard = 0;
    let missed = loop {
        let got = slow_listener.until("\n\n").await;
        if got != event {
            break got;
        }
        heard += 1;
    };
    assert!(heard < MESSAGES);
    assert_eq!(missed, format!("data: {}\nevent: missed\n\n", MESSAGES - heard));
    talker.send(Message::text("caught up?")).await.unwrap();
    assert_eq!(slow_listener.until("\n\n").await, "data: caught up?\n\n");
    assert_eq!(listener.until("\n\n").await, "data: caught up?\n\n");
    assert_eq!(next_text(talker).await, "caught up?");

    // Closed, or cut because it did not even read that.
    let mut heard = 0;
    while let Some(Ok(message)) = slow_talker.next().await {
        match message {
            Message::Close(close) => assert_eq!(close.unwrap().code, CloseCode::Again),
            message => assert!(message.to_text().unwrap() == text),
        }
        heard += 1;
    }
    assert!(heard < MESSAGES);
}

pub fn broadcast(run: Run) {
    let mut program = start("broadcast", run);
    let address = address(&program.line());
    test(async {
        let page = Get::send(&address, "/", "").await.until("</html>").await;
        assert!(page.contains("content-type: text/html") && page.contains("new EventSource("));
        assert!(Get::send(&address, "/no", "").await.until("\r\n").await.contains(" 404 "));
        assert!(Get::send(&address, "/talk", "").await.until("\r\n").await.contains(" 426 "));

        let mut streams = [
            Get::stream(connect_tcp(&address).await, "/listen").await,
            Get::stream(connect_tcp(&address).await, "/listen").await,
        ];
        let mut sockets = [
            connect(&address, "/talk").await,
            connect(&address, "/talk").await,
            connect(&address, "/talk").await,
        ];
        conversation(&mut sockets, &mut streams).await;

        // Those who leave are not missed by the others.
        let [mut binary, left, mut talker] = sockets;
        binary.send(Message::binary(vec![0])).await.unwrap();
        let Message::Close(Some(close)) = binary.next().await.unwrap().unwrap() else { panic!() };
        assert_eq!(close.code, CloseCode::Unsupported);
        self::close(left).await;
        let [mut listener, gone] = streams;
        drop(gone);
        slow_clients(&address, &mut talker, &mut listener).await;

        program.interrupt();
        let Message::Close(Some(close)) = talker.next().await.unwrap().unwrap() else { panic!() };
        assert_eq!(close.code, CloseCode::Away);
        assert!(talker.next().await.is_none_or(|end| end.is_err()));
        assert!(listener.until("\n\n").await.contains("retry: "));
        let mut rest = Vec::new();
        listener.0.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
    });
    assert!(program.line().contains("closed kindly, 0 cut"));
    program.finish();
}

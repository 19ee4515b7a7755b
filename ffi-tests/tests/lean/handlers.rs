//! Handlers that throw and hang.

use futures_util::SinkExt as _;
use lithe_ffi_tests::Program;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{Get, Socket, address, connect, next_text, test};
use crate::{answer, closed, trial};

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

async fn echoes(socket: &mut Socket, text: &str) {
    say(socket, text).await;
    assert_eq!(next_text(socket).await, text);
}

/// The next lines that a program prints, in no particular order.
fn lines<const N: usize>(program: &mut Program) -> [String; N] {
    let mut lines = std::array::from_fn(|_| program.line());
    lines.sort();
    lines
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn what_a_handler_throws_is_its_own_clients_business() {
    let mut program = trial();
    let address = address(&program.line());
    test(async {
        let told = answer(&address, "GET /http-error", "}").await;
        assert!(told.contains(" 404 ") && told.contains("gone fishing"), "{told}");
        let told = answer(&address, "GET /io-error", "}").await;
        assert!(told.contains(" 500 ") && !told.contains("disk"), "{told}");
        assert!(program.line().contains("the disk is full"));
        let told =
            answer(&address, "POST /greet/Ann%20B\r\nContent-Length: 6\r\n\r\nhello\n", "\n").await;
        assert!(told.contains(" 200 "), "{told}");

        let Err(Error::Http(refused)) = connect_async(format!("ws://{address}/loop")).await else {
            panic!("nobody connects without a key")
        };
        assert_eq!(refused.status(), 403);
        for (path, greets) in [("/loop?key=k", true), ("/thread", false)] {
            let mut witness = connect(&address, path).await;
            if greets {
                assert_eq!(next_text(&mut witness).await, "welcome");
            }
            for (word, error) in
                [("throw an HttpError", "no such thing"), ("throw an IO.Error", "the disk is full")]
            {
                let mut thrower = connect(&address, path).await;
                if greets {
                    assert_eq!(next_text(&mut thrower).await, "welcome");
                }
                echoes(&mut thrower, "still well").await;
                say(&mut thrower, word).await;
                say(&mut thrower, "nobody hears this").await;
                let close = closed(&mut thrower).await;
                assert_eq!(close.code, CloseCode::Error);
                // What went wrong inside is nothing for clients.
                assert_eq!(close.reason.as_str(), "");
                if greets {
                    let [closed, thrown] = lines(&mut program);
                    assert_eq!(closed, "closed with 1011 after 1");
                    assert!(thrown.contains(error), "{thrown}");
                } else {
                    assert!(program.line().contains(error));
                }
                echoes(&mut witness, word.split(' ').next().unwrap()).await;
            }
            if greets {
                let mut thrower = connect(&address, "/loop?key=throw%20an%20IO.Error").await;
                assert_eq!(closed(&mut thrower).await.code, CloseCode::Error);
                assert!(program.line().contains("the disk is full"));
                say(&mut witness, "how many").await;
                assert_eq!(next_text(&mut witness).await, "2");
                assert_eq!(next_text(&mut witness).await, "how many");
                say(&mut witness, "close").await;
                let close = closed(&mut witness).await;
                assert_eq!(
                    (close.code, close.reason.as_str()),
                    (CloseCode::Library(4321), "as you say")
                );
                assert_eq!(program.line(), "closed with 4321 after 3");
            } else {
                witness.close(None).await.unwrap();
            }
        }
    });
    program.interrupt();
    assert_eq!(program.line(), "ended");
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn a_shutdown_wakes_whoever_waits() {
    let mut program = trial();
    let address = address(&program.line());
    test(async {
        let mut hanging = Get::send(&address, "/hang", "").await;
        hanging.until("\n:\n\n").await;
        // A client that goes wakes its handler.
        drop(hanging);
        assert_eq!(program.line(), "nobody hangs any more");

        let mut hanging = Get::send(&address, "/hang", "").await;
        hanging.until("\n:\n\n").await;
        let mut looping = connect(&address, "/loop?key=k").await;
        assert_eq!(next_text(&mut looping).await, "welcome");
        let mut receiving = connect(&address, "/thread").await;
        echoes(&mut receiving, "hello").await;
        program.interrupt();
        for socket in [&mut looping, &mut receiving] {
            assert_eq!(closed(socket).await.code, CloseCode::Away);
        }
        hanging.until("retry: ").await;
    });
    assert_eq!(lines(&mut program), ["closed with 1001 after 0", "nobody hangs any more"]);
    assert_eq!(program.line(), "ended");
    program.finish();
}

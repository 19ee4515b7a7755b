//! The chat and the game, in a browser and beside it.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Socket, address, connect, next_text, test};
use crate::webdriver::Browser;
use crate::{closed, example};

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

async fn next_json(socket: &mut Socket) -> Value {
    serde_json::from_str(&next_text(socket).await).unwrap()
}

/// The next line of the chat: who says it, and what.
async fn next_line(socket: &mut Socket) -> (String, String) {
    loop {
        let frame = next_json(socket).await;
        if frame["type"] == "pub" {
            let line: Value = serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
            let field = |name: &str| line[name].as_str().unwrap().to_owned();
            return (field("from"), field("text"));
        }
    }
}

/// What a page shows, text by text.
fn shown(page: &Browser, selector: &str) -> Vec<String> {
    let texts = page.run(&format!(
        "return [...document.querySelectorAll('{selector}')].map(each => each.textContent)"
    ));
    serde_json::from_value(texts).unwrap()
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn a_browser_chats_and_finds_what_was_said() {
    let mut program = example("websocket");
    let address = address(&program.line());
    let url = format!("http://{address}/");
    let page = Browser::open(&url);
    page.run("localStorage.name = 'Page';");
    page.go(&url);
    page.wait_until("document.body.classList.contains('open')");
    let odd = r#"<b>"odd"</b> \ 🦀"#;
    test(async {
        let mut ann = connect(&address, "/chat?name=Ann%20%22A%22").await;
        page.wait_until("document.querySelectorAll('#people li').length === 2");
        assert_eq!(shown(&page, "#people li"), ["Page", "Ann \"A\""]);
        say(&mut ann, odd).await;
        page.wait_until("document.querySelectorAll('#lines li').length === 1");
        page.run(
            "document.getElementById('text').value = 'hello';
            document.getElementById('form').requestSubmit();",
        );
        assert_eq!(next_line(&mut ann).await, ("Ann \"A\"".to_owned(), odd.to_owned()));
        assert_eq!(next_line(&mut ann).await, ("Page".to_owned(), "hello".to_owned()));
        ann.close(None).await.unwrap();
        page.wait_until("document.querySelectorAll('#people li').length === 1");

        page.go(&url);
        page.wait_until("document.querySelectorAll('#lines li').length === 2");
        assert_eq!(shown(&page, "#lines p"), [odd, "hello"]);

        let mut bob = connect(&address, "/chat?name=Bob").await;
        bob.send(Message::binary(vec![1])).await.unwrap();
        assert_eq!(closed(&mut bob).await.code, CloseCode::Unsupported);
        let mut bob = connect(&address, "/chat?name=Bob").await;
        say(&mut bob, &"a".repeat(1001)).await;
        assert_eq!(closed(&mut bob).await.code, CloseCode::Policy);
        let mut bob = connect(&address, "/chat?name=Bob").await;
        say(&mut bob, &"a".repeat(8193)).await;
        assert_eq!(closed(&mut bob).await.code, CloseCode::Size);
    });
    drop(page);
    program.interrupt();
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn an_echo_says_everything_again() {
    let mut program = example("websocket");
    let address = address(&program.line());
    test(async {
        let mut sockets = [connect(&address, "/echo").await, connect(&address, "/echo").await];
        let messages = [
            Message::text("héllo"),
            Message::text(""),
            Message::text("nothing\0ends here"),
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
        let [mut first, mut second] = sockets;
        first.send(Message::Ping("p".into())).await.unwrap();
        assert_eq!(first.next().await.unwrap().unwrap(), Message::Pong("p".into()));
        let bye = CloseFrame { code: CloseCode::Library(4321), reason: "bye".into() };
        first.close(Some(bye)).await.unwrap();
        assert_eq!(closed(&mut first).await.code, CloseCode::Library(4321));
        program.interrupt();
        assert_eq!(closed(&mut second).await.code, CloseCode::Away);
    });
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn a_browser_plays_with_another_player() {
    let mut program = example("combined");
    let address = address(&program.line());
    let page = Browser::open(&format!("http://{address}/"));
    let me = "world.players.find(player => player.id === me)";
    page.wait_until(&format!("world && me && {me}"));
    // The world is drawn.
    page.wait_until("canvas.width === 36 * 16 * 3 && context.getImageData(9, 9, 1, 1).data[3]");
    let press = |key: &str| {
        page.run(&format!("dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}));"));
    };
    for (key, facing) in [("ArrowLeft", "left"), ("w", "up"), ("d", "right")] {
        press(key);
        page.wait_until(&format!("{me}.facing === '{facing}'"));
    }
    press("c");
    page.wait_until("document.getElementById('hint').textContent.includes('next to a table')");
    test(async {
        let mut bob = connect(&address, "/play?name=Bob").await;
        let id = next_json(&mut bob).await["you"].clone();
        let bob_is = |what: &str| {
            format!(
                "world.players.some(player => player.id === {id} && player.name === 'Bob' {what})"
            )
        };
        page.wait_until(&bob_is(""));
        for facing in ["left", "right", "up", "down"] {
            say(&mut bob, facing).await;
            page.wait_until(&bob_is(&format!("&& player.facing === '{facing}'")));
        }
        say(&mut bob, "place").await;
        assert_eq!(next_json(&mut bob).await["hint"], "You have no stone.");
        // What is no action ends the player who tries it, and nobody else.
        say(&mut bob, "fly").await;
        assert_eq!(closed(&mut bob).await.code, CloseCode::Error);
        page.wait_until(&format!("!{}", bob_is("")));
        press("ArrowDown");
        page.wait_until(&format!("{me}.facing === 'down'"));
    });
    drop(page);
    program.interrupt();
    let output = program.wait();
    assert!(output.status.success());
    assert!(output.stderr.contains("no such action"), "{}", output.stderr);
}

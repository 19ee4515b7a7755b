//! The chat: what it says, and that it loses and doubles nothing.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use lithe_ffi_tests::{Program, scratch_dir};
use serde_json::Value;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Get, Socket, address, connect, next_text, test};
use crate::hubs::Redis;
use crate::support::eventually;
use crate::webdriver::Browser;
use crate::{Run, build, start_with};

/// The lines that a talker says, and no more than so many before the first of them has appeared.
const LINES: usize = 150;
const UNSEEN: usize = 8;

/// The next line that is delivered: its name and text.
async fn next_line(socket: &mut Socket) -> String {
    loop {
        let frame: Value = serde_json::from_str(&next_text(socket).await).unwrap();
        if frame["type"] == "pub" {
            return frame["data"].as_str().unwrap().to_owned();
        }
    }
}

async fn say(socket: &mut Socket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.unwrap();
}

async fn close_code(socket: &mut Socket) -> CloseCode {
    loop {
        if let Message::Close(close) = socket.next().await.unwrap().unwrap() {
            return close.unwrap().code;
        }
    }
}

pub fn chat(run: Run) {
    let file = scratch_dir("chat").join(format!("{}.txt", thread_name()));
    let arguments = [OsStr::new("0"), file.as_os_str()];
    let mut program = start_with("chat", run, arguments);
    let first = address(&program.line());
    test(async {
        let page = Get::send(&first, "/", "").await.until("</html>").await;
        assert!(page.contains("text/html; charset=utf-8") && page.contains("new WebSocket("));
        assert!(Get::send(&first, "/no", "").await.until("\r\n").await.contains(" 404 "));
        assert!(Get::send(&first, "/chat", "").await.until("\r\n").await.contains(" 426 "));

        let mut people = Get::send(&first, "/people", "").await;
        people.until("data: \n").await;
        let mut ann = connect(&first, "/chat").await;
        say(&mut ann, "Ann\t").await;
        people.until("data: Ann\n").await;
        let mut bob = connect(&first, "/chat").await;
        say(&mut bob, "Bob\u{7}".to_owned() + &"é".repeat(40)).await;
        people.until(&format!("data: Ann\ndata: Bob {}\n", "é".repeat(18))).await;

        // Whatever is said twice with the same key is said once.
        for line in ["a1\thello,\nyou\0", "a1\thello,\nyou\0", "a2\tstill\tthere?"] {
            say(&mut ann, line).await;
        }
        for socket in [&mut ann, &mut bob] {
            assert_eq!(next_line(socket).await, "Ann\thello, you ");
            assert_eq!(next_line(socket).await, "Ann\tstill there?");
        }
        for wrong in ["no key", "\tno key", &format!("{}\tlong", "k".repeat(65))] {
            let mut cara = connect(&first, "/chat").await;
            say(&mut cara, "Cara\t").await;
            say(&mut cara, wrong).await;
            assert_eq!(close_code(&mut cara).await, CloseCode::Policy);
        }
        bob.close(None).await.unwrap();
        people.until("data: Ann\nevent: people\n").await;

        program.interrupt();
        assert_eq!(close_code(&mut ann).await, CloseCode::Away);
        people.until("retry: ").await;
    });
    assert_eq!(program.line(), "");
    assert!(program.line().contains("closed kindly, 0 cut"));
    program.finish();

    let mut program = start_with("chat", run, arguments);
    let second = address(&program.line());
    test(async {
        let mut dan = connect(&second, "/chat").await;
        say(&mut dan, "Dan").await;
        assert_eq!(next_line(&mut dan).await, "Ann\thello, you ");
        assert_eq!(next_line(&mut dan).await, "Ann\tstill there?");
    });
    program.interrupt();
    assert_eq!(program.line(), "");
    assert!(program.line().contains("closed kindly"));
    program.finish();
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().replace(':', "-")
}

/// Somebody who says lines, as the page does it: what has not appeared is said again with the same
/// key on each new connection.
struct Talker {
    name: String,
    /// What is here.
    lines: Vec<String>,
    cursor: String,
    said: usize,
    /// The keys that have not appeared, which are the texts too.
    waiting: Vec<String>,
}

impl Talker {
    /// Talks until `total` lines are here, and counts them there. Returns them.
    fn start(
        address: &str,
        name: &str,
        total: usize,
        seen: Arc<AtomicUsize>,
    ) -> JoinHandle<Vec<String>> {
        let mut talker = Talker {
            name: name.to_owned(),
            lines: Vec::new(),
            cursor: String::new(),
            said: 0,
            waiting: Vec::new(),
        };
        let url = format!("ws://{address}/chat");
        thread::spawn(move || {
            test(async {
                while talker.lines.len() < total || !talker.waiting.is_empty() {
                    match connect_async(&url).await {
                        Ok((mut socket, _)) => {
                            // Whatever breaks the connection, there is another one.
                            let _ = talker.talk(&mut socket, total, &seen).await;
                        }
                        // As a page, it does not try again at once.
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            });
            talker.lines
        })
    }

    /// Talks on one connection. `None`: it has ended.
    async fn talk(&mut self, socket: &mut Socket, total: usize, seen: &AtomicUsize) -> Option<()> {
        socket.send(Message::text(format!("{}\t{}", self.name, self.cursor))).await.ok()?;
        for key in &self.waiting {
            socket.send(Message::text(format!("{key}\t{key}"))).await.ok()?;
        }
        loop {
            while self.said < LINES && self.waiting.len() < UNSEEN {
                self.said += 1;
                let key = format!("{}-{}", self.name, self.said);
                self.waiting.push(key.clone());
                socket.send(Message::text(format!("{key}\t{key}"))).await.ok()?;
            }
            if self.lines.len() >= total && self.waiting.is_empty() {
                return None;
            }
            let message = socket.next().await?.ok()?;
            if !message.is_text() {
                continue;
            }
            let frame: Value = serde_json::from_str(message.to_text().ok()?).unwrap();
            self.take(&frame);
            seen.fetch_max(self.lines.len(), Ordering::Relaxed);
            // Connections break for other reasons too.
            if frame["type"] == "pub" && self.lines.len().is_multiple_of(40) {
                return None;
            }
        }
    }

    fn take(&mut self, frame: &Value) {
        match frame["type"].as_str() {
            Some("gap") => self.lines.clear(),
            Some("pub") => {
                let key = frame["key"].as_str().unwrap();
                self.cursor = format!("{}-{}", frame["epoch"].as_str().unwrap(), frame["offset"]);
                self.waiting.retain(|waiting| waiting != key);
                self.lines.push(frame["data"].as_str().unwrap().replace('\t', ": "));
            }
            _ => {}
        }
    }
}

/// The lines on a page.
fn shown(page: &Browser) -> Vec<String> {
    let lines = page.run(
        "return [...document.querySelectorAll('#messages li')].map(item =>
            [...item.children].map(part => part.textContent).join(': '))",
    );
    lines.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

fn say_on(page: &Browser, text: &str) {
    page.run(&format!(
        "document.getElementById('text').value = '{text}';
        document.getElementById('form').requestSubmit();"
    ));
}

const CONNECTED: &str = "document.body.classList.contains('open')";

#[test]
fn no_line_of_a_chat_is_lost_or_doubled_when_the_server_is_killed_twice() {
    const TALKERS: usize = 3;
    const TOTAL: usize = TALKERS * LINES + 2 * 4;
    let file = scratch_dir("chat").join("killed.txt");
    let _ = std::fs::remove_file(&file);
    let chat = build("chat");
    let start = |port: &str| Program::start(&chat, [OsStr::new(port), file.as_os_str()]);
    let mut program = start("0");
    let address = address(&program.line());
    let port = address.rsplit(':').next().unwrap();

    let url = format!("http://{address}/");
    let page = Browser::open(&url);
    page.run("localStorage.name = 'Page';");
    page.go(&url);
    page.wait_until(CONNECTED);
    let seen = Arc::new(AtomicUsize::new(0));
    let talkers: Vec<JoinHandle<Vec<String>>> = (0..TALKERS)
        .map(|talker| Talker::start(&address, &format!("T{talker}"), TOTAL, Arc::clone(&seen)))
        .collect();
    for kill in 1..=2 {
        say_on(&page, &format!("{kill}, there"));
        eventually("the talkers are in the middle of it", || {
            seen.load(Ordering::Relaxed) > kill * TOTAL / 4
        });
        // By SIGKILL.
        drop(program);
        page.wait_until(&format!("!{CONNECTED}"));
        for text in ["away", "still away", "and away"] {
            say_on(&page, &format!("{kill}, {text}"));
        }
        cut_short(&file);
        program = start(port);
        program.line();
    }

    let lines: Vec<Vec<String>> =
        talkers.into_iter().map(|talker| talker.join().unwrap()).collect();
    page.wait_until(&format!("document.querySelectorAll('#messages li').length >= {TOTAL}"));
    let mut sorted = lines[0].clone();
    sorted.sort();
    let mut expected: Vec<String> = (0..TALKERS)
        .flat_map(|talker| (1..=LINES).map(move |line| format!("T{talker}: T{talker}-{line}")))
        .collect();
    for kill in 1..=2 {
        for text in ["there", "away", "still away", "and away"] {
            expected.push(format!("Page: {kill}, {text}"));
        }
    }
    expected.sort();
    assert_eq!(sorted, expected);
    // In the same order for everybody.
    for others in [&lines[1], &lines[2], &shown(&page)] {
        assert_eq!(others, &lines[0]);
    }
    page.wait_until("document.querySelectorAll('.waiting').length === 0");
    page.run("if (sessionStorage.waiting !== '[]') throw sessionStorage.waiting;");
    program.interrupt();
    program.line();
    program.line();
    program.finish();
}

/// What a kill in the middle of writing leaves behind.
fn cut_short(file: &Path) {
    let mut file = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(b"\nkey\tNobody\tI was about to").unwrap();
}

#[test]
fn chats_with_one_redis_are_one_chat() {
    let redis = Redis::start();
    let chat = build("chat");
    let mut programs = [(); 2].map(|()| Program::start(&chat, ["0", &redis.url()]));
    let addresses = programs.each_mut().map(|program| address(&program.line()));
    let talkers = ["Ann", "Bob"].iter().zip(&addresses).map(|(name, address)| {
        Talker::start(address, name, 2 * LINES, Arc::new(AtomicUsize::new(0)))
    });
    let talkers: Vec<JoinHandle<Vec<String>>> = talkers.collect();
    let lines: Vec<Vec<String>> =
        talkers.into_iter().map(|talker| talker.join().unwrap()).collect();
    assert_eq!(lines[0], lines[1]);
    let once: BTreeSet<&String> = lines[0].iter().collect();
    assert_eq!((once.len(), lines[0].len()), (2 * LINES, 2 * LINES));
    for mut program in programs {
        program.interrupt();
        assert_eq!(program.line(), "");
        program.line();
        program.finish();
    }
}

#[test]
fn a_chat_takes_another_port_when_its_own_is_taken() {
    // Where this fails another program has the port, which is just as well.
    let _taken = std::net::TcpListener::bind("127.0.0.1:8080");
    let mut program = Program::start(&build("chat"), [""; 0]);
    assert!(program.line().contains("8080 is taken"));
    let line = program.line();
    test(async {
        Get::send(&address(&line), "/", "").await.until("</html>").await;
    });
    program.interrupt();
    assert_eq!(program.line(), "");
    assert!(program.line().contains("closed kindly"));
    program.finish();
    std::fs::remove_file(line.split_once("kept in ").unwrap().1).unwrap();
}

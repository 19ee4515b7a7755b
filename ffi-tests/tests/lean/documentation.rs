//! The Lean in the documentation compiles as printed, and its programs do what the pages say.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use futures_util::SinkExt as _;
use lithe_ffi_tests::{Program, root, scratch_dir};
use tokio_tungstenite::tungstenite::Message;

use crate::build;
use crate::client::{Get, connect, next_text, test};
use crate::support::eventually;

const PAGE: &str = "docs/lean.md";

/// The blocks in a language of a Markdown file.
fn blocks(file: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let fence = format!("\n```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or(block).to_owned() + "\n").collect()
}

/// The block that has that in it.
fn block(file: &str, language: &str, has: &str) -> String {
    let block = blocks(file, language).into_iter().find(|block| block.contains(has));
    block.unwrap_or_else(|| panic!("{file} has no {language} with {has}"))
}

/// A project with a program of the page, as the page says how to make it, but for where the package
/// is, and for the port. Also where it will listen.
fn project(name: &str, program: &str) -> (PathBuf, String) {
    let directory = scratch_dir(name);
    let package = root().join("lean-bindings").canonicalize().unwrap();
    let lakefile = block(PAGE, "toml", "[[require]]")
        .replace("../lithe/lean-bindings", package.to_str().unwrap());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let files = [
        ("lean-toolchain", fs::read_to_string(package.join("lean-toolchain")).unwrap()),
        ("lakefile.toml", lakefile),
        ("Main.lean", program.replace("8080", &free.port().to_string())),
        ("page.html", block(PAGE, "html", "<!doctype html>")),
    ];
    for (file, text) in files {
        fs::write(directory.join(file), text).unwrap();
    }
    (directory, free.to_string())
}

/// Builds a project of the page, and starts its program.
fn start((project, address): &(PathBuf, String)) -> Program {
    let program = Program::start(&build(project, "chat"), [""; 0]);
    eventually("it listens", || TcpStream::connect(address).is_ok());
    program
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn every_piece_of_lean_compiles() {
    let trial = root().join("ffi-tests/lean");
    build(&trial, "trial");
    let directory = scratch_dir("documentation");
    fs::write(directory.join("page.html"), block(PAGE, "html", "<!doctype html>")).unwrap();
    for page in ["README.md", PAGE] {
        let blocks = blocks(page, "lean");
        assert!(!blocks.is_empty(), "{page} has no Lean in it");
        for block in blocks {
            let file = directory.join("Piece.lean");
            fs::write(&file, &block).unwrap();
            let lean = ["env", "lean", file.to_str().unwrap()];
            let output = Command::new("lake").args(lean).current_dir(&trial).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.is_empty(), "{page}: {said}\n{block}");
        }
    }
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn the_program_of_the_readme_echoes_and_ticks() {
    let program = block("README.md", "lean", "Server.serve");
    assert_eq!(block(PAGE, "lean", "Server.serve"), program);
    assert_eq!(program.lines().count(), 15);
    let project = project("lean-readme", &program);
    let (program, address) = (start(&project), project.1);
    test(async {
        let mut socket = connect(&address, "/echo").await;
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(next_text(&mut socket).await, "hello");
        let mut clock = Get::send(&address, "/clock", "").await;
        for _ in 0..2 {
            let event = clock.until("\n\n").await;
            let time = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
            assert_eq!(time.split(':').count(), 3, "{event}");
        }
        program.interrupt();
    });
    program.finish();
}

#[test]
#[ignore = "`make test-lean` runs it"]
fn the_chat_of_the_page_tells_everybody_everything() {
    let project = project("lean-chat", &block(PAGE, "lean", "include_str"));
    let (program, address) = (start(&project), project.1);
    test(async {
        assert!(Get::send(&address, "/", "").await.until("</script>").await.contains("WebSocket("));
        let mut ann = connect(&address, "/chat?name=Ann").await;
        ann.send(Message::text("hello")).await.unwrap();
        assert_eq!(next_text(&mut ann).await, "Ann: hello");
        let mut bob = connect(&address, "/chat").await;
        bob.send(Message::text("hello, Ann")).await.unwrap();
        assert_eq!(next_text(&mut bob).await, "Ann: hello");
        for socket in [&mut ann, &mut bob] {
            assert_eq!(next_text(socket).await, "Somebody: hello, Ann");
        }
    });
    program.interrupt();
    let output = program.wait();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.stdout, [format!("http://{address}")]);
}

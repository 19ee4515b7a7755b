//! The C in the documentation compiles as printed, and the program in the README does what the
//! README says.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lithe_ffi_tests::{Language, Linkage, Program, check_compiles, compile, root};

/// Longer than anything takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// The blocks of C in a Markdown file.
fn c_blocks(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).expect(file);
    let blocks = text.split("\n```c\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap_or(block).to_owned() + "\n").collect()
}

#[test]
fn every_piece_of_c_compiles() {
    for file in ["README.md", "docs/migration.md"] {
        let blocks = c_blocks(file);
        assert!(!blocks.is_empty(), "{file} has no C in it");
        for block in blocks {
            check_compiles("cc", Language::C, &block);
        }
    }
}

/// The program in the README, listening on a free port.
fn program_of_the_readme() -> PathBuf {
    let program = c_blocks("README.md").into_iter().find(|block| block.contains("int main"));
    let program = program.expect("a whole program");
    assert_eq!(program.matches("127.0.0.1:8080").count(), 1);
    let source = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme.c");
    fs::write(&source, program.replace("127.0.0.1:8080", "127.0.0.1:0")).unwrap();
    compile("readme", &[source], Linkage::Static)
}

/// A client of an event stream.
struct Visitor(TcpStream);

impl Visitor {
    fn come(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        Visitor(stream)
    }

    fn hears_of_somebody(&mut self) {
        let mut got = Vec::new();
        while !got.ends_with(b"data: somebody came\n\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("one more event");
            got.extend(byte);
        }
    }
}

#[test]
fn the_program_of_the_readme_tells_visitors_of_each_other() {
    let mut program = Program::start(&program_of_the_readme(), [""; 0]);
    let line = program.line();
    let address = line.strip_prefix("http://").expect("the URL comes first");
    let mut first = Visitor::come(address);
    first.hears_of_somebody();
    let mut second = Visitor::come(address);
    second.hears_of_somebody();
    first.hears_of_somebody();
}

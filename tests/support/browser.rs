//! A headless Chromium, driven through chromedriver by WebDriver (W3C).
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{PATIENCE, eventually, header, status};

/// One browser with a fresh profile. It ends with the value.
pub(crate) struct Browser {
    chromedriver: Child,
    /// Kept open, as chromedriver may write more.
    output: BufReader<ChildStdout>,
    port: u16,
    session: Option<String>,
}

impl Browser {
    /// Starts the browser and opens a page.
    pub(crate) fn open(url: &str) -> Browser {
        let chromium =
            program(&["chromium", "chromium-browser", "google-chrome"], "chromium (Debian)");
        let chromedriver = program(&["chromedriver"], "chromium-driver (Debian)");
        let mut chromedriver = Command::new(chromedriver)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver does not start");
        let output = BufReader::new(chromedriver.stdout.take().unwrap());
        let mut browser = Browser { chromedriver, output, port: 0, session: None };
        browser.port = browser
            .output
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver says on which port it listens");
        // Its own choice of a profile directory is a new one, which it removes at the end.
        let options = json!({
            "binary": chromium,
            "args": [
                "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-quic", "--disable-sync", "--disable-background-networking",
                "--disable-component-update", "--no-first-run", "--window-size=900,760",
            ],
        });
        let capabilities = json!({"alwaysMatch": {"goog:chromeOptions": options}});
        let session = browser.ask("POST", "/session", &json!({"capabilities": capabilities}));
        let session = session.unwrap()["sessionId"].as_str().unwrap().to_owned();
        browser.session = Some(format!("/session/{session}"));
        browser.go(url);
        browser
    }

    /// Opens a page, or the same one anew.
    pub(crate) fn go(&self, url: &str) {
        self.command("/url", &json!({"url": url}));
    }

    /// Runs the body of an asynchronous function in the page. Returns what that returns; panics
    /// when it throws.
    pub(crate) fn run(&self, script: &str) -> Value {
        let script = format!("return (async () => {{ {script} }})()");
        self.command("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until a JavaScript expression is true in the page.
    pub(crate) fn wait_until(&self, expression: &str) {
        eventually(expression, || self.run(&format!("return Boolean({expression})")) == true);
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session.as_ref().unwrap()), body).unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> io::Result<Value> {
        let body = body.to_string();
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        // A script may take as long as a test waits, and the browser may start slowly.
        socket.set_read_timeout(Some(2 * PATIENCE))?;
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len(),
        )?;
        let mut answer = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if answer.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let len = header(&head, "content-length").and_then(|len| len.parse().ok());
        let mut body = vec![0; len.ok_or(io::ErrorKind::InvalidData)?];
        answer.read_exact(&mut body)?;
        let mut answer: Value = serde_json::from_slice(&body)?;
        let value = answer["value"].take();
        match status(&head) {
            200 => Ok(value),
            _ => Err(io::Error::other(format!("{}: {}", value["error"], value["message"]))),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium, which would outlive chromedriver.
        let ended = self.session.as_ref().map(|session| self.ask("DELETE", session, &json!({})));
        let _ = self.chromedriver.kill();
        let _ = self.chromedriver.wait();
        if !std::thread::panicking() {
            ended.transpose().expect("the browser ends");
        }
    }
}

/// Finds the first of these programs that is installed.
fn program(names: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("no {} found: install the package {package}, or run `make test-deps`", names[0])
        })
}

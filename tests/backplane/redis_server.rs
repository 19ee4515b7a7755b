//! A real Redis, started for one test.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `redis-server` on a port of its own. It ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    directory: TempDir,
    arguments: Vec<String>,
}

/// A port that was free just now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["--save".to_owned(), String::new()];
        all.extend(arguments.iter().map(ToString::to_string));
        Self::start_with(free_port(), all).await
    }

    /// One with a file of settings, for Sentinels.
    pub(crate) async fn start_from(file: &std::path::Path, port: u16) -> Self {
        let arguments = vec![file.to_str().unwrap().to_owned(), "--sentinel".to_owned()];
        Self::start_with(port, arguments).await
    }

    async fn start_with(port: u16, arguments: Vec<String>) -> Self {
        let directory = TempDir::new().unwrap();
        let child = spawn(port, &directory, &arguments);
        let server = Server { child, port, directory, arguments };
        server.until_ready().await;
        server
    }

    async fn until_ready(&self) {
        let ready = async {
            while !is_ready(self.port).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("Redis does not answer");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Begins again after [`kill`](Self::kill), with what it has kept.
    pub(crate) async fn restart(&mut self) {
        self.child = spawn(self.port, &self.directory, &self.arguments);
        self.until_ready().await;
    }

    /// `STOP` or `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid).status();
        assert!(sent.unwrap().success());
    }

    /// Asks it for something, with the client that comes with it.
    pub(crate) fn ask(&self, command: &[&str]) -> String {
        ask(self.port, command)
    }
}

pub(crate) fn ask(port: u16, command: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-e"])
        .args(command)
        .output()
        .expect("redis-cli, of the package redis-tools");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn spawn(port: u16, directory: &TempDir, arguments: &[String]) -> Child {
    // A file of settings comes first.
    Command::new("redis-server")
        .args(arguments)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(directory.path())
        .args(["--daemonize", "no", "--logfile", "log"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server: scripts/install-test-deps.sh installs it")
}

/// Whether it has read what it keeps, and answers.
async fn is_ready(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    if stream.write_all(b"PING\r\n").await.is_err() {
        return false;
    }
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).await.is_ok() && &answer == b"+PONG"
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

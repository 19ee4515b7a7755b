//! A program under test.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longer than any program takes that is not stuck, even under valgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// How valgrind ends when it has found something.
const FOUND: &str = "99";

/// A running program, which is killed when this is dropped.
pub struct Program {
    child: Child,
    in_valgrind: bool,
    lines: Receiver<String>,
    stdout: Option<JoinHandle<()>>,
    stderr: Option<JoinHandle<String>>,
}

/// What a program that has ended said.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Lines of its standard output that were not read before.
    pub stdout: Vec<String>,
    /// Its standard error.
    pub stderr: String,
}

impl Program {
    /// Runs a program as it is.
    pub fn start<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> Self {
        Program::spawn(Command::new(program).args(arguments), false)
    }

    /// Runs a program under valgrind, which makes it fail for any memory error, and for any
    /// memory that is definitely lost.
    pub fn start_in_valgrind<S: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Program::valgrind("--undef-value-errors=yes", program, arguments)
    }

    /// The same for a program that speaks TLS or HTTP/2, but for values that are not initialized.
    ///
    /// Valgrind cannot follow them through ring's hash functions, which are assembly, and so takes
    /// all that is encrypted for uninitialized; nor through hyper's `Option<u64>` of a content
    /// length, of which the optimizer looks at the number first and at whether there is one later.
    pub fn start_in_valgrind_with_tls<S: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Program::valgrind("--undef-value-errors=no", program, arguments)
    }

    fn valgrind<S: AsRef<OsStr>>(
        option: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Self {
        Program::spawn(
            Command::new("valgrind")
                .args(["--leak-check=full", "--show-leak-kinds=definite"])
                .args(["--errors-for-leak-kinds=definite", "--fair-sched=yes", "--num-callers=30"])
                .args([option, &format!("--error-exitcode={FOUND}")])
                .arg(program)
                .args(arguments),
            true,
        )
    }

    fn spawn(command: &mut Command, in_valgrind: bool) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?} could not be run: {error}; `make test` installs valgrind")
            });
        let (stdout, lines) = read_lines(child.stdout.take().expect("it is piped"));
        let stderr = read_all(child.stderr.take().expect("it is piped"));
        Program { child, in_valgrind, lines, stdout: Some(stdout), stderr: Some(stderr) }
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the program prints.
    ///
    /// # Panics
    ///
    /// When it ends, or says nothing for minutes.
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = self.child.kill();
            panic!("the program printed no further line: {:?}", self.child.wait());
        })
    }

    /// Sends the program a SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    fn signal(&self, signal: &str) {
        let kill = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(kill.expect("kill is a POSIX command").success());
    }

    /// Waits for the program to end.
    ///
    /// # Panics
    ///
    /// When it does not for minutes.
    pub fn wait(mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("the child is ours") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("the program does not end"),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let stderr = self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        self.stdout.take().map(JoinHandle::join);
        Output { status, stdout: self.lines.try_iter().collect(), stderr }
    }

    /// Ends a program that does nothing about signals, and checks that it ends so; if it runs under
    /// valgrind, with nothing found. By SIGTERM: whoever runs the tests in the background may have
    /// them, and so the program, ignore SIGINT.
    ///
    /// # Panics
    ///
    /// When it ends in another way, or valgrind has found something.
    pub fn terminate(self) {
        self.signal("-TERM");
        let in_valgrind = self.in_valgrind;
        let output = self.wait();
        assert_eq!(output.status.signal(), Some(15), "{}", output.stderr);
        if in_valgrind {
            let nothing_found = output.stderr.contains("ERROR SUMMARY: 0 errors");
            assert!(nothing_found, "{}", output.stderr);
        } else {
            assert_eq!(output.stderr, "");
        }
    }

    /// Waits for the program to end, which it must do with success and without having printed
    /// anything more.
    ///
    /// # Panics
    ///
    /// When it does not.
    pub fn finish(self) {
        let in_valgrind = self.in_valgrind;
        let output = self.wait();
        assert!(output.status.success(), "{}\n{}", output.status, output.stderr);
        let own = |line: &&str| !(in_valgrind && line.starts_with("=="));
        assert_eq!(output.stderr.lines().filter(own).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(output.stdout, [""; 0]);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(stdout: ChildStdout) -> (JoinHandle<()>, Receiver<String>) {
    let (sender, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            let _ = sender.send(line);
        }
    });
    (reader, lines)
}

fn read_all(mut stderr: ChildStderr) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

//! A server under test: started on a core of its own, and watched through `/proc`.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::ops::Sub;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the servers.
const SERVER_CORE: usize = 0;
/// The core of the load.
const LOAD_CORE: usize = 1;

/// Starts servers on the core that is theirs; this thread moves to another.
pub fn on_server_core<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    // A child inherits the affinity before it has a thread of its own.
    pin(SERVER_CORE)?;
    let started = start();
    pin(LOAD_CORE)?;
    started
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddrV4,
}

impl Server {
    /// Starts a program that binds port 0 and prints the address as its first line, perhaps as a
    /// URL.
    pub fn start(program: impl AsRef<OsStr>) -> io::Result<Self> {
        Server::start_with(program, &[])
    }

    /// The same, with arguments.
    pub fn start_with(program: impl AsRef<OsStr>, arguments: &[&str]) -> io::Result<Self> {
        let program = program.as_ref();
        let about = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        };
        let mut command = Command::new(program);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(about)?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(about)?;
        match line.trim().trim_start_matches("http://").parse() {
            Ok(address) => Ok(Server { child, address }),
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(about(io::Error::other(format!("printed no address but {line:?}"))))
            }
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Redis that keeps nothing; killed when dropped.
pub struct Redis {
    child: Child,
    /// Its URL.
    pub url: String,
}

impl Redis {
    /// Starts it on a free port of 127.0.0.1.
    pub fn start() -> io::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let port_text = port.to_string();
        let arguments =
            ["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let mut command = Command::new("redis-server");
        command.args(arguments).current_dir(std::env::temp_dir());
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("redis-server (Debian package redis-server): {error}"),
                )
            })?;
        let redis = Redis { child, url: format!("redis://127.0.0.1:{port}") };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(redis);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other("redis-server does not listen"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
        .map_err(|error| io::Error::other(format!("pinning to core {core}: {error}")))
}

/// What the scheduler has on a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Time on a core.
    pub used: Duration,
    /// Time in which it could have run, but something else had the core.
    pub waited: Duration,
}

impl Sub for CpuTime {
    type Output = CpuTime;

    /// What was added since; what a thread had that has ended meanwhile counts as nothing.
    fn sub(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// Reads the times of all threads of a process that still run.
pub fn cpu_time(pid: u32) -> io::Result<CpuTime> {
    let mut sum = CpuTime::default();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the two reads.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let mut times = text.split_ascii_whitespace().map(|field| field.parse());
        if let (Some(Ok(used)), Some(Ok(waited))) = (times.next(), times.next()) {
            sum.used += Duration::from_nanos(used);
            sum.waited += Duration::from_nanos(waited);
        }
    }
    if sum.used.is_zero() {
        return Err(io::Error::other("this kernel keeps no schedstat"));
    }
    Ok(sum)
}

/// What a process has taken of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of resident memory.
    pub resident: u64,
    /// Open descriptors.
    pub descriptors: usize,
}

impl Usage {
    /// Reads it.
    pub fn of(pid: u32) -> io::Result<Self> {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        Ok(Usage { resident: resident(pid)?, descriptors })
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix(" kB"))
        .and_then(|value| value.parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| io::Error::other(format!("process {pid} has no resident memory")))
}

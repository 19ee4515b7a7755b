//! A server under test: started on a core of its own, and watched through `/proc`.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddrV4;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

/// The core of the servers.
const SERVER_CORE: usize = 0;
/// The core of the load.
const LOAD_CORE: usize = 1;

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddrV4,
}

impl Server {
    /// Starts a program that binds port 0 and prints the address as its first line.
    pub fn start(program: impl AsRef<OsStr>, arguments: &[&str]) -> io::Result<Self> {
        let program = program.as_ref();
        let about = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", program.display()))
        };
        // The child inherits the affinity before it has a thread of its own.
        pin(SERVER_CORE)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        pin(LOAD_CORE)?;
        let mut child = child.map_err(about)?;
        let stdout = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(about)?;
        match line.trim().parse() {
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

fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores)
        .map_err(|error| io::Error::other(format!("pinning to core {core}: {error}")))
}

/// Processor time of all threads of a process that still run.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = task?.path().join("schedstat");
        // A thread may end between the two reads.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let on_cpu = text.split_ascii_whitespace().next().and_then(|field| field.parse().ok());
        nanoseconds += on_cpu.unwrap_or(0u64);
    }
    if nanoseconds == 0 {
        return Err(io::Error::other("this kernel keeps no schedstat"));
    }
    Ok(Duration::from_nanos(nanoseconds))
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

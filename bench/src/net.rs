//! Non-blocking client sockets under edge-triggered `epoll`, opened many at a time.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::ws;

/// How much one read may take.
pub const READ: usize = 512 * 1024;
/// How many connections are on their way through the handshake at a time.
const RAMP: usize = 128;
/// Connections per source address, well below the default ephemeral port range.
const PER_SOURCE: usize = 20_000;
/// How long nothing may happen while something is expected.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Bytes, without any handshake.
    Tcp,
    /// WebSocket over HTTP/1.1 (RFC 6455).
    WebSocket,
    /// Server-Sent Events over HTTP/1.1.
    Sse,
}

/// Where a load goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's address.
    pub address: SocketAddrV4,
    /// The path of the request.
    pub path: String,
    /// What is spoken there.
    pub protocol: Protocol,
}

impl Target {
    /// A target at `address`.
    pub fn new(address: SocketAddrV4, protocol: Protocol, path: &str) -> Self {
        Target { address, path: path.to_owned(), protocol }
    }

    /// The same with a number in the place of a `{}` in the path.
    pub fn numbered(&self, number: usize) -> Self {
        Target { path: self.path.replace("{}", &number.to_string()), ..self.clone() }
    }

    /// The request that opens the stream; a plain TCP target has the echo of one.
    pub fn request(&self) -> Vec<u8> {
        let fields = match self.protocol {
            Protocol::Sse => "Accept: text/event-stream\r\nCache-Control: no-cache\r\n".to_owned(),
            Protocol::Tcp | Protocol::WebSocket => ws::request_fields(),
        };
        format!("GET {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", self.path, self.address).into_bytes()
    }
}

/// Lets the process open as many descriptors as the hard limit allows; the servers started from
/// it inherit the limit.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // A refusal shows when a connection cannot be opened, and is reported there.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// An `epoll` instance and the events of its last wait.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// An empty one.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(1024) })
    }

    /// Watches a socket for both directions, edge-triggered.
    pub fn add(&self, socket: &TcpStream, token: usize) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token as u64), flags)?)
    }

    /// Waits, and returns how many events there are.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(count) => Ok(count),
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The event with that index, as token and readiness.
    pub fn event(&self, index: usize) -> (usize, EventFlags) {
        let event = self.events[index];
        (event.data.u64() as usize, event.flags)
    }
}

/// Starts to connect. `index` chooses the source address, so that ephemeral ports last.
pub fn start_connect(address: SocketAddrV4, index: usize) -> io::Result<TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    if address.ip().is_loopback() && index >= PER_SOURCE {
        let host = 1 + index / PER_SOURCE;
        let source = Ipv4Addr::new(127, 0, (host >> 8) as u8, host as u8);
        bind(&socket, &SocketAddrV4::new(source, 0))?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}

/// Writes what the socket takes now; `Ok(0)` when it takes nothing.
pub fn write_some(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Reads all that is there, handing it on piece by piece; an end of the stream is an error.
pub fn read_all(
    mut socket: &TcpStream,
    flags: EventFlags,
    buffer: &mut [u8],
    mut on_bytes: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
    loop {
        match socket.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                on_bytes(&buffer[..n])?;
                if n < buffer.len() && !ended {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A connection on its way through the handshake.
pub struct Handshake {
    /// The socket it happens on.
    pub socket: TcpStream,
    protocol: Protocol,
    request_sent: bool,
    head: Vec<u8>,
}

/// What a finished handshake leaves.
#[derive(Debug, Default)]
pub struct Opened {
    /// Whether the body that follows has chunked transfer coding (RFC 9112 §7.1).
    pub chunked: bool,
    /// Bytes that came with the response head.
    pub early: Vec<u8>,
}

impl Handshake {
    /// Connects; the request leaves when the socket is writable.
    pub fn start(target: &Target, index: usize) -> io::Result<Self> {
        let socket = start_connect(target.address, index)?;
        Ok(Handshake { socket, protocol: target.protocol, request_sent: false, head: Vec::new() })
    }

    /// Goes on after readiness; `Some` when the handshake is done.
    pub fn advance(
        &mut self,
        flags: EventFlags,
        request: &[u8],
        buffer: &mut [u8],
    ) -> io::Result<Option<Opened>> {
        if flags.intersects(EventFlags::ERR | EventFlags::HUP) {
            let error = self.socket.take_error()?;
            return Err(error.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()));
        }
        if !self.request_sent && flags.contains(EventFlags::OUT) {
            self.request_sent = true;
            if write_some(&self.socket, request)? < request.len() {
                return Err(io::Error::other("a fresh socket took only a part of the request"));
            }
        }
        if self.request_sent && flags.contains(EventFlags::IN) {
            let head = &mut self.head;
            read_all(&self.socket, flags, buffer, |bytes| {
                head.extend_from_slice(bytes);
                Ok(())
            })?;
        }
        if self.request_sent { self.finish(request) } else { Ok(None) }
    }

    fn finish(&mut self, request: &[u8]) -> io::Result<Option<Opened>> {
        if self.protocol == Protocol::Tcp {
            return Ok((self.head == request).then(Opened::default));
        }
        let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else { return Ok(None) };
        let early = self.head.split_off(end + 4);
        let head = String::from_utf8_lossy(&self.head).to_ascii_lowercase();
        let right = match self.protocol {
            Protocol::Sse => head.starts_with("http/1.1 200") && head.contains("text/event-stream"),
            _ => ws::accepts(&head),
        };
        if !right {
            let line = head.lines().next().unwrap_or_default();
            return Err(io::Error::other(format!("the handshake was answered with: {line}")));
        }
        let chunked = head.contains("transfer-encoding: chunked");
        Ok(Some(Opened { chunked, early }))
    }
}

/// Open connections, each with its index as token.
pub struct Connections {
    /// Where readiness comes from.
    pub poller: Poller,
    /// The sockets.
    pub sockets: Vec<TcpStream>,
    /// What each handshake left.
    pub opened: Vec<Opened>,
}

impl Connections {
    /// None yet.
    pub fn new() -> io::Result<Self> {
        Ok(Connections { poller: Poller::new()?, sockets: Vec::new(), opened: Vec::new() })
    }

    /// Opens `count` more. Edges that those opened earlier show meanwhile are lost: read every
    /// socket once before waiting.
    pub fn open(&mut self, target: &Target, count: usize) -> io::Result<()> {
        self.open_over(target, count, count)
    }

    /// The same for so many numbers in turn in the place of a `{}` in the path.
    pub fn open_over(&mut self, target: &Target, numbers: usize, count: usize) -> io::Result<()> {
        let request = |index: usize| match target.protocol {
            Protocol::Tcp => Vec::new(),
            _ => target.numbered(index % numbers).request(),
        };
        let first = self.sockets.len();
        let mut buffer = vec![0; READ];
        let mut pending: Vec<Option<Handshake>> = Vec::with_capacity(count);
        let mut done: Vec<Option<(TcpStream, Opened)>> = Vec::new();
        done.resize_with(count, || None);
        let (mut finished, mut progress) = (0, Instant::now());
        while finished < count {
            while pending.len() < count && pending.len() - finished < RAMP {
                let index = first + pending.len();
                let handshake = Handshake::start(target, index)?;
                self.poller.add(&handshake.socket, index)?;
                pending.push(Some(handshake));
            }
            for event in 0..self.poller.wait(Duration::from_millis(100))? {
                let (token, flags) = self.poller.event(event);
                let Some(index) = token.checked_sub(first) else { continue };
                let Some(handshake) = &mut pending[index] else { continue };
                let opened = handshake
                    .advance(flags, &request(index), &mut buffer)
                    .map_err(|error| about(token, error))?;
                if let Some(opened) = opened {
                    let handshake = pending[index].take().expect("it was just there");
                    done[index] = Some((handshake.socket, opened));
                    finished += 1;
                    progress = Instant::now();
                }
            }
            if progress.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("only {finished} of {count} connected")));
            }
        }
        for (socket, opened) in done.into_iter().flatten() {
            self.sockets.push(socket);
            self.opened.push(opened);
        }
        Ok(())
    }
}

/// The body that a path is answered with.
pub fn get(address: SocketAddrV4, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path} was answered with {response:?}"))),
    }
}

/// Says which connection an error happened on.
pub fn about(connection: usize, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("connection {connection}: {error}"))
}

/// Bytes that wait to be written, for connections that send now and then.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// What waits.
    pub bytes: Vec<u8>,
    sent: usize,
}

impl Outgoing {
    /// Writes what the socket takes.
    pub fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.sent < self.bytes.len() {
            match write_some(socket, &self.bytes[self.sent..])? {
                0 => return Ok(()),
                n => self.sent += n,
            }
        }
        self.sent = 0;
        self.bytes = Vec::new();
        Ok(())
    }
}

//! Clients that come back whenever they are cut off, to whichever node there is, with their cursor.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::event_stream_parser::EventStreamParser;
use crate::node::Addresses;
use crate::record::Record;
use crate::support::PATIENCE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    EventStream,
    WebSocket,
    LongPoll,
}

/// After how many publications a client keeps what it has got so that it outlives the client.
const KEPT: usize = 50;

/// How long a client waits before it looks whether it is to be killed.
const TICK: Duration = Duration::from_millis(50);

/// A client on a thread of its own.
pub(crate) struct Client {
    control: Arc<Control>,
    thread: JoinHandle<Record>,
    /// What it is, for messages.
    pub(crate) name: String,
}

#[derive(Default)]
struct Control {
    begun: AtomicBool,
    killed: AtomicBool,
    /// It may not come back yet.
    held: AtomicBool,
}

impl Client {
    /// One that begins at the node of that number.
    pub(crate) fn start(
        transport: Transport,
        channels: &[String],
        addresses: &Arc<Addresses>,
        node: usize,
    ) -> Client {
        let control = Arc::<Control>::default();
        let name = format!("{transport:?} of {channels:?} at node {node}");
        let mut task = Task {
            transport,
            channels: channels.to_vec(),
            addresses: addresses.clone(),
            node,
            control: control.clone(),
            record: Record::default(),
            now: Kept::default(),
            kept: Kept::default(),
        };
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            task.run();
            task.record
        });
        Client { control, thread: thread.unwrap(), name }
    }

    /// Whether it is told of all its channels.
    pub(crate) fn has_begun(&self) -> bool {
        self.control.begun.load(Ordering::Relaxed)
    }

    /// Resets its connection, and lets it forget what it has not kept. It comes back when it may.
    pub(crate) fn kill(&self, held: bool) {
        self.control.held.store(held, Ordering::Relaxed);
        self.control.killed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn may_come_back(&self) {
        self.control.held.store(false, Ordering::Relaxed);
    }

    /// What it was told, when it has got the end of all its channels.
    pub(crate) fn finish(self) -> Record {
        self.thread.join().unwrap_or_else(|_| panic!("{} has failed", self.name))
    }
}

/// Up to where a client knows what it was told, and the cursor that belongs to that.
#[derive(Clone, Default)]
struct Kept {
    len: usize,
    cursor: String,
}

struct Task {
    transport: Transport,
    channels: Vec<String>,
    addresses: Arc<Addresses>,
    node: usize,
    control: Arc<Control>,
    record: Record,
    now: Kept,
    kept: Kept,
}

/// Why a connection is of no use any more.
struct Over;

impl From<io::Error> for Over {
    fn from(_: io::Error) -> Self {
        Over
    }
}

impl Task {
    fn run(&mut self) {
        let given_up = Instant::now() + 4 * PATIENCE;
        while !self.is_done() {
            assert!(Instant::now() < given_up, "no end after {} items", self.record.len());
            let address = self.addresses.get(self.node);
            let _ = match self.transport {
                Transport::EventStream => self.event_stream(address),
                Transport::WebSocket => self.web_socket(address),
                Transport::LongPoll => self.long_poll(address),
            };
            // What came after the cursor comes again.
            if self.control.killed.swap(false, Ordering::Relaxed) {
                self.now = self.kept.clone();
                while self.control.held.load(Ordering::Relaxed) {
                    thread::sleep(TICK / 10);
                }
            }
            self.record.truncate(self.now.len);
            self.node += 1;
            // As clients do, though not for as long.
            thread::sleep(TICK / 10);
        }
    }

    fn is_done(&self) -> bool {
        self.now.len == self.record.len() && self.record.ended() == self.channels.len()
    }

    /// All that came so far is known, with that cursor.
    fn commit(&mut self, cursor: &str) {
        self.now = Kept { len: self.record.len(), cursor: cursor.to_owned() };
        if self.now.len >= self.kept.len + KEPT || self.kept.len == 0 {
            self.kept = self.now.clone();
        }
        let begun = self.record.begun() == self.channels.len();
        self.control.begun.store(begun, Ordering::Relaxed);
    }

    fn query(&self) -> String {
        let mut query = format!("cursor={}", self.now.cursor);
        self.channels.iter().for_each(|channel| query.extend(["&channel=", channel]));
        query
    }

    fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(TICK))?;
        // It is reset when it is dropped: whoever is killed says no goodbye.
        socket2::SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        Ok(socket)
    }

    /// Looks at what reading has come to. `None`: try again.
    fn look(&self, read: io::Result<usize>) -> Result<Option<usize>, Over> {
        match read {
            _ if self.control.killed.load(Ordering::Relaxed) => Err(Over),
            Ok(0) => Err(Over),
            Ok(len) => Ok(Some(len)),
            Err(error) if is_timeout(&error) => Ok(None),
            Err(_) => Err(Over),
        }
    }

    fn event_stream(&mut self, address: SocketAddr) -> Result<(), Over> {
        let mut socket = self.connect(address)?;
        // HTTP/1.0 comes without chunks.
        write!(socket, "GET /sse?format=json&{} HTTP/1.0\r\nhost: a\r\n\r\n", self.query())?;
        let mut buffer = vec![0; 64 * 1024];
        let mut head = Some(Vec::new());
        let mut parser = EventStreamParser::new();
        while !self.is_done() {
            let Some(len) = self.look(socket.read(&mut buffer))? else { continue };
            let mut bytes = &buffer[..len];
            if let Some(begin) = &mut head {
                begin.extend_from_slice(bytes);
                let Some(end) = begin.windows(4).position(|end| end == b"\r\n\r\n") else {
                    continue;
                };
                assert!(begin.starts_with(b"HTTP/1.1 200 ") || begin.starts_with(b"HTTP/1.0 200 "));
                let rest = begin.len() - end - 4;
                bytes = &bytes[bytes.len() - rest..];
                head = None;
            }
            for event in parser.feed(bytes) {
                if event.event_type == "lithe.session" {
                    continue;
                }
                self.record.push(&serde_json::from_str(&event.data).unwrap());
                self.commit(&event.last_event_id);
            }
        }
        Ok(())
    }

    fn web_socket(&mut self, address: SocketAddr) -> Result<(), Over> {
        let mut socket = self.open_web_socket(address)?;
        while !self.is_done() {
            let text = match socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(Message::Ping(_)) => continue,
                Ok(_) => return Err(Over),
                Err(tungstenite::Error::Io(error)) => {
                    self.look(Err(error))?;
                    continue;
                }
                Err(_) => return Err(Over),
            };
            self.look(Ok(text.len()))?;
            let frame: Value = serde_json::from_str(&text).unwrap();
            if frame["type"] == "session" {
                continue;
            }
            self.record.push(&frame);
            // Of several channels, what came since the last cursor comes again with it.
            match frame["type"].as_str().unwrap() {
                "cursor" => self.commit(frame["cursor"].as_str().unwrap()),
                "pub" | "sub" if self.channels.len() == 1 => {
                    let epoch = frame["epoch"].as_str().unwrap();
                    // One that did not recover is followed by the gap, which has the cursor.
                    if frame["was_recovering"] != true || frame["recovered"] == true {
                        self.commit(&format!("{epoch}-{}", frame["offset"]));
                    }
                }
                "gap" if self.channels.len() == 1 => self.commit(frame["to"].as_str().unwrap()),
                _ => {}
            }
        }
        Ok(())
    }

    fn open_web_socket(&self, address: SocketAddr) -> Result<WebSocket<TcpStream>, Over> {
        let socket = self.connect(address)?;
        let url = format!("ws://{address}/ws?{}", self.query());
        let mut opening = tungstenite::client(url, socket);
        loop {
            match opening {
                Ok((socket, _)) => return Ok(socket),
                Err(tungstenite::HandshakeError::Interrupted(middle)) => {
                    self.look(Err(io::ErrorKind::WouldBlock.into()))?;
                    opening = middle.handshake();
                }
                Err(_) => return Err(Over),
            }
        }
    }

    /// One poll after the other, each by a connection of its own, to the same node as long as it
    /// answers.
    fn long_poll(&mut self, address: SocketAddr) -> Result<(), Over> {
        while !self.is_done() {
            let mut socket = self.connect(address)?;
            write!(socket, "GET /poll?timeout=5&{} HTTP/1.0\r\nhost: a\r\n\r\n", self.query())?;
            let mut answer = Vec::new();
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => break,
                    read => {
                        let len = self.look(read)?.unwrap_or_default();
                        answer.extend_from_slice(&buffer[..len]);
                    }
                }
            }
            let answer = String::from_utf8(answer).unwrap();
            let (_, body) = answer.split_once("\r\n\r\n").ok_or(Over)?;
            // It may have been cut off anywhere.
            let Ok(body) = serde_json::from_str::<Value>(body) else { return Err(Over) };
            assert!(answer.contains(" 200 "), "{answer}");
            body["events"].as_array().unwrap().iter().for_each(|frame| self.record.push(frame));
            self.commit(body["cursor"].as_str().unwrap());
        }
        Ok(())
    }
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

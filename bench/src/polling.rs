//! Pages that follow the progress of downloads: by asking for each every two seconds, or by one
//! stream for all of them.

use std::fmt;
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout_at};

use crate::process::cpu_time;
use crate::report::Item;
use crate::sse;

/// How often a page asks.
pub const POLL: Duration = Duration::from_secs(2);
/// How often a download changes.
pub const CHANGE: Duration = Duration::from_millis(500);
/// How many downloads a page follows.
pub const DOWNLOADS: usize = 10;

/// What a browser sends along with each request.
const FIELDS: &str = "\
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r
sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r
sec-ch-ua-mobile: ?0\r
sec-ch-ua-platform: \"Linux\"\r
Accept-Language: en-GB,en;q=0.9,de;q=0.8\r
Accept-Encoding: gzip, deflate, br, zstd\r
Sec-Fetch-Site: same-origin\r
Sec-Fetch-Mode: cors\r
Sec-Fetch-Dest: empty\r
Referer: http://127.0.0.1/downloads\r
Cookie: session=6fb1f3f2a4e84b7c9d1e5a0c3b2f8e77; theme=dark\r
";

/// How a page learns of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It asks for each download.
    Polling,
    /// It listens.
    Stream,
    /// It listens, and is told as often as it would ask.
    CalmStream,
}

impl Way {
    /// The namespace of the channels on which the downloads are.
    fn namespace(self) -> &'static str {
        match self {
            Way::CalmStream => "calm",
            Way::Polling | Way::Stream => "downloads",
        }
    }
}

/// A load of such pages.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    /// The server.
    pub address: SocketAddrV4,
    /// The process of the server.
    pub server: u32,
    /// How many pages are open.
    pub pages: usize,
    /// How they learn of changes.
    pub way: Way,
    /// For how long it is measured.
    pub measure: Duration,
}

/// What went over the wire for one page, or for all.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    sent: u64,
    received: u64,
    /// Changes that the page has learnt of, and after how long all in all.
    changes: u64,
    delay: Duration,
}

/// What a page costs in a minute.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Requests.
    pub requests: f64,
    /// Bytes from the browser.
    pub sent: f64,
    /// Bytes to the browser.
    pub received: f64,
    /// Processor time of the server.
    pub cpu: Duration,
    /// How long a change takes to be seen, on average.
    pub delay: Duration,
}

impl Pages {
    /// Runs the load.
    pub async fn run(&self) -> io::Result<Cost> {
        let downloads = self.pages * DOWNLOADS;
        let began = self.start_downloads(downloads).await?;
        // Pages are not opened all at once.
        let spread = POLL / self.pages as u32;
        let opened = tokio::time::Instant::now();
        let from = opened + POLL + Duration::from_secs(1);
        let to = from + self.measure;
        let mut pages = JoinSet::new();
        for page in 0..self.pages {
            let window = Window { began, opens: opened + spread * page as u32, from, to };
            let address = self.address;
            match self.way {
                Way::Polling => pages.spawn(poll(address, page, window)),
                Way::Stream | Way::CalmStream => {
                    let path = format!("/hub/sse?channel={}.{page}", self.way.namespace());
                    pages.spawn(listen(address, path, window))
                }
            };
        }
        tokio::time::sleep_until(from).await;
        let before = cpu_time(self.server)?;
        tokio::time::sleep_until(to).await;
        let cpu = (cpu_time(self.server)? - before).used;
        let mut sum = Counts::default();
        while let Some(counts) = pages.join_next().await {
            let counts = counts??;
            sum.requests += counts.requests;
            sum.sent += counts.sent;
            sum.received += counts.received;
            sum.changes += counts.changes;
            sum.delay += counts.delay;
        }
        let per_minute = 60.0 / self.measure.as_secs_f64() / self.pages as f64;
        Ok(Cost {
            requests: sum.requests as f64 * per_minute,
            sent: sum.sent as f64 * per_minute,
            received: sum.received as f64 * per_minute,
            cpu: cpu.mul_f64(per_minute),
            delay: sum.delay / sum.changes.max(1) as u32,
        })
    }

    /// Starts the downloads. They change for the first time one interval after what is returned.
    async fn start_downloads(&self, count: usize) -> io::Result<Instant> {
        let mut page = Page::open(self.address).await?;
        let began = Instant::now();
        let (namespace, interval) = (self.way.namespace(), CHANGE.as_millis());
        page.ask(&format!("/downloads-start/{namespace}/{count}/{interval}")).await?;
        page.answer().await?;
        Ok(began)
    }
}

#[derive(Clone, Copy)]
struct Window {
    /// When the downloads began.
    began: Instant,
    /// When the page is opened.
    opens: tokio::time::Instant,
    from: tokio::time::Instant,
    to: tokio::time::Instant,
}

impl Window {
    fn is_open(&self) -> bool {
        (self.from..self.to).contains(&tokio::time::Instant::now())
    }
}

/// What a page knows.
struct Seen {
    window: Window,
    /// Of each download the number of the last change.
    changes: [u32; DOWNLOADS],
    counts: Counts,
}

impl Seen {
    fn new(window: Window) -> Self {
        Seen { window, changes: [0; DOWNLOADS], counts: Counts::default() }
    }

    /// Notes what a download is like now: `{"id":7,"changes":42}`.
    fn note(&mut self, download: &[u8]) -> io::Result<()> {
        let wrong = || io::Error::other(format!("{:?}", String::from_utf8_lossy(download)));
        let text = std::str::from_utf8(download).map_err(|_| wrong())?;
        let number = |name: &str| -> Option<u32> {
            let rest = &text[text.find(name)? + name.len()..];
            rest[..rest.find([',', '}'])?].parse().ok()
        };
        let id = number("\"id\":").ok_or_else(wrong)? as usize % DOWNLOADS;
        let changes = number("\"changes\":").ok_or_else(wrong)?;
        let before = std::mem::replace(&mut self.changes[id], changes);
        if self.window.is_open() && before > 0 {
            for change in before + 1..=changes {
                let due = self.window.began + CHANGE * change;
                self.counts.changes += 1;
                self.counts.delay += Instant::now().saturating_duration_since(due);
            }
        }
        Ok(())
    }

    fn note_traffic(&mut self, requests: u64, sent: usize, received: usize) {
        if self.window.is_open() {
            self.counts.requests += requests;
            self.counts.sent += sent as u64;
            self.counts.received += received as u64;
        }
    }
}

async fn poll(address: SocketAddrV4, page: usize, window: Window) -> io::Result<Counts> {
    let mut seen = Seen::new(window);
    let mut connection = Page::open(address).await?;
    let mut turns = every(POLL, window);
    loop {
        turns.tick().await;
        for download in page * DOWNLOADS..(page + 1) * DOWNLOADS {
            let sent = connection.ask(&format!("/downloads/{download}")).await?;
            let (received, body) = connection.answer().await?;
            seen.note_traffic(1, sent, received);
            seen.note(body)?;
        }
        if tokio::time::Instant::now() >= window.to {
            return Ok(seen.counts);
        }
    }
}

async fn listen(address: SocketAddrV4, path: String, window: Window) -> io::Result<Counts> {
    let mut seen = Seen::new(window);
    tokio::time::sleep_until(window.opens).await;
    let mut connection = Page::open(address).await?;
    let sent = connection.ask(&path).await?;
    let head = connection.head().await?;
    seen.note_traffic(1, sent, head);
    let chunked = connection.buffer[..head].windows(7).any(|part| part == b"chunked");
    connection.buffer.drain(..head);
    let mut reader = sse::Reader::new(chunked);
    let mut event = Vec::new();
    loop {
        let bytes = std::mem::take(&mut connection.buffer);
        seen.note_traffic(0, 0, bytes.len());
        reader.feed(&bytes, |item| {
            match item {
                Item::Payload { bytes, .. } => event.extend_from_slice(bytes),
                Item::End { .. } => seen.note(&std::mem::take(&mut event))?,
                Item::Ping(_) => {}
            }
            Ok(())
        })?;
        match timeout_at(window.to, connection.socket.read_buf(&mut connection.buffer)).await {
            Err(_) => return Ok(seen.counts),
            Ok(read) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

fn every(period: Duration, window: Window) -> Interval {
    let mut turns = interval_at(window.opens, period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    turns
}

/// A connection of a page.
struct Page {
    socket: TcpStream,
    /// What has come: the answer of which so much was handed out, and what follows.
    buffer: Vec<u8>,
    answered: usize,
}

impl Page {
    async fn open(address: SocketAddrV4) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Page { socket, buffer: Vec::new(), answered: 0 })
    }

    /// Sends a request. Says how many bytes it has.
    async fn ask(&mut self, path: &str) -> io::Result<usize> {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n{FIELDS}\r\n");
        self.socket.write_all(request.as_bytes()).await?;
        Ok(request.len())
    }

    /// Waits for the head of an answer. Says how many bytes it has.
    async fn head(&mut self) -> io::Result<usize> {
        self.buffer.drain(..std::mem::take(&mut self.answered));
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n\r\n") {
                if self.buffer.starts_with(b"HTTP/1.1 200") {
                    return Ok(end + 4);
                }
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                return Err(io::Error::other(head));
            }
            self.read().await?;
        }
    }

    /// Waits for a whole answer: how many bytes it has, and its body.
    async fn answer(&mut self) -> io::Result<(usize, &[u8])> {
        let head = self.head().await?;
        let fields = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let length = fields.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length
            .and_then(|length| length.trim().parse().ok())
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        self.answered = head + length;
        Ok((head + length, &self.buffer[head..head + length]))
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.socket.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} | {:.1} | {:.1} | {:.1} | {:.0} |",
            self.requests,
            self.sent / 1024.0,
            self.received / 1024.0,
            self.cpu.as_secs_f64() * 1e3,
            self.delay.as_secs_f64() * 1e3,
        )
    }
}

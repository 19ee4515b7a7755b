//! The server: starting and stopping it, and taking its requests.

use std::ffi::{CString, c_char};
use std::io::ErrorKind::InvalidInput;
use std::mem::offset_of;
use std::net::SocketAddr;
use std::path::Path;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use super::convert::{
    Out, Timeout, Versioned, bad_argument, count, lithe_string_t, millis, text_z_in, timed_out,
    versioned_in, versioned_out,
};
use super::error::{
    Error, LITHE_ERR_BAD_ARGUMENT, LITHE_ERR_IO, LITHE_ERR_SHUTTING_DOWN, LITHE_ERR_WRONG_STATE,
    boundary, counting,
};
use super::handle::{self, Kind, Object, Table};
use super::request::{Request, lithe_request_t};
use super::{fork, log, signal};
use crate::server::inbox::{Inbox, TakeError};
use crate::server::{self as native, Builder, DrainReport};

/// A server: lithe_server_start gives it, lithe_server_free takes it back.
pub type lithe_server_t = u64;

/// How a server shall run. To be initialized with LITHE_SERVER_CONFIG_INIT, which asks for the
/// defaults; a field that is 0 or NULL does so too. -1 in the place of a limit or a time is no
/// limit. All texts are NUL-terminated, and all are copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_server_config_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Where to listen, "host:port". Port 0 lets the system choose one (see lithe_server_port);
    /// "[::]:80" listens on all addresses. Default: "127.0.0.1:0".
    pub address: *const c_char,
    /// A directory. Its files answer the requests for them, and an index.html those for where it
    /// is; all others go to the host. Default: none.
    pub static_dir: *const c_char,
    /// A PEM file with the certificate chain for TLS, together with tls_key_file. Default: no TLS.
    pub tls_cert_file: *const c_char,
    /// A PEM file with the private key for TLS.
    pub tls_key_file: *const c_char,
    /// A path that answers with the server's metrics, as Prometheus reads them. Default: none.
    pub metrics_path: *const c_char,
    /// How many threads serve connections. Default: one for each processor.
    pub workers: i32,
    /// How many connections there may be; one more is told to come back later. Default: 100,000.
    pub max_connections: i32,
    /// How many connections one client address may hold. Default: 1,024.
    pub max_connections_per_ip: i32,
    /// How many requests may wait for lithe_server_accept; one more is told to come back later:
    /// 503, or to an EventSource, which gives up on anything but success, an empty stream with a
    /// time to reconnect after. Default: 1,024.
    pub max_waiting_requests: i32,
    /// The largest head of a request in bytes; a larger one is answered with 431. Default: 16 KiB.
    pub max_header_bytes: i64,
    /// The largest body of a request in bytes; a larger one is answered with 413. Routes may have
    /// other limits. Default: 2 MiB.
    pub max_body_bytes: i64,
    /// How long a new connection may take to its first byte, TLS included. Default: 10 s.
    pub handshake_timeout_ms: i32,
    /// How long the head of a request may take to arrive. Default: 10 s.
    pub header_timeout_ms: i32,
    /// For how long in all a client may leave the server waiting for the body of a request; 500
    /// bytes received make good for a second. Default: 20 s.
    pub body_timeout_ms: i32,
    /// How long the host may take to answer a request; then the client is told 504. While the host
    /// reads the body, each piece that it reads gives it that time anew, and the time in which it
    /// waits for the client does not count. Default: 30 s.
    pub request_timeout_ms: i32,
    /// How long a connection may lie idle between two requests. Default: 60 s.
    pub idle_timeout_ms: i32,
    /// How long a client may take no byte of a response or event stream. Default: 30 s.
    pub write_timeout_ms: i32,
    /// 1: requests reach the host before their bodies, which lithe_request_read reads. Routes may
    /// say otherwise. Default: they reach it with their bodies.
    pub stream_bodies: i32,
    /// How long a client is asked to stay away at most when the server drains or is too busy; each
    /// is given a time of its own, from a tenth of this on, so that they do not come back all at
    /// once. Default: 10 s.
    pub reconnect_ms: i32,
}

// SAFETY: integers and raw pointers only, the size first.
unsafe impl Versioned for lithe_server_config_t {
    const FIRST_SIZE: usize = offset_of!(lithe_server_config_t, reconnect_ms) + size_of::<i32>();
}

impl lithe_server_config_t {
    /// What LITHE_SERVER_CONFIG_INIT asks for.
    const DEFAULT: Self = lithe_server_config_t {
        size: size_of::<Self>(),
        address: ptr::null(),
        static_dir: ptr::null(),
        tls_cert_file: ptr::null(),
        tls_key_file: ptr::null(),
        metrics_path: ptr::null(),
        workers: 0,
        max_connections: 0,
        max_connections_per_ip: 0,
        max_waiting_requests: 0,
        max_header_bytes: 0,
        max_body_bytes: 0,
        handshake_timeout_ms: 0,
        header_timeout_ms: 0,
        body_timeout_ms: 0,
        request_timeout_ms: 0,
        idle_timeout_ms: 0,
        write_timeout_ms: 0,
        stream_bodies: 0,
        reconnect_ms: 0,
    };
}

/// What came of a drain. To be initialized with LITHE_DRAIN_REPORT_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct lithe_drain_report_t {
    /// The size of this struct, which tells its version.
    pub size: usize,
    /// Connections that ended by themselves once they were asked to.
    pub drained: u64,
    /// Connections that were still open when the time was over, and were cut.
    pub cut: u64,
}

// SAFETY: integers only, the size first.
unsafe impl Versioned for lithe_drain_report_t {
    const FIRST_SIZE: usize = offset_of!(lithe_drain_report_t, cut) + size_of::<u64>();
}

const MAX_WAITING_REQUESTS: usize = 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const RECONNECT: Duration = Duration::from_secs(10);

/// What a handle names.
pub(super) struct Server {
    native: native::Server,
    is_stopped: AtomicBool,
    pub(super) inbox: Arc<Inbox>,
    address: SocketAddr,
    address_text: CString,
}

impl Object for Server {
    const KIND: Kind = Kind::Server;

    fn table() -> &'static Table<Self> {
        static TABLE: Table<Server> = Table::new();
        &TABLE
    }
}

impl Server {
    fn start(config: &lithe_server_config_t) -> Result<Self, Error> {
        let waiting = count("max_waiting_requests", config.max_waiting_requests)?.apply(
            MAX_WAITING_REQUESTS,
            usize::MAX,
            |_, waiting| waiting,
        );
        let deadline = millis("request_timeout_ms", config.request_timeout_ms)?.apply(
            REQUEST_TIMEOUT,
            Duration::MAX,
            |_, timeout| timeout,
        );
        let reconnect = millis("reconnect_ms", config.reconnect_ms)?.some("reconnect_ms")?;
        let reconnect = reconnect.unwrap_or(RECONNECT);
        let reconnect = reconnect / 10..=reconnect;
        let inbox = Inbox::new(waiting, deadline, reconnect.clone());
        match config.stream_bodies {
            0 => {}
            1 => inbox.routes().stream_bodies(),
            other => return Err(bad_argument(format_args!("stream_bodies: {other}"))),
        }
        let static_dir = text_z_in(config.static_dir)?.map(Path::new);
        if let Some(path) = static_dir.filter(|path| !path.is_dir()) {
            let path = path.display();
            return Err(Error::with(LITHE_ERR_IO, format_args!("{path}: not a directory")));
        }
        let builder = configure(native::Server::builder(), config)?;
        let builder = builder.host_routes(inbox.routes().clone()).drain_retry(reconnect);
        let native = builder.router(inbox.router(static_dir)).start()?;
        let address = native.local_addr();
        Ok(Server {
            native,
            is_stopped: AtomicBool::new(false),
            inbox,
            address,
            address_text: CString::new(address.to_string()).unwrap_or_default(),
        })
    }

    /// The next request.
    pub(super) fn accept(&self, timeout: Timeout) -> Result<Box<native::request::Request>, Error> {
        self.inbox.take(timeout.duration()).map_err(|error| match error {
            TakeError::Timeout => timed_out(),
            TakeError::Closed => stopped(),
        })
    }

    /// The server itself, unless it is stopped.
    pub(super) fn native(&self) -> Result<&native::Server, Error> {
        if self.is_stopped.load(Ordering::Acquire) { Err(stopped()) } else { Ok(&self.native) }
    }

    fn drain(&self, timeout: Duration) -> Result<DrainReport, Error> {
        let report = self.native()?.drain_blocking(timeout);
        self.stop();
        Ok(report)
    }

    /// Drains in the background; the end of it is an event.
    fn begin_drain(&self, timeout: Duration) -> Result<(), Error> {
        let inbox = self.inbox.clone();
        self.native()?.begin_drain(timeout, move || inbox.drained());
        Ok(())
    }

    /// Holds no lock while threads end: callbacks of the host that run on them may ask the server
    /// something.
    fn stop(&self) {
        let _finish = Finish(&self.inbox);
        self.inbox.close();
        if !self.is_stopped.load(Ordering::Acquire) {
            // Ends a drain that is going on in another thread.
            self.native.drain_blocking(Duration::ZERO);
        }
        self.is_stopped.store(true, Ordering::Release);
        self.native.stop();
    }
}

/// Tells whoever waits for events that there are no more, whatever becomes of the stop. Every
/// connection has said by then that it has ended.
struct Finish<'a>(&'a Inbox);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// A thread of the library, which is in a callback of the host then, cannot wait for its own end.
pub(super) fn may_wait_for_threads() -> Result<(), Error> {
    match Handle::try_current() {
        Ok(_) => Err(Error::new(
            LITHE_ERR_WRONG_STATE,
            c"a callback on a thread of the library cannot wait for that thread to end",
        )),
        Err(_) => Ok(()),
    }
}

fn configure(mut builder: Builder, config: &lithe_server_config_t) -> Result<Builder, Error> {
    if let Some(address) = text_z_in(config.address)? {
        builder = builder.bind(address);
    }
    builder = match (text_z_in(config.tls_cert_file)?, text_z_in(config.tls_key_file)?) {
        (Some(cert), Some(key)) => builder.tls_pem_files(cert, key),
        (None, None) => builder,
        _ => return Err(bad_argument("tls_cert_file and tls_key_file: one needs the other")),
    };
    if let Some(path) = text_z_in(config.metrics_path)? {
        builder = builder.metrics_path(path);
    }
    if let Some(workers) = count("workers", config.workers)?.some("workers")? {
        builder = builder.workers(workers);
    }
    let builder = count("max_connections", config.max_connections)?.apply(
        builder,
        usize::MAX,
        Builder::max_connections,
    );
    let builder = count("max_connections_per_ip", config.max_connections_per_ip)?.apply(
        builder,
        0,
        Builder::max_connections_per_ip,
    );
    let builder = count("max_header_bytes", config.max_header_bytes)?.apply(
        builder,
        usize::MAX,
        Builder::max_header_bytes,
    );
    let builder = count("max_body_bytes", config.max_body_bytes)?.apply(
        builder,
        usize::MAX,
        Builder::max_body_bytes,
    );
    let forever = Duration::MAX;
    let builder = millis("handshake_timeout_ms", config.handshake_timeout_ms)?.apply(
        builder,
        forever,
        Builder::handshake_timeout,
    );
    let builder = millis("header_timeout_ms", config.header_timeout_ms)?.apply(
        builder,
        forever,
        Builder::header_timeout,
    );
    let builder = millis("body_timeout_ms", config.body_timeout_ms)?.apply(
        builder,
        forever,
        Builder::body_timeout,
    );
    let builder = millis("idle_timeout_ms", config.idle_timeout_ms)?.apply(
        builder,
        forever,
        Builder::idle_timeout,
    );
    let builder = millis("write_timeout_ms", config.write_timeout_ms)?.apply(
        builder,
        forever,
        Builder::write_timeout,
    );
    Ok(builder)
}

/// Messages are made on the library's threads, many at a time, and freed on the host's. As it comes,
/// glibc gives memory back to the system whenever 128 KiB are free, and has to get it anew, page by
/// page, for the next batch. Once it has seen a larger block freed it keeps twice as much of it
/// (`M_MMAP_THRESHOLD` in mallopt(3)). Other allocators do not mind.
fn keep_bursts_in_memory() {
    const BURST: usize = 2 * 1024 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BURST)));
}

impl From<native::Error> for Error {
    fn from(error: native::Error) -> Self {
        let code = match error {
            native::Error::Setting { .. } => LITHE_ERR_BAD_ARGUMENT,
            // No address at all.
            native::Error::Bind { ref source, .. } if source.kind() == InvalidInput => {
                LITHE_ERR_BAD_ARGUMENT
            }
            _ => LITHE_ERR_IO,
        };
        Error::with(code, error)
    }
}

pub(super) fn stopped() -> Error {
    Error::new(LITHE_ERR_SHUTTING_DOWN, c"the server is stopped")
}

/// Starts a server: when this returns, it is listening. It runs on threads of its own, which block
/// all signals, until lithe_server_stop or lithe_server_free.
///
/// `config` may be NULL for the defaults. On an error `*server` is 0. Blocks for as long as the
/// system takes to start threads and to read the files of the configuration. Errors: BAD_ARGUMENT
/// for a setting that makes no sense, NOT_UTF8, IO when the address cannot be listened on or a file
/// cannot be read.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_start(
    config: *const lithe_server_config_t,
    server: *mut lithe_server_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(server, 0)?;
        let config = versioned_in(config)?.unwrap_or(lithe_server_config_t::DEFAULT);
        fork::watch()?;
        log::keep_panics_quiet();
        let server = signal::with_blocked(|| Server::start(&config))?;
        keep_bursts_in_memory();
        out.put(handle::insert(server)?);
        Ok(())
    })
}

/// The port that the server listens on. Never blocks. Errors: BAD_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_port(server: lithe_server_t) -> i32 {
    counting(|| Ok(handle::get::<Server>(server)?.address.port().into()))
}

/// The address that the server listens on, with its port, such as "127.0.0.1:8080".
///
/// The text is valid until lithe_server_free. Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_address(
    server: lithe_server_t,
    address: *mut lithe_string_t,
) -> i32 {
    boundary(|| {
        let out = Out::new(address, lithe_string_t::EMPTY)?;
        out.put(lithe_string_t::new(&handle::get::<Server>(server)?.address_text));
        Ok(())
    })
}

/// Waits for the next request, for `timeout_ms` at most. The host answers it exactly once: with
/// lithe_request_respond, lithe_request_respond_stream, lithe_ws_accept or lithe_sse_open; then, or
/// instead, it ends the handle with lithe_request_free.
///
/// Several threads may wait; each request goes to one of them. On an error `*request` is 0. Blocks.
/// Errors: BAD_HANDLE, BAD_ARGUMENT, TIMEOUT, SHUTTING_DOWN when the server is stopped.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_accept(
    server: lithe_server_t,
    request: *mut lithe_request_t,
    timeout_ms: i32,
) -> i32 {
    boundary(|| {
        let out = Out::new(request, 0)?;
        let timeout = Timeout::from_millis(timeout_ms)?;
        let server = handle::get::<Server>(server)?;
        let request = server.accept(timeout)?;
        out.put(handle::insert(Request::new(request, server.inbox.clone()))?);
        Ok(())
    })
}

/// Parts from all clients kindly, and stops the server: takes no new connections, ends event
/// streams with a time to come back after, closes WebSockets with 1001, and waits up to
/// `timeout_ms` for the clients and the host to be done; then it cuts the rest.
///
/// Requests that came in before still reach lithe_server_accept or lithe_server_wait meanwhile, so
/// the threads that call them go on until they say SHUTTING_DOWN. `report` may be NULL. Blocks.
/// Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN when the server is stopped already, WRONG_STATE
/// inside a callback that runs on a thread of the library.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_drain(
    server: lithe_server_t,
    timeout_ms: i32,
    report: *mut lithe_drain_report_t,
) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?.duration().unwrap_or(Duration::MAX);
        versioned_out(report, lithe_drain_report_t { size: 0, drained: 0, cut: 0 })?;
        may_wait_for_threads()?;
        let DrainReport { drained, cut, .. } = handle::get::<Server>(server)?.drain(timeout)?;
        let (drained, cut) = (drained as u64, cut as u64);
        versioned_out(report, lithe_drain_report_t { size: 0, drained, cut })
    })
}

/// Begins what lithe_server_drain does, and returns at once: the end of it is the event
/// LITHE_EVENT_DRAINED of lithe_server_wait, after which lithe_server_drain returns the report
/// without waiting, and stops the server. For a program with one thread, which has to take the
/// events of the connections meanwhile. Called again it can only bring the end nearer.
///
/// Never blocks. Errors: BAD_HANDLE, BAD_ARGUMENT, SHUTTING_DOWN when the server is stopped already.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_begin_drain(server: lithe_server_t, timeout_ms: i32) -> i32 {
    boundary(|| {
        let timeout = Timeout::from_millis(timeout_ms)?.duration().unwrap_or(Duration::MAX);
        handle::get::<Server>(server)?.begin_drain(timeout)
    })
}

/// Stops a server at once: cuts its connections and ends its threads. Whoever is blocked in
/// lithe_server_accept gets SHUTTING_DOWN, as does every later call of it; whoever is blocked on
/// a connection gets CLOSED; lithe_server_wait gives the events that are left. Does nothing when
/// the server is stopped already.
///
/// The handle stays valid until lithe_server_free. Blocks until the threads have ended. Errors:
/// BAD_HANDLE, WRONG_STATE inside a callback that runs on a thread of the library.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_stop(server: lithe_server_t) -> i32 {
    boundary(|| {
        may_wait_for_threads()?;
        handle::get::<Server>(server)?.stop();
        Ok(())
    })
}

/// Ends a server's handle, and stops the server if it runs. Handles of its requests and
/// connections stay valid until they are freed, but nothing can be done with them any more.
/// Blocks until the threads have ended. Errors: BAD_HANDLE, WRONG_STATE inside a callback that runs
/// on a thread of the library.
#[unsafe(no_mangle)]
pub extern "C" fn lithe_server_free(server: lithe_server_t) -> i32 {
    boundary(|| {
        may_wait_for_threads()?;
        let server = handle::remove::<Server>(server)?;
        server.stop();
        // Requests and connections keep the rest until they are freed as well.
        server.inbox.close_event_fd();
        Ok(())
    })
}

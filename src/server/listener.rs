//! The listening socket, and the task that accepts from it.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::driver::Http;
use super::limits::{Limit, Verdict};
use super::shared::Shared;
use super::worker::Worker;
use super::{Error, driver};
use crate::transport::block_on;

/// How many connections wait in the kernel until they are accepted.
const BACKLOG: i32 = 4096;
/// How long accepting rests when the system has run out of something, at first and at most.
const REST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How often refusals are reported.
const REPORT: Duration = Duration::from_secs(10);

/// Listens on the first address of that name that can be listened on.
pub(super) fn bind(address: &str) -> Result<StdListener, Error> {
    let fail = |source| Error::Bind { address: address.to_owned(), source };
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for candidate in address.to_socket_addrs().map_err(fail)? {
        match listen(candidate) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(fail(failed))
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Elsewhere the option would let a second server take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // Linux hands this on to the accepted sockets.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts to accept on the first worker, until the server is told to stop that. The worker makes the
/// listener its own by itself: a host's thread that is ending cannot enter its runtime any more.
pub(super) fn run(
    listener: StdListener,
    shared: &Arc<Shared>,
    workers: &[Worker],
) -> io::Result<()> {
    let handles: Vec<Handle> = workers.iter().map(|worker| worker.handle.clone()).collect();
    let first = handles[0].clone();
    let acceptor =
        Acceptor { shared: shared.clone(), workers: handles, refusals: 0, reported: None };
    let (sender, begun) = oneshot::channel();
    first.spawn(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                let _ = sender.send(Ok(()));
                acceptor.run(listener).await;
            }
            Err(error) => _ = sender.send(Err(error)),
        }
    });
    let begun = block_on(begun, None).and_then(Result::ok);
    begun.unwrap_or_else(|| Err(io::Error::other("the worker has ended")))
}

struct Acceptor {
    shared: Arc<Shared>,
    workers: Vec<Handle>,
    /// How many refusals there were since they were last reported.
    refusals: usize,
    reported: Option<Instant>,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) {
        let shared = self.shared.clone();
        let mut stopped = pin!(shared.shutdown.stopping());
        let mut rest = REST.0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stopped => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, peer)) => {
                    rest = REST.0;
                    self.take(socket, peer);
                }
                Err(error) if concerns_peer(&error) => {}
                Err(error) => {
                    self.shared.stats[0].accept_failed();
                    if rest == REST.0 {
                        tracing::warn!(%error, "cannot accept connections for now");
                    }
                    tokio::select! {
                        () = &mut stopped => break,
                        () = tokio::time::sleep(rest) => {}
                    }
                    rest = (rest * 2).min(REST.1);
                }
            }
        }
        self.take_rest(&listener);
        drop(listener);
        self.shared.shutdown.stopped_accepting();
    }

    /// Warns of refusals, but not of each: there may be very many.
    fn report_refusal(&mut self, peer: SocketAddr, limit: Limit) {
        tracing::debug!(%peer, limit = limit.name(), "connection refused");
        self.refusals += 1;
        if self.reported.is_none_or(|reported| reported.elapsed() > REPORT) {
            tracing::warn!(count = self.refusals, limit = limit.name(), "refusing connections");
            self.reported = Some(Instant::now());
            self.refusals = 0;
        }
    }

    /// Takes the connections that the kernel has established already and would reset.
    fn take_rest(&mut self, listener: &TcpListener) {
        let waker = std::task::Waker::noop();
        let mut cx = std::task::Context::from_waker(waker);
        while let std::task::Poll::Ready(Ok((socket, peer))) = listener.poll_accept(&mut cx) {
            self.take(socket, peer);
        }
    }

    /// Hands a connection to the worker with the fewest.
    fn take(&mut self, socket: TcpStream, peer: SocketAddr) {
        let shared = self.shared.clone();
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let worker = shared.admission.worker();
        let verdict = shared.admission.enter(&shared.config, peer.ip(), worker);
        shared.stats[0].accepted(verdict);
        let refused = match verdict {
            Verdict::Serve => None,
            Verdict::Refuse(limit) | Verdict::Close(limit) => {
                self.report_refusal(peer, limit);
                Some(limit)
            }
        };
        if matches!(verdict, Verdict::Close(_)) {
            return;
        }
        let http = Http { connection: Connection::new(shared, worker, peer, refused) };
        #[cfg(not(target_os = "linux"))]
        let _ = socket.set_nodelay(true);
        if worker == 0 {
            tokio::spawn(driver::serve(http, socket));
            return;
        }
        // A socket belongs to the event loop that it was opened on.
        match socket.into_std() {
            Ok(socket) => {
                self.workers[worker].spawn(async move {
                    match TcpStream::from_std(socket) {
                        Ok(socket) => driver::serve(http, socket).await,
                        Err(error) => tracing::warn!(%error, "cannot watch a connection"),
                    }
                });
            }
            Err(error) => tracing::warn!(%error, "cannot pass a connection on"),
        }
    }
}

/// Whether accepting failed because of the connection that was to be accepted, so that the next
/// may be tried at once.
fn concerns_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_do_not_delay_small_writes() {
        let listener = TcpListener::from_std(bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        client.unwrap();
        if cfg!(target_os = "linux") {
            assert!(accepted.unwrap().0.nodelay().unwrap());
        }
    }

    #[test]
    fn a_name_without_a_port_is_an_error() {
        let error = bind("127.0.0.1").unwrap_err().to_string();
        assert!(error.starts_with("bind 127.0.0.1: "), "{error}");
    }
}

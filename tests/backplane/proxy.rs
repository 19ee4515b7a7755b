//! What is between a hub and its Redis: a network that fails when told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    /// No connection can be made, or lasts.
    down: bool,
    /// Connections of subscribers that were made so far stay open and pass on nothing more.
    stalled: bool,
    /// Answers of the connections that were made so far are lost.
    muted: bool,
    /// How often a connection may subscribe. The next time waits.
    subscribes: usize,
    /// Counts the times at which all connections were cut.
    cuts: u64,
}

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    network: watch::Sender<Network>,
    accepts: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let network = watch::Sender::new(Network {
            down: false,
            stalled: false,
            muted: false,
            subscribes: usize::MAX,
            cuts: 0,
        });
        let seen = network.subscribe();
        let accepts = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                if !seen.borrow().down {
                    tokio::spawn(join(client, to, seen.clone()));
                }
            }
        });
        Proxy { address, network, accepts }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.network.send_modify(|network| {
            network.down = down;
            network.cuts += u64::from(down);
        });
    }

    /// Cuts all connections. New ones can be made.
    pub(crate) fn cut(&self) {
        self.network.send_modify(|network| network.cuts += 1);
    }

    /// Passes on nothing more to subscribers by the connections that there are.
    pub(crate) fn stall_subscribers(&self) {
        self.network.send_modify(|network| network.stalled = true);
    }

    /// Passes on no answers by the connections that there are.
    pub(crate) fn mute(&self) {
        self.network.send_modify(|network| network.muted = true);
    }

    /// Cuts all connections. New ones are answered.
    pub(crate) fn cut_and_unmute(&self) {
        self.network.send_modify(|network| {
            network.muted = false;
            network.cuts += 1;
        });
    }

    /// Lets each connection subscribe so many times only.
    pub(crate) fn limit_subscribes(&self, subscribes: usize) {
        self.network.send_modify(|network| network.subscribes = subscribes);
    }

    /// Whether [`stall_subscribers`](Self::stall_subscribers) is over: new connections work.
    pub(crate) fn end_stall(&self) {
        self.network.send_modify(|network| network.stalled = false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

async fn join(client: TcpStream, to: u16, network: watch::Receiver<Network>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let subscribes = Arc::<AtomicBool>::default();
    let cuts = network.borrow().cuts;
    let mut cut = network.clone();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = cut.wait_for(|network| network.cuts != cuts) => {}
        () = requests(from_client, to_server, &subscribes, network.clone()) => {}
        () = answers(from_server, to_client, &subscribes, network) => {}
    }
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    subscribes: &AtomicBool,
    mut network: watch::Receiver<Network>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut times = 0;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let request = &buffer[..length];
        if request.windows(9).any(|window| window == b"SUBSCRIBE") {
            subscribes.store(true, Ordering::Relaxed);
            times += 1;
            if network.wait_for(|network| times <= network.subscribes).await.is_err() {
                return;
            }
        }
        if to.write_all(request).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    subscribes: &AtomicBool,
    network: watch::Receiver<Network>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let now = *network.borrow();
        if now.muted || now.stalled && subscribes.load(Ordering::Relaxed) {
            // Open, and silent for ever: until it is closed by the other side.
            std::future::pending::<()>().await;
        }
        // Subscribing that waits is for a network on which answers come bit by bit.
        let slow = now.subscribes < usize::MAX;
        for part in buffer[..length].chunks(if slow { 64 } else { length }) {
            if to.write_all(part).await.is_err() {
                return;
            }
            if slow {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

//! The limits that have a counter, and who is let in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::config::Config;
use crate::transport;

/// How many connections over a limit are told so at a time; any more are just closed.
const MAX_REFUSALS: usize = 256;

/// What a peer can run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Connections,
    ConnectionsPerIp,
    HandshakeTime,
    HeaderTime,
    HeaderSize,
    BodySize,
    BodyTime,
    IdleTime,
    PeerTime,
    WsHandshakeTime,
    WsIdleTime,
    MessageSize,
    MessageRate,
}

impl Limit {
    pub(super) const COUNT: usize = Limit::MessageRate as usize + 1;

    /// The names in the metrics, in the order of the variants: those of the settings.
    pub(super) const NAMES: [&str; Limit::COUNT] = [
        "max_connections",
        "max_connections_per_ip",
        "handshake_timeout",
        "header_timeout",
        "max_header_bytes",
        "max_body_bytes",
        "body_timeout",
        "idle_timeout",
        "peer_timeout",
        "ws_handshake_timeout",
        "ws_idle_timeout",
        "max_message_size",
        "max_messages_per_second",
    ];

    pub(super) fn name(self) -> &'static str {
        Limit::NAMES[self as usize]
    }
}

impl From<transport::Limit> for Limit {
    fn from(limit: transport::Limit) -> Limit {
        match limit {
            transport::Limit::MessageSize => Limit::MessageSize,
            transport::Limit::MessageRate => Limit::MessageRate,
            transport::Limit::PeerTimeout => Limit::PeerTime,
            transport::Limit::HandshakeTimeout => Limit::WsHandshakeTime,
            transport::Limit::IdleTimeout => Limit::WsIdleTime,
        }
    }
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Serve,
    /// Over the limit, but it shall be told.
    Refuse(Limit),
    /// Over the limit, and there are too many to tell.
    Close(Limit),
}

/// Counts the connections that are let in.
#[derive(Debug)]
pub(super) struct Admission {
    served: AtomicUsize,
    refused: AtomicUsize,
    addresses: Mutex<HashMap<IpAddr, usize>>,
    /// The connections of each worker.
    load: Vec<AtomicUsize>,
}

impl Admission {
    pub(super) fn new(workers: usize) -> Self {
        Admission {
            served: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            addresses: Mutex::default(),
            load: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// The worker with the fewest connections. The first one also accepts, so it comes last.
    pub(super) fn worker(&self) -> usize {
        let load = self.load.iter().map(|load| load.load(Relaxed)).enumerate().rev();
        load.min_by_key(|(_, load)| *load).map_or(0, |(worker, _)| worker)
    }

    /// Decides on a new connection, and counts it until [`leave`](Self::leave) unless it is to be
    /// closed. Called by one task only.
    pub(super) fn enter(&self, config: &Config, ip: IpAddr, worker: usize) -> Verdict {
        let verdict = match self.over(config, ip) {
            None => Verdict::Serve,
            Some(limit) if self.refused.load(Relaxed) < MAX_REFUSALS => Verdict::Refuse(limit),
            Some(limit) => return Verdict::Close(limit),
        };
        match verdict {
            Verdict::Serve => {
                self.served.fetch_add(1, Relaxed);
                *self.addresses().entry(client(ip)).or_default() += 1;
            }
            _ => {
                self.refused.fetch_add(1, Relaxed);
            }
        }
        self.load[worker].fetch_add(1, Relaxed);
        verdict
    }

    fn over(&self, config: &Config, ip: IpAddr) -> Option<Limit> {
        if self.served.load(Relaxed) >= config.max_connections {
            return Some(Limit::Connections);
        }
        let held = || self.addresses().get(&client(ip)).copied().unwrap_or(0);
        match config.max_connections_per_ip {
            0 => None,
            max => (held() >= max).then_some(Limit::ConnectionsPerIp),
        }
    }

    /// Forgets a connection that was served, or refused.
    pub(super) fn leave(&self, ip: IpAddr, worker: usize, refused: bool) {
        self.load[worker].fetch_sub(1, Relaxed);
        if refused {
            self.refused.fetch_sub(1, Relaxed);
            return;
        }
        self.served.fetch_sub(1, Relaxed);
        let mut addresses = self.addresses();
        let client = client(ip);
        if let Some(held) = addresses.get_mut(&client) {
            *held -= 1;
            if *held == 0 {
                addresses.remove(&client);
            }
        }
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 network, out of which a single host may
/// take any address.
fn client(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(connections: usize, per_ip: usize) -> Config {
        Config { max_connections: connections, max_connections_per_ip: per_ip, ..Config::default() }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_leaves() {
        let (admission, config) = (Admission::new(1), config(1, 0));
        assert_eq!(admission.enter(&config, ip("10.0.0.1"), 0), Verdict::Serve);
        assert_eq!(
            admission.enter(&config, ip("10.0.0.2"), 0),
            Verdict::Refuse(Limit::Connections)
        );
        admission.leave(ip("10.0.0.2"), 0, true);
        admission.leave(ip("10.0.0.1"), 0, false);
        assert_eq!(admission.enter(&config, ip("10.0.0.2"), 0), Verdict::Serve);
    }

    #[test]
    fn addresses_are_counted_apart_and_ipv6_by_network() {
        let (admission, config) = (Admission::new(1), config(10, 1));
        assert_eq!(admission.enter(&config, ip("10.0.0.1"), 0), Verdict::Serve);
        assert_eq!(admission.enter(&config, ip("10.0.0.2"), 0), Verdict::Serve);
        assert_eq!(
            admission.enter(&config, ip("10.0.0.1"), 0),
            Verdict::Refuse(Limit::ConnectionsPerIp)
        );
        assert_eq!(admission.enter(&config, ip("2001:db8::1"), 0), Verdict::Serve);
        assert_eq!(
            admission.enter(&config, ip("2001:db8::2"), 0),
            Verdict::Refuse(Limit::ConnectionsPerIp)
        );
        assert_eq!(admission.enter(&config, ip("2001:db8:0:1::1"), 0), Verdict::Serve);
    }

    #[test]
    fn no_address_is_remembered_without_a_connection() {
        let (admission, config) = (Admission::new(1), config(10, 5));
        for _ in 0..3 {
            admission.enter(&config, ip("10.0.0.1"), 0);
        }
        for _ in 0..3 {
            admission.leave(ip("10.0.0.1"), 0, false);
        }
        assert!(admission.addresses().is_empty());
    }

    #[test]
    fn refusals_are_bounded() {
        let (admission, config) = (Admission::new(1), config(0, 0));
        for _ in 0..MAX_REFUSALS {
            assert_eq!(
                admission.enter(&config, ip("10.0.0.1"), 0),
                Verdict::Refuse(Limit::Connections)
            );
        }
        assert_eq!(admission.enter(&config, ip("10.0.0.1"), 0), Verdict::Close(Limit::Connections));
    }

    #[test]
    fn the_worker_with_the_fewest_connections_is_next() {
        let (admission, config) = (Admission::new(2), config(10, 0));
        let next = || {
            let worker = admission.worker();
            admission.enter(&config, ip("10.0.0.1"), worker);
            worker
        };
        assert_eq!([next(), next(), next()], [1, 0, 1]);
    }
}

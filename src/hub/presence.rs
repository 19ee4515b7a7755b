use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use super::ChannelName;

/// How many changes are kept for subscribers who have yet to read them.
const CHANGES: usize = 256;

/// Who a subscription belongs to, as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Whoever has the same identifier is the same client, with however many connections.
    pub id: Box<str>,
    /// Whatever others may know of the client.
    pub info: Bytes,
}

/// Somebody has come to a channel or gone from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// The channel.
    pub channel: ChannelName,
    /// What has happened.
    pub kind: PresenceKind,
}

/// What has happened on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceKind {
    /// The first connection of a client has come.
    Joined(Client),
    /// The last connection of a client has gone.
    Left(Client),
    /// There were more changes than the subscriber has read in time: ask who is there now.
    Missed,
}

/// Who is on a channel.
#[derive(Debug, Default)]
pub(super) struct Presence {
    clients: HashMap<Box<str>, Present>,
    changes: VecDeque<PresenceKind>,
    /// How many changes there were.
    count: u64,
}

#[derive(Debug)]
struct Present {
    info: Bytes,
    connections: usize,
}

impl Presence {
    /// Adds a connection. Says whether that is a change.
    pub(super) fn join(&mut self, client: &Client, announce: bool) -> bool {
        if let Some(present) = self.clients.get_mut(&client.id) {
            present.connections += 1;
            return false;
        }
        let present = Present { info: client.info.clone(), connections: 1 };
        self.clients.insert(client.id.clone(), present);
        self.change(announce, || PresenceKind::Joined(client.clone()))
    }

    /// Takes a connection away. Says whether that is a change.
    pub(super) fn leave(&mut self, id: &str, announce: bool) -> bool {
        let Some(present) = self.clients.get_mut(id) else { return false };
        present.connections -= 1;
        if present.connections > 0 {
            return false;
        }
        let Some((id, present)) = self.clients.remove_entry(id) else { return false };
        self.change(announce, || PresenceKind::Left(Client { id, info: present.info }))
    }

    fn change(&mut self, announce: bool, kind: impl FnOnce() -> PresenceKind) -> bool {
        if announce {
            self.count += 1;
            self.changes.push_back(kind());
            if self.changes.len() > CHANGES {
                self.changes.pop_front();
            }
        }
        announce
    }

    /// How many changes there were.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The change after so many.
    pub(super) fn read(&self, seen: &mut u64) -> Option<PresenceKind> {
        let first = self.count - self.changes.len() as u64;
        if *seen < first {
            *seen = self.count;
            return Some(PresenceKind::Missed);
        }
        let index = usize::try_from(*seen - first).ok()?;
        let change = self.changes.get(index)?.clone();
        *seen += 1;
        Some(change)
    }

    pub(super) fn list(&self) -> Vec<Client> {
        let mut clients = Vec::with_capacity(self.clients.len());
        for (id, present) in &self.clients {
            clients.push(Client { id: id.clone(), info: present.info.clone() });
        }
        clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str) -> Client {
        Client { id: id.into(), info: Bytes::from_static(b"{}") }
    }

    #[test]
    fn a_client_comes_with_its_first_connection_and_goes_with_its_last() {
        let mut presence = Presence::default();
        assert!(presence.join(&client("a"), true));
        assert!(!presence.join(&client("a"), true));
        assert!(!presence.leave("a", true));
        assert_eq!(presence.list(), [client("a")]);
        assert!(presence.leave("a", true));
        assert!(!presence.leave("a", true));
        assert_eq!(presence.list(), []);
        let mut seen = 0;
        assert_eq!(presence.read(&mut seen), Some(PresenceKind::Joined(client("a"))));
        assert_eq!(presence.read(&mut seen), Some(PresenceKind::Left(client("a"))));
        assert_eq!(presence.read(&mut seen), None);
    }

    #[test]
    fn whoever_reads_too_late_is_told_so_once() {
        let mut presence = Presence::default();
        for n in 0..=CHANGES {
            presence.join(&client(&n.to_string()), true);
        }
        let mut seen = 0;
        assert_eq!(presence.read(&mut seen), Some(PresenceKind::Missed));
        assert_eq!(presence.read(&mut seen), None);
        assert_eq!(seen, presence.count());
    }
}

//! How many connections each address holds, and how many all together may: one client that opens many must leave room for
//! the others, and all of them for the log's files and the receivers' sockets.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// File descriptors that connections leave to the log, the view, the receivers and the system's own; where there are fewer
/// than twice as many, half of them.
const DESCRIPTORS_KEPT: usize = 128;

/// Connections by address.
#[derive(Clone, Debug)]
pub(super) struct Peers {
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    max: usize,
}

/// One connection's share of its address's limit, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    /// `max` connections for each address.
    pub(super) fn new(max: usize) -> Peers {
        Peers { open: Arc::default(), max }
    }

    /// A place for one more connection from this address; `None` when it has enough.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Place> {
        // One host's addresses look alike in both forms.
        let address = address.to_canonical();
        let mut open = self.lock();
        let held = open.entry(address).or_default();
        if *held >= self.max {
            return None;
        }
        *held += 1;
        Some(Place { peers: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.peers.lock();
        if let Some(held) = open.get_mut(&self.address) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.address);
            }
        }
    }
}

/// How many connections there may be: as configured, or as many as the process may have descriptors for.
pub(super) fn connections_max(configured: usize) -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let Some(room) = open_files(&limits).map(room_for_connections).filter(|room| *room < configured) else { return configured };
    tracing::warn!(configured, room, "fewer connections than configured: the limit on open files is too low");
    room
}

fn room_for_connections(open_files: usize) -> usize {
    open_files - DESCRIPTORS_KEPT.min(open_files / 2)
}

/// `Max open files            1024                 524288               files`: the first number is the one that holds.
fn open_files(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_places_as_the_limit_says() {
        let peers = Peers::new(2);
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = peers.admit(one).unwrap();
        let _second = peers.admit("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(peers.admit(one).is_none());
        let elsewhere = peers.admit(other);
        assert!(elsewhere.is_some());
        drop((first, elsewhere));
        assert!(peers.admit(one).is_some());
        assert_eq!(peers.lock().len(), 1, "who has gone is forgotten");
    }

    #[test]
    fn descriptors_are_left_for_others() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max processes             127398               127398               processes\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(open_files(limits), Some(1_024));
        assert_eq!(open_files(&limits.replace("1024 ", "unlimited ")), None);
        assert_eq!(open_files(""), None);
        for (open_files, room) in [(65_536, 65_408), (1_024, 896), (200, 100), (1, 1), (0, 0)] {
            assert_eq!(room_for_connections(open_files), room, "{open_files}");
        }
    }
}

//! The heartbeats that were heard of, by name and by when they are missed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::State;
use crate::model::{Heartbeat, Time};

/// Heartbeats in memory. Their number is bounded by the rules that name them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Heartbeats {
    by_name: BTreeMap<Arc<str>, Arc<Heartbeat>>,
    due: BTreeSet<(Time, Arc<str>)>,
}

impl Heartbeats {
    pub(super) fn insert(&mut self, heartbeat: Arc<Heartbeat>) {
        self.remove(&heartbeat.name);
        self.due.extend(heartbeat.due.map(|due| (due, heartbeat.name.clone())));
        self.by_name.insert(heartbeat.name.clone(), heartbeat);
    }

    fn remove(&mut self, name: &str) -> Option<Arc<Heartbeat>> {
        let heartbeat = self.by_name.remove(name)?;
        if let Some(due) = heartbeat.due {
            self.due.remove(&(due, heartbeat.name.clone()));
        }
        Some(heartbeat)
    }

    pub(in crate::engine) fn get(&self, name: &str) -> Option<&Arc<Heartbeat>> {
        self.by_name.get(name)
    }

    /// All of them, in order of their names.
    pub(in crate::engine) fn all(&self) -> impl Iterator<Item = &Arc<Heartbeat>> {
        self.by_name.values()
    }

    /// When the next one is missed.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Those that are missed by `now`, the longest first.
    pub(in crate::engine) fn due(&self, now: Time) -> Vec<(Time, Arc<str>)> {
        self.due.iter().take_while(|(due, _)| *due <= now).cloned().collect()
    }
}

impl State {
    pub(super) fn put_heartbeat(&mut self, heartbeat: Heartbeat) {
        self.touched.heartbeats.push(heartbeat.name.clone());
        self.heartbeats.insert(Arc::new(heartbeat));
    }

    pub(super) fn change_heartbeat(&mut self, name: &str, change: impl FnOnce(&mut Heartbeat)) {
        let Some(present) = self.heartbeats.get(name) else { return };
        let mut heartbeat = Heartbeat::clone(present);
        change(&mut heartbeat);
        self.put_heartbeat(heartbeat);
    }

    pub(super) fn forget_heartbeat(&mut self, name: &str) {
        self.touched.forgotten_heartbeats.extend(self.heartbeats.remove(name));
    }
}

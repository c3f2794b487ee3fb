//! The changes that people reported of late, by id and by what they were made to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Change, KeyedMap, Time};

/// Changes in memory. Their number is bounded by whoever records them.
#[derive(Debug, Default)]
pub(in crate::engine) struct Reported {
    changes: BTreeMap<Arc<str>, Arc<Change>>,
    /// In order of their beginning.
    by_time: BTreeSet<(Time, Arc<str>)>,
    /// In order of their beginning, by thing.
    by_thing: KeyedMap<Arc<str>, BTreeSet<(Time, Arc<str>)>>,
}

impl Reported {
    pub(super) fn insert(&mut self, change: Arc<Change>) {
        self.remove(&change.id);
        let place = (change.started_at, change.id.clone());
        for thing in &change.things {
            self.by_thing.entry(thing.clone()).or_default().insert(place.clone());
        }
        self.by_time.insert(place);
        self.changes.insert(change.id.clone(), change);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<Change>> {
        let change = self.changes.remove(id)?;
        let place = (change.started_at, change.id.clone());
        for thing in &change.things {
            if let Some(others) = self.by_thing.get_mut(thing) {
                others.remove(&place);
                if others.is_empty() {
                    self.by_thing.remove(thing);
                }
            }
        }
        self.by_time.remove(&place);
        Some(change)
    }

    pub(in crate::engine) fn get(&self, id: &str) -> Option<&Arc<Change>> {
        self.changes.get(id)
    }

    /// All of them, in order of their ids.
    pub(in crate::engine) fn all(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.changes.values()
    }

    pub(in crate::engine) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(in crate::engine) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// All of them, in order of their beginning.
    pub(in crate::engine) fn oldest_first(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.by_time.iter().filter_map(|(_, id)| self.changes.get(id))
    }

    /// The changes of a thing that began in a time, the last first.
    pub(in crate::engine) fn of(&self, thing: &str, from: Time, to: Time) -> impl Iterator<Item = &Arc<Change>> {
        let began = self.by_thing.get(thing).into_iter().flat_map(|places| places.iter().rev());
        let within = began.skip_while(move |(at, _)| *at > to).take_while(move |(at, _)| *at >= from);
        within.filter_map(|(_, id)| self.changes.get(id))
    }
}

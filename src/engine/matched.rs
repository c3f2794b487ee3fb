//! Which rules' matchers hold for the alert that is being decided on. Most stages ask, and all are answered by one look.

use crate::engine::Fact;
use crate::model::{AlertRecord, Fingerprint};
use crate::ruleset::{Found, Listed, Ruleset};

/// The last alert that was asked for, and what holds for it.
#[derive(Debug, Default)]
pub(super) struct Matched {
    of: Option<Fingerprint>,
    found: Found,
}

impl Matched {
    /// The lists of a kind that hold for an alert as it is in the state now, ascending.
    pub(super) fn by(&mut self, rules: &Ruleset, record: &AlertRecord, whose: Listed) -> impl Iterator<Item = u32> + '_ {
        let fingerprint = record.alert.fingerprint;
        if self.of != Some(fingerprint) {
            rules.alert_index.matching(record.labels(), &mut self.found);
            self.of = Some(fingerprint);
        }
        #[cfg(test)]
        self.check(rules, record);
        self.found.of(whose)
    }

    /// An alert has other labels now.
    pub(super) fn follow_fact(&mut self, fact: &Fact) {
        let changed = match fact {
            Fact::AlertFired { alert } => alert.fingerprint,
            Fact::AlertEnriched { fingerprint, .. } => *fingerprint,
            _ => return,
        };
        if self.of == Some(changed) {
            self.of = None;
        }
    }

    /// Other rules are in force.
    pub(super) fn forget(&mut self) {
        self.of = None;
    }

    /// Holds what is kept against a new look.
    #[cfg(test)]
    fn check(&self, rules: &Ruleset, record: &AlertRecord) {
        let mut anew = Found::default();
        rules.alert_index.matching(record.labels(), &mut anew);
        assert_eq!(self.found, anew, "{:?}", record.labels());
    }
}

//! Flapping: an alert that changes too often between firing and resolved is suppressed until it has been stable for a while.
//!
//! Changes are counted only where a rule asks for it, and kept on the alert's record: the rules' windows slide over them. An
//! alert that has begun to flap does so until it has not changed for as long as its rule says, however few its changes become.

use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, RuleRef, Time};
use crate::ruleset::{Flapping, Listed, SuppressHow};

impl Engine {
    /// Counts that an alert has just begun to fire or resolved, for every rule that wants to know, and says where it has
    /// begun to flap.
    pub(super) fn count_change(&mut self, fingerprint: Fingerprint) {
        if !self.counts_changes {
            return;
        }
        let counting = self.counting_rules(fingerprint);
        let Some(longest) = counting.iter().map(|(_, flapping)| flapping.within).max() else { return };
        let stable = counting.iter().map(|(_, flapping)| flapping.until_stable).fold(longest, Ord::max);
        let most = counting.iter().map(|(_, flapping)| flapping.changes).fold(0, Ord::max);
        let (since, kept_until) = (self.now - longest, self.now + stable);
        self.record(Fact::AlertChangeCounted { fingerprint, since, most, kept_until });
        for (rule, flapping) in counting {
            if self.begins_to_flap(fingerprint, &rule, flapping) {
                let Flapping { changes, within, until_stable } = flapping;
                self.record(Fact::AlertFlapping { fingerprint, rule, changes, within, until_stable });
            }
        }
    }

    fn counting_rules(&mut self, fingerprint: Fingerprint) -> Vec<(RuleRef, Flapping)> {
        let Some(record) = self.state.alert(fingerprint) else { return Vec::new() };
        let found = self.matched.by(&self.rules, record, Listed::Suppress);
        let rules = found.map(|position| &self.rules.suppress[position as usize]);
        let counting = rules.filter_map(|rule| match rule.how {
            SuppressHow::Flapping(flapping) => Some((rule.rule.clone(), flapping)),
            _ => None,
        });
        counting.collect()
    }

    fn begins_to_flap(&self, fingerprint: Fingerprint, rule: &RuleRef, flapping: Flapping) -> bool {
        let Some(flaps) = self.state.alert(fingerprint).and_then(|record| record.flaps.as_ref()) else { return false };
        let since = self.now - flapping.within;
        let changes = flaps.changes.iter().filter(|change| **change > since).count();
        changes >= flapping.changes as usize && flaps.spells.iter().all(|spell| spell.rule.name != rule.name)
    }
}

/// Until when an alert flaps under a rule, unless it changes before; `None` if it does not.
pub(super) fn flaps_until(record: &AlertRecord, rule: &RuleRef) -> Option<Time> {
    let spells = &record.flaps.as_ref()?.spells;
    spells.iter().find(|spell| spell.rule.name == rule.name).map(|spell| spell.until)
}

/// Whether an alert is suppressed because it flaps.
pub(super) fn is_flapping(record: &AlertRecord) -> bool {
    record.suppressed_by.iter().any(|by| by.kind == crate::model::SuppressionKind::Flapping)
}

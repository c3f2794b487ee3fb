//! Rules that want several alerts before they open an incident: firing alerts, each once per distinct value, inside a
//! sliding window.

use std::collections::BTreeSet;

use crate::engine::{Engine, Fact};
use crate::model::{Fingerprint, Labels, Time};
use crate::ruleset::{CorrelateRule, Otherwise, Threshold};

impl Engine {
    pub(super) fn join_or_wait(&mut self, rule: &CorrelateRule, threshold: &Threshold, key: Labels, fingerprint: Fingerprint) {
        if self.group_incident(&rule.rule.name, &key).is_some_and(|id| self.takes_more(id)) {
            // The threshold was passed before; this one is more of the same.
            self.join_or_open(rule, key, fingerprint);
            return;
        }
        let together = self.waiting_within(rule, threshold, &key, fingerprint);
        if self.reached(threshold, &together) {
            let before = self.group_incident(&rule.rule.name, &key);
            let id = self.open(rule, key, together[0], before);
            for (index, member) in together.into_iter().enumerate() {
                self.join(id, member, &rule.rule);
                self.follow_join(id, member, index == 0);
            }
        } else if self.state.alert(fingerprint).is_some_and(|record| record.waiting.is_none()) {
            let until = self.now + threshold.within;
            self.record(Fact::AlertWaiting { fingerprint, rule: rule.rule.clone(), key, until });
        }
    }

    /// The alerts of the group that wait, fire and came within the window, and this one behind them.
    fn waiting_within(&self, rule: &CorrelateRule, threshold: &Threshold, key: &Labels, last: Fingerprint) -> Vec<Fingerprint> {
        let since: Time = self.now - threshold.within;
        let group = (rule.rule.name.clone(), key.clone());
        let waiting = self.state.waiting.get(&group).map(Vec::as_slice).unwrap_or_default();
        let counts = |key: &&Fingerprint| {
            self.state.alert(**key).is_some_and(|record| {
                record.is_firing() && !record.is_suppressed() && record.waiting.as_ref().is_some_and(|w| w.since > since)
            })
        };
        let mut together: Vec<Fingerprint> = waiting.iter().filter(|key| **key != last).filter(counts).copied().collect();
        together.push(last);
        together
    }

    fn reached(&self, threshold: &Threshold, together: &[Fingerprint]) -> bool {
        let wanted = threshold.count as usize;
        match &threshold.distinct {
            None => together.len() >= wanted,
            // A missing label is the empty string, and that is a value like any other.
            Some(label) => {
                let records = together.iter().filter_map(|key| self.state.alert(*key));
                records.map(|record| record.labels().get(label)).collect::<BTreeSet<_>>().len() >= wanted
            }
        }
    }

    /// The time is over and the threshold was not reached.
    pub(super) fn wait_in_vain(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let Some(waiting) = record.waiting.as_ref().filter(|waiting| waiting.until <= self.now) else { return };
        let position = self.positions.correlate.get(&waiting.rule.name).copied();
        let rule = position.map(|position| &self.rules.correlate[position]);
        let otherwise = rule.and_then(|rule| rule.threshold.as_ref()).map_or(Otherwise::Alone, |threshold| threshold.otherwise);
        // With `continue` the later rules have had it already.
        let went_on = rule.is_some_and(|rule| rule.go_on);
        let dropped = otherwise == Otherwise::Drop;
        self.record(Fact::AlertWaitedInVain { fingerprint, rule: waiting.rule.clone(), dropped });
        if dropped || went_on || record.is_suppressed() {
            return;
        }
        // A rule that is gone by now leaves the alert to all that are there.
        let next = position.and_then(|position| u32::try_from(position + 1).ok()).unwrap_or(0);
        self.correlate(fingerprint, next);
    }
}

//! Rules that want several alerts before they open an incident: firing alerts, each once per distinct value, inside a
//! sliding window; or firings, each time that an alert begins to fire.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::correlate::Joined;
use crate::engine::state::GroupKey;
use crate::engine::{Engine, Fact};
use crate::model::alert::{Step, Waiting};
use crate::model::{AlertRecord, Fingerprint, Time};
use crate::ruleset::{CorrelateRule, Otherwise, Threshold};

impl Engine {
    pub(super) fn join_or_wait(
        &mut self,
        rule: &CorrelateRule,
        threshold: &Threshold,
        group: GroupKey,
        fingerprint: Fingerprint,
    ) {
        let before = self.group_incident(&group);
        if before.is_some_and(|id| self.takes(id, fingerprint)) {
            // The threshold was passed before; this one is more of the same.
            self.join_or_open(rule, group, fingerprint);
        } else if let Some(together) = self.reached_with(rule, threshold, &group, fingerprint) {
            let id = self.open(rule, group.1, together[0], before);
            for (index, member) in together.into_iter().enumerate() {
                self.join(id, member, &rule.rule);
                self.follow_join(id, member, if index == 0 { Joined::Opened } else { Joined::More });
            }
        } else if self.state.alert(fingerprint).is_some_and(|record| record.waits_under(&group.0).is_none()) {
            let until = self.now + threshold.within;
            self.record(Fact::AlertWaiting { fingerprint, rule: rule.rule.clone(), key: group.1, until });
        }
    }

    fn reached_with(
        &mut self,
        rule: &CorrelateRule,
        threshold: &Threshold,
        group: &GroupKey,
        last: Fingerprint,
    ) -> Option<Vec<Fingerprint>> {
        if !threshold.firings {
            return self.reached(threshold, group, last);
        }
        self.note_firing(rule, threshold, group, last);
        let since: Time = self.now - threshold.within;
        let firings = self.state.steps.get(group).into_iter().flat_map(|steps| steps.range((Step::FIRING, 0)..));
        let enough = firings.rev().take_while(|(_, (at, _))| *at > since).take(threshold.count as usize).count();
        (enough >= threshold.count as usize).then(|| {
            // Those that have resolved have counted, and are none of its alerts.
            let mut together = self.held(group);
            together.retain(|member| *member != last);
            together.push(last);
            together
        })
    }

    /// Notes that an alert has begun to fire, once for each time: what suppressed it may let it go again and again.
    fn note_firing(&mut self, rule: &CorrelateRule, threshold: &Threshold, group: &GroupKey, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint) else { return };
        let noted = record.steps().any(|step| {
            step.step == Step::FIRING && (&step.rule.name, &step.key) == (&group.0, &group.1) && step.at >= record.fired_at
        });
        if noted {
            return;
        }
        self.record(Fact::SequenceStepped {
            fingerprint,
            rule: rule.rule.clone(),
            key: group.1.clone(),
            step: Step::FIRING,
            until: self.now + threshold.within,
        });
    }

    /// The alerts of the group that wait, fire, are not suppressed and came within the window, and this one behind them, if
    /// with it they are enough.
    fn reached(&self, threshold: &Threshold, group: &GroupKey, last: Fingerprint) -> Option<Vec<Fingerprint>> {
        let waiting = self.state.waiting.get(group);
        let wanted = threshold.count as usize;
        if waiting.map_or(0, BTreeSet::len) + 1 < wanted {
            return None;
        }
        let since: Time = self.now - threshold.within;
        let counts = |record: &&Arc<AlertRecord>| {
            record.alert.fingerprint != last
                && record.is_firing()
                && !record.is_suppressed()
                && record.waits_under(&group.0).is_some_and(|waiting| waiting.since > since)
        };
        let others = || waiting.into_iter().flatten().filter_map(|(_, key)| self.state.alert(*key)).filter(counts);
        if let Some(label) = &threshold.distinct {
            // A missing label is the empty string, and that is a value like any other.
            let own = self.state.alert(last)?.labels().get(label);
            // A value that another one has already brought adds nothing: a flood from one host ends here, at the first.
            if others().any(|record| record.labels().get(label) == own) {
                return None;
            }
            let values: BTreeSet<&str> = others().map(|record| record.labels().get(label)).chain([own]).collect();
            if values.len() < wanted {
                return None;
            }
        }
        let mut together: Vec<Fingerprint> = others().map(|record| record.alert.fingerprint).collect();
        together.push(last);
        (together.len() >= wanted).then_some(together)
    }

    /// The time is over and the threshold was not reached; under each rule for which that is so, soonest first.
    pub(super) fn wait_in_vain(&mut self, fingerprint: Fingerprint) {
        while let Some(record) = self.state.alert(fingerprint).cloned() {
            let over = record.waits().filter(|waiting| waiting.until <= self.now).min_by_key(|waiting| waiting.until);
            let Some(waiting) = over else { return };
            self.end_wait(fingerprint, &record, waiting);
        }
    }

    fn end_wait(&mut self, fingerprint: Fingerprint, record: &AlertRecord, waiting: &Waiting) {
        let position = self.positions.correlate.get(&waiting.rule.name).copied();
        let rules = self.rules.clone();
        let rule = position.map(|position| &rules.correlate[position]);
        let otherwise = rule.and_then(|rule| rule.threshold.as_ref()).map_or(Otherwise::Alone, |threshold| threshold.otherwise);
        // With `continue` the later rules have had it already.
        let went_on = rule.is_some_and(|rule| rule.go_on);
        let dropped = otherwise == Otherwise::Drop;
        self.record(Fact::AlertWaitedInVain { fingerprint, rule: waiting.rule.clone(), dropped });
        if dropped || record.is_suppressed() {
            return;
        }
        if let Some(place) = position.filter(|_| rule.is_some_and(|rule| !rule.ties.is_empty() && rule.threshold.is_none())) {
            return self.tied_to_nothing(place, fingerprint);
        }
        if went_on {
            return;
        }
        // A rule that is gone by now leaves the alert to all that are there.
        let next = position.and_then(|position| u32::try_from(position + 1).ok()).unwrap_or(0);
        self.correlate(fingerprint, next);
    }
}

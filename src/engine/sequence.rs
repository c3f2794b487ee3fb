//! Rules that wait for alerts in an order: a deployment, and then errors.
//!
//! Every alert that comes as a step behind all steps before it is noted on its record; that it resolves takes nothing of that
//! back, because what it stands for has happened. When the last step comes and the first lies within the time, an incident opens
//! with it. Earlier steps have gone on to later rules, and their incidents become its children; or they were held, and join it.

use crate::engine::conditions::holds_for;
use crate::engine::correlate::Joined;
use crate::engine::state::GroupKey;
use crate::engine::topology::CHILDREN_MAX;
use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, IncidentId, Time};
use crate::ruleset::{CorrelateRule, Listed, Sequence, SequenceStep};

impl Engine {
    /// Adds the rules with a sequence that an alert is some step of, in their order among the others.
    pub(super) fn add_sequences(&mut self, fingerprint: Fingerprint, found: &mut Vec<u32>) {
        if self.rules.sequence_steps.is_empty() {
            return;
        }
        let Some(record) = self.state.alert(fingerprint) else { return };
        let steps = self.matched.by(&self.rules, record, Listed::Step);
        found.extend(steps.map(|step| self.rules.sequence_steps[step as usize]));
        found.sort_unstable();
        found.dedup();
    }

    /// Takes an alert as the last step, or notes it as an earlier one. Whether the rule has it now: `free` says that it may.
    pub(super) fn follow_sequence(
        &mut self,
        rule: &CorrelateRule,
        sequence: &Sequence,
        fingerprint: Fingerprint,
        free: bool,
    ) -> bool {
        let Some(record) = self.state.alert(fingerprint) else { return false };
        let matching = steps_of(rule, sequence, record);
        let group = (rule.rule.name.clone(), record.labels().only(&rule.by));
        let last = sequence.steps.len() - 1;
        if free && matching.contains(&last) {
            // The sequence was complete before; this one is more of the same.
            let goes_on = self.group_incident(&group).is_some_and(|id| self.takes(id, fingerprint));
            if goes_on || self.begun(&group, last, sequence).is_some() {
                self.complete(rule, sequence, &group, fingerprint);
                return true;
            }
        }
        let mut until = None;
        // The later step first: no alert is its own forerunner.
        for step in matching.into_iter().rev().filter(|step| *step < last) {
            let Some(began) = self.begun(&group, step, sequence) else { continue };
            let ends = began + sequence.within;
            until = until.max(Some(ends));
            self.record(Fact::SequenceStepped {
                fingerprint,
                rule: rule.rule.clone(),
                key: group.1.clone(),
                step: u32::try_from(step).unwrap_or(u32::MAX),
                until: ends,
            });
        }
        let hold = until.filter(|_| free && sequence.hold);
        hold.is_some_and(|until| self.hold_step(rule, until, group, fingerprint))
    }

    /// When the steps before this one began, if all have come in their order and the first lies within the time: each time
    /// the latest that fits, so that the whole is as short as it can be.
    fn begun(&self, group: &GroupKey, step: usize, sequence: &Sequence) -> Option<Time> {
        let mut began = self.now;
        let mut before = u64::MAX;
        for step in (0..step).rev() {
            let step = u32::try_from(step).ok()?;
            let ((_, seq), (at, _)) = self.state.steps.get(group)?.range((step, 0)..(step, before)).next_back()?;
            (before, began) = (*seq, *at);
        }
        (step == 0 || self.now.since(began) < sequence.within).then_some(began)
    }

    /// Holds an earlier step until the time is over. One that waits under another rule already is left to that.
    fn hold_step(&mut self, rule: &CorrelateRule, until: Time, group: GroupKey, fingerprint: Fingerprint) -> bool {
        let waits = self.state.alert(fingerprint).is_none_or(|record| record.waiting.is_some());
        if !waits {
            self.record(Fact::AlertWaiting { fingerprint, rule: rule.rule.clone(), key: group.1, until });
        }
        !waits
    }

    /// The last step has come: its incident, and what becomes of the earlier ones.
    fn complete(&mut self, rule: &CorrelateRule, sequence: &Sequence, group: &GroupKey, fingerprint: Fingerprint) {
        let held = self.held(group);
        let earlier = self.earlier_incidents(group, sequence);
        self.join_or_open(rule, group.clone(), fingerprint);
        let Some(id) = self.group_incident(group) else { return };
        for member in held.into_iter().filter(|member| *member != fingerprint) {
            self.join(id, member, &rule.rule);
            self.follow_join(id, member, Joined::More);
        }
        for (child, by) in earlier.into_iter().filter(|(child, _)| *child != id) {
            self.attach(child, id, by, &rule.rule);
        }
    }

    /// The alerts that wait under the rule, fire and are not suppressed.
    pub(super) fn held(&self, group: &GroupKey) -> Vec<Fingerprint> {
        let waiting = self.state.waiting.get(group).into_iter().flatten().filter_map(|(_, key)| self.state.alert(*key));
        let free = |record: &AlertRecord| record.is_firing() && !record.is_suppressed();
        waiting.filter(|record| free(record)).map(|record| record.alert.fingerprint).collect()
    }

    /// The open incidents of the steps that came within the time, each with the alert that was the step.
    fn earlier_incidents(&self, group: &GroupKey, sequence: &Sequence) -> Vec<(IncidentId, Fingerprint)> {
        let mut earlier: Vec<(IncidentId, Fingerprint)> = Vec::new();
        for (at, fingerprint) in self.state.steps.get(group).into_iter().flat_map(|steps| steps.values().rev()) {
            let incidents = self.state.alert(*fingerprint).map(|record| &*record.incidents).unwrap_or_default();
            for id in incidents.iter().filter(|_| self.now.since(*at) < sequence.within) {
                let open = self.state.incident(*id).is_some_and(|incident| incident.status.is_active());
                if open && earlier.len() < CHILDREN_MAX && earlier.iter().all(|(known, _)| known != id) {
                    earlier.push((*id, *fingerprint));
                }
            }
        }
        earlier.sort_unstable();
        earlier
    }
}

/// Which steps of its rule an alert may be.
fn steps_of(rule: &CorrelateRule, sequence: &Sequence, record: &AlertRecord) -> Vec<usize> {
    let labels = record.labels();
    if !holds_for(rule.when.as_ref(), record, labels) {
        return Vec::new();
    }
    let is = |step: &SequenceStep| {
        step.matchers.iter().all(|matcher| matcher.matches(labels)) && holds_for(step.when.as_ref(), record, labels)
    };
    (0..sequence.steps.len()).filter(|step| is(&sequence.steps[*step])).collect()
}

//! What alerts wait for, apart from their records: the groups of those that wait under a rule, the steps of sequences, the
//! beats that fire. Each follows from the records and is kept beside them so that a rule finds its own.

use super::State;
use crate::model::alert::{Step, Waiting};
use crate::model::{Fingerprint, Labels, RuleRef, Time};

impl State {
    pub(super) fn wait(&mut self, seq: u64, now: Time, fingerprint: Fingerprint, rule: &RuleRef, key: &Labels, until: Time) {
        self.change_alert(seq, now, fingerprint, |record| {
            let mut last = &mut record.waiting;
            while let Some(waiting) = last {
                last = &mut waiting.also;
            }
            *last = Some(Box::new(Waiting { rule: rule.clone(), key: key.clone(), since: now, until, also: None }));
        });
        if let Some(record) = self.alerts.get(&fingerprint) {
            let place = (record.fired_seq, fingerprint);
            self.waiting.entry((rule.name.clone(), key.clone())).or_default().insert(place);
        }
    }

    pub(super) fn stop_waiting(&mut self, seq: u64, now: Time, fingerprint: Fingerprint) {
        while let Some(first) = self.alerts.get(&fingerprint).and_then(|record| record.waiting.as_ref()) {
            let rule = first.rule.name.clone();
            self.stop_waiting_under(seq, now, fingerprint, &rule);
        }
    }

    pub(super) fn stop_waiting_under(&mut self, seq: u64, now: Time, fingerprint: Fingerprint, rule: &str) {
        let Some(record) = self.alerts.get(&fingerprint) else { return };
        let Some(waiting) = record.waits_under(rule) else { return };
        let (group, place) = ((waiting.rule.name.clone(), waiting.key.clone()), (record.fired_seq, fingerprint));
        if let Some(others) = self.waiting.get_mut(&group) {
            others.remove(&place);
            if others.is_empty() {
                self.waiting.remove(&group);
            }
        }
        self.change_alert(seq, now, fingerprint, |record| {
            let mut place = &mut record.waiting;
            while place.as_ref().is_some_and(|waiting| &*waiting.rule.name != rule) {
                let Some(waiting) = place else { return };
                place = &mut waiting.also;
            }
            *place = place.take().and_then(|waiting| waiting.also);
        });
    }

    /// Notes a step, and forgets those of the alert that no rule looks at any more.
    pub(super) fn step(&mut self, seq: u64, now: Time, fingerprint: Fingerprint, step: Step) {
        let Some(record) = self.alerts.get(&fingerprint) else { return };
        let old: Vec<Step> = record.steps().filter(|step| step.until <= now).cloned().collect();
        for step in &old {
            self.forget_step(step);
        }
        let group = (step.rule.name.clone(), step.key.clone());
        self.steps.entry(group).or_default().insert((step.step, step.seq), (step.at, fingerprint));
        self.change_alert(seq, now, fingerprint, |record| {
            let steps = &mut record.extras.get_or_insert_default().steps;
            steps.retain(|step| step.until > now);
            steps.push(step);
        });
    }

    pub(super) fn forget_step(&mut self, step: &Step) {
        let group = (step.rule.name.clone(), step.key.clone());
        if let Some(steps) = self.steps.get_mut(&group) {
            steps.remove(&(step.step, step.seq));
            if steps.is_empty() {
                self.steps.remove(&group);
            }
        }
    }

    /// Notes an alert among the beats that fire, if it is one.
    pub(super) fn start_beating(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.alerts.get(&fingerprint) else { return };
        let Some(beat) = record.beat.as_ref().filter(|_| record.is_firing()) else { return };
        self.beats.entry((beat.rule.name.clone(), beat.key.clone())).or_default().insert(fingerprint);
    }

    pub(super) fn stop_beating(&mut self, fingerprint: Fingerprint) {
        let Some(beat) = self.alerts.get(&fingerprint).and_then(|record| record.beat.as_ref()) else { return };
        let group = (beat.rule.name.clone(), beat.key.clone());
        if let Some(others) = self.beats.get_mut(&group) {
            others.remove(&fingerprint);
            if others.is_empty() {
                self.beats.remove(&group);
            }
        }
    }
}

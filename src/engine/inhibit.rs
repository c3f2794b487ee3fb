//! Inhibition: an alert is suppressed while another one fires, in whichever order the two come.
//!
//! For each rule and each combination of its `equal` labels' values there is a *set* of sources, so that the end of one
//! source releases nothing while another still fires. An alert that is source and target of a rule is not inhibited by
//! one that is both, too (Alertmanager's rule, without which two such alerts would silence each other).

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::engine::{Engine, State};
use crate::model::{AlertRecord, Fingerprint, Labels, Reason, Suppression, SuppressionKind};
use crate::ruleset::{Ruleset, SuppressHow};

/// Sources and targets that fire now, by rule and the values of `equal`.
#[derive(Debug, Default)]
pub(super) struct Inhibitions(FxHashMap<(u32, Labels), Group>);

#[derive(Debug, Default)]
struct Group {
    /// With whether the alert is a target of the rule as well.
    sources: BTreeSet<(bool, Fingerprint)>,
    targets: BTreeSet<Fingerprint>,
}

impl Group {
    /// A source that inhibits the target, if there is one: for a two-sided target only a source that is none itself.
    fn source_for(&self, target: Fingerprint, two_sided: bool) -> Option<Fingerprint> {
        let mut sources = self.sources.iter().filter(|(both, source)| *source != target && !(two_sided && *both));
        sources.next().map(|(_, source)| *source)
    }
}

/// A rule that an alert takes part in.
struct Part {
    rule: u32,
    key: Labels,
    source: bool,
    target: bool,
}

impl Inhibitions {
    pub(super) fn of(state: &State, rules: &Ruleset) -> Inhibitions {
        let mut all = Inhibitions::default();
        if rules.inhibits() {
            let mut found = Vec::new();
            for record in state.alerts().filter(|record| record.is_firing()) {
                all.insert(&parts(rules, record.labels(), &mut found), record.alert.fingerprint);
            }
        }
        all
    }

    fn insert(&mut self, parts: &[Part], fingerprint: Fingerprint) {
        for part in parts {
            let group = self.0.entry((part.rule, part.key.clone())).or_default();
            if part.source {
                group.sources.insert((part.target, fingerprint));
            }
            if part.target {
                group.targets.insert(fingerprint);
            }
        }
    }

    fn remove(&mut self, parts: &[Part], fingerprint: Fingerprint) {
        for part in parts {
            let place = (part.rule, part.key.clone());
            if let Some(group) = self.0.get_mut(&place) {
                group.sources.remove(&(part.target, fingerprint));
                group.targets.remove(&fingerprint);
                if group.sources.is_empty() && group.targets.is_empty() {
                    self.0.remove(&place);
                }
            }
        }
    }
}

/// Which rules the labels make an alert take part in.
fn parts(rules: &Ruleset, labels: &Labels, found: &mut Vec<u32>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |rule: u32, as_source: bool| {
        let SuppressHow::Inhibit { equal, .. } = &rules.suppress[rule as usize].how else { return };
        match parts.iter_mut().find(|part| part.rule == rule) {
            Some(part) => part.target |= !as_source,
            None => parts.push(Part { rule, key: labels.only(equal), source: as_source, target: !as_source }),
        }
    };
    rules.inhibit_source_index.matching(labels, found);
    for rule in found.iter() {
        add(*rule, true);
    }
    rules.suppress_index.matching(labels, found);
    for rule in found.iter() {
        add(*rule, false);
    }
    parts
}

impl Engine {
    /// Lets an alert that has begun to fire take its part, and suppresses it where a source fires already.
    pub(super) fn enter_inhibitions(&mut self, fingerprint: Fingerprint) {
        if !self.rules.inhibits() {
            return;
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let parts = self.parts_of(&record);
        self.inhibitions.insert(&parts, fingerprint);
        for by in self.inhibitions_of(&record) {
            self.record(crate::engine::Fact::AlertSuppressed { fingerprint, by });
        }
    }

    /// Suppresses the targets that fire already when their source comes.
    pub(super) fn follow_inhibition_source(&mut self, source: Fingerprint) {
        if !self.rules.inhibits() {
            return;
        }
        let Some(record) = self.state.alert(source).cloned() else { return };
        for part in self.parts_of(&record).into_iter().filter(|part| part.source) {
            for target in self.targets(&part, source) {
                self.review_target(part.rule, target);
            }
        }
    }

    /// Takes an alert that is about to end out of its rules.
    pub(super) fn leave_inhibitions(&mut self, fingerprint: Fingerprint) {
        if !self.rules.inhibits() {
            return;
        }
        if let Some(record) = self.state.alert(fingerprint).cloned() {
            let parts = self.parts_of(&record);
            self.inhibitions.remove(&parts, fingerprint);
        }
    }

    /// Releases the targets that this ended source alone has held.
    pub(super) fn release_inhibited_by(&mut self, source: Fingerprint) {
        if !self.rules.inhibits() {
            return;
        }
        let Some(record) = self.state.alert(source).cloned() else { return };
        for part in self.parts_of(&record).into_iter().filter(|part| part.source) {
            for target in self.targets(&part, source) {
                self.review_target(part.rule, target);
            }
        }
    }

    /// Everything that inhibits an alert now.
    pub(super) fn inhibitions_of(&mut self, record: &AlertRecord) -> Vec<Suppression> {
        let fingerprint = record.alert.fingerprint;
        let mut all = Vec::new();
        for part in self.parts_of(record).into_iter().filter(|part| part.target) {
            let group = self.inhibitions.0.get(&(part.rule, part.key));
            if let Some(source) = group.and_then(|group| group.source_for(fingerprint, part.source)) {
                all.push(self.by_source(part.rule, source));
            }
        }
        all
    }

    /// Suppresses or releases one target under one rule, as its sources stand now.
    fn review_target(&mut self, rule: u32, target: Fingerprint) {
        let Some(record) = self.state.alert(target).cloned() else { return };
        let Some(part) = self.parts_of(&record).into_iter().find(|part| part.rule == rule) else { return };
        let group = self.inhibitions.0.get(&(part.rule, part.key));
        let wanted = group.and_then(|group| group.source_for(target, part.source)).map(|source| self.by_source(rule, source));
        let name = &self.rules.suppress[rule as usize].rule.name;
        let of_rule = |by: &&Suppression| matches!(&by.reason, Reason::Alert(_, rule) if rule.name == *name);
        let present = record.suppressed_by.iter().find(of_rule).cloned();
        match (present, wanted) {
            (None, Some(by)) => self.suppress_firing(target, by),
            (Some(by), None) => self.release(target, by),
            _ => {}
        }
    }

    fn by_source(&self, rule: u32, source: Fingerprint) -> Suppression {
        let rule = self.rules.suppress[rule as usize].rule.clone();
        Suppression { kind: SuppressionKind::Inhibition, reason: Reason::Alert(source, rule), until: None }
    }

    fn targets(&self, part: &Part, except: Fingerprint) -> Vec<Fingerprint> {
        let group = self.inhibitions.0.get(&(part.rule, part.key.clone()));
        group.map(|group| group.targets.iter().copied().filter(|target| *target != except).collect()).unwrap_or_default()
    }

    fn parts_of(&mut self, record: &AlertRecord) -> Vec<Part> {
        let mut found = self.buffer();
        let parts = parts(&self.rules, record.labels(), &mut found);
        self.give_back(found);
        parts
    }
}

//! Inhibition: an alert is suppressed while another one fires, in whichever order the two come.
//!
//! For each rule and each combination of its `equal` labels' values there is a *set* of sources, so that the end of one
//! source releases nothing while another still fires. An alert that is source and target of a rule is not inhibited by
//! one that is both, too (Alertmanager's rule, without which two such alerts would silence each other).

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use xxhash_rust::xxh3::xxh3_128;

use crate::engine::conditions::holds_for;
use crate::engine::{Engine, Fact, State};
use crate::model::{AlertRecord, Fingerprint, Labels, Reason, Suppression, SuppressionKind};
use crate::ruleset::{Ruleset, SuppressHow};

/// Sources and targets that fire now, by rule and the values of `equal`.
#[derive(Debug, Default)]
pub(super) struct Inhibitions {
    /// Whether any rule inhibits; where none does, alerts pass without a look.
    any: bool,
    groups: FxHashMap<(u32, u128), Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// With whether the alert is a target of the rule as well.
    sources: Few<(bool, Fingerprint)>,
    targets: Few<Fingerprint>,
}

/// An ordered set that is mostly of one: a tree for each alert would cost as much as its labels.
#[derive(Debug)]
enum Few<T> {
    One(Option<T>),
    Many(BTreeSet<T>),
}

impl<T> Default for Few<T> {
    fn default() -> Few<T> {
        Few::One(None)
    }
}

impl<T: Ord + Copy> Few<T> {
    fn insert(&mut self, item: T) {
        match self {
            Few::Many(all) => {
                all.insert(item);
            }
            Few::One(None) => *self = Few::One(Some(item)),
            Few::One(Some(one)) if *one == item => {}
            Few::One(Some(one)) => *self = Few::Many(BTreeSet::from([*one, item])),
        }
    }

    fn remove(&mut self, item: &T) {
        match self {
            Few::Many(all) => {
                all.remove(item);
            }
            Few::One(one) if one.as_ref() == Some(item) => *one = None,
            Few::One(_) => {}
        }
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        let (one, many) = match self {
            Few::One(one) => (one.as_ref(), None),
            Few::Many(all) => (None, Some(all)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl Group {
    /// A source that inhibits the target, if there is one: for a two-sided target only a source that is none itself.
    fn source_for(&self, target: Fingerprint, two_sided: bool) -> Option<Fingerprint> {
        let mut sources = self.sources.iter().filter(|(both, source)| *source != target && !(two_sided && *both));
        sources.next().map(|(_, source)| *source)
    }

    /// Whether the coming or going of a source changes nothing, because all that it inhibits is inhibited by another one:
    /// one that is no target inhibits every target, one that is both every target that is no source.
    fn inhibits_without(&self, source: Fingerprint, both: bool) -> bool {
        self.sources.iter().any(|(other_both, other)| *other != source && (both || !other_both))
    }
}

/// A rule that an alert takes part in.
pub(super) struct Part {
    rule: u32,
    /// [`key_of`] the rule's `equal` labels.
    key: u128,
    source: bool,
    target: bool,
}

impl Inhibitions {
    pub(super) fn of(state: &State, rules: &Ruleset) -> Inhibitions {
        let mut all = Inhibitions { any: rules.inhibits(), groups: FxHashMap::default() };
        if all.any {
            let mut found = Vec::new();
            for record in state.alerts().filter(|record| record.is_firing()) {
                all.insert(&parts(rules, record, &mut found), record.alert.fingerprint);
            }
        }
        all
    }

    fn insert(&mut self, parts: &[Part], fingerprint: Fingerprint) {
        for part in parts {
            let group = self.groups.entry((part.rule, part.key)).or_default();
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
            let place = (part.rule, part.key);
            if let Some(group) = self.groups.get_mut(&place) {
                group.sources.remove(&(part.target, fingerprint));
                group.targets.remove(&fingerprint);
                if group.sources.is_empty() && group.targets.is_empty() {
                    self.groups.remove(&place);
                }
            }
        }
    }
}

/// The values of `equal` as one number. A rule that looks at many labels takes part in every alert, and their text would double
/// what an alert costs in memory. Who could make two sets of values agree in 128 bits could as well send the source.
fn key_of(labels: &Labels, equal: &[Arc<str>]) -> u128 {
    let mut text = Vec::with_capacity(256);
    for (name, value) in labels.iter().filter(|(name, _)| equal.iter().any(|label| **label == **name)) {
        for part in [name, value] {
            text.extend_from_slice(&(part.len() as u64).to_le_bytes());
            text.extend_from_slice(part.as_bytes());
        }
    }
    xxh3_128(&text)
}

/// Which rules an alert takes part in. A rule's expression is about its target.
fn parts(rules: &Ruleset, record: &AlertRecord, found: &mut Vec<u32>) -> Vec<Part> {
    let labels = record.labels();
    let mut parts: Vec<Part> = Vec::new();
    let mut add = |rule: u32, as_source: bool| {
        let SuppressHow::Inhibit { equal, .. } = &rules.suppress[rule as usize].how else { return };
        match parts.iter_mut().find(|part| part.rule == rule) {
            Some(part) => part.target |= !as_source,
            None => parts.push(Part { rule, key: key_of(labels, equal), source: as_source, target: !as_source }),
        }
    };
    rules.inhibit_source_index.matching(labels, found);
    for rule in found.iter() {
        add(*rule, true);
    }
    rules.suppress_index.matching(labels, found);
    for rule in found.iter() {
        if holds_for(rules.suppress[*rule as usize].when.as_ref(), record, labels) {
            add(*rule, false);
        }
    }
    parts
}

impl Engine {
    /// Lets an alert that has begun to fire take its part, and suppresses it where a source fires already.
    pub(super) fn enter_inhibitions(&mut self, fingerprint: Fingerprint) {
        if !self.inhibitions.any {
            return;
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let parts = self.parts_of(&record);
        self.inhibitions.insert(&parts, fingerprint);
        let found = self.inhibitions_in(parts, fingerprint);
        drop(record);
        for by in found {
            self.record(Fact::AlertSuppressed { fingerprint, by });
        }
    }

    /// Suppresses the targets that fire already when their source comes.
    pub(super) fn follow_inhibition_source(&mut self, source: Fingerprint) {
        if !self.inhibitions.any {
            return;
        }
        let Some(record) = self.state.alert(source).cloned() else { return };
        let parts = self.parts_of(&record);
        drop(record);
        self.review_targets(parts, source);
    }

    /// Takes an alert that is about to end, or to change its labels, out of its rules. What it has held is for
    /// [`Engine::review_targets`].
    pub(super) fn leave_inhibitions(&mut self, fingerprint: Fingerprint) -> Vec<Part> {
        if !self.inhibitions.any {
            return Vec::new();
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return Vec::new() };
        let parts = self.parts_of(&record);
        self.inhibitions.remove(&parts, fingerprint);
        parts
    }

    /// Looks at the targets of a source that has come or gone. Where another source holds them anyway, none is looked at:
    /// a thousand sources of ten thousand targets cost no more than one.
    pub(super) fn review_targets(&mut self, parts: Vec<Part>, source: Fingerprint) {
        for part in parts.into_iter().filter(|part| part.source) {
            let Some(group) = self.inhibitions.groups.get(&(part.rule, part.key)) else { continue };
            if group.inhibits_without(source, part.target) {
                continue;
            }
            let targets: Vec<Fingerprint> = group.targets.iter().copied().filter(|target| *target != source).collect();
            for target in targets {
                self.review_target(part.rule, target);
            }
        }
    }

    /// Everything that inhibits an alert now.
    pub(super) fn inhibitions_of(&mut self, record: &AlertRecord) -> Vec<Suppression> {
        if !self.inhibitions.any {
            return Vec::new();
        }
        let parts = self.parts_of(record);
        self.inhibitions_in(parts, record.alert.fingerprint)
    }

    fn inhibitions_in(&self, parts: Vec<Part>, fingerprint: Fingerprint) -> Vec<Suppression> {
        let mut all = Vec::new();
        for part in parts.into_iter().filter(|part| part.target) {
            let group = self.inhibitions.groups.get(&(part.rule, part.key));
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
        let group = self.inhibitions.groups.get(&(part.rule, part.key));
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

    fn parts_of(&mut self, record: &AlertRecord) -> Vec<Part> {
        let mut found = self.buffer();
        let parts = parts(&self.rules, record, &mut found);
        self.give_back(found);
        parts
    }
}

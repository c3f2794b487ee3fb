//! Inhibition: an alert is suppressed while another one fires, in whichever order the two come.
//!
//! Sources and targets that agree on their `equal` labels meet in one place, whatever rules they are of
//! ([`crate::ruleset::Inhibition`]): an alert enters one place for each list of labels that its rules compare, and not one for each
//! target that it might hide. There are *sets* of sources, so that the end of one source releases nothing while another still fires. An alert that is
//! source and target of a rule is not inhibited by one that is both, too (Alertmanager's rule, without which two such
//! alerts would silence each other).

use std::collections::BTreeSet;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::engine::conditions::holds_for;
use crate::engine::matched::Matched;
use crate::engine::{Engine, Fact, State};
use crate::model::{AlertRecord, Fingerprint, KeyedMap, Labels, Reason, Suppression, SuppressionKind};
use crate::ruleset::{Listed, Ruleset};

/// Where alerts meet that agree on some labels: these labels' place in the rules' `equals`, and [`key_of`] their values.
type Place = (u32, u128);

/// An alert as a source or as a target: the number of that in the rules, and the alert.
type Member = (u32, Fingerprint);

/// Sources and targets that fire now.
#[derive(Debug, Default)]
pub(super) struct Inhibitions {
    /// Whether any rule inhibits; where none does, alerts pass without a look.
    any: bool,
    groups: KeyedMap<Place, Group>,
}

/// The alerts of one place.
#[derive(Debug, Default)]
struct Group {
    sources: Few<Member>,
    targets: Few<Member>,
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

    fn contains(&self, item: &T) -> bool {
        match self {
            Few::Many(all) => all.contains(item),
            Few::One(one) => one.as_ref() == Some(item),
        }
    }

    fn len(&self) -> usize {
        match self {
            Few::Many(all) => all.len(),
            Few::One(one) => usize::from(one.is_some()),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Few<Member> {
    /// Those of a number and of the numbers behind it.
    fn starting_at(&self, number: u32) -> impl Iterator<Item = &Member> {
        let (one, many) = match self {
            Few::One(one) => (one.as_ref().filter(|member| member.0 >= number), None),
            Few::Many(all) => (None, Some(all.range((number, Fingerprint(0))..))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// The alerts of a number.
    fn of(&self, number: u32) -> impl Iterator<Item = Fingerprint> {
        self.starting_at(number).take_while(move |member| member.0 == number).map(|member| member.1)
    }

    /// Of those that rules pair with something, each with its pair: the ones that are here. Looks through the fewer of both.
    fn among(&self, paired: &[(u32, u32)]) -> Vec<(u32, u32)> {
        if paired.len() <= self.len() {
            return paired.iter().copied().filter(|(number, _)| self.of(*number).next().is_some()).collect();
        }
        let (mut found, mut from) = (Vec::new(), 0);
        while let Some((number, _)) = self.starting_at(from).next() {
            found.extend(paired.binary_search_by_key(number, |(number, _)| *number).ok().map(|place| paired[place]));
            from = number + 1;
        }
        found
    }
}

impl Group {
    /// A source that inhibits the target, if there is one: for a target that is a source itself only one that is no target.
    fn source_for(&self, (source, target): (u32, u32), alert: Fingerprint) -> Option<Fingerprint> {
        let two_sided = self.sources.contains(&(source, alert));
        let is_both = |other: Fingerprint| self.targets.contains(&(target, other));
        self.sources.of(source).find(|other| *other != alert && !(two_sided && is_both(*other)))
    }

    /// Whether the coming or going of a source changes nothing, because all that it inhibits is inhibited by another one:
    /// one that is no target inhibits every target, one that is both every target that is no source.
    fn inhibits_without(&self, (source, target): (u32, u32), alert: Fingerprint, both: bool) -> bool {
        let is_both = |other: Fingerprint| self.targets.contains(&(target, other));
        self.sources.of(source).any(|other| other != alert && (both || !is_both(other)))
    }

    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.targets.is_empty()
    }
}

/// What an alert takes part in.
#[derive(Debug, Default)]
pub(super) struct Parts {
    targets: Vec<(u32, Place)>,
    sources: Vec<(u32, Place)>,
}

impl Inhibitions {
    pub(super) fn of(state: &State, rules: &Ruleset) -> Inhibitions {
        let mut all = Inhibitions { any: !rules.inhibition.is_empty(), groups: KeyedMap::default() };
        if all.any {
            let mut matched = Matched::default();
            for record in state.alerts().filter(|record| record.is_firing()) {
                all.insert(&parts(rules, record, &mut matched), record.alert.fingerprint);
            }
        }
        all
    }

    fn insert(&mut self, parts: &Parts, fingerprint: Fingerprint) {
        for (source, place) in &parts.sources {
            self.groups.entry(*place).or_default().sources.insert((*source, fingerprint));
        }
        for (target, place) in &parts.targets {
            self.groups.entry(*place).or_default().targets.insert((*target, fingerprint));
        }
    }

    fn remove(&mut self, parts: &Parts, fingerprint: Fingerprint) {
        for (source, place) in &parts.sources {
            if let Some(group) = self.groups.get_mut(place) {
                group.sources.remove(&(*source, fingerprint));
            }
        }
        for (target, place) in &parts.targets {
            if let Some(group) = self.groups.get_mut(place) {
                group.targets.remove(&(*target, fingerprint));
            }
        }
        for (_, place) in parts.sources.iter().chain(&parts.targets) {
            if self.groups.get(place).is_some_and(Group::is_empty) {
                self.groups.remove(place);
            }
        }
    }
}

/// The values of `equal` as one number. A rule that looks at many labels takes part in every alert, and their text would double
/// what an alert costs in memory. Who could make two sets of values agree in 128 bits could as well send the source.
fn key_of(labels: &Labels, equal: &[Arc<str>]) -> u128 {
    // In the order of the names, as label sets are. Most keys fit where nothing has to be asked for.
    let (mut short, mut used) = ([0; KEY_BYTES_USUAL], 0);
    let mut long = Vec::new();
    for (name, value) in labels.iter().filter(|(name, _)| equal.iter().any(|label| **label == **name)) {
        for part in [&(name.len() as u64).to_le_bytes(), name.as_bytes(), &(value.len() as u64).to_le_bytes(), value.as_bytes()] {
            match short.get_mut(used..used + part.len()) {
                Some(place) if long.is_empty() => place.copy_from_slice(part),
                _ if long.is_empty() => long = [&short[..used], part].concat(),
                _ => long.extend_from_slice(part),
            }
            used += part.len();
        }
    }
    if long.is_empty() { xxh3_128(&short[..used]) } else { xxh3_128(&long) }
}

/// Bytes of a key's text that need no memory of their own.
const KEY_BYTES_USUAL: usize = 256;

/// What an alert takes part in. A rule's expression is about its target.
fn parts(rules: &Ruleset, record: &AlertRecord, matched: &mut Matched) -> Parts {
    let (labels, all) = (record.labels(), &rules.inhibition);
    // Rules that look at the same labels share one key.
    let mut keys: Vec<Place> = Vec::new();
    let mut place = |equal: u32| {
        let known = keys.iter().find(|(known, _)| *known == equal).copied();
        known.unwrap_or_else(|| {
            let place = (equal, key_of(labels, &all.equals[equal as usize]));
            keys.push(place);
            place
        })
    };
    let holds = |target: u32| {
        let conditional = all.targets[target as usize].conditional;
        holds_for(conditional.and_then(|rule| rules.suppress[rule as usize].when.as_ref()), record, labels)
    };
    let found = matched.by(rules, record, Listed::Target).filter(|target| holds(*target));
    let targets = found.map(|target| (target, place(all.targets[target as usize].equal))).collect();
    let mut sources = Vec::new();
    for source in matched.by(rules, record, Listed::Source) {
        sources.extend(all.sources[source as usize].equals.iter().map(|equal| (source, place(*equal))));
    }
    Parts { targets, sources }
}

impl Engine {
    /// Lets an alert that has begun to fire take its part, and suppresses it where a source fires already. What it hides
    /// itself is for [`Engine::review_targets`].
    pub(super) fn enter_inhibitions(&mut self, fingerprint: Fingerprint) -> Parts {
        if !self.inhibitions.any {
            return Parts::default();
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return Parts::default() };
        let parts = self.parts_of(&record);
        self.inhibitions.insert(&parts, fingerprint);
        let found = self.inhibitions_in(&parts, fingerprint);
        drop(record);
        for by in found {
            self.record(Fact::AlertSuppressed { fingerprint, by });
        }
        parts
    }

    /// Takes an alert that is about to end, or to change its labels, out of its rules. What it has held is for
    /// [`Engine::review_targets`].
    pub(super) fn leave_inhibitions(&mut self, fingerprint: Fingerprint) -> Parts {
        if !self.inhibitions.any {
            return Parts::default();
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return Parts::default() };
        let parts = self.parts_of(&record);
        self.inhibitions.remove(&parts, fingerprint);
        parts
    }

    /// Looks at the targets of a source that has come or gone. Where another source holds them anyway, none is looked at:
    /// a thousand sources of ten thousand targets cost no more than one.
    pub(super) fn review_targets(&mut self, parts: &Parts, source: Fingerprint) {
        for (number, place) in &parts.sources {
            let Some(group) = self.inhibitions.groups.get(place) else { continue };
            let mut wanted = Vec::new();
            for (target, pair) in group.targets.among(&self.rules.inhibition.sources[*number as usize].targets) {
                let both = parts.targets.contains(&(target, *place));
                if !group.inhibits_without((*number, target), source, both) {
                    let alerts = group.targets.of(target).filter(|alert| *alert != source);
                    wanted.extend(alerts.map(|alert| (pair, (*number, target), alert)));
                }
            }
            for (pair, sides, alert) in wanted {
                self.review_target(*place, pair, sides, alert);
            }
        }
    }

    /// Everything that inhibits an alert now.
    pub(super) fn inhibitions_of(&mut self, record: &AlertRecord) -> Vec<Suppression> {
        if !self.inhibitions.any {
            return Vec::new();
        }
        let parts = self.parts_of(record);
        self.inhibitions_in(&parts, record.alert.fingerprint)
    }

    /// In the order of the rules.
    fn inhibitions_in(&self, parts: &Parts, fingerprint: Fingerprint) -> Vec<Suppression> {
        let mut found: Vec<(u32, Fingerprint)> = Vec::new();
        for (target, place) in &parts.targets {
            let Some(group) = self.inhibitions.groups.get(place) else { continue };
            for (number, pair) in group.sources.among(&self.rules.inhibition.targets[*target as usize].sources) {
                if let Some(source) = group.source_for((number, *target), fingerprint) {
                    let rules = &self.rules.inhibition.pairs[pair as usize].rules;
                    found.extend(rules.iter().map(|rule| (*rule, source)));
                }
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(rule, source)| self.by_source(rule, source)).collect()
    }

    /// Suppresses or releases one target under the rules of a pair, whose `sides` are source and target, as its sources stand now.
    fn review_target(&mut self, place: Place, pair: u32, sides: (u32, u32), target: Fingerprint) {
        let Some(record) = self.state.alert(target).cloned() else { return };
        let rules = self.rules.clone();
        let source = self.inhibitions.groups.get(&place).and_then(|group| group.source_for(sides, target));
        for rule in &rules.inhibition.pairs[pair as usize].rules {
            let name = &rules.suppress[*rule as usize].rule.name;
            let of_rule = |by: &&Suppression| matches!(&by.reason, Reason::Alert(_, rule) if rule.name == *name);
            let present = record.suppressed_by.iter().find(of_rule).cloned();
            match (present, source) {
                (None, Some(source)) => self.suppress_firing(target, self.by_source(*rule, source)),
                (Some(by), None) => self.release(target, by),
                _ => {}
            }
        }
    }

    fn by_source(&self, rule: u32, source: Fingerprint) -> Suppression {
        let rule = self.rules.suppress[rule as usize].rule.clone();
        Suppression { kind: SuppressionKind::Inhibition, reason: Reason::Alert(source, rule), until: None }
    }

    fn parts_of(&mut self, record: &AlertRecord) -> Parts {
        parts(&self.rules, record, &mut self.matched)
    }

    /// Holds what inhibits each firing alert against a look at every rule and every alert.
    #[cfg(test)]
    pub(super) fn check_inhibitions(&self) {
        use crate::ruleset::SuppressHow;
        let firing: Vec<_> = self.state.alerts().filter(|record| record.is_firing()).collect();
        for target in &firing {
            let mut expected = BTreeSet::new();
            for rule in &self.rules.suppress {
                let SuppressHow::Inhibit { source, equal } = &rule.how else { continue };
                let is_source = |it: &AlertRecord| source.iter().all(|m| m.matches(it.labels()));
                let is_target = |it: &AlertRecord| {
                    rule.matchers.iter().all(|m| m.matches(it.labels())) && holds_for(rule.when.as_ref(), it, it.labels())
                };
                let is_both = |it: &AlertRecord| is_source(it) && is_target(it);
                let inhibits = |it: &AlertRecord| {
                    let agrees = equal.iter().all(|name| it.labels().get(name) == target.labels().get(name));
                    let other = it.alert.fingerprint != target.alert.fingerprint;
                    other && agrees && is_source(it) && !(is_both(target) && is_both(it))
                };
                if is_target(target) && firing.iter().any(|it| inhibits(it)) {
                    expected.insert(rule.rule.name.clone());
                }
            }
            let by = target.suppressed_by.iter().filter_map(|by| match &by.reason {
                Reason::Alert(_, rule) => Some(rule.name.clone()),
                _ => None,
            });
            assert_eq!(by.collect::<BTreeSet<_>>(), expected, "{:?}", target.labels());
        }
    }
}

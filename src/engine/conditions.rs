//! What rules with `when` hang on: which rules of the stages that look at incidents hold for an incident now.
//!
//! Such a rule may come to hold, or cease to, by an alert that its own `match` says nothing about. So where a stage has
//! one, it is known for every incident which firing alerts satisfy which of the stage's rules, and how many alerts have
//! which values of the labels that expressions count. Both move alert by alert: no look at an incident walks over its
//! alerts. Where no rule has a `when`, all this is empty and costs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::engine::matched::Matched;
use crate::engine::{Engine, State};
use crate::model::{AlertRecord, Fingerprint, IncidentId, KeyedMap, Labels};
use crate::ruleset::{AlertSubject, Expression, IncidentSubject, Listed, MatcherIndex, Ruleset, Subject};

/// A stage whose rules look at incidents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Classify,
    Prioritize,
    Escalate,
}

impl Stage {
    const ALL: [Stage; 3] = [Stage::Classify, Stage::Prioritize, Stage::Escalate];

    /// Puts the rules of the stage whose matchers hold for an alert into `found`.
    fn matching(self, rules: &Ruleset, record: &AlertRecord, matched: &mut Matched, found: &mut Vec<u32>) {
        let whose = match self {
            Stage::Classify => return rules.classify_index.matching(record.labels(), found),
            Stage::Prioritize => Listed::Prioritize,
            Stage::Escalate => Listed::Escalate,
        };
        found.clear();
        found.extend(matched.by(rules, record, whose));
    }

    /// Of each rule of the stage, in order: whether it has matchers, and its expression.
    fn rules(self, rules: &Ruleset) -> Box<dyn Iterator<Item = (bool, Option<&Expression>)> + '_> {
        match self {
            Stage::Classify => Box::new(rules.classify.iter().map(|rule| (!rule.matchers.is_empty(), rule.when.as_ref()))),
            Stage::Prioritize => Box::new(rules.prioritize.iter().map(|rule| (!rule.matchers.is_empty(), rule.when.as_ref()))),
            Stage::Escalate => Box::new(rules.escalate.iter().map(|rule| (!rule.matchers.is_empty(), rule.when.as_ref()))),
        }
    }

    fn has_matchers(self, rules: &Ruleset, position: u32) -> bool {
        let position = position as usize;
        match self {
            Stage::Classify => rules.classify.get(position).is_some_and(|rule| !rule.matchers.is_empty()),
            Stage::Prioritize => rules.prioritize.get(position).is_some_and(|rule| !rule.matchers.is_empty()),
            Stage::Escalate => rules.escalate.get(position).is_some_and(|rule| !rule.matchers.is_empty()),
        }
    }

    fn when(self, rules: &Ruleset, position: u32) -> Option<&Expression> {
        let position = position as usize;
        match self {
            Stage::Classify => rules.classify.get(position)?.when.as_ref(),
            Stage::Prioritize => rules.prioritize.get(position)?.when.as_ref(),
            Stage::Escalate => rules.escalate.get(position)?.when.as_ref(),
        }
    }
}

/// From so many rules on that have an expression and no matchers, an index over an incident's words finds those that are
/// worth a look. Building the words costs what evaluating a dozen does. (Tests have few rules, and try the index.)
const INDEXED_FROM: usize = if cfg!(test) { 1 } else { 16 };

/// Derived from the rules and the state; as [`Conditions::of`] gives it at any time.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    /// Whether a rule of the stage has an expression.
    conditional: [bool; 3],
    /// Rules with neither matchers nor an expression, which hold for every incident.
    everywhere: [Vec<u32>; 3],
    /// Rules with an expression and no matchers, and an index over what their expressions want of an incident's words.
    by_words: [(Vec<u32>, MatcherIndex); 3],
    /// Labels whose values an expression counts.
    counted: Vec<Arc<str>>,
    incidents: FxHashMap<IncidentId, OfIncident>,
}

#[derive(Debug, Default)]
struct OfIncident {
    /// For each stage: rules with matchers, and the firing alerts that satisfy them.
    satisfied: [BTreeMap<u32, BTreeSet<Fingerprint>>; 3],
    /// For each counted label: how many alerts have which value.
    values: Vec<KeyedMap<Box<str>, u32>>,
}

impl Conditions {
    pub(super) fn of(state: &State, rules: &Ruleset) -> Conditions {
        let mut all = Conditions::default();
        let mut counted = BTreeSet::new();
        for stage in Stage::ALL {
            for (position, (has_matchers, when)) in (0..).zip(stage.rules(rules)) {
                all.conditional[stage as usize] |= when.is_some();
                counted.extend(when.into_iter().flat_map(Expression::counted_labels));
                match when {
                    _ if has_matchers => {}
                    None => all.everywhere[stage as usize].push(position),
                    Some(when) => {
                        let (rules, index) = &mut all.by_words[stage as usize];
                        rules.push(position);
                        index.insert(position, &when.word_matchers());
                    }
                }
            }
        }
        all.counted = counted.into_iter().map(Arc::from).collect();
        if all.any() {
            let (mut matched, mut found) = (Matched::default(), Vec::new());
            for record in state.alerts() {
                for id in &record.incidents {
                    all.add(rules, *id, record, &mut matched, &mut found);
                }
            }
        }
        all
    }

    /// Whether a rule of the stage has an expression.
    pub(super) fn has(&self, stage: Stage) -> bool {
        self.conditional[stage as usize]
    }

    fn any(&self) -> bool {
        self.conditional.contains(&true)
    }

    /// An alert is one of the incident's, as it is.
    fn add(&mut self, rules: &Ruleset, id: IncidentId, record: &AlertRecord, matched: &mut Matched, found: &mut Vec<u32>) {
        let of = self.incidents.entry(id).or_default();
        of.values.resize_with(self.counted.len(), KeyedMap::default);
        for (label, values) in self.counted.iter().zip(&mut of.values) {
            let value = record.labels().get(label);
            match values.get_mut(value) {
                Some(count) => *count += 1,
                None => drop(values.insert(value.into(), 1)),
            }
        }
        for stage in Stage::ALL.into_iter().filter(|stage| self.conditional[*stage as usize] && record.is_firing()) {
            stage.matching(rules, record, matched, found);
            for position in found.iter().filter(|position| stage.has_matchers(rules, **position)) {
                of.satisfied[stage as usize].entry(*position).or_default().insert(record.alert.fingerprint);
            }
        }
    }

    /// An alert fires no longer.
    fn end(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        let Some(of) = self.incidents.get_mut(&id) else { return };
        for satisfied in &mut of.satisfied {
            satisfied.retain(|_, alerts| {
                alerts.remove(&fingerprint);
                !alerts.is_empty()
            });
        }
    }

    /// An alert is none of the incident's any more, or is about to have other labels.
    fn remove(&mut self, id: IncidentId, fingerprint: Fingerprint, labels: &Labels) {
        self.end(id, fingerprint);
        let Some(of) = self.incidents.get_mut(&id) else { return };
        for (label, values) in self.counted.iter().zip(&mut of.values) {
            let value = labels.get(label);
            if let Some(count) = values.get_mut(value) {
                *count -= 1;
                if *count == 0 {
                    values.remove(value);
                }
            }
        }
    }

    /// How many values a counted label has among the incident's alerts.
    fn distinct(&self, id: IncidentId, label: &str) -> u32 {
        let place = self.counted.iter().position(|counted| **counted == *label);
        let values = place.and_then(|place| self.incidents.get(&id)?.values.get(place));
        values.map_or(0, |values| u32::try_from(values.len()).unwrap_or(u32::MAX))
    }

    /// Lets go of incidents that have closed.
    pub(super) fn forget_closed(&mut self, state: &State) {
        self.incidents.retain(|id, _| state.incident(*id).is_some());
    }
}

/// Whether an expression holds for an alert that has these labels by now; none at all holds.
pub(super) fn holds_for(when: Option<&Expression>, record: &AlertRecord, labels: &Labels) -> bool {
    when.is_none_or(|when| {
        let alert = &record.alert;
        when.holds(&Subject::Alert(AlertSubject { labels, annotations: &alert.annotations, source: &alert.source }))
    })
}

impl Engine {
    /// The rules of a stage that hold for an incident, in order: some firing alert satisfies the matchers, and the
    /// expression is true. In a buffer that [`Engine::give_back`] takes again.
    pub(super) fn holding(&mut self, id: IncidentId, stage: Stage) -> Vec<u32> {
        let mut found = self.buffer();
        let Some(incident) = self.state.incident(id) else { return found };
        let distinct = |label: &str| self.conditions.distinct(id, label);
        let subject = IncidentSubject { incident, now: self.now, distinct: &distinct };
        let (rules, index) = &self.conditions.by_words[stage as usize];
        let words = if rules.len() < INDEXED_FROM { None } else { subject.words() };
        match words {
            Some(words) => index.matching(&words, &mut found),
            None => found.extend_from_slice(rules),
        }
        found.extend_from_slice(&self.conditions.everywhere[stage as usize]);
        if let Some(of) = self.conditions.incidents.get(&id) {
            found.extend(of.satisfied[stage as usize].keys());
        }
        found.sort_unstable();
        let subject = Subject::Incident(subject);
        found.retain(|position| stage.when(&self.rules, *position).is_none_or(|when| when.holds(&subject)));
        found
    }

    /// The first rule of a stage that holds for an incident.
    pub(super) fn first_holding(&mut self, id: IncidentId, stage: Stage) -> Option<usize> {
        let found = self.holding(id, stage);
        let first = found.first().map(|position| *position as usize);
        self.give_back(found);
        first
    }

    /// An alert has joined an incident.
    pub(super) fn enter_conditions_of(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        if self.conditions.any()
            && let Some(record) = self.state.alert(fingerprint).cloned()
        {
            let mut found = self.buffer();
            let rules = self.rules.clone();
            self.conditions.add(&rules, id, &record, &mut self.matched, &mut found);
            self.give_back(found);
        }
    }

    /// An alert has begun to fire, with the labels that it has now, in incidents that have it already.
    pub(super) fn enter_conditions(&mut self, fingerprint: Fingerprint) {
        for id in self.incidents_with_conditions(fingerprint) {
            self.enter_conditions_of(id, fingerprint);
        }
    }

    /// An alert is about to get other labels, or to be forgotten.
    pub(super) fn leave_conditions(&mut self, fingerprint: Fingerprint) {
        for id in self.incidents_with_conditions(fingerprint) {
            if let Some(record) = self.state.alert(fingerprint) {
                self.conditions.remove(id, fingerprint, record.labels());
            }
        }
    }

    /// An alert fires no longer.
    pub(super) fn end_conditions(&mut self, fingerprint: Fingerprint) {
        for id in self.incidents_with_conditions(fingerprint) {
            self.conditions.end(id, fingerprint);
        }
    }

    /// Holds what has moved alert by alert against the same derived anew, and what is found against a look at everything.
    #[cfg(test)]
    pub(super) fn check_conditions(&mut self) {
        let anew = Conditions::of(&self.state, &self.rules);
        let empty =
            OfIncident { values: self.conditions.counted.iter().map(|_| KeyedMap::default()).collect(), ..OfIncident::default() };
        for incident in self.state.incidents() {
            let of = |conditions: &Conditions| {
                let of = conditions.incidents.get(&incident.id).unwrap_or(&empty);
                (of.satisfied.clone(), of.values.clone())
            };
            assert_eq!(of(&self.conditions), of(&anew), "{incident:?}");
        }
        let ids: Vec<IncidentId> = self.state.incidents().map(|incident| incident.id).collect();
        let stages = Stage::ALL.into_iter().filter(|stage| self.conditions.has(*stage));
        for stage in stages.collect::<Vec<_>>() {
            for id in &ids {
                assert_eq!(self.holding(*id, stage), self.holding_by_all(*id, stage), "{id}");
            }
        }
    }

    /// As [`Engine::holding`], by looking at every rule and every alert.
    #[cfg(test)]
    fn holding_by_all(&self, id: IncidentId, stage: Stage) -> Vec<u32> {
        let Some(incident) = self.state.incident(id) else { return Vec::new() };
        let distinct = |label: &str| {
            let values: BTreeSet<&str> = self.members(id).map(|record| record.labels().get(label)).collect();
            u32::try_from(values.len()).unwrap()
        };
        let subject = Subject::Incident(IncidentSubject { incident, now: self.now, distinct: &distinct });
        let mut satisfied = BTreeSet::new();
        for record in self.members(id).filter(|record| record.is_firing()) {
            let mut found = Vec::new();
            stage.matching(&self.rules, record, &mut Matched::default(), &mut found);
            satisfied.extend(found);
        }
        let holds = |(position, (has_matchers, when)): &(u32, (bool, Option<&Expression>))| {
            (!has_matchers || satisfied.contains(position)) && when.is_none_or(|when| when.holds(&subject))
        };
        (0..).zip(stage.rules(&self.rules)).filter(holds).map(|(position, _)| position).collect()
    }

    fn incidents_with_conditions(&self, fingerprint: Fingerprint) -> Vec<IncidentId> {
        let record = self.state.alert(fingerprint).filter(|_| self.conditions.any());
        record.map(|record| record.incidents.to_vec()).unwrap_or_default()
    }
}

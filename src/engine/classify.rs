//! Category, subcategory and team: each is set by the first rule that matches a firing alert of the incident and names it.
//!
//! What has been decided stays when the alert that decided it resolves: people sort their work by category, and one that
//! changes under their hands because half of the trouble is over would help nobody. An earlier rule that comes to match
//! takes over.

use std::sync::Arc;

use crate::engine::conditions::Stage;
use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, IncidentId, Labels, Reason};
use crate::ruleset::{ClassifyRule, Ruleset};

impl Engine {
    /// Looks at an incident anew with an alert that has just joined it.
    pub(super) fn classify(&mut self, id: IncidentId, record: &AlertRecord) {
        let rules = self.rules.clone();
        let found = if self.conditions.has(Stage::Classify) {
            self.holding(id, Stage::Classify)
        } else if self.state.incident(id).is_some_and(|incident| self.is_settled(&incident.classified_by)) {
            self.buffer()
        } else {
            self.look_up(|rules| &rules.classify_index, record.labels())
        };
        if let Some(fact) = self.classified(id, record.labels(), &rules, &found) {
            self.record(fact);
        }
        self.give_back(found);
    }

    /// Looks at an incident anew that no alert has joined: one has come back or gone, and expressions may hold now that did
    /// not before.
    pub(super) fn review_classification(&mut self, id: IncidentId) {
        if !self.conditions.has(Stage::Classify) {
            return;
        }
        let rules = self.rules.clone();
        let found = self.holding(id, Stage::Classify);
        if let Some(fact) = self.classified(id, &Labels::default(), &rules, &found) {
            self.record(fact);
        }
        self.give_back(found);
    }

    /// What the rules in `found` and the labels of an alert that has joined make of an incident, if that is anything new.
    fn classified(&self, id: IncidentId, labels: &Labels, rules: &Ruleset, found: &[u32]) -> Option<Fact> {
        let incident = self.state.incident(id)?;
        let before = &incident.classified_by;
        let deciding: [Option<usize>; 3] =
            std::array::from_fn(|field| self.deciding(field, before[field].as_ref(), rules, found));
        let by_site = match deciding[2] {
            Some(position) => rules.classify[position].rule.line > 0,
            None => matches!(&before[2], Some(Reason::Rule(rule)) if rule.line > 0),
        };
        let by_word = deciding[2].is_none() && matches!(before[2], Some(Reason::Text(_)));
        let word = if by_site || by_word { None } else { team_by_word(labels, rules) };
        // Most alerts of a storm bring nothing new.
        if deciding == [None; 3] && word.is_none() {
            return None;
        }
        let mut reasons = Arc::clone(before);
        let mut values =
            [before[0].is_some().then(|| incident.category.clone()), incident.subcategory.clone(), incident.team.clone()];
        for (field, position) in deciding.into_iter().enumerate() {
            let Some(rule) = position.map(|position| &rules.classify[position]) else { continue };
            values[field] = named(rule, field).cloned();
            Arc::make_mut(&mut reasons)[field] = Some(Reason::Rule(rule.rule.clone()));
        }
        let [category, subcategory, mut team] = values;
        if let Some((named, reason)) = word {
            team = Some(named);
            Arc::make_mut(&mut reasons)[2] = Some(Reason::Text(reason));
        }
        let category = category.unwrap_or_else(|| incident.category.clone());
        let same = category == incident.category && subcategory == incident.subcategory && team == incident.team;
        let changed = !same || reasons != *before;
        changed.then_some(Fact::IncidentClassified { incident: id, category, subcategory, team, reasons })
    }

    /// The rule among those that hold which now decides a field that was decided by `reason` before, if it is another one.
    fn deciding(&self, field: usize, reason: Option<&Reason>, rules: &Ruleset, found: &[u32]) -> Option<usize> {
        if found.is_empty() {
            return None;
        }
        let position = self.position_of(reason);
        found.iter().map(|candidate| *candidate as usize).take_while(|candidate| *candidate < position).find(|candidate| {
            let rule = &rules.classify[*candidate];
            // Built-in rules have no rank among each other: what the first alert brought is not turned over by a later one.
            let ranks = rule.rule.line > 0 || position == usize::MAX;
            ranks && named(rule, field).is_some()
        })
    }

    /// Whether no rule can change anything: of each field, those that name it stand behind the one that decided it. In a storm
    /// this spares nearly every alert a look at all rules.
    fn is_settled(&self, reasons: &[Option<Reason>; 3]) -> bool {
        reasons.iter().zip(self.positions.naming).all(|(reason, naming)| match self.position_of(reason.as_ref()) {
            usize::MAX => !naming.any,
            position => position <= naming.first_of_site,
        })
    }

    /// Where the rule of a reason stands now; past all others for one that is gone or was none.
    fn position_of(&self, reason: Option<&Reason>) -> usize {
        let Some(Reason::Rule(decided)) = reason else { return usize::MAX };
        self.positions.classify.get(&decided.name).copied().unwrap_or(usize::MAX)
    }
}

/// The team that an alert's sender names, or else the catalogue for its service, and why. Both know better than what is
/// built in, and less well than the site's own rules.
fn team_by_word(labels: &Labels, rules: &Ruleset) -> Option<(Arc<str>, Arc<str>)> {
    let named = labels.get("team");
    if !named.is_empty() {
        return Some((named.into(), "the alert's team label".into()));
    }
    if rules.catalogue.services().is_empty() {
        return None;
    }
    let service = rules.catalogue.get(labels.get("service"))?;
    Some((service.team.clone()?, format!("the team of the service {}", service.rule.name).into()))
}

/// Which rules name a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Naming {
    any: bool,
    /// The position of the first one from a file; past all others where there is none.
    first_of_site: usize,
}

impl Default for Naming {
    fn default() -> Naming {
        Naming { any: false, first_of_site: usize::MAX }
    }
}

impl Naming {
    /// For category, subcategory and team.
    pub(super) fn of(rules: &[ClassifyRule]) -> [Naming; 3] {
        std::array::from_fn(|field| Naming {
            any: rules.iter().any(|rule| named(rule, field).is_some()),
            first_of_site: rules.iter().position(|rule| rule.rule.line > 0 && named(rule, field).is_some()).unwrap_or(usize::MAX),
        })
    }
}

/// What a rule names for category (0), subcategory (1) or team (2).
fn named(rule: &ClassifyRule, field: usize) -> Option<&Arc<str>> {
    [&rule.category, &rule.subcategory, &rule.team][field].as_ref()
}

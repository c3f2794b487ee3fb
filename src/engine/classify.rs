//! Category, subcategory and team: each is set by the first rule that matches a firing alert of the incident and names it.
//!
//! What has been decided stays when the alert that decided it resolves: people sort their work by category, and one that
//! changes under their hands because half of the trouble is over would help nobody. An earlier rule that comes to match
//! takes over.

use std::sync::Arc;

use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, IncidentId, Reason};
use crate::ruleset::{ClassifyRule, Ruleset};

impl Engine {
    /// Looks at an incident anew with an alert that has just joined it.
    pub(super) fn classify(&mut self, id: IncidentId, record: &AlertRecord) {
        let rules = self.rules.clone();
        let found = self.look_up(|rules| &rules.classify_index, record.labels());
        if let Some(fact) = self.classified(id, record, &rules, &found) {
            self.record(fact);
        }
        self.give_back(found);
    }

    /// What the rules that an alert matches make of its incident, if that is anything new.
    fn classified(&self, id: IncidentId, record: &AlertRecord, rules: &Ruleset, found: &[u32]) -> Option<Fact> {
        let incident = self.state.incident(id)?;
        let mut reasons = incident.classified_by.clone();
        let mut values = [
            incident.classified_by[0].is_some().then(|| incident.category.clone()),
            incident.subcategory.clone(),
            incident.team.clone(),
        ];
        for field in 0..values.len() {
            let mut position = self.position_of(reasons[field].as_ref());
            for candidate in found {
                let rule = &rules.classify[*candidate as usize];
                // Built-in rules have no rank among each other: what the first alert brought is not turned over by a later one.
                let ranks = rule.rule.line > 0 || position == usize::MAX;
                if let Some(value) = named(rule, field)
                    && ranks
                    && (*candidate as usize) < position
                {
                    position = *candidate as usize;
                    values[field] = Some(value.clone());
                    reasons[field] = Some(Reason::Rule(rule.rule.clone()));
                }
            }
        }
        let [category, subcategory, mut team] = values;
        // A sender that names the team knows better than what is built in, and less well than the site's own rules.
        let named = record.labels().get("team");
        let by_site = matches!(&reasons[2], Some(Reason::Rule(rule)) if rule.line > 0);
        if !named.is_empty() && !by_site && !matches!(&reasons[2], Some(Reason::Text(_))) {
            team = Some(named.into());
            reasons[2] = Some(Reason::Text("the alert's team label".into()));
        }
        // So does the catalogue, where the sender names none.
        let undecided = !by_site && !matches!(&reasons[2], Some(Reason::Text(_)));
        let service = rules.catalogue.get(record.labels().get("service"));
        if let Some((service, owner)) = service.filter(|_| undecided).and_then(|it| Some((it, it.team.as_ref()?))) {
            team = Some(owner.clone());
            reasons[2] = Some(Reason::Text(format!("the team of the service {}", service.rule.name).into()));
        }
        let category = category.unwrap_or_else(|| incident.category.clone());
        let same = category == incident.category && subcategory == incident.subcategory && team == incident.team;
        let changed = !same || reasons != incident.classified_by;
        changed.then_some(Fact::IncidentClassified { incident: id, category, subcategory, team, reasons })
    }

    /// Where the rule of a reason stands now; past all others for one that is gone or was none.
    fn position_of(&self, reason: Option<&Reason>) -> usize {
        let Some(Reason::Rule(decided)) = reason else { return usize::MAX };
        self.positions.classify.get(&decided.name).copied().unwrap_or(usize::MAX)
    }
}

/// What a rule names for category (0), subcategory (1) or team (2).
fn named(rule: &ClassifyRule, field: usize) -> Option<&Arc<str>> {
    [&rule.category, &rule.subcategory, &rule.team][field].as_ref()
}

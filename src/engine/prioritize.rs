//! Impact and urgency, and from their matrix the priority. Rises at once, falls after ten stable minutes.
//!
//! The first rule that matches a firing alert decides; what it does not name is derived: impact from how many services
//! are touched (three: 1, two: 2, fewer: 3; a security breach: 1), urgency from the worst severity that fires (critical:
//! 1, high or medium: 2, low or info: 3) and from growth (alerts doubled within ten minutes: 1).

use std::sync::Arc;

use crate::engine::conditions::Stage;
use crate::engine::major::Found;
use crate::engine::{Engine, Fact};
use crate::model::incident::priority;
use crate::model::{AlertRecord, Incident, IncidentId, Reason, Severity};
use crate::ruleset::Listed;

/// What an incident's priority ought to be now.
struct Derived {
    impact: u8,
    urgency: u8,
    /// Where the rule that decides stands.
    rule: Option<usize>,
    /// The service whose tier alone makes the impact what it is, and its tier.
    vital: Option<(Arc<str>, u8)>,
    /// How many of its services are of tier 1 or 2.
    vital_services: usize,
    /// The lowest tier among its services.
    tier: Option<u8>,
    /// From how many alerts it has doubled, where that alone makes it urgent.
    doubled_from: Option<u32>,
}

impl Derived {
    /// What of it says whether the incident is a major one.
    fn found(&self) -> Found {
        Found { rule: self.rule, tier: self.tier, vital_services: self.vital_services }
    }
}

impl Engine {
    /// Looks at an incident anew with an alert that has just opened it, joined it or come back.
    pub(super) fn prioritize(&mut self, id: IncidentId, record: &AlertRecord, opened: bool) {
        let exact = self.conditions.has(Stage::Prioritize);
        let first = if exact {
            self.first_holding(id, Stage::Prioritize)
        } else {
            self.matched.by(&self.rules, record, Listed::Prioritize).next().map(|position| position as usize)
        };
        let Some(incident) = self.state.incident(id) else { return };
        let decided = self.deciding_rule(incident).filter(|_| !exact);
        let position = [decided, first].into_iter().flatten().min();
        let derived = self.derive(incident, position);
        if opened {
            self.set_priority(id, &derived);
        } else {
            // That the rule which decided before still holds is only known if it holds for this alert.
            self.settle(id, &derived, position == first);
        }
        self.review_type(id, derived.found());
    }

    /// Looks at an incident anew when one of its alerts has gone.
    pub(super) fn review_priority(&mut self, id: IncidentId) {
        if self.conditions.has(Stage::Prioritize) {
            let position = self.first_holding(id, Stage::Prioritize);
            let Some(incident) = self.state.incident(id) else { return };
            let derived = self.derive(incident, position);
            self.settle(id, &derived, true);
            self.review_type(id, derived.found());
            return;
        }
        let Some(incident) = self.state.incident(id) else { return };
        let position = self.deciding_rule(incident);
        let derived = self.derive(incident, position);
        if position.is_some() && priority(derived.impact, derived.urgency) >= incident.priority {
            // Whether another alert still satisfies the deciding rule costs a walk over all members: that waits until the
            // fall is due.
            self.plan_fall(id);
        } else {
            self.settle(id, &derived, position.is_none());
        }
        self.review_type(id, derived.found());
    }

    /// A lower priority has fitted for long enough, unless something else has come up.
    pub(super) fn fall(&mut self, id: IncidentId) {
        let due = self.state.incident(id).and_then(|incident| incident.fall_due).is_some_and(|due| due <= self.now);
        if !due {
            return;
        }
        let position = self.first_rule_of_any(id);
        let Some(incident) = self.state.incident(id) else { return };
        let derived = self.derive(incident, position);
        let same = (derived.impact, derived.urgency) == (incident.impact, incident.urgency);
        if !same || position != self.deciding_rule(incident) {
            self.set_priority(id, &derived);
        } else {
            self.record(Fact::IncidentFallPlanned { incident: id, due: None });
        }
        let declared = self.review_type(id, derived.found());
        if !same || declared {
            self.plan_updates(id);
            if self.review_policies(id) {
                self.review_incident_pauses(id);
            }
        }
        if derived.doubled_from.is_some() {
            // Growth ends without any news: somebody has to look again.
            self.plan_fall(id);
        }
    }

    /// The first rule that any firing alert of the incident satisfies.
    fn first_rule_of_any(&mut self, id: IncidentId) -> Option<usize> {
        if self.rules.prioritize.is_empty() {
            return None;
        }
        if self.conditions.has(Stage::Prioritize) {
            return self.first_holding(id, Stage::Prioritize);
        }
        let mut matched = std::mem::take(&mut self.matched);
        let mut first: Option<u32> = None;
        for record in self.members(id).filter(|record| record.is_firing()) {
            first = first.into_iter().chain(matched.by(&self.rules, record, Listed::Prioritize).next()).min();
            if first == Some(0) {
                break;
            }
        }
        self.matched = matched;
        first.map(|position| position as usize)
    }

    /// Takes a higher priority at once, and plans a lower one. What is not `known` for sure calls no plan off.
    fn settle(&mut self, id: IncidentId, derived: &Derived, known: bool) {
        let Some(incident) = self.state.incident(id) else { return };
        let (wanted, present) = (priority(derived.impact, derived.urgency), incident.priority);
        let same = (derived.impact, derived.urgency) == (incident.impact, incident.urgency);
        let falling = incident.fall_due.is_some();
        if wanted < present {
            self.set_priority(id, derived);
            self.plan_updates(id);
        } else if wanted > present {
            self.plan_fall(id);
            return;
        } else if !same {
            // Another square of the matrix with the same priority.
            self.set_priority(id, derived);
        } else if falling && known && derived.doubled_from.is_none() {
            self.record(Fact::IncidentFallPlanned { incident: id, due: None });
        }
        if derived.doubled_from.is_some() {
            self.plan_fall(id);
        }
    }

    fn set_priority(&mut self, id: IncidentId, derived: &Derived) {
        let Some(incident) = self.state.incident(id) else { return };
        let reason = match derived.rule {
            Some(position) => Reason::Rule(self.rules.prioritize[position].rule.clone()),
            None => Reason::Text(sentence(incident, derived)),
        };
        self.record(Fact::IncidentPrioritized { incident: id, impact: derived.impact, urgency: derived.urgency, reason });
    }

    /// Has the priority looked at again when ten minutes have passed, unless that is planned already.
    fn plan_fall(&mut self, id: IncidentId) {
        if self.state.incident(id).is_some_and(|incident| incident.fall_due.is_none()) {
            let due = Some(self.now + self.options.fall_after);
            self.record(Fact::IncidentFallPlanned { incident: id, due });
        }
    }

    fn derive(&self, incident: &Incident, position: Option<usize>) -> Derived {
        let rule = position.map(|position| &self.rules.prioritize[position]);
        let impact = match incident.services.len() {
            _ if &*incident.category == "security" => 1,
            0 | 1 => 3,
            2 => 2,
            _ => 1,
        };
        // A critical alert means that its service is down, any other that it is degraded.
        let down = incident.severity == Severity::Critical;
        let (most_vital, vital_services) = self.vital_services(incident);
        let tier = most_vital.as_ref().map(|(_, tier)| *tier);
        let vital = most_vital.filter(|(_, tier)| by_tier(*tier, down) < impact);
        let impact = vital.as_ref().map_or(impact, |(_, tier)| by_tier(*tier, down));
        let by_severity = match incident.severity {
            Severity::Critical => 1,
            Severity::High | Severity::Medium => 2,
            Severity::Low | Severity::Info => 3,
        };
        let named = rule.and_then(|rule| rule.urgency);
        let doubled_from = incident
            .growth
            .filter(|_| named.is_none() && by_severity > 1)
            .and_then(|growth| growth.doubled_from(incident.alerts_total, self.now));
        let urgency = if doubled_from.is_some() { 1 } else { by_severity };
        Derived {
            impact: rule.and_then(|rule| rule.impact).unwrap_or(impact),
            urgency: named.unwrap_or(urgency),
            rule: position,
            vital,
            vital_services,
            tier,
            doubled_from,
        }
    }

    /// The service of the lowest tier that the catalogue knows among the incident's, and how many are of tier 1 or 2.
    fn vital_services(&self, incident: &Incident) -> (Option<(Arc<str>, u8)>, usize) {
        let catalogue = &self.rules.catalogue;
        if catalogue.services().is_empty() {
            return (None, 0);
        }
        let tiers = || incident.services.iter().filter_map(|name| Some((catalogue.get(name)?.tier?, name)));
        let most = tiers().min().map(|(tier, name)| (name.clone(), tier));
        (most, tiers().filter(|(tier, _)| *tier <= 2).count())
    }

    /// Where the rule that decided the present priority stands, if one did and it is still there.
    fn deciding_rule(&self, incident: &Incident) -> Option<usize> {
        let Reason::Rule(decided) = &incident.priority_reason else { return None };
        self.positions.prioritize.get(&decided.name).copied()
    }
}

/// The impact of a service's trouble by its tier.
fn by_tier(tier: u8, down: bool) -> u8 {
    match (tier, down) {
        (1, true) => 1,
        (1, false) | (2, true) => 2,
        _ => 3,
    }
}

/// Why a priority that no rule has decided is what it is.
fn sentence(incident: &Incident, derived: &Derived) -> Arc<str> {
    let Derived { impact, urgency, vital, .. } = derived;
    let extent = match incident.services.as_slice() {
        _ if &*incident.category == "security" => "a security matter".to_owned(),
        _ if let Some((name, tier)) = vital => {
            let how = if incident.severity == Severity::Critical { "down" } else { "degraded" };
            format!("{name}, a service of tier {tier}, is {how}")
        }
        [] => "no service named".to_owned(),
        [one] => format!("one service ({one})"),
        several => format!("{} services", several.len()),
    };
    let haste = match derived.doubled_from {
        Some(from) => format!("growing, from {from} or fewer to {} alerts within 10 minutes", incident.alerts_total),
        None => format!("worst severity {}", incident.severity),
    };
    format!("impact {impact}: {extent}; urgency {urgency}: {haste}").into()
}

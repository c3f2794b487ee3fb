//! Impact and urgency, and from their matrix the priority. Rises at once, falls after ten stable minutes.
//!
//! The first rule that matches a firing alert decides; what it does not name is derived: impact from how many services
//! are touched (three: 1, two: 2, fewer: 3; a security breach: 1), urgency from the worst severity that fires (critical:
//! 1, high or medium: 2, low or info: 3).

use crate::engine::{Engine, Fact};
use crate::model::incident::priority;
use crate::model::{AlertRecord, Incident, IncidentId, Reason, Severity};

impl Engine {
    /// Looks at an incident anew with an alert that has just joined it.
    pub(super) fn prioritize(&mut self, id: IncidentId, record: &AlertRecord) {
        let found = self.look_up(|rules| &rules.prioritize_index, record.labels());
        let first = found.first().map(|position| *position as usize);
        self.give_back(found);
        let Some(incident) = self.state.incident(id).cloned() else { return };
        let position = [self.deciding_rule(&incident), first].into_iter().flatten().min();
        self.settle(&incident, position);
    }

    /// Looks at an incident anew when one of its alerts has come back or gone.
    pub(super) fn review_priority(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).cloned() else { return };
        // Whether another alert still satisfies the deciding rule costs a walk over all members: that waits until the
        // fall is due.
        let position = self.deciding_rule(&incident);
        if position.is_some() && incident.fall_due.is_none() {
            let due = Some(self.now + self.options.fall_after);
            self.record(Fact::IncidentFallPlanned { incident: id, due });
        } else if position.is_none() {
            self.settle(&incident, None);
        }
    }

    /// A lower priority has fitted for long enough, unless something else has come up.
    pub(super) fn fall(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).filter(|incident| incident.fall_due.is_some()).cloned() else { return };
        let rules = self.rules.clone();
        let matches = |position: &usize| {
            let matchers = &rules.prioritize[*position].matchers;
            self.members_firing(id).any(|record| matchers.iter().all(|matcher| matcher.matches(record.labels())))
        };
        let position = (0..rules.prioritize.len()).find(matches);
        let (impact, urgency, reason) = self.derive(&incident, position);
        if (impact, urgency) == (incident.impact, incident.urgency) {
            self.record(Fact::IncidentFallPlanned { incident: id, due: None });
        } else {
            self.record(Fact::IncidentPrioritized { incident: id, impact, urgency, reason });
            self.plan_updates(id);
        }
    }

    /// Takes a higher priority at once, and plans a lower one.
    fn settle(&mut self, incident: &Incident, position: Option<usize>) {
        let (impact, urgency, reason) = self.derive(incident, position);
        let (wanted, present) = (priority(impact, urgency), incident.priority);
        let fresh = incident.alerts_total <= 1;
        if wanted < present || (fresh && reason != incident.priority_reason) {
            self.record(Fact::IncidentPrioritized { incident: incident.id, impact, urgency, reason });
            if !fresh {
                self.plan_updates(incident.id);
            }
        } else if wanted > present && incident.fall_due.is_none() {
            let due = Some(self.now + self.options.fall_after);
            self.record(Fact::IncidentFallPlanned { incident: incident.id, due });
        } else if wanted == present && incident.fall_due.is_some() {
            self.record(Fact::IncidentFallPlanned { incident: incident.id, due: None });
        }
    }

    fn derive(&self, incident: &Incident, position: Option<usize>) -> (u8, u8, Reason) {
        let rule = position.map(|position| &self.rules.prioritize[position]);
        let impact = match incident.services.len() {
            _ if &*incident.category == "security" => 1,
            0 | 1 => 3,
            2 => 2,
            _ => 1,
        };
        let urgency = match incident.severity {
            Severity::Critical => 1,
            Severity::High | Severity::Medium => 2,
            Severity::Low | Severity::Info => 3,
        };
        if let Some(rule) = rule {
            return (rule.impact.unwrap_or(impact), rule.urgency.unwrap_or(urgency), Reason::Rule(rule.rule.clone()));
        }
        let extent = match incident.services.as_slice() {
            _ if &*incident.category == "security" => "a security matter".to_owned(),
            [] => "no service named".to_owned(),
            [one] => format!("one service ({one})"),
            several => format!("{} services", several.len()),
        };
        let text = format!("impact {impact}: {extent}; urgency {urgency}: worst severity {}", incident.severity);
        (impact, urgency, Reason::Text(text.into()))
    }

    /// Where the rule that decided the present priority stands, if one did and it is still there.
    fn deciding_rule(&self, incident: &Incident) -> Option<usize> {
        let Reason::Rule(decided) = &incident.priority_reason else { return None };
        self.positions.prioritize.get(&decided.name).copied()
    }
}

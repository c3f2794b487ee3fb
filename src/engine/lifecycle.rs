//! How incidents end and come back.

use crate::engine::{Engine, Fact};
use crate::model::{Fingerprint, IncidentId, IncidentStatus, Millis, Reason};

impl Engine {
    /// One of the incident's alerts has resolved. The comings and goings of one that `flaps` are worth no update.
    pub(super) fn alert_left(&mut self, id: IncidentId, flaps: bool) {
        let Some(incident) = self.state.incident(id).filter(|incident| incident.status.is_active()) else { return };
        if incident.alerts_firing > 0 {
            self.review_classification(id);
            self.review_priority(id);
            if !flaps {
                self.plan_updates(id);
            }
            self.review_policies(id);
            self.review_incident_pauses(id);
        } else {
            self.all_alerts_left(id);
        }
    }

    /// No alert of an open incident fires: it resolves, at once or when that has stayed so. A major one first waits for its
    /// parts, the last of which comes here again.
    pub(super) fn all_alerts_left(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).filter(|incident| !self.awaits_parts(incident)) else { return };
        let (resolve_after, has_parts) = (incident.resolve_after, self.state.children.get(&id).is_some_and(|it| !it.is_empty()));
        if resolve_after > Millis::ZERO {
            let due = Some(self.now + resolve_after);
            self.record(Fact::IncidentResolvePlanned { incident: id, due });
            return;
        }
        let and_parts = if incident.major.is_some() && has_parts { ", and so have all its parts" } else { "" };
        self.resolve_incident(id, Reason::Text(format!("all alerts resolved{and_parts}").into()));
    }

    /// Everything had cleared, and has stayed so for as long as the rule wants.
    pub(super) fn resolve_if_still_clear(&mut self, id: IncidentId) {
        let clear = self.state.incident(id).is_some_and(|incident| {
            incident.status.is_active()
                && incident.alerts_firing == 0
                && incident.resolve_due.is_some_and(|due| due <= self.now)
                && !self.awaits_parts(incident)
        });
        if clear {
            self.resolve_incident(id, Reason::Text("all alerts resolved and stayed so".into()));
        }
    }

    pub(super) fn resolve_incident(&mut self, id: IncidentId, reason: Reason) {
        let close_due = self.now + self.options.close_after;
        self.tell_resolved(id, &reason);
        self.record(Fact::IncidentResolved { incident: id, reason, close_due });
        self.end_reports(id);
        self.follow_end_of_part(id);
    }

    /// A new alert belongs to an incident that has resolved.
    pub(super) fn reopen_for_alert(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        let rule = self.state.incident(id).map(|incident| incident.rule.clone());
        if let Some(rule) = rule {
            self.record(Fact::IncidentReopened { incident: id, reason: Reason::Alert(fingerprint, rule) });
        }
    }

    /// A member of a resolved incident fires again: the incident goes on, and so does its escalation, from the beginning.
    pub(super) fn reopen_for(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        self.reopen_for_alert(id, fingerprint);
        self.review_classification(id);
        self.prioritize(id, &record, false);
        self.start_policies(id, &record, true);
        self.review_incident_pauses(id);
    }

    /// A major incident closes by hand alone: somebody has to have looked at it.
    pub(super) fn close_when_due(&mut self, id: IncidentId) {
        let due = self.state.incident(id).is_some_and(|incident| {
            incident.major.is_none()
                && incident.status == IncidentStatus::Resolved
                && incident.close_due.is_some_and(|due| due <= self.now)
        });
        if due {
            let reason = Reason::Text("resolved long enough ago".into());
            self.record(Fact::IncidentClosed { incident: id, reason });
        }
    }
}

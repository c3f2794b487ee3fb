//! What people report. A report is an alert like any other, but that somebody has looked already: it joins the open
//! incident on its service, and where there is none it waits for nothing before it opens one.
//!
//! Nobody takes a report back, and no machine sends it again: it fires until its incident resolves, which it keeps from
//! resolving by itself.

use std::sync::Arc;

use crate::engine::conditions::holds_for;
use crate::engine::correlate::Joined;
use crate::engine::{Answer, Engine, Refusal, Reported};
use crate::model::{Alert, Fingerprint, Incident, IncidentId, RuleRef};
use crate::ruleset::{Listed, SAME_SERVICE, report_rule};

/// Labels that say what a report is, and not where.
const NOT_A_PLACE: [&str; 3] = ["alertname", "service", "severity"];

impl Engine {
    /// Takes a report. The same one again is no news, and is told where the first one went.
    pub(super) fn report(&mut self, alert: Arc<Alert>) -> Result<Answer, Refusal> {
        let fingerprint = alert.fingerprint;
        if let Some(known) = self.state.alert(fingerprint) {
            if known.alert.labels != alert.labels || known.alert.annotations != alert.annotations {
                return Err(Refusal::Forbidden("another report has come with this idempotency key".to_owned()));
            }
            return Ok(Answer::Reported(Reported::Known(known.incidents.last().copied())));
        }
        if self.state.firing() >= self.options.active_alerts {
            return Err(Refusal::Limit("active_alerts"));
        }
        let next = self.state.next_incident();
        self.fire(alert, None, false);
        let home = self.state.alert(fingerprint).and_then(|record| record.incidents.last().copied());
        Ok(Answer::Reported(match home {
            Some(id) if id >= next => Reported::Opened(id),
            Some(id) => Reported::Joined(id),
            None => Reported::Suppressed,
        }))
    }

    /// Puts a report that nothing suppresses into its incident, unless it is in one that is not over.
    pub(super) fn place_report(&mut self, fingerprint: Fingerprint) {
        if !self.homes(fingerprint).is_empty() {
            return;
        }
        match self.incident_on_its_service(fingerprint) {
            Some(id) => {
                self.join(id, fingerprint, &RuleRef::built_in(SAME_SERVICE));
                self.follow_join(id, fingerprint, Joined::More);
            }
            None => self.open_by_first_rule(fingerprint),
        }
    }

    /// The most urgent open incident on a report's service, and of several the oldest, unless the two name different places.
    fn incident_on_its_service(&self, fingerprint: Fingerprint) -> Option<IncidentId> {
        let record = self.state.alert(fingerprint)?;
        let about = self.state.by_service.get(record.labels().get("service"))?;
        let fits = |incident: &&Arc<Incident>| {
            let mut said = record.alert.labels.iter().filter(|(name, _)| !NOT_A_PLACE.contains(name));
            incident.status.is_active()
                && incident.alerts_total < self.options.alerts_per_incident
                && !record.incidents.contains(&incident.id)
                && said.all(|(name, value)| ["", value].contains(&incident.labels.get(name)))
        };
        let found = about.iter().filter_map(|id| self.state.incident(*id)).filter(fits);
        found.min_by_key(|incident| (incident.priority, incident.id)).map(|incident| incident.id)
    }

    /// Opens an incident by the first rule that matches and neither counts nor waits, or joins the one that it has open.
    fn open_by_first_rule(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let rules = self.rules.clone();
        let names_service = self.names_service(fingerprint);
        let holding = self.matched.by(&rules, &record, Listed::Correlate);
        let first = holding.map(|position| &rules.correlate[position as usize]).find(|rule| {
            rule.waits_for_nothing()
                && (rule.topology.is_none() || names_service)
                && holds_for(rule.when.as_ref(), &record, record.labels())
        });
        let of_our_own;
        let rule = if let Some(rule) = first {
            rule
        } else {
            of_our_own = report_rule();
            &of_our_own
        };
        let group = (rule.rule.name.clone(), record.labels().only(&rule.by));
        drop(record);
        match rule.topology {
            Some(topology) => self.join_near(rule, topology, group, fingerprint),
            None => self.join_or_open(rule, group, fingerprint),
        }
    }

    /// An incident has resolved, and with it what people had reported of it.
    pub(super) fn end_reports(&mut self, id: IncidentId) {
        if self.state.incident(id).is_none_or(|incident| incident.alerts_firing == 0) {
            return;
        }
        let reports = self.members(id).filter(|record| record.is_firing() && record.alert.is_report());
        let mut reports: Vec<(u64, Fingerprint)> = reports.map(|it| (it.fired_seq, it.alert.fingerprint)).collect();
        reports.sort_unstable();
        for (_, fingerprint) in reports {
            self.resolve_alert(fingerprint, self.now, false);
        }
    }
}

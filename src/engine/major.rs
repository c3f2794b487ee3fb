//! Major incidents: those that managers are told of, and that other open incidents become parts of.
//!
//! A prioritize rule says so with `type`, in either direction; where none does, it follows from what the catalogue knows and
//! from how much has come together. An incident that is major stays so, and closes by hand alone. What is part of another
//! one is never major itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::{Engine, Fact};
use crate::model::incident::{IncidentType, MajorStep};
use crate::model::{Fingerprint, Incident, IncidentId, Millis, Reason, RuleRef};

/// An incident that has been critical on a service of tier 1 for so long is major.
const CRITICAL_FOR: Millis = Millis::minutes(5);
/// Services of tier 1 or 2 in one incident that make it major.
pub(super) const VITAL_SERVICES: usize = 3;
/// More parts than this make an incident major.
const CHILDREN: u32 = 20;
/// Incidents that one takes as its parts when it becomes major.
const TAKEN_MAX: usize = 100;
/// Services whose neighbours are looked at.
const NEIGHBOURS_MAX: usize = 256;
/// Open incidents without news for this long are left alone.
const LIVELY: Millis = Millis::hours(1);

/// What prioritizing has found about an incident.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Where the rule that decides its priority stands.
    pub(super) rule: Option<usize>,
    /// The lowest tier among its services.
    pub(super) tier: Option<u8>,
    /// How many of its services are of tier 1 or 2.
    pub(super) vital_services: usize,
}

impl Engine {
    /// Looks whether an incident has become major; whether it has just now. Who must be told of that is for the caller's own
    /// look at its policies, which must follow.
    pub(super) fn review_type(&mut self, id: IncidentId, found: Found) -> bool {
        let Some(incident) = self.state.incident(id).filter(|incident| may_become_major(incident)) else { return false };
        let rule = found.rule.map(|position| &self.rules.prioritize[position]);
        let reason = match rule.and_then(|rule| rule.incident_type.map(|said| (said, &rule.rule))) {
            Some((IncidentType::Major, rule)) => Some(Reason::Rule(rule.clone())),
            Some((IncidentType::Normal, _)) => {
                self.plan_major(id, false);
                return false;
            }
            None => derived(incident, found).map(|text| Reason::Text(text.into())),
        };
        let critical = incident.priority == 1 && found.tier == Some(1);
        let declared = reason.is_some();
        match reason {
            Some(reason) => self.declare_major(id, reason),
            None => self.plan_major(id, critical),
        }
        declared
    }

    /// It has been critical for long enough, unless that is over or a rule has it otherwise.
    pub(super) fn declare_when_due(&mut self, id: IncidentId) {
        let due = self.state.incident(id).and_then(|incident| incident.major_due).is_some_and(|due| due <= self.now);
        if due {
            let text = format!("critical on a service of tier 1 for {CRITICAL_FOR}");
            self.declare_major(id, Reason::Text(text.into()));
            self.tell_of_type(id);
        }
    }

    /// Something has become a part of an incident.
    pub(super) fn review_children(&mut self, id: IncidentId) {
        let many = self.state.children.get(&id).is_some_and(|children| *children > CHILDREN);
        if many && self.state.incident(id).is_some_and(|incident| may_become_major(incident)) {
            let text = format!("more than {CHILDREN} incidents are part of it");
            self.declare_major(id, Reason::Text(text.into()));
            self.tell_of_type(id);
        }
    }

    /// Makes a new incident part of the oldest major one that it is related to.
    pub(super) fn join_major(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        if self.state.majors.is_empty() {
            return;
        }
        let related = self.state.majors.iter().copied().find(|major| *major != id && self.is_related(*major, id));
        if let Some(major) = related {
            self.attach(id, major, fingerprint, &rule());
        }
    }

    fn plan_major(&mut self, id: IncidentId, critical: bool) {
        let planned = self.state.incident(id).is_some_and(|incident| incident.major_due.is_some());
        if planned != critical {
            let due = critical.then(|| self.now + CRITICAL_FOR);
            self.record(Fact::IncidentMajor { incident: id, step: MajorStep::Planned(due) });
        }
    }

    fn declare_major(&mut self, id: IncidentId, reason: Reason) {
        self.record(Fact::IncidentMajor { incident: id, step: MajorStep::Declared(reason) });
        for child in self.related_to(id) {
            if let Some(first) = self.first_alert(child) {
                self.attach(child, id, first, &rule());
            }
        }
    }

    fn tell_of_type(&mut self, id: IncidentId) {
        self.plan_updates(id);
        if self.review_policies(id) {
            self.review_incident_pauses(id);
        }
    }

    /// The open incidents of late about its services and those that depend on them or that they depend on, or in the same
    /// place by its rule's `by`.
    fn related_to(&self, id: IncidentId) -> Vec<IncidentId> {
        let Some(major) = self.state.incident(id) else { return Vec::new() };
        let near = self.near_services(major);
        let mut found: BTreeSet<IncidentId> =
            near.iter().filter_map(|name| self.state.by_service.get(name)).flatten().copied().collect();
        if !major.key.is_empty() {
            found.extend(self.incidents_in(&major.key, major.opened_at - LIVELY));
        }
        let free = |other: &IncidentId| {
            self.state.incident(*other).is_some_and(|other| {
                let lively = self.now.since(other.last_news_at) < LIVELY;
                other.id != id && other.status.is_active() && other.parent.is_none() && other.major.is_none() && lively
            })
        };
        found.into_iter().filter(free).take(TAKEN_MAX).collect()
    }

    fn is_related(&self, major: IncidentId, id: IncidentId) -> bool {
        let (Some(major), Some(other)) = (self.state.incident(major), self.state.incident(id)) else { return false };
        let in_place = !major.key.is_empty() && other.labels.contains(&major.key);
        major.status.is_active()
            && (in_place || {
                let near = self.near_services(major);
                other.services.iter().any(|name| near.contains(name))
            })
    }

    /// Its services, and one hop around them in either direction.
    fn near_services(&self, incident: &Incident) -> BTreeSet<Arc<str>> {
        let catalogue = &self.rules.catalogue;
        let own = incident.services.iter();
        let around = own.clone().flat_map(|name| catalogue.depends_on(name).iter().chain(catalogue.callers(name)));
        own.chain(around.take(NEIGHBOURS_MAX)).cloned().collect()
    }

    fn first_alert(&self, id: IncidentId) -> Option<Fingerprint> {
        self.members(id).map(|record| (record.fired_seq, record.alert.fingerprint)).min().map(|(_, first)| first)
    }
}

/// The rule that is named where a major incident takes another one.
fn rule() -> RuleRef {
    RuleRef::built_in("major incident")
}

fn may_become_major(incident: &Incident) -> bool {
    incident.major.is_none() && incident.parent.is_none() && incident.status.is_active()
}

/// Why an incident is major by itself, if it is.
fn derived(incident: &Incident, found: Found) -> Option<String> {
    if incident.priority == 1 && &*incident.category == "security" {
        return Some("a critical security matter".to_owned());
    }
    let vital = found.vital_services;
    (vital >= VITAL_SERVICES).then(|| format!("{vital} services of tier 1 or 2 are in it"))
}

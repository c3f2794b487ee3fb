//! Major incidents: those that managers are told of, and that other open incidents become parts of.
//!
//! A prioritize rule says so with `type`, in either direction; where none does, it follows from what the catalogue knows and
//! from how much has come together. What a person says (`SetType`) holds against both, in either direction. An incident that
//! is major stays so unless a person says otherwise; it resolves when its own alerts and all its parts have, and closes by hand
//! alone. What is part of another one is never major itself.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::{Answer, Engine, Fact, Refusal};
use crate::model::incident::{IncidentType, MajorStep, SaidType};
use crate::model::{Actor, AlertRecord, Fingerprint, Incident, IncidentId, Millis, Reason, RuleRef};

/// An incident that has been critical on a service of tier 1 for so long is major.
const CRITICAL_FOR: Millis = Millis::minutes(5);
/// Services of tier 1 or 2 in one incident that make it major.
pub(super) const VITAL_SERVICES: usize = 3;
/// More parts than this make an incident major.
const CHILDREN: usize = 20;
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
        let Some(incident) = self.state.incident(id).filter(|incident| may_be_found_major(incident)) else { return false };
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
        let many = self.state.children.get(&id).is_some_and(|children| children.len() > CHILDREN);
        if many && self.state.incident(id).is_some_and(|incident| may_be_found_major(incident)) {
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

    /// Somebody says of what type an incident is. A major one takes what is related to it; one that is called off lets go of
    /// what it took for being major.
    pub(super) fn set_type(&mut self, id: IncidentId, to: IncidentType, why: Arc<str>, by: Actor) -> Result<Answer, Refusal> {
        let incident = self.incident(id)?;
        if incident.incident_type() == to && incident.said_type.as_ref().is_some_and(|said| said.incident_type == to) {
            return Ok(Answer::Repeat);
        }
        if !incident.status.is_active() {
            return Err(Refusal::Forbidden(format!("{id} is {}", incident.status.as_str())));
        }
        if let Some(parent) = incident.parent.filter(|_| to == IncidentType::Major) {
            return Err(Refusal::Forbidden(format!("{id} is part of {parent}; say it of that one")));
        }
        let awaited = self.awaits_parts(&incident);
        self.record(Fact::IncidentTypeSet { incident: id, said: SaidType { incident_type: to, why, by } });
        match to {
            IncidentType::Major => self.take_related(id),
            IncidentType::Normal => self.let_go_of_related(id),
        }
        self.tell_of_type(id);
        if awaited {
            self.resolve_if_all_is_over(id);
        }
        Ok(Answer::Done)
    }

    fn let_go_of_related(&mut self, id: IncidentId) {
        for child in self.state.children.get(&id).cloned().unwrap_or_default() {
            let by = self.state.incident(child).and_then(|child| child.parent_by.as_ref());
            if by.is_some_and(|by| by.line == 0 && &*by.name == RULE) {
                self.record(Fact::IncidentDetached { incident: child, parent: id });
            }
        }
    }

    /// Whether a major incident has a part that is not over yet, for which it waits before it resolves.
    pub(super) fn awaits_parts(&self, incident: &Incident) -> bool {
        let active = |id: &IncidentId| self.state.incident(*id).is_some_and(|part| part.status.is_active());
        incident.major.is_some() && self.state.children.get(&incident.id).is_some_and(|parts| parts.iter().any(active))
    }

    /// An incident has come to its end: a major one that it is part of may have waited for that.
    pub(super) fn follow_end_of_part(&mut self, id: IncidentId) {
        let parent = self.state.incident(id).and_then(|incident| incident.parent);
        if let Some(major) = parent.filter(|parent| self.state.majors.contains(parent)) {
            self.resolve_if_all_is_over(major);
        }
    }

    fn resolve_if_all_is_over(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        // One about a missed beat has no alert that fires, and yet is over only with the next beat.
        let of_beat = |record: &Arc<AlertRecord>| record.beat.as_ref().is_some_and(|beat| beat.rule.name == incident.rule.name);
        if incident.status.is_active() && incident.alerts_firing == 0 && !self.members(id).any(of_beat) {
            self.all_alerts_left(id);
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
        self.take_related(id);
    }

    fn take_related(&mut self, id: IncidentId) {
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

/// What stands as the rule where a major incident takes another one.
const RULE: &str = "major incident";

fn rule() -> RuleRef {
    RuleRef::built_in(RULE)
}

/// Whether rules and numbers may make it major; where somebody has said what it is, they may not.
fn may_be_found_major(incident: &Incident) -> bool {
    incident.major.is_none() && incident.said_type.is_none() && incident.parent.is_none() && incident.status.is_active()
}

/// Why an incident is major by itself, if it is.
fn derived(incident: &Incident, found: Found) -> Option<String> {
    if incident.priority == 1 && &*incident.category == "security" {
        return Some("a critical security matter".to_owned());
    }
    let vital = found.vital_services;
    (vital >= VITAL_SERVICES).then(|| format!("{vital} services of tier 1 or 2 are in it"))
}

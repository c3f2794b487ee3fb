//! Into which incident an alert goes: the first rule that matches takes it; with `continue`, later ones see it too.

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, Incident, IncidentId, IncidentStatus, Labels, Millis, RuleRef};
use crate::ruleset::{self, CorrelateRule, Scope};

/// How soon after a change a title that tells of its incident's alerts is rendered anew. Small incidents are retitled at
/// once; for large ones a rendering for each alert would cost more than all else.
const RETITLE_AFTER: Millis = Millis::seconds(5);

/// Up to this many alerts, a title is rendered anew with each.
const RETITLED_AT_ONCE_MAX: u32 = 8;

impl Engine {
    /// Lets a firing alert go on, unless something suppresses it: back to its incident, or into one by the rules.
    pub(super) fn admit(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint) else { return };
        if record.is_suppressed() {
            self.review_pauses(fingerprint);
            return;
        }
        let mut at_home = false;
        for id in record.incidents.clone() {
            at_home |= self.come_back(id);
        }
        if !at_home {
            self.correlate(fingerprint, 0);
        }
    }

    /// Offers an alert to the rules from position `from` on.
    pub(super) fn correlate(&mut self, fingerprint: Fingerprint, from: u32) {
        let rules = self.rules.clone();
        let mut found = self.buffer();
        if let Some(record) = self.state.alert(fingerprint) {
            rules.correlate_index.matching(record.labels(), &mut found);
        }
        for position in found.iter().copied().filter(|position| *position >= from) {
            let rule = &rules.correlate[position as usize];
            // The record is borrowed anew each time: whoever holds it while it changes makes it be copied.
            let Some(key) = self.state.alert(fingerprint).map(|record| record.labels().only(&rule.by)) else { break };
            match &rule.threshold {
                Some(threshold) => self.join_or_wait(rule, threshold, key, fingerprint),
                None => self.join_or_open(rule, key, fingerprint),
            }
            if !rule.go_on {
                break;
            }
        }
        self.give_back(found);
    }

    /// Puts an alert into its group's present incident, or opens one.
    pub(super) fn join_or_open(&mut self, rule: &CorrelateRule, key: Labels, fingerprint: Fingerprint) {
        let present = self.group_incident(&rule.rule.name, &key);
        match present {
            Some(id) if self.takes_more(id) => {
                if self.state.incident(id).is_some_and(|incident| incident.status == IncidentStatus::Resolved) {
                    self.reopen_for_alert(id, fingerprint);
                }
                self.join(id, fingerprint, &rule.rule);
                self.follow_join(id, fingerprint, false);
            }
            _ => {
                let id = self.open(rule, key, fingerprint, present);
                self.join(id, fingerprint, &rule.rule);
                self.follow_join(id, fingerprint, true);
            }
        }
    }

    /// The newest incident of a group, unless it has closed.
    pub(super) fn group_incident(&self, rule: &Arc<str>, key: &Labels) -> Option<IncidentId> {
        self.state.groups.get(&(rule.clone(), key.clone())).copied()
    }

    /// Whether an incident may take another alert now.
    pub(super) fn takes_more(&self, id: IncidentId) -> bool {
        self.state.incident(id).is_some_and(|incident| {
            self.now.since(incident.last_news_at) < incident.window
                && self.now.since(incident.opened_at) < incident.max_age
                && incident.alerts_total < self.options.alerts_per_incident
        })
    }

    /// Opens an incident for an alert, which the caller then lets join.
    pub(super) fn open(
        &mut self,
        rule: &CorrelateRule,
        key: Labels,
        first: Fingerprint,
        before: Option<IncidentId>,
    ) -> IncidentId {
        let incident = self.state.next_incident();
        let title = match self.state.alert(first) {
            Some(record) => render_title(rule, &key, record.labels(), 1),
            None => rule.rule.name.clone(),
        };
        // The incident before counts as the same trouble again only when it had come to its end.
        let recurrence_of = before.filter(|id| self.state.incident(*id).is_some_and(|i| !i.status.is_active()));
        self.record(Fact::IncidentOpened {
            incident,
            rule: rule.rule.clone(),
            key,
            title,
            window: rule.window,
            max_age: rule.max_age,
            resolve_after: rule.resolve_after,
            recurrence_of,
        });
        incident
    }

    pub(super) fn join(&mut self, incident: IncidentId, fingerprint: Fingerprint, rule: &RuleRef) {
        self.record(Fact::AlertJoined { incident, fingerprint, rule: rule.clone() });
    }

    /// Everything that a new member may change in its incident.
    pub(super) fn follow_join(&mut self, id: IncidentId, fingerprint: Fingerprint, opened: bool) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        self.classify(id, &record);
        self.prioritize(id, &record);
        if !opened {
            self.plan_title(id);
            self.plan_updates(id);
        }
        self.start_policies(id, &record);
        self.review_incident_pauses(id);
    }

    fn plan_title(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        let tells = self.rule_of(incident).is_some_and(|rule| rule.title.uses("incident"));
        if !tells {
            return;
        }
        if incident.alerts_total <= RETITLED_AT_ONCE_MAX {
            self.retitle(id);
        } else if incident.retitle_due.is_none() {
            let due = self.now + RETITLE_AFTER;
            self.record(Fact::IncidentRetitlePlanned { incident: id, due });
        }
    }

    /// Renders the title anew, where the rule is still there.
    pub(super) fn retitle(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).cloned() else { return };
        let title = match self.rule_of(&incident) {
            Some(rule) => render_title(rule, &incident.key, &incident.labels, incident.alerts_total),
            None => incident.title.clone(),
        };
        if title != incident.title || incident.retitle_due.is_some() {
            self.record(Fact::IncidentTitled { incident: id, title });
        }
    }

    fn rule_of(&self, incident: &Incident) -> Option<&CorrelateRule> {
        self.positions.correlate.get(&incident.rule.name).map(|position| &self.rules.correlate[*position])
    }

    /// A member of the incident fires again. Whether the incident has taken it back.
    fn come_back(&mut self, id: IncidentId) -> bool {
        let Some(incident) = self.state.incident(id) else { return false };
        match incident.status {
            IncidentStatus::Open | IncidentStatus::Acknowledged => {
                self.review_incident_pauses(id);
                self.review_priority(id);
                true
            }
            IncidentStatus::Resolved => {
                let ended = incident.resolved_at.unwrap_or(incident.updated_at);
                let soon = self.now.since(ended) < self.options.reopen_within;
                let young = self.now.since(incident.opened_at) < incident.max_age;
                if soon && young {
                    let back = self.members_firing(id).next();
                    self.reopen_for(id, back);
                }
                soon && young
            }
            IncidentStatus::Closed => false,
        }
    }

    /// The firing alerts of an incident, in order of joining.
    pub(super) fn members_firing(&self, id: IncidentId) -> impl Iterator<Item = Arc<AlertRecord>> + '_ {
        let members = self.state.members.get(&id).map(|members| members.alerts.as_slice()).unwrap_or_default();
        members.iter().filter_map(|key| self.state.alert(*key)).filter(|record| record.is_firing()).cloned()
    }
}

/// A title that cannot be rendered is the rule's name: rules are checked at load, so what is left are values too long.
fn render_title(rule: &CorrelateRule, key: &Labels, labels: &Labels, count: u32) -> Arc<str> {
    match rule.title.render(&TitleScope { key, labels, count }) {
        Ok(title) if !title.trim().is_empty() => title.trim().into(),
        _ => rule.rule.name.clone(),
    }
}

/// What a title may name: `by`, `labels`, `incident.count`.
struct TitleScope<'a> {
    key: &'a Labels,
    labels: &'a Labels,
    count: u32,
}

impl Scope for TitleScope<'_> {
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>> {
        match (root, name) {
            ("by", name) => Some(self.key.get(name).to_owned().into()),
            ("labels", name) => Some(self.labels.get(name).to_owned().into()),
            ("incident", "count") => Some(self.count.to_string().into()),
            _ => None,
        }
    }

    fn value(&self) -> minijinja::Value {
        minijinja::context! {
            by => ruleset::pairs_value(self.key.iter()),
            labels => ruleset::pairs_value(self.labels.iter()),
            incident => minijinja::context! { count => self.count },
        }
    }
}

//! Into which incident an alert goes: the first rule that matches takes it; with `continue`, later ones see it too.

use std::sync::Arc;

use crate::engine::conditions::holds_for;
use crate::engine::state::{GroupKey, Members};
use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, Incident, IncidentId, IncidentStatus, Labels, Millis, RuleRef};
use crate::ruleset::{CorrelateRule, Listed};

/// How soon after a change a title that tells of its incident's alerts is rendered anew. Small incidents are retitled at
/// once; for large ones a rendering for each alert would cost more than all else.
const RETITLE_AFTER: Millis = Millis::seconds(5);

/// Up to this many alerts, a title is rendered anew with each.
const RETITLED_AT_ONCE_MAX: u32 = 8;

/// How an alert came into its incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Opened,
    Reopened,
    More,
}

impl Engine {
    /// Lets a firing alert go on, unless something suppresses it: back to its incident, or into one by the rules. `fired`:
    /// its sender has just said so, and it is not merely let go by what suppressed it.
    pub(super) fn admit(&mut self, fingerprint: Fingerprint, fired: bool) {
        let Some(record) = self.state.alert(fingerprint) else { return };
        if record.is_suppressed() {
            self.review_pauses(fingerprint);
            return;
        }
        let (beats, is_report) = (record.beat.as_ref().map(|beat| beat.rule.name.clone()), record.alert.is_report());
        for id in &record.incidents.clone() {
            // What opened because a beat was missed is not what the beat comes back to.
            if beats.is_some() && self.state.incident(*id).map(|incident| &incident.rule.name) == beats.as_ref() {
                continue;
            }
            self.come_back(*id, fingerprint, fired);
        }
        if is_report {
            self.place_report(fingerprint);
            return;
        }
        self.count_for_storms(fingerprint);
        self.correlate(fingerprint, 0);
    }

    /// Offers an alert to the rules from position `from` on. The rules of incidents that have it already do not take it
    /// twice; and where one of them was the last to take it, no other rule without `continue` does.
    pub(super) fn correlate(&mut self, fingerprint: Fingerprint, from: u32) {
        let rules = self.rules.clone();
        let homes = self.homes(fingerprint);
        let last = |name: &Arc<str>| self.positions.correlate.get(name).is_none_or(|position| !rules.correlate[*position].go_on);
        let settled = homes.iter().any(last);
        let mut found = self.buffer();
        if let Some(record) = self.state.alert(fingerprint) {
            let holding = self.matched.by(&rules, record, Listed::Correlate);
            let when = |position: u32| rules.correlate[position as usize].when.as_ref();
            found.extend(holding.filter(|position| holds_for(when(*position), record, record.labels())));
        }
        self.add_sequences(fingerprint, &mut found);
        for position in found.iter().copied().filter(|position| *position >= from) {
            let rule = &rules.correlate[position as usize];
            if let Some(sequence) = &rule.sequence {
                let free = !homes.contains(&rule.rule.name) && (rule.go_on || !settled);
                if self.follow_sequence(rule, sequence, fingerprint, free) && !rule.go_on {
                    break;
                }
                continue;
            }
            if let Some(storm) = rule.storm {
                let Some(key) = self.state.alert(fingerprint).map(|record| record.labels().only(&rule.by)) else { break };
                let free = !homes.contains(&rule.rule.name) && !settled;
                if free && self.follow_storm(rule, storm, (rule.rule.name.clone(), key), fingerprint) {
                    break;
                }
                continue;
            }
            // A beat is not what its rule opens incidents for.
            let opens = rule.absent.is_none();
            if rule.topology.is_some() && !self.names_service(fingerprint) {
                continue;
            }
            if opens && !homes.contains(&rule.rule.name) && (rule.go_on || !settled) {
                if !rule.ties.is_empty() {
                    self.join_tied(rule, position as usize, fingerprint);
                    if rule.go_on {
                        continue;
                    }
                    break;
                }
                // The record is borrowed anew each time: whoever holds it while it changes makes it be copied.
                let Some(key) = self.state.alert(fingerprint).map(|record| record.labels().only(&rule.by)) else { break };
                let group = (rule.rule.name.clone(), key);
                match (&rule.threshold, rule.topology) {
                    (Some(threshold), _) => self.join_or_wait(rule, threshold, group, fingerprint),
                    (None, Some(topology)) => self.join_near(rule, topology, group, fingerprint),
                    (None, None) => self.join_or_open(rule, group, fingerprint),
                }
            }
            if !rule.go_on {
                break;
            }
        }
        self.give_back(found);
    }

    /// The rules of the incidents that the alert is in and that are neither resolved nor closed.
    pub(super) fn homes(&self, fingerprint: Fingerprint) -> Vec<Arc<str>> {
        let Some(record) = self.state.alert(fingerprint) else { return Vec::new() };
        let incidents = record.incidents.iter().filter_map(|id| self.state.incident(*id));
        incidents.filter(|incident| incident.status.is_active()).map(|incident| incident.rule.name.clone()).collect()
    }

    /// Puts an alert into its group's present incident, or opens one.
    pub(super) fn join_or_open(&mut self, rule: &CorrelateRule, group: GroupKey, fingerprint: Fingerprint) {
        let present = self.group_incident(&group);
        match present {
            Some(id) if self.takes(id, fingerprint) => {
                let mut how = Joined::More;
                if self.state.incident(id).is_some_and(|incident| incident.status == IncidentStatus::Resolved) {
                    self.reopen_for_alert(id, fingerprint);
                    how = Joined::Reopened;
                }
                self.habit.learn(fingerprint, &rule.by, id);
                self.join(id, fingerprint, &rule.rule);
                self.follow_join(id, fingerprint, how);
            }
            _ => {
                let id = self.open(rule, group.1, fingerprint, present);
                self.habit.learn(fingerprint, &rule.by, id);
                self.join(id, fingerprint, &rule.rule);
                self.follow_join(id, fingerprint, Joined::Opened);
            }
        }
    }

    /// The newest incident of a group that has not closed.
    pub(super) fn group_incident(&self, group: &GroupKey) -> Option<IncidentId> {
        self.state.groups.get(group)?.last().copied()
    }

    /// Whether an incident may take this alert as a new one now. One that it had before has come back to it by now, or
    /// has come too late and begins another incident.
    pub(super) fn takes(&self, id: IncidentId, fingerprint: Fingerprint) -> bool {
        let had = self.state.alert(fingerprint).is_some_and(|record| record.incidents.contains(&id));
        !had && self.state.incident(id).is_some_and(|incident| {
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
        let runbook = self.state.alert(first).and_then(|record| self.runbook(record.labels().get("service")));
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
            runbook,
        });
        incident
    }

    pub(super) fn join(&mut self, incident: IncidentId, fingerprint: Fingerprint, rule: &RuleRef) {
        self.record(Fact::AlertJoined { incident, fingerprint, rule: rule.clone() });
        self.enter_conditions_of(incident, fingerprint);
        self.enter_ties(incident, fingerprint);
    }

    /// Everything that a new member may change in its incident.
    pub(super) fn follow_join(&mut self, id: IncidentId, fingerprint: Fingerprint, how: Joined) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        self.classify(id, &record);
        self.prioritize(id, &record, how == Joined::Opened);
        if how != Joined::Opened {
            self.plan_title(id);
            self.plan_updates(id);
        }
        self.start_policies(id, &record, how != Joined::More);
        self.review_incident_pauses(id);
        self.plan_causes(id);
        if how == Joined::Opened {
            self.join_major(id, fingerprint);
        }
        self.follow_ties(id, fingerprint);
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
        let Some(incident) = self.state.incident(id) else { return };
        let title = match self.rule_of(incident) {
            Some(rule) => render_title(rule, &incident.key, &incident.labels, incident.alerts_total),
            None => incident.title.clone(),
        };
        let changed = title != incident.title || incident.retitle_due.is_some();
        if changed {
            self.record(Fact::IncidentTitled { incident: id, title });
        }
    }

    pub(super) fn rule_of(&self, incident: &Incident) -> Option<&CorrelateRule> {
        self.positions.correlate.get(&incident.rule.name).map(|position| &self.rules.correlate[*position])
    }

    /// A member of the incident fires again (news for those who were told), or is suppressed no longer. A resolved incident
    /// takes it back for a while.
    fn come_back(&mut self, id: IncidentId, fingerprint: Fingerprint, fired: bool) {
        let Some(incident) = self.state.incident(id) else { return };
        if incident.status.is_active() {
            let Some(record) = self.state.alert(fingerprint).cloned() else { return };
            self.review_classification(id);
            self.prioritize(id, &record, false);
            if fired {
                self.plan_updates(id);
            }
            self.review_policies(id);
            self.review_incident_pauses(id);
        } else if self.may_reopen(incident) {
            self.reopen_for(id, fingerprint);
        }
    }

    /// Whether a resolved incident is still taken up again by its own alerts: for a day, or while its rule's window lasts.
    pub(super) fn may_reopen(&self, incident: &Incident) -> bool {
        let ended = incident.resolved_at.unwrap_or(incident.updated_at);
        let soon = self.now.since(ended) < self.options.reopen_within || self.now.since(incident.last_news_at) < incident.window;
        soon && self.now.since(incident.opened_at) < incident.max_age
    }

    /// The alerts of an incident, in no order that means anything.
    pub(super) fn members(&self, id: IncidentId) -> impl Iterator<Item = &Arc<AlertRecord>> + '_ {
        let members = self.state.members.get(&id).into_iter().flat_map(Members::iter);
        members.filter_map(|fingerprint| self.state.alert(fingerprint))
    }
}

/// A title that cannot be rendered is the rule's name: rules are checked at load, so what is left are values too long.
fn render_title(rule: &CorrelateRule, key: &Labels, labels: &Labels, count: u32) -> Arc<str> {
    match rule.render_title(key, labels, count) {
        Ok(title) if !title.trim().is_empty() => title.trim().into(),
        _ => rule.rule.name.clone(),
    }
}

//! What came of alerts: the incident that each went into, and the messages that were sent. Watches facts and the state
//! behind them, of the live engine or of a log; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::engine::{Fact, State};
use crate::model::cause::Cause;
use crate::model::{Alert, Fingerprint, Incident, IncidentId, Millis, Notification, NotificationKind, Reason, Time};

/// What came of the alerts of a time.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Each time that an alert began to fire, in order.
    pub occurrences: Vec<Occurrence>,
    /// The incidents that any of these is in.
    pub incidents: BTreeMap<IncidentId, Case>,
    /// Messages that say that there is something to do, by receiver. Updates and resolves wake nobody.
    pub pages: BTreeMap<Arc<str>, u64>,
    /// The same messages by the incident's team; those of incidents without one under the empty name.
    pub pages_by_team: BTreeMap<Arc<str>, u64>,
    /// Rules that merged as many incidents within an hour as the limit allows.
    pub merged_too_much: BTreeSet<Arc<str>>,
}

/// One time that an alert began to fire.
#[derive(Debug)]
pub struct Occurrence {
    pub alert: Arc<Alert>,
    /// When it was heard of.
    pub at: Time,
    /// The incidents that it went into, the first one first; none: suppressed, dropped, or still waiting.
    pub incidents: Vec<IncidentId>,
}

/// One incident.
#[derive(Debug)]
pub struct Case {
    pub incident: Arc<Incident>,
    /// The places of its alerts in [`Outcome::occurrences`], in order of joining.
    pub occurrences: Vec<usize>,
    /// What it probably came from, each time that this was another list than before, with the moment.
    pub causes: Vec<(Time, Arc<Vec<Cause>>)>,
}

impl Case {
    /// The probable causes as they stood so long after the incident had opened; the first ones where they came later.
    #[must_use]
    pub fn causes_after(&self, length: Millis) -> &[Cause] {
        let until = self.incident.opened_at + length;
        let stood = self.causes.iter().rev().find(|(at, _)| *at <= until).or(self.causes.first());
        stood.map_or(&[], |(_, causes)| causes)
    }
}

/// Notes what comes of each alert.
#[derive(Debug)]
pub(super) struct Watcher {
    /// What began to fire before is played, because what fires later may depend on it, and not counted.
    from: Time,
    outcome: Outcome,
    /// The present occurrence of each alert.
    present: FxHashMap<Fingerprint, usize>,
    /// Alerts that have begun to fire in this step. Whether they are suppressed is known at its end.
    fired: Vec<Fingerprint>,
}

impl Watcher {
    pub(super) fn new(from: Time) -> Watcher {
        Watcher { from, outcome: Outcome::default(), present: FxHashMap::default(), fired: Vec::new() }
    }

    /// Looks at a fact; `state` has it, and may be ahead of it within its step.
    pub(super) fn note(&mut self, fact: &Fact, state: &State) {
        match fact {
            Fact::AlertFired { alert } => self.begin(alert, state),
            Fact::AlertReleased { fingerprint, .. } => self.assign_present(*fingerprint, state),
            Fact::AlertJoined { incident, fingerprint, .. } => self.assign(*fingerprint, *incident, state),
            Fact::IncidentReopened { incident, reason: Reason::Alert(fingerprint, _) } => {
                self.assign(*fingerprint, *incident, state);
            }
            Fact::IncidentTitled { incident, .. }
            | Fact::IncidentClassified { incident, .. }
            | Fact::IncidentPrioritized { incident, .. } => {
                if let (Some(case), Some(now)) = (self.outcome.incidents.get_mut(incident), state.incident(*incident)) {
                    case.incident = now.clone();
                }
            }
            Fact::IncidentCausesFound { incident, causes, .. } => {
                if let Some(case) = self.outcome.incidents.get_mut(incident) {
                    case.causes.push((state.time(), causes.clone()));
                }
            }
            Fact::MergeHeld { rule, .. } => {
                self.outcome.merged_too_much.insert(rule.name.clone());
            }
            Fact::NotificationQueued { notification } => self.count(notification, state),
            _ => {}
        }
    }

    /// What a step has decided is over; `state` stands behind it.
    pub(super) fn end_step(&mut self, state: &State) {
        for fingerprint in std::mem::take(&mut self.fired) {
            self.assign_present(fingerprint, state);
        }
    }

    /// The incidents that an alert is in and that are open have it again, if anybody may hear of it. No fact says so.
    fn assign_present(&mut self, fingerprint: Fingerprint, state: &State) {
        let Some(record) = state.alert(fingerprint).filter(|it| it.is_firing() && !it.is_suppressed()) else { return };
        let active = |id: &&IncidentId| state.incident(**id).is_some_and(|incident| incident.status.is_active());
        for id in record.incidents.iter().filter(active) {
            self.assign(fingerprint, *id, state);
        }
    }

    pub(super) fn finish(mut self) -> Outcome {
        self.outcome.incidents.retain(|_, case| !case.occurrences.is_empty());
        self.outcome
    }

    fn begin(&mut self, alert: &Arc<Alert>, state: &State) {
        let fingerprint = alert.fingerprint;
        let at = state.alert(fingerprint).map_or(state.time(), |record| record.fired_at);
        if at < self.from {
            self.present.remove(&fingerprint);
            return;
        }
        self.present.insert(fingerprint, self.outcome.occurrences.len());
        self.outcome.occurrences.push(Occurrence { alert: alert.clone(), at, incidents: Vec::new() });
        self.fired.push(fingerprint);
    }

    fn assign(&mut self, fingerprint: Fingerprint, id: IncidentId, state: &State) {
        let Some(incident) = state.incident(id) else { return };
        let Some(place) = self.present.get(&fingerprint).copied() else { return };
        let occurrence = &mut self.outcome.occurrences[place];
        if occurrence.incidents.contains(&id) {
            return;
        }
        occurrence.incidents.push(id);
        let new = || Case { incident: incident.clone(), occurrences: Vec::new(), causes: Vec::new() };
        self.outcome.incidents.entry(id).or_insert_with(new).occurrences.push(place);
    }

    fn count(&mut self, notification: &Notification, state: &State) {
        if notification.kind != NotificationKind::Trigger || notification.created_at < self.from {
            return;
        }
        *self.outcome.pages.entry(notification.receiver.clone()).or_default() += 1;
        let team = state.incident(notification.incident).and_then(|incident| incident.team.clone());
        *self.outcome.pages_by_team.entry(team.unwrap_or_default()).or_default() += 1;
    }
}

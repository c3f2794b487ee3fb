//! What is known at a moment: records of alerts, incidents, notifications and silences, and what timelines say.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::Line;
use crate::engine::{Entity, Fact, State};
use crate::model::{
    AlertRecord, Fingerprint, Incident, IncidentId, Notification, NotificationId, RuleRef, Silence, SilenceId, Time,
};
use crate::ruleset::Ruleset;
use crate::storage::disk::Disk;
use crate::storage::log::{LogError, LogFiles, LogItem};
use crate::storage::view::{TimelineEntry, ViewError, ViewReader};

/// Alerts of one incident that are looked at.
const MEMBERS_MAX: usize = 10_000;
/// Messages about one incident that are looked at, the newest ones.
const NOTIFICATIONS_MAX: usize = 200;
/// Lines of one timeline that are looked at.
const ENTRIES_MAX: usize = 5_000;

/// Why a log tells nothing of a moment.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log's oldest record is of {0}, later than the moment that is asked for")]
    Trimmed(Time),
    #[error("the log is empty")]
    Empty,
}

/// Records as they stood at a moment. Need not be all there are: those that a question is about, and what they name.
#[derive(Debug, Default)]
pub struct Records {
    pub now: Time,
    /// Whether `now` is a moment of the past: then nothing counts that came later.
    pub is_past: bool,
    /// The id of the data directory, which stands before a notification's number.
    pub directory: Arc<str>,
    pub alerts: BTreeMap<Fingerprint, Arc<AlertRecord>>,
    pub incidents: BTreeMap<IncidentId, Arc<Incident>>,
    pub notifications: BTreeMap<NotificationId, Arc<Notification>>,
    pub silences: BTreeMap<SilenceId, Arc<Silence>>,
    /// Lines of the timelines of these incidents, where somebody has read them.
    pub timelines: BTreeMap<IncidentId, Vec<TimelineEntry>>,
    /// What happened to these alerts, where somebody has read it.
    pub histories: BTreeMap<Fingerprint, Vec<Line>>,
    /// When the rules came into force that were so at the moment, where that is known.
    pub rules_since: Option<Time>,
    /// Their digest, where that is known.
    pub rules_digest: Option<u64>,
}

impl Records {
    /// The state of a log as it stood at a moment, or as it stands.
    ///
    /// # Errors
    /// A log that cannot be read, or that does not go back so far.
    pub fn from_log<D: Disk>(log: &LogFiles<D>, at: Option<Time>) -> Result<Records, RecordsError> {
        let mut state = State::new();
        let mut rules_since = None;
        let (mut unfinished, mut any) = (false, false);
        for item in log.read(0)? {
            match item? {
                LogItem::Entity(entity) => {
                    if let (Entity::Meta(meta), Some(at)) = (&entity, at)
                        && meta.time > at
                    {
                        return Err(RecordsError::Trimmed(meta.time));
                    }
                    state.add(entity);
                    (unfinished, any) = (true, true);
                }
                LogItem::Record(record) => {
                    if at.is_some_and(|at| record.time > at) {
                        break;
                    }
                    if std::mem::take(&mut unfinished) {
                        state.finish();
                    }
                    any = true;
                    for (seq, fact) in (record.first_seq..).zip(&record.facts) {
                        if matches!(fact, Fact::RulesLoaded { .. }) {
                            rules_since = Some(record.time);
                        }
                        state.apply(seq, record.time, fact);
                    }
                    // Nobody is told of changes here, and kept ones would fill the memory.
                    drop(state.take_changes());
                }
                // Nothing is passed over without leave, and none was given.
                LogItem::Skipped(_) => {}
            }
        }
        if !any {
            return Err(RecordsError::Empty);
        }
        let mut records = Records::of_state(&state);
        records.now = at.unwrap_or(state.time());
        records.is_past = at.is_some();
        records.rules_since = rules_since;
        Ok(records)
    }

    /// Everything that a state holds.
    #[must_use]
    pub fn of_state(state: &State) -> Records {
        Records {
            now: state.time(),
            is_past: false,
            directory: state.directory().clone(),
            alerts: state.alerts().map(|it| (it.alert.fingerprint, it.clone())).collect(),
            incidents: state.incidents().map(|it| (it.id, it.clone())).collect(),
            notifications: state.notifications().map(|it| (it.id, it.clone())).collect(),
            silences: state.silences().map(|it| (it.id, it.clone())).collect(),
            timelines: BTreeMap::new(),
            histories: BTreeMap::new(),
            rules_since: None,
            rules_digest: state.rules_digest(),
        }
    }

    /// Adds an incident out of history, with its alerts and messages, unless it is known; and its timeline.
    ///
    /// # Errors
    /// What the view says.
    pub fn read_incident(&mut self, view: &ViewReader, id: IncidentId) -> Result<(), ViewError> {
        if let Entry::Vacant(slot) = self.timelines.entry(id) {
            slot.insert(view.timeline(id, 0, ENTRIES_MAX)?);
        }
        if self.incidents.contains_key(&id) {
            return Ok(());
        }
        let Some(incident) = view.incident(id)?.filter(|incident| self.counts(incident.opened_at)) else { return Ok(()) };
        self.incidents.insert(id, Arc::new(incident));
        let mut members = view.incident_alerts(id, MEMBERS_MAX)?;
        members.retain(|record| self.counts(record.fired_at));
        for record in members {
            self.add_alert(Arc::new(record));
        }
        let mut ours = |notification: &Notification| notification.incident == id && self.counts(notification.created_at);
        for it in view.notifications(None, NOTIFICATIONS_MAX, &mut ours)? {
            self.notifications.entry(it.id).or_insert_with(|| Arc::new(it));
        }
        Ok(())
    }

    /// Adds an alert's last occurrence out of history, unless one is known; and the incidents that it is in.
    ///
    /// # Errors
    /// What the view says.
    pub fn read_alert(&mut self, view: &ViewReader, fingerprint: Fingerprint) -> Result<(), ViewError> {
        if !self.alerts.contains_key(&fingerprint) {
            let found = view.alerts(Some(fingerprint), None, 1, &mut |record| self.counts(record.fired_at))?;
            for record in found {
                self.add_alert(Arc::new(record));
            }
        }
        let incidents = self.alerts.get(&fingerprint).map(|record| record.incidents.clone()).unwrap_or_default();
        incidents.iter().try_for_each(|id| self.read_incident(view, *id))
    }

    /// Adds a notification out of history, unless it is known; and the incident that it is about.
    ///
    /// # Errors
    /// What the view says.
    pub fn read_notification(&mut self, view: &ViewReader, id: NotificationId) -> Result<(), ViewError> {
        if !self.notifications.contains_key(&id) {
            let found = view.notifications(Some(id.0.saturating_add(1)), 1, &mut |_| true)?;
            let found = found.into_iter().find(|notification| notification.id == id && self.counts(notification.created_at));
            self.notifications.extend(found.map(|it| (id, Arc::new(it))));
        }
        let incident = self.notifications.get(&id).map(|notification| notification.incident);
        incident.map_or(Ok(()), |incident| self.read_incident(view, incident))
    }

    fn counts(&self, moment: Time) -> bool {
        !self.is_past || moment <= self.now
    }

    /// Keeps an alert's record; of one alert, the newest occurrence.
    pub fn add_alert(&mut self, record: Arc<AlertRecord>) {
        let known = self.alerts.get(&record.alert.fingerprint);
        if known.is_none_or(|known| known.fired_seq <= record.fired_seq) {
            self.alerts.insert(record.alert.fingerprint, record);
        }
    }

    /// The alerts of an incident, in order of firing.
    pub(super) fn members(&self, id: IncidentId) -> Vec<Arc<AlertRecord>> {
        let mut members: Vec<_> = self.alerts.values().filter(|record| record.incidents.contains(&id)).cloned().collect();
        members.sort_by_key(|record| record.fired_seq);
        members
    }

    /// What to know of the rules before believing what they say of something that was decided at `decided`, by `rule`.
    pub(super) fn notes(&self, rules: &Ruleset, decided: Time, rule: Option<&RuleRef>) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(since) = self.rules_since.filter(|since| *since > decided) {
            notes.push(format!("the rules have changed since, at {since}; what other rules say is said by those of now"));
        } else if self.rules_digest.is_some_and(|digest| digest != rules.digest) {
            notes.push("the rules that were in force then are not quite those that are asked here".to_owned());
        }
        if let Some(rule) = rule {
            match rules.correlate.iter().find(|known| known.rule.name == rule.name) {
                None => notes.push(format!("{} is not among the rules any more", rule.name)),
                Some(known) if known.rule != *rule => notes.push(format!("{} stands at {} by now", rule.name, known.rule)),
                Some(_) => {}
            }
        }
        notes
    }
}

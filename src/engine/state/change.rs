//! How an entity is replaced: timers, counts and the list of what was touched follow by themselves.

use std::sync::Arc;

use super::State;
use super::timers;
use crate::engine::entity::Changes;
use crate::model::{
    AlertRecord, Change, Fingerprint, Heartbeat, Incident, IncidentId, MessageId, Notification, NotificationId, Severity,
    Silence, SilenceId, TakenMessage, Time, Usual,
};

/// Keys of everything that changed since the last look, with repetitions, and the last records of what left.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) alerts: Vec<Fingerprint>,
    pub(super) incidents: Vec<IncidentId>,
    pub(super) notifications: Vec<NotificationId>,
    pub(super) silences: Vec<SilenceId>,
    pub(super) reported: Vec<Arc<str>>,
    pub(super) usual: Vec<Arc<Usual>>,
    pub(super) messages: Vec<Arc<TakenMessage>>,
    pub(super) forgotten_messages: Vec<(Arc<str>, MessageId)>,
    pub(super) heartbeats: Vec<Arc<str>>,
    pub(super) closed: Vec<Arc<Incident>>,
    pub(super) forgotten_alerts: Vec<Arc<AlertRecord>>,
    pub(super) forgotten_notifications: Vec<Arc<Notification>>,
    pub(super) forgotten_silences: Vec<Arc<Silence>>,
    pub(super) forgotten_reported: Vec<Arc<Change>>,
    pub(super) forgotten_heartbeats: Vec<Arc<Heartbeat>>,
}

impl Touched {
    /// Much happens to one alert, and then to the next: a list without the repetitions in a row is half as long.
    pub(super) fn alert(&mut self, fingerprint: Fingerprint) {
        if self.alerts.last() != Some(&fingerprint) {
            self.alerts.push(fingerprint);
        }
    }

    /// As [`Touched::alert`].
    pub(super) fn incident(&mut self, id: IncidentId) {
        if self.incidents.last() != Some(&id) {
            self.incidents.push(id);
        }
    }
}

impl State {
    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        let touched = std::mem::take(&mut self.touched);
        let key = |record: &AlertRecord| record.alert.fingerprint;
        let (alerts, forgotten_alerts) =
            settle(touched.alerts, touched.forgotten_alerts, key, |key| self.alerts.get(key).cloned());
        let (incidents, forgotten_incidents) =
            settle(touched.incidents, touched.closed, |it: &Incident| it.id, |id| self.incidents.get(id).cloned());
        let (notifications, forgotten_notifications) = settle(
            touched.notifications,
            touched.forgotten_notifications,
            |it: &Notification| it.id,
            |id| self.notifications.get(id).cloned(),
        );
        let (silences, forgotten_silences) =
            settle(touched.silences, touched.forgotten_silences, |it: &Silence| it.id, |id| self.silences.get(id).cloned());
        let (reported, forgotten_reported) = settle(
            touched.reported,
            touched.forgotten_reported,
            |it: &Change| it.id.clone(),
            |id| self.reported.get(id).cloned(),
        );
        // What was taken and forgotten between two looks is among the forgotten alone, and what came back is not among them.
        let known = |source: &str, id| self.messages.get(source, id).is_some();
        let (mut messages, mut forgotten_messages) = (touched.messages, touched.forgotten_messages);
        messages.retain(|message| known(&message.source, message.id));
        forgotten_messages.retain(|(source, id)| !known(source, *id));
        let (heartbeats, forgotten_heartbeats) = settle(
            touched.heartbeats,
            touched.forgotten_heartbeats,
            |it: &Heartbeat| it.name.clone(),
            |name| self.heartbeats.get(name).cloned(),
        );
        Changes {
            alerts,
            incidents,
            notifications,
            silences,
            reported,
            usual: touched.usual,
            messages,
            forgotten_messages,
            heartbeats,
            forgotten_alerts,
            forgotten_incidents,
            forgotten_notifications,
            forgotten_silences,
            forgotten_reported,
            forgotten_heartbeats,
        }
    }

    /// Puts a record in the place of the alert's present one, and moves the counts of its incidents.
    pub(super) fn put_alert(&mut self, seq: u64, now: Time, new: Arc<AlertRecord>) {
        let fingerprint = new.alert.fingerprint;
        let old = self.alerts.get(&fingerprint).cloned();
        self.change_counts(seq, now, old.as_deref(), &new);
        if let Some(old) = &old {
            for (due, timer) in timers::of_alert(old) {
                self.timers.remove(due, timer);
            }
        }
        for (due, timer) in timers::of_alert(&new) {
            self.timers.insert(due, timer);
        }
        self.alerts.insert(fingerprint, new);
        self.touched.alert(fingerprint);
    }

    /// Changes an alert's record in place where nobody else holds it.
    pub(super) fn change_alert(&mut self, seq: u64, now: Time, fingerprint: Fingerprint, change: impl FnOnce(&mut AlertRecord)) {
        let Some(record) = self.alerts.get_mut(&fingerprint) else { return };
        for (due, timer) in timers::of_alert(record) {
            self.timers.remove(due, timer);
        }
        let before = Contribution::of(record);
        change(Arc::make_mut(record));
        let record = record.clone();
        let after = Contribution::of(&record);
        self.firing = self.firing + usize::from(after.firing) - usize::from(before.firing);
        for id in &record.incidents {
            self.change_incident_counts(seq, now, *id, before, after);
        }
        for (due, timer) in timers::of_alert(&record) {
            self.timers.insert(due, timer);
        }
        self.touched.alert(fingerprint);
    }

    /// Changes an incident's record, copying it only where somebody else holds it.
    pub(super) fn change_incident(&mut self, seq: u64, now: Time, id: IncidentId, change: impl FnOnce(&mut Incident)) {
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        let before = timers::of_incident(incident);
        let changed = Arc::make_mut(incident);
        change(changed);
        changed.version = seq;
        changed.updated_at = now;
        let after = timers::of_incident(incident);
        self.timers.replace(id, &before, &after);
        self.touched.incident(id);
    }

    /// Changes what of an incident no timer follows from, as most of what alerts do to it.
    pub(super) fn count_in_incident(&mut self, seq: u64, now: Time, id: IncidentId, change: impl FnOnce(&mut Incident)) {
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        #[cfg(debug_assertions)]
        let before = timers::of_incident(incident);
        let changed = Arc::make_mut(incident);
        change(changed);
        changed.version = seq;
        changed.updated_at = now;
        #[cfg(debug_assertions)]
        assert_eq!(before, timers::of_incident(changed), "a timer would be left behind");
        self.touched.incident(id);
    }

    fn change_counts(&mut self, seq: u64, now: Time, old: Option<&AlertRecord>, new: &AlertRecord) {
        self.firing = self.firing + usize::from(new.is_firing()) - usize::from(old.is_some_and(AlertRecord::is_firing));
        if new.incidents.is_empty() {
            return;
        }
        let before = old.map_or(Contribution::NONE, Contribution::of);
        let after = Contribution::of(new);
        for id in &new.incidents {
            self.change_incident_counts(seq, now, *id, before, after);
        }
    }

    fn change_incident_counts(&mut self, seq: u64, now: Time, id: IncidentId, before: Contribution, after: Contribution) {
        if before == after {
            return;
        }
        let Some(members) = self.members.get_mut(&id) else { return };
        let worst = members.count(before, after);
        self.count_in_incident(seq, now, id, |incident| after.move_counts(before, incident, worst));
    }
}

/// What one alert adds to the counts of its incidents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Contribution {
    pub(super) firing: bool,
    suppressed: bool,
    pub(super) severity: Severity,
}

impl Contribution {
    pub(super) const NONE: Contribution = Contribution { firing: false, suppressed: false, severity: Severity::Info };

    pub(super) fn of(record: &AlertRecord) -> Contribution {
        let firing = record.is_firing();
        Contribution { firing, suppressed: firing && record.is_suppressed(), severity: record.severity() }
    }

    /// Moves an incident's counts from what the alert was before to this, which leaves `worst` firing in it.
    pub(super) fn move_counts(self, before: Contribution, incident: &mut Incident, worst: Option<Severity>) {
        incident.alerts_firing = incident.alerts_firing + u32::from(self.firing) - u32::from(before.firing);
        incident.alerts_suppressed = incident.alerts_suppressed + u32::from(self.suppressed) - u32::from(before.suppressed);
        if let Some(worst) = worst {
            incident.severity = worst;
        }
    }
}

/// The records to publish and the keys that are gone. What was touched and then left is published as it last was, so that
/// history ends with the truth; its present form, if it came back, stands behind.
fn settle<K: Ord, T>(
    mut keys: Vec<K>,
    left: Vec<Arc<T>>,
    key: impl Fn(&T) -> K,
    present: impl Fn(&K) -> Option<Arc<T>>,
) -> (Vec<Arc<T>>, Vec<K>) {
    keys.sort_unstable();
    keys.dedup();
    let gone = left.iter().map(|record| key(record)).filter(|key| present(key).is_none()).collect();
    let touched = |record: &Arc<T>| keys.binary_search(&key(record)).is_ok();
    let mut records: Vec<Arc<T>> = left.into_iter().filter(touched).collect();
    records.extend(keys.iter().filter_map(present));
    (records, gone)
}

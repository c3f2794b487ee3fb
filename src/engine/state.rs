//! What the engine knows. Changed by [`State::apply`] alone, so that a log replayed is the state it came from.

mod apply;
mod change;
mod heartbeats;
mod members;
mod messages;
mod policies;
mod reported;
mod timers;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::entity::{Entity, Meta};
use crate::model::{
    AlertRecord, Change, Fingerprint, Heartbeat, Incident, IncidentId, IncidentStatus, KeyedMap, Labels, Notification,
    NotificationId, Silence, SilenceId, Time, Usual,
};

use change::Contribution;
pub(super) use members::Members;
pub use timers::Timer;
pub(super) use timers::policy_due;

/// A group of alerts that one rule puts together: the rule's name and the values of its `by` labels.
pub(super) type GroupKey = (Arc<str>, Labels);

/// Steps by number and log position, with the time and the alert of each.
type StepsInOrder = BTreeMap<(u32, u64), (Time, Fingerprint)>;

/// The state: entities, and what is derived from them for speed.
#[derive(Debug, Default)]
pub struct State {
    meta: Meta,
    pub(super) alerts: KeyedMap<Fingerprint, Arc<AlertRecord>>,
    /// Looked up many times an alert, walked seldom: in order by [`State::incidents`].
    pub(super) incidents: FxHashMap<IncidentId, Arc<Incident>>,
    pub(super) notifications: BTreeMap<NotificationId, Arc<Notification>>,
    pub(super) silences: BTreeMap<SilenceId, Arc<Silence>>,
    pub(super) reported: reported::Reported,
    /// What is usual, by storm rule and key.
    pub(super) usual: BTreeMap<GroupKey, Arc<Usual>>,
    pub(super) messages: messages::Messages,
    pub(super) heartbeats: heartbeats::Heartbeats,

    // Derived:
    /// Each incident's alerts.
    pub(super) members: FxHashMap<IncidentId, Members>,
    /// The incidents of each group that have not closed, in order of opening.
    pub(super) groups: KeyedMap<GroupKey, Vec<IncidentId>>,
    /// The incidents that have not closed, by the services that they are about.
    pub(super) by_service: KeyedMap<Arc<str>, BTreeSet<IncidentId>>,
    /// The major incidents that have not closed.
    pub(super) majors: BTreeSet<IncidentId>,
    /// The incidents that have not closed and are part of each.
    pub(super) children: FxHashMap<IncidentId, BTreeSet<IncidentId>>,
    /// When incidents that have not closed became parts of others, by the rule that made them so.
    pub(super) merges: FxHashMap<Arc<str>, BTreeSet<(Time, IncidentId)>>,
    /// Alerts that wait under a threshold, by group, in order of their beginning.
    pub(super) waiting: KeyedMap<GroupKey, BTreeSet<(u64, Fingerprint)>>,
    /// Steps of sequences, by group, in order of step and coming.
    pub(super) steps: KeyedMap<GroupKey, StepsInOrder>,
    /// Beats that fire, by the group whose they are.
    pub(super) beats: KeyedMap<GroupKey, BTreeSet<Fingerprint>>,
    firing: usize,
    timers: timers::Timers,
    touched: change::Touched,
}

impl State {
    /// The state before anything has happened.
    #[must_use]
    pub fn new() -> State {
        State::default()
    }

    /// Puts an entity in, from the view or from a checkpoint. [`State::finish`] must follow the last one.
    pub fn add(&mut self, entity: Entity) {
        match entity {
            Entity::Meta(meta) => self.meta = meta,
            Entity::Alert(record) => {
                self.alerts.insert(record.alert.fingerprint, record);
            }
            Entity::Incident(incident) => {
                self.incidents.insert(incident.id, incident);
            }
            Entity::Notification(notification) => {
                self.notifications.insert(notification.id, notification);
            }
            Entity::Silence(silence) => {
                self.silences.insert(silence.id, silence);
            }
            Entity::Change(change) => self.reported.insert(change),
            Entity::Usual(usual) => {
                self.usual.insert((usual.rule.clone(), usual.key.clone()), usual);
            }
            Entity::Message(message) => self.messages.insert(&message),
            Entity::Heartbeat(heartbeat) => self.heartbeats.insert(heartbeat),
        }
    }

    /// Derives everything from the entities.
    pub fn finish(&mut self) {
        self.members.clear();
        self.groups.clear();
        self.by_service.clear();
        self.waiting.clear();
        self.beats.clear();
        self.steps.clear();
        self.majors.clear();
        self.children.clear();
        self.merges.clear();
        self.timers = timers::Timers::default();
        self.firing = 0;
        for incident in in_order(&self.incidents) {
            self.timers.insert_all(incident.id, &timers::of_incident(incident));
            if incident.status != IncidentStatus::Closed {
                self.majors.extend(incident.major.as_ref().map(|_| incident.id));
                if let Some(parent) = incident.parent {
                    self.children.entry(parent).or_default().insert(incident.id);
                }
                if let (Some(rule), Some(at)) = (&incident.parent_by, incident.parent_at) {
                    self.merges.entry(rule.name.clone()).or_default().insert((at, incident.id));
                }
                self.groups.entry((incident.rule.name.clone(), Labels::clone(&incident.key))).or_default().push(incident.id);
                for service in incident.services.iter() {
                    self.by_service.entry(service.clone()).or_default().insert(incident.id);
                }
            }
        }
        for silence in self.silences.values() {
            // A beginning or an end that has passed is harmless: its timer finds nothing left to do.
            self.timers.insert(silence.starts_at, Timer::SilenceStarts(silence.id));
            self.timers.insert(silence.ends_at, Timer::SilenceEnds(silence.id));
        }
        #[expect(clippy::iter_over_hash_type, reason = "what is derived from each lies in ordered sets and in sums")]
        for record in self.alerts.values() {
            let fingerprint = record.alert.fingerprint;
            self.firing += usize::from(record.is_firing());
            for id in &record.incidents {
                let members = self.members.entry(*id).or_default();
                members.add(fingerprint);
                members.count(Contribution::NONE, Contribution::of(record));
            }
            for waiting in record.waits() {
                self.waiting
                    .entry((waiting.rule.name.clone(), waiting.key.clone()))
                    .or_default()
                    .insert((record.fired_seq, fingerprint));
            }
            if let Some(beat) = record.beat.as_ref().filter(|_| record.is_firing()) {
                self.beats.entry((beat.rule.name.clone(), beat.key.clone())).or_default().insert(fingerprint);
            }
            for step in record.steps() {
                let group = (step.rule.name.clone(), step.key.clone());
                self.steps.entry(group).or_default().insert((step.step, step.seq), (step.at, fingerprint));
            }
            for (due, timer) in timers::of_alert(record) {
                self.timers.insert(due, timer);
            }
        }
        self.touched = change::Touched::default();
    }

    /// Goes on behind `lost` facts that the log has no more. Each may have opened an incident or owed a notification, so as
    /// many numbers of both are left out: a number that a receiver has heard of never means something else. The one change
    /// without a fact, because facts are what is missing.
    pub fn skip_facts(&mut self, lost: u64) {
        self.meta.seq += lost;
        self.meta.last_incident += lost;
        self.meta.last_notification += lost;
    }

    /// The alerts that fire in no active incident, in order. Behind lost facts these are to be taken as expired: an incident
    /// of theirs may be among what is lost, and as alerts that are known already they would never open one again. Beats fire
    /// without an incident, and one that is taken as expired would be missed.
    #[must_use]
    pub fn adrift(&self) -> Vec<Fingerprint> {
        let is_active = |id: &IncidentId| self.incidents.get(id).is_some_and(|incident| incident.status.is_active());
        let adrift =
            |record: &&Arc<AlertRecord>| record.is_firing() && record.beat.is_none() && !record.incidents.iter().any(is_active);
        let alerts = self.alerts.values().filter(adrift);
        let mut adrift: Vec<_> = alerts.map(|record| record.alert.fingerprint).collect();
        adrift.sort_unstable();
        adrift
    }

    /// Every part, in a fixed order: a checkpoint.
    pub fn entities(&self) -> impl Iterator<Item = Entity> + '_ {
        let mut alerts: Vec<&Arc<AlertRecord>> = self.alerts.values().collect();
        alerts.sort_unstable_by_key(|record| (record.fired_seq, record.alert.fingerprint));
        std::iter::once(Entity::Meta(self.meta.clone()))
            .chain(self.incidents().cloned().map(Entity::Incident))
            .chain(alerts.into_iter().cloned().map(Entity::Alert))
            .chain(self.notifications.values().cloned().map(Entity::Notification))
            .chain(self.silences.values().cloned().map(Entity::Silence))
            .chain(self.reported.all().cloned().map(Entity::Change))
            .chain(self.usual.values().cloned().map(Entity::Usual))
            .chain(self.messages.all().cloned().map(Entity::Message))
            .chain(self.heartbeats.all().cloned().map(Entity::Heartbeat))
    }

    /// Counters and names of the whole.
    #[must_use]
    pub fn meta(&self) -> Meta {
        self.meta.clone()
    }

    /// The digest of the rules that were in force last, if any were.
    #[must_use]
    pub fn rules_digest(&self) -> Option<u64> {
        self.meta.rules_digest
    }

    /// The position of the last applied fact.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.meta.seq
    }

    /// The time of the last applied fact.
    #[must_use]
    pub fn time(&self) -> Time {
        self.meta.time
    }

    /// The name of the data directory; empty before [`super::Fact::Created`].
    #[must_use]
    pub fn directory(&self) -> &Arc<str> {
        &self.meta.directory
    }

    /// One alert.
    #[must_use]
    pub fn alert(&self, fingerprint: Fingerprint) -> Option<&Arc<AlertRecord>> {
        self.alerts.get(&fingerprint)
    }

    /// All alerts in memory, in no order that means anything.
    pub fn alerts(&self) -> impl Iterator<Item = &Arc<AlertRecord>> {
        self.alerts.values()
    }

    /// How many alerts fire.
    #[must_use]
    pub fn firing(&self) -> usize {
        self.firing
    }

    /// One incident that has not closed.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<&Arc<Incident>> {
        self.incidents.get(&id)
    }

    /// All incidents that have not closed, in order of opening.
    pub fn incidents(&self) -> impl Iterator<Item = &Arc<Incident>> {
        in_order(&self.incidents).into_iter()
    }

    /// All notifications in memory.
    pub fn notifications(&self) -> impl Iterator<Item = &Arc<Notification>> {
        self.notifications.values()
    }

    /// The notifications that are still owed.
    pub fn owed_notifications(&self) -> impl Iterator<Item = &Arc<Notification>> {
        self.notifications.values().filter(|notification| notification.state.is_owed())
    }

    /// All silences in memory.
    pub fn silences(&self) -> impl Iterator<Item = &Arc<Silence>> {
        self.silences.values()
    }

    /// All changes in memory, in order of their ids.
    pub fn reported(&self) -> impl Iterator<Item = &Arc<Change>> {
        self.reported.all()
    }

    /// All heartbeats that were heard of, in order of their names.
    pub fn heartbeats(&self) -> impl Iterator<Item = &Arc<Heartbeat>> {
        self.heartbeats.all()
    }

    /// The number that the next incident gets.
    #[must_use]
    pub fn next_incident(&self) -> IncidentId {
        IncidentId(self.meta.last_incident + 1)
    }

    /// The number that the next notification gets.
    #[must_use]
    pub fn next_notification(&self) -> NotificationId {
        NotificationId(self.meta.last_notification + 1)
    }

    pub(super) fn next_timer(&self) -> Option<Time> {
        [self.timers.next(), self.heartbeats.next_due()].into_iter().flatten().min()
    }

    #[cfg(test)]
    pub(super) fn timers_after(&self, now: Time) -> Vec<(Time, Timer)> {
        self.timers.after(now)
    }

    /// Takes out all timers that are due, soonest first.
    pub(super) fn pop_timers(&mut self, now: Time) -> Vec<Timer> {
        std::iter::from_fn(|| self.timers.pop(now)).map(|(_, timer)| timer).collect()
    }
}

/// Incidents in order of opening.
fn in_order(incidents: &FxHashMap<IncidentId, Arc<Incident>>) -> Vec<&Arc<Incident>> {
    let mut all: Vec<&Arc<Incident>> = incidents.values().collect();
    all.sort_unstable_by_key(|incident| incident.id);
    all
}

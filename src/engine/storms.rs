//! Storms: while far more alerts come in one place than is usual there, one incident takes them.
//!
//! What counts is an alert that was let through and began within the rule's time, once, at its last beginning. That is a
//! function of its record, so that nothing is written down for it and a start counts the same. What is usual is measured
//! each ten minutes, over hours, and written down where there was anything; a storm does not become usual.
//!
//! A storm begins with so many alerts and ends with less than half as many. The first alert of each kind (`alertname` and
//! `service`) goes on to the later rules as well, for the first so many kinds: those page as they always do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::engine::conditions::holds_for;
use crate::engine::correlate::Joined;
use crate::engine::matched::Matched;
use crate::engine::state::GroupKey;
use crate::engine::{Engine, Fact};
use crate::model::storm::KINDS_MAX;
use crate::model::{AlertKind, AlertRecord, Fingerprint, IncidentId, KeyedMap, Labels, Millis, Storm, Time};
use crate::ruleset::{CorrelateRule, Listed, Ruleset, StormRule};

/// A storm that goes on is looked at this often, at fixed moments, so that its end is told though nothing comes any more.
const LOOK_EVERY: Millis = Millis::seconds(10);
/// What is usual is measured over stretches of this length.
const STRETCH: Millis = Millis::minutes(10);
/// The newest stretch counts for one part in so many: what is usual follows within some hours.
const MEMORY: u64 = 32;
/// Places whose usual number is known; in others `least` alone decides.
const PLACES_MAX: usize = 10_000;
/// Less than this is nothing: one alert in four days.
const USUAL_LEAST_MILLI: u32 = 10;
/// One part in so many of what makes a storm is the sign of one.
const SIGN: u32 = 5;
/// How long an alert waits for the storm that there is a sign of, where a rule does not say.
const HOLD: Millis = Millis::seconds(10);
/// Incidents that a storm makes parts of its own when it begins.
const CHILDREN_MAX: usize = 100;

/// The alerts that count at present, by place. Empty where no rule looks for storms.
#[derive(Debug, Default)]
pub(super) struct Storms {
    on: bool,
    /// In each place the alerts in order of their beginning.
    places: BTreeMap<GroupKey, VecDeque<(Time, Fingerprint)>>,
    /// Where each of them is.
    counted: KeyedMap<Fingerprint, (GroupKey, Time)>,
    /// For how long an alert is remembered.
    kept: Millis,
}

impl Storms {
    /// Counts all alerts anew, as they stand.
    pub(super) fn of(alerts: &KeyedMap<Fingerprint, Arc<AlertRecord>>, rules: &Ruleset, now: Time) -> Storms {
        let longest = rules.correlate.iter().filter_map(|rule| rule.storm).map(|storm| storm.within).max();
        let Some(longest) = longest else { return Storms::default() };
        let mut storms = Storms { on: true, kept: Millis(longest.0 + 2 * STRETCH.0), ..Storms::default() };
        let mut matched = Matched::default();
        #[expect(clippy::iter_over_hash_type, reason = "each goes to its place in order of its beginning")]
        for record in alerts.values() {
            storms.count(record, rules, now, &mut matched);
        }
        storms
    }

    /// Counts an alert, if its record says so. What people report is no sign of a storm, however many call.
    fn count(&mut self, record: &AlertRecord, rules: &Ruleset, now: Time, matched: &mut Matched) {
        let was_let_through = if record.is_firing() { !record.is_suppressed() } else { !record.incidents.is_empty() };
        if !was_let_through || record.alert.is_report() || now.since(record.fired_at) >= self.kept {
            return;
        }
        let takes = |rule: &&CorrelateRule| rule.storm.is_some() && holds_for(rule.when.as_ref(), record, record.labels());
        let found = matched.by(rules, record, Listed::Correlate);
        let rule = found.map(|position| &rules.correlate[position as usize]).find(takes);
        if let Some(rule) = rule {
            let place = (rule.rule.name.clone(), record.labels().only(&rule.by));
            self.enter(place, record.fired_at, record.alert.fingerprint);
        }
    }

    fn enter(&mut self, place: GroupKey, at: Time, fingerprint: Fingerprint) {
        if self.counted.get(&fingerprint).is_some_and(|known| *known == (place.clone(), at)) {
            return;
        }
        self.leave(fingerprint);
        let alerts = self.places.entry(place.clone()).or_default();
        // Nearly always at the end.
        let position = alerts.partition_point(|entry| *entry < (at, fingerprint));
        alerts.insert(position, (at, fingerprint));
        self.counted.insert(fingerprint, (place, at));
    }

    fn leave(&mut self, fingerprint: Fingerprint) {
        let Some((place, at)) = self.counted.remove(&fingerprint) else { return };
        if let Some(alerts) = self.places.get_mut(&place) {
            if let Ok(position) = alerts.binary_search(&(at, fingerprint)) {
                alerts.remove(position);
            }
            if alerts.is_empty() {
                self.places.remove(&place);
            }
        }
    }

    /// How many alerts began in a place from one moment on and before another.
    fn between(&self, place: &GroupKey, from: Time, to: Time) -> u32 {
        let Some(alerts) = self.places.get(place) else { return 0 };
        let number = alerts.partition_point(|(at, _)| *at < to) - alerts.partition_point(|(at, _)| *at < from);
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// How many alerts began in a place within a time up to now.
    fn within(&self, place: &GroupKey, within: Millis, now: Time) -> u32 {
        self.between(place, Time(now.0 - within.0 + 1), Time(now.0 + 1))
    }

    /// Forgets what began before.
    fn forget_before(&mut self, before: Time) {
        let counted = &mut self.counted;
        self.places.retain(|_, alerts| {
            for (_, fingerprint) in alerts.drain(..alerts.partition_point(|(at, _)| *at < before)) {
                counted.remove(&fingerprint);
            }
            !alerts.is_empty()
        });
    }
}

impl Engine {
    /// An alert has been let through: it counts from now on.
    pub(super) fn count_for_storms(&mut self, fingerprint: Fingerprint) {
        if !self.storms.on {
            return;
        }
        if let Some(record) = self.state.alerts.get(&fingerprint) {
            self.storms.count(record, &self.rules, self.now, &mut self.matched);
        }
    }

    /// A fact that may take an alert out of the count, or bring one in that resolved before it was let through again.
    pub(super) fn follow_fact_for_storms(&mut self, fact: &Fact) {
        if !self.storms.on {
            return;
        }
        match fact {
            Fact::AlertFired { alert } => self.storms.leave(alert.fingerprint),
            Fact::AlertSuppressed { fingerprint, .. } | Fact::AlertForgotten { fingerprint } => self.storms.leave(*fingerprint),
            Fact::AlertResolved { fingerprint, .. } => {
                self.storms.leave(*fingerprint);
                self.count_for_storms(*fingerprint);
            }
            _ => {}
        }
    }

    /// Takes an alert into its place's storm, if there is one or this alert makes it one. Whether it ends there: the first
    /// of its kind goes on, and so does everything without a storm, at once or after a while.
    pub(super) fn follow_storm(
        &mut self,
        rule: &CorrelateRule,
        storm: StormRule,
        place: GroupKey,
        fingerprint: Fingerprint,
    ) -> bool {
        let alerts = self.storms.within(&place, storm.within, self.now);
        let present = self.group_incident(&place).filter(|id| self.takes(*id, fingerprint));
        let raging = present.and_then(|id| Some((id, self.raging(id)?.level)));
        if let Some((id, level)) = raging {
            if alerts >= level.div_ceil(2) {
                return self.join_storm(rule, storm, id, place, fingerprint);
            }
            self.record(Fact::StormEnded { incident: id, alerts });
        }
        let usual = self.usual(&place, storm.within);
        let level = storm.least.max(storm.above.saturating_mul(usual));
        if alerts >= level {
            return self.begin_storm(rule, storm, place, fingerprint, (alerts, usual, level));
        }
        let waits = self.state.alert(fingerprint).is_none_or(|record| record.waiting.is_some());
        // What comes in quiet times is kept from nobody, and one alert is no sign of anything; the beginning of a storm would open incidents by the dozen.
        let usual_hold = if alerts >= level.div_ceil(SIGN).max(2) { HOLD } else { Millis::ZERO };
        let hold = storm.hold.unwrap_or(usual_hold);
        if hold == Millis::ZERO || waits || self.has_waited(fingerprint, hold) {
            return false;
        }
        let until = self.now + hold;
        self.record(Fact::AlertWaiting { fingerprint, rule: rule.rule.clone(), key: place.1, until });
        true
    }

    /// An alert that began longer ago has been held, or was let go by what suppressed it: it is late enough.
    fn has_waited(&self, fingerprint: Fingerprint, hold: Millis) -> bool {
        self.state.alert(fingerprint).is_some_and(|record| self.now.since(record.fired_at) >= hold)
    }

    fn begin_storm(
        &mut self,
        rule: &CorrelateRule,
        storm: StormRule,
        place: GroupKey,
        fingerprint: Fingerprint,
        (alerts, usual, level): (u32, u32, u32),
    ) -> bool {
        let held = self.held(&place);
        let kinds = self.kinds_before(&place, storm.within, &held, fingerprint);
        let since = self.now - storm.within;
        let children = self.incidents_in(&place.1, since);
        let (name, key) = place.clone();
        self.join_or_open(rule, place, fingerprint);
        let Some(id) = self.group_incident(&(name, key)) else { return true };
        let began = Fact::StormBegan { incident: id, rule: rule.rule.clone(), alerts, usual, level, within: storm.within, kinds };
        self.record(began);
        for child in children.into_iter().filter(|child| *child != id) {
            self.attach(child, id, fingerprint, &rule.rule);
        }
        let own = self.pass_first_of_kind(storm, id, fingerprint);
        for member in held.into_iter().filter(|member| *member != fingerprint) {
            // First to the later rules: what a storm has is not theirs any more.
            if self.pass_first_of_kind(storm, id, member) {
                let next = self.positions.correlate.get(&rule.rule.name).map_or(0, |position| position + 1);
                self.correlate(member, u32::try_from(next).unwrap_or(u32::MAX));
            }
            self.join(id, member, &rule.rule);
            self.follow_join(id, member, Joined::More);
        }
        self.next_storm_look = self.next_storm_look.or(Some(next_after(self.now, LOOK_EVERY)));
        !own
    }

    fn join_storm(
        &mut self,
        rule: &CorrelateRule,
        storm: StormRule,
        id: IncidentId,
        place: GroupKey,
        fingerprint: Fingerprint,
    ) -> bool {
        self.join_or_open(rule, place, fingerprint);
        !self.pass_first_of_kind(storm, id, fingerprint)
    }

    /// Whether an alert is the first of its kind in a storm and goes on to the later rules.
    fn pass_first_of_kind(&mut self, storm: StormRule, id: IncidentId, fingerprint: Fingerprint) -> bool {
        let Some(record) = self.state.alert(fingerprint) else { return false };
        let Some(raging) = self.raging(id) else { return false };
        let known = raging.kinds.iter().any(|kind| kind.is_of(record.labels()));
        if known || raging.kinds.len() >= KINDS_MAX {
            return false;
        }
        let (kind, passed) = (AlertKind::of(record.labels()), raging.passed < storm.pass);
        self.record(Fact::StormKindSeen { incident: id, kind, passed });
        passed
    }

    /// The storm that an incident is about and that is not over.
    fn raging(&self, id: IncidentId) -> Option<&Arc<Storm>> {
        self.state.incident(id)?.storm.as_ref().filter(|storm| storm.ended_at.is_none())
    }

    /// The kinds that came up before the storm, and went on to the later rules.
    fn kinds_before(&self, place: &GroupKey, within: Millis, held: &[Fingerprint], last: Fingerprint) -> Vec<AlertKind> {
        let since = self.now - within;
        let held: BTreeSet<Fingerprint> = held.iter().copied().chain([last]).collect();
        let mut kinds: Vec<AlertKind> = Vec::new();
        for (at, fingerprint) in self.storms.places.get(place).into_iter().flatten() {
            let Some(record) = self.state.alert(*fingerprint).filter(|_| *at > since && !held.contains(fingerprint)) else {
                continue;
            };
            if kinds.len() < KINDS_MAX && !kinds.iter().any(|kind| kind.is_of(record.labels())) {
                kinds.push(AlertKind::of(record.labels()));
            }
        }
        kinds
    }

    /// The open incidents in a place that have opened since: they are the beginning of the storm.
    pub(super) fn incidents_in(&self, key: &Labels, since: Time) -> Vec<IncidentId> {
        let here = |id: &&IncidentId| {
            let incident = self.state.incident(**id).filter(|incident| incident.opened_at > since && incident.status.is_active());
            incident.is_some_and(|incident| incident.labels.contains(key))
        };
        let mut found: Vec<IncidentId> = self.state.incidents.keys().filter(here).copied().collect();
        found.sort_unstable();
        found.truncate(CHILDREN_MAX);
        found
    }

    /// How many alerts are usual in a place within a time, rounded up.
    fn usual(&self, place: &GroupKey, within: Millis) -> u32 {
        let milli = self.state.usual.get(place).map_or(0, |usual| faded(usual.milli_per_hour, usual.at, self.now));
        let hour = Millis::hours(1).0.unsigned_abs() * 1_000;
        u32::try_from((u64::from(milli) * within.0.unsigned_abs()).div_ceil(hour)).unwrap_or(u32::MAX)
    }

    /// Looks whether storms have ended, though nothing comes.
    pub(super) fn look_at_storms(&mut self) {
        if self.next_storm_look.is_none_or(|due| due > self.now) {
            return;
        }
        // As it stood at the last of those moments: a start looks at the same ones.
        let at = Time(self.now.0 - self.now.0.rem_euclid(LOOK_EVERY.0));
        let rules = self.rules.clone();
        for id in self.raging_storms() {
            let Some(incident) = self.state.incident(id) else { continue };
            let place = (incident.rule.name.clone(), Labels::clone(&incident.key));
            let level = incident.storm.as_ref().map_or(0, |storm| storm.level);
            let position = self.positions.correlate.get(&place.0);
            // A rule that is gone looks for no storm any more.
            let storm = position.and_then(|position| rules.correlate[*position].storm);
            let alerts = storm.map_or(0, |storm| self.storms.within(&place, storm.within, at));
            if alerts < level.div_ceil(2) {
                self.record(Fact::StormEnded { incident: id, alerts });
            }
        }
        self.plan_storm_look();
    }

    /// When storms are looked at next; never while there are none.
    pub(super) fn plan_storm_look(&mut self) {
        let any = self.raging_storms().next().is_some();
        self.next_storm_look = any.then(|| next_after(self.now, LOOK_EVERY));
    }

    fn raging_storms(&self) -> impl Iterator<Item = IncidentId> + use<> {
        let raging = self.state.incidents.keys().filter(|id| self.raging(**id).is_some());
        let raging: BTreeSet<IncidentId> = raging.copied().collect();
        raging.into_iter()
    }

    /// Measures what was usual in the stretch of time that has ended. A storm is left out.
    pub(super) fn measure_usual(&mut self, ended: Time) {
        if self.storms.on {
            let places: BTreeSet<GroupKey> = self.storms.places.keys().chain(self.state.usual.keys()).cloned().collect();
            for place in places {
                self.measure_place(place, ended);
            }
            self.storms.forget_before(ended - self.storms.kept);
        }
    }

    fn measure_place(&mut self, place: GroupKey, ended: Time) {
        let known = self.state.usual.get(&place).map(|usual| (usual.milli_per_hour, usual.at));
        let stormy = self.group_incident(&place).is_some_and(|id| self.raging(id).is_some());
        if stormy || (known.is_none() && self.state.usual.len() >= PLACES_MAX) {
            return;
        }
        let before = known.map_or(0, |(milli, at)| faded(milli, at, ended));
        let began = self.storms.between(&place, ended - STRETCH, ended);
        let hourly = u64::from(began) * 1_000 * Millis::hours(1).0.unsigned_abs() / STRETCH.0.unsigned_abs();
        let milli = u32::try_from((u64::from(before) + hourly / MEMORY).min(u64::from(u32::MAX))).unwrap_or(u32::MAX);
        let milli = if milli < USUAL_LEAST_MILLI { 0 } else { milli };
        // That nothing came is known without being written down, until nothing is left.
        if began > 0 && milli > 0 || known.is_some() && milli == 0 {
            let (rule, key) = place;
            self.record(Fact::UsualMeasured { rule, key, milli_per_hour: milli, at: ended });
        }
    }
}

/// What is left of a usual number after a time in which nothing came.
fn faded(milli: u32, at: Time, now: Time) -> u32 {
    let stretches = now.since(at).0.max(0) / STRETCH.0;
    let mut milli = u64::from(milli);
    for _ in 0..stretches {
        if milli == 0 {
            break;
        }
        milli = milli * (MEMORY - 1) / MEMORY;
    }
    u32::try_from(milli).unwrap_or(u32::MAX)
}

/// The next of the moments that lie so far apart, whenever the daemon started.
fn next_after(now: Time, every: Millis) -> Time {
    Time(now.0 - now.0.rem_euclid(every.0)) + every
}

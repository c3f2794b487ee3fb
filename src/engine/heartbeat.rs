//! Beats: alerts whose absence is the trouble. The alerts that an `absent` rule matches make no incident; when none of a
//! group has been heard of for as long as the rule says, one opens, and the next beat resolves it.
//!
//! Repeats end before the engine, so that a beat has stopped is the shell's word: it lets a beat expire after its rule's time
//! instead of the source's. A beat whose sender says that it is over has had its last word then. One that has never been
//! heard of is not missed: its group is not known, and a rule is often there before what it waits for.

use crate::engine::conditions::holds_for;
use crate::engine::state::GroupKey;
use crate::engine::{Engine, Fact};
use crate::model::alert::Beat;
use crate::model::{AlertRecord, Fingerprint, IncidentId, Reason, Time};
use crate::ruleset::Listed;

impl Engine {
    /// An alert has begun to fire, or fires on under other labels: it may be a beat, and end an absence.
    pub(super) fn hear_beat(&mut self, fingerprint: Fingerprint) {
        if self.awaits_beats || self.state.alert(fingerprint).is_some_and(|record| record.beat.is_some()) {
            self.mark_beat(fingerprint);
            let group = self.state.alert(fingerprint).and_then(|record| group_of(record));
            if let Some(group) = group {
                self.end_absence(&group, fingerprint);
            }
        }
    }

    /// Records whose beat an alert is by the rules in force, if that is news.
    fn mark_beat(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let wanted = self.beat_of(&record);
        let same = |present: &Beat, wanted: &Beat| {
            (&present.rule, &present.key, present.within) == (&wanted.rule, &wanted.key, wanted.within)
        };
        let changed = match (&record.beat, &wanted) {
            (Some(present), Some(wanted)) => !same(present, wanted),
            (present, wanted) => present.is_some() != wanted.is_some(),
        };
        if changed {
            self.record(Fact::AlertBeats { fingerprint, beat: wanted });
        }
    }

    /// The rule that takes an alert as its beat: the first `absent` one that no rule without `continue` stands before.
    fn beat_of(&mut self, record: &AlertRecord) -> Option<Box<Beat>> {
        // Nobody will report it again.
        if record.alert.is_report() {
            return None;
        }
        let labels = record.labels();
        let found = self.matched.by(&self.rules, record, Listed::Correlate);
        let rules = found.map(|position| &self.rules.correlate[position as usize]);
        let mut rules = rules.filter(|rule| holds_for(rule.when.as_ref(), record, labels));
        let taker = rules.find(|rule| rule.absent.is_some() || !rule.go_on);
        taker.and_then(|rule| {
            let within = rule.absent?;
            Some(Box::new(Beat { rule: rule.rule.clone(), key: labels.only(&rule.by), within, due: None }))
        })
    }

    fn end_absence(&mut self, group: &GroupKey, fingerprint: Fingerprint) {
        let Some(id) = self.group_incident(group) else { return };
        let Some(incident) = self.state.incident(id).filter(|incident| incident.status.is_active()) else { return };
        let reason = Reason::Alert(fingerprint, incident.rule.clone());
        self.resolve_incident(id, reason);
    }

    /// A beat has resolved. Where it `expired`, its time is over; its sender's own word is its last, and the time begins.
    pub(super) fn stop_beat(&mut self, fingerprint: Fingerprint, expired: bool) {
        let Some(beat) = self.state.alert(fingerprint).and_then(|record| record.beat.clone()) else { return };
        if expired {
            self.miss_now(fingerprint, &beat);
        } else if !self.state.beats.contains_key(&(beat.rule.name.clone(), beat.key.clone())) {
            self.await_beat(fingerprint, *beat.clone(), self.now + beat.within);
        }
    }

    fn await_beat(&mut self, fingerprint: Fingerprint, beat: Beat, due: Time) {
        self.record(Fact::AlertBeats { fingerprint, beat: Some(Box::new(Beat { due: Some(due), ..beat })) });
    }

    /// The time of a beat that has stopped is over.
    pub(super) fn miss_beat(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint) else { return };
        let due = |beat: &&Beat| beat.due.is_some_and(|due| due <= self.now);
        let beat = record.beat.as_deref().filter(due).filter(|_| !record.is_firing()).cloned();
        if let Some(beat) = beat {
            // Written down whatever comes of it: a start would else wait for this moment anew, and miss the beat twice.
            let over = Beat { due: None, ..beat };
            self.record(Fact::AlertBeats { fingerprint, beat: Some(Box::new(over.clone())) });
            self.miss_now(fingerprint, &over);
        }
    }

    /// Nothing has been heard of this beat for too long. Where another of its group is there, or it was missed before, nothing
    /// is wrong with that, or nothing new; where it is silenced or in a window, that is waited for.
    fn miss_now(&mut self, fingerprint: Fingerprint, beat: &Beat) {
        let group = (beat.rule.name.clone(), beat.key.clone());
        let present = self.group_incident(&group);
        let active = present.and_then(|id| self.state.incident(id)).is_some_and(|incident| incident.status.is_active());
        if self.state.beats.contains_key(&group) || active {
            return;
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        if let Some(until) = self.suppressions(&record).iter().filter_map(|by| by.until).max() {
            return self.await_beat(fingerprint, beat.clone(), until);
        }
        // A rule that is gone by now waits for nothing.
        let Some(position) = self.positions.correlate.get(&beat.rule.name).copied() else { return };
        let rules = self.rules.clone();
        let rule = &rules.correlate[position];
        if rule.absent.is_none() {
            return;
        }
        let again = present.filter(|id| self.state.incident(*id).is_some_and(|incident| self.may_reopen(incident)));
        let id = match again {
            Some(id) => {
                self.reopen_for_alert(id, fingerprint);
                id
            }
            None => self.open(rule, beat.key.clone(), fingerprint, present),
        };
        if !record.incidents.contains(&id) {
            self.join(id, fingerprint, &rule.rule);
        }
        self.record(Fact::BeatMissed { incident: id, fingerprint, rule: rule.rule.clone(), within: beat.within });
        self.follow_miss(id, fingerprint, again.is_none());
    }

    /// What an incident about a missed beat is, how urgent, and who is told, goes by the beat's own labels.
    fn follow_miss(&mut self, id: IncidentId, fingerprint: Fingerprint, opened: bool) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        self.classify(id, &record);
        self.prioritize(id, &record, opened);
        self.start_policies(id, &record, true);
        self.review_incident_pauses(id);
    }

    /// After a change of rules: what fires already may be a beat now, and what was one may be none any more.
    pub(super) fn review_beats(&mut self) {
        let mut all: Vec<(u64, Fingerprint)> = self
            .state
            .alerts()
            .filter(|record| record.beat.is_some() || (self.awaits_beats && record.is_firing()))
            .map(|record| (record.fired_seq, record.alert.fingerprint))
            .collect();
        all.sort_unstable();
        for (_, fingerprint) in all {
            let group = self.state.alert(fingerprint).and_then(|record| group_of(record));
            self.mark_beat(fingerprint);
            let none_any_more = self.state.alert(fingerprint).is_some_and(|record| record.beat.is_none());
            if let Some(group) = group.filter(|_| none_any_more) {
                self.end_absence(&group, fingerprint);
            }
        }
    }
}

fn group_of(record: &AlertRecord) -> Option<GroupKey> {
    record.beat.as_ref().map(|beat| (beat.rule.name.clone(), beat.key.clone()))
}

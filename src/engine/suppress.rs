//! Whether anybody may hear of an alert now: silences, maintenance windows, holds. Inhibition and flapping have files of
//! their own.
//!
//! Every reason is kept. A suppressed alert opens and joins nothing; when the last of its suppressions ends while it
//! still fires, it goes on as news.

use std::collections::BTreeMap;

use crate::engine::conditions::holds_for;
use crate::engine::flapping::flaps_until;
use crate::engine::inhibit::Parts;
use crate::engine::{Engine, Fact, State};
use crate::model::{AlertRecord, Fingerprint, Labels, Reason, Silence, SilenceId, Suppression, SuppressionKind, Time};
use crate::ruleset::{Listed, MatcherIndex, SuppressHow};

/// The silences in force, found by an alert's labels.
#[derive(Debug, Default)]
pub(super) struct ActiveSilences {
    index: MatcherIndex,
    by_number: BTreeMap<u32, SilenceId>,
    numbers: BTreeMap<SilenceId, u32>,
    next: u32,
}

impl ActiveSilences {
    pub(super) fn of(state: &State, now: Time) -> ActiveSilences {
        let mut active = ActiveSilences::default();
        for silence in state.silences().filter(|silence| silence.is_active(now)) {
            active.insert(silence);
        }
        active
    }

    fn insert(&mut self, silence: &Silence) {
        self.remove(silence.id);
        self.next += 1;
        self.index.insert(self.next, &silence.matchers);
        self.by_number.insert(self.next, silence.id);
        self.numbers.insert(silence.id, self.next);
    }

    fn remove(&mut self, id: SilenceId) {
        if let Some(number) = self.numbers.remove(&id) {
            self.by_number.remove(&number);
            self.index.remove(number);
        }
    }

    fn any(&self) -> bool {
        !self.numbers.is_empty()
    }

    fn matching(&self, labels: &Labels, found: &mut Vec<u32>) -> Vec<SilenceId> {
        if !self.any() {
            return Vec::new();
        }
        self.index.matching(labels, found);
        found.iter().filter_map(|number| self.by_number.get(number).copied()).collect()
    }
}

impl Engine {
    /// Records everything that suppresses an alert which has just begun to fire. Gives what it may suppress itself.
    pub(super) fn suppress_news(&mut self, fingerprint: Fingerprint) -> Parts {
        if self.silences.any() || !self.rules.suppress.is_empty() {
            let Some(record) = self.state.alert(fingerprint).cloned() else { return Parts::default() };
            for by in self.suppressions(&record) {
                self.record(Fact::AlertSuppressed { fingerprint, by });
            }
        }
        self.enter_inhibitions(fingerprint)
    }

    /// Silences, windows and holds that cover the alert now.
    pub(super) fn suppressions(&mut self, record: &AlertRecord) -> Vec<Suppression> {
        let mut found = self.buffer();
        let mut all: Vec<Suppression> =
            self.silences.matching(record.labels(), &mut found).into_iter().filter_map(|id| self.by_silence(id)).collect();
        if !self.rules.suppress.is_empty() {
            for position in self.matched.by(&self.rules, record, Listed::Suppress) {
                let rule = &self.rules.suppress[position as usize];
                if !holds_for(rule.when.as_ref(), record, record.labels()) {
                    continue;
                }
                let (kind, until) = match &rule.how {
                    // Not in this index.
                    SuppressHow::Inhibit { .. } => continue,
                    SuppressHow::During(schedule) => (SuppressionKind::Maintenance, schedule.covers_until(self.now)),
                    SuppressHow::Hold(length) => (SuppressionKind::Hold, Some(record.fired_at + *length)),
                    SuppressHow::Flapping(_) => (SuppressionKind::Flapping, flaps_until(record, &rule.rule)),
                };
                // One that ends now has ended: it would come due again and again.
                if until.is_some_and(|until| until > self.now) {
                    all.push(Suppression { kind, reason: Reason::Rule(rule.rule.clone()), until });
                }
            }
        }
        self.give_back(found);
        all
    }

    fn by_silence(&self, id: SilenceId) -> Option<Suppression> {
        let silence = self.state.silences.get(&id).filter(|silence| silence.is_active(self.now))?;
        Some(Suppression { kind: SuppressionKind::Silence, reason: Reason::Silence(id), until: Some(silence.ends_at) })
    }

    /// Ends one suppression; what is free then goes on as news.
    pub(super) fn release(&mut self, fingerprint: Fingerprint, by: Suppression) {
        self.record(Fact::AlertReleased { fingerprint, by });
        if self.state.alert(fingerprint).is_some_and(|record| record.is_firing() && !record.is_suppressed()) {
            self.admit(fingerprint, false);
        }
    }

    /// Records a suppression of an alert that fires already; its incidents may have to fall silent.
    pub(super) fn suppress_firing(&mut self, fingerprint: Fingerprint, by: Suppression) {
        self.record(Fact::AlertSuppressed { fingerprint, by });
        self.review_pauses(fingerprint);
    }

    /// A hold, a window or a silence of this alert has reached its end. A window that another day's follows at once,
    /// or a silence that was prolonged, goes on instead.
    pub(super) fn end_timed_suppressions(&mut self, fingerprint: Fingerprint) {
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let present = self.suppressions(&record);
        let now = self.now;
        for over in record.suppressed_by.iter().filter(|by| by.until.is_some_and(|until| until <= now)) {
            match present.iter().find(|by| by.same_origin(over)) {
                Some(longer) => self.record(Fact::AlertSuppressed { fingerprint, by: longer.clone() }),
                None => self.release(fingerprint, over.clone()),
            }
        }
    }

    /// A silence's beginning. After a restart that of one that is over comes once more, and means nothing.
    pub(super) fn start_silence(&mut self, id: SilenceId) {
        if self.state.silences.get(&id).is_some_and(|silence| silence.is_active(self.now)) {
            self.review_silence(id);
        }
    }

    /// A silence was made or changed, has begun or ended. What it covers now is suppressed, what it covers no longer goes on;
    /// what it covered before and covers still notices nothing but its new end.
    pub(super) fn review_silence(&mut self, id: SilenceId) {
        let Some(silence) = self.state.silences.get(&id).cloned() else { return };
        if silence.is_active(self.now) {
            self.silences.insert(&silence);
        } else {
            self.silences.remove(id);
        }
        let wanted = self.by_silence(id);
        let by_it = |by: &&Suppression| by.reason == Reason::Silence(id);
        let concerned = |record: &AlertRecord| {
            let covered = wanted.is_some() && silence.matches(record.labels());
            record.suppressed_by.iter().find(by_it) != wanted.as_ref().filter(|_| covered)
        };
        for fingerprint in self.firing_where(concerned) {
            let Some(record) = self.state.alert(fingerprint) else { continue };
            let present = record.suppressed_by.iter().find(by_it).cloned();
            match (present, wanted.clone().filter(|_| silence.matches(record.labels()))) {
                (_, Some(by)) => self.suppress_firing(fingerprint, by),
                (Some(by), None) => self.release(fingerprint, by),
                (None, None) => {}
            }
        }
    }

    /// Notes when each `during` rule's window next begins.
    pub(super) fn plan_windows(&mut self) {
        self.window_starts.clear();
        for (position, rule) in self.rules.suppress.iter().enumerate() {
            if let SuppressHow::During(schedule) = &rule.how {
                self.window_starts.extend(schedule.next_start(self.now).map(|due| (due, position)));
            }
        }
    }

    /// Windows that have begun cover what fires already.
    pub(super) fn start_due_windows(&mut self) {
        while let Some((due, position)) = self.window_starts.first().copied().filter(|(due, _)| *due <= self.now) {
            self.window_starts.remove(&(due, position));
            let rules = self.rules.clone();
            let rule = &rules.suppress[position];
            let SuppressHow::During(schedule) = &rule.how else { continue };
            let next = schedule.next_start(self.now).filter(|due| *due > self.now);
            self.window_starts.extend(next.map(|due| (due, position)));
            let Some(until) = schedule.covers_until(self.now) else { continue };
            let reason = Reason::Rule(rule.rule.clone());
            let by = Suppression { kind: SuppressionKind::Maintenance, reason, until: Some(until) };
            let covers = |record: &AlertRecord| {
                let matches = rule.matchers.iter().all(|m| m.matches(record.labels()));
                matches && holds_for(rule.when.as_ref(), record, record.labels()) && !record.suppressed_by.contains(&by)
            };
            for fingerprint in self.firing_where(covers) {
                self.suppress_firing(fingerprint, by.clone());
            }
        }
    }

    /// After a change of rules: what no rule suppresses any more is released, what one suppresses now is suppressed. Holds
    /// are left as they are; they end by themselves.
    pub(super) fn review_suppressions(&mut self) {
        let any_rule = !self.rules.suppress.is_empty();
        for fingerprint in self.firing_where(|record| any_rule || record.is_suppressed()) {
            let Some(record) = self.state.alert(fingerprint).cloned() else { continue };
            let mut wanted = self.suppressions(&record);
            wanted.extend(self.inhibitions_of(&record));
            wanted.retain(|by| by.kind != SuppressionKind::Hold);
            for by in &wanted {
                let present = record.suppressed_by.iter().find(|present| present.same_origin(by));
                if present.is_none_or(|present| present.until != by.until) {
                    self.suppress_firing(fingerprint, by.clone());
                }
            }
            for by in &record.suppressed_by {
                if by.kind != SuppressionKind::Hold && !wanted.iter().any(|present| present.same_origin(by)) {
                    self.release(fingerprint, by.clone());
                }
            }
        }
    }

    /// The firing alerts that `test` accepts, in order of their beginning.
    pub(super) fn firing_where(&self, test: impl Fn(&AlertRecord) -> bool) -> Vec<Fingerprint> {
        let mut found: Vec<(u64, Fingerprint)> = self
            .state
            .alerts()
            .filter(|record| record.is_firing() && test(record))
            .map(|record| (record.fired_seq, record.alert.fingerprint))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, fingerprint)| fingerprint).collect()
    }
}

//! Rules with ties: an alert belongs to the trouble of another one that it is tied to.
//!
//! An alert joins the incident that has an alert to which the first of its rule's ties holds; of several, the one in which such
//! an alert has begun last. One that is tied to nothing waits for a while, or until a threshold's number of alerts that are tied
//! to each other wait, and then opens an incident. Whenever an alert joins an incident, of whatever rule, those that wait and
//! are tied to it join, too, and so on. So the order in which they come decides little.
//!
//! Alerts are found by the values that tie them, however many there are. What is kept for that is derived from the state and
//! the rules, and holds no more than the ties still look at.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::engine::correlate::Joined;
use crate::engine::{Engine, Fact, State};
use crate::model::{AlertRecord, Fingerprint, IncidentId, IncidentStatus, KeyedMap, Labels, Millis, RuleRef, Time};
use crate::ruleset::{Catalogue, CorrelateRule, Ruleset, Threshold, Tie, TieHow};

/// Alerts that are looked at, at most, for whether enough wait that are tied to each other; four times what is asked for
/// where that is more. They may all be of one thing and never be enough.
const GATHERED_MAX: usize = 100;

/// What alerts are found by, for each tie of each rule.
#[derive(Debug, Default)]
pub(super) struct Ties {
    threads: Vec<Thread>,
    /// The number of each rule's first thread.
    first: Vec<usize>,
    /// Members whose ties to waiting alerts are yet to be followed.
    following: VecDeque<(IncidentId, Fingerprint)>,
    is_following: bool,
}

/// One tie: who is at its ends.
#[derive(Debug)]
struct Thread {
    /// The rule's place, and the tie's in it.
    rule: usize,
    tie: usize,
    /// By value: the incidents that have alerts with it.
    members: KeyedMap<Box<str>, BTreeMap<IncidentId, Members>>,
    /// By value: alerts that wait under the rule, in order of their beginning. Some of them may wait no longer.
    waiting: KeyedMap<Box<str>, BTreeSet<(u64, Fingerprint)>>,
}

/// The alerts of one incident with one value, each once, by when it began last.
#[derive(Debug, Default)]
struct Members {
    began: KeyedMap<Fingerprint, Time>,
    in_order: BTreeSet<(Time, Fingerprint)>,
}

impl Members {
    fn insert(&mut self, fingerprint: Fingerprint, began: Time) {
        self.remove(fingerprint);
        self.began.insert(fingerprint, began);
        self.in_order.insert((began, fingerprint));
    }

    fn remove(&mut self, fingerprint: Fingerprint) {
        if let Some(began) = self.began.remove(&fingerprint) {
            self.in_order.remove(&(began, fingerprint));
        }
    }

    fn forget(&mut self, before: Time) {
        while let Some((_, fingerprint)) = self.in_order.first().copied().filter(|(began, _)| *began <= before) {
            self.remove(fingerprint);
        }
    }

    /// How near the nearest one is to an alert that began at a moment, if so many are near enough. More is nearer.
    fn nearest(&self, tie: &Tie, began: Time) -> Option<i64> {
        let wanted = tie.alerts as usize;
        let since = began - tie.within;
        if tie.lag.is_none() {
            // The last one of all: what began after the alert did is there already.
            let enough = self.in_order.iter().rev().nth(wanted.saturating_sub(1)).is_some_and(|(began, _)| *began > since);
            return self.in_order.last().filter(|_| enough).map(|(began, _)| began.0);
        }
        let near =
            || self.in_order.range((since, NO_FINGERPRINT)..(began + tie.within, NO_FINGERPRINT)).filter(|it| it.0 > since);
        near().nth(wanted.saturating_sub(1))?;
        near().map(|(other, _)| -other.since(began).0.abs()).max()
    }
}

/// An alert that has waited for longer than this finds what began before it no more.
const KEPT: Millis = Millis::hours(1);

/// A condition is taken to have lasted for no longer than this when its alert fired.
const LAG_MAX: Millis = Millis::hours(1);

/// Before all others that began at the same moment.
const NO_FINGERPRINT: Fingerprint = Fingerprint(0);

impl Ties {
    pub(super) fn of(state: &State, rules: &Ruleset) -> Ties {
        let mut ties = Ties::default();
        for (place, rule) in rules.correlate.iter().enumerate() {
            ties.first.push(ties.threads.len());
            ties.threads.extend((0..rule.ties.len()).map(|tie| Thread::new(place, tie)));
        }
        if ties.threads.is_empty() {
            return ties;
        }
        let mut records: Vec<&Arc<AlertRecord>> = state.alerts().collect();
        records.sort_unstable_by_key(|record| record.fired_seq);
        for record in records {
            for id in &record.incidents {
                ties.enter(rules, record, *id, state.time());
            }
            let places = rules.correlate.iter().enumerate().filter(|(_, rule)| !rule.ties.is_empty());
            for (place, _) in places.filter(|(_, rule)| record.waits_under(&rule.rule.name).is_some()) {
                ties.wait(rules, place, record);
            }
        }
        ties
    }

    /// Whether no rule has ties.
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// An alert is in an incident.
    pub(super) fn enter(&mut self, rules: &Ruleset, record: &AlertRecord, id: IncidentId, now: Time) {
        let labels = record.labels();
        for thread in &mut self.threads {
            let tie = thread.tie(rules);
            let Some(value) = value(tie, labels).filter(|_| tie.holds_to(labels)) else { continue };
            let members = entry(&mut thread.members, &value).entry(id).or_default();
            members.insert(record.alert.fingerprint, tie.began(record));
            members.forget(now - tie.within - KEPT);
        }
    }

    /// An alert is about to be another one: to fire again, or under other labels.
    pub(super) fn leave(&mut self, rules: &Ruleset, record: &AlertRecord) {
        for thread in &mut self.threads {
            let tie = thread.tie(rules);
            let Some(incidents) = value(tie, record.labels()).and_then(|value| thread.members.get_mut(&*value)) else { continue };
            for id in &record.incidents {
                if let Some(members) = incidents.get_mut(id) {
                    members.remove(record.alert.fingerprint);
                }
            }
        }
    }

    /// An alert waits under the rule at a place.
    fn wait(&mut self, rules: &Ruleset, place: usize, record: &AlertRecord) {
        let first = self.first[place];
        for (thread, tie) in self.threads[first..].iter_mut().zip(&rules.correlate[place].ties) {
            if let Some(value) = value(tie, record.labels()) {
                entry(&mut thread.waiting, &value).insert((record.fired_seq, record.alert.fingerprint));
            }
        }
    }

    /// Drops what no tie looks at any more.
    pub(super) fn sweep(&mut self, state: &State, rules: &Ruleset, now: Time) {
        for thread in &mut self.threads {
            let (tie, rule) = (thread.tie(rules), &rules.correlate[thread.rule].rule);
            thread.members.retain(|_, incidents| {
                for members in incidents.values_mut() {
                    members.forget(now - tie.within - KEPT);
                }
                incidents.retain(|_, members| !members.in_order.is_empty());
                !incidents.is_empty()
            });
            thread.waiting.retain(|_, waiting| {
                let still = |key: &Fingerprint| state.alert(*key).is_some_and(|it| it.waits_under(&rule.name).is_some());
                waiting.retain(|(_, key)| still(key));
                !waiting.is_empty()
            });
        }
    }
}

impl Thread {
    fn new(rule: usize, tie: usize) -> Thread {
        Thread { rule, tie, members: KeyedMap::default(), waiting: KeyedMap::default() }
    }

    fn tie<'r>(&self, rules: &'r Ruleset) -> &'r Tie {
        &rules.correlate[self.rule].ties[self.tie]
    }

    /// The incidents to which an alert that began at a moment is tied, each with how near it is.
    fn tied<'t>(
        &'t self,
        tie: &'t Tie,
        catalogue: &'t Catalogue,
        value: &'t str,
        began: Time,
    ) -> impl Iterator<Item = (i64, IncidentId)> + 't {
        let incidents = around(tie, catalogue, value).filter_map(|value| self.members.get(value)).flatten();
        incidents.filter_map(move |(id, members)| Some((members.nearest(tie, began)?, *id)))
    }
}

impl Tie {
    fn holds_to(&self, labels: &Labels) -> bool {
        self.to.iter().all(|matcher| matcher.matches(labels))
    }

    /// When an alert began, as far as this tie is concerned: with a lag when its condition did, by its sender's clock, which
    /// what is late on its way does not change; else when it was first heard of.
    pub(crate) fn began(&self, record: &AlertRecord) -> Time {
        let Some(label) = &self.lag else { return record.fired_at };
        let lag = Millis::parse(record.labels().get(label)).unwrap_or(Millis::ZERO).min(LAG_MAX);
        record.alert.starts_at.min(record.fired_at) - lag
    }
}

/// What an alert has for a tie to hold by; a missing label ties nothing.
fn value<'l>(tie: &Tie, labels: &'l Labels) -> Option<Cow<'l, str>> {
    let value = match &tie.how {
        TieHow::Near { label, .. } => Cow::Borrowed(labels.get(label)),
        TieHow::Same(names) => match &names[..] {
            [name] => Cow::Borrowed(labels.get(name)),
            names if names.iter().any(|name| labels.get(name).is_empty()) => return None,
            // With their lengths, because any character may be part of a value.
            names => names.iter().map(|name| labels.get(name)).map(|value| format!("{}:{value}", value.len())).collect(),
        },
    };
    Some(value).filter(|value| !value.is_empty())
}

/// The values that a tie ties to this one.
fn around<'t>(tie: &Tie, catalogue: &'t Catalogue, value: &'t str) -> impl Iterator<Item = &'t str> + 't {
    let hops = match tie.how {
        TieHow::Near { hops, .. } => hops,
        TieHow::Same(_) => 0,
    };
    std::iter::once(value).chain(catalogue.near(value, hops).map(|name| &**name))
}

fn entry<'m, T: Default>(map: &'m mut KeyedMap<Box<str>, T>, value: &str) -> &'m mut T {
    if !map.contains_key(value) {
        map.insert(value.into(), T::default());
    }
    map.entry(value.into()).or_default()
}

fn waits(record: &AlertRecord, rule: &RuleRef) -> bool {
    record.is_firing() && !record.is_suppressed() && record.waits_under(&rule.name).is_some()
}

impl Engine {
    /// Puts an alert into the incident that it is tied to, or lets it wait, or opens one.
    pub(super) fn join_tied(&mut self, rule: &CorrelateRule, place: usize, fingerprint: Fingerprint) {
        if let Some(id) = self.tied_incident(rule, place, fingerprint) {
            return self.join_by_tie(id, rule, fingerprint);
        }
        if self.state.alert(fingerprint).is_none_or(|record| record.waits_under(&rule.rule.name).is_some()) {
            return;
        }
        match &rule.threshold {
            Some(threshold) => match self.gathered(threshold, fingerprint) {
                Some(together) => self.open_tied(rule, &together),
                None => self.wait_tied(rule, place, fingerprint, threshold.within),
            },
            None if rule.wait > Millis::ZERO => self.wait_tied(rule, place, fingerprint, rule.wait),
            None => self.open_tied(rule, &[fingerprint]),
        }
    }

    /// The time is over in which others might have come that an alert is tied to.
    pub(super) fn tied_to_nothing(&mut self, place: usize, fingerprint: Fingerprint) {
        let rules = self.rules.clone();
        let rule = &rules.correlate[place];
        match self.tied_incident(rule, place, fingerprint) {
            Some(id) => self.join_by_tie(id, rule, fingerprint),
            None => self.open_tied(rule, &[fingerprint]),
        }
    }

    /// An alert is in an incident: others may be tied to it.
    pub(super) fn enter_ties(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        if self.ties.is_empty() {
            return;
        }
        if let Some(record) = self.state.alert(fingerprint) {
            self.ties.enter(&self.rules, record, id, self.now);
        }
    }

    /// An alert is about to fire: what it was before ties nobody any more.
    pub(super) fn leave_ties(&mut self, fingerprint: Fingerprint) {
        if let Some(record) = self.state.alert(fingerprint).filter(|_| !self.ties.is_empty()) {
            self.ties.leave(&self.rules, record);
        }
    }

    /// An alert fires again, in the incidents that it was in before.
    pub(super) fn enter_ties_again(&mut self, fingerprint: Fingerprint) {
        if self.ties.is_empty() {
            return;
        }
        let incidents = self.state.alert(fingerprint).map(|record| record.incidents.clone()).unwrap_or_default();
        for id in &incidents {
            self.enter_ties(*id, fingerprint);
        }
    }

    /// Lets those join that wait and are tied to a member of an incident, and those that are tied to them.
    pub(super) fn follow_ties(&mut self, id: IncidentId, fingerprint: Fingerprint) {
        if self.ties.is_empty() {
            return;
        }
        self.ties.following.push_back((id, fingerprint));
        // Each that joins comes here again; the first call follows them all, one behind the other.
        if std::mem::replace(&mut self.ties.is_following, true) {
            return;
        }
        while let Some((id, member)) = self.ties.following.pop_front() {
            for (_, waiting, place) in self.tied_waiting(member) {
                let rules = self.rules.clone();
                let rule = &rules.correlate[place].rule;
                let still = self.state.alert(waiting).is_some_and(|record| waits(record, rule));
                if still && self.takes(id, waiting) {
                    self.join(id, waiting, rule);
                    self.follow_join(id, waiting, Joined::More);
                }
            }
        }
        self.ties.is_following = false;
    }

    fn tied_incident(&self, rule: &CorrelateRule, place: usize, fingerprint: Fingerprint) -> Option<IncidentId> {
        let record = self.state.alert(fingerprint)?;
        let open = |id: IncidentId| self.state.incident(id).is_some_and(|it| it.status != IncidentStatus::Closed);
        let threads = &self.ties.threads[self.ties.first[place]..];
        rule.ties.iter().zip(threads).find_map(|(tie, thread)| {
            let value = value(tie, record.labels())?;
            let tied = thread.tied(tie, &self.rules.catalogue, &value, tie.began(record));
            tied.filter(|(_, id)| open(*id) && self.takes(*id, fingerprint)).max().map(|(_, id)| id)
        })
    }

    /// The alerts that wait and are tied to this one, each with the place of the rule that it waits under, in order of
    /// their beginning. Ties that want several alerts pull nobody.
    fn tied_waiting(&self, fingerprint: Fingerprint) -> BTreeSet<(u64, Fingerprint, usize)> {
        let mut found = BTreeSet::new();
        let Some(record) = self.state.alert(fingerprint) else { return found };
        for thread in self.ties.threads.iter().filter(|thread| !thread.waiting.is_empty()) {
            let (tie, rule) = (thread.tie(&self.rules), &self.rules.correlate[thread.rule].rule);
            if tie.alerts > 1 || !tie.holds_to(record.labels()) {
                continue;
            }
            let Some(value) = value(tie, record.labels()) else { continue };
            let near = |other: &AlertRecord| tie.began(other).since(tie.began(record)).0.abs() < tie.within.0;
            for (seq, key) in around(tie, &self.rules.catalogue, &value).filter_map(|value| thread.waiting.get(value)).flatten() {
                if *key != fingerprint && self.state.alert(*key).is_some_and(|other| waits(other, rule) && near(other)) {
                    found.insert((*seq, *key, thread.rule));
                }
            }
        }
        found
    }

    /// The alert and those that wait and are tied to it, directly or by way of each other, in order of their beginning, if
    /// they are enough.
    fn gathered(&self, threshold: &Threshold, fingerprint: Fingerprint) -> Option<Vec<Fingerprint>> {
        let wanted = threshold.count as usize;
        let most = GATHERED_MAX.max(wanted.saturating_mul(4));
        let record = self.state.alert(fingerprint)?;
        let mut together = BTreeSet::from([(record.fired_seq, fingerprint)]);
        let mut next = vec![fingerprint];
        while let Some(member) = next.pop().filter(|_| together.len() < most) {
            for (seq, key, _) in self.tied_waiting(member) {
                if together.insert((seq, key)) {
                    next.push(key);
                }
            }
        }
        let count = match &threshold.distinct {
            // A missing label is the empty string, and that is a value like any other.
            Some(label) => {
                let records = together.iter().filter_map(|(_, key)| self.state.alert(*key));
                records.map(|record| record.labels().get(label)).collect::<BTreeSet<_>>().len()
            }
            None => together.len(),
        };
        (count >= wanted).then(|| together.into_iter().map(|(_, key)| key).collect())
    }

    fn wait_tied(&mut self, rule: &CorrelateRule, place: usize, fingerprint: Fingerprint, length: Millis) {
        let until = self.now + length;
        self.record(Fact::AlertWaiting { fingerprint, rule: rule.rule.clone(), key: Labels::default(), until });
        if let Some(record) = self.state.alert(fingerprint) {
            self.ties.wait(&self.rules, place, record);
        }
    }

    fn join_by_tie(&mut self, id: IncidentId, rule: &CorrelateRule, fingerprint: Fingerprint) {
        let mut how = Joined::More;
        if self.state.incident(id).is_some_and(|incident| incident.status == IncidentStatus::Resolved) {
            self.reopen_for_alert(id, fingerprint);
            how = Joined::Reopened;
        }
        self.join(id, fingerprint, &rule.rule);
        self.follow_join(id, fingerprint, how);
    }

    /// Opens an incident for alerts that belong together, the first of them first. What is tied to them follows.
    fn open_tied(&mut self, rule: &CorrelateRule, together: &[Fingerprint]) {
        let Some(first) = together.first() else { return };
        let id = self.open(rule, Labels::default(), *first, None);
        self.join(id, *first, &rule.rule);
        self.follow_join(id, *first, Joined::Opened);
        for member in &together[1..] {
            // Most have followed by now.
            if self.takes(id, *member) {
                self.join(id, *member, &rule.rule);
                self.follow_join(id, *member, Joined::More);
            }
        }
    }
}

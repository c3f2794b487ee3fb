//! The model that everything is held against: maps and lists of what senders were told, what the log says and what receivers
//! took. It knows the rules of the worlds by heart and shares no code with the engine but [`State::apply`], by which the log
//! is replayed.
//!
//! - **A** every acknowledged alert is in the log, once for each time that it happened;
//! - **B** each incident with a critical alert has its page taken downstream, or stands as owed or dead;
//! - **C** a notification bears one id and key in all attempts; a receiver rings at most once for each opening; what it is
//!   told of an incident comes in order; what was opened is closed;
//! - **D** the log replayed, from its beginning or from any snapshot, is the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quell::engine::{Entity, Fact, State};
use quell::model::{Fingerprint, IncidentId, IncidentStatus, Millis, NotificationKind, NotificationState, Time};
use quell::runtime::stepped::Stepped;
use quell::storage::log::{LogFiles, LogItem};

use super::downstream::Downstream;
use super::senders::{Body, Senders};
use crate::disk::SimDisk;

/// One fact where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) time: Time,
    pub(crate) fact: Fact,
}

#[derive(Default)]
pub(crate) struct Oracle {
    /// Series and occurrence that a sender was told are safe.
    fired: BTreeSet<(usize, usize)>,
    ended: BTreeSet<(usize, usize)>,
    /// Everything that was committed.
    pub(crate) lines: Vec<Line>,
    /// The log replayed from its beginning.
    replayed: State,
    /// The state as it stood at the last check, and how many lines that was.
    snapshot: (Vec<Entity>, usize),
    pub(crate) checks: u64,
}

impl Oracle {
    /// A sender got its 2xx.
    pub(crate) fn acknowledged(&mut self, body: &Body) {
        self.fired.extend(body.firing.iter().copied());
        self.ended.extend(body.ended.iter().copied());
    }

    /// A process has recovered: what was committed before is still there, word for word.
    pub(crate) fn restarted(&mut self, runtime: &Stepped<SimDisk>, disk: &SimDisk) {
        let known = std::mem::take(&mut self.lines);
        self.replayed = State::new();
        self.replayed.finish();
        self.read(runtime, disk);
        assert!(self.lines.starts_with(&known), "committed facts are gone or others");
        self.same_state(runtime);
    }

    /// Holds everything against everything.
    pub(crate) fn check(
        &mut self,
        runtime: &Stepped<SimDisk>,
        disk: &SimDisk,
        downstreams: &BTreeMap<Arc<str>, Downstream>,
        senders: &Senders,
    ) {
        self.checks += 1;
        self.read(runtime, disk);
        self.same_state(runtime);
        self.alerts_are_in_the_log(senders);
        self.pages_are_out(downstreams);
        self.acknowledged_incidents_wake_no_manager();
        for (name, downstream) in downstreams {
            self.told_once_and_in_order(name, downstream);
        }
    }

    /// How often the log says that an incident opened or came back.
    pub(crate) fn openings(&self, id: u64) -> u32 {
        let opening = |line: &&Line| match &line.fact {
            Fact::IncidentOpened { incident, .. } | Fact::IncidentReopened { incident, .. } => incident.0 == id,
            _ => false,
        };
        u32::try_from(self.lines.iter().filter(opening).count()).unwrap()
    }

    /// How many facts of one kind there are.
    pub(crate) fn count(&self, kind: &str) -> usize {
        self.lines.iter().filter(|line| line.fact.kind() == kind).count()
    }

    /// Reads what has been committed by now, and holds it against nothing.
    pub(crate) fn follow(&mut self, runtime: &Stepped<SimDisk>, disk: &SimDisk) {
        self.read(runtime, disk);
    }

    /// Reads on to what is committed.
    fn read(&mut self, runtime: &Stepped<SimDisk>, disk: &SimDisk) {
        let committed = runtime.handle().status().seq;
        let known = self.lines.last().map_or(0, |line| line.seq);
        let files = LogFiles::open(disk.copy()).unwrap();
        for item in files.read(known + 1).unwrap() {
            let LogItem::Record(record) = item.unwrap() else { continue };
            for (seq, fact) in (record.first_seq..).zip(record.facts) {
                if seq > known && seq <= committed {
                    self.replayed.apply(seq, record.time, &fact);
                    self.lines.push(Line { seq, time: record.time, fact });
                }
            }
        }
        assert_eq!(self.lines.last().map_or(0, |line| line.seq), committed, "what is committed is in the log");
        drop(self.replayed.take_changes());
    }

    fn same_state(&mut self, runtime: &Stepped<SimDisk>) {
        if runtime.handle().status().storage_fault.is_some() {
            // The state is ahead of the log by what the disk does not take.
            return;
        }
        let live: Vec<Entity> = runtime.state().entities().collect();
        assert!(self.replayed.entities().eq(live.iter().cloned()), "the log replayed is another state");
        let (entities, lines) = std::mem::replace(&mut self.snapshot, (live, self.lines.len()));
        if !entities.is_empty() {
            let mut state = State::new();
            for entity in entities {
                state.add(entity);
            }
            state.finish();
            for line in &self.lines[lines..] {
                state.apply(line.seq, line.time, &line.fact);
            }
            assert!(state.entities().eq(self.snapshot.0.iter().cloned()), "a snapshot and its tail are another state");
        }
    }

    fn alerts_are_in_the_log(&self, senders: &Senders) {
        for (number, series) in senders.series.iter().enumerate() {
            let mut open = None;
            let mut ended = BTreeSet::new();
            let mut fired = Vec::new();
            for line in &self.lines {
                match &line.fact {
                    Fact::AlertFired { alert } if alert.labels.get("alertname") == series.name => {
                        let began = |(from, _): &(Time, Time)| (0..=15_000).contains(&alert.starts_at.since(*from).0);
                        let occurrence = series.times.iter().position(began).expect("fired when it did not");
                        fired.push(occurrence);
                        open = Some((alert.fingerprint, occurrence));
                    }
                    Fact::AlertResolved { fingerprint, .. } => {
                        if let Some((_, occurrence)) = open.take_if(|(open, _): &mut (Fingerprint, usize)| open == fingerprint) {
                            ended.insert(occurrence);
                        }
                    }
                    _ => {}
                }
            }
            let times: BTreeSet<usize> = fired.iter().copied().collect();
            assert_eq!(times.len(), fired.len(), "{} fired more often than it happened: {fired:?}", series.name);
            for (_, occurrence) in self.fired.range((number, 0)..(number + 1, 0)) {
                assert!(times.contains(occurrence), "A: {} was acknowledged and is not in the log", series.name);
            }
            for (_, occurrence) in self.ended.range((number, 0)..(number + 1, 0)) {
                assert!(
                    !times.contains(occurrence) || ended.contains(occurrence),
                    "A: {} ended, and the log has it not",
                    series.name
                );
            }
        }
    }

    fn pages_are_out(&self, downstreams: &BTreeMap<Arc<str>, Downstream>) {
        let mut critical = BTreeSet::new();
        let mut to_be_paged = BTreeSet::new();
        let mut triggers: BTreeMap<IncidentId, Vec<u64>> = BTreeMap::new();
        let (mut delivered, mut dead) = (BTreeSet::new(), BTreeSet::new());
        for line in &self.lines {
            match &line.fact {
                Fact::AlertFired { alert } if alert.labels.get("severity") == "critical" => {
                    critical.insert(alert.fingerprint);
                }
                Fact::AlertJoined { incident, fingerprint, .. } if critical.contains(fingerprint) => {
                    to_be_paged.insert(*incident);
                }
                Fact::NotificationQueued { notification: it }
                    if it.kind == NotificationKind::Trigger && &*it.receiver == "pager" =>
                {
                    triggers.entry(it.incident).or_default().push(it.id.0);
                }
                Fact::NotificationDelivered { notification, .. } => {
                    delivered.insert(notification.0);
                }
                Fact::NotificationDead { notification, .. } => {
                    dead.insert(notification.0);
                }
                _ => {}
            }
        }
        let pager = &downstreams["pager"];
        for incident in to_be_paged {
            let triggers = triggers.get(&incident).expect("B: a page was queued");
            let first = triggers[0];
            let taken = pager.taken.iter().any(|seen| seen.id == first);
            assert!(taken || !delivered.contains(&first), "B: {incident} counts as paged, and the pager knows nothing of it");
            if dead.contains(&first) {
                let told = self.lines.iter().any(|line| {
                    matches!(&line.fact, Fact::NotificationQueued { notification: it } if it.incident == incident && &*it.receiver == "default")
                });
                let over = self.lines.iter().any(|line| {
                    matches!(&line.fact, Fact::IncidentResolved { incident: id, .. } | Fact::IncidentAcknowledged { incident: id, .. } if *id == incident)
                });
                assert!(told || over, "B: the page of {incident} died, and the last resort was not told");
            }
        }
    }

    /// Once the log says that somebody answers, no step waits for nobody.
    fn acknowledged_incidents_wake_no_manager(&self) {
        let mut status: BTreeMap<IncidentId, IncidentStatus> = BTreeMap::new();
        for line in &self.lines {
            match &line.fact {
                Fact::IncidentAcknowledged { incident, .. } => drop(status.insert(*incident, IncidentStatus::Acknowledged)),
                Fact::IncidentReopened { incident, .. } => drop(status.insert(*incident, IncidentStatus::Open)),
                Fact::EscalationStepped { incident, step: 1, skipped: false, .. } => {
                    let acknowledged = status.get(incident) == Some(&IncidentStatus::Acknowledged);
                    assert!(!acknowledged, "{incident} went to a manager behind its acknowledgement");
                }
                _ => {}
            }
        }
    }

    fn told_once_and_in_order(&self, name: &str, downstream: &Downstream) {
        let mut words: BTreeMap<u64, (&str, NotificationKind)> = BTreeMap::new();
        let mut keys: BTreeMap<u64, &str> = BTreeMap::new();
        for seen in &downstream.attempts {
            let word = (seen.key.as_str(), seen.kind);
            assert_eq!(*words.entry(seen.id).or_insert(word), word, "C: {name}: one id, two messages");
            assert_eq!(*keys.entry(seen.incident).or_insert(&seen.key), seen.key, "C: {name}: one incident, two keys");
        }
        let different: BTreeSet<&str> = keys.values().copied().collect();
        assert_eq!(different.len(), keys.len(), "C: {name}: two incidents, one key");
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for seen in &downstream.taken {
            let before = last.insert(seen.incident, seen.id).unwrap_or_default();
            assert!(before < seen.id, "C: {name}: INC-{} was told {} behind {before}", seen.incident, seen.id);
        }
        for (incident, key) in keys {
            let rang = downstream.rang.get(key).copied().unwrap_or_default();
            let openings = self.openings(incident);
            assert!(rang <= openings, "C: {name} rang {rang} times for INC-{incident}, which opened {openings} times");
        }
    }
}

/// Everything has cleared: nothing is open anywhere, but where somebody can see that the word did not get through.
pub(crate) fn all_is_closed(runtime: &Stepped<SimDisk>, downstreams: &BTreeMap<Arc<str>, Downstream>) {
    for incident in runtime.state().incidents() {
        assert!(!incident.status.is_active(), "{} is still {:?}", incident.id, incident.status);
    }
    for (name, downstream) in downstreams {
        for (key, _) in downstream.open.iter().filter(|(_, open)| **open) {
            let unfinished = runtime.state().notifications().any(|it| {
                it.state != NotificationState::Delivered && it.receiver == *name && key.ends_with(&format!("/{}", it.incident))
            });
            assert!(unfinished, "{name} still has {key} open, and nothing says so");
        }
    }
}

/// The longest time between two facts that satisfy `from` and `to`, in order.
pub(crate) fn gap(lines: &[Line], from: impl Fn(&Fact) -> bool, to: impl Fn(&Fact) -> bool) -> Option<Millis> {
    let begun = lines.iter().find(|line| from(&line.fact))?;
    let ended = lines.iter().find(|line| line.seq > begun.seq && to(&line.fact))?;
    Some(ended.time.since(begun.time))
}

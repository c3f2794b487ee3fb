//! The order in which one receiver is told things. Pure: time comes in, the next attempt comes out. That time goes on evenly: a
//! wall clock that is set moves nothing here.
//!
//! Each incident has a line of its own, strictly in order; several lines are served at once. A failing receiver is
//! probed, a throttling one left alone until its time is over; both are the receiver's affair and never another's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::deliver::Delivery;
use crate::deliver::retry::Breaker;
use crate::model::{IncidentId, Notification, NotificationId, NotificationKind, Time};

/// Attempts under way at one receiver.
const IN_FLIGHT_MAX: usize = 8;

/// A notification that is owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct Owed {
    pub(in crate::runtime) notification: Arc<Notification>,
    /// Attempts that are over, in this run and before.
    pub(super) attempts: u32,
    /// It was owed when this process started: an attempt may have been under way as the last one ended.
    pub(super) from_before: bool,
    /// When it came to be, by the clock of the lines; its age is counted from here.
    pub(super) born: Time,
}

impl Owed {
    /// One that was queued just now.
    pub(in crate::runtime) fn new(notification: Arc<Notification>) -> Owed {
        Owed { attempts: notification.attempts, born: notification.created_at, notification, from_before: false }
    }

    /// One that was owed when the process started.
    pub(in crate::runtime) fn from_before(notification: Arc<Notification>) -> Owed {
        Owed { from_before: true, ..Owed::new(notification) }
    }
}

/// What an attempt means for the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken.
    Taken,
    /// Never to be taken; the next in line goes on.
    Over,
    /// To be tried again at that moment.
    Again(Time),
}

/// Everything that one receiver is owed.
#[derive(Debug, Default)]
pub(super) struct Lines {
    by_incident: BTreeMap<IncidentId, Line>,
    /// The lines whose first may be attempted from that moment on, and that are not being served.
    due: BTreeSet<(Time, NotificationId, IncidentId)>,
    in_flight: usize,
    breaker: Breaker,
    /// The receiver asked to be left alone until then.
    throttled_until: Time,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Owed>,
    in_flight: bool,
    /// How many waited when the attempt under way began.
    told: usize,
}

impl Lines {
    /// Puts one at the end of its incident's line, to be attempted from `due` on when it is the first.
    pub(super) fn push(&mut self, owed: Owed, due: Time) {
        let incident = owed.notification.incident;
        let line = self.by_incident.entry(incident).or_default();
        // One that is retried by hand while its last attempt is still being recorded is there already.
        if line.waiting.iter().any(|other| other.notification.id == owed.notification.id) {
            return;
        }
        if line.waiting.is_empty() && !line.in_flight {
            self.due.insert((due, owed.notification.id, incident));
        }
        line.waiting.push_back(owed);
    }

    /// The next attempt to make now, if any. [`Lines::finished`] must follow for it.
    pub(super) fn next(&mut self, now: Time) -> Option<Owed> {
        if self.next_at()? > now || !self.breaker.admit(now) {
            return None;
        }
        let (_, _, incident) = self.due.pop_first()?;
        let line = self.by_incident.get_mut(&incident)?;
        line.in_flight = true;
        line.told = line.waiting.len();
        self.in_flight += 1;
        line.waiting.front().cloned()
    }

    /// When [`Lines::next`] may have something, if nothing else happens before. `None`: not before something does.
    pub(super) fn next_at(&self) -> Option<Time> {
        if self.in_flight >= IN_FLIGHT_MAX {
            return None;
        }
        let not_before = self.throttled_until.max(self.breaker.probe_at().unwrap_or_default());
        self.due.first().map(|(at, ..)| (*at).max(not_before))
    }

    /// Those behind the first of this line that were told by the attempt under way: a message says how the incident stands
    /// when it is built, so an update (or the same said again) that was in line before then has nothing to add.
    pub(super) fn told_with_first(&self, incident: IncidentId) -> Vec<NotificationId> {
        let Some(line) = self.by_incident.get(&incident) else { return Vec::new() };
        let Some(first) = line.waiting.front().map(|owed| owed.notification.kind) else { return Vec::new() };
        let told = |owed: &&Owed| {
            let it = &owed.notification;
            match first {
                NotificationKind::Trigger => {
                    it.kind == NotificationKind::Update || (it.kind == NotificationKind::Trigger && it.again)
                }
                NotificationKind::Update => it.kind == NotificationKind::Update,
                NotificationKind::Acknowledge | NotificationKind::Resolve => false,
            }
        };
        line.waiting.iter().take(line.told).skip(1).take_while(told).map(|owed| owed.notification.id).collect()
    }

    /// What came of the attempt at the first of this line; with it, `told` more behind it are done.
    pub(super) fn finished(&mut self, incident: IncidentId, verdict: Verdict, told: usize, now: Time) {
        let Some(line) = self.by_incident.get_mut(&incident) else { return };
        line.in_flight = false;
        self.in_flight -= 1;
        match verdict {
            Verdict::Again(_) => {
                if let Some(first) = line.waiting.front_mut() {
                    first.attempts += 1;
                    first.from_before = false;
                }
            }
            Verdict::Taken | Verdict::Over => drop(line.waiting.drain(..(1 + told).min(line.waiting.len()))),
        }
        match line.waiting.front() {
            None => drop(self.by_incident.remove(&incident)),
            Some(first) => {
                let at = if let Verdict::Again(at) = verdict { at } else { now };
                self.due.insert((at, first.notification.id, incident));
            }
        }
    }

    /// Lets the breaker learn what an attempt came to.
    pub(super) fn learn(&mut self, delivery: &Delivery, now: Time) {
        self.breaker.learn(delivery, now);
    }

    /// The receiver asked to be left alone.
    pub(super) fn throttle(&mut self, until: Time) {
        self.throttled_until = self.throttled_until.max(until);
    }

    pub(super) fn breaker_is_open(&self) -> bool {
        self.breaker.is_open()
    }
}

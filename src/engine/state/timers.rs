//! When something is due. Every timer follows from an entity's own fields, so a restart finds them all again.

use std::collections::BTreeSet;

use crate::model::incident::StepState;
use crate::model::{AlertRecord, Fingerprint, Incident, IncidentId, PolicyRun, SilenceId, Time};

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    SuppressionEnds(Fingerprint),
    WaitEnds(Fingerprint),
    BeatDue(Fingerprint),
    SilenceStarts(SilenceId),
    SilenceEnds(SilenceId),
    Resolve(IncidentId),
    Fall(IncidentId),
    Close(IncidentId),
    Retitle(IncidentId),
    Policy(IncidentId),
    Causes(IncidentId),
    Major(IncidentId),
}

/// The due times of one incident: resolve, fall, close, retitle, policy, causes, major.
pub(super) type IncidentTimers = [Option<Time>; 7];

/// All timers, soonest first; equal times in the order of [`Timer`].
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Time, Timer)>);

impl Timers {
    pub(super) fn insert(&mut self, due: Time, timer: Timer) {
        self.0.insert((due, timer));
    }

    pub(super) fn remove(&mut self, due: Time, timer: Timer) {
        self.0.remove(&(due, timer));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(due, _)| *due)
    }

    #[cfg(test)]
    pub(super) fn after(&self, now: Time) -> Vec<(Time, Timer)> {
        self.0.iter().filter(|(due, _)| *due > now).copied().collect()
    }

    /// Takes the soonest timer out if it is due.
    pub(super) fn pop(&mut self, now: Time) -> Option<(Time, Timer)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first()
    }

    pub(super) fn insert_all(&mut self, id: IncidentId, due: &IncidentTimers) {
        for (due, timer) in due.iter().zip(names(id)) {
            if let Some(due) = due {
                self.insert(*due, timer);
            }
        }
    }

    /// Moves an incident's timers from where they were to where they are. Mostly nothing has moved.
    pub(super) fn replace(&mut self, id: IncidentId, before: &IncidentTimers, after: &IncidentTimers) {
        if before == after {
            return;
        }
        for ((before, after), timer) in before.iter().zip(after).zip(names(id)) {
            if before != after {
                if let Some(due) = before {
                    self.remove(*due, timer);
                }
                if let Some(due) = after {
                    self.insert(*due, timer);
                }
            }
        }
    }
}

fn names(id: IncidentId) -> [Timer; 7] {
    [
        Timer::Resolve(id),
        Timer::Fall(id),
        Timer::Close(id),
        Timer::Retitle(id),
        Timer::Policy(id),
        Timer::Causes(id),
        Timer::Major(id),
    ]
}

/// What an incident waits for.
pub(super) fn of_incident(incident: &Incident) -> IncidentTimers {
    // While all has cleared and only `resolve_after` is waited for, nobody is told anything.
    let speaks = incident.status.is_active() && incident.resolve_due.is_none();
    let policy = if speaks { incident.policies.iter().filter_map(policy_due).min() } else { None };
    [
        incident.resolve_due,
        incident.fall_due,
        incident.close_due,
        incident.retitle_due,
        policy,
        incident.causes_due,
        incident.major_due,
    ]
}

/// When a policy next has something to do; a paused one has nothing.
pub(in crate::engine) fn policy_due(run: &PolicyRun) -> Option<Time> {
    if run.paused_at.is_some() {
        return None;
    }
    let step = run.steps.iter().filter(|step| step.state == StepState::Waiting).map(|step| step.due).min();
    [step, run.update_due, run.repeat_due].into_iter().flatten().min()
}

/// What an alert waits for.
pub(super) fn of_alert(record: &AlertRecord) -> impl Iterator<Item = (Time, Timer)> {
    let fingerprint = record.alert.fingerprint;
    let suppressions = record.suppressed_by.iter().filter_map(|s| s.until).min();
    let waiting = record.waits().map(|waiting| waiting.until).min();
    let beat = record.beat.as_ref().and_then(|beat| beat.due);
    suppressions
        .map(|due| (due, Timer::SuppressionEnds(fingerprint)))
        .into_iter()
        .chain(waiting.map(|due| (due, Timer::WaitEnds(fingerprint))))
        .chain(beat.map(|due| (due, Timer::BeatDue(fingerprint))))
}

//! What becomes of policies at work when the rules change. One that the rules have no longer ends, and the incident follows
//! those that fit now, else the fallback; which ends in turn as soon as rules fit, be it by a reload or by an alert that joins.
//! Where nothing would take over, the plan goes on: better by old rules than by none. A policy that the rules still have keeps
//! the plan that it began with.
//!
//! Whoever takes over goes on where the other stopped, so that rules may change each 100 ms, be renamed, go and come back:
//! what is overdue is told to those only who have not heard of the incident yet, what is still to come comes at its time, and
//! no time begins anew. A policy tells each of its steps once, however often it comes back: an incident remembers the last
//! few that have ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::escalate::FALLBACK_POLICY;
use crate::engine::{Engine, Fact};
use crate::model::incident::{PolicyStep, StepState};
use crate::model::{Incident, IncidentId, IncidentStatus, PolicyRun, Reason, RuleRef};

/// Why a policy ends that no rule file has any more.
const GONE: &str = "the rules have it no more";

impl Engine {
    /// The rules have changed, or a start has put the state under them: each incident is answered for by what fits now.
    pub(super) fn follow_rules(&mut self) {
        let stale = |incident: &&Arc<Incident>| self.is_stale(incident);
        let stale: Vec<IncidentId> = self.state.incidents().filter(stale).map(|incident| incident.id).collect();
        for id in stale {
            self.follow_rules_in(id);
        }
    }

    /// Whether the rules may say otherwise than what is at work. Somebody works on an acknowledged incident, so that one for
    /// which nobody else was found needs nobody any more.
    fn is_stale(&self, incident: &Incident) -> bool {
        let may_end = |run: &PolicyRun| if is_fallback(&run.rule) { !self.rules.escalate.is_empty() } else { self.is_gone(run) };
        match incident.status {
            IncidentStatus::Open if incident.policies.is_empty() => {
                !self.rules.escalate.is_empty() || self.default_receiver().is_some()
            }
            IncidentStatus::Open | IncidentStatus::Acknowledged => incident.policies.iter().any(may_end),
            IncidentStatus::Resolved | IncidentStatus::Closed => false,
        }
    }

    fn is_gone(&self, run: &PolicyRun) -> bool {
        !is_fallback(&run.rule) && !self.positions.escalate.contains_key(&run.rule.name)
    }

    fn follow_rules_in(&mut self, id: IncidentId) {
        let Some(record) = self.spokesman(id) else { return };
        let fitting = self.fitting_policies(id, &record);
        let Some(incident) = self.state.incident(id).cloned() else { return };
        let goes_on = incident.policies.iter().any(|run| !self.is_gone(run));
        let follows = !fitting.is_empty() || goes_on || self.default_receiver().is_some();
        let ended: Vec<PolicyRun> = incident.policies.iter().filter(|run| follows && self.is_gone(run)).cloned().collect();
        for run in &ended {
            self.record(Fact::EscalationEnded { incident: id, rule: run.rule.clone(), reason: Reason::Text(GONE.into()) });
        }
        self.start_fitting(id, fitting, false, ended);
        self.review_incident_pauses(id);
    }

    /// Ends the fallback of an incident that a `rule` fits now; gives it back as it was.
    pub(super) fn end_fallback(&mut self, id: IncidentId, rule: &RuleRef) -> Option<PolicyRun> {
        let run = self.state.incident(id)?.policies.iter().find(|run| is_fallback(&run.rule))?.clone();
        let (fallback, reason) = (run.rule.clone(), Reason::Rule(rule.clone()));
        self.record(Fact::EscalationEnded { incident: id, rule: fallback, reason });
        Some(run)
    }
}

fn is_fallback(rule: &RuleRef) -> bool {
    rule.line == 0 && *rule.name == *FALLBACK_POLICY
}

/// Lets a policy that begins now go on where those that have just `ended` stopped, or its like some time ago.
pub(super) fn take_over(incident: &Incident, run: &mut PolicyRun, ended: &[PolicyRun]) {
    let Some(before) = predecessor(incident, run, ended) else { return };
    let paused_at = ended.last().and_then(|run| run.paused_at);
    let acknowledged = incident.status == IncidentStatus::Acknowledged;
    let told = |receiver: &Arc<str>| incident.opened_at_receivers.iter().any(|it| it.receiver == *receiver && !it.resolved);
    // While it pauses, no time goes by.
    let now = paused_at.unwrap_or(run.started_at);
    let mut clock = before.clock();
    // Whoever is to hear of it first had no time to answer yet: a first step that would be late is due now, and those after
    // it keep their distance. Without any after it the clock stays, for the policy that may come back.
    if let [first, _, ..] = &*run.steps
        && !(acknowledged || first.notify.iter().all(told))
    {
        clock = clock.max(now - first.due.since(run.started_at));
    }
    let moved = clock.since(run.started_at);
    for (number, step) in std::mem::take(&mut run.steps).into_iter().enumerate() {
        let step = PolicyStep { due: step.due + moved, ..step };
        // The first says that there is an incident; further ones may well be for somebody who has heard of it.
        if step.due > now && number > 0 {
            run.steps.push(step);
            continue;
        }
        let state = if acknowledged && step.due <= now { StepState::Skipped } else { StepState::Waiting };
        let (heard, rest): (Vec<_>, Vec<_>) = step.notify.iter().cloned().partition(told);
        let parts = [(heard, StepState::Done), (rest, state)].into_iter().filter(|(notify, _)| !notify.is_empty());
        run.steps.extend(parts.map(|(notify, state)| PolicyStep { notify, state, ..step.clone() }));
    }
    (run.counts_from, run.paused_at) = (Some(clock), paused_at);
    if run.steps.iter().any(|step| step.state == StepState::Done) {
        (run.last_update_at, run.update_due) = (before.last_update_at, before.update_due);
        // Else renaming it again and again would put off what is said again.
        let repeat = run.repeat.filter(|_| !acknowledged).map(|repeat| now + repeat);
        run.repeat_due = repeat.map(|due| before.repeat_due.map_or(due, |before| before.min(due)));
    }
}

/// Of those that ended, now or before, the last one that began with the same receivers, as one has that was renamed or comes
/// back; else the last that ended now.
fn predecessor<'a>(incident: &'a Incident, run: &PolicyRun, ended: &'a [PolicyRun]) -> Option<&'a PolicyRun> {
    // A step may have been split into those who had heard and the rest.
    let first = |run: &PolicyRun| -> BTreeSet<Arc<str>> {
        let due = run.steps.first().map(|step| step.due);
        run.steps.iter().take_while(|step| Some(step.due) == due).flat_map(|step| step.notify.iter().cloned()).collect()
    };
    let wanted = first(run);
    let mut all = incident.ended_policies.iter().flat_map(|all| all.iter());
    all.rfind(|it| first(it) == wanted).or(ended.last())
}

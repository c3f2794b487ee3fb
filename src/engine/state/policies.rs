//! What the facts of escalation do to an incident: who was told of it, and how far its policies are.

use std::sync::Arc;

use crate::model::incident::{ENDED_POLICIES_MAX, OpenedAt, StepState};
use crate::model::{Incident, Millis, Notification, NotificationKind, PolicyRun, Reason};

/// Notes that a receiver was told of the incident's opening or end.
pub(super) fn note_receiver(incident: &mut Incident, notification: &Notification, kind: NotificationKind) {
    let resolved = kind == NotificationKind::Resolve;
    let policy = || match &notification.reason {
        Reason::Rule(rule) => rule.name.clone(),
        _ => "".into(),
    };
    let receivers = Arc::make_mut(&mut incident.opened_at_receivers);
    let present = receivers.iter_mut().find(|opened| opened.receiver == notification.receiver);
    match present {
        Some(opened) => {
            // Told anew after its end: the policy that does so has it now.
            if opened.resolved && !resolved {
                opened.policy = policy();
                opened.closes = None;
            }
            opened.resolved = resolved;
        }
        None if resolved => {}
        None => {
            let (receiver, policy) = (notification.receiver.clone(), policy());
            receivers.push(OpenedAt { receiver, policy, remote: None, resolved: false, closes: None });
        }
    }
}

/// A policy is at work. Whom others told that have ended, and it names, hears of the incident by this one from now on.
pub(super) fn start_policy(incident: &mut Incident, run: &PolicyRun) {
    let policies = Arc::make_mut(&mut incident.policies);
    policies.retain(|present| present.rule.name != run.rule.name);
    policies.push(run.clone());
    if let Some(ended) = &mut incident.ended_policies {
        Arc::make_mut(ended).retain(|before| before.rule.name != run.rule.name);
    }
    let policies = incident.policies.clone();
    let left = |opened: &OpenedAt| opened.closes.is_some() && !policies.iter().any(|run| run.rule.name == opened.policy);
    if incident.opened_at_receivers.iter().any(left) {
        let names = |opened: &OpenedAt| run.steps.iter().any(|step| step.notify.contains(&opened.receiver));
        for opened in Arc::make_mut(&mut incident.opened_at_receivers) {
            if left(opened) && names(opened) {
                opened.policy = run.rule.name.clone();
            }
        }
    }
}

/// A policy is at work no more. How far it came is kept, and what it says about the end of what it opened.
pub(super) fn end_policy(incident: &mut Incident, name: &str) {
    let Some(position) = incident.policies.iter().position(|run| &*run.rule.name == name) else { return };
    let run = Arc::make_mut(&mut incident.policies).remove(position);
    for opened in Arc::make_mut(&mut incident.opened_at_receivers) {
        if run.has_told(opened) {
            opened.closes = Some(opened.closes.unwrap_or(false) || run.resolved);
        }
    }
    let ended = Arc::make_mut(incident.ended_policies.get_or_insert_default());
    ended.push(run);
    let surplus = ended.len().saturating_sub(ENDED_POLICIES_MAX);
    ended.drain(..surplus);
}

/// A policy goes on after a pause. Those that have ended would have paused with the others: they move with the first.
pub(super) fn go_on(incident: &mut Incident, rule: &str, paused_for: Millis) {
    let Some(position) = incident.policies.iter().position(|run| &*run.rule.name == rule) else { return };
    shift(&mut Arc::make_mut(&mut incident.policies)[position], paused_for);
    if let Some(ended) = incident.ended_policies.as_mut().filter(|_| position == 0) {
        for run in Arc::make_mut(ended) {
            shift(run, paused_for);
        }
    }
}

/// Moves what is left of a plan by the length of its pause.
fn shift(run: &mut PolicyRun, by: Millis) {
    run.paused_at = None;
    run.counts_from = Some(run.clock() + by);
    for step in run.steps.iter_mut().filter(|step| step.state == StepState::Waiting) {
        step.due = step.due + by;
    }
    run.update_due = run.update_due.map(|due| due + by);
    run.repeat_due = run.repeat_due.map(|due| due + by);
}

//! Who is told, when, how often. The plan of a policy is recorded when it starts; a change of rules does not touch it.

use std::sync::Arc;

use crate::engine::{Answer, DEFAULT_RECEIVER, DeliveryOutcome, Engine, Fact, Refusal};
use crate::model::incident::{PolicyStep, StepState};
use crate::model::{
    Actor, AlertRecord, Fingerprint, Incident, IncidentId, IncidentStatus, Millis, Notification, NotificationId,
    NotificationKind, NotificationState, PolicyRun, Reason, RuleRef, Time,
};
use crate::ruleset::EscalateRule;

/// The name of the policy that tells the receiver `default` where no rule fits.
const FALLBACK_POLICY: &str = "default receiver";

/// The rule that the fallback policy is recorded under.
fn fallback_rule() -> RuleRef {
    RuleRef::built_in(FALLBACK_POLICY)
}

impl Engine {
    /// Starts the policies that an alert's joining brings in: the first rule that matches, and those it lets by. What runs
    /// already goes on.
    pub(super) fn start_policies(&mut self, id: IncidentId, record: &AlertRecord) {
        let Some(incident) = self.state.incident(id).cloned() else { return };
        let rules = self.rules.clone();
        let mut positions = self.look_up(|rules| &rules.escalate_index, record.labels());
        let running: Vec<u32> = incident
            .policies
            .iter()
            .filter_map(|run| self.positions.escalate.get(&run.rule.name))
            .filter_map(|position| u32::try_from(*position).ok())
            .collect();
        positions.extend_from_slice(&running);
        positions.sort_unstable();
        positions.dedup();
        for position in &positions {
            let rule = &rules.escalate[*position as usize];
            if !running.contains(position) {
                self.start_policy(&incident, rule);
            }
            if !rule.go_on {
                break;
            }
        }
        let none = positions.is_empty();
        self.give_back(positions);
        if none && incident.policies.is_empty() {
            self.start_fallback(&incident);
        }
    }

    fn start_policy(&mut self, incident: &Incident, rule: &EscalateRule) {
        // `after` counts from the opening; a policy that comes in later counts from then, or it would be late at once.
        let start = if incident.policies.is_empty() && incident.alerts_total <= 1 { incident.opened_at } else { self.now };
        let step = |step: &crate::ruleset::EscalateStep| PolicyStep {
            due: start + step.after,
            notify: step.notify.clone(),
            unless_acknowledged: step.unless_acknowledged,
            state: StepState::Waiting,
        };
        let steps = rule.steps.iter().map(step).collect();
        self.start_run(incident.id, rule.rule.clone(), steps, rule.update, rule.repeat, rule.resolved);
    }

    fn start_fallback(&mut self, incident: &Incident) {
        let known = self.receivers.iter().find(|name| &***name == DEFAULT_RECEIVER).cloned();
        let Some(receiver) = known else {
            if incident.alerts_total <= 1 {
                self.record(Fact::IncidentWithoutPolicy { incident: incident.id });
            }
            return;
        };
        let step = PolicyStep { due: self.now, notify: vec![receiver], unless_acknowledged: false, state: StepState::Waiting };
        self.start_run(incident.id, fallback_rule(), vec![step], Millis::minutes(5), None, true);
    }

    fn start_run(
        &mut self,
        incident: IncidentId,
        rule: RuleRef,
        steps: Vec<PolicyStep>,
        update: Millis,
        repeat: Option<Millis>,
        resolved: bool,
    ) {
        let run = PolicyRun {
            rule,
            started_at: self.now,
            steps,
            update,
            repeat,
            resolved,
            update_due: None,
            last_update_at: None,
            repeat_due: None,
            paused_at: None,
        };
        self.record(Fact::EscalationStarted { incident, run });
        self.run_policies(incident);
    }

    /// Does all that the incident's policies have to do by now.
    pub(super) fn run_policies(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).filter(|incident| incident.status.is_active()).cloned() else { return };
        for run in incident.policies.iter().filter(|run| run.paused_at.is_none()) {
            self.run_steps(&incident, run);
            self.run_update(&incident, run);
            self.run_repeat(&incident, run);
        }
    }

    fn run_steps(&mut self, incident: &Incident, run: &PolicyRun) {
        for (index, step) in run.steps.iter().enumerate() {
            if step.state != StepState::Waiting || step.due > self.now {
                continue;
            }
            let skipped = step.unless_acknowledged && incident.status == IncidentStatus::Acknowledged;
            let (rule, step_number) = (run.rule.name.clone(), u32::try_from(index).unwrap_or(u32::MAX));
            self.record(Fact::EscalationStepped { incident: incident.id, rule, step: step_number, skipped });
            if skipped {
                continue;
            }
            for receiver in &step.notify {
                let again = incident.opened_at_receivers.iter().any(|o| o.receiver == *receiver && !o.resolved);
                self.notify(incident.id, receiver, NotificationKind::Trigger, again, Reason::Rule(run.rule.clone()));
            }
            self.told(incident, run);
        }
    }

    fn run_update(&mut self, incident: &Incident, run: &PolicyRun) {
        if run.update_due.is_some_and(|due| due <= self.now) {
            self.tell_opened(incident, run, NotificationKind::Update);
            self.told(incident, run);
        }
    }

    fn run_repeat(&mut self, incident: &Incident, run: &PolicyRun) {
        if run.repeat_due.is_some_and(|due| due <= self.now) {
            if incident.status == IncidentStatus::Open {
                self.tell_opened(incident, run, NotificationKind::Trigger);
            }
            self.told(incident, run);
        }
    }

    fn told(&mut self, incident: &Incident, run: &PolicyRun) {
        let open = incident.status == IncidentStatus::Open;
        let repeat_due = run.repeat.filter(|_| open).map(|repeat| self.now + repeat);
        self.record(Fact::EscalationTold { incident: incident.id, rule: run.rule.name.clone(), repeat_due });
    }

    /// Tells the receivers that this policy has opened the incident at.
    fn tell_opened(&mut self, incident: &Incident, run: &PolicyRun, kind: NotificationKind) {
        for opened in incident.opened_at_receivers.iter().filter(|o| !o.resolved && o.policy == run.rule.name) {
            self.notify(incident.id, &opened.receiver, kind, true, Reason::Rule(run.rule.clone()));
        }
    }

    /// Something about the incident is worth an update: it goes out as soon as the policy's pace allows.
    pub(super) fn plan_updates(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        let told = |run: &&PolicyRun| run.update_due.is_none() && run.last_update_at.is_some();
        let plans: Vec<(Arc<str>, Time)> = incident
            .policies
            .iter()
            .filter(told)
            .map(|run| (run.rule.name.clone(), run.last_update_at.unwrap_or(self.now).max(run.started_at) + run.update))
            .collect();
        for (rule, due) in plans {
            let due = due.max(self.now);
            self.record(Fact::EscalationUpdatePlanned { incident: id, rule, due });
        }
    }

    /// Somebody has acknowledged: everybody who was told of the incident is told, but for the receiver that it came from.
    pub(super) fn tell_acknowledged(&mut self, id: IncidentId, by: &Actor) {
        let Some(incident) = self.state.incident(id).cloned() else { return };
        let from = |receiver: &Arc<str>| matches!(by, Actor::Receiver(name) if name == receiver);
        for opened in incident.opened_at_receivers.iter().filter(|opened| !opened.resolved && !from(&opened.receiver)) {
            self.notify(id, &opened.receiver, NotificationKind::Acknowledge, true, Reason::Actor(by.clone()));
        }
    }

    /// What was opened is closed, whatever has been silenced since, unless the policy says otherwise.
    pub(super) fn tell_resolved(&mut self, id: IncidentId, reason: &Reason) {
        let Some(incident) = self.state.incident(id).cloned() else { return };
        let from = |receiver: &Arc<str>| matches!(reason, Reason::Actor(Actor::Receiver(name)) if name == receiver);
        for opened in incident.opened_at_receivers.iter().filter(|opened| !opened.resolved) {
            let run = incident.policies.iter().find(|run| run.rule.name == opened.policy);
            if run.is_none_or(|run| run.resolved) && !from(&opened.receiver) {
                self.notify(id, &opened.receiver, NotificationKind::Resolve, true, reason.clone());
            }
        }
    }

    fn notify(&mut self, incident: IncidentId, receiver: &Arc<str>, kind: NotificationKind, again: bool, reason: Reason) {
        let notification = Notification {
            id: self.state.next_notification(),
            incident,
            receiver: receiver.clone(),
            kind,
            reason,
            again,
            state: NotificationState::Queued,
            attempts: 0,
            created_at: self.now,
            delivered_at: None,
            retry_at: Some(self.now),
            error: None,
        };
        self.record(Fact::NotificationQueued { notification: Arc::new(notification) });
    }

    /// An attempt to deliver has come to something.
    pub(super) fn take_outcome(&mut self, id: NotificationId, outcome: DeliveryOutcome) -> Result<Answer, Refusal> {
        let Some(present) = self.state.notifications.get(&id).cloned() else { return Err(Refusal::NoSuchNotification(id)) };
        if !present.state.is_owed() {
            return Ok(Answer::Repeat);
        }
        let attempts = present.attempts.saturating_add(1);
        match outcome {
            DeliveryOutcome::Delivered { remote } => {
                self.record(Fact::NotificationDelivered { notification: id, attempts, remote });
            }
            DeliveryOutcome::Failed { error, retry_at } => {
                self.record(Fact::NotificationFailed { notification: id, attempts, error, retry_at });
            }
            DeliveryOutcome::Dead { error } => {
                self.record(Fact::NotificationDead { notification: id, attempts, error });
                self.tell_last_resort(&present);
            }
        }
        Ok(Answer::Done)
    }

    /// A receiver could not be told that an incident opened: the receiver `default` is, so that somebody is.
    fn tell_last_resort(&mut self, lost: &Notification) {
        let default = self.receivers.iter().find(|name| &***name == DEFAULT_RECEIVER).cloned();
        let Some(default) = default.filter(|name| *name != lost.receiver) else { return };
        let Some(incident) = self.state.incident(lost.incident) else { return };
        let told = incident.opened_at_receivers.iter().any(|opened| opened.receiver == default && !opened.resolved);
        if lost.kind == NotificationKind::Trigger && incident.status == IncidentStatus::Open && !told {
            let text = format!("{} could not be told", lost.receiver);
            self.notify(lost.incident, &default, NotificationKind::Trigger, false, Reason::Text(text.into()));
        }
    }

    /// An alert's suppression has begun or ended: its incidents may have to fall silent, or speak again.
    pub(super) fn review_pauses(&mut self, fingerprint: Fingerprint) {
        let incidents = self.state.alert(fingerprint).map(|record| record.incidents.clone()).unwrap_or_default();
        for id in incidents {
            self.review_incident_pauses(id);
        }
    }

    /// The clock was set forward: nobody had that time to answer in, so what is left of each plan moves with it. (A plan that
    /// pauses moves when it goes on.)
    pub(super) fn move_plans(&mut self, by: Millis) {
        let active = self.state.incidents().filter(|incident| incident.status.is_active());
        let running = active.flat_map(|incident| {
            incident.policies.iter().filter(|run| run.paused_at.is_none()).map(|run| (incident.id, run.rule.name.clone()))
        });
        let plans: Vec<(IncidentId, Arc<str>)> = running.collect();
        for (incident, rule) in plans {
            self.record(Fact::EscalationContinued { incident, rule, paused_for: by });
        }
    }

    /// Pauses the escalation while all that fires is suppressed, and lets it go on with what was left when that is over.
    pub(super) fn review_incident_pauses(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).filter(|incident| incident.status.is_active()).cloned() else { return };
        let silent = incident.alerts_firing > 0 && incident.alerts_suppressed == incident.alerts_firing;
        for run in &incident.policies {
            let rule = run.rule.name.clone();
            match run.paused_at {
                None if silent => self.record(Fact::EscalationPaused { incident: id, rule }),
                Some(since) if !silent => {
                    let paused_for = self.now.since(since);
                    self.record(Fact::EscalationContinued { incident: id, rule, paused_for });
                }
                _ => {}
            }
        }
        self.run_policies(id);
    }
}

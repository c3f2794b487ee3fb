//! Who is told, when, how often. The plan of a policy is recorded when it starts; a change of rules does not touch it while
//! they have a policy of that name.

use std::sync::Arc;

use crate::engine::conditions::Stage;
use crate::engine::state::policy_due;
use crate::engine::succession::take_over;
use crate::engine::{Answer, DEFAULT_RECEIVER, DeliveryOutcome, Engine, Fact, Refusal};
use crate::model::incident::{OpenedAt, PolicyStep, StepState};
use crate::model::{
    Actor, AlertRecord, Fingerprint, Incident, IncidentId, IncidentStatus, Millis, Notification, NotificationId,
    NotificationKind, NotificationState, PolicyRun, Reason, RuleRef, Time,
};
use crate::ruleset::{EscalateRule, Listed};

/// The name of the policy that tells the receiver `default` where no rule fits.
pub(super) const FALLBACK_POLICY: &str = "default receiver";

/// At most one update message in this time from the fallback policy.
const UPDATE: Millis = Millis::minutes(5);

/// Nothing is said again faster than this, whatever a rule says.
const PACE_MIN: Millis = Millis::seconds(1);

/// The rule that the fallback policy is recorded under.
fn fallback_rule() -> RuleRef {
    RuleRef::built_in(FALLBACK_POLICY)
}

impl Engine {
    /// Starts the policies that an alert brings in: the first rule that matches, and those it lets by. What runs already
    /// goes on. Whether they may speak now is for [`Engine::review_incident_pauses`], which must follow. `newly`: the
    /// incident has just opened or reopened, so that having no policy is worth saying.
    pub(super) fn start_policies(&mut self, id: IncidentId, record: &AlertRecord, newly: bool) {
        let fitting = self.fitting_policies(id, record);
        self.start_fitting(id, fitting, newly, Vec::new());
    }

    /// The rules that fit an incident for which this alert speaks, in a buffer.
    pub(super) fn fitting_policies(&mut self, id: IncidentId, record: &AlertRecord) -> Vec<u32> {
        if self.conditions.has(Stage::Escalate) {
            return self.holding(id, Stage::Escalate);
        }
        let mut found = self.buffer();
        found.extend(self.matched.by(&self.rules, record, Listed::Escalate));
        found
    }

    /// Starts the policies whose expressions have come to hold by anything but an alert that joined. Whether there are
    /// expressions at all; then [`Engine::review_incident_pauses`] must follow.
    pub(super) fn review_policies(&mut self, id: IncidentId) -> bool {
        let any = self.conditions.has(Stage::Escalate);
        if any {
            let fitting = self.holding(id, Stage::Escalate);
            self.start_fitting(id, fitting, false, Vec::new());
        }
        any
    }

    /// Of the rules that fit, in a buffer, starts those that come before the first without `continue`. They take over from
    /// what has `ended`, and from the fallback.
    pub(super) fn start_fitting(&mut self, id: IncidentId, mut positions: Vec<u32>, newly: bool, mut ended: Vec<PolicyRun>) {
        let rules = self.rules.clone();
        if let Some(first) = positions.iter().min() {
            ended.extend(self.end_fallback(id, &rules.escalate[*first as usize].rule));
        }
        let mut running = self.buffer();
        let runs = self.state.incident(id).map(|incident| incident.policies.as_slice()).unwrap_or_default();
        let none_runs = runs.is_empty();
        let known = runs.iter().filter_map(|run| self.positions.escalate.get(&run.rule.name));
        running.extend(known.filter_map(|position| u32::try_from(*position).ok()));
        positions.extend_from_slice(&running);
        positions.sort_unstable();
        positions.dedup();
        for position in &positions {
            let rule = &rules.escalate[*position as usize];
            if !running.contains(position) {
                self.start_policy(id, rule, &ended);
            }
            if !rule.go_on {
                break;
            }
        }
        if positions.is_empty() && none_runs {
            self.start_fallback(id, newly, &ended);
        }
        self.give_back(positions);
        self.give_back(running);
    }

    /// `after` counts from here: from the opening for the policy that an incident opens with; for one that comes in later,
    /// or after a reopening, from then, or it would be late at once.
    fn start_policy(&mut self, id: IncidentId, rule: &EscalateRule, ended: &[PolicyRun]) {
        let step = |step: &crate::ruleset::EscalateStep| PolicyStep {
            due: self.now + step.after,
            notify: step.notify.clone(),
            unless_acknowledged: step.unless_acknowledged,
            state: StepState::Waiting,
        };
        let steps = rule.steps.iter().map(step).collect();
        // A pace of nothing at all would have no end.
        let repeat = rule.repeat.map(|repeat| repeat.max(PACE_MIN));
        let run = PolicyRun { update: rule.update, repeat, resolved: rule.resolved, ..self.new_run(rule.rule.clone(), steps) };
        self.start_run(id, run, ended);
    }

    fn start_fallback(&mut self, id: IncidentId, newly: bool, ended: &[PolicyRun]) {
        let Some(receiver) = self.default_receiver() else {
            if newly {
                self.record(Fact::IncidentWithoutPolicy { incident: id });
            }
            return;
        };
        let step = PolicyStep { due: self.now, notify: vec![receiver], unless_acknowledged: false, state: StepState::Waiting };
        let run = self.new_run(fallback_rule(), vec![step]);
        self.start_run(id, run, ended);
    }

    pub(super) fn default_receiver(&self) -> Option<Arc<str>> {
        self.receivers.iter().find(|name| &***name == DEFAULT_RECEIVER).cloned()
    }

    fn new_run(&self, rule: RuleRef, steps: Vec<PolicyStep>) -> PolicyRun {
        PolicyRun {
            rule,
            started_at: self.now,
            steps,
            update: UPDATE,
            repeat: None,
            resolved: true,
            update_due: None,
            last_update_at: None,
            repeat_due: None,
            paused_at: None,
            counts_from: None,
        }
    }

    fn start_run(&mut self, incident: IncidentId, mut run: PolicyRun, ended: &[PolicyRun]) {
        if let Some(incident) = self.state.incident(incident) {
            take_over(incident, &mut run, ended);
        }
        self.record(Fact::EscalationStarted { incident, run: Box::new(run) });
    }

    /// The alert by which an incident as a whole finds its policy: of those that fire (of all, if none does) the one that
    /// the first rule matches, and of these the oldest.
    pub(super) fn spokesman(&mut self, id: IncidentId) -> Option<Arc<AlertRecord>> {
        let mut matched = std::mem::take(&mut self.matched);
        let mut best: Option<((bool, u32, u64), Arc<AlertRecord>)> = None;
        for record in self.members(id) {
            let first = matched.by(&self.rules, record, Listed::Escalate).next();
            let rank = (!record.is_firing(), first.unwrap_or(u32::MAX), record.fired_seq);
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, record.clone()));
            }
        }
        self.matched = matched;
        best.map(|(_, record)| record)
    }

    /// Does all that the incident's policies have to do by now. While everything has cleared and only `resolve_after` is
    /// waited for, that is nothing.
    pub(super) fn run_policies(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        if !incident.status.is_active() || incident.resolve_due.is_some() {
            return;
        }
        let due = |run: &&PolicyRun| policy_due(run).is_some_and(|due| due <= self.now);
        let rules: Vec<Arc<str>> = incident.policies.iter().filter(due).map(|run| run.rule.name.clone()).collect();
        for rule in rules {
            // Who hears of it in this moment hears of it once, however much has come due.
            let mut heard = Vec::new();
            self.run_repeat(id, &rule, &mut heard);
            self.run_update(id, &rule, &mut heard);
            self.run_steps(id, &rule, &mut heard);
        }
    }

    fn policy_run(&self, id: IncidentId, rule: &str) -> Option<(&Incident, &PolicyRun)> {
        let incident = self.state.incident(id)?;
        Some((incident, incident.policies.iter().find(|run| &*run.rule.name == rule)?))
    }

    fn run_steps(&mut self, id: IncidentId, rule: &Arc<str>, heard: &mut Vec<Arc<str>>) {
        let Some((incident, run)) = self.policy_run(id, rule) else { return };
        let now = self.now;
        let due = |(_, step): &(u32, &PolicyStep)| step.state == StepState::Waiting && step.due <= now;
        let steps: Vec<(u32, PolicyStep)> =
            (0..).zip(&run.steps).filter(due).map(|(number, step)| (number, step.clone())).collect();
        let (reason, update_due) = (Reason::Rule(run.rule.clone()), run.update_due);
        let acknowledged = incident.acknowledged_by.clone().filter(|_| incident.status == IncidentStatus::Acknowledged);
        let mut said = false;
        for (number, step) in steps {
            let skipped = step.unless_acknowledged && acknowledged.is_some();
            self.record(Fact::EscalationStepped { incident: id, rule: rule.clone(), step: number, skipped });
            if skipped {
                continue;
            }
            said = true;
            for receiver in &step.notify {
                if heard.contains(receiver) {
                    continue;
                }
                heard.push(receiver.clone());
                let told = |opened: &OpenedAt| opened.receiver == *receiver && !opened.resolved;
                let again = self.state.incident(id).is_some_and(|incident| incident.opened_at_receivers.iter().any(told));
                self.notify(id, receiver, NotificationKind::Trigger, again, reason.clone());
                if let Some(who) = &acknowledged {
                    // A pager would ring until somebody acknowledged there, too.
                    let reason = Reason::Text(format!("acknowledged by {who} before").into());
                    self.notify(id, receiver, NotificationKind::Acknowledge, true, reason);
                }
            }
        }
        if said {
            self.told(id, rule, Told::Step);
            // An update that is still to come is for those who were told before.
            if let Some(due) = update_due.filter(|due| *due > now) {
                self.record(Fact::EscalationUpdatePlanned { incident: id, rule: rule.clone(), due });
            }
        }
    }

    fn run_update(&mut self, id: IncidentId, rule: &Arc<str>, heard: &mut Vec<Arc<str>>) {
        if self.policy_run(id, rule).and_then(|(_, run)| run.update_due).is_some_and(|due| due <= self.now) {
            self.tell_opened(id, rule, NotificationKind::Update, heard);
            self.told(id, rule, Told::Update);
        }
    }

    fn run_repeat(&mut self, id: IncidentId, rule: &Arc<str>, heard: &mut Vec<Arc<str>>) {
        let Some((incident, run)) = self.policy_run(id, rule) else { return };
        if run.repeat_due.is_some_and(|due| due <= self.now) {
            if incident.status == IncidentStatus::Open {
                self.tell_opened(id, rule, NotificationKind::Trigger, heard);
            }
            self.told(id, rule, Told::Repeat);
        }
    }

    /// Notes when the policy spoke, and when it says all again: an update pages nobody, so it puts that off for nobody.
    fn told(&mut self, id: IncidentId, rule: &Arc<str>, what: Told) {
        let Some((incident, run)) = self.policy_run(id, rule) else { return };
        let repeat_due = match what {
            _ if incident.status != IncidentStatus::Open => None,
            Told::Update => run.repeat_due,
            Told::Step | Told::Repeat => run.repeat.map(|repeat| self.now + repeat),
        };
        self.record(Fact::EscalationTold { incident: id, rule: rule.clone(), repeat_due });
    }

    /// Tells the receivers that this policy has opened the incident at.
    fn tell_opened(&mut self, id: IncidentId, rule: &Arc<str>, kind: NotificationKind, heard: &mut Vec<Arc<str>>) {
        let Some((incident, run)) = self.policy_run(id, rule) else { return };
        let told = |opened: &&OpenedAt| !opened.resolved && opened.policy == *rule && !heard.contains(&opened.receiver);
        let to: Vec<Arc<str>> = incident.opened_at_receivers.iter().filter(told).map(|opened| opened.receiver.clone()).collect();
        let reason = Reason::Rule(run.rule.clone());
        for receiver in to {
            self.notify(id, &receiver, kind, true, reason.clone());
            heard.push(receiver);
        }
    }

    /// Something about the incident is worth an update: it goes out as soon as the policy's pace allows.
    pub(super) fn plan_updates(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        let plan = |run: &PolicyRun| {
            let due = run.last_update_at.filter(|_| run.update_due.is_none())? + run.update;
            Some((run.rule.name.clone(), due.max(self.now)))
        };
        let plans: Vec<(Arc<str>, Time)> = incident.policies.iter().filter_map(plan).collect();
        for (rule, due) in plans {
            self.record(Fact::EscalationUpdatePlanned { incident: id, rule, due });
        }
    }

    /// Somebody has acknowledged: everybody who was told of the incident is told, but for the receiver that it came from.
    pub(super) fn tell_acknowledged(&mut self, id: IncidentId, by: &Actor) {
        let Some(incident) = self.state.incident(id) else { return };
        let from = |receiver: &Arc<str>| matches!(by, Actor::Receiver(name) if name == receiver);
        let told = incident.opened_at_receivers.iter().filter(|opened| !opened.resolved && !from(&opened.receiver));
        let to: Vec<Arc<str>> = told.map(|opened| opened.receiver.clone()).collect();
        for receiver in to {
            self.notify(id, &receiver, NotificationKind::Acknowledge, true, Reason::Actor(by.clone()));
        }
    }

    /// What was opened is closed, whatever has been silenced since, unless every policy that opened it there says
    /// otherwise. A message that was given up may have been taken all the same: its receiver is told, too.
    pub(super) fn tell_resolved(&mut self, id: IncidentId, reason: &Reason) {
        let Some(incident) = self.state.incident(id) else { return };
        let from = |receiver: &Arc<str>| matches!(reason, Reason::Actor(Actor::Receiver(name)) if name == receiver);
        let owed = incident.opened_at_receivers.iter().filter(|it| !it.resolved && !from(&it.receiver) && closes(incident, it));
        let to: Vec<Arc<str>> = owed.map(|opened| opened.receiver.clone()).collect();
        for receiver in to {
            self.notify(id, &receiver, NotificationKind::Resolve, true, reason.clone());
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
        let Some(default) = self.default_receiver().filter(|name| *name != lost.receiver) else { return };
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
        for id in &incidents {
            self.review_incident_pauses(*id);
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

    /// Pauses the escalation while all that fires is suppressed, lets it go on with what was left when that is over, and
    /// does what is due.
    pub(super) fn review_incident_pauses(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id).filter(|incident| incident.status.is_active()) else { return };
        let silent = incident.alerts_firing > 0 && incident.alerts_suppressed == incident.alerts_firing;
        // Mostly none has to change, and then nothing is allocated.
        let change = incident.policies.iter().filter(|run| run.paused_at.is_some() != silent);
        let changes: Vec<(Arc<str>, Option<Time>)> = change.map(|run| (run.rule.name.clone(), run.paused_at)).collect();
        for (rule, paused_at) in changes {
            self.record(match paused_at {
                None => Fact::EscalationPaused { incident: id, rule },
                Some(since) => Fact::EscalationContinued { incident: id, rule, paused_for: self.now.since(since) },
            });
        }
        self.run_policies(id);
    }
}

/// What a policy has said.
#[derive(Clone, Copy)]
enum Told {
    Step,
    Update,
    Repeat,
}

/// Whether any policy that has told this receiver of the incident, be it at work or ended, closes what it opened.
fn closes(incident: &Incident, opened: &OpenedAt) -> bool {
    let mut by = incident.policies.iter().filter(|run| run.has_told(opened)).peekable();
    opened.closes.unwrap_or(by.peek().is_none()) || by.any(|run| run.resolved)
}

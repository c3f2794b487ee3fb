//! The words that all answers share.

use crate::model::incident::{PolicyStep, StepState};
use crate::model::{AlertRecord, Incident, PolicyRun, Reason, RuleRef, Suppression};

/// The labels that say which thing an alert is about, the most telling first.
const THING_LABELS: [&str; 8] = ["host", "instance", "node", "pod", "device", "database", "service", "job"];

/// `DiskFull on host a`; its fingerprint where it has no name.
pub(super) fn alert_name(record: &AlertRecord) -> String {
    let labels = record.labels();
    let name = match labels.get("alertname") {
        "" => record.alert.fingerprint.to_string(),
        name => name.to_owned(),
    };
    match THING_LABELS.iter().find(|thing| !labels.get(thing).is_empty()) {
        Some(thing) => format!("{name} on {thing} {}", labels.get(thing)),
        None => name,
    }
}

/// `INC-7 (P2, open): Trouble on a`.
pub(super) fn incident_line(incident: &Incident) -> String {
    format!("{} (P{}, {}): {}", incident.id, incident.priority, incident.status.as_str(), incident.title)
}

/// Why something was decided, with the rule's file and line.
pub(super) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Rule(rule) => rule_name(rule),
        Reason::Alert(fingerprint, rule) => format!("alert {fingerprint} by {}", rule_name(rule)),
        Reason::Silence(id) => format!("silence {id}"),
        Reason::Actor(actor) => actor.to_string(),
        Reason::Text(text) => text.to_string(),
    }
}

/// `rule by-host (hosts.yaml:2)`.
pub(super) fn rule_name(rule: &RuleRef) -> String {
    format!("rule {rule}")
}

/// `inhibition, by …, until …`.
pub(super) fn suppression(by: &Suppression) -> String {
    let until = by.until.map(|until| format!(", until {until}")).unwrap_or_default();
    format!("{}, by {}{until}", by.kind.as_str(), reason(&by.reason))
}

/// A step of an escalation: who, when, and what became of it.
pub(super) fn step(number: usize, step: &PolicyStep, run: &PolicyRun) -> String {
    let (whom, due) = (step.notify.join(", "), step.due);
    let unless = if step.unless_acknowledged { ", unless somebody has acknowledged by then" } else { "" };
    match step.state {
        StepState::Done => format!("step {}, due {due}: told {whom}", number + 1),
        StepState::Skipped => format!("step {}, due {due}: left out, because the incident was acknowledged by then", number + 1),
        StepState::Waiting if run.paused_at.is_some() => {
            format!("step {}: will tell {whom} when the escalation goes on{unless}", number + 1)
        }
        StepState::Waiting => format!("step {}: will tell {whom} at {due}{unless}", number + 1),
    }
}

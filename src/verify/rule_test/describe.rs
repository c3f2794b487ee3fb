//! Incidents and suppressed alerts in words, for who has to find out why a test fails.

use std::sync::Arc;

use crate::model::incident::{PolicyStep, StepState};
use crate::model::{AlertRecord, Incident, PolicyRun, Reason, Suppression};
use crate::verify::player::Player;

/// Alerts of one incident that are shown.
const ALERTS_SHOWN: usize = 5;

/// An open incident for people: what it is, why it is there, who is told, which alerts are in it.
pub(super) fn incident_lines(incident: &Incident, player: &Player) -> Vec<String> {
    let category = match &incident.subcategory {
        Some(subcategory) => format!("{}/{subcategory}", incident.category),
        None => incident.category.to_string(),
    };
    let team = incident.team.as_deref().unwrap_or("none");
    let mut lines = vec![
        format!(
            "{} {} P{} {category}, team {team}, {} of {} alerts fire: {}",
            incident.id,
            incident.status.as_str(),
            incident.priority,
            incident.alerts_firing,
            incident.alerts_total,
            incident.title
        ),
        format!("opened by rule {}, key {}", incident.rule, incident.key),
        format!("priority from {}", reason_text(&incident.priority_reason)),
    ];
    if incident.policies.is_empty() {
        lines.push("told nobody: no escalation rule fits".to_owned());
    }
    lines.extend(incident.policies.iter().map(|run| policy_line(run, incident)));
    let mut alerts: Vec<_> = player.state().alerts().filter(|record| record.incidents.contains(&incident.id)).collect();
    alerts.sort_by_key(|record| record.fired_seq);
    lines.extend(alerts.iter().take(ALERTS_SHOWN).map(|record| format!("alert {} {}", record.labels(), record.status.as_str())));
    if alerts.len() > ALERTS_SHOWN {
        lines.push(format!("and {} more alerts", alerts.len() - ALERTS_SHOWN));
    }
    lines
}

fn policy_line(run: &PolicyRun, incident: &Incident) -> String {
    let step = |step: &PolicyStep| {
        let state = match step.state {
            StepState::Done => "told",
            StepState::Skipped => "left out",
            StepState::Waiting => "waits for",
        };
        format!("; step after {}: {state} {}", step.due.since(incident.opened_at), step.notify.join(", "))
    };
    let steps: String = run.steps.iter().map(step).collect();
    let paused = if run.paused_at.is_some() { "; paused, because all that fires is suppressed" } else { "" };
    format!("escalation rule {}{steps}{paused}", run.rule)
}

/// A suppressed alert, and by what it is.
pub(super) fn suppressed_line(record: &Arc<AlertRecord>) -> String {
    format!("{} by {}", record.labels(), suppressions(record))
}

/// All that suppresses an alert.
pub(super) fn suppressions(record: &AlertRecord) -> String {
    let one = |by: &Suppression| format!("{} ({})", by.kind.as_str(), reason_text(&by.reason));
    record.suppressed_by.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Why something was decided, with the rule's file and line.
pub(super) fn reason_text(reason: &Reason) -> String {
    match reason {
        Reason::Rule(rule) | Reason::Alert(_, rule) => format!("rule {rule}"),
        Reason::Silence(id) => format!("silence {id}"),
        Reason::Actor(actor) => format!("by {actor}"),
        Reason::Text(text) => text.to_string(),
    }
}

//! Why somebody was told: from the message back to the alerts.

use super::incident::parts;
use super::words::{reason, step};
use super::{Explanation, Line, Records};
use crate::model::incident::StepState;
use crate::model::{Notification, NotificationId, NotificationKind, Reason};
use crate::ruleset::Ruleset;

/// Explains a notification; `None` for one that is not known.
#[must_use]
pub fn explain_notification(records: &Records, rules: &Ruleset, id: NotificationId) -> Option<Explanation> {
    let notification = records.notifications.get(&id)?;
    let incident = records.incidents.get(&notification.incident);
    let mut answer = Explanation {
        kind: "notification",
        id: id.external(&records.directory),
        title: format!("{} to {} about {}", notification.kind.as_str(), notification.receiver, notification.incident),
        at: records.now,
        notes: records.notes(rules, notification.created_at, incident.map(|incident| &incident.rule)),
        parts: Vec::new(),
    };
    answer.part("Why was it sent?", sending(notification, records));
    answer.part("What became of it?", outcome(notification));
    match incident {
        Some(incident) => parts(&mut answer, records, rules, incident),
        None => answer.notes.push(format!("{} has closed, and is not known any more", notification.incident)),
    }
    Some(answer)
}

fn sending(notification: &Notification, records: &Records) -> Vec<Line> {
    let what = match notification.kind {
        NotificationKind::Trigger if notification.again => "tells of the incident again",
        NotificationKind::Trigger => "tells of the incident for the first time",
        NotificationKind::Update => "tells that something about the incident is new",
        NotificationKind::Acknowledge => "tells that somebody works on it",
        NotificationKind::Resolve => "closes what was opened there",
    };
    let text = format!("it {what}, because of {}", reason(&notification.reason));
    let mut lines = vec![Line::new(text).because(&notification.reason)];
    // The step that was due last by then, and named the receiver, is the one that spoke.
    if let (NotificationKind::Trigger, Reason::Rule(rule)) = (notification.kind, &notification.reason)
        && let Some(incident) = records.incidents.get(&notification.incident)
        && let Some(run) = incident.policies.iter().find(|run| run.rule.name == rule.name)
    {
        let spoke = run.steps.iter().enumerate().rfind(|(_, it)| {
            it.state == StepState::Done && it.due <= notification.created_at && it.notify.contains(&notification.receiver)
        });
        lines.extend(spoke.map(|(number, it)| Line::new(step(number, it, run))));
    }
    lines
}

fn outcome(notification: &Notification) -> Vec<Line> {
    let fault = notification.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let when = match (notification.delivered_at, notification.retry_at) {
        (Some(at), _) => format!(" at {at}"),
        (None, Some(at)) => format!(", next try at {at}"),
        (None, None) => String::new(),
    };
    let tried = match notification.attempts {
        1 => "after one attempt".to_owned(),
        many => format!("after {many} attempts"),
    };
    let text = format!("{}{when}, {tried}{fault}", notification.state.as_str());
    vec![Line::new(text)]
}

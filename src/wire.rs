//! The JSON shapes of incidents and alerts, one for the API and for webhooks. Writes only; what clients send has its own types.
//!
//! Every field is always there; what is absent is `null`. Times are RFC 3339 in UTC with milliseconds.

use serde_json::{Map, Value, json};

use crate::model::{AlertRecord, Cause, Change, Incident, Labels, Suppression, Time};

/// What the table of live alerts knows beside an alert's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub last_seen: Time,
    /// Refreshes since it began to fire.
    pub repeats: u32,
}

/// An incident.
#[must_use]
pub fn incident_json(incident: &Incident) -> Value {
    json!({
        "id": incident.id.to_string(),
        "title": &*incident.title,
        "status": incident.status.as_str(),
        "type": incident.incident_type().as_str(),
        "priority": incident.priority,
        "impact": incident.impact,
        "urgency": incident.urgency,
        "severity": incident.severity.as_str(),
        "category": &*incident.category,
        "subcategory": incident.subcategory.as_deref(),
        "team": incident.team.as_deref(),
        "assignee": incident.assignee.as_deref(),
        "services": incident.services.iter().map(|name| &**name).collect::<Vec<&str>>(),
        "labels": labels_json(&incident.labels),
        "rule": &*incident.rule.name,
        "key": labels_json(&incident.key),
        "alerts": { "total": incident.alerts_total, "firing": incident.alerts_firing },
        "parent": incident.parent.map(|id| id.to_string()),
        "runbook": incident.runbook.as_deref(),
        "causes": incident.causes().iter().map(cause_json).collect::<Vec<Value>>(),
        "opened_at": incident.opened_at.to_rfc3339(),
        "updated_at": incident.updated_at.to_rfc3339(),
        "acknowledged_at": incident.acknowledged_at.map(Time::to_rfc3339),
        "resolved_at": incident.resolved_at.map(Time::to_rfc3339),
        "version": incident.version,
    })
}

/// An alert; `seen` for one that is live.
#[must_use]
pub fn alert_json(record: &AlertRecord, seen: Option<Seen>) -> Value {
    json!({
        "fingerprint": record.alert.fingerprint.to_string(),
        "status": record.status.as_str(),
        "labels": labels_json(record.labels()),
        "annotations": labels_json(&record.alert.annotations),
        "starts_at": record.alert.starts_at.to_rfc3339(),
        "ends_at": record.ends_at.map(Time::to_rfc3339),
        "source": &*record.alert.source,
        "last_seen": seen.map(|seen| seen.last_seen.to_rfc3339()),
        "repeats": seen.map(|seen| seen.repeats),
        "incidents": record.incidents.iter().map(ToString::to_string).collect::<Vec<String>>(),
        "suppressed_by": record.suppressed_by.iter().map(suppression_json).collect::<Vec<Value>>(),
    })
}

/// A change as it was reported.
#[must_use]
pub fn change_json(change: &Change) -> Value {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "id": &*change.id,
        "kind": &*change.kind,
        "entities": change.things.iter().map(|thing| &**thing).collect::<Vec<&str>>(),
        "cluster": change.cluster.as_deref(),
        "environment": change.environment.as_deref(),
        "started_at": change.started_at.to_rfc3339(),
        "ended_at": change.ended_at.map(Time::to_rfc3339),
        "summary": given(&change.summary),
        "url": given(&change.url),
        "reported_by": &*change.reported_by,
        "author": change.author.as_deref(),
    })
}

/// A probable cause with its reasons as sentences.
fn cause_json(cause: &Cause) -> Value {
    json!({
        "entity": &*cause.entity,
        "score": cause.score,
        "reasons": cause.reasons.iter().map(ToString::to_string).collect::<Vec<String>>(),
    })
}

/// A set of labels or annotations as an object.
#[must_use]
pub fn labels_json(labels: &Labels) -> Value {
    Value::Object(labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<String, Value>>())
}

fn suppression_json(suppression: &Suppression) -> Value {
    json!({ "kind": suppression.kind.as_str(), "id": suppression.id() })
}

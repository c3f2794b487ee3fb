//! Dynatrace's custom integration with our template, or with its default one.
//!
//! A problem is a correlation of Dynatrace's own. What it says of the cause is kept as a note: evidence, and no truth.

use super::{Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const SEVERITIES: [(&str, Severity); 6] = [
    ("AVAILABILITY", Severity::Critical),
    ("ERROR", Severity::High),
    ("MONITORING_UNAVAILABLE", Severity::High),
    ("PERFORMANCE", Severity::Medium),
    ("RESOURCE_CONTENTION", Severity::Medium),
    ("CUSTOM_ALERT", Severity::Medium),
];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let state = match body.need("State")?.to_ascii_uppercase().as_str() {
        "OPEN" => State::Firing,
        // What was merged goes on under another id.
        "RESOLVED" | "CLOSED" | "MERGED" => State::Resolved,
        other => return Err(Unmapped(format!("`State` {other:?} is not known"))),
    };
    let title = body.need("ProblemTitle")?;
    let details = body.get("ProblemDetailsJSONv2");
    let started = details.time("startTime");
    let at = if state == State::Resolved { details.time("endTime") } else { started };
    let severity = words::severity(body.notes(), body.text("ProblemSeverity").as_deref(), &SEVERITIES);
    let root = details.text("rootCauseEntity.name");
    let one = body.text("ImpactedEntityNames").filter(|names| !names.contains(','));
    let is_host = body.list("ImpactedEntities").first().and_then(|first| first.text("type")).as_deref() == Some("HOST");
    out.event(
        Event::new(format!("problem:{}", body.need("ProblemID")?), state)
            .named(&title, Some(title.clone()))
            .tags(words::pairs(&body.text("Tags").unwrap_or_default()))
            .label(if is_host { "host" } else { "service" }, one)
            .note("description", body.text("ProblemDetailsText"))
            .note("impact", body.text("ImpactedEntity"))
            .note("root_cause", root)
            .note("problem", body.text("PID"))
            .link(body.text("ProblemURL"))
            .severity(severity)
            .since(started)
            .at(at),
    );
    Ok(())
}

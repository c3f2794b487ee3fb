//! Azure Monitor's common alert schema.

use super::{Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const SEVERITIES: [(&str, Severity); 5] = [
    ("Sev0", Severity::Critical),
    ("Sev1", Severity::High),
    ("Sev2", Severity::Medium),
    ("Sev3", Severity::Low),
    ("Sev4", Severity::Info),
];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    if body.text("schemaId").as_deref() != Some("azureMonitorCommonAlertSchema") {
        return Err(Unmapped("`schemaId` is not azureMonitorCommonAlertSchema: turn the common alert schema on".to_owned()));
    }
    let essentials = body.get("data.essentials");
    let state = match essentials.need("monitorCondition")?.to_ascii_lowercase().as_str() {
        "fired" => State::Firing,
        "resolved" => State::Resolved,
        other => return Err(Unmapped(format!("`data.essentials.monitorCondition` {other:?} is not known"))),
    };
    // The case of resource ids varies from message to message.
    let key = format!("alert:{}", essentials.need("alertId")?.to_ascii_lowercase());
    let rule = essentials.need("alertRule")?;
    let fired = essentials.time("firedDateTime");
    let at = if state == State::Resolved { essentials.time("resolvedDateTime") } else { fired };
    let severity = words::severity(body.notes(), essentials.text("severity").as_deref(), &SEVERITIES);
    let resource = essentials.texts("configurationItems").into_iter().next();
    let condition = body.list("data.alertContext.condition.allOf");
    let metric = condition.first().and_then(|first| first.text("metricName"));
    out.event(
        Event::new(key, state)
            .named(&rule, Some(rule.clone()))
            .tags(body.pairs("data.customProperties"))
            .tags(body.pairs("data.alertContext.properties"))
            .label("resource", resource)
            .note("description", essentials.text("description"))
            .note("metric", metric)
            .note("value", condition.first().and_then(|first| first.text("metricValue")))
            .note("threshold", condition.first().and_then(|first| first.text("threshold")))
            .link(condition.first().and_then(|first| first.text("linkToSearchResultsUI")))
            .severity(severity)
            .since(fired)
            .at(at),
    );
    Ok(())
}

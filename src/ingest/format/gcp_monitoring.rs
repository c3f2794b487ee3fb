//! Google Cloud Monitoring's webhook channel, version 1.2.

use super::{Aside, Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const SEVERITIES: [(&str, Severity); 3] =
    [("Critical", Severity::Critical), ("Error", Severity::High), ("Warning", Severity::Medium)];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let incident = body.get("incident");
    let word = incident.need("state")?;
    let state = match word.to_ascii_lowercase().as_str() {
        "open" => State::Firing,
        "closed" => State::Resolved,
        other => return Err(Unmapped(format!("`incident.state` {other:?} is neither open nor closed"))),
    };
    // The button that tries a channel writes the state in capitals, and a policy that does not exist.
    if word == "OPEN" || word == "CLOSED" {
        out.aside(Aside::Test);
        return Ok(());
    }
    let severity = incident.text("severity").filter(|word| !word.eq_ignore_ascii_case("no severity"));
    let started = incident.time("started_at");
    let at = if state == State::Resolved { incident.time("ended_at") } else { started };
    let policy = incident
        .first(&["policy_name", "condition_name"])
        .ok_or_else(|| Unmapped("`incident.policy_name` is missing".to_owned()))?;
    out.event(
        Event::new(format!("incident:{}", incident.need("incident_id")?), state)
            .named(&policy, Some(policy.clone()))
            .tags(incident.pairs("policy_user_labels"))
            .tags(incident.pairs("metadata.user_labels"))
            .label("service", incident.text("resource.labels.service_name"))
            .label("host", incident.text("resource.labels.instance_id"))
            .label("cluster", incident.text("resource.labels.cluster_name"))
            .label("namespace", incident.text("resource.labels.namespace_name"))
            .label("region", incident.text("resource.labels.location"))
            .label("resource", incident.text("resource_display_name"))
            .note("description", incident.text("summary"))
            .note("runbook", incident.first(&["documentation.content", "documentation"]))
            .note("condition", incident.text("condition_name"))
            .note("value", incident.text("observed_value"))
            .note("threshold", incident.text("threshold_value"))
            .link(incident.text("url"))
            .severity(words::severity(body.notes(), severity.as_deref(), &SEVERITIES))
            .since(started)
            .at(at),
    );
    Ok(())
}

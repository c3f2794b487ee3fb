//! New Relic: the default template of a workflow's webhook (one message per change of an issue), and the older channel's
//! (one per incident).

use super::{Event, Field, Out, State, Unmapped, words};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    out.event(if body.is_there("current_state") { incident(body)? } else { issue(body)? });
    Ok(())
}

fn issue(body: Field<'_>) -> Result<Event, Unmapped> {
    let state = match body.need("state")?.to_ascii_uppercase().as_str() {
        "CREATED" | "ACTIVATED" => State::Firing,
        "ACKNOWLEDGED" => State::Acknowledged,
        "CLOSED" | "DEACTIVATED" => State::Resolved,
        other => return Err(Unmapped(format!("`state` {other:?} is not known"))),
    };
    let title = body.need("title")?;
    // A title changes with what joins the issue; the first condition does not.
    let name = body.texts("alertConditionNames").into_iter().next().unwrap_or_else(|| title.clone());
    let entities = body.texts("impactedEntities");
    Ok(Event::new(format!("issue:{}", body.need("id")?), state)
        .named(&name, Some(title))
        .label("service", entities.first().cloned())
        .note("entities", Some(entities.join(", ")))
        .note("policy", body.texts("alertPolicyNames").into_iter().next())
        .link(body.text("issueUrl"))
        .severity(words::severity(body.notes(), body.text("priority").as_deref(), &[]))
        .since(body.time("createdAt"))
        .at(body.time("updatedAt")))
}

fn incident(body: Field<'_>) -> Result<Event, Unmapped> {
    let state = match body.need("current_state")?.to_ascii_lowercase().as_str() {
        "open" => State::Firing,
        "acknowledged" => State::Acknowledged,
        "closed" => State::Resolved,
        other => return Err(Unmapped(format!("`current_state` {other:?} is not known"))),
    };
    let name = body.need("condition_name")?;
    let target = body.list("targets").into_iter().next();
    let labels = target.map(|target| target.pairs("labels")).unwrap_or_default();
    Ok(Event::new(format!("incident:{}", body.need("incident_id")?), state)
        .named(&name, Some(name.clone()))
        .label("service", target.and_then(|target| target.text("name")))
        .tags(labels)
        .note("description", body.text("details"))
        .note("policy", body.text("policy_name"))
        .note("runbook", body.text("runbook_url"))
        .link(body.text("incident_url"))
        .severity(words::severity(body.notes(), body.text("severity").as_deref(), &[]))
        .at(body.time("timestamp")))
}

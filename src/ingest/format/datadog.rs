//! Datadog's webhook with our template; its default payload is read as far as it goes.

use super::{Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const PRIORITIES: [(&str, Severity); 5] =
    [("P1", Severity::Critical), ("P2", Severity::High), ("P3", Severity::Medium), ("P4", Severity::Low), ("P5", Severity::Info)];

const TYPES: [(&str, Severity); 3] = [("error", Severity::High), ("warning", Severity::Medium), ("success", Severity::Info)];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    match body.text("alert_transition") {
        Some(transition) => out.event(with_template(body, &transition)?),
        None => out.event(without_template(body)?),
    }
    Ok(())
}

fn with_template(body: Field<'_>, transition: &str) -> Result<Event, Unmapped> {
    let (state, no_data, is_warning) = match transition.to_ascii_lowercase().as_str() {
        "triggered" | "re-triggered" | "renotify" => (State::Firing, false, false),
        "warn" | "re-warn" => (State::Firing, false, true),
        "no data" | "re-no data" => (State::Firing, true, false),
        "recovered" => (State::Resolved, false, false),
        other => return Err(Unmapped(format!("`alert_transition` {other:?} is not known"))),
    };
    let scope = body.text("alert_scope").unwrap_or_default();
    let key = match body.text("alert_cycle_key") {
        Some(cycle) => format!("cycle:{cycle}"),
        None => format!("alert:{}/{scope}", body.need("alert_id")?),
    };
    let title = body.first(&["alert_title", "event_title"]).ok_or_else(|| Unmapped("`alert_title` is missing".to_owned()))?;
    let severity = match body.text("alert_priority") {
        Some(priority) => words::severity(body.notes(), Some(&priority), &PRIORITIES),
        None => words::severity(body.notes(), body.text("alert_type").as_deref(), &TYPES),
    };
    // `Severity` is worst first, so the greater of two is the milder.
    let severity = if is_warning { severity.map(|it| it.max(Severity::Medium)) } else { severity };
    let event = Event::new(key, state)
        .named(&title, Some(title.clone()))
        .label("host", body.text("hostname"))
        .tags(words::pairs(&scope))
        .tags(words::pairs(&body.text("tags").unwrap_or_default()))
        .severity(severity)
        .no_data(no_data)
        .at(body.time("date"));
    Ok(described(event, body))
}

/// The payload of a webhook where nobody pasted a template: no monitor, no transition, only an event.
fn without_template(body: Field<'_>) -> Result<Event, Unmapped> {
    let (id, title) = (body.need("id")?, body.need("title")?);
    let (state, no_data) = match title.to_ascii_lowercase() {
        it if it.contains("[recovered") => (State::Resolved, false),
        it if it.contains("[no data") => (State::Firing, true),
        it if it.contains("[triggered") || it.contains("[warn") || it.contains("[re-") => (State::Firing, false),
        _ => return Err(Unmapped("this is the default payload and its `title` says no state: install the template".to_owned())),
    };
    let event = Event::new(format!("event:{id}"), state)
        .named(&title, Some(title.clone()))
        .no_data(no_data)
        .note("setup", Some("the webhook has no template: each message is an alert of its own".to_owned()))
        .at(body.time("date"));
    Ok(described(event, body))
}

fn described(event: Event, body: Field<'_>) -> Event {
    event
        .note("description", body.first(&["event_msg", "body"]))
        .note("condition", body.text("alert_status"))
        .note("query", body.text("alert_query"))
        .note("snapshot", body.text("snapshot"))
        .link(body.text("link"))
}

//! Sentry's internal integration: an issue alert, the issue itself, a metric alert, told apart by what the body has.
//!
//! An issue alert only ever says that something happened. Its end is the issue's, which somebody resolves or archives.

use super::{Aside, Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const LEVELS: [(&str, Severity); 5] = [
    ("fatal", Severity::Critical),
    ("error", Severity::High),
    ("warning", Severity::Medium),
    ("info", Severity::Info),
    ("debug", Severity::Info),
];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let (action, data) = (body.need("action")?, body.get("data"));
    if data.is_there("event") {
        return issue_alert(data, out);
    }
    if data.is_there("metric_alert") {
        return metric_alert(data, &action, out);
    }
    if data.is_there("issue") {
        return issue(data.get("issue"), &action, out);
    }
    // An installation, a comment, a seat: the integration's own affairs.
    out.aside(Aside::Comment(action));
    Ok(())
}

fn issue_alert(data: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let event = data.get("event");
    let pair = |tag: Field<'_>| {
        let [name, value] = tag.items().try_into().ok()?;
        Some((Field::as_text(name)?, Field::as_text(value)?))
    };
    let tags: Vec<(String, String)> = event.list("tags").into_iter().filter_map(pair).collect();
    let title = event.need("title")?;
    let project = event.text("url").and_then(|url| project(&url));
    out.event(
        Event::new(format!("issue:{}", event.need("issue_id")?), State::Firing)
            .named(&title, Some(title.clone()))
            .tags(tags)
            .label("env", event.text("environment"))
            .label("service", project)
            .note("rule", data.text("triggered_rule"))
            .note("culprit", event.text("culprit"))
            .note("release", event.text("release"))
            .link(event.text("web_url"))
            .severity(words::severity(data.notes(), event.text("level").as_deref(), &LEVELS))
            .at(event.time("datetime")),
    );
    Ok(())
}

/// The project's short name: `…/projects/<organization>/<project>/events/…`.
fn project(url: &str) -> Option<String> {
    url.split("/projects/").nth(1)?.split('/').nth(1).map(str::to_owned)
}

fn issue(issue: Field<'_>, action: &str, out: &mut Out) -> Result<(), Unmapped> {
    let state = match action {
        "resolved" | "ignored" | "archived" => State::Resolved,
        "unresolved" => State::Firing,
        other => {
            out.aside(Aside::Comment(format!("an issue is {other}")));
            return Ok(());
        }
    };
    let title = issue.need("title")?;
    out.event(
        Event::new(format!("issue:{}", issue.need("id")?), state)
            .named(&title, Some(title.clone()))
            .label("service", issue.text("project.slug"))
            .note("culprit", issue.text("culprit"))
            .link(issue.text("web_url"))
            .severity(words::severity(issue.notes(), issue.text("level").as_deref(), &LEVELS)),
    );
    Ok(())
}

fn metric_alert(data: Field<'_>, action: &str, out: &mut Out) -> Result<(), Unmapped> {
    let alert = data.get("metric_alert");
    let (state, severity) = match action {
        "critical" => (State::Firing, Some(Severity::Critical)),
        "warning" => (State::Firing, Some(Severity::Medium)),
        "resolved" => (State::Resolved, None),
        other => return Err(Unmapped(format!("`action` {other:?} is not known of a metric alert"))),
    };
    let started = alert.time("date_started");
    let at = if state == State::Resolved { alert.time("date_closed") } else { started };
    let name = alert.text("alert_rule.name").map_or_else(|| alert.need("title"), Ok)?;
    out.event(
        Event::new(format!("metric_alert:{}", alert.need("id")?), state)
            .named(&name, alert.text("title"))
            .label("service", alert.texts("projects").into_iter().next())
            .label("env", alert.text("alert_rule.environment"))
            .note("description", data.text("description_text"))
            .note("query", alert.text("alert_rule.query"))
            .link(data.text("web_url"))
            .severity(severity)
            .since(started)
            .at(at),
    );
    Ok(())
}

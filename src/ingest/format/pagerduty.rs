//! PagerDuty's Events API, version 2, inbound: what speaks to PagerDuty speaks to us with another address.

use std::sync::Arc;

use super::{Aside, Event, Field, Key, Out, State, Unmapped, words};
use crate::model::{Change, Severity, Time, cause};

const SEVERITIES: [(&str, Severity); 4] =
    [("critical", Severity::Critical), ("error", Severity::High), ("warning", Severity::Medium), ("info", Severity::Info)];

const SUMMARY_CHARS_MAX: usize = 1024;
const DEDUP_KEY_CHARS_MAX: usize = 255;

/// What is wrong with an event, in PagerDuty's words: all of it, because its clients show that to people.
#[must_use]
pub fn faults(body: Field<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    let action = body.text("event_action");
    match action.as_deref() {
        None => faults.push("'event_action' is missing or blank".to_owned()),
        Some("trigger" | "acknowledge" | "resolve") => {}
        Some(_) => faults
            .push("'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')".to_owned()),
    }
    match body.text("dedup_key") {
        Some(key) if key.chars().count() > DEDUP_KEY_CHARS_MAX => {
            faults.push(format!("'dedup_key' is too long (maximum is {DEDUP_KEY_CHARS_MAX} characters)"));
        }
        None if matches!(action.as_deref(), Some("acknowledge" | "resolve")) => {
            faults.push("'dedup_key' is missing or blank".to_owned());
        }
        _ => {}
    }
    if action.as_deref() != Some("trigger") {
        return faults;
    }
    let payload = body.get("payload");
    for name in ["summary", "source", "severity"] {
        if payload.text(name).is_none() {
            faults.push(format!("'payload.{name}' is missing or blank"));
        }
    }
    if payload.text("summary").is_some_and(|text| text.chars().count() > SUMMARY_CHARS_MAX) {
        faults.push(format!("'payload.summary' is too long (maximum is {SUMMARY_CHARS_MAX} characters)"));
    }
    let known = |word: &String| SEVERITIES.iter().any(|(name, _)| name == word);
    if payload.text("severity").is_some_and(|word| !known(&word)) {
        faults.push(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')".to_owned(),
        );
    }
    faults
}

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    // The key is a secret, and was looked at by whoever let the body in.
    body.get("routing_key").use_up();
    if !body.is_there("event_action") && body.is_there("payload") {
        return change(body, out);
    }
    let faults = faults(body);
    if !faults.is_empty() {
        return Err(Unmapped(faults.join("; ")));
    }
    let state = match body.text("event_action").as_deref() {
        Some("resolve") => State::Resolved,
        Some("acknowledge") => State::Acknowledged,
        _ => State::Firing,
    };
    let key = body.text("dedup_key").map_or(Key::Fresh, |key| Key::Said(format!("dedup:{key}")));
    let event = Event { key, ..Event::unkeyed(state) };
    out.event(if state == State::Firing { described(event, body) } else { event });
    Ok(())
}

fn described(event: Event, body: Field<'_>) -> Event {
    let payload = body.get("payload");
    let details = payload.pairs("custom_details");
    let summary = payload.text("summary");
    let name = payload.text("class").or_else(|| summary.clone()).unwrap_or_default();
    let event = event
        .named(&name, summary)
        .tags(details.clone())
        .label("host", payload.text("source"))
        .label("component", payload.text("component"))
        .label("group", payload.text("group"))
        .severity(words::severity(body.notes(), payload.text("severity").as_deref(), &SEVERITIES))
        .at(payload.time("timestamp"))
        .link(body.text("client_url"))
        .note("client", body.text("client"))
        .note("link", body.list("links").first().and_then(|link| link.text("href")))
        .note("details", payload.text("custom_details"));
    details
        .into_iter()
        .filter(|(name, _)| !words::is_label(name))
        .fold(event, |event, (name, value)| event.note(&name, Some(value)))
}

/// What was changed, as those who look for causes want it: the service where it is named, else where it came from.
fn change(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let payload = body.get("payload");
    let (summary, source) = (payload.need("summary")?, payload.text("source"));
    let service = payload.text("custom_details.service");
    let thing = match (&service, &source) {
        (Some(service), _) => cause::thing(service),
        (None, Some(source)) => cause::thing(source),
        (None, None) => return Err(Unmapped("`payload.source` is missing".to_owned())),
    };
    let text = |text: Option<String>| -> Arc<str> { text.unwrap_or_default().into() };
    let started_at = payload.time("timestamp").unwrap_or(Time::EPOCH);
    out.aside(Aside::Change(Box::new(Change {
        id: format!("pagerduty:{}:{}:{summary}", started_at.0, source.unwrap_or_default()).into(),
        kind: "deploy".into(),
        things: vec![thing],
        cluster: payload.text("custom_details.cluster").map(Arc::from),
        started_at,
        ended_at: None,
        summary: summary.into(),
        url: text(body.list("links").first().and_then(|link| link.text("href"))),
        reported_by: "".into(),
        author: None,
        environment: payload.text("custom_details.environment").map(Arc::from),
    })));
    Ok(())
}

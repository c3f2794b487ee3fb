//! Zabbix' webhook media type with our parameters: texts all, macros that had nothing to say left standing.
//!
//! Its dates are in the server's zone, which it does not say: they are not used, and the moment of arrival counts.

use super::{Aside, Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const SEVERITIES: [(&str, Severity); 6] = [
    ("0", Severity::Info),
    ("1", Severity::Info),
    ("2", Severity::Medium),
    ("3", Severity::Medium),
    ("4", Severity::High),
    ("5", Severity::Critical),
];

/// How deep the tags may be nested: they are a list of maps.
const TAGS_DEPTH: usize = 4;

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    if let Some(kind) = body.text("event_source").filter(|kind| kind != "0" && kind != "4") {
        // Discovery, registration, Zabbix itself: nobody's alert.
        out.aside(Aside::Comment(format!("an event of source {kind}")));
        return Ok(());
    }
    let is_yes = |path: &str| body.text(path).is_some_and(|word| word.eq_ignore_ascii_case("yes"));
    let is_update = body.text("event_update_status").as_deref() == Some("1");
    let state = match body.need("event_value")?.as_str() {
        "0" => State::Resolved,
        "1" if is_update && is_yes("event_ack_status") => State::Acknowledged,
        "1" => State::Firing,
        other => return Err(Unmapped(format!("`event_value` {other:?} is neither 0 nor 1"))),
    };
    let name = body.need("event_name")?;
    let trigger = body.text("trigger_name").unwrap_or_else(|| name.clone());
    out.event(
        Event::new(format!("event:{}", body.need("event_id")?), state)
            .named(&trigger, Some(name))
            .tags(tags(body))
            .label("host", body.text("host_host"))
            .note("description", body.text("trigger_description"))
            .note("value", body.first(&["event_opdata", "item_value"]))
            .note("item", body.text("item_key"))
            .note("groups", body.text("host_groups"))
            .note("address", body.text("host_ip"))
            .link(body.first(&["trigger_url", "zabbix_url"]))
            .severity(words::severity(body.notes(), body.text("event_nseverity").as_deref(), &SEVERITIES)),
    );
    Ok(())
}

/// Tags are JSON in a text, and a macro in one of them may have broken it: then there are none, and the alert stays.
fn tags(body: Field<'_>) -> Vec<(String, String)> {
    let Ok(list) = body.inner("event_tags_json", TAGS_DEPTH) else { return Vec::new() };
    list.items().into_iter().filter_map(|tag| Some((tag.text("tag")?.to_lowercase(), tag.text("value")?))).collect()
}

//! Uptime Kuma's webhook, as JSON or as a form. Its trial message and its warning of a certificate have neither heartbeat
//! nor monitor, only a text.

use super::{Aside, Event, Field, Out, State, Unmapped, words};
use crate::model::{Millis, Severity};

/// It warns of a certificate at 21, 14 and 7 days, and never says that there is a new one.
const CERTIFICATE: Millis = Millis::hours(8 * 24);

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    if !body.is_there("heartbeat") {
        text_only(&body.need("msg")?, out);
        return Ok(());
    }
    let (heartbeat, monitor) = (body.get("heartbeat"), body.get("monitor"));
    let state = match heartbeat.need("status")?.as_str() {
        "0" => State::Firing,
        "1" => State::Resolved,
        other => {
            // 2 is being looked at, 3 is maintenance.
            out.aside(Aside::Comment(format!("heartbeat status {other}")));
            return Ok(());
        }
    };
    let id = monitor.first(&["id"]).or_else(|| heartbeat.text("monitorID"));
    let id = id.ok_or_else(|| Unmapped("`monitor.id` is missing".to_owned()))?;
    let name = monitor.need("name")?;
    let tags: Vec<(String, String)> =
        monitor.list("tags").into_iter().filter_map(|tag| Some((tag.text("name")?.to_lowercase(), tag.text("value")?))).collect();
    let word = tags.iter().find(|(name, _)| name == "severity").map(|(_, value)| value.as_str());
    // An outside probe that fails is what customers see; a tag says otherwise.
    let severity = words::severity(body.notes(), word.or(Some("critical")), &[]).filter(|_| state != State::Resolved);
    out.event(
        Event::new(format!("monitor:{id}"), state)
            .named(&name, Some(name.clone()))
            .tags(tags)
            .label("host", monitor.text("hostname"))
            .note("description", heartbeat.text("msg"))
            .note("path", monitor.text("pathName"))
            .link(monitor.text("url"))
            .severity(severity)
            .at(heartbeat.time("time")),
    );
    Ok(())
}

fn text_only(text: &str, out: &mut Out) {
    if !text.contains("certificate") {
        out.aside(Aside::Test);
        return;
    }
    // "in 14 days" will be "in 7 days", and is the same alert.
    let masked: String = text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    let masked = masked.replace("##", "#").replace("##", "#");
    let name = text.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or("certificate");
    let mut event = Event::new(format!("msg:{masked}"), State::Firing)
        .named("certificate expires", Some(text.to_owned()))
        .label("monitor", Some(name.to_owned()))
        .severity(Some(Severity::Medium));
    event.timeout = Some(CERTIFICATE);
    out.event(event);
}

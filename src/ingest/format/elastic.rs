//! Kibana's webhook connector with our template, once for the alert's action group and once for "Recovered".

use super::{Event, Field, Out, State, Unmapped, words};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let group =
        body.first(&["alert.action_group", "event"]).ok_or_else(|| Unmapped("`alert.action_group` is missing".to_owned()))?;
    let state = if group == "recovered" { State::Resolved } else { State::Firing };
    let name = body.need("rule.name")?;
    let tags = words::pairs(&body.text("rule.tags").unwrap_or_default());
    let word = tags.iter().find(|(name, _)| name == "severity").map(|(_, value)| value.as_str());
    let severity = words::severity(body.notes(), word, &[]);
    out.event(
        Event::new(format!("{}/{}", body.need("rule.id")?, body.need("alert.id")?), state)
            .named(&name, Some(name.clone()))
            .tags(tags)
            .note("description", body.text("context.reason"))
            .note("group", body.text("context.group"))
            .note("value", body.text("context.value"))
            .note("lifecycle", body.text("alert.uuid"))
            .link(body.first(&["context.alert_details_url", "rule.url", "kibana_base_url"]))
            .severity(severity)
            .at(body.time("date")),
    );
    Ok(())
}

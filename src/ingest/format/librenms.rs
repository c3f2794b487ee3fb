//! LibreNMS' API transport with our template: texts all. Its timestamps are in the server's zone, and are not used.

use super::{Event, Field, Out, State, Unmapped, words};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let state = match body.need("state")?.as_str() {
        "0" => State::Resolved,
        "1" | "3" | "4" | "5" => State::Firing,
        "2" => State::Acknowledged,
        other => return Err(Unmapped(format!("`state` {other:?} is not known"))),
    };
    let name = body.first(&["name", "title"]).ok_or_else(|| Unmapped("`name` is missing".to_owned()))?;
    let key = format!("{}/{}", body.need("device_id")?, body.need("rule_id")?);
    let severity = body.text("severity").filter(|word| !word.eq_ignore_ascii_case("ok"));
    out.event(
        Event::new(key, state)
            .named(&name, Some(name.clone()))
            .label("host", body.first(&["hostname", "sysName"]))
            .note("description", body.text("msg"))
            .note("faults", body.text("faults"))
            .note("comment", body.text("alert_notes"))
            .note("location", body.text("location"))
            .note("address", body.text("ip"))
            .note("rule", body.text("rule"))
            .severity(words::severity(body.notes(), severity.as_deref(), &[])),
    );
    Ok(())
}

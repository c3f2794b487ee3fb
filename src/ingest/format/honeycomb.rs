//! Honeycomb's trigger webhook. The body has no time and no severity.

use super::{Aside, Event, Field, Out, State, Unmapped};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let state = match body.need("status")?.to_ascii_uppercase().as_str() {
        "TRIGGERED" => State::Firing,
        "OK" => State::Resolved,
        other => return Err(Unmapped(format!("`status` {other:?} is neither TRIGGERED nor OK"))),
    };
    // The page that tries a recipient sends a trigger that is none.
    let Some(id) = body.text("id") else {
        out.aside(Aside::Test);
        return Ok(());
    };
    let name = body.need("name")?;
    let groups: Vec<String> = body.list("result_groups_triggered").into_iter().map(group).collect();
    out.event(
        Event::new(format!("trigger:{id}"), state)
            .named(&name, Some(name.clone()))
            .note("description", body.text("description"))
            .note("threshold", body.text("threshold"))
            .note("groups", Some(groups.join("; ")))
            .link(body.text("result_url")),
    );
    Ok(())
}

/// `http.route=/api/orders: 2214`.
fn group(group: Field<'_>) -> String {
    let names: Vec<String> = group.pairs("Group").into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}: {}", names.join(", "), group.text("Result").unwrap_or_default())
}

//! Pingdom's webhook. Its tags have no names.

use super::{Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

const IMPORTANCES: [(&str, Severity); 2] = [("HIGH", Severity::Critical), ("LOW", Severity::Medium)];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let state = match body.need("current_state")?.to_ascii_uppercase().as_str() {
        "DOWN" | "FAILING" => State::Firing,
        "UP" | "SUCCESS" => State::Resolved,
        other => return Err(Unmapped(format!("`current_state` {other:?} is not known"))),
    };
    let name = body.need("check_name")?;
    let (env, service) = words::bare(&body.texts("tags"));
    out.event(
        Event::new(format!("check:{}", body.need("check_id")?), state)
            .named(&name, Some(name.clone()))
            .label("service", service)
            .label("env", env)
            .label("host", body.text("check_params.hostname"))
            .note("description", body.first(&["long_description", "description"]))
            .note("probe", body.text("first_probe.location"))
            .note("second_probe", body.text("second_probe.location"))
            .note("type", body.text("check_type"))
            .link(body.text("check_params.full_url"))
            .severity(words::severity(body.notes(), body.text("importance_level").as_deref(), &IMPORTANCES))
            .at(body.time("state_changed_timestamp").or_else(|| body.time("state_changed_utc_time"))),
    );
    Ok(())
}

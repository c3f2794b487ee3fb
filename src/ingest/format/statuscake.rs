//! StatusCake's ping: a form, with no number of the test and tags without names.

use super::{Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    // A digest of the account's key: a secret, and no part of what is said.
    body.get("Token").use_up();
    let state = match body.need("Status")?.to_ascii_lowercase().as_str() {
        "down" => State::Firing,
        "up" => State::Resolved,
        other => return Err(Unmapped(format!("`Status` {other:?} is neither Up nor Down"))),
    };
    let (name, url) = (body.need("Name")?, body.text("URL").unwrap_or_default());
    let tags = body.text("Tags").unwrap_or_default();
    let (env, service) = words::bare(&tags.split(',').collect::<Vec<&str>>());
    let code = body.text("StatusCode").map(|code| if code == "0" { "timed out".to_owned() } else { code });
    out.event(
        Event::new(format!("test:{name}|{url}"), state)
            .named(&name, Some(name.clone()))
            .label("service", service)
            .label("env", env)
            .note("status_code", code)
            .note("address", body.text("IP"))
            .link(Some(url))
            // An outside probe that fails is what customers see.
            .severity((state == State::Firing).then_some(Severity::Critical)),
    );
    Ok(())
}

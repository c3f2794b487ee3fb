//! PRTG's HTTP action with our postdata: a form. Its dates are in the server's form and zone, and are not used.

use super::{Aside, Event, Field, Out, State, Unmapped};
use crate::model::Severity;

/// What a status means. Servers in other languages write other words; those are for a `generic` source.
enum Meaning {
    Firing(Option<Severity>),
    NoData,
    Acknowledged,
    Up,
    Paused,
}

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let status = body.need("status")?;
    let by_priority = body.text("priority").as_deref().and_then(stars);
    let (state, severity) = match meaning(&status) {
        Some(Meaning::Firing(severity)) => (State::Firing, severity.or(by_priority)),
        Some(Meaning::NoData) => (State::Firing, by_priority),
        Some(Meaning::Acknowledged) => (State::Acknowledged, by_priority),
        Some(Meaning::Up) => (State::Resolved, by_priority),
        Some(Meaning::Paused) => {
            out.aside(Aside::Comment(status));
            return Ok(());
        }
        None => return Err(Unmapped(format!("`status` {status:?} is not known"))),
    };
    let name = body.first(&["sensor", "shortname"]).ok_or_else(|| Unmapped("`sensor` is missing".to_owned()))?;
    out.event(
        Event::new(format!("sensor:{}", body.need("sensorid")?), state)
            .named(&name, Some(name.clone()))
            .label("host", body.text("device"))
            .note("description", body.first(&["message", "lastmessage"]))
            .note("value", body.text("lastvalue"))
            .note("group", body.text("group"))
            .note("address", body.text("host"))
            .link(body.text("linksensor"))
            .severity(severity)
            .no_data(matches!(meaning(&status), Some(Meaning::NoData))),
    );
    Ok(())
}

fn meaning(status: &str) -> Option<Meaning> {
    let status = status.to_lowercase();
    Some(match status.as_str() {
        "down (acknowledged)" => Meaning::Acknowledged,
        _ if status.starts_with("down") => Meaning::Firing(None),
        _ if status.starts_with("warning") || status.starts_with("unusual") => Meaning::Firing(Some(Severity::Medium)),
        _ if status.starts_with("unknown") => Meaning::NoData,
        _ if status.starts_with("up") => Meaning::Up,
        _ if status.starts_with("paused") => Meaning::Paused,
        _ => return None,
    })
}

/// `*****` is the highest of five priorities.
fn stars(priority: &str) -> Option<Severity> {
    let stars = priority.chars().filter(|c| *c == '*').count();
    Severity::ALL.into_iter().nth(5_usize.checked_sub(stars)?)
}

//! Icinga 2, three ways: our notification script, a line of its event stream, an event of Icinga Notifications. All give
//! one check the same key.

use super::{Aside, Event, Field, Out, State, Unmapped, states, words};
use crate::model::Severity;

/// Of Icinga Notifications; syslog's words.
const SYSLOG: [(&str, Severity); 9] = [
    ("emerg", Severity::Critical),
    ("alert", Severity::Critical),
    ("crit", Severity::Critical),
    ("err", Severity::High),
    ("warning", Severity::Medium),
    ("notice", Severity::Low),
    ("info", Severity::Info),
    ("debug", Severity::Info),
    ("ok", Severity::Info),
];

/// The states of the stream's services, by number.
const SERVICE_STATES: [&str; 4] = ["OK", "WARNING", "CRITICAL", "UNKNOWN"];

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    if body.is_there("notification") {
        return script(body, out);
    }
    if body.is_there("tags") { notifications(body, out) } else { stream(body, out) }
}

fn script(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let Some(state) = states::told(body, "notification.type", out)? else { return Ok(()) };
    let check = body.text("service.name");
    let of = body.get(if check.is_some() { "service" } else { "host" });
    let word = of.need("state")?;
    let event = about(body, &body.need("host.name")?, check.as_deref(), state, Some(&word))
        .named(check.as_deref().unwrap_or("host down"), of.text("output"))
        .tags(body.pairs("vars"))
        .note("comment", body.text("notification.comment"))
        .note("performance", of.text("perfdata"))
        .note("address", body.text("host.address"));
    out.event(event.at(body.time("icinga.timet")));
    Ok(())
}

fn stream(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let (kind, host, check) = (body.need("type")?, body.need("host")?, body.text("service"));
    let state_number = body.text("state").or_else(|| body.text("check_result.state"));
    let word = match (&check, state_number.as_deref().and_then(|number| number.parse::<usize>().ok())) {
        (Some(_), Some(number)) => SERVICE_STATES.get(number).copied(),
        (None, Some(number)) => Some(if number == 0 { "UP" } else { "DOWN" }),
        (_, None) => None,
    };
    let state = match kind.as_str() {
        // A soft state is one that is still being looked at.
        "StateChange" if body.text("state_type").as_deref() == Some("0") => {
            out.aside(Aside::Comment("a soft state".to_owned()));
            return Ok(());
        }
        "StateChange" if word.is_some_and(states::is_good) => State::Resolved,
        "StateChange" if word.is_some() => State::Firing,
        "AcknowledgementSet" => State::Acknowledged,
        "Notification" => match states::told(body, "notification_type", out)? {
            Some(state) => state,
            None => return Ok(()),
        },
        "StateChange" => return Err(Unmapped("`state` is missing".to_owned())),
        other => {
            out.aside(Aside::Comment(format!("an event of type {other}")));
            return Ok(());
        }
    };
    let event = about(body, &host, check.as_deref(), state, word)
        .named(check.as_deref().unwrap_or("host down"), body.text("check_result.output"));
    out.event(event.at(body.time("timestamp")));
    Ok(())
}

fn notifications(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let (host, check, word) = (body.need("tags.host")?, body.text("tags.service"), body.need("severity")?);
    let state = if word.eq_ignore_ascii_case("ok") { State::Resolved } else { State::Firing };
    let severity = words::severity(body.notes(), Some(&word), &SYSLOG).filter(|_| state != State::Resolved);
    let vars = body.pairs("relations.host.vars").into_iter();
    let vars = vars.chain(body.list("relations.services").into_iter().flat_map(|service| service.pairs("vars")));
    out.event(
        about(body, &host, check.as_deref(), state, None)
            .named(check.as_deref().unwrap_or("host down"), body.text("message"))
            .tags(vars.collect())
            .link(body.text("url"))
            .severity(severity),
    );
    Ok(())
}

fn about(body: Field<'_>, host: &str, check: Option<&str>, state: State, word: Option<&str>) -> Event {
    let key = check.map_or_else(|| host.to_owned(), |check| format!("{host}!{check}"));
    let severity = word.filter(|word| !states::is_good(word));
    Event::new(key, state)
        .label("host", Some(host.to_owned()))
        .severity(words::severity(body.notes(), severity, &states::SEVERITIES))
        .no_data(word.is_some_and(states::is_no_data))
}

//! Netdata Cloud's webhook: an alert, whose end is the severity `clear`, or the reachability of a node.

use super::{Event, Field, Out, State, Unmapped, words};

pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    out.event(if body.is_there("status.reachable") { reachability(body)? } else { alert(body)? });
    Ok(())
}

fn reachability(body: Field<'_>) -> Result<Event, Unmapped> {
    let is_up = body.text("status.reachable").as_deref() == Some("true");
    let state = if is_up { State::Resolved } else { State::Firing };
    let host = body.need("host")?;
    let severity = body.text("severity").filter(|_| !is_up);
    Ok(Event::new(format!("reachability:{host}"), state)
        .named("host unreachable", body.text("message"))
        .label("host", Some(host))
        .link(body.text("url"))
        .severity(words::severity(body.notes(), severity.as_deref(), &[])))
}

fn alert(body: Field<'_>) -> Result<Event, Unmapped> {
    let word = body.need("severity")?;
    let state = if word.eq_ignore_ascii_case("clear") { State::Resolved } else { State::Firing };
    let (name, space) = (body.need("alert")?, body.text("space").unwrap_or_default());
    let message = body.text("message");
    // No field is documented to name the host; the text begins with it.
    let said = message.as_deref().and_then(|text| text.split_once(": ")).map(|(host, _)| host.to_owned());
    let host = body.text("host").or(said.filter(|host| !host.contains(' ')));
    let url = body.text("alert_url");
    let last = url.as_deref().and_then(|url| url.rsplit('/').next()).filter(|last| !last.is_empty());
    let key = match (last, &host) {
        (Some(last), _) => format!("{space}/{last}"),
        (None, Some(host)) => format!("{space}/{host}/{name}/{}", body.text("chart").unwrap_or_default()),
        (None, None) => return Err(Unmapped("neither `alert_url` nor a host is there: two hosts would be one".to_owned())),
    };
    let severity = Some(word.as_str()).filter(|_| state != State::Resolved);
    Ok(Event::new(key, state)
        .named(&name, message)
        .label("host", host)
        .label("component", body.text("family"))
        .note("description", body.text("info"))
        .note("chart", body.text("chart"))
        .link(url)
        .severity(words::severity(body.notes(), severity, &[]))
        .at(body.time("date")))
}

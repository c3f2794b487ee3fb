//! Opsgenie's Alert API, inbound: what creates and closes alerts there does so here with another address.
//!
//! Which alert a close or an acknowledgement is about stands in its path, not in its body.

use super::{Event, Field, Key, Out, State, Unmapped, words};

/// Of an alert that says none.
const PRIORITY: &str = "P3";

/// What a path below `/v2/alerts` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    Close(Named),
    Acknowledge(Named),
    Note(Named),
    /// Something that Opsgenie has and we do not: assign, snooze, tags, another description.
    Other(Named),
}

/// The alert that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Alias(String),
    /// The id that our answer to its creation gave.
    Id(String),
}

impl Call {
    /// The call of a path behind `/v2/alerts`, whose percent signs are undone part by part, and of a query. Opsgenie changes
    /// fields by PUT, all else is a POST.
    #[must_use]
    pub fn of(rest: &str, query: &str, is_put: bool, decode: impl Fn(&str) -> String) -> Option<Call> {
        if rest.is_empty() || rest == "/" {
            return (!is_put).then_some(Call::Create);
        }
        let (name, act) = rest.strip_prefix('/')?.split_once('/')?;
        let name = decode(name);
        let by_alias = query.split('&').any(|pair| pair.eq_ignore_ascii_case("identifierType=alias"));
        let named = if by_alias { Named::Alias(name) } else { Named::Id(name) };
        Some(match (is_put, act) {
            (false, "close") => Call::Close(named),
            (false, "acknowledge") => Call::Acknowledge(named),
            (false, "notes") => Call::Note(named),
            (false, "unacknowledge" | "snooze" | "assign" | "escalate" | "tags" | "details" | "responders")
            | (true, "message" | "description" | "priority") => Call::Other(named),
            _ => return None,
        })
    }

    /// The news that a call on a known alert is, where it is any.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        match self {
            Call::Close(named) => Some(Event::new(named.key(), State::Resolved)),
            Call::Acknowledge(named) => Some(Event::new(named.key(), State::Acknowledged)),
            Call::Create | Call::Note(_) | Call::Other(_) => None,
        }
    }
}

impl Named {
    /// As [`Event`]s are keyed.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Named::Alias(alias) => format!("alias:{alias}"),
            Named::Id(id) => id.clone(),
        }
    }
}

/// Reads a creation.
pub(super) fn read(body: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let message = body.need("message")?;
    let key = body.text("alias").map_or(Key::Fresh, |alias| Key::Said(format!("alias:{alias}")));
    let (env, _) = words::bare(&body.texts("tags"));
    let details = body.pairs("details");
    let priority = body.text("priority").unwrap_or_else(|| PRIORITY.to_owned());
    let severity = words::severity(body.notes(), Some(&priority), &[]);
    let responders: Vec<String> =
        body.list("responders").into_iter().filter_map(|it| it.first(&["name", "username", "id"])).collect();
    let event = Event { key, ..Event::unkeyed(State::Firing) }
        .named(&message, Some(message.clone()))
        .tags(details.clone())
        .label("env", env)
        .label("host", body.text("source"))
        .note("entity", body.text("entity"))
        .note("description", body.text("description"))
        .note("responders", Some(responders.join(", ")))
        .note("comment", body.text("note"))
        .severity(severity);
    let rest = details.into_iter().filter(|(name, _)| !words::is_label(name));
    out.event(rest.fold(event, |event, (name, value)| event.note(&name, Some(value))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_calls() {
        let alias = |name: &str| Named::Alias(name.to_owned());
        let (post, put) = (false, true);
        let cases = [
            (post, "", "", Some(Call::Create)),
            (put, "", "", None),
            (post, "/a%2Fb/close", "identifierType=alias", Some(Call::Close(alias("a/b")))),
            (put, "/a%2Fb/close", "identifierType=alias", None),
            (post, "/a/acknowledge", "x=1&identifierType=alias", Some(Call::Acknowledge(alias("a")))),
            (post, "/a/notes", "", Some(Call::Note(Named::Id("a".to_owned())))),
            (post, "/a/snooze", "identifierType=alias", Some(Call::Other(alias("a")))),
            (put, "/a/message", "identifierType=alias", Some(Call::Other(alias("a")))),
            (post, "/a/message", "identifierType=alias", None),
            (post, "/a/explode", "", None),
            (post, "/a", "", None),
            (post, "x", "", None),
        ];
        for (is_put, rest, query, expected) in cases {
            assert_eq!(Call::of(rest, query, is_put, |part| part.replace("%2F", "/")), expected, "{rest}?{query}");
        }
    }
}

//! CloudEvents 1.0: one structured event, a batch of them, or one whose attributes are headers. The alert in `data` is by
//! our convention, or the event's type ends in `.firing` or `.resolved`.

use hyper::HeaderMap;

use super::{Event, Field, Out, State, Unmapped, words};
use crate::model::Severity;

pub(super) fn read(body: Field<'_>, headers: &HeaderMap, out: &mut Out) -> Result<(), Unmapped> {
    if body.is_list() {
        out.each(body.items(), |event, out| alert(&Attributes::Inside(event), event.get("data"), out));
        return Ok(());
    }
    if body.is_there("specversion") {
        return alert(&Attributes::Inside(body), body.get("data"), out);
    }
    if headers.contains_key("ce-specversion") {
        return alert(&Attributes::Headers(headers), body, out);
    }
    Err(Unmapped("`specversion` is missing".to_owned()))
}

/// Where an event's attributes are.
enum Attributes<'a> {
    Inside(Field<'a>),
    Headers(&'a HeaderMap),
}

impl Attributes<'_> {
    fn text(&self, name: &str) -> Option<String> {
        match self {
            Attributes::Inside(event) => event.text(name),
            Attributes::Headers(headers) => {
                let value = headers.get(format!("ce-{name}"))?.to_str().ok()?;
                Some(unescape(value)).filter(|text| !text.is_empty())
            }
        }
    }

    fn need(&self, name: &str) -> Result<String, Unmapped> {
        self.text(name).ok_or_else(|| Unmapped(format!("`{name}` is missing")))
    }
}

fn alert(event: &Attributes<'_>, data: Field<'_>, out: &mut Out) -> Result<(), Unmapped> {
    let (kind, source) = (event.need("type")?, event.need("source")?);
    let (stem, ending) = kind.rsplit_once('.').unwrap_or((&kind, ""));
    let word = data.text("status").unwrap_or_else(|| ending.to_owned());
    let state = match word.as_str() {
        "firing" => State::Firing,
        "resolved" => State::Resolved,
        "acknowledged" => State::Acknowledged,
        _ => return Err(Unmapped(format!("neither `data.status` nor the end of `type` {kind:?} is firing or resolved"))),
    };
    let subject = event.text("subject");
    let key = match data.text("dedup_key") {
        Some(key) => format!("ce:{key}"),
        None => format!("ce:{source}/{}/{stem}", subject.as_deref().unwrap_or_default()),
    };
    let name = subject.unwrap_or_else(|| stem.to_owned());
    let severity = match data.text("severity") {
        Some(word) => words::severity(data.notes(), Some(&word), &[]),
        None => event.text("severitynumber").and_then(|number| number.parse().ok()).map(by_number),
    };
    let at = event.text("time").and_then(|text| super::moment::parse(&text));
    out.event(
        Event::new(key, state)
            .named(&name, data.first(&["title", "summary"]))
            .tags(words::fields(data))
            .note("description", data.text("description"))
            .note("event", event.text("id"))
            .note("sender", Some(source))
            .link(data.list("links").first().and_then(|link| link.text("href")))
            .severity(severity)
            .at(at),
    );
    Ok(())
}

/// OpenTelemetry's numbers.
fn by_number(number: u32) -> Severity {
    match number {
        21.. => Severity::Critical,
        17..=20 => Severity::High,
        13..=16 => Severity::Medium,
        _ => Severity::Info,
    }
}

/// A header's value without its percent signs, which stand for what headers may not have.
fn unescape(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let pair = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = pair.filter(|_| *first == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

//! A story as the text of a test file.

use std::sync::Arc;

use super::record::{Recorded, Seen, Word};
use crate::engine::Act;
use crate::model::{AlertRecord, Incident, IncidentId, Labels, Millis, Silence, Time};

/// Before the first alert, so that silences that were there already can be made.
const BEFORE: Millis = Millis::minutes(1);

pub(super) fn write(id: IncidentId, recorded: &Recorded) -> String {
    let first = recorded.alerts.first().map_or(Time::EPOCH, |word| word.at);
    let start = Time(first.0 - first.0.rem_euclid(BEFORE.0)) - BEFORE;
    let story = Story { start, recorded };
    let title = recorded.checks.iter().flat_map(|seen| &seen.open).find(|incident| incident.id == id);
    let name = title.map_or(id.to_string(), |incident| format!("{id}: {}", incident.title));
    let mut lines = vec![format!("# {id} as it was recorded.{}", story.others(id)), "tests:".to_owned()];
    lines.push(format!("  - name: {}", scalar(&name)));
    lines.push(format!("    start: {}", start.to_rfc3339()));
    lines.push("    alerts:".to_owned());
    lines.extend(recorded.alerts.iter().map(|word| story.alert(word)));
    if !recorded.acts.is_empty() || !recorded.silences.is_empty() {
        lines.push("    acts:".to_owned());
    }
    lines.extend(recorded.silences.iter().map(|silence| story.silence(silence)));
    lines.extend(recorded.acts.iter().map(|(at, act, by)| story.act(*at, act, by)));
    lines.push("    expect:".to_owned());
    lines.extend(recorded.checks.iter().flat_map(|seen| story.check(seen)));
    lines.join("\n") + "\n"
}

struct Story<'r> {
    start: Time,
    recorded: &'r Recorded,
}

impl Story<'_> {
    /// What an incident is called in the test, where they count from 1.
    fn name(&self, id: IncidentId) -> String {
        let position = self.recorded.incidents.iter().position(|known| *known == id);
        position.map_or(id.to_string(), |position| format!("INC-{}", position + 1))
    }

    fn others(&self, id: IncidentId) -> String {
        let name = |other: &IncidentId| format!("{other} ({} here)", self.name(*other));
        let others: Vec<String> = self.recorded.incidents.iter().filter(|other| **other != id).map(name).collect();
        let called = self.name(id);
        match others.is_empty() {
            true if called == id.to_string() => String::new(),
            true => format!(" Here it is {called}."),
            false => format!(" Here it is {called}. It hangs together with {}.", others.join(", ")),
        }
    }

    fn at(&self, at: Time) -> Millis {
        Millis(at.since(self.start).0.max(0))
    }

    fn alert(&self, word: &Word) -> String {
        let (at, labels) = (self.at(word.at), mapping(&word.alert.labels));
        if !word.fires {
            return format!("      - {{ at: {at}, resolve: {labels} }}{}", if word.expired { " # it expired" } else { "" });
        }
        let annotations = &word.alert.annotations;
        let annotations = if annotations.is_empty() { String::new() } else { format!(", annotations: {}", mapping(annotations)) };
        format!("      - {{ at: {at}, labels: {labels}{annotations}, source: {} }}", scalar(&word.alert.source))
    }

    fn silence(&self, silence: &Silence) -> String {
        let at = silence.starts_at.max(self.start);
        let matchers: Vec<String> = silence.matchers.iter().map(|matcher| scalar(&matcher.to_string())).collect();
        let (length, by) = (silence.ends_at.since(at), scalar(&silence.created_by));
        format!("      - {{ at: {}, silence: {{ match: [{}], for: {length} }}, by: {by} }}", self.at(at), matchers.join(", "))
    }

    fn act(&self, at: Time, act: &Act, by: &Arc<str>) -> String {
        let what = match act {
            Act::Acknowledge(id) => format!("acknowledge: {}", self.name(*id)),
            Act::Assign(id, None) => format!("assign: {}, to: ~", self.name(*id)),
            Act::Assign(id, Some(to)) => format!("assign: {}, to: {}", self.name(*id), scalar(to)),
            Act::Comment(id, text) => format!("comment: {}, text: {}", self.name(*id), scalar(text)),
            Act::Resolve(id) => format!("resolve: {}", self.name(*id)),
            Act::Reopen(id) => format!("reopen: {}", self.name(*id)),
            Act::Close(id) => format!("close: {}", self.name(*id)),
            Act::SetType(id, to, why) => format!("{}: {}, text: {}", to.as_str(), self.name(*id), scalar(why)),
            Act::Beat(name) => format!("beat: {}", scalar(name)),
            // Silences have their own list, and nobody notes a retry of a message.
            Act::SetSilence(_)
            | Act::SetSilenceOfAll(_)
            | Act::EndSilence(_)
            | Act::RetryNotification(_)
            | Act::RecordChange(_)
            | Act::Report(_) => return String::new(),
        };
        format!("      - {{ at: {}, {what}, by: {} }}", self.at(at), scalar(by))
    }

    fn check(&self, seen: &Seen) -> Vec<String> {
        let notified: Vec<String> = seen.notified.iter().map(|name| scalar(name)).collect();
        let mut lines = vec![format!("      - at: {}", self.at(seen.at))];
        lines.extend(list("incidents", seen.open.iter().map(|incident| self.incident(incident)).collect()));
        lines.push(format!("        notified: [{}]", notified.join(", ")));
        lines.extend(list("suppressed", seen.suppressed.iter().map(|record| suppressed(record)).collect()));
        lines
    }

    fn incident(&self, incident: &Incident) -> String {
        let optional = |value: &Option<Arc<str>>| value.as_ref().map_or("~".to_owned(), |value| scalar(value));
        let fields = [
            ("id", self.name(incident.id)),
            ("rule", scalar(&incident.rule.name)),
            ("key", mapping(&incident.key)),
            ("title", scalar(&incident.title)),
            ("status", incident.status.as_str().to_owned()),
            ("count", incident.alerts_total.to_string()),
            ("firing", incident.alerts_firing.to_string()),
            ("priority", incident.priority.to_string()),
            ("category", scalar(&incident.category)),
            ("subcategory", optional(&incident.subcategory)),
            ("team", optional(&incident.team)),
        ];
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{{ {} }}", fields.join(", "))
    }
}

fn suppressed(record: &AlertRecord) -> String {
    let kind = record.suppressed_by.first().map_or(String::new(), |by| format!(", kind: {}", by.kind.as_str()));
    format!("{{ labels: {}{kind} }}", mapping(record.labels()))
}

fn list(key: &str, items: Vec<String>) -> Vec<String> {
    if items.is_empty() {
        return vec![format!("        {key}: []")];
    }
    let items = items.into_iter().map(|item| format!("          - {item}"));
    std::iter::once(format!("        {key}:")).chain(items).collect()
}

fn mapping(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{}: {}", scalar(name), scalar(value))).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

/// A text as YAML reads it back: bare where it is a plain word, else in the double quotes and escapes that it shares with
/// JSON.
fn scalar(text: &str) -> String {
    const NOT_TEXTS: [&str; 10] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !NOT_TEXTS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    // What no YAML text may hold as it is, and what would end or reorder a line.
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if hidden(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

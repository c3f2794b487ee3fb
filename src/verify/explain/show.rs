//! An explanation for people and for programs.

use serde_json::{Value, json};

use super::{Explanation, Line};
use crate::model::Reason;

/// An explanation, given as JSON, as lines for a terminal: the subject, what to know before, then each question with its
/// answer below it. `clean` makes a text that came from outside fit to be printed.
pub fn text(explanation: &Value, clean: impl Fn(&str) -> String) -> String {
    let field = |value: &Value| clean(value.as_str().unwrap_or_default());
    let (title, id) = (field(&explanation["title"]), field(&explanation["id"]));
    let mut lines = vec![match explanation["kind"].as_str() {
        Some("pair") => title,
        Some("incident") => format!("incident {title}"),
        kind => format!("{} {title} ({id})", kind.unwrap_or_default()),
    }];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    lines.extend(list(&explanation["notes"]).iter().map(|note| format!("note: {}", field(note))));
    for part in list(&explanation["parts"]) {
        lines.extend([String::new(), field(&part["question"])]);
        lines.extend(list(&part["lines"]).iter().map(|line| format!("  {}", field(&line["text"]))));
    }
    lines.join("\n") + "\n"
}

impl Explanation {
    /// The same as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let line = |line: &Line| json!({ "text": line.text, "reason": line.reason.as_ref().map(reason_json) });
        let parts = self.parts.iter().map(|part| {
            let lines: Vec<Value> = part.lines.iter().map(line).collect();
            json!({ "question": part.question, "lines": lines })
        });
        json!({
            "kind": self.kind,
            "id": self.id,
            "title": self.title,
            "at": self.at.to_rfc3339(),
            "notes": self.notes,
            "parts": parts.collect::<Vec<Value>>(),
        })
    }
}

/// As in timelines: the rule with its place, the silence, the alert or the person.
fn reason_json(reason: &Reason) -> Value {
    match reason {
        Reason::Rule(rule) => json!({ "rule": &*rule.name, "file": &*rule.file, "line": rule.line }),
        Reason::Alert(fingerprint, rule) => {
            json!({ "alert": fingerprint.to_string(), "rule": &*rule.name, "file": &*rule.file, "line": rule.line })
        }
        Reason::Silence(id) => json!({ "silence": id.to_string() }),
        Reason::Actor(actor) => json!({ "actor": actor.to_string() }),
        Reason::Text(text) => json!({ "text": &**text }),
    }
}

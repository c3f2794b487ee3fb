//! An explanation for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use super::{Explanation, Line};
use crate::model::Reason;

/// Lines for a terminal: the subject, what to know before, then each question with its answer below it.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            "pair" => writeln!(f, "{}", self.title)?,
            "incident" => writeln!(f, "incident {}", self.title)?,
            kind => writeln!(f, "{kind} {} ({})", self.title, self.id)?,
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        for part in &self.parts {
            writeln!(f, "\n{}", part.question)?;
            part.lines.iter().try_for_each(|line| writeln!(f, "  {}", line.text))?;
        }
        Ok(())
    }
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

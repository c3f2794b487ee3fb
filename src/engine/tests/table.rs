//! Tables of expressions in documents: each line with what comes of it.
//!
//! | line | says |
//! | --- | --- |
//! | `alert host=db-1 env=prod` | the labels of the alert that the lines below are about; its source is `test` |
//! | `annotations summary="a b"` | its annotations |
//! | `incident count=7 services=cart,shop priority=2 age=5m` | the incident that the lines below are about |
//! | `common env=prod` | the labels that all its alerts share |
//! | `EXPRESSION  => ANSWER` | true, false, why it fails, or what is wrong with it |

use std::sync::Arc;

use super::story::{self, START};
use crate::model::{Incident, IncidentId, Labels, Millis, RuleRef, Severity};
use crate::ruleset::{AlertSubject, Expression, IncidentSubject, Sees, Subject};

/// What the lines are about.
struct About {
    sees: Sees,
    labels: Labels,
    annotations: Labels,
    incident: Incident,
    age: Millis,
}

/// The block with every answer written anew.
pub(super) fn answer(block: &str) -> String {
    let incident = Incident::opened(IncidentId(1), RuleRef::built_in("any"), "".into(), 1, START);
    let mut about =
        About { sees: Sees::Alert, labels: Labels::default(), annotations: Labels::default(), incident, age: Millis::ZERO };
    let mut out = String::new();
    for line in block.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let labels = || story::alert(rest, START).labels.clone();
        match word {
            "alert" => (about.sees, about.labels) = (Sees::Alert, labels()),
            "annotations" => about.annotations = labels(),
            "common" => about.incident.labels = Arc::new(labels()),
            "incident" => {
                about.sees = Sees::Incident;
                about.age = set(&mut about.incident, &labels());
            }
            _ => {
                let text = line.split_once("  => ").map_or(line, |(text, _)| text).trim_end();
                let answer = if text.is_empty() { String::new() } else { format!("{text:<60}  => {}", about.answer(text)) };
                out.push_str(&answer);
                out.push('\n');
                continue;
            }
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// Sets an incident's fields; its age.
fn set(incident: &mut Incident, fields: &Labels) -> Millis {
    incident.alerts_total = fields.get("count").parse().unwrap_or(1);
    incident.severity = Severity::of(fields);
    incident.services = Arc::new(fields.get("services").split(',').filter(|name| !name.is_empty()).map(Arc::from).collect());
    incident.category = fields.get("category").into();
    incident.team = Some(fields.get("team").into()).filter(|team: &Arc<str>| !team.is_empty());
    incident.priority = fields.get("priority").parse().unwrap_or(5);
    Millis::parse(fields.get("age")).unwrap_or(Millis::ZERO)
}

impl About {
    fn answer(&self, text: &str) -> String {
        let expression = match Expression::compile(text, self.sees) {
            Ok(expression) => expression,
            Err(faults) => return format!("error: {}", faults[0].message),
        };
        // As if each of the incident's alerts had a host of its own, and all the rest in common.
        let distinct = |label: &str| if label == "host" { self.incident.alerts_total } else { 1 };
        let subject = if self.sees == Sees::Alert {
            Subject::Alert(AlertSubject { labels: &self.labels, annotations: &self.annotations, source: "test" })
        } else {
            Subject::Incident(IncidentSubject { incident: &self.incident, now: START + self.age, distinct: &distinct })
        };
        expression.evaluate(&subject).map_or_else(|failure| format!("fails: {failure}"), |value| value.to_string())
    }
}

//! What a test expects of an incident or of a suppressed alert: the fields that it names, and whether they hold.

use std::fmt;
use std::sync::Arc;

use super::describe::reason_text;
use super::read::{incident_id, label_pairs, one_of};
use super::run::Difference;
use crate::model::{AlertRecord, Incident, IncidentId, Labels, Severity, SuppressionKind};
use crate::ruleset::fields::Fields;
use crate::ruleset::yaml::Node;

/// An expected incident.
#[derive(Debug)]
pub(super) struct IncidentPattern {
    pub(super) wanted: Vec<(Field, Value)>,
}

/// What of an incident can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Id,
    Rule,
    Key,
    Title,
    Status,
    Count,
    Firing,
    Priority,
    Impact,
    Urgency,
    Severity,
    Category,
    Subcategory,
    Team,
    Assignee,
    Services,
    Labels,
    Parent,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// `None`: there is none.
    Text(Option<Arc<str>>),
    Number(u32),
    /// Sorted.
    Names(Vec<Arc<str>>),
    /// The labels that are named; an empty value for one that is not there.
    Labels(Vec<(Arc<str>, Arc<str>)>),
}

/// The key of each field in a test file.
const FIELDS: [(&str, Field); 18] = [
    ("id", Field::Id),
    ("rule", Field::Rule),
    ("key", Field::Key),
    ("title", Field::Title),
    ("status", Field::Status),
    ("count", Field::Count),
    ("firing", Field::Firing),
    ("priority", Field::Priority),
    ("impact", Field::Impact),
    ("urgency", Field::Urgency),
    ("severity", Field::Severity),
    ("category", Field::Category),
    ("subcategory", Field::Subcategory),
    ("team", Field::Team),
    ("assignee", Field::Assignee),
    ("services", Field::Services),
    ("labels", Field::Labels),
    ("parent", Field::Parent),
];

/// Only these are listed as open.
const STATUSES: [&str; 2] = ["open", "acknowledged"];

impl IncidentPattern {
    pub(super) fn read(fields: &mut Fields<'_>) -> IncidentPattern {
        let read = |(key, field): (&'static str, Field)| Some((field, field.read(key, fields)?));
        IncidentPattern { wanted: FIELDS.into_iter().filter_map(read).collect() }
    }

    /// Where the incident is another than was expected.
    pub(super) fn differences(&self, incident: &Incident) -> Vec<Difference> {
        let differs = |(field, wanted): &(Field, Value)| {
            let got = field.of(incident, wanted);
            (got != *wanted).then(|| Difference {
                what: format!("{} {}", incident.id, field.key()),
                expected: wanted.to_string(),
                got: got.to_string(),
                reason: field.reason(incident),
            })
        };
        self.wanted.iter().filter_map(differs).collect()
    }

    pub(super) fn holds(&self, incident: &Incident) -> bool {
        self.wanted.iter().all(|(field, wanted)| field.of(incident, wanted) == *wanted)
    }
}

impl fmt::Display for IncidentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.wanted.iter().map(|(field, value)| format!("{}: {value}", field.key())).collect();
        if parts.is_empty() { f.write_str("any incident") } else { f.write_str(&parts.join(", ")) }
    }
}

impl Field {
    fn key(self) -> &'static str {
        FIELDS.iter().find(|(_, field)| *field == self).map_or("", |(key, _)| key)
    }

    fn read(self, key: &'static str, fields: &mut Fields<'_>) -> Option<Value> {
        match self {
            Field::Id => incident_id(fields, key).map(|id| text(&id.to_string())),
            Field::Rule | Field::Title | Field::Category => fields.word(key).map(|word| Value::Text(Some(word))),
            Field::Status => one_of(fields, key, &STATUSES).map(text),
            Field::Severity => {
                let names = Severity::ALL.map(Severity::as_str);
                // A test may use its senders' word, as rules do.
                let known = Severity::parse(fields.text(key)?.text).map(|severity| text(severity.as_str()));
                known.or_else(|| one_of(fields, key, &names).map(text))
            }
            Field::Count => fields.number(key, 1..=u32::MAX).map(Value::Number),
            Field::Firing => fields.number(key, 0..=u32::MAX).map(Value::Number),
            Field::Priority => fields.number(key, 1..=5).map(Value::Number),
            Field::Impact | Field::Urgency => fields.number(key, 1..=3).map(Value::Number),
            Field::Subcategory | Field::Team | Field::Assignee | Field::Parent if fields.is_null(key) => {
                fields.ignore(key);
                Some(Value::Text(None))
            }
            Field::Subcategory | Field::Team | Field::Assignee => fields.word(key).map(|word| Value::Text(Some(word))),
            Field::Parent => incident_id(fields, key).map(|id| text(&id.to_string())),
            Field::Services => {
                if !fields.has(key) {
                    fields.get(key);
                    return None;
                }
                let mut names: Vec<Arc<str>> = fields.words(key).iter().map(|word| word.text.into()).collect();
                names.sort();
                Some(Value::Names(names))
            }
            Field::Key | Field::Labels => label_pairs(fields, key).map(Value::Labels),
        }
    }

    /// What the incident has; of labels, those that are wanted.
    fn of(self, incident: &Incident, wanted: &Value) -> Value {
        let id = |id: Option<IncidentId>| Value::Text(id.map(|id| id.to_string().into()));
        match self {
            Field::Id => id(Some(incident.id)),
            Field::Rule => text(&incident.rule.name),
            Field::Key => labels(&incident.key, wanted),
            Field::Title => text(&incident.title),
            Field::Status => text(incident.status.as_str()),
            Field::Count => Value::Number(incident.alerts_total),
            Field::Firing => Value::Number(incident.alerts_firing),
            Field::Priority => Value::Number(incident.priority.into()),
            Field::Impact => Value::Number(incident.impact.into()),
            Field::Urgency => Value::Number(incident.urgency.into()),
            Field::Severity => text(incident.severity.as_str()),
            Field::Category => text(&incident.category),
            Field::Subcategory => Value::Text(incident.subcategory.clone()),
            Field::Team => Value::Text(incident.team.clone()),
            Field::Assignee => Value::Text(incident.assignee.clone()),
            Field::Services => Value::Names(incident.services.to_vec()),
            Field::Labels => labels(&incident.labels, wanted),
            Field::Parent => id(incident.parent),
        }
    }

    /// What decided the field, where one thing did.
    fn reason(self, incident: &Incident) -> Option<String> {
        let [category, subcategory, team] = &*incident.classified_by;
        match self {
            Field::Id | Field::Rule | Field::Key | Field::Title | Field::Count | Field::Services | Field::Labels => {
                Some(format!("rule {}", incident.rule))
            }
            Field::Priority | Field::Impact | Field::Urgency => Some(reason_text(&incident.priority_reason)),
            Field::Category => category.as_ref().map(reason_text),
            Field::Subcategory => subcategory.as_ref().map(reason_text),
            Field::Team => team.as_ref().map(reason_text),
            Field::Status => incident.acknowledged_by.as_ref().map(|who| format!("acknowledged by {who}")),
            Field::Firing | Field::Severity | Field::Assignee | Field::Parent => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(None) => f.write_str("none"),
            Value::Text(Some(text)) if text.contains([' ', ',']) => write!(f, "{text:?}"),
            Value::Text(Some(text)) => f.write_str(text),
            Value::Number(number) => write!(f, "{number}"),
            Value::Names(names) => write!(f, "[{}]", names.join(", ")),
            Value::Labels(pairs) => write_labels(pairs, f),
        }
    }
}

/// An expected suppressed alert.
#[derive(Debug)]
pub(super) struct AlertPattern {
    pub(super) labels: Vec<(Arc<str>, Arc<str>)>,
    pub(super) kind: Option<SuppressionKind>,
}

/// All kinds, under the names that the API gives them.
const KINDS: [SuppressionKind; 5] = [
    SuppressionKind::Silence,
    SuppressionKind::Inhibition,
    SuppressionKind::Maintenance,
    SuppressionKind::Flapping,
    SuppressionKind::Hold,
];

impl AlertPattern {
    pub(super) fn read(node: &Node, fields: &mut Fields<'_>) -> AlertPattern {
        let names = KINDS.map(SuppressionKind::as_str);
        let kind = one_of(fields, "kind", &names).and_then(|name| KINDS.into_iter().find(|kind| kind.as_str() == name));
        let labels = label_pairs(fields, "labels").unwrap_or_default();
        if !fields.has("labels") && !fields.has("kind") {
            let message = "a suppressed alert needs `labels` or `kind`";
            fields.fault(crate::ruleset::Code::Missing, &node.span, message, "write `[]` where none is expected");
        }
        AlertPattern { labels, kind }
    }

    /// An alert may be suppressed by several things; one of the kind is enough.
    pub(super) fn holds(&self, record: &AlertRecord) -> bool {
        self.labels.iter().all(|(name, value)| record.labels().get(name) == &**value)
            && self.kind.is_none_or(|kind| record.suppressed_by.iter().any(|by| by.kind == kind))
    }
}

impl fmt::Display for AlertPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_labels(&self.labels, f)?;
        self.kind.map_or(Ok(()), |kind| write!(f, " by {}", kind.as_str()))
    }
}

fn text(text: &str) -> Value {
    Value::Text(Some(text.into()))
}

fn labels(labels: &Labels, wanted: &Value) -> Value {
    let Value::Labels(wanted) = wanted else { return Value::Labels(Vec::new()) };
    Value::Labels(wanted.iter().map(|(name, _)| (name.clone(), labels.get(name).into())).collect())
}

/// As in rules: `{a="b", c=""}`.
fn write_labels(pairs: &[(Arc<str>, Arc<str>)], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    write!(f, "{{{}}}", pairs.join(", "))
}

//! What expressions see: the fields of an alert, or of an incident.
//!
//! Incident stages decide one after the other, and each sees only what was decided before it. So no decision hangs on
//! itself, and the order in which they are looked at is the only one that there is.

use std::sync::Arc;

use super::eval::Value;
use crate::model::{Incident, Labels, Millis, Time};

/// Which fields the rules of a stage see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sees {
    /// `labels`, `annotations`, `source`.
    Alert,
    /// The incident without what classify and prioritize decide.
    IncidentToClassify,
    /// The incident with category and team.
    IncidentToPrioritize,
    /// The whole incident.
    Incident,
}

/// What an expression is asked about.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    Alert(AlertSubject<'a>),
    Incident(IncidentSubject<'a>),
}

/// An alert, with the labels that it has by now.
#[derive(Clone, Copy)]
pub struct AlertSubject<'a> {
    pub labels: &'a Labels,
    pub annotations: &'a Labels,
    pub source: &'a str,
}

/// An incident at a moment.
#[derive(Clone, Copy)]
pub struct IncidentSubject<'a> {
    pub incident: &'a Incident,
    pub now: Time,
    /// How many different values a label has among the incident's alerts.
    pub distinct: &'a dyn Fn(&str) -> u32,
}

/// One field. A missing label is the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Label(Box<str>),
    Annotation(Box<str>),
    Source,
    Count,
    Severity,
    Services,
    CommonLabel(Box<str>),
    Distinct(Box<str>),
    Category,
    Team,
    Priority,
    Type,
    Age,
}

impl Field {
    /// As an expression names it.
    pub(super) fn name(&self) -> String {
        match self {
            Field::Label(name) => format!("labels.{name}"),
            Field::Annotation(name) => format!("annotations.{name}"),
            Field::Source => "source".to_owned(),
            Field::Count => "incident.count".to_owned(),
            Field::Severity => "incident.severity".to_owned(),
            Field::Services => "incident.services".to_owned(),
            Field::CommonLabel(name) => format!("incident.labels.{name}"),
            Field::Distinct(label) => format!("incident.distinct({label:?})"),
            Field::Category => "incident.category".to_owned(),
            Field::Team => "incident.team".to_owned(),
            Field::Priority => "incident.priority".to_owned(),
            Field::Type => "incident.type".to_owned(),
            Field::Age => "incident.age".to_owned(),
        }
    }
}

/// A set of labels as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelSet {
    Labels,
    Annotations,
    CommonLabels,
}

impl LabelSet {
    pub(super) fn field(self, name: &str) -> Field {
        match self {
            LabelSet::Labels => Field::Label(name.into()),
            LabelSet::Annotations => Field::Annotation(name.into()),
            LabelSet::CommonLabels => Field::CommonLabel(name.into()),
        }
    }
}

impl Sees {
    /// The fields of `incident` that are known when the stage decides.
    pub(super) fn incident_fields(self) -> &'static [&'static str] {
        const FIELDS: [&str; 10] =
            ["count", "severity", "services", "labels", "distinct", "age", "category", "team", "priority", "type"];
        match self {
            Sees::Alert => &[],
            Sees::IncidentToClassify => &FIELDS[..6],
            Sees::IncidentToPrioritize => &FIELDS[..8],
            Sees::Incident => &FIELDS,
        }
    }
}

impl<'a> Subject<'a> {
    /// A field's value; `None` for one that this subject has not, which the check has ruled out.
    pub(super) fn value(&self, field: &Field) -> Option<Value<'a>> {
        Some(match (self, field) {
            (Subject::Alert(alert), Field::Label(name)) => Value::Text(alert.labels.get(name)),
            (Subject::Alert(alert), Field::Annotation(name)) => Value::Text(alert.annotations.get(name)),
            (Subject::Alert(alert), Field::Source) => Value::Text(alert.source),
            (Subject::Incident(it), Field::Count) => Value::Int(it.incident.alerts_total.into()),
            (Subject::Incident(it), Field::Severity) => Value::Text(it.incident.severity.as_str()),
            (Subject::Incident(it), Field::CommonLabel(name)) => Value::Text(it.incident.labels.get(name)),
            (Subject::Incident(it), Field::Distinct(label)) => Value::Int((it.distinct)(label).into()),
            (Subject::Incident(it), Field::Category) => Value::Text(&it.incident.category),
            (Subject::Incident(it), Field::Team) => Value::Text(it.incident.team.as_deref().unwrap_or_default()),
            (Subject::Incident(it), Field::Priority) => Value::Int(it.incident.priority.into()),
            (Subject::Incident(it), Field::Type) => Value::Text(it.incident.incident_type().as_str()),
            (Subject::Incident(it), Field::Age) => Value::Length(it.age()),
            (Subject::Incident(it), Field::Services) => Value::List(super::eval::List::Services(it.services())),
            _ => return None,
        })
    }

    /// A set of labels as a whole.
    pub(super) fn labels(&self, set: LabelSet) -> Option<&'a Labels> {
        match (self, set) {
            (Subject::Alert(alert), LabelSet::Labels) => Some(alert.labels),
            (Subject::Alert(alert), LabelSet::Annotations) => Some(alert.annotations),
            (Subject::Incident(it), LabelSet::CommonLabels) => Some(&it.incident.labels),
            _ => None,
        }
    }
}

/// The value of a service's word.
pub(super) const SERVED: &str = "yes";

/// The word for a label that all alerts of an incident share.
pub(super) fn common_word(name: &str) -> String {
    format!("labels.{name}")
}

/// The word for a service of an incident.
pub(super) fn service_word(name: &str) -> String {
    format!("services.{name}")
}

impl<'a> IncidentSubject<'a> {
    fn services(&self) -> &'a [Arc<str>] {
        &self.incident.services
    }

    /// What expressions often ask of an incident, as if these were labels: so an index finds the rules that are worth a
    /// look. `None` for one with more text than fits.
    #[must_use]
    pub fn words(&self) -> Option<Labels> {
        let incident = self.incident;
        let common: Vec<(String, &str)> = incident.labels.iter().map(|(name, value)| (common_word(name), value)).collect();
        let services: Vec<(String, &str)> = incident.services.iter().map(|name| (service_word(name), SERVED)).collect();
        let own = [
            ("severity", incident.severity.as_str()),
            ("category", &incident.category),
            ("type", incident.incident_type().as_str()),
            ("team", incident.team.as_deref().unwrap_or_default()),
        ];
        let named = common.iter().chain(&services).map(|(name, value)| (name.as_str(), *value));
        Labels::from_pairs(own.into_iter().chain(named))
    }

    /// Since its opening.
    fn age(&self) -> Millis {
        self.now.since(self.incident.opened_at)
    }
}

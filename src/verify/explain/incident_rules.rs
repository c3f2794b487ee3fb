//! What the rules that look at incidents say to one: the first of their conditions that fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::alert_rules::unmet;
use crate::model::{AlertRecord, Incident, Matcher, Time};
use crate::ruleset::{Expression, IncidentSubject, Subject};

/// An incident with its alerts at a moment.
pub(super) struct Case<'a> {
    pub(super) incident: &'a Incident,
    pub(super) members: &'a [Arc<AlertRecord>],
    pub(super) now: Time,
}

impl Case<'_> {
    /// The first condition that fails, in words; `None` if the rule holds.
    pub(super) fn failing(&self, matchers: &[Matcher], when: Option<&Expression>) -> Option<String> {
        let firing = || self.members.iter().filter(|record| record.is_firing());
        if !matchers.is_empty() {
            if firing().next().is_none() {
                return Some("no alert of it fires".to_owned());
            }
            let holds = |record: &&Arc<AlertRecord>| matchers.iter().all(|matcher| matcher.matches(record.labels()));
            if !firing().any(|record| holds(&record)) {
                let lone = matchers.iter().find(|matcher| !firing().any(|record| matcher.matches(record.labels())));
                return Some(match lone {
                    Some(matcher) => format!("{matcher} holds for none of its firing alerts"),
                    None => "none of its firing alerts satisfies all of `match` at once".to_owned(),
                });
            }
        }
        let distinct = |label: &str| {
            let values: BTreeSet<&str> = self.members.iter().map(|record| record.labels().get(label)).collect();
            u32::try_from(values.len()).unwrap_or(u32::MAX)
        };
        let subject = Subject::Incident(IncidentSubject { incident: self.incident, now: self.now, distinct: &distinct });
        when.and_then(|when| unmet(when, &subject))
    }
}

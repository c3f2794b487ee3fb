//! A storm: far more alerts in one place than is usual there.

use std::sync::Arc;

use super::labels::Labels;
use super::time::Time;

/// Kinds of alerts that are told apart in one storm.
pub const KINDS_MAX: usize = 256;

/// A storm as its incident knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    pub began_at: Time,
    /// So many alerts within the rule's time made it one; with less than half of that it is over.
    pub level: u32,
    /// The kinds that have come up, in order.
    pub kinds: Vec<AlertKind>,
    /// How many of them have gone on to later rules since the storm began.
    pub passed: u32,
    pub ended_at: Option<Time>,
}

/// What makes two alerts of a storm more of the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertKind {
    pub alertname: Arc<str>,
    pub service: Arc<str>,
}

impl AlertKind {
    /// The kind of an alert with these labels.
    #[must_use]
    pub fn of(labels: &Labels) -> AlertKind {
        AlertKind { alertname: labels.get("alertname").into(), service: labels.get("service").into() }
    }

    /// Whether an alert with these labels is of this kind.
    #[must_use]
    pub fn is_of(&self, labels: &Labels) -> bool {
        *self.alertname == *labels.get("alertname") && *self.service == *labels.get("service")
    }
}

impl std::fmt::Display for AlertKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.alertname.is_empty() { "alerts without a name" } else { &self.alertname })?;
        if self.service.is_empty() { Ok(()) } else { write!(f, " on {}", self.service) }
    }
}

/// How many alerts usually come in one place, measured over hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usual {
    /// The storm rule and the values of its `by` labels.
    pub rule: Arc<str>,
    pub key: Labels,
    /// Thousandths of an alert in an hour, as it was at `at`.
    pub milli_per_hour: u32,
    pub at: Time,
}

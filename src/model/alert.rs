//! An alert as its sender described it, and what the engine knows of it.

use std::fmt;
use std::sync::Arc;

use super::few::Few;
use super::id::{Fingerprint, IncidentId};
use super::labels::Labels;
use super::reason::{RuleRef, Suppression};
use super::seldom::Seldom;
use super::time::{Millis, Time};

/// What a sender said of one alert when it began to fire. Never changes; a new occurrence is a new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub fingerprint: Fingerprint,
    /// As sent, plus the source's default labels; before any rule has enriched them.
    pub labels: Labels,
    pub annotations: Labels,
    /// Where the sender shows this alert; empty when it gave nothing.
    pub generator_url: Box<str>,
    /// The name of the source that it came from.
    pub source: Arc<str>,
    /// When the condition began, by the sender's word.
    pub starts_at: Time,
}

/// The source of what people report. No configured source may have its name.
pub const REPORTS: &str = "report";

/// The source of the alerts that Quell raises when heartbeats are missed. No configured source may have its name.
pub const HEARTBEATS: &str = "heartbeat";

impl Alert {
    /// The identity of an alert that its source calls by a key, whatever its labels are.
    #[must_use]
    pub fn keyed(source: &str, key: &str) -> Fingerprint {
        Labels::from_pairs([("alert_key", key), ("source", source)]).unwrap_or_default().fingerprint()
    }

    /// Whether a person has reported it.
    #[must_use]
    pub fn is_report(&self) -> bool {
        *self.source == *REPORTS
    }

    /// Whether it is Quell's own word on a heartbeat that is missed.
    #[must_use]
    pub fn is_heartbeat(&self) -> bool {
        *self.source == *HEARTBEATS
    }
}

/// Firing or resolved; there is nothing between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertStatus {
    Firing,
    Resolved,
}

impl AlertStatus {
    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AlertStatus::Firing => "firing",
            AlertStatus::Resolved => "resolved",
        }
    }
}

/// What the engine knows of one alert: an immutable record, replaced as a whole when something changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    pub alert: Arc<Alert>,
    /// The labels after enrichment, where a rule changed any.
    pub enriched: Option<Box<Labels>>,
    pub status: AlertStatus,
    /// The log position at which this occurrence began.
    pub fired_seq: u64,
    /// When Quell learned of this occurrence.
    pub fired_at: Time,
    /// When it ended, by the sender's word or by expiry; only for a resolved alert.
    pub ends_at: Option<Time>,
    /// Everything that suppresses it now.
    pub suppressed_by: Seldom<Suppression>,
    /// The incidents that it is in, in order of joining. Stays when it resolves: an alert that comes back comes back there.
    pub incidents: Few<IncidentId>,
    /// The first threshold rule that it waits under, and until when; the others hang behind it, see [`AlertRecord::waits`].
    pub waiting: Option<Box<Waiting>>,
    /// Its changes of late, where a rule counts them.
    pub flaps: Option<Box<Flaps>>,
    /// The rule whose beat it is.
    pub beat: Option<Box<Beat>>,
    /// What hardly any alert has.
    pub extras: Option<Box<Extras>>,
}

/// An alert that waits for enough others like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub rule: RuleRef,
    /// The key of the incident that it would open.
    pub key: Labels,
    pub since: Time,
    pub until: Time,
    /// The next rule that the alert waits under: with `continue`, several count it at the same time.
    pub also: Option<Box<Waiting>>,
}

/// What hardly any alert has. A box, as all that few alerts have: the rest pays eight bytes for it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Extras {
    /// The steps of sequences that it was of late.
    pub steps: Vec<Step>,
    /// How long it fires without being heard of, where that is not its source's time.
    pub lasts: Option<Millis>,
}

/// An alert that came as a step of a rule's sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub rule: RuleRef,
    /// The key of the incident that the last step would open.
    pub key: Labels,
    /// From 0; [`Step::FIRING`] for a rule that counts firings.
    pub step: u32,
    pub at: Time,
    /// The rule looks at it no longer.
    pub until: Time,
    /// The log position at which it came: what came before what.
    pub seq: u64,
}

impl Step {
    /// The number of what is no step of a sequence: one more firing, for a threshold that counts those.
    pub const FIRING: u32 = u32::MAX;
}

/// What makes an alert a beat: it is missed when nothing is heard of it for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    pub rule: RuleRef,
    /// The key of the incident that opens when it is missed.
    pub key: Labels,
    /// It must be heard of again within this.
    pub within: Millis,
    /// When it will be missed, where its sender has said that it is over.
    pub due: Option<Time>,
}

/// How often an alert has changed between firing and resolved, and which rules say that it flaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaps {
    /// When it changed, as far back as its rules look.
    pub changes: Vec<Time>,
    /// No rule looks at any of them any more from here on.
    pub kept_until: Time,
    /// The rules under which it flaps, or did at its last change.
    pub spells: Vec<FlapSpell>,
}

/// A time during which an alert flaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlapSpell {
    pub rule: RuleRef,
    /// The spell is over when it has not changed for so long.
    pub until_stable: Millis,
    /// When that is, unless it changes before.
    pub until: Time,
}

impl AlertRecord {
    /// An alert that has just begun to fire, at log position `fired_seq`: in no incident, and nothing suppresses it.
    #[must_use]
    pub fn firing(alert: Arc<Alert>, fired_seq: u64, fired_at: Time) -> AlertRecord {
        AlertRecord {
            alert,
            enriched: None,
            status: AlertStatus::Firing,
            fired_seq,
            fired_at,
            ends_at: None,
            suppressed_by: Seldom::default(),
            incidents: Few::default(),
            waiting: None,
            flaps: None,
            beat: None,
            extras: None,
        }
    }

    /// All threshold rules that it waits under, in order of their beginning.
    pub fn waits(&self) -> impl Iterator<Item = &Waiting> {
        std::iter::successors(self.waiting.as_deref(), |waiting| waiting.also.as_deref())
    }

    /// How it waits under one rule.
    #[must_use]
    pub fn waits_under(&self, rule: &str) -> Option<&Waiting> {
        self.waits().find(|waiting| &*waiting.rule.name == rule)
    }

    /// Where it was a step of a sequence of late.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.extras.iter().flat_map(|extras| &extras.steps)
    }

    /// How long it fires without being heard of, where that is not its source's time.
    #[must_use]
    pub fn lasts(&self) -> Option<Millis> {
        self.extras.as_ref()?.lasts
    }

    /// The labels that rules and people see: enriched where a rule changed any.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        self.enriched.as_deref().unwrap_or(&self.alert.labels)
    }

    /// Whether it fires.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.status == AlertStatus::Firing
    }

    /// Puts it into an incident. Nearly every alert is in one, and half a million of them are kept: so without room for more.
    pub fn enter(&mut self, incident: IncidentId) {
        self.incidents.push(incident);
    }

    /// Takes it out of an incident.
    pub fn leave(&mut self, incident: IncidentId) {
        self.incidents = self.incidents.iter().copied().filter(|other| *other != incident).collect();
    }

    /// Whether anything suppresses it now.
    #[must_use]
    pub fn is_suppressed(&self) -> bool {
        !self.suppressed_by.is_empty()
    }

    /// How bad it is, by its `severity` label.
    #[must_use]
    pub fn severity(&self) -> Severity {
        Severity::of(self.labels())
    }
}

/// How bad an alert is, on the one scale that all senders' words are put on. Worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Critical,
    High,
    Medium,
    Low,
    Info,
}

impl Severity {
    /// All of them, worst first.
    pub const ALL: [Severity; 5] = [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info];

    /// Puts a sender's word on the scale.
    ///
    /// # Errors
    /// `None` for a word that is not known; it is never guessed.
    #[must_use]
    pub fn parse(word: &str) -> Option<Severity> {
        const WORDS: [(&str, Severity); 23] = [
            ("critical", Severity::Critical),
            ("page", Severity::Critical),
            ("crit", Severity::Critical),
            ("fatal", Severity::Critical),
            ("emergency", Severity::Critical),
            ("disaster", Severity::Critical),
            ("p1", Severity::Critical),
            ("high", Severity::High),
            ("error", Severity::High),
            ("major", Severity::High),
            ("p2", Severity::High),
            ("medium", Severity::Medium),
            ("warning", Severity::Medium),
            ("warn", Severity::Medium),
            ("average", Severity::Medium),
            ("p3", Severity::Medium),
            ("low", Severity::Low),
            ("minor", Severity::Low),
            ("p4", Severity::Low),
            ("info", Severity::Info),
            ("informational", Severity::Info),
            ("none", Severity::Info),
            ("p5", Severity::Info),
        ];
        // What most rules say needs no search: this is asked several times for each new alert.
        match word {
            "critical" => return Some(Severity::Critical),
            "warning" => return Some(Severity::Medium),
            "info" => return Some(Severity::Info),
            _ => {}
        }
        // The first letter tells nearly all others apart.
        let first = word.bytes().next()?.to_ascii_lowercase();
        let known = WORDS.iter().find(|(known, _)| known.as_bytes()[0] == first && known.eq_ignore_ascii_case(word));
        known.map(|(_, severity)| *severity)
    }

    /// The severity of a label set; medium when it says none or an unknown one.
    #[must_use]
    pub fn of(labels: &Labels) -> Severity {
        Severity::parse(labels.get("severity")).unwrap_or(Severity::Medium)
    }

    /// The name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the counts of its `Arc`, a record takes one of the allocator's 128 bytes; eight more would take 160, and there
    /// are half a million of them.
    #[test]
    fn a_record_is_small() {
        assert!(size_of::<AlertRecord>() <= 112, "{} bytes", size_of::<AlertRecord>());
    }
}

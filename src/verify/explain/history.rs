//! What happened to one alert, as its log says: also to one that nobody ever heard of, which stands in no timeline.

use super::words::{reason, rule_name, suppression};
use super::{Line, Records, SHOWN_MAX, cut};
use crate::engine::Fact;
use crate::model::{Fingerprint, Reason, Time};
use crate::ruleset::SAME_SERVICE;
use crate::storage::disk::Disk;
use crate::storage::log::{LogError, LogFiles, LogItem};

/// Moments of one alert that are kept: the newest ones of an alert that never rests.
const MOMENTS_MAX: usize = 1_000;

impl Records {
    /// Adds what happened to an alert, up to the moment that is asked for, out of a log.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn read_history<D: Disk>(&mut self, log: &LogFiles<D>, fingerprint: Fingerprint) -> Result<(), LogError> {
        let mut lines: Vec<Line> = Vec::new();
        for item in log.read(log.first_seq())? {
            let LogItem::Record(record) = item? else { continue };
            if self.is_past && record.time > self.now {
                break;
            }
            lines.extend(record.facts.iter().filter_map(|fact| tell(record.time, fact, fingerprint)));
            if lines.len() > 2 * MOMENTS_MAX {
                lines.drain(..MOMENTS_MAX);
            }
        }
        self.histories.insert(fingerprint, lines);
        Ok(())
    }
}

/// The newest of an alert's moments, oldest first.
pub(super) fn lines(records: &Records, fingerprint: Fingerprint) -> Vec<Line> {
    let all = records.histories.get(&fingerprint).map(Vec::as_slice).unwrap_or_default();
    let earlier = all.len().saturating_sub(3 * SHOWN_MAX);
    let mut shown = all[earlier..].to_vec();
    if earlier > 0 {
        shown.insert(0, Line::new(format!("{earlier} earlier moments")));
    }
    cut(shown, 3 * SHOWN_MAX + 1, "moments")
}

/// A fact about the alert as a line; `None` for any other.
fn tell(at: Time, fact: &Fact, wanted: Fingerprint) -> Option<Line> {
    let (about, text, because) = match fact {
        Fact::AlertFired { alert } if alert.is_report() => {
            (alert.fingerprint, format!("is reported by {}", alert.annotations.get("reporter")), None)
        }
        Fact::AlertFired { alert } => (alert.fingerprint, format!("fires, says {}", alert.source), None),
        Fact::AlertEnriched { fingerprint, labels, rules } => {
            let names: Vec<String> = rules.iter().map(rule_name).collect();
            (*fingerprint, format!("is seen as {labels}, by {}", names.join(", ")), None)
        }
        Fact::AlertSuppressed { fingerprint, by } => {
            (*fingerprint, format!("is suppressed: {}", suppression(by)), Some(by.reason.clone()))
        }
        Fact::AlertReleased { fingerprint, by } => {
            (*fingerprint, format!("is no longer suppressed: {}", suppression(by)), Some(by.reason.clone()))
        }
        Fact::AlertWaiting { fingerprint, rule, key, until } => {
            let text = format!("waits until {until} for others like it, as {key}: {}", rule_name(rule));
            (*fingerprint, text, Some(Reason::Rule(rule.clone())))
        }
        Fact::AlertWaitedInVain { fingerprint, rule, dropped } => {
            let then = if *dropped { "ends there" } else { "goes on to later rules" };
            let text = format!("has waited in vain, and {then}: {}", rule_name(rule));
            (*fingerprint, text, Some(Reason::Rule(rule.clone())))
        }
        Fact::AlertFlapping { fingerprint, rule, changes, within, .. } => {
            let text = format!("flaps, with {changes} changes within {within}: {}", rule_name(rule));
            (*fingerprint, text, Some(Reason::Rule(rule.clone())))
        }
        Fact::SequenceStepped { fingerprint, rule, step, .. } => {
            let text = format!("is step {} of a sequence: {}", u64::from(*step) + 1, rule_name(rule));
            (*fingerprint, text, Some(Reason::Rule(rule.clone())))
        }
        Fact::BeatMissed { fingerprint, rule, incident, within } => {
            let text = format!("was not heard of for {within}, and {incident} opened: {}", rule_name(rule));
            (*fingerprint, text, Some(Reason::Rule(rule.clone())))
        }
        Fact::AlertJoined { incident, fingerprint, rule } if *rule.name == *SAME_SERVICE && rule.line == 0 => {
            (*fingerprint, format!("joins {incident}, because that was open on its service"), None)
        }
        Fact::AlertJoined { incident, fingerprint, rule } => {
            (*fingerprint, format!("joins {incident}: {}", rule_name(rule)), Some(Reason::Rule(rule.clone())))
        }
        Fact::IncidentReopened { incident, reason: why @ Reason::Alert(fingerprint, _) } => {
            (*fingerprint, format!("comes back, and reopens {incident}: {}", reason(why)), Some(why.clone()))
        }
        Fact::AlertResolved { fingerprint, ends_at, expired } => {
            let text = if *expired {
                format!("expires: nothing was heard of it until {ends_at}")
            } else {
                "resolves, says its sender".to_owned()
            };
            (*fingerprint, text, None)
        }
        _ => return None,
    };
    (about == wanted).then(|| Line { text: format!("{at}: {text}"), reason: because })
}

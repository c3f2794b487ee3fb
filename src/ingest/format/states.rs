//! The words that Nagios has and its kin have kept: what a notification is about, and how bad a state is.

use super::{Aside, State};
use crate::model::Severity;

/// What a notification is.
pub(super) enum Notice {
    State(State),
    /// A comment, flapping, a downtime: nothing began, and nothing ended.
    Aside(Aside),
}

/// A `NOTIFICATIONTYPE`; `None` for a word that none of them has.
pub(super) fn notice(word: &str) -> Option<Notice> {
    let word = word.to_ascii_uppercase();
    // Checkmk writes "PROBLEM", "ALERTHANDLER (OK)", "FLAPPINGSTART".
    let first = word.split([' ', '(']).next().unwrap_or_default();
    Some(match first {
        "PROBLEM" => Notice::State(State::Firing),
        "RECOVERY" => Notice::State(State::Resolved),
        "ACKNOWLEDGEMENT" | "ACKNOWLEDGMENT" => Notice::State(State::Acknowledged),
        "CUSTOM" | "ALERTHANDLER" => Notice::Aside(Aside::Comment(word)),
        _ if first.starts_with("FLAPPING") || first.starts_with("DOWNTIME") => Notice::Aside(Aside::Comment(word)),
        _ => return None,
    })
}

/// How bad these states are.
pub(super) const SEVERITIES: [(&str, Severity); 9] = [
    ("CRITICAL", Severity::Critical),
    ("CRIT", Severity::Critical),
    ("DOWN", Severity::Critical),
    ("UNKNOWN", Severity::High),
    ("UNKN", Severity::High),
    ("UNREACHABLE", Severity::High),
    ("UNREACH", Severity::High),
    ("WARNING", Severity::Medium),
    ("WARN", Severity::Medium),
];

/// Whether a state says that nothing is known.
pub(super) fn is_no_data(state: &str) -> bool {
    ["UNKNOWN", "UNKN"].iter().any(|word| word.eq_ignore_ascii_case(state))
}

/// Whether a state is a good one; a recovery's has no severity.
pub(super) fn is_good(state: &str) -> bool {
    ["OK", "UP"].iter().any(|word| word.eq_ignore_ascii_case(state))
}

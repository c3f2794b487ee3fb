//! The words that Nagios has and its kin have kept: what a notification is about, and how bad a state is.

use super::{Aside, Field, Out, State, Unmapped};
use crate::model::Severity;

/// What the type of a notification, which stands in `field`, says of a state. `None` for a comment, flapping, a downtime:
/// nothing began and nothing ended, which is noted.
///
/// # Errors
/// No such field, and a word that none of them has.
pub(super) fn told(body: Field<'_>, field: &str, out: &mut Out) -> Result<Option<State>, Unmapped> {
    let word = body.need(field)?;
    let upper = word.to_ascii_uppercase();
    // Checkmk writes "PROBLEM", "ALERTHANDLER (OK)", "FLAPPINGSTART".
    let first = upper.split([' ', '(']).next().unwrap_or_default();
    let is_aside = ["CUSTOM", "ALERTHANDLER"].contains(&first) || first.starts_with("FLAPPING") || first.starts_with("DOWNTIME");
    match first {
        "PROBLEM" => Ok(Some(State::Firing)),
        "RECOVERY" => Ok(Some(State::Resolved)),
        "ACKNOWLEDGEMENT" | "ACKNOWLEDGMENT" => Ok(Some(State::Acknowledged)),
        _ if is_aside => {
            out.aside(Aside::Comment(upper));
            Ok(None)
        }
        _ => Err(Unmapped(format!("`{field}` {word:?} is not known"))),
    }
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

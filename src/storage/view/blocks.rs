//! Timeline entries as the view stores them: JSON, which `sqlite3` can show. Owns this one format.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::TimelineEntry;
use crate::model::{Reason, RuleRef, Time};

/// Entries of one row; more of one write go into further rows, so that a reader with a small limit reads little.
pub(super) const BLOCK_ENTRIES_MAX: usize = 64;

/// An entry to be written; what it has not is left out, since thousands of these are written in a storm.
#[derive(Serialize)]
pub(super) struct NewEntry<'a> {
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at: i64,
    pub kind: &'static str,
    pub text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonJson<'a>>,
}

/// What decided, as the API shows it; only what applies is written.
#[expect(clippy::option_option, reason = "a built-in rule has null where a silence has nothing")]
#[derive(Serialize, Debug, PartialEq, Eq, Default)]
pub(super) struct ReasonJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    silence: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// With `rule`; null for a built-in one.
    file: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<Option<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl<'a> ReasonJson<'a> {
    /// The reason in JSON; `None` for a person, who stands in the entry's `actor`.
    pub(super) fn of(reason: &'a Reason) -> Option<ReasonJson<'a>> {
        match reason {
            Reason::Rule(rule) => Some(ReasonJson::rule(rule)),
            Reason::Silence(id) => Some(ReasonJson { silence: Some(id.to_string()), ..ReasonJson::default() }),
            Reason::Alert(fingerprint, rule) => {
                Some(ReasonJson { alert: Some(fingerprint.to_string()), ..ReasonJson::rule(rule) })
            }
            Reason::Actor(_) => None,
            Reason::Text(text) => Some(ReasonJson { text: Some(text), ..ReasonJson::default() }),
        }
    }

    /// A rule as the reason.
    pub(super) fn rule(rule: &'a RuleRef) -> ReasonJson<'a> {
        let in_file = rule.line > 0;
        ReasonJson {
            rule: Some(&rule.name),
            file: Some(in_file.then_some(&*rule.file)),
            line: Some(in_file.then_some(rule.line)),
            ..ReasonJson::default()
        }
    }
}

/// Reads one row's entries.
///
/// # Errors
/// Text that is no such array.
pub(super) fn read_block(text: &str) -> Result<impl Iterator<Item = TimelineEntry>, serde_json::Error> {
    let stored: Vec<StoredEntry<'_>> = serde_json::from_str(text)?;
    Ok(stored.into_iter().map(|entry| TimelineEntry {
        seq: entry.seq,
        at: Time(entry.at),
        kind: entry.kind.into_owned(),
        text: entry.text.into_owned(),
        actor: entry.actor,
        reason: entry.reason.map(|json| json.get().to_owned()),
    }))
}

#[derive(Deserialize)]
struct StoredEntry<'a> {
    seq: u64,
    at: i64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
    actor: Option<String>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
}

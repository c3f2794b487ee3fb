//! Severities on the one scale, and labels from tags.

use super::field::{Field, Notes};
use crate::model::Severity;

/// The labels that a tag becomes. The rest of a tool's tags are its own business: they change more often than labels may,
/// because a label that changes makes news of an alert.
const TAGS: [&str; 10] = ["service", "host", "cluster", "env", "team", "region", "namespace", "component", "site", "zone"];

/// Words for where something runs, in tags without a name.
const ENVIRONMENTS: [&str; 10] =
    ["prod", "production", "live", "staging", "stage", "test", "testing", "qa", "dev", "development"];

/// A tool's word on our scale, by the tool's own words first. An unknown one is noted, and none: it is never guessed.
pub(super) fn severity(notes: &Notes, word: Option<&str>, own: &[(&str, Severity)]) -> Option<Severity> {
    let word = word?;
    let known = own.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, severity)| *severity);
    let found = known.or_else(|| Severity::parse(word));
    if found.is_none() {
        notes.unknown_severity(word);
    }
    found
}

/// The pairs of `env:prod,service:checkout`. A value may have colons itself.
pub(super) fn pairs(list: &str) -> Vec<(String, String)> {
    let split = |tag: &str| tag.split_once(':').map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()));
    list.split(',').filter_map(split).collect()
}

/// The pairs that `name=value` words of a text give.
pub(super) fn words(text: &str) -> Vec<(String, String)> {
    let split = |word: &str| {
        word.split_once('=').map(|(name, value)| (name.to_lowercase(), value.trim_end_matches(['.', ',']).to_owned()))
    };
    text.split_whitespace().filter_map(split).collect()
}

/// The fields of a map that are labels by their names.
pub(super) fn fields(map: Field<'_>) -> Vec<(String, String)> {
    TAGS.iter().filter_map(|name| Some(((*name).to_owned(), map.text(name)?))).collect()
}

/// Whether a tag of this name becomes a label.
pub(super) fn is_label(name: &str) -> bool {
    TAGS.contains(&name)
}

/// What tags without names say: the first word for an environment, and the first other one, which is the service by the
/// custom of the tools whose tags have no names.
pub(super) fn bare<S: AsRef<str>>(tags: &[S]) -> (Option<String>, Option<String>) {
    let is_env = |tag: &&str| ENVIRONMENTS.iter().any(|env| env.eq_ignore_ascii_case(tag));
    let tags: Vec<&str> =
        tags.iter().map(|tag| tag.as_ref().trim()).filter(|tag| !tag.is_empty() && !tag.contains(':')).collect();
    let env = tags.iter().copied().find(|tag| is_env(tag)).map(str::to_owned);
    let service = tags.iter().copied().find(|tag| !is_env(tag)).map(str::to_owned);
    (env, service)
}

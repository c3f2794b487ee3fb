//! Quell's own form of a change, which the forms of other tools are brought into.

use std::sync::Arc;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::model::{Change, Time, cause};

/// Things that one change names.
const THINGS_MAX: usize = 32;
/// Bytes of a name.
pub(super) const NAME_BYTES_MAX: usize = 256;
pub(super) const SUMMARY_BYTES_MAX: usize = 1_000;
pub(super) const URL_BYTES_MAX: usize = 2_000;

/// A change as its reporter sends it; several names for one thing, as pipelines have them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reported {
    pub(super) id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) service: Option<String>,
    #[serde(default)]
    pub(super) services: Vec<String>,
    pub(super) entity: Option<String>,
    #[serde(default)]
    pub(super) entities: Vec<String>,
    pub(super) cluster: Option<String>,
    #[serde(alias = "env")]
    pub(super) environment: Option<String>,
    #[serde(alias = "at")]
    pub(super) started_at: Option<String>,
    pub(super) ended_at: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) url: Option<String>,
    pub(super) author: Option<String>,
}

impl Reported {
    /// What is wrong with it is said with the field's name.
    pub(super) fn read(self, now: Time, reported_by: &Arc<str>) -> Result<Change, String> {
        let named = self.service.iter().chain(&self.services).chain(&self.entity).chain(&self.entities);
        let mut things: Vec<Arc<str>> = Vec::new();
        for name in named {
            things.push(cause::thing(&text("service", name, NAME_BYTES_MAX)?));
        }
        things.sort();
        things.dedup();
        if things.is_empty() || things.len() > THINGS_MAX {
            return Err(format!(
                "between 1 and {THINGS_MAX} names are expected in service, services, entity and entities together"
            ));
        }
        let given = |field: &str, value: &Option<String>, max| match value.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(value) => text(field, value, max).map(Some),
        };
        let kind = given("kind", &self.kind, NAME_BYTES_MAX)?.unwrap_or_else(|| "change".into());
        let cluster = given("cluster", &self.cluster, NAME_BYTES_MAX)?;
        let environment = given("environment", &self.environment, NAME_BYTES_MAX)?;
        let author = given("author", &self.author, NAME_BYTES_MAX)?;
        let summary = given("summary", &self.summary, SUMMARY_BYTES_MAX)?.unwrap_or_else(|| "".into());
        let url = given("url", &self.url, URL_BYTES_MAX)?.unwrap_or_else(|| "".into());
        let started_at = self.started_at.as_deref().map(|text| moment("started_at", text)).transpose()?.unwrap_or(now);
        let ended_at = self.ended_at.as_deref().map(|text| moment("ended_at", text)).transpose()?;
        if ended_at.is_some_and(|ended| ended < started_at) {
            return Err("ended_at: the change ends before it begins".to_owned());
        }
        let made = || {
            let said = format!("{kind}\n{}\n{cluster:?}\n{started_at}\n{summary}", things.join("\n"));
            format!("{:016x}", xxh3_64(said.as_bytes())).into()
        };
        let id = given("id", &self.id, NAME_BYTES_MAX)?.unwrap_or_else(made);
        let reported_by = reported_by.clone();
        Ok(Change { id, kind, things, cluster, started_at, ended_at, summary, url, reported_by, environment, author })
    }
}

/// Reads one change of a file of past ones, which must say when it was made.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_change(text: &str, reported_by: &Arc<str>) -> Result<Change, String> {
    let reported: Reported = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if reported.started_at.is_none() {
        return Err("started_at: a change of the past must say when it was made".to_owned());
    }
    reported.read(Time::EPOCH, reported_by)
}

fn text(field: &str, value: &str, bytes_max: usize) -> Result<Arc<str>, String> {
    let value = value.trim();
    if value.is_empty() || value.len() > bytes_max || value.chars().any(char::is_control) {
        return Err(format!("{field}: 1 to {bytes_max} bytes without control characters are expected"));
    }
    Ok(value.into())
}

fn moment(field: &str, value: &str) -> Result<Time, String> {
    Time::parse_rfc3339(value).ok_or_else(|| format!("{field}: {value:?} is no time; they look like 2026-01-05T00:00:00Z"))
}

//! Changes that pipelines and people report, so that an incident can say what was done shortly before it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::acts::actor;
use super::body::read_json;
use super::guard::Caller;
use super::page::page_json_after;
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::engine::{Act, Answer, Input};
use crate::model::{Change, Time, cause};
use crate::wire;

/// Changes of one request.
const CHANGES_MAX: usize = 100;
/// Things that one change names.
const THINGS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 256;
const SUMMARY_BYTES_MAX: usize = 1_000;
const URL_BYTES_MAX: usize = 2_000;

/// `POST /v1/changes`: one change, a list of them, or `{"changes":[…]}`; all of them or, where one is bad, none.
pub(super) async fn report(
    State(state): State<Arc<ApiState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    let timeout = Duration::from_millis(state.config.limits.body_timeout.0.unsigned_abs());
    let bodies = one_by_one(read_json(&headers, body, timeout).await?)?;
    if bodies.is_empty() || bodies.len() > CHANGES_MAX {
        return Err(Problem::unprocessable(format!("{} changes; between 1 and {CHANGES_MAX} are expected", bodies.len())));
    }
    let by = actor(&caller, None)?;
    let reported_by: Arc<str> = by.to_string().into();
    let (now, several) = (state.engine.now(), bodies.len() > 1);
    let mut changes: Vec<Arc<Change>> = Vec::with_capacity(bodies.len());
    for (index, body) in bodies.into_iter().enumerate() {
        let place = if several { format!("changes[{index}]: ") } else { String::new() };
        let change = serde_json::from_value::<Reported>(body).map_err(|error| error.to_string());
        let change = change.and_then(|reported| reported.read(now, &reported_by));
        let change = change.and_then(|change| is_of_now(&change, now, &state).map(|()| change));
        changes.push(Arc::new(change.map_err(|fault| Problem::unprocessable(format!("{place}{fault}")))?));
    }
    let act = |change: &Arc<Change>| Input::Act { act: Act::RecordChange(change.clone()), by: by.clone() };
    let answers = state.engine.submit(changes.iter().map(act).collect()).await?;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_, _>>()?;
    let new = answers.iter().filter(|answer| **answer == Answer::New).count();
    let entries: Vec<Value> = changes.iter().map(|change| wire::change_json(change)).collect();
    Ok(Json(json!({ "accepted": answers.len(), "new": new, "repeats": answers.len() - new, "changes": entries })))
}

/// `GET /v1/changes`: those in memory, the last first.
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["entity", "service", "kind", "limit", "cursor"])?;
    let thing = match (query.one("entity")?, query.one("service")?) {
        (Some(_), Some(_)) => return Err(Problem::bad_request("parameter entity and parameter service exclude each other")),
        (Some(name), None) | (None, Some(name)) => Some(cause::thing(name)),
        (None, None) => None,
    };
    let kind = query.one("kind")?.map(str::to_owned);
    let cursor = query.one("cursor")?.map(read_cursor).transpose()?;
    let limit = query.limit()?;
    let mut found = state
        .walk(move |live| {
            let mut found = live.reported();
            found.retain(|change| {
                thing.as_ref().is_none_or(|thing| change.things.contains(thing))
                    && kind.as_ref().is_none_or(|kind| **kind == *change.kind)
                    && cursor.as_ref().is_none_or(|cursor| place(change) < (cursor.0, &*cursor.1))
            });
            found.sort_by(|a, b| place(b).cmp(&place(a)));
            found
        })
        .await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|change| format!("{}-{}", change.started_at.0, change.id));
    Ok(Json(page_json_after("changes", found.iter().map(|change| wire::change_json(change)).collect(), next)))
}

/// Where a change stands in the list.
fn place(change: &Change) -> (Time, &str) {
    (change.started_at, &change.id)
}

fn read_cursor(text: &str) -> Result<(Time, String), Problem> {
    let parts = text.split_once('-').and_then(|(at, id)| Some((Time(at.parse().ok()?), id.to_owned())));
    parts.ok_or_else(|| Problem::bad_request(format!("parameter cursor: {text:?} is none that a page gave")))
}

/// The changes of a body, each as it was sent.
fn one_by_one(body: Value) -> Result<Vec<Value>, Problem> {
    let expected = || Problem::unprocessable("a change, a list of changes or {\"changes\":[…]} is expected");
    match body {
        Value::Array(changes) => Ok(changes),
        Value::Object(mut fields) => match fields.remove("changes") {
            Some(Value::Array(changes)) if fields.is_empty() => Ok(changes),
            Some(_) => Err(expected()),
            None => Ok(vec![Value::Object(fields)]),
        },
        _ => Err(expected()),
    }
}

/// A change as its reporter sends it; several names for one thing, as pipelines have them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reported {
    id: Option<String>,
    kind: Option<String>,
    service: Option<String>,
    #[serde(default)]
    services: Vec<String>,
    entity: Option<String>,
    #[serde(default)]
    entities: Vec<String>,
    cluster: Option<String>,
    #[serde(alias = "at")]
    started_at: Option<String>,
    ended_at: Option<String>,
    summary: Option<String>,
    url: Option<String>,
}

impl Reported {
    /// What is wrong with it is said with the field's name.
    fn read(self, now: Time, reported_by: &Arc<str>) -> Result<Change, String> {
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
        Ok(Change { id, kind, things, cluster, started_at, ended_at, summary, url, reported_by: reported_by.clone() })
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

/// A change that would leave the memory at once, or that is yet to come, explains nothing.
fn is_of_now(change: &Change, now: Time, state: &ApiState) -> Result<(), String> {
    let kept = state.config.limits.changes_kept;
    if now.since(change.last_at()) > kept {
        return Err(format!("started_at: {} is more than {kept} ago, which is as long as changes are kept", change.last_at()));
    }
    if change.started_at.since(now) > kept {
        return Err(format!("started_at: {} is more than {kept} ahead", change.started_at));
    }
    Ok(())
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

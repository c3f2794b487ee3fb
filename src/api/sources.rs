//! Sources, and the messages of theirs that could not be taken: listed, shown, tried again, let go.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::acts::actor;
use super::body::read_json;
use super::guard::Caller;
use super::page::page_json_after;
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::model::Time;
use crate::runtime::sources::{RejectsError, Replayed, SourceStatus};
use crate::storage::rejects::Reject;

/// Messages that one call names at most.
const IDS_MAX: usize = 1_000;

/// `GET /v1/sources`
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    let sources: Vec<Value> = state.sources.statuses().iter().map(source_json).collect();
    Ok(Json(json!({ "sources": sources })))
}

/// `GET /v1/rejects`: what is known of them, newest first, without their bodies.
pub(super) async fn rejects(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["source", "limit", "cursor"])?;
    let (source, cursor, limit) = (query.one("source")?, query.one("cursor")?, query.limit()?);
    let mut found = state.sources.rejects();
    found.retain(|it| source.is_none_or(|source| it.source == source) && cursor.is_none_or(|cursor| &*it.id < cursor));
    found.reverse();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|it| it.id.clone());
    Ok(Json(page_json_after("rejects", found.iter().map(|it| Value::Object(reject_json(it))).collect(), next)))
}

/// `GET /v1/rejects/{id}`: one of them with its body.
pub(super) async fn reject(State(state): State<Arc<ApiState>>, Path(id): Path<String>, uri: Uri) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    let unknown = || Problem::not_found(format!("there is no kept message {id}"));
    let reject = state.sources.rejects().into_iter().find(|it| it.id == id).ok_or_else(unknown)?;
    let body = state.sources.body(id.clone()).await?.ok_or_else(unknown)?;
    let headers: Map<String, Value> = reject.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut shown = reject_json(&reject);
    shown.insert("headers".to_owned(), Value::Object(headers));
    shown.insert("body".to_owned(), Value::String(body));
    Ok(Json(Value::Object(shown)))
}

/// `POST /v1/rejects/replay`: tries messages again with the mappings of now.
pub(super) async fn replay(
    State(state): State<Arc<ApiState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let (ids, by) = which(&state, &caller, &uri, &headers, body).await?;
    tracing::info!(by, messages = ids.len(), "kept messages are tried again");
    let replayed = state.sources.replay(ids).await?;
    let entries: Vec<Value> = replayed.into_iter().map(|(id, outcome)| replayed_json(&id, outcome)).collect();
    Ok(Json(json!({ "replayed": entries })))
}

/// `POST /v1/rejects/drop`: lets go of messages for good.
pub(super) async fn discard(
    State(state): State<Arc<ApiState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let (ids, by) = which(&state, &caller, &uri, &headers, body).await?;
    let dropped = state.sources.discard(ids).await?;
    tracing::info!(by, messages = dropped.len(), "kept messages were dropped");
    Ok(Json(json!({ "dropped": dropped.iter().map(|it| &*it.id).collect::<Vec<_>>() })))
}

/// Which messages a call is about, and who makes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    ids: Option<Vec<String>>,
    source: Option<String>,
    by: Option<String>,
}

async fn which(
    state: &ApiState,
    caller: &Caller,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Vec<String>, String), Problem> {
    Query::parse(uri, &[])?;
    let timeout = Duration::from_millis(state.config.limits.body_timeout.0.unsigned_abs());
    let Which { ids, source, by } = read_json(headers, body, timeout).await?;
    let by = actor(caller, by.as_deref())?.to_string();
    match (ids, source) {
        (Some(ids), None) if !ids.is_empty() && ids.len() <= IDS_MAX => Ok((ids, by)),
        (Some(ids), None) => {
            Err(Problem::unprocessable(format!("ids: {} are given; between 1 and {IDS_MAX} are expected", ids.len())))
        }
        (None, Some(source)) => {
            let kept = state.sources.rejects();
            if !kept.iter().any(|it| it.source == source) && !state.sources.statuses().iter().any(|it| it.name == source) {
                return Err(Problem::not_found(format!("there is no source {source:?}")));
            }
            Ok((kept.into_iter().filter(|it| it.source == source).map(|it| it.id).collect(), by))
        }
        _ => Err(Problem::unprocessable("either ids (a list) or source (a name) is expected")),
    }
}

fn source_json(source: &SourceStatus) -> Value {
    let missing = source.missing.iter().map(|(field, since)| json!({ "field": field, "since": since.to_rfc3339() }));
    json!({
        "name": source.name,
        "format": source.format,
        "heard_at": source.heard_at.map(Time::to_rfc3339),
        "silent_after": source.silent_after.map(|length| length.to_string()),
        "silent": source.silent,
        "missing": missing.collect::<Vec<Value>>(),
        "tests": source.tests,
        "test_at": source.test_at.map(Time::to_rfc3339),
        "firing": source.firing,
        "rejects": source.rejects,
    })
}

fn reject_json(reject: &Reject) -> Map<String, Value> {
    let fields = [
        ("id", json!(reject.id)),
        ("source", json!(reject.source)),
        ("error", json!(reject.error)),
        ("first_at", json!(reject.first_at.to_rfc3339())),
        ("last_at", json!(reject.last_at.to_rfc3339())),
        ("times", json!(reject.times)),
        ("alerts", json!(reject.alerts)),
        ("failed", json!(reject.failed.len())),
        ("bytes", json!(reject.bytes)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn replayed_json(id: &str, outcome: Replayed) -> Value {
    let (state, new, repeats, error) = match outcome {
        Replayed::Taken { new, repeats } => ("taken", new, repeats, None),
        Replayed::Stays { error } => ("stays", 0, 0, Some(error)),
        Replayed::Unknown => ("unknown", 0, 0, Some("there is no kept message of this id".to_owned())),
    };
    json!({ "id": id, "state": state, "new": new, "repeats": repeats, "error": error })
}

impl From<RejectsError> for Problem {
    fn from(error: RejectsError) -> Problem {
        match error {
            RejectsError::Submit(error) => error.into(),
            RejectsError::Io(error) => Problem::unavailable("storage", format!("the kept messages cannot be used: {error}")),
        }
    }
}

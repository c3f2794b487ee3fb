//! Heartbeats: those that rule files name, when each was heard of, and the beats themselves.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::{Extension, Json};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::acts::{actor, submit};
use super::guard::Caller;
use super::page::page_json_after;
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::engine::Act;
use crate::model::alert::HEARTBEATS;
use crate::model::{Alert, Time};
use crate::ruleset::HeartbeatRule;
use crate::ruleset::suggest::nearest;
use crate::runtime::Live;
use crate::wire::labels_json;

/// What a heartbeat can be, in the API's words: never heard of, heard of in time, not heard of in time.
const STATES: [&str; 3] = ["new", "beating", "missed"];

/// `GET /v1/heartbeats`: all of them, in order of their names.
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["state"])?;
    let states = query.words("state", &STATES)?;
    let found = state.walk(move |live| {
        let rules = live.rules().rules;
        let all = rules.heartbeats.values().map(|rule| heartbeat_json(rule, live));
        let kept = all.filter(|it| states.as_ref().is_none_or(|states| states.iter().any(|state| it["state"] == **state)));
        kept.collect::<Vec<Value>>()
    });
    Ok(Json(page_json_after("heartbeats", found.await?, None)))
}

/// `GET /v1/heartbeats/{name}`
pub(super) async fn show(State(state): State<Arc<ApiState>>, Path(name): Path<String>, uri: Uri) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    Ok(Json(found(state.engine.live(), &name)?))
}

/// `POST /v1/heartbeats/{name}`: it is there. A reading call would do for senders that can do no better, but whatever follows
/// links would keep alive what is dead.
///
/// What the body says is passed over: jobs send their output here, and an Alertmanager the alerts that say that it lives.
pub(super) async fn beat(
    State(state): State<Arc<ApiState>>,
    Path(name): Path<String>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    body: Body,
) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    // Before the body: who errs in the name is told so at once.
    found(state.engine.live(), &name)?;
    // To its end, so that the connection can be used again; one that is too long or too slow changes nothing.
    let limits = &state.config.limits;
    let timeout = Duration::from_millis(limits.body_timeout.0.unsigned_abs());
    drop(tokio::time::timeout(timeout, Limited::new(body, limits.body_bytes).collect()).await);
    submit(&state, Act::Beat(name.as_str().into()), actor(&caller, None)?).await?;
    Ok(Json(found(state.engine.live(), &name)?))
}

fn found(live: &Live, name: &str) -> Result<Value, Problem> {
    let rules = live.rules().rules;
    if let Some(rule) = rules.heartbeats.get(name) {
        return Ok(heartbeat_json(rule, live));
    }
    let names: Vec<&str> = rules.heartbeats.keys().map(|name| &**name).collect();
    let hint = match (nearest(name, &names), names.is_empty()) {
        (Some(near), _) => format!("did you mean {near:?}?"),
        (None, true) => "rule files name them in their section `heartbeats`, and there is none".to_owned(),
        (None, false) => "rule files name them in their section `heartbeats`".to_owned(),
    };
    Err(Problem::not_found(format!("there is no heartbeat {name:?}; {hint}")))
}

fn heartbeat_json(rule: &HeartbeatRule, live: &Live) -> Value {
    let name = &rule.rule.name;
    let known = live.heartbeat(name);
    let missed_at = known.as_ref().and_then(|known| known.missed_at);
    let state = match (&known, missed_at) {
        (None, _) => STATES[0],
        (Some(_), None) => STATES[1],
        (Some(_), Some(_)) => STATES[2],
    };
    let raised = live.alert(Alert::keyed(HEARTBEATS, name)).filter(|entry| entry.record.is_firing());
    let incidents = raised.iter().flat_map(|entry| entry.record.incidents.iter().map(ToString::to_string));
    json!({
        "name": &**name,
        "state": state,
        "every": rule.every.to_string(),
        "grace": rule.grace.to_string(),
        "last_at": known.as_ref().map(|known| known.last_at.to_rfc3339()),
        "due_at": known.as_ref().and_then(|known| known.due).map(Time::to_rfc3339),
        "missed_at": missed_at.map(Time::to_rfc3339),
        "alert": raised.as_ref().map(|entry| entry.record.alert.fingerprint.to_string()),
        "incidents": incidents.collect::<Vec<String>>(),
        "labels": labels_json(&rule.labels),
        "rule": { "file": &*rule.rule.file, "line": rule.rule.line },
    })
}

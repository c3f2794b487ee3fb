//! Probes, metrics, reload, the state of the daemon and the API's own description.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::problem::Problem;
use super::state::ApiState;

/// The description of everything that can be called.
pub(super) const OPENAPI: &str = include_str!("openapi.json");

/// `GET /v1/openapi.json`
pub(super) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<Arc<ApiState>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], Body::from(state.metrics.expose())).into_response()
}

/// `GET /-/healthy`: the process lives and serves.
pub(super) async fn healthy() -> &'static str {
    "quell is healthy\n"
}

/// `GET /-/ready`: it takes alerts; not while nothing can be written, and no longer once it has begun to stop.
pub(super) async fn ready(State(state): State<Arc<ApiState>>) -> Response {
    if state.engine.shutdown().is_triggered() {
        return (StatusCode::SERVICE_UNAVAILABLE, "quell is stopping\n").into_response();
    }
    if let Some(fault) = state.engine.status().storage_fault {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("quell cannot write: {fault}\n")).into_response();
    }
    "quell is ready\n".into_response()
}

/// `POST /-/reload`: reads the rules again, and says what is in force; rules that do not load change nothing.
pub(super) async fn reload(State(state): State<Arc<ApiState>>) -> Result<Json<Value>, Problem> {
    match state.engine.reload().await {
        Ok(message) => Ok(Json(json!({ "message": message }))),
        Err(faults) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_loaded", faults)),
    }
}

/// `GET /v1/status`: what runs here and what it holds, in counts.
pub(super) async fn status(State(state): State<Arc<ApiState>>) -> Json<Value> {
    let live = state.engine.live();
    let mut incidents = BTreeMap::new();
    for incident in live.incidents() {
        *incidents.entry(incident.status.as_str()).or_insert(0_u64) += 1;
    }
    let mut notifications = BTreeMap::new();
    for notification in live.notifications() {
        *notifications.entry(notification.state.as_str()).or_insert(0_u64) += 1;
    }
    let status = state.engine.status();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "directory": **state.engine.directory(),
        "started_at": state.started_at.to_rfc3339(),
        "now": state.engine.now().to_rfc3339(),
        "stopping": state.engine.shutdown().is_triggered(),
        "log": { "seq": status.seq, "view_seq": status.view_seq, "fault": status.storage_fault.as_deref() },
        "alerts": { "firing": live.firing(), "suppressed": live.suppressed() },
        "incidents": incidents,
        "notifications": notifications,
    }))
}

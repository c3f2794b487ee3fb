//! Alerts: the list and one.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::page::{is_behind, page, page_json};
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::model::{AlertRecord, Fingerprint};
use crate::runtime::live::Entry;
use crate::wire;

/// `GET /v1/alerts`: newest occurrence first. `limit=all` streams everything that fires.
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["status", "label", "limit", "cursor"])?;
    let statuses = match query.words("status", &["firing", "resolved", "all"])? {
        None => vec!["firing"],
        Some(words) if words.contains(&"all") => vec!["firing", "resolved"],
        Some(words) => words,
    };
    let (labels, cursor) = (query.labels()?, query.cursor()?);
    let firing_only = !statuses.contains(&"resolved");
    let keeps = move |record: &AlertRecord| {
        statuses.contains(&record.status.as_str()) && labels.iter().all(|(name, value)| record.labels().get(name) == value)
    };

    let live = state.engine.live().alerts(|entry| is_behind(entry.record.fired_seq, cursor) && keeps(&entry.record));
    if query.one("limit")? == Some("all") {
        if !firing_only {
            return Err(Problem::bad_request("parameter limit: all goes with status=firing; page through the rest by cursor"));
        }
        return Ok(stream(live));
    }

    let limit = query.limit()?;
    let live = live.into_iter().map(|entry| (entry.record.fired_seq, Found::Live(entry))).collect();
    let history = if firing_only {
        // What fires is live.
        Vec::new()
    } else {
        let engine = state.engine.clone();
        let is_live = move |record: &AlertRecord| {
            let entry = engine.live().alert(record.alert.fingerprint);
            entry.is_some_and(|entry| entry.record.fired_seq == record.fired_seq)
        };
        let mut keep = move |record: &AlertRecord| keeps(record) && !is_live(record);
        let found = state.history.ask(move |view| view.alerts(None, cursor, limit + 1, &mut keep)).await?;
        found.into_iter().map(|record| (record.fired_seq, Found::Past(record))).collect()
    };
    let (alerts, next) = page(live, history, limit);
    Ok(Json(page_json("alerts", alerts.iter().map(Found::json).collect(), next)).into_response())
}

/// `GET /v1/alerts/{fingerprint}`: its present or last occurrence.
pub(super) async fn show(State(state): State<Arc<ApiState>>, Path(text): Path<String>, uri: Uri) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    let fingerprint = Fingerprint::parse(&text)
        .ok_or_else(|| Problem::bad_request(format!("{text:?} is no fingerprint; they are 16 hex digits")))?;
    if let Some(entry) = state.engine.live().alert(fingerprint) {
        return Ok(Json(live_json(&entry)));
    }
    let found = state.history.ask(move |view| view.alerts(Some(fingerprint), None, 1, &mut |_| true)).await?;
    let last = found.first().ok_or_else(|| Problem::not_found(format!("there is no alert {fingerprint}")))?;
    Ok(Json(past_json(last)))
}

/// A live alert as JSON, with the annotations that its sender gave last.
pub(super) fn live_json(entry: &Entry) -> Value {
    let mut alert = wire::alert_json(&entry.record, Some(wire::Seen { last_seen: entry.last_seen, repeats: entry.repeats }));
    alert["annotations"] = wire::labels_json(entry.annotations());
    alert
}

/// An alert out of history as JSON; when it was last seen and how often it repeated is not kept.
pub(super) fn past_json(record: &AlertRecord) -> Value {
    wire::alert_json(record, None)
}

enum Found {
    Live(Entry),
    Past(AlertRecord),
}

impl Found {
    fn json(&self) -> Value {
        match self {
            Found::Live(entry) => live_json(entry),
            Found::Past(record) => past_json(record),
        }
    }
}

/// Bytes of one piece of a streamed list, about.
const PIECE_BYTES: usize = 64 * 1024;

/// A list of any length as JSON, written piece by piece as the client takes it: memory holds pointers to the records and
/// one piece of text, however slow the client is.
fn stream(mut entries: Vec<Entry>) -> Response {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.record.fired_seq));
    let mut rest = entries.into_iter().peekable();
    let mut begun = false;
    let mut ended = false;
    let pieces = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        if !begun {
            piece.extend_from_slice(br#"{"alerts":["#);
            begun = true;
        }
        while piece.len() < PIECE_BYTES
            && let Some(entry) = rest.next()
        {
            piece.extend_from_slice(live_json(&entry).to_string().as_bytes());
            if rest.peek().is_some() {
                piece.push(b',');
            }
        }
        if rest.peek().is_none() {
            piece.extend_from_slice(br#"],"next":null}"#);
            ended = true;
        }
        Some(Ok::<Bytes, Infallible>(piece.into()))
    });
    let mut response = Response::new(Body::from_stream(tokio_stream::iter(pieces)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

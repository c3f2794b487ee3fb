//! Alerts: the list and one.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::page::{Numbered, is_behind, page, page_json};
use super::problem::Problem;
use super::query::Query;
use super::state::{ApiState, Running};
use crate::model::{AlertRecord, Fingerprint};
use crate::runtime::Live;
use crate::runtime::live::Entry;
use crate::wire;

/// `GET /v1/alerts`: newest occurrence first. `limit=all` streams everything that fires.
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["status", "label", "limit", "cursor"])?;
    let filter = Arc::new(Filter::read(&query)?);
    if query.one("limit")? == Some("all") {
        if !filter.only_firing() {
            return Err(Problem::bad_request("parameter limit: all goes with status=firing; page through the rest by cursor"));
        }
        let positions = state.walk(move |live| positions(live, &filter)).await?;
        return Ok(stream(state.engine.clone(), positions));
    }

    let limit = query.limit()?;
    let kept = filter.clone();
    let live = state.walk(move |live| newest(live, &kept, limit + 1)).await?;
    let history = if filter.only_firing() {
        // What fires is live.
        Vec::new()
    } else {
        let engine = state.engine.clone();
        let is_live = move |record: &AlertRecord| {
            let entry = engine.live().alert(record.alert.fingerprint);
            entry.is_some_and(|entry| entry.record.fired_seq == record.fired_seq)
        };
        let cursor = filter.cursor;
        let mut keep = move |record: &AlertRecord| filter.keeps(record) && !is_live(record);
        let found = state.past(move |view| view.alerts(None, cursor, limit + 1, &mut keep)).await?;
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
    let found = state.past(move |view| view.alerts(Some(fingerprint), None, 1, &mut |_| true)).await?;
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

/// Which alerts a list is about.
struct Filter {
    statuses: Vec<&'static str>,
    labels: Vec<(String, String)>,
    cursor: Option<u64>,
}

impl Filter {
    fn read(query: &Query) -> Result<Filter, Problem> {
        let statuses = match query.words("status", &["firing", "resolved", "all"])? {
            None => vec!["firing"],
            Some(words) if words.contains(&"all") => vec!["firing", "resolved"],
            Some(words) => words,
        };
        Ok(Filter { statuses, labels: query.labels()?, cursor: query.cursor()? })
    }

    fn only_firing(&self) -> bool {
        !self.statuses.contains(&"resolved")
    }

    fn keeps(&self, record: &AlertRecord) -> bool {
        is_behind(record.fired_seq, self.cursor)
            && self.statuses.contains(&record.status.as_str())
            && self.labels.iter().all(|(name, value)| record.labels().get(name) == value)
    }
}

/// The newest live alerts that the filter keeps. Half a million may be live, so only so many are ever held.
fn newest(live: &Live, filter: &Filter, count: usize) -> Numbered<Found> {
    let found = RefCell::new(BTreeMap::new());
    live.alerts(|entry| {
        let (seq, mut found) = (entry.record.fired_seq, found.borrow_mut());
        let is_among_them = found.len() < count || found.first_key_value().is_some_and(|(oldest, _)| *oldest < seq);
        if is_among_them && filter.keeps(&entry.record) {
            found.insert(seq, Found::Live(entry.clone()));
            if found.len() > count {
                found.pop_first();
            }
        }
        false
    });
    found.into_inner().into_iter().collect()
}

/// The positions of all live alerts that the filter keeps, newest first: 16 bytes for each, not the record.
fn positions(live: &Live, filter: &Filter) -> Vec<(u64, Fingerprint)> {
    let found = RefCell::new(Vec::new());
    live.alerts(|entry| {
        if filter.keeps(&entry.record) {
            found.borrow_mut().push((entry.record.fired_seq, entry.record.alert.fingerprint));
        }
        false
    });
    let mut positions = found.into_inner();
    positions.sort_unstable_by_key(|(seq, _)| Reverse(*seq));
    positions
}

/// Bytes of one piece of a streamed list, about.
const PIECE_BYTES: usize = 64 * 1024;

/// A list of any length as JSON, written piece by piece as the client takes it: memory holds positions and one piece of
/// text, however slow the client is. What has ended since the list was begun is left out.
fn stream(engine: Arc<dyn Running>, positions: Vec<(u64, Fingerprint)>) -> Response {
    let mut rest = positions.into_iter();
    let mut before = r#"{"alerts":["#;
    let mut ended = false;
    let pieces = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        while piece.len() < PIECE_BYTES && !ended {
            match rest.next() {
                None => {
                    let opening = if before == "," { "" } else { before };
                    piece.extend_from_slice(opening.as_bytes());
                    piece.extend_from_slice(br#"],"next":null}"#);
                    ended = true;
                }
                Some((seq, fingerprint)) => {
                    let entry = engine.live().alert(fingerprint).filter(|it| it.record.fired_seq == seq && it.record.is_firing());
                    if let Some(entry) = entry {
                        piece.extend_from_slice(before.as_bytes());
                        piece.extend_from_slice(live_json(&entry).to_string().as_bytes());
                        before = ",";
                    }
                }
            }
        }
        Some(Ok::<Bytes, Infallible>(piece.into()))
    });
    let mut response = Response::new(Body::from_stream(tokio_stream::iter(pieces)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

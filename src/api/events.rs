//! The event stream: every committed fact as a server-sent event whose id is its log position.
//!
//! A client that comes back with `Last-Event-ID` (or `?since=`) goes on behind that position: first out of the log, then
//! live. One that reads too slowly loses nothing either; it is put back onto the log. Where the log no longer reaches
//! back that far, an event `gap` says which positions are missing.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::problem::Problem;
use super::query::Query;
use super::state::{ApiState, EVENT_STREAMS_MAX};
use crate::runtime::Committed;
use crate::storage::record;

/// Records read from the log at a time.
const BACKLOG_RECORDS: usize = 256;
/// Pieces of text that wait for a slow client; beyond, its stream waits, and the log keeps what it misses.
const PIECES_MAX: usize = 16;

/// `GET /v1/events`
pub(super) async fn stream(State(state): State<Arc<ApiState>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let query = Query::parse(&uri, &["since"])?;
    // A browser that reconnects repeats the address it began with; the header is what it has really seen.
    let since = match headers.get("last-event-id") {
        Some(id) => Some(
            id.to_str()
                .ok()
                .and_then(|id| id.trim().parse().ok())
                .ok_or_else(|| Problem::bad_request("header Last-Event-ID: a log position is expected"))?,
        ),
        None => query.number("since")?,
    };
    let permit = state.event_streams.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{EVENT_STREAMS_MAX} event streams are open already");
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message).with(header::RETRY_AFTER, "30")
    })?;
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    tokio::spawn(feed(state, since, pieces, permit));
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(receiver).map(Ok::<Bytes, Infallible>)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// Writes to one client until it leaves or the daemon stops.
async fn feed(state: Arc<ApiState>, since: Option<u64>, pieces: mpsc::Sender<Bytes>, permit: OwnedSemaphorePermit) {
    tokio::select! {
        () = follow(&state, since, &pieces) => {}
        () = state.engine.shutdown().wait() => {}
    }
    drop(permit);
}

async fn follow(state: &ApiState, since: Option<u64>, pieces: &mpsc::Sender<Bytes>) {
    // Listening begins before the log is read, so that nothing falls between the two.
    let mut committed = state.engine.committed();
    let mut position = since;
    if pieces.send(Bytes::from_static(b": quell\n\n")).await.is_err() {
        return;
    }
    if catch_up(state, &mut position, pieces).await.is_err() {
        return;
    }
    loop {
        let silent_until = Instant::now() + state.keep_awake;
        let piece = tokio::select! {
            received = committed.recv() => match received {
                Ok(batch) => write_events(&batch, &mut position),
                Err(RecvError::Lagged(_)) => {
                    if catch_up(state, &mut position, pieces).await.is_err() {
                        return;
                    }
                    continue;
                }
                Err(RecvError::Closed) => return,
            },
            () = sleep_until(silent_until) => ": awake\n\n".to_owned(),
            () = pieces.closed() => return,
        };
        if !piece.is_empty() && pieces.send(piece.into()).await.is_err() {
            return;
        }
    }
}

/// The client has gone.
struct Gone;

/// Sends what the log holds behind `position`. Without a position there is nothing to catch up with.
async fn catch_up(state: &ApiState, position: &mut Option<u64>, pieces: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
    while let Some(seq) = *position {
        let records = state.engine.events_since(seq, BACKLOG_RECORDS).await;
        for record in &records {
            pieces.send(write_events(record, position).into()).await.map_err(|_| Gone)?;
        }
        if *position == Some(seq) {
            break;
        }
    }
    Ok(())
}

/// The facts of one record that lie behind `position`, as events; moves `position` behind them.
fn write_events(batch: &Committed, position: &mut Option<u64>) -> String {
    let mut text = String::new();
    for (seq, fact) in (batch.first_seq..).zip(batch.facts.iter()) {
        if position.is_some_and(|position| seq <= position) {
            continue;
        }
        if let Some(position) = *position
            && seq > position + 1
        {
            push_event(&mut text, seq - 1, "gap", &serde_json::json!({ "from": position + 1, "to": seq - 1 }));
        }
        let mut data = record::to_json(fact);
        data["at"] = batch.time.to_rfc3339().into();
        push_event(&mut text, seq, fact.kind(), &data);
        *position = Some(seq);
    }
    text
}

fn push_event(text: &mut String, seq: u64, kind: &str, data: &serde_json::Value) {
    // JSON on one line has no line break in it, so no value can end the event early.
    write!(text, "id: {seq}\nevent: {kind}\ndata: {data}\n\n").expect("writing to memory cannot fail");
}

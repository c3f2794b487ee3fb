//! Why: of an alert, two alerts, an incident, a notification.
//!
//! Puts together what is known (what is live from the tables, the rest from the view) and hands it to
//! [`crate::verify::explain`], which answers; decides and words nothing itself. For a moment of the past (`at`) the log is
//! replayed up to it beside the running engine, one such call at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use serde_json::Value;

use super::incidents::parse_id;
use super::problem::Problem;
use super::query::Query;
use super::state::{ApiState, Running};
use crate::model::{Fingerprint, IncidentId, NotificationId, Reason, Time};
use crate::runtime::live::InForce;
use crate::storage::view::{ViewError, ViewReader};
use crate::verify::explain::{self, Explanation, Question, QuestionError, Records, RecordsError};

/// `GET /v1/alerts/{fingerprint}/explain`, with `?with=` for two of them.
pub(super) async fn alert(
    State(state): State<Arc<ApiState>>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["with", "at"])?;
    let one = fingerprint(&text)?;
    let other = query.one("with")?.map(fingerprint).transpose()?;
    if let Some(at) = moment(&query, &state)? {
        return past(&state, other.map_or(Question::Alert(one), |other| Question::Pair(one, other)), at).await;
    }
    answer(&state, move |gathering| {
        gathering.alert(one)?;
        if let Some(other) = other {
            gathering.alert(other)?;
        }
        let rules = &gathering.in_force.rules;
        Ok(match other {
            None => explain::explain_alert(&gathering.records, rules, one),
            Some(other) => explain::explain_pair(&gathering.records, rules, one, other),
        })
    })
    .await?
    .ok_or_else(|| match other {
        None => Problem::not_found(format!("there is no alert {one}")),
        Some(other) => Problem::not_found(format!("there is no alert {one}, or none {other}")),
    })
}

/// `GET /v1/incidents/{id}/explain`
pub(super) async fn incident(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["at"])?;
    let id = parse_id(&id)?;
    if let Some(at) = moment(&query, &state)? {
        return past(&state, Question::Incident(id), at).await;
    }
    let explained = answer(&state, move |gathering| {
        gathering.incident(id)?;
        let rules = &gathering.in_force.rules;
        Ok(explain::explain_incident(&gathering.records, rules, id))
    });
    explained.await?.ok_or_else(|| Problem::not_found(format!("there is no incident {id}")))
}

/// `GET /v1/notifications/{id}/explain`
pub(super) async fn notification(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["at"])?;
    let id = NotificationId::parse(&id).ok_or_else(|| Problem::bad_request(format!("{id:?} is no notification's id")))?;
    if let Some(at) = moment(&query, &state)? {
        return past(&state, Question::Notification(id), at).await;
    }
    let explained = answer(&state, move |gathering| {
        gathering.notification(id)?;
        let rules = &gathering.in_force.rules;
        Ok(explain::explain_notification(&gathering.records, rules, id))
    });
    let name = id.external(state.engine.directory());
    explained.await?.ok_or_else(|| Problem::not_found(format!("there is no notification {name}")))
}

fn fingerprint(text: &str) -> Result<Fingerprint, Problem> {
    Fingerprint::parse(text).ok_or_else(|| Problem::bad_request(format!("{text:?} is no fingerprint; they are 16 hex digits")))
}

/// The parameter `at`.
fn moment(query: &Query, state: &ApiState) -> Result<Option<Time>, Problem> {
    let Some(text) = query.one("at")? else { return Ok(None) };
    let moment = explain::moment(text, state.engine.now());
    let problem = || {
        let message =
            format!("parameter at: {text:?} is no moment; write it as 2026-01-05T10:00:00Z, or as 2h for two hours ago");
        Problem::bad_request(message)
    };
    moment.ok_or_else(problem).map(Some)
}

/// Replays the log up to a moment, and explains. That takes memory like the engine's own and time like a start, so that
/// one call does at a time, and the others are told to come again.
async fn past(state: &ApiState, question: Question, at: Time) -> Result<Json<Value>, Problem> {
    let permit = state.replays.clone().try_acquire_owned().map_err(|_| {
        let message = "another call replays the log at the moment; one does at a time";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message).with(header::RETRY_AFTER, "5")
    })?;
    let engine = state.engine.clone();
    let replayed = state.past(move |view| {
        // Until it is done, not until the caller has gone.
        let _permit = permit;
        Ok(explain::replay(&engine.log_path(), view, &engine.live().rules().rules, question, at))
    });
    match replayed.await? {
        Ok(Some(explanation)) => Ok(Json(explanation.to_json())),
        Ok(None) => Err(Problem::not_found(format!("that was not known at {at}"))),
        Err(QuestionError::Records(error @ (RecordsError::Trimmed(_) | RecordsError::Empty))) => {
            Err(Problem::not_found(error.to_string()))
        }
        Err(error) => {
            tracing::error!(%error, "the log cannot be replayed for a question about the past");
            Err(Problem::unavailable("history", "the log cannot be read at the moment"))
        }
    }
}

/// Gathers and explains off the serving threads.
async fn answer(
    state: &ApiState,
    explain: impl FnOnce(&mut Gathering<'_>) -> Result<Option<Explanation>, ViewError> + Send + 'static,
) -> Result<Option<Json<Value>>, Problem> {
    let engine = state.engine.clone();
    let explained = state.past(move |view| {
        let mut gathering = Gathering::new(&*engine, view);
        explain(&mut gathering)
    });
    Ok(explained.await?.map(|explanation| Json(explanation.to_json())))
}

/// What is known so far of what a question is about.
struct Gathering<'a> {
    engine: &'a dyn Running,
    view: &'a ViewReader,
    in_force: InForce,
    records: Records,
}

impl<'a> Gathering<'a> {
    fn new(engine: &'a dyn Running, view: &'a ViewReader) -> Gathering<'a> {
        let in_force = engine.live().rules();
        let records = Records {
            now: engine.now(),
            directory: engine.directory().clone(),
            rules_since: in_force.since,
            ..Records::default()
        };
        Gathering { engine, view, in_force, records }
    }

    fn alert(&mut self, fingerprint: Fingerprint) -> Result<(), ViewError> {
        if let Some(entry) = self.engine.live().alert(fingerprint) {
            self.records.add_alert(entry.record);
        }
        self.records.read_alert(self.view, fingerprint)?;
        self.overlay();
        Ok(())
    }

    fn incident(&mut self, id: IncidentId) -> Result<(), ViewError> {
        self.records.read_incident(self.view, id)?;
        self.overlay();
        Ok(())
    }

    fn notification(&mut self, id: NotificationId) -> Result<(), ViewError> {
        self.records.read_notification(self.view, id)?;
        self.overlay();
        Ok(())
    }

    /// Puts what is live in the place of what history has of it, and adds what suppresses the alerts.
    fn overlay(&mut self) {
        let live = self.engine.live();
        let records = &mut self.records;
        for (id, incident) in &mut records.incidents {
            if let Some(present) = live.incident(*id) {
                *incident = present;
            }
        }
        for (id, notification) in &mut records.notifications {
            if let Some(present) = live.notification(*id) {
                *notification = present;
            }
        }
        let mut sources = Vec::new();
        for (fingerprint, record) in &mut records.alerts {
            let same = live.alert(*fingerprint).map(|entry| entry.record).filter(|it| it.fired_seq == record.fired_seq);
            if let Some(same) = same {
                *record = same;
            }
            for by in &record.suppressed_by {
                match &by.reason {
                    Reason::Silence(id) => records.silences.extend(live.silence(*id).map(|it| (*id, it))),
                    Reason::Alert(source, _) => sources.extend(live.alert(*source).map(|entry| entry.record)),
                    _ => {}
                }
            }
        }
        for source in sources {
            records.add_alert(source);
        }
    }
}

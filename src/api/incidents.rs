//! Incidents: the list, one, its timeline, its alerts.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde_json::{Value, json};

use super::page::{is_behind, page, page_json};
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::model::{AlertRecord, Incident, IncidentId};
use crate::storage::view::TimelineEntry;
use crate::wire;

/// Every status that an incident can have, in the API's words.
const STATUSES: [&str; 7] = ["open", "acknowledged", "snoozed", "on_hold", "resolved", "closed", "cancelled"];
/// Those that still want work: the default of the list.
const ACTIVE: [&str; 4] = ["open", "acknowledged", "snoozed", "on_hold"];

/// `GET /v1/incidents`
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["status", "priority", "team", "service", "label", "limit", "cursor"])?;
    let filter = Arc::new(Filter::read(&query)?);
    let (limit, cursor) = (query.limit()?, query.cursor()?);

    let kept = filter.clone();
    let live = state.walk(move |live| {
        let kept = live.incidents().into_iter().filter(|it| is_behind(it.id.0, cursor) && kept.keeps(it));
        kept.map(|incident| (incident.id.0, incident)).collect()
    });
    let live = live.await?;

    let history = if filter.only_active() {
        // What is active is live.
        Vec::new()
    } else {
        let engine = state.engine.clone();
        let mut keep = move |incident: &Incident| filter.keeps(incident) && engine.live().incident(incident.id).is_none();
        let found = state.past(move |view| view.incidents(cursor.map(IncidentId), limit + 1, &mut keep)).await?;
        found.into_iter().map(|incident| (incident.id.0, Arc::new(incident))).collect()
    };
    let (incidents, next) = page(live, history, limit);
    Ok(Json(page_json("incidents", incidents.iter().map(|incident| wire::incident_json(incident)).collect(), next)))
}

/// `GET /v1/incidents/{id}`
pub(super) async fn show(State(state): State<Arc<ApiState>>, Path(id): Path<String>, uri: Uri) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    let incident = find(&state, parse_id(&id)?).await?;
    Ok(Json(wire::incident_json(&incident)))
}

/// `GET /v1/incidents/{id}/timeline`: oldest first; `cursor` is the `seq` of the last entry seen.
pub(super) async fn timeline(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let (limit, after) = (query.limit()?, query.cursor()?.unwrap_or(0));
    let id = parse_id(&id)?;
    find(&state, id).await?;
    let mut entries = state.past(move |view| view.timeline(id, after, limit + 1)).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().map(|entry| entry.seq).filter(|_| more);
    Ok(Json(page_json("entries", entries.iter().map(timeline_json).collect(), next)))
}

/// `GET /v1/incidents/{id}/alerts`: every alert that it ever had, newest first.
pub(super) async fn alerts(State(state): State<Arc<ApiState>>, Path(id): Path<String>, uri: Uri) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let (limit, cursor) = (query.limit()?, query.cursor()?);
    let id = parse_id(&id)?;
    find(&state, id).await?;
    let members_max = usize::try_from(state.config.limits.alerts_per_incident).unwrap_or(usize::MAX);
    let mut members = state.past(move |view| view.incident_alerts(id, members_max)).await?;
    members.retain(|record| is_behind(record.fired_seq, cursor));
    let members = members.into_iter().map(|record| (record.fired_seq, record)).collect();
    let (members, next) = page(members, Vec::new(), limit);
    Ok(Json(page_json("alerts", members.iter().map(|record| member_json(&state, record)).collect(), next)))
}

/// The incident as it stands: live, or out of history.
pub(super) async fn find(state: &ApiState, id: IncidentId) -> Result<Arc<Incident>, Problem> {
    if let Some(incident) = state.engine.live().incident(id) {
        return Ok(incident);
    }
    let found = state.past(move |view| view.incident(id)).await?;
    found.map(Arc::new).ok_or_else(|| Problem::not_found(format!("there is no incident {id}")))
}

/// Reads an incident's id out of a path.
pub(super) fn parse_id(text: &str) -> Result<IncidentId, Problem> {
    IncidentId::parse(text).ok_or_else(|| Problem::bad_request(format!("{text:?} is no incident's id; they look like INC-1042")))
}

/// The record as it is live, if this very occurrence is; else as history has it.
fn member_json(state: &ApiState, record: &AlertRecord) -> Value {
    match state.engine.live().alert(record.alert.fingerprint) {
        Some(entry) if entry.record.fired_seq == record.fired_seq => super::alerts::live_json(&entry),
        _ => super::alerts::past_json(record),
    }
}

fn timeline_json(entry: &TimelineEntry) -> Value {
    // The view keeps the reason as JSON text; text that is none would be the view's fault and is shown as it is.
    let reason = entry.reason.as_ref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str())));
    json!({
        "seq": entry.seq,
        "at": entry.at.to_rfc3339(),
        "kind": entry.kind,
        "text": entry.text,
        "actor": entry.actor,
        "reason": reason,
    })
}

/// Which incidents a list is about.
struct Filter {
    statuses: Vec<&'static str>,
    priorities: Option<Vec<&'static str>>,
    team: Option<String>,
    service: Option<String>,
    labels: Vec<(String, String)>,
}

impl Filter {
    fn read(query: &Query) -> Result<Filter, Problem> {
        const KNOWN: [&str; 8] =
            ["all", STATUSES[0], STATUSES[1], STATUSES[2], STATUSES[3], STATUSES[4], STATUSES[5], STATUSES[6]];
        let statuses = match query.words("status", &KNOWN)? {
            None => ACTIVE.to_vec(),
            Some(words) if words.contains(&"all") => STATUSES.to_vec(),
            Some(words) => words,
        };
        Ok(Filter {
            statuses,
            priorities: query.words("priority", &["1", "2", "3", "4", "5"])?,
            team: query.one("team")?.map(str::to_owned),
            service: query.one("service")?.map(str::to_owned),
            labels: query.labels()?,
        })
    }

    fn only_active(&self) -> bool {
        self.statuses.iter().all(|status| ACTIVE.contains(status))
    }

    fn keeps(&self, incident: &Incident) -> bool {
        let priority = incident.priority.to_string();
        self.statuses.contains(&incident.status.as_str())
            && self.priorities.as_ref().is_none_or(|wanted| wanted.contains(&priority.as_str()))
            && self.team.as_ref().is_none_or(|team| incident.team.as_deref() == Some(team))
            && self.service.as_ref().is_none_or(|service| incident.services.iter().any(|s| **s == **service))
            && self.labels.iter().all(|(name, value)| incident.labels.get(name) == value)
    }
}

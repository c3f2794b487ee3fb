//! Changes that pipelines and people report, so that an incident can say what was done shortly before it.
//!
//! | file | reads |
//! | --- | --- |
//! | `own` | Quell's own form |
//! | `github`, `gitlab`, `argocd` | what these tools post, as that form |
//! | `fields` | fields of their bodies, as texts that fit |

mod argocd;
mod fields;
mod github;
mod gitlab;
mod own;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::acts::actor;
use super::body::read_json_of;
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
/// Bytes of a body: other tools send all that they know.
pub(super) const CHANGE_BODY_BYTES_MAX: usize = 1 << 20;

use own::Reported;
pub use own::read_change;

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Github,
    Gitlab,
    Argocd,
}

impl Format {
    const ALL: [(&str, Format); 3] = [("github", Format::Github), ("gitlab", Format::Gitlab), ("argocd", Format::Argocd)];

    /// As the parameter says, else as the tool's own header does. `None` for Quell's own form.
    fn of(query: &Query, headers: &HeaderMap) -> Result<Option<Format>, Problem> {
        match query.one("format")? {
            Some("quell") => Ok(None),
            Some(word) => {
                let found = Format::ALL.iter().find(|(name, _)| *name == word);
                let unknown =
                    || Problem::bad_request(format!("parameter format: {word:?} is none of quell, github, gitlab, argocd"));
                found.map(|(_, format)| Some(*format)).ok_or_else(unknown)
            }
            None if headers.contains_key(github::EVENT_HEADER) => Ok(Some(Format::Github)),
            None if headers.contains_key(gitlab::EVENT_HEADER) => Ok(Some(Format::Gitlab)),
            None => Ok(None),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Format::Github => "github",
            Format::Gitlab => "gitlab",
            Format::Argocd => "argocd",
        }
    }
}

/// What a tool's body says.
#[derive(Debug)]
enum Found {
    Changes(Vec<Reported>),
    /// It tells of no change, and why that is.
    Nothing(String),
}

/// `POST /v1/changes`: one change, a list of them, or `{"changes":[…]}`; all of them or, where one is bad, none. Or the body
/// of another tool; 202 where that tells of no change.
pub(super) async fn report(
    State(state): State<Arc<ApiState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let query = Query::parse(&uri, &["format", "service", "environment", "cluster", "workflow"])?;
    let format = Format::of(&query, &headers)?;
    let timeout = Duration::from_millis(state.config.limits.body_timeout.0.unsigned_abs());
    let body = read_json_of(&headers, body, timeout, CHANGE_BODY_BYTES_MAX).await?;
    let by = actor(&caller, None)?;
    let reported_by: Arc<str> = by.to_string().into();
    let changes = match format {
        None => own_changes(&query, body, &reported_by, &state)?,
        Some(format) => match foreign_changes(format, &query, &headers, &body, &reported_by, &state)? {
            Ok(changes) => changes,
            Err(why) => {
                state.metrics.changes_ignored_total.with_label_values(&[format.as_str()]).inc();
                return Ok((StatusCode::ACCEPTED, Json(answer(&[], 0, Some(&why)))));
            }
        },
    };
    let act = |change: &Arc<Change>| Input::Act { act: Act::RecordChange(change.clone()), by: by.clone() };
    let answers = state.engine.submit(changes.iter().map(act).collect()).await?;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_, _>>()?;
    let new = answers.iter().filter(|answer| **answer == Answer::New).count();
    Ok((StatusCode::OK, Json(answer(&changes, new, None))))
}

fn answer(changes: &[Arc<Change>], new: usize, ignored: Option<&str>) -> Value {
    let entries: Vec<Value> = changes.iter().map(|change| wire::change_json(change)).collect();
    json!({ "accepted": changes.len(), "new": new, "repeats": changes.len() - new, "changes": entries, "ignored": ignored })
}

/// The changes of a body in Quell's own form.
fn own_changes(query: &Query, body: Value, reported_by: &Arc<str>, state: &ApiState) -> Result<Vec<Arc<Change>>, Problem> {
    for name in ["service", "environment", "cluster", "workflow"] {
        if query.one(name)?.is_some() {
            let message = format!("parameter {name} is for the bodies of other tools; this one says it itself");
            return Err(Problem::bad_request(message));
        }
    }
    let bodies = one_by_one(body)?;
    if bodies.is_empty() || bodies.len() > CHANGES_MAX {
        return Err(Problem::unprocessable(format!("{} changes; between 1 and {CHANGES_MAX} are expected", bodies.len())));
    }
    let (now, several) = (state.engine.now(), bodies.len() > 1);
    let read = |(index, body): (usize, Value)| {
        let place = if several { format!("changes[{index}]: ") } else { String::new() };
        let change = serde_json::from_value::<Reported>(body).map_err(|error| error.to_string());
        let change = change.and_then(|reported| reported.read(now, reported_by));
        let change = change.and_then(|change| is_of_now(&change, now, state).map(|()| change));
        change.map(Arc::new).map_err(|fault| Problem::unprocessable(format!("{place}{fault}")))
    };
    bodies.into_iter().enumerate().map(read).collect()
}

/// The changes of another tool's body, with what is known of them already; or why it tells of none.
fn foreign_changes(
    format: Format,
    query: &Query,
    headers: &HeaderMap,
    body: &Value,
    reported_by: &Arc<str>,
    state: &ApiState,
) -> Result<Result<Vec<Arc<Change>>, String>, Problem> {
    let workflows: Vec<&str> = query.all("workflow").collect();
    if !workflows.is_empty() && format != Format::Github {
        return Err(Problem::bad_request("parameter workflow is for GitHub's bodies"));
    }
    let event = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let found = match format {
        Format::Github => github::read(event(github::EVENT_HEADER), body, &workflows),
        Format::Gitlab => gitlab::read(body),
        Format::Argocd => argocd::read(body),
    };
    let named = format.as_str();
    let reported = match found.map_err(|fault| Problem::unprocessable(format!("this is no body of {named}: {fault}")))? {
        Found::Changes(changes) => changes,
        Found::Nothing(why) => return Ok(Err(why)),
    };
    let now = state.engine.now();
    let mut changes = Vec::with_capacity(reported.len());
    for mut reported in reported.into_iter().take(CHANGES_MAX) {
        for (name, field) in
            [("service", &mut reported.service), ("environment", &mut reported.environment), ("cluster", &mut reported.cluster)]
        {
            if let Some(value) = query.one(name)? {
                *field = Some(value.to_owned());
            }
        }
        let change = reported.read(now, reported_by).map_err(Problem::unprocessable)?;
        // A body that is sent again long after is no fault of anybody's.
        if let Err(why) = is_of_now(&change, now, state) {
            return Ok(Err(why));
        }
        let known = state.engine.live().reported_one(&change.id);
        changes.push(Arc::new(with_what_is_known(change, known.as_deref())));
    }
    Ok(Ok(changes))
}

/// Messages about one change come in any order, and each says a part of it.
fn with_what_is_known(change: Change, known: Option<&Change>) -> Change {
    let Some(known) = known.filter(|known| known.reported_by == change.reported_by) else { return change };
    // The last word is that of the end.
    let is_later = change.ended_at.is_some() || known.ended_at.is_none();
    let last = |new: Arc<str>, old: &Arc<str>| if old.is_empty() || (is_later && !new.is_empty()) { new } else { old.clone() };
    Change {
        started_at: change.started_at.min(known.started_at),
        ended_at: change.ended_at.or(known.ended_at),
        summary: last(change.summary, &known.summary),
        url: last(change.url, &known.url),
        cluster: change.cluster.or_else(|| known.cluster.clone()),
        environment: change.environment.or_else(|| known.environment.clone()),
        author: change.author.or_else(|| known.author.clone()),
        ..change
    }
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

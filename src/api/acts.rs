//! What people do to incidents. Each act is one input to the engine, which alone says whether the state allows it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Extension, Json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::body::read_json;
use super::guard::Caller;
use super::incidents::{find, parse_id};
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::engine::{Act, Input};
use crate::model::incident::IncidentType;
use crate::model::{Actor, IncidentId};
use crate::wire;

/// The acts that are built, as they stand in the path.
const ACTS: [&str; 7] = ["acknowledge", "assign", "comment", "resolve", "reopen", "close", "type"];
/// Those that the API names and that are not built yet.
const NOT_YET: [&str; 4] = ["snooze", "merge", "split", "priority"];

/// Bytes of a comment or a reason.
const TEXT_BYTES_MAX: usize = 10_000;
/// Bytes of a person's name.
const NAME_BYTES_MAX: usize = 128;

/// `POST /v1/incidents/{id}/{act}`: answers the incident as it stands afterwards.
pub(super) async fn act(
    State(state): State<Arc<ApiState>>,
    Path((id, act)): Path<(String, String)>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    Query::parse(&uri, &[])?;
    let incident = parse_id(&id)?;
    let request = Request { state: &state, headers: &headers, body, caller: &caller };
    let (act, by) = match act.as_str() {
        "acknowledge" => request.plain(Act::Acknowledge(incident)).await?,
        "resolve" => request.plain(Act::Resolve(incident)).await?,
        "reopen" => request.plain(Act::Reopen(incident)).await?,
        "close" => request.plain(Act::Close(incident)).await?,
        "comment" => {
            let (Comment { text }, by) = request.read().await?;
            (Act::Comment(incident, line("text", &text)?), by)
        }
        "assign" => {
            let (Assign { assignee }, by) = request.read().await?;
            let assignee = assignee.map(|name| person_name("assignee", &name)).transpose()?;
            (Act::Assign(incident, assignee), by)
        }
        "type" => {
            let (Type { incident_type, reason }, by) = request.read().await?;
            (Act::SetType(incident, incident_type.into(), line("reason", &reason)?), by)
        }
        other if NOT_YET.contains(&other) => {
            let message = format!("{other} is not supported yet; {} are", ACTS.join(", "));
            return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "not_supported", message));
        }
        other => return Err(Problem::not_found(format!("there is no act {other:?}; there are {}", ACTS.join(", ")))),
    };
    if let Err(problem) = submit(&state, act, by).await {
        return Err(if problem.status == StatusCode::NOT_FOUND { gone(&state, incident, problem).await } else { problem });
    }
    Ok(Json(wire::incident_json(&*find(&state, incident).await?)))
}

/// The engine forgets what is closed for good. Whoever acts on that is told so, rather than that it never was.
async fn gone(state: &ApiState, id: IncidentId, problem: Problem) -> Problem {
    match find(state, id).await {
        Ok(incident) => Problem::conflict(format!("{id} is {}", incident.status.as_str())),
        Err(_) => problem,
    }
}

/// Hands one act to the engine and waits until it is on disk.
///
/// # Errors
/// The engine's refusal: 404 or 409; 429 or 503 when it could not be taken.
pub(super) async fn submit(state: &ApiState, act: Act, by: Actor) -> Result<(), Problem> {
    let mut answers = state.engine.submit(vec![Input::Act { act, by }]).await?;
    match answers.pop() {
        Some(answer) => answer.map(|_| ()).map_err(Problem::from),
        None => Err(Problem::unavailable("storage", "the engine gave no answer")),
    }
}

/// Who acts: the name of the token that was shown; without tokens the name that the caller gives, or `api`.
///
/// # Errors
/// 422 for a name that is none.
pub(super) fn actor(caller: &Caller, by: Option<&str>) -> Result<Actor, Problem> {
    let name = match (&caller.0, by) {
        (Some(token), _) => token.clone(),
        (None, Some(name)) => person_name("by", name)?,
        (None, None) => "api".into(),
    };
    Ok(Actor::Person(name))
}

/// What an act's handler needs of its request.
struct Request<'a> {
    state: &'a ApiState,
    headers: &'a HeaderMap,
    body: Body,
    caller: &'a Caller,
}

impl Request<'_> {
    /// Reads a body with the fields of `T` and `by`.
    async fn read<T: DeserializeOwned>(self) -> Result<(T, Actor), Problem> {
        let timeout = Duration::from_millis(self.state.config.limits.body_timeout.0.unsigned_abs());
        let mut fields: serde_json::Map<String, Value> = read_json(self.headers, self.body, timeout).await?;
        let by = match fields.remove("by") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(Problem::unprocessable("by: a name is expected")),
        };
        let rest = serde_json::from_value(Value::Object(fields))
            .map_err(|error| Problem::unprocessable(format!("the body is not as expected: {error}")))?;
        Ok((rest, actor(self.caller, by.as_deref())?))
    }

    /// Reads the body of an act that takes nothing but `by`.
    async fn plain(self, act: Act) -> Result<(Act, Actor), Problem> {
        let (Nothing {}, by) = self.read().await?;
        Ok((act, by))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Comment {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    #[serde(rename = "type")]
    incident_type: TypeName,
    /// Needed in either direction: who looks at it later asks why.
    reason: String,
}

/// The types as the API calls them.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum TypeName {
    Normal,
    Major,
}

impl From<TypeName> for IncidentType {
    fn from(name: TypeName) -> IncidentType {
        match name {
            TypeName::Normal => IncidentType::Normal,
            TypeName::Major => IncidentType::Major,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assign {
    /// `null` takes the assignee away, so leaving it out is an error.
    #[serde(deserialize_with = "given")]
    assignee: Option<String>,
}

/// A field that may be null but must be there.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

fn line(field: &str, text: &str) -> Result<Arc<str>, Problem> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_BYTES_MAX {
        return Err(Problem::unprocessable(format!("{field}: between 1 and {TEXT_BYTES_MAX} bytes are expected")));
    }
    Ok(text.into())
}

fn person_name(field: &str, name: &str) -> Result<Arc<str>, Problem> {
    let name = name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!("{field}: a name of 1 to {NAME_BYTES_MAX} bytes without control characters is expected");
        return Err(Problem::unprocessable(message));
    }
    Ok(name.into())
}

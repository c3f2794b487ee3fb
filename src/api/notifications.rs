//! The outbox: notifications with their state, and dead ones put back by hand.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::acts::{actor, submit};
use super::body::read_json;
use super::guard::Caller;
use super::incidents::parse_id;
use super::page::{is_behind, page, page_json};
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::engine::Act;
use crate::model::{Notification, NotificationId, Time};

/// `GET /v1/notifications`
pub(super) async fn list(State(state): State<Arc<ApiState>>, uri: Uri) -> Result<Json<Value>, Problem> {
    let query = Query::parse(&uri, &["state", "receiver", "incident", "limit", "cursor"])?;
    let states = query.words("state", &["queued", "delivered", "failed", "dead", "all"])?.filter(|s| !s.contains(&"all"));
    let receiver = query.one("receiver")?.map(str::to_owned);
    let incident = query.one("incident")?.map(parse_id).transpose()?;
    let (limit, cursor) = (query.limit()?, query.cursor()?);
    let keeps = move |n: &Notification| {
        states.as_ref().is_none_or(|states| states.contains(&n.state.as_str()))
            && receiver.as_ref().is_none_or(|receiver| *n.receiver == **receiver)
            && incident.is_none_or(|incident| n.incident == incident)
    };

    let kept = keeps.clone();
    let live = state.walk(move |live| {
        let kept = live.notifications().into_iter().filter(|it| is_behind(it.id.0, cursor) && kept(it));
        kept.map(|notification| (notification.id.0, notification)).collect()
    });
    let live = live.await?;

    let engine = state.engine.clone();
    let mut keep = move |n: &Notification| keeps(n) && engine.live().notification(n.id).is_none();
    let history = state.past(move |view| view.notifications(cursor, limit + 1, &mut keep)).await?;
    let history = history.into_iter().map(|notification| (notification.id.0, Arc::new(notification))).collect();

    let (notifications, next) = page(live, history, limit);
    let entries = notifications.iter().map(|n| notification_json(n, state.engine.directory())).collect();
    Ok(Json(page_json("notifications", entries, next)))
}

/// `POST /v1/notifications/{id}/retry`: answers the notification as it stands afterwards.
pub(super) async fn retry(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct By {
        by: Option<String>,
    }

    Query::parse(&uri, &[])?;
    let id = NotificationId::parse(&id).ok_or_else(|| Problem::bad_request(format!("{id:?} is no notification's id")))?;
    let timeout = Duration::from_millis(state.config.limits.body_timeout.0.unsigned_abs());
    let By { by } = read_json(&headers, body, timeout).await?;
    let submitted = submit(&state, Act::RetryNotification(id), actor(&caller, by.as_deref())?).await;
    let Some(notification) = find(&state, id).await? else {
        submitted?;
        return Err(Problem::not_found(format!("there is no notification {}", id.external(state.engine.directory()))));
    };
    match submitted {
        // The engine forgets what is delivered and long past.
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {
            let (id, is) = (id.external(state.engine.directory()), notification.state.as_str());
            Err(Problem::conflict(format!("{id} is {is}, and too long ago to be sent again")))
        }
        Err(problem) => Err(problem),
        Ok(()) => Ok(Json(notification_json(&notification, state.engine.directory()))),
    }
}

/// The notification as it stands: live, or out of history.
async fn find(state: &ApiState, id: NotificationId) -> Result<Option<Arc<Notification>>, Problem> {
    if let Some(notification) = state.engine.live().notification(id) {
        return Ok(Some(notification));
    }
    let found = state.past(move |view| view.notifications(Some(id.0.saturating_add(1)), 1, &mut |_| true)).await?;
    Ok(found.into_iter().find(|notification| notification.id == id).map(Arc::new))
}

/// A notification as JSON. `directory` is the id of the data directory, which makes its id and key unique in the world.
fn notification_json(notification: &Notification, directory: &str) -> Value {
    json!({
        "id": notification.id.external(directory),
        "incident": notification.incident.to_string(),
        "receiver": &*notification.receiver,
        "kind": notification.kind.as_str(),
        "state": notification.state.as_str(),
        "attempts": notification.attempts,
        "key": format!("{directory}/{}", notification.incident),
        "created_at": notification.created_at.to_rfc3339(),
        "delivered_at": notification.delivered_at.map(Time::to_rfc3339),
        "error": notification.error.as_deref(),
    })
}

//! The outbox: notifications with their state, and dead ones put back by hand.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::Value;

use super::acts::{actor, submit};
use super::body::read_json;
use super::guard::Caller;
use super::incidents::parse_id;
use super::page::{is_behind, page, page_json};
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::engine::Act;
use crate::model::{Notification, NotificationId};
use crate::wire;

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

    let mut live = state.engine.live().notifications();
    live.retain(|notification| is_behind(notification.id.0, cursor) && keeps(notification));
    let live = live.into_iter().map(|notification| (notification.id.0, notification)).collect();

    let engine = state.engine.clone();
    let mut keep = move |n: &Notification| keeps(n) && engine.live().notification(n.id).is_none();
    let history = state.history.ask(move |view| view.notifications(cursor, limit + 1, &mut keep)).await?;
    let history = history.into_iter().map(|notification| (notification.id.0, Arc::new(notification))).collect();

    let (notifications, next) = page(live, history, limit);
    let entries = notifications.iter().map(|n| wire::notification_json(n, &state.directory)).collect();
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
    submit(&state, Act::RetryNotification(id), actor(&caller, by.as_deref())?).await?;
    let notification = state.engine.live().notification(id);
    let notification = notification.ok_or_else(|| Problem::not_found(format!("there is no notification {}", id.0)))?;
    Ok(Json(wire::notification_json(&notification, &state.directory)))
}

//! Quell's JSON API: incidents, alerts, notifications, the event stream, probes, metrics and reload.
//!
//! Owns the paths, the checks before each call (token, `Host`, `Origin`, sizes) and the form of answers and errors. It
//! decides nothing: acts go to the engine through [`Running`], lists walk the live tables, and what is older comes from
//! the view. It binds no socket; the HTTP server hands it every request that is not an ingest call.
//!
//! - [`ROUTES`] is the one list of everything that can be called; the OpenAPI document is held to it by a test.
//! - `guard` stands before every handler; `problem` is the one form of an error.
//! - `incidents`, `acts`, `reports`, `alerts`, `notifications`, `changes`, `heartbeats`, `sources`, `explain`, `events` and
//!   `admin` are the handlers.

mod acts;
mod admin;
mod alerts;
mod body;
mod changes;
mod events;
mod explain;
mod guard;
mod heartbeats;
mod history;
mod incidents;
mod notifications;
mod page;
mod problem;
mod query;
mod reports;
mod sources;
mod state;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};

pub use changes::read_change;
pub use state::{ApiState, Pending, Running};

/// The whole API as one service.
pub fn router(state: ApiState) -> Router {
    let state = Arc::new(state);
    let mut router = Router::new();
    for route in ROUTES {
        let guarded = middleware::from_fn_with_state((state.clone(), route), guard::guard);
        // Two methods of one path are two entries, and become one route.
        router = router.route(route.path, (route.handler)().layer(guarded));
    }
    router
        .fallback(guard::no_such_path)
        .method_not_allowed_fallback(guard::no_such_method)
        .layer(middleware::from_fn(guard::harden))
        .with_state(state)
}

/// One call of the API.
#[derive(Debug)]
pub struct Route {
    /// The only method that it takes.
    pub method: &'static str,
    /// The path; what stands in braces is a parameter.
    pub path: &'static str,
    /// Its name in the metrics.
    pub name: &'static str,
    pub access: Access,
    handler: fn() -> MethodRouter<Arc<ApiState>>,
}

/// What a call needs before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Changes nothing; open.
    Read,
    /// Changes something, or shows what is not for everybody: needs a token as soon as one is configured, and a browser may not be lured into it.
    Write,
    /// The same, for senders that can set no header of their own: the token may be the secret of GitHub's webhook, with which that
    /// signs its bodies, or of GitLab's, which sends it.
    Hook,
}

const fn read(path: &'static str, name: &'static str, handler: fn() -> MethodRouter<Arc<ApiState>>) -> Route {
    Route { method: "get", path, name, access: Access::Read, handler }
}

const fn write(path: &'static str, name: &'static str, handler: fn() -> MethodRouter<Arc<ApiState>>) -> Route {
    Route { method: "post", path, name, access: Access::Write, handler }
}

/// Reads what is not for everybody: bodies as their senders wrote them.
const fn private(path: &'static str, name: &'static str, handler: fn() -> MethodRouter<Arc<ApiState>>) -> Route {
    Route { method: "get", path, name, access: Access::Write, handler }
}

/// Everything that can be called.
pub const ROUTES: &[Route] = &[
    read("/v1/incidents", "incidents", || get(incidents::list)),
    write("/v1/incidents", "incident_report", || post(reports::report)),
    read("/v1/incidents/{id}", "incident", || get(incidents::show)),
    read("/v1/incidents/{id}/timeline", "incident_timeline", || get(incidents::timeline)),
    read("/v1/incidents/{id}/alerts", "incident_alerts", || get(incidents::alerts)),
    read("/v1/incidents/{id}/explain", "incident_explain", || get(explain::incident)),
    write("/v1/incidents/{id}/{act}", "incident_act", || post(acts::act)),
    read("/v1/alerts", "alerts", || get(alerts::list)),
    read("/v1/alerts/{fingerprint}", "alert", || get(alerts::show)),
    read("/v1/alerts/{fingerprint}/explain", "alert_explain", || get(explain::alert)),
    read("/v1/notifications", "notifications", || get(notifications::list)),
    read("/v1/notifications/{id}/explain", "notification_explain", || get(explain::notification)),
    write("/v1/notifications/{id}/retry", "notification_retry", || post(notifications::retry)),
    read("/v1/changes", "changes", || get(changes::list)),
    Route { access: Access::Hook, ..write("/v1/changes", "changes_report", || post(changes::report)) },
    read("/v1/heartbeats", "heartbeats", || get(heartbeats::list)),
    read("/v1/heartbeats/{name}", "heartbeat", || get(heartbeats::show)),
    write("/v1/heartbeats/{name}", "heartbeat_beat", || post(heartbeats::beat)),
    read("/v1/sources", "sources", || get(sources::list)),
    read("/v1/rejects", "rejects", || get(sources::rejects)),
    private("/v1/rejects/{id}", "reject", || get(sources::reject)),
    write("/v1/rejects/replay", "rejects_replay", || post(sources::replay)),
    write("/v1/rejects/drop", "rejects_drop", || post(sources::discard)),
    read("/v1/events", "events", || get(events::stream)),
    read("/v1/status", "status", || get(admin::status)),
    read("/v1/openapi.json", "openapi", || get(admin::openapi)),
    read("/metrics", "metrics", || get(admin::metrics)),
    read("/-/healthy", "healthy", || get(admin::healthy)),
    read("/-/ready", "ready", || get(admin::ready)),
    write("/-/reload", "reload", || post(admin::reload)),
];

//! What Argo CD's notifications post, with a template of theirs that sends the whole application:
//! `{"app": {{toJson .app}}}`. Each sync is one change, from its beginning to its end.

use serde_json::Value;

use super::Found;
use super::fields::{first, link, moment, name, need, short, summary, text};
use super::own::Reported;

/// What Argo CD calls the cluster that it runs in itself.
const OWN_CLUSTER: &str = "in-cluster";

pub(super) fn read(body: &Value) -> Result<Found, String> {
    let app = ["app", "application"].iter().map(|key| &body[*key]).find(|app| app.is_object()).unwrap_or(body);
    let application = need(app, "/metadata/name")?;
    let Some(phase) = text(app, "/status/operationState/phase") else {
        return Ok(Found::Nothing(format!("the application {application} has not been synced")));
    };
    let started_at = moment(app, "/status/operationState/startedAt").ok_or("status.operationState.startedAt is no time")?;
    let namespace = text(app, "/metadata/namespace").unwrap_or_default();
    let revisions = [
        "/status/operationState/syncResult/revision",
        "/status/operationState/syncResult/revisions/0",
        "/status/operationState/operation/sync/revision",
        "/status/sync/revision",
        "/spec/source/targetRevision",
    ];
    let mut said = application.clone();
    said.extend(first(app, &revisions).map(|revision| format!(" {}", short(&revision))));
    said.extend(text(app, "/spec/destination/namespace").map(|place| format!(" to {place}")));
    said.extend((!matches!(phase.as_str(), "Succeeded" | "Running")).then(|| format!(": {}", phase.to_lowercase())));
    if matches!(phase.as_str(), "Failed" | "Error") {
        said.extend(text(app, "/status/operationState/message").map(|message| format!(": {message}")));
    }
    let by = text(app, "/status/operationState/operation/initiatedBy/username");
    let automated = app.pointer("/status/operationState/operation/initiatedBy/automated") == Some(&Value::Bool(true));
    let address = first(body, &["/argocd_url", "/context/argocdUrl"]);
    let address = address.map(|address| format!("{}/applications/{namespace}/{application}", address.trim_end_matches('/')));
    Ok(Found::Changes(vec![Reported {
        id: Some(name(format!("argocd:{namespace}/{application}:{started_at}"))),
        kind: Some("deploy".to_owned()),
        service: Some(name(application)),
        environment: first(app, &["/metadata/labels/environment", "/metadata/labels/env"]).map(name),
        cluster: text(app, "/spec/destination/name").filter(|cluster| cluster != OWN_CLUSTER).map(name),
        started_at: Some(started_at),
        ended_at: moment(app, "/status/operationState/finishedAt"),
        summary: Some(summary(said)),
        url: link(text(body, "/url").or(address)),
        author: by.or_else(|| automated.then(|| "argocd".to_owned())).map(name),
        ..Reported::default()
    }]))
}

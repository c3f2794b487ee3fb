//! What GitHub posts to a webhook. A deployment and its states are one change, and so are a release and a run of a workflow
//! that the webhook's address names: not every workflow changes something.

use serde_json::Value;

use super::Found;
use super::fields::{first, link, moment, name, need, short, summary, text};
use super::own::Reported;

/// The header that names the event.
pub(super) const EVENT_HEADER: &str = "x-github-event";

pub(super) fn read(event: Option<&str>, body: &Value, workflows: &[&str]) -> Result<Found, String> {
    match event.unwrap_or_else(|| guess(body)) {
        "deployment" => deployment(body, false),
        "deployment_status" => deployment(body, true),
        "release" => release(body),
        "workflow_run" => workflow_run(body, workflows),
        "" => Err("the header X-GitHub-Event is missing".to_owned()),
        other => Ok(Found::Nothing(format!("the event {other:?} tells of no change that was made"))),
    }
}

/// The event of a body that came without its header.
fn guess(body: &Value) -> &'static str {
    let known = ["deployment_status", "deployment", "release", "workflow_run"];
    known.into_iter().find(|key| body[*key].is_object()).unwrap_or_default()
}

fn deployment(body: &Value, has_status: bool) -> Result<Found, String> {
    let repository = need(body, "/repository/full_name")?;
    let id = need(body, "/deployment/id")?;
    let state = if has_status { need(body, "/deployment_status/state")? } else { String::new() };
    let ended = matches!(state.as_str(), "success" | "failure" | "error");
    if state == "inactive" {
        return Ok(Found::Nothing("a deployment that another one has replaced changes nothing by that".to_owned()));
    }
    let started_at = moment(body, "/deployment/created_at").ok_or("deployment.created_at is no time")?;
    let environment = first(body, &["/deployment_status/environment", "/deployment/environment"]);
    let (version, hash) = (text(body, "/deployment/ref"), text(body, "/deployment/sha"));
    let mut said = repository.clone();
    said.extend(version.filter(|version| Some(version) != hash.as_ref()).map(|version| format!(" {version}")));
    said.extend(hash.map(|hash| format!(" ({})", short(&hash))));
    said.extend(environment.as_ref().map(|environment| format!(" to {environment}")));
    said.extend(matches!(state.as_str(), "failure" | "error").then(|| format!(": {state}")));
    let task = text(body, "/deployment/task").unwrap_or_default();
    let kind = if task.is_empty() || task.starts_with("deploy") { "deploy".to_owned() } else { name(task) };
    let url = ["/deployment_status/target_url", "/deployment_status/log_url", "/workflow_run/html_url", "/repository/html_url"];
    Ok(Found::Changes(vec![Reported {
        id: Some(name(format!("github:{repository}:deployment:{id}"))),
        kind: Some(kind),
        service: Some(name(need(body, "/repository/name")?)),
        environment: environment.map(name),
        started_at: Some(started_at),
        ended_at: if ended { moment(body, "/deployment_status/created_at") } else { None },
        summary: Some(summary(said)),
        url: link(first(body, &url)),
        author: first(body, &["/deployment/creator/login", "/sender/login"]).map(name),
        ..Reported::default()
    }]))
}

fn release(body: &Value) -> Result<Found, String> {
    let action = need(body, "/action")?;
    // One release is told of as `published` and as `released`, and maybe again.
    if !matches!(action.as_str(), "published" | "released" | "prereleased") {
        return Ok(Found::Nothing(format!("a release that is {action} changes nothing by that")));
    }
    let (repository, id) = (need(body, "/repository/full_name")?, need(body, "/release/id")?);
    let times = ["/release/published_at", "/release/created_at"];
    let started_at = times.iter().find_map(|path| moment(body, path)).ok_or("release.published_at is no time")?;
    let tag = need(body, "/release/tag_name")?;
    let title = text(body, "/release/name").filter(|title| *title != tag);
    let title = title.map(|title| format!(": {title}")).unwrap_or_default();
    Ok(Found::Changes(vec![Reported {
        id: Some(name(format!("github:{repository}:release:{id}"))),
        kind: Some("release".to_owned()),
        service: Some(name(need(body, "/repository/name")?)),
        started_at: Some(started_at),
        summary: Some(summary(format!("{repository} {tag}{title}"))),
        url: link(text(body, "/release/html_url")),
        author: first(body, &["/release/author/login", "/sender/login"]).map(name),
        ..Reported::default()
    }]))
}

fn workflow_run(body: &Value, workflows: &[&str]) -> Result<Found, String> {
    let workflow = need(body, "/workflow_run/name")?;
    let file = text(body, "/workflow_run/path").unwrap_or_default();
    let file = file.rsplit('/').next().unwrap_or_default();
    let is_meant = |named: &&str| named.eq_ignore_ascii_case(&workflow) || (!file.is_empty() && **named == *file);
    if !workflows.iter().any(is_meant) {
        let hint = "add ?workflow= with its name to the webhook's address if it does";
        return Ok(Found::Nothing(format!("the workflow {workflow:?} is not said to change anything; {hint}")));
    }
    let outcome = text(body, "/workflow_run/conclusion");
    let state = need(body, "/workflow_run/status")?;
    if matches!(outcome.as_deref(), Some("skipped" | "cancelled" | "action_required" | "stale" | "neutral")) {
        return Ok(Found::Nothing(format!("a run that is {} has changed nothing", outcome.unwrap_or_default())));
    }
    if !matches!(state.as_str(), "in_progress" | "completed") {
        return Ok(Found::Nothing(format!("a run that is {state} has changed nothing yet")));
    }
    let (repository, id) = (need(body, "/repository/full_name")?, need(body, "/workflow_run/id")?);
    // A run that is begun anew changes things anew.
    let attempt = text(body, "/workflow_run/run_attempt").filter(|attempt| attempt != "1");
    let attempt = attempt.map(|attempt| format!(":{attempt}")).unwrap_or_default();
    let times = ["/workflow_run/run_started_at", "/workflow_run/created_at"];
    let started_at = times.iter().find_map(|path| moment(body, path)).ok_or("workflow_run.run_started_at is no time")?;
    let mut said = format!("{repository}: {workflow}");
    said.extend(text(body, "/workflow_run/head_branch").map(|branch| format!(" of {branch}")));
    said.extend(text(body, "/workflow_run/head_sha").map(|hash| format!(" ({})", short(&hash))));
    said.extend(outcome.filter(|outcome| outcome != "success").map(|outcome| format!(": {outcome}")));
    Ok(Found::Changes(vec![Reported {
        id: Some(name(format!("github:{repository}:run:{id}{attempt}"))),
        kind: Some("deploy".to_owned()),
        service: Some(name(need(body, "/repository/name")?)),
        started_at: Some(started_at),
        ended_at: if state == "completed" { moment(body, "/workflow_run/updated_at") } else { None },
        summary: Some(summary(said)),
        url: link(text(body, "/workflow_run/html_url")),
        author: first(body, &["/workflow_run/triggering_actor/login", "/workflow_run/actor/login", "/sender/login"]).map(name),
        ..Reported::default()
    }]))
}

//! What GitLab posts to a webhook: deployments, pipelines with jobs that deploy, releases.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Found;
use super::fields::{first, link, moment, name, need, short, summary, text};
use super::own::Reported;

/// The header that names the event. What it says stands in the body as well, as `object_kind`.
pub(super) const EVENT_HEADER: &str = "x-gitlab-event";

pub(super) fn read(body: &Value) -> Result<Found, String> {
    match need(body, "/object_kind")?.as_str() {
        "deployment" => deployment(body),
        "pipeline" => pipeline(body),
        "release" => release(body),
        other => Ok(Found::Nothing(format!("the event {other:?} tells of no change that was made"))),
    }
}

fn deployment(body: &Value) -> Result<Found, String> {
    let status = need(body, "/status")?;
    if !matches!(status.as_str(), "running" | "success" | "failed") {
        return Ok(Found::Nothing(format!("a deployment that is {status} has changed nothing")));
    }
    let project = need(body, "/project/path_with_namespace")?;
    let id = first(body, &["/deployment_id", "/deployable_id"]).ok_or("deployment_id is missing")?;
    let at = moment(body, "/status_changed_at").ok_or("status_changed_at is no time")?;
    let environment = text(body, "/environment");
    let mut said = format!("{project} {}", first(body, &["/ref", "/short_sha"]).unwrap_or_default());
    said.extend(text(body, "/short_sha").map(|hash| format!(" ({hash})")));
    said.extend(environment.as_ref().map(|environment| format!(" to {environment}")));
    said.extend((status == "failed").then_some(": failed"));
    said.extend(text(body, "/commit_title").map(|title| format!(": {title}")));
    Ok(Found::Changes(vec![Reported {
        id: Some(name(format!("gitlab:{project}:deployment:{id}"))),
        kind: Some("deploy".to_owned()),
        service: Some(service(&project)),
        environment: environment.map(name),
        // The message about its end says of the beginning nothing; that about the beginning came before.
        started_at: Some(at.clone()),
        ended_at: (status != "running").then_some(at),
        summary: Some(summary(said)),
        url: link(first(body, &["/deployable_url", "/project/web_url"])),
        author: first(body, &["/user/username", "/user/name"]).map(name),
        ..Reported::default()
    }]))
}

/// A pipeline changes something where a job of it deploys: one change for each environment.
fn pipeline(body: &Value) -> Result<Found, String> {
    let status = need(body, "/object_attributes/status")?;
    let project = need(body, "/project/path_with_namespace")?;
    let id = need(body, "/object_attributes/id")?;
    let mut deployed: BTreeMap<String, &Value> = BTreeMap::new();
    for job in body["builds"].as_array().into_iter().flatten() {
        let starts = text(job, "/environment/action").is_none_or(|action| action == "start");
        let ran = matches!(text(job, "/status").as_deref(), Some("running" | "success" | "failed"));
        if let Some(environment) = text(job, "/environment/name").filter(|_| starts && ran) {
            deployed.entry(environment).or_insert(job);
        }
    }
    if deployed.is_empty() {
        return Ok(Found::Nothing(format!("no job of the pipeline {id}, which is {status}, has deployed to an environment")));
    }
    let change = |(environment, job): (String, &Value)| {
        let outcome = text(job, "/status").unwrap_or_default();
        let times = [moment(job, "/started_at"), moment(body, "/object_attributes/created_at")];
        let started_at = times.into_iter().flatten().next().ok_or("object_attributes.created_at is no time")?;
        let mut said = format!("{project} {}", text(body, "/object_attributes/ref").unwrap_or_default());
        said.extend(text(body, "/object_attributes/sha").map(|hash| format!(" ({})", short(&hash))));
        said.extend([" to ", &environment]);
        said.extend((outcome == "failed").then_some(": failed"));
        said.extend(text(body, "/commit/title").map(|title| format!(": {title}")));
        let address = text(body, "/project/web_url").map(|project| format!("{project}/-/pipelines/{id}"));
        Ok(Reported {
            id: Some(name(format!("gitlab:{project}:pipeline:{id}:{environment}"))),
            kind: Some("deploy".to_owned()),
            service: Some(service(&project)),
            environment: Some(name(environment)),
            started_at: Some(started_at),
            ended_at: moment(job, "/finished_at"),
            summary: Some(summary(said)),
            url: link(text(body, "/object_attributes/url").or(address)),
            author: first(body, &["/user/username", "/user/name"]).map(name),
            ..Reported::default()
        })
    };
    deployed.into_iter().map(change).collect::<Result<Vec<Reported>, String>>().map(Found::Changes)
}

fn release(body: &Value) -> Result<Found, String> {
    let action = need(body, "/action")?;
    if action != "create" {
        return Ok(Found::Nothing(format!("the action {action:?} on a release changes nothing")));
    }
    let (project, tag) = (need(body, "/project/path_with_namespace")?, need(body, "/tag")?);
    let times = ["/released_at", "/created_at"];
    let started_at = times.iter().find_map(|path| moment(body, path)).ok_or("released_at is no time")?;
    let title = text(body, "/name").filter(|title| *title != tag);
    let title = title.map(|title| format!(": {title}")).unwrap_or_default();
    Ok(Found::Changes(vec![Reported {
        id: Some(name(format!("gitlab:{project}:release:{tag}"))),
        kind: Some("release".to_owned()),
        service: Some(service(&project)),
        started_at: Some(started_at),
        summary: Some(summary(format!("{project} {tag}{title}"))),
        url: link(text(body, "/url")),
        author: first(body, &["/commit/author/name"]).map(name),
        ..Reported::default()
    }]))
}

/// The project without its groups: its name may be words with spaces.
fn service(project: &str) -> String {
    name(project.rsplit('/').next().unwrap_or(project).to_owned())
}

//! What people report: `POST /v1/incidents`. A report becomes an alert, which the engine puts into an incident; the answer
//! says into which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::acts::actor;
use super::body::read_json;
use super::guard::Caller;
use super::incidents::find;
use super::problem::Problem;
use super::query::Query;
use super::state::ApiState;
use crate::config::Limits;
use crate::engine::{Act, Answer, Input, Reported};
use crate::model::alert::REPORTS;
use crate::model::{Alert, Fingerprint, Labels, Severity};
use crate::wire;

/// Bytes of a title. It is a label, too.
const TITLE_BYTES_MAX: usize = 256;
/// Bytes of a description.
const DESCRIPTION_BYTES_MAX: usize = 10_000;
const URL_BYTES_MAX: usize = 2_000;
/// Bytes of an idempotency key.
const KEY_BYTES_MAX: usize = 255;
const KEY_HEADER: &str = "idempotency-key";
/// Labels that have a field of their own.
const OWN_LABELS: [&str; 3] = ["alertname", "service", "severity"];

/// Reports without a key so far.
static FRESH: AtomicU64 = AtomicU64::new(0);

/// `POST /v1/incidents`: 201 with the incident that the report has opened or joined, 200 where it had come before, 202 where
/// something suppresses it.
pub(super) async fn report(
    State(state): State<Arc<ApiState>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Query::parse(&uri, &[])?;
    let limits = &state.config.limits;
    let key = idempotency_key(&headers)?;
    let timeout = Duration::from_millis(limits.body_timeout.0.unsigned_abs());
    let report: Report = read_json(&headers, body, timeout).await?;
    let by = actor(&caller, report.by.as_deref())?;
    let who = by.to_string();
    let fingerprint = identity(&state, key, &who);
    let alert = Arc::new(report.alert(fingerprint, &who, &state)?);
    let live = state.engine.live();
    if live.firing_of(REPORTS) >= limits.active_alerts_per_source && live.alert(fingerprint).is_none() {
        return Err(Problem::unprocessable("the limit active_alerts_per_source is reached: resolve incidents with reports"));
    }
    let mut answers = state.engine.submit(vec![Input::Act { act: Act::Report(alert), by }]).await?;
    let answer = answers.pop().ok_or_else(|| Problem::unavailable("storage", "the engine gave no answer"))?;
    let reported = match answer.map_err(Problem::from)? {
        Answer::Reported(reported) => reported,
        // Nothing else is said of a report.
        Answer::New | Answer::Repeat | Answer::Done => Reported::Known(None),
    };
    let (status, outcome, id) = match reported {
        Reported::Opened(id) => (StatusCode::CREATED, "opened", Some(id)),
        Reported::Joined(id) => (StatusCode::CREATED, "joined", Some(id)),
        Reported::Suppressed => (StatusCode::ACCEPTED, "suppressed", None),
        Reported::Known(id) => (StatusCode::OK, "known", id),
    };
    let incident = match id {
        Some(id) => Some(wire::incident_json(&*find(&state, id).await?)),
        None => None,
    };
    let entry = state.engine.live().alert(fingerprint);
    let alert = entry.map(|entry| wire::alert_json(&entry.record, None));
    Ok((status, Json(json!({ "outcome": outcome, "incident": incident, "alert": alert }))))
}

/// The header's value, where it is there.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(KEY_HEADER).iter();
    let (first, second) = (given.next(), given.next());
    let Some(value) = first else { return Ok(None) };
    let key = value.to_str().ok().map(str::trim).filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    if key.is_none() || second.is_some() {
        let message = format!("the header Idempotency-Key is given once, with 1 to {KEY_BYTES_MAX} visible characters");
        return Err(Problem::bad_request(message));
    }
    Ok(key)
}

/// Of a key its reporter's own, so that two people who count alike are two; without one, of a moment and our own count.
fn identity(state: &ApiState, key: Option<&str>, reporter: &str) -> Fingerprint {
    if let Some(key) = key {
        return Alert::keyed(REPORTS, &format!("{reporter}\n{key}"));
    }
    let (now, count) = (state.engine.now().0, FRESH.fetch_add(1, Ordering::Relaxed));
    // With a hash that nobody knows the seed of: a report that is to be another's repeat cannot be made.
    let seeded = state.engine.live().raw_key(0, &format!("{now}/{count}"));
    Alert::keyed(REPORTS, &format!("{now}/{count}/{seeded:016x}"))
}

/// A report as its reporter sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    title: String,
    service: Option<String>,
    severity: Option<String>,
    description: Option<String>,
    url: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    by: Option<String>,
}

impl Report {
    /// What is wrong with it is said with the field's name.
    fn alert(&self, fingerprint: Fingerprint, reporter: &str, state: &ApiState) -> Result<Alert, Problem> {
        let limits = &state.config.limits;
        let title = line("title", &self.title, TITLE_BYTES_MAX.min(limits.label_value_bytes))?;
        let given = |field: &str, value: &Option<String>, max| match value.as_deref().map(str::trim) {
            None | Some("") => Ok(String::new()),
            Some(value) => line(field, value, max),
        };
        let service = given("service", &self.service, limits.label_value_bytes)?;
        let url = given("url", &self.url, URL_BYTES_MAX)?;
        let severity = given("severity", &self.severity, limits.label_value_bytes)?;
        let severity = match severity.as_str() {
            "" => "",
            word => Severity::parse(word).map(Severity::as_str).ok_or_else(|| {
                let known = Severity::ALL.map(Severity::as_str).join(", ");
                Problem::unprocessable(format!("severity: {word:?} is none of {known}"))
            })?,
        };
        let description = self.description.as_deref().map(str::trim).unwrap_or_default();
        if description.len() > DESCRIPTION_BYTES_MAX {
            let message = format!("description: at most {DESCRIPTION_BYTES_MAX} bytes are expected");
            return Err(Problem::unprocessable(message));
        }
        for (name, value) in &self.labels {
            check_label(name, value, limits)?;
        }
        let own = [("alertname", title.as_str()), ("service", service.as_str()), ("severity", severity)];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<(&str, &str)> = own.chain(self.labels.iter().map(|(name, value)| (&**name, &**value))).collect();
        if pairs.len() > limits.labels_per_alert {
            return Err(Problem::unprocessable(format!("labels: at most {} in all are expected", limits.labels_per_alert)));
        }
        let annotations = [("summary", title.as_str()), ("description", description), ("reporter", reporter)];
        let bytes = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let too_long = || Problem::unprocessable(format!("the report is longer than {} bytes", limits.alert_bytes));
        if bytes(&pairs) + bytes(&annotations) + url.len() > limits.alert_bytes {
            return Err(too_long());
        }
        Ok(Alert {
            fingerprint,
            labels: Labels::from_pairs(pairs).ok_or_else(too_long)?,
            annotations: Labels::from_pairs(annotations).ok_or_else(too_long)?,
            generator_url: url.into(),
            source: REPORTS.into(),
            starts_at: state.engine.now(),
        })
    }
}

fn check_label(name: &str, value: &str, limits: &Limits) -> Result<(), Problem> {
    if OWN_LABELS.contains(&name) {
        let field = if name == "alertname" { "title" } else { name };
        return Err(Problem::unprocessable(format!("labels: {name:?} is what the field {field} says")));
    }
    if name.is_empty() || name.len() > limits.label_name_bytes || name.chars().any(char::is_control) {
        let message = format!("labels: a name has 1 to {} bytes without control characters", limits.label_name_bytes);
        return Err(Problem::unprocessable(message));
    }
    if value.len() > limits.label_value_bytes {
        let message = format!("labels: the value of {name:?} is longer than {} bytes", limits.label_value_bytes);
        return Err(Problem::unprocessable(message));
    }
    Ok(())
}

fn line(field: &str, text: &str, bytes_max: usize) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.len() > bytes_max || text.chars().any(char::is_control) {
        let message = format!("{field}: 1 to {bytes_max} bytes without control characters are expected");
        return Err(Problem::unprocessable(message));
    }
    Ok(text.to_owned())
}

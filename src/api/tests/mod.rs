//! The API as its clients see it: requests into the router, answers out, with a stand-in for the engine behind it.

mod calls;
mod changes;
mod events;
mod explain;
mod lists;
mod people;
mod sources;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tower_service::Service;

use super::{ApiState, Pending, Running, router};
use crate::config::Config;
use crate::engine::entity::{Changes, Meta};
use crate::engine::{Act, Answer, Fact, Input, Refusal};
use crate::metrics::Metrics;
use crate::model::*;
use crate::runtime::{Committed, Live, Shutdown, Status, SubmitError};
use crate::storage::view::{self, ViewBatch};

const NOW: Time = Time(1_767_571_200_000);

/// What becomes of one input that is handed to the engine.
type Submitted = Result<Result<Answer, Refusal>, SubmitError>;

/// What a test changes of a site before it is built.
type SiteChange = fn(&mut Config, &mut Fake);

/// Header, name and value.
type Header = (&'static str, &'static str);

/// The engine's stand-in: remembers what it was told, answers what the test wants.
struct Fake {
    live: Live,
    told: Mutex<Vec<Input>>,
    answer: Submitted,
    committed: broadcast::Sender<Arc<Committed>>,
    log: Mutex<Vec<Arc<Committed>>>,
    /// What is committed, and the view does not have before it is flushed.
    behind: Mutex<Vec<ViewBatch>>,
    reload: Result<String, String>,
    status: Status,
    directory: Arc<str>,
    folder: tempfile::TempDir,
    shutdown: Shutdown,
}

impl Running for Fake {
    fn live(&self) -> &Live {
        &self.live
    }
    fn now(&self) -> Time {
        NOW
    }
    fn submit(&self, inputs: Vec<Input>) -> Pending<'_, Result<Vec<Result<Answer, Refusal>>, SubmitError>> {
        let answers = self.answer.clone().map(|answer| vec![answer; inputs.len()]);
        self.told.lock().unwrap().extend(inputs);
        Box::pin(async { answers })
    }
    fn committed(&self) -> broadcast::Receiver<Arc<Committed>> {
        self.committed.subscribe()
    }
    fn events_since(&self, seq: u64, limit: usize) -> Pending<'_, Vec<Arc<Committed>>> {
        let log = self.log.lock().unwrap();
        let behind = log.iter().filter(|record| record.first_seq + record.facts.len() as u64 > seq + 1);
        let records = behind.take(limit).cloned().collect();
        Box::pin(async { records })
    }
    fn reload(&self) -> Pending<'_, Result<String, String>> {
        Box::pin(async { self.reload.clone() })
    }
    fn status(&self) -> Status {
        self.status.clone()
    }
    fn directory(&self) -> &Arc<str> {
        &self.directory
    }
    fn view_path(&self) -> PathBuf {
        self.folder.path().join("view.db")
    }
    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
    fn flush_view(&self) -> Pending<'_, ()> {
        let behind = std::mem::take(&mut *self.behind.lock().unwrap());
        view::View::open(&self.view_path()).unwrap().write(&behind).unwrap();
        Box::pin(async {})
    }
    fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}

/// A daemon's API over a fake engine and a real view in a folder of its own.
struct Site {
    fake: Arc<Fake>,
    router: Router,
    metrics: Arc<Metrics>,
    replays: Arc<tokio::sync::Semaphore>,
}

impl Site {
    fn new(change: impl FnOnce(&mut Config, &mut Fake)) -> Site {
        Site::with_silence(Duration::from_hours(1), change)
    }

    /// A site whose event streams may be silent for `keep_awake`.
    fn with_silence(keep_awake: Duration, change: impl FnOnce(&mut Config, &mut Fake)) -> Site {
        let mut config = config();
        let mut fake = Fake {
            live: Live::new(&config),
            told: Mutex::default(),
            answer: Ok(Ok(Answer::Done)),
            committed: broadcast::Sender::new(4),
            log: Mutex::default(),
            behind: Mutex::default(),
            reload: Ok("3 rules are in force".to_owned()),
            status: Status { seq: 7, view_seq: 6, storage_fault: None },
            directory: "dir1".into(),
            folder: tempfile::tempdir().unwrap(),
            shutdown: Shutdown::default(),
        };
        change(&mut config, &mut fake);
        drop(view::View::open(&fake.view_path()).unwrap());
        let (fake, metrics) = (Arc::new(fake), Arc::new(Metrics::default()));
        let sources = Arc::new(sources::FakeSources::new(fake.folder.path()));
        let mut state = ApiState::new(fake.clone(), sources, metrics.clone(), Arc::new(config));
        state.keep_awake = keep_awake;
        let replays = state.replays.clone();
        Site { fake, router: router(state), metrics, replays }
    }

    /// Publishes records as live.
    fn live(self, changes: &Changes) -> Site {
        self.fake.live.publish(changes, NOW);
        self
    }

    /// Writes records into the view, with facts of one log record.
    fn past(self, first_seq: u64, facts: Vec<Fact>, changes: Changes) -> Site {
        view::View::open(&self.fake.view_path()).unwrap().write(&[batch(first_seq, facts, changes)]).unwrap();
        self
    }

    /// Commits records that the view gets only when it is flushed.
    fn committed(self, first_seq: u64, facts: Vec<Fact>, changes: Changes) -> Site {
        self.fake.behind.lock().unwrap().push(batch(first_seq, facts, changes));
        self
    }

    async fn send(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().call(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.send(Request::get(path).body(Body::empty()).unwrap()).await;
        (response.status(), body_json(response).await)
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, HeaderMap, Value) {
        let mut request = Request::post(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:9093");
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, body_json(response).await)
    }
}

fn batch(first_seq: u64, facts: Vec<Fact>, changes: Changes) -> ViewBatch {
    let meta = Meta { directory: "dir1".into(), seq: first_seq + facts.len() as u64 - 1, time: NOW, ..Meta::default() };
    ViewBatch { first_seq, time: NOW, facts: Arc::new(facts), changes: Arc::new(changes), meta }
}

async fn body_json(response: axum::response::Response) -> Value {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)))
}

/// What applies with no file at all.
fn config() -> Config {
    let nothing = BTreeMap::new();
    crate::config::load_text("", "", &nothing, &nothing).unwrap().0
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn incident(id: u64, status: IncidentStatus) -> Incident {
    let mut incident =
        Incident::opened(IncidentId(id), RuleRef::built_in("default"), format!("trouble {id}").as_str().into(), id, NOW);
    incident.status = status;
    incident.priority = if id.is_multiple_of(2) { 2 } else { 3 };
    incident.impact = 2;
    incident.urgency = 1;
    incident.priority_reason = Reason::Text("derived".into());
    incident.severity = Severity::Critical;
    incident.category = "database".into();
    incident.team = Some(if id.is_multiple_of(2) { "dba" } else { "web" }.into());
    incident.services = vec![format!("service-{}", id % 3).as_str().into()].into();
    incident.labels = labels(&[("cluster", if id.is_multiple_of(2) { "eu1" } else { "us1" })]).into();
    incident.alerts_total = 1;
    incident.alerts_firing = 1;
    incident.window = Millis::minutes(5);
    incident.max_age = Millis::hours(1);
    incident
}

fn alert(seq: u64, status: AlertStatus, incident: u64) -> AlertRecord {
    let labels = labels(&[("alertname", "Down"), ("host", &format!("host-{seq}"))]);
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "prometheus".into(),
        starts_at: NOW,
    };
    AlertRecord {
        status,
        ends_at: (status == AlertStatus::Resolved).then_some(NOW),
        incidents: [IncidentId(incident)].into(),
        ..AlertRecord::firing(Arc::new(alert), seq, NOW)
    }
}

fn notification(id: u64, state: NotificationState) -> Notification {
    Notification {
        id: NotificationId(id),
        incident: IncidentId(1 + id % 2),
        receiver: "pager".into(),
        kind: NotificationKind::Trigger,
        reason: Reason::Text("policy".into()),
        again: false,
        state,
        attempts: 1,
        created_at: NOW,
        delivered_at: None,
        retry_at: None,
        error: None,
    }
}

fn incidents(range: impl Iterator<Item = u64>, status: IncidentStatus) -> Changes {
    Changes { incidents: range.map(|id| Arc::new(incident(id, status))).collect(), ..Changes::default() }
}

fn ids(list: &Value, name: &str, field: &str) -> Vec<String> {
    list[name].as_array().unwrap().iter().map(|entry| entry[field].as_str().unwrap().to_owned()).collect()
}

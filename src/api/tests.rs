//! The API as its clients see it: requests into the router, answers out, with a stand-in for the engine behind it.

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

use super::state::EVENT_STREAMS_MAX;
use super::{Access, ApiState, Pending, ROUTES, Running, router};
use crate::config::{Config, Secret, TokenConfig};
use crate::engine::entity::{Changes, Meta};
use crate::engine::{Act, Answer, Fact, Input, Refusal};
use crate::metrics::Metrics;
use crate::model::*;
use crate::runtime::{Committed, Live, Shutdown, Status, SubmitError};
use crate::storage::view::{View, ViewBatch};

const NOW: Time = Time(1_767_571_200_000);

/// What becomes of one input that is handed to the engine.
type Submitted = Result<Result<Answer, Refusal>, SubmitError>;

/// What a test changes of a site before it is built.
type Change = fn(&mut Config, &mut Fake);

/// Header, name and value.
type Header = (&'static str, &'static str);

/// The engine's stand-in: remembers what it was told, answers what the test wants.
struct Fake {
    live: Live,
    told: Mutex<Vec<Input>>,
    answer: Submitted,
    committed: broadcast::Sender<Arc<Committed>>,
    log: Mutex<Vec<Arc<Committed>>>,
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
    fn flush_view(&self) -> Pending<'_, ()> {
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
            reload: Ok("3 rules are in force".to_owned()),
            status: Status { seq: 7, view_seq: 6, storage_fault: None },
            directory: "dir1".into(),
            folder: tempfile::tempdir().unwrap(),
            shutdown: Shutdown::default(),
        };
        change(&mut config, &mut fake);
        drop(View::open(&fake.view_path()).unwrap());
        let (fake, metrics) = (Arc::new(fake), Arc::new(Metrics::default()));
        let mut state = ApiState::new(fake.clone(), metrics.clone(), Arc::new(config));
        state.keep_awake = keep_awake;
        Site { fake, router: router(state), metrics }
    }

    /// Publishes records as live.
    fn live(self, changes: &Changes) -> Site {
        self.fake.live.publish(changes, NOW);
        self
    }

    /// Writes records into the view, with facts of one log record.
    fn past(self, first_seq: u64, facts: Vec<Fact>, changes: Changes) -> Site {
        let meta = Meta { directory: "dir1".into(), seq: first_seq + facts.len() as u64 - 1, time: NOW, ..Meta::default() };
        let batch = ViewBatch { first_seq, time: NOW, facts: Arc::new(facts), changes: Arc::new(changes), meta };
        View::open(&self.fake.view_path()).unwrap().write(&[batch]).unwrap();
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
    Incident {
        id: IncidentId(id),
        title: format!("trouble {id}").as_str().into(),
        status,
        priority: if id.is_multiple_of(2) { 2 } else { 3 },
        impact: 2,
        urgency: 1,
        priority_reason: Reason::Text("derived".into()),
        severity: Severity::Critical,
        category: "database".into(),
        subcategory: None,
        team: Some(if id.is_multiple_of(2) { "dba" } else { "web" }.into()),
        classified_by: [None, None, None],
        assignee: None,
        services: vec![format!("service-{}", id % 3).as_str().into()],
        labels: labels(&[("cluster", if id.is_multiple_of(2) { "eu1" } else { "us1" })]),
        rule: RuleRef::built_in("default"),
        key: Labels::default(),
        alerts_total: 1,
        alerts_firing: 1,
        alerts_suppressed: 0,
        parent: None,
        opened_at: NOW,
        updated_at: NOW,
        acknowledged_at: None,
        acknowledged_by: None,
        resolved_at: None,
        closed_at: None,
        last_news_at: NOW,
        version: id,
        window: Millis::minutes(5),
        max_age: Millis::hours(1),
        resolve_after: Millis::ZERO,
        resolve_due: None,
        fall_due: None,
        close_due: None,
        retitle_due: None,
        policies: Vec::new(),
        opened_at_receivers: Vec::new(),
    }
}

fn alert(seq: u64, status: AlertStatus, incident: u64) -> AlertRecord {
    let labels = labels(&[("alertname", "Down"), ("host", &format!("host-{seq}"))]);
    AlertRecord {
        alert: Arc::new(Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::default(),
            generator_url: "".into(),
            source: "prometheus".into(),
            starts_at: NOW,
        }),
        enriched: None,
        status,
        fired_seq: seq,
        fired_at: NOW,
        ends_at: (status == AlertStatus::Resolved).then_some(NOW),
        suppressed_by: Vec::new(),
        incidents: vec![IncidentId(incident)],
        waiting: None,
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

#[test]
fn the_document_names_every_route_and_no_other() {
    let document: Value = serde_json::from_str(super::admin::OPENAPI).unwrap();
    let mut documented = Vec::new();
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let access = if call.get("security").is_some() { Access::Write } else { Access::Read };
            documented.push(format!("{method} {path} {access:?}"));
        }
    }
    let mut routed: Vec<String> = ROUTES.iter().map(|r| format!("{} {} {:?}", r.method, r.path, r.access)).collect();
    documented.sort();
    routed.sort();
    assert_eq!(documented, routed);
}

#[tokio::test]
async fn lists_incidents_newest_first_by_filter_and_cursor() {
    let site =
        Site::new(|_, _| {}).live(&incidents(1..=6, IncidentStatus::Open)).live(&incidents(7..=8, IncidentStatus::Resolved));
    let cases = [
        ("", "6 5 4 3 2 1"),
        ("?status=open", "6 5 4 3 2 1"),
        ("?status=acknowledged,snoozed", ""),
        ("?priority=2", "6 4 2"),
        ("?priority=1,3", "5 3 1"),
        ("?team=dba", "6 4 2"),
        ("?service=service-1", "4 1"),
        ("?label=cluster:eu1&team=dba", "6 4 2"),
        ("?label=cluster:eu1&label=zone:a", ""),
        ("?limit=2", "6 5"),
        ("?limit=2&cursor=5", "4 3"),
        ("?cursor=1", ""),
    ];
    for (query, expected) in cases {
        let (status, list) = site.get(&format!("/v1/incidents{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        let expected: Vec<String> = expected.split_whitespace().map(|n| format!("INC-{n}")).collect();
        assert_eq!(ids(&list, "incidents", "id"), expected, "{query}");
    }
    assert_eq!(site.get("/v1/incidents?limit=2").await.1["next"], "5");
    assert_eq!(site.get("/v1/incidents?limit=6").await.1["next"], Value::Null);
}

#[tokio::test]
async fn history_joins_what_is_live() {
    // 1 to 4 are in the view, 3 as it stood earlier; 3 and 5 are live.
    let site = Site::new(|_, _| {})
        .past(1, vec![Fact::IncidentWithoutPolicy { incident: IncidentId(1) }], incidents(1..=4, IncidentStatus::Closed))
        .live(&incidents([3, 5].into_iter(), IncidentStatus::Resolved));
    let (_, all) = site.get("/v1/incidents?status=all").await;
    assert_eq!(ids(&all, "incidents", "id"), ["INC-5", "INC-4", "INC-3", "INC-2", "INC-1"]);
    assert_eq!(all["incidents"][2]["status"], "resolved", "the live record wins");
    let (_, page) = site.get("/v1/incidents?status=all&limit=2&cursor=4").await;
    assert_eq!((ids(&page, "incidents", "id"), &page["next"]), (vec!["INC-3".into(), "INC-2".into()], &json!("2")));
    let (_, closed) = site.get("/v1/incidents?status=closed").await;
    assert_eq!(ids(&closed, "incidents", "id"), ["INC-4", "INC-2", "INC-1"]);
    assert_eq!(site.get("/v1/incidents/INC-2").await.1["status"], "closed");
    assert_eq!(site.get("/v1/incidents/5").await.1["id"], "INC-5");
}

#[tokio::test]
async fn timeline_and_members_of_an_incident() {
    let record = alert(1, AlertStatus::Firing, 1);
    let fingerprint = record.alert.fingerprint;
    let facts = vec![
        Fact::AlertFired { alert: record.alert.clone() },
        Fact::IncidentOpened {
            incident: IncidentId(1),
            rule: RuleRef::built_in("default"),
            key: Labels::default(),
            title: "trouble".into(),
            window: Millis::ZERO,
            max_age: Millis::ZERO,
            resolve_after: Millis::ZERO,
            recurrence_of: None,
        },
        Fact::AlertJoined { incident: IncidentId(1), fingerprint, rule: RuleRef::built_in("default") },
        Fact::IncidentCommented { incident: IncidentId(1), text: "looking".into(), by: Actor::Person("ann".into()) },
    ];
    let mut changes = incidents(1..=1, IncidentStatus::Open);
    changes.alerts.push(Arc::new(record));
    let site = Site::new(|_, _| {}).live(&changes).past(1, facts, changes);

    let (status, timeline) = site.get("/v1/incidents/INC-1/timeline").await;
    assert_eq!(status, 200, "{timeline}");
    let kinds = ids(&timeline, "entries", "kind");
    assert!(kinds.contains(&"incident_opened".to_owned()) && kinds.last().unwrap() == "incident_commented", "{kinds:?}");
    let comment = timeline["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&comment["actor"], &comment["seq"], &comment["at"]),
        (&json!("ann"), &json!(4), &json!("2026-01-05T00:00:00.000Z"))
    );
    let (_, later) = site.get("/v1/incidents/INC-1/timeline?cursor=3").await;
    assert_eq!(ids(&later, "entries", "kind"), ["incident_commented"]);

    let (_, members) = site.get("/v1/incidents/INC-1/alerts").await;
    assert_eq!(ids(&members, "alerts", "fingerprint"), [fingerprint.to_string()]);
    assert_eq!(members["alerts"][0]["repeats"], 0, "the live entry wins");
}

#[tokio::test]
async fn lists_alerts() {
    let live = Changes {
        alerts: (3..=6)
            .map(|seq| Arc::new(alert(seq, if seq == 5 { AlertStatus::Resolved } else { AlertStatus::Firing }, 1)))
            .collect(),
        ..Changes::default()
    };
    let past =
        Changes { alerts: (1..=3).map(|seq| Arc::new(alert(seq, AlertStatus::Resolved, 1))).collect(), ..Changes::default() };
    let facts = past.alerts.iter().map(|record| Fact::AlertFired { alert: record.alert.clone() }).collect();
    let forgotten = past.alerts[0].alert.fingerprint;
    let site = Site::new(|_, _| {}).live(&live).past(1, facts, past).past(
        4,
        vec![Fact::AlertForgotten { fingerprint: forgotten }],
        Changes { forgotten_alerts: vec![forgotten], ..Changes::default() },
    );
    let cases = [
        ("", "6 4 3"),
        ("?limit=all", "6 4 3"),
        ("?label=host:host-4", "4"),
        ("?limit=1&cursor=6", "4"),
        ("?status=resolved", "5 2 1"),
        ("?status=all", "6 5 4 3 2 1"),
        ("?status=all&limit=3&cursor=5", "4 3 2"),
    ];
    for (query, expected) in cases {
        let (status, list) = site.get(&format!("/v1/alerts{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        let hosts: Vec<&str> = list["alerts"].as_array().unwrap().iter().map(|a| a["labels"]["host"].as_str().unwrap()).collect();
        let expected: Vec<String> = expected.split_whitespace().map(|n| format!("host-{n}")).collect();
        assert_eq!(hosts, expected, "{query}");
    }
    for seq in [6, 1] {
        let fingerprint = alert(seq, AlertStatus::Firing, 1).alert.fingerprint.to_string();
        assert_eq!(site.get(&format!("/v1/alerts/{fingerprint}")).await.1["fingerprint"], fingerprint);
    }
    assert_eq!(site.get("/v1/alerts/00000000000000ff").await.0, 404);
}

#[tokio::test]
async fn a_list_of_everything_comes_in_pieces() {
    let alerts = (1..=2_000).map(|seq| Arc::new(alert(seq, AlertStatus::Firing, 1))).collect();
    let site = Site::new(|_, _| {}).live(&Changes { alerts, ..Changes::default() });
    let mut body = site.send(Request::get("/v1/alerts?limit=all").body(Body::empty()).unwrap()).await.into_body();
    let (mut text, mut pieces) = (Vec::new(), 0);
    while let Some(piece) = body.frame().await {
        let piece = piece.unwrap().into_data().unwrap();
        assert!(piece.len() < 80_000, "a piece of {} bytes", piece.len());
        text.extend_from_slice(&piece);
        pieces += 1;
    }
    assert!(pieces > 3, "{pieces} pieces");
    let list: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(list["alerts"].as_array().unwrap().len(), 2_000);

    let nothing = Site::new(|_, _| {}).get("/v1/alerts?limit=all").await;
    assert_eq!(nothing, (StatusCode::OK, json!({ "alerts": [], "next": null })));
}

#[tokio::test]
async fn lists_and_retries_notifications() {
    let list = |ids: std::ops::RangeInclusive<u64>, state| Changes {
        notifications: ids.map(|id| Arc::new(notification(id, state))).collect(),
        ..Changes::default()
    };
    let site = Site::new(|_, _| {}).live(&list(3..=4, NotificationState::Dead)).past(
        1,
        vec![Fact::RulesLoaded { digest: 0, rules: 0 }],
        list(1..=3, NotificationState::Delivered),
    );
    let cases = [
        ("", "4 3 2 1"),
        ("?state=dead", "4 3"),
        ("?state=queued,delivered", "2 1"),
        ("?receiver=chat", ""),
        ("?incident=INC-1", "4 2"),
        ("?limit=1&cursor=3", "2"),
    ];
    for (query, expected) in cases {
        let (status, list) = site.get(&format!("/v1/notifications{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        let expected: Vec<String> = expected.split_whitespace().map(|n| format!("dir1-{n}")).collect();
        assert_eq!(ids(&list, "notifications", "id"), expected, "{query}");
    }
    let (status, _, answer) = site.post("/v1/notifications/dir1-4/retry", &[], r#"{"by":"ann"}"#).await;
    assert_eq!((status, &answer["id"]), (StatusCode::OK, &json!("dir1-4")));
    let told = site.fake.told.lock().unwrap();
    assert!(
        matches!(&told[..], [Input::Act { act: Act::RetryNotification(NotificationId(4)), by: Actor::Person(by) }] if &**by == "ann"),
        "{told:?}"
    );
}

#[tokio::test]
async fn acts_reach_the_engine() {
    let id = IncidentId(1);
    let cases = [
        ("acknowledge", "", Act::Acknowledge(id), "api"),
        ("acknowledge", r#"{"by":"ann"}"#, Act::Acknowledge(id), "ann"),
        ("resolve", "{}", Act::Resolve(id), "api"),
        ("reopen", "", Act::Reopen(id), "api"),
        ("close", r#"{"by":null}"#, Act::Close(id), "api"),
        ("comment", r#"{"text":" hello ","by":"bob"}"#, Act::Comment(id, "hello".into()), "bob"),
        ("assign", r#"{"assignee":"eve"}"#, Act::Assign(id, Some("eve".into())), "api"),
        ("assign", r#"{"assignee":null}"#, Act::Assign(id, None), "api"),
    ];
    for (act, body, expected, who) in cases {
        let site = Site::new(|_, _| {}).live(&incidents(1..=1, IncidentStatus::Open));
        let (status, _, answer) = site.post(&format!("/v1/incidents/INC-1/{act}"), &[], body).await;
        assert_eq!((status, &answer["id"]), (StatusCode::OK, &json!("INC-1")), "{act} {body}: {answer}");
        let told = site.fake.told.lock().unwrap();
        let [Input::Act { act, by: Actor::Person(by) }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((act, &**by), (&expected, who));
    }
}

#[tokio::test]
async fn refusals_have_their_status() {
    let cases: [(Submitted, u16, &str); 6] = [
        (Ok(Err(Refusal::NoSuchIncident(IncidentId(9)))), 404, "not_found"),
        (Ok(Err(Refusal::Forbidden("INC-9 is closed".into()))), 409, "conflict"),
        (Ok(Err(Refusal::Limit("comments"))), 422, "unprocessable"),
        (Err(SubmitError::Overloaded), 429, "overloaded"),
        (Err(SubmitError::Storage("disk full".into())), 503, "storage"),
        (Err(SubmitError::Stopping), 503, "stopping"),
    ];
    for (answer, status, code) in cases {
        let site = Site::new(|_, fake| fake.answer = answer);
        let (got, headers, body) = site.post("/v1/incidents/INC-9/acknowledge", &[], "").await;
        assert_eq!((got.as_u16(), body["error"]["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(headers.contains_key("retry-after"), status == 429 || status == 503);
    }
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let site = Site::new(|_, _| {}).live(&incidents(1..=1, IncidentStatus::Open));
    let gets = [
        ("/v1/incidents?status=opened", 400, "parameter status"),
        ("/v1/incidents?priority=6", 400, "parameter priority"),
        ("/v1/incidents?limit=0", 400, "parameter limit"),
        ("/v1/incidents?limit=1001", 400, "parameter limit"),
        ("/v1/incidents?cursor=x", 400, "parameter cursor"),
        ("/v1/incidents?label=x", 400, "parameter label"),
        ("/v1/incidents?team=a&team=b", 400, "parameter team"),
        ("/v1/incidents?state=open", 400, "unknown parameter \"state\""),
        ("/v1/incidents/INC-1?x=1", 400, "unknown parameter \"x\""),
        ("/v1/incidents/INC-x", 400, "INC-1042"),
        ("/v1/incidents/INC-99", 404, "INC-99"),
        ("/v1/incidents/INC-99/timeline", 404, "INC-99"),
        ("/v1/alerts?status=open", 400, "parameter status"),
        ("/v1/alerts?status=all&limit=all", 400, "parameter limit"),
        ("/v1/alerts/xyz", 400, "fingerprint"),
        ("/v1/notifications?state=open", 400, "parameter state"),
        ("/v1/events?since=x", 400, "parameter since"),
        ("/v1/nothing", 404, "/v1/nothing"),
        ("/v1/incidents/INC-1/acknowledge", 405, "GET"),
    ];
    for (path, status, part) in gets {
        let (got, body) = site.get(path).await;
        assert_eq!(got.as_u16(), status, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(part), "{path}: {body}");
    }
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(super::body::BODY_BYTES_MAX));
    let posts = [
        ("comment", "", 422, "text"),
        ("comment", r#"{"text":" "}"#, 422, "text"),
        ("comment", r#"{"text":1}"#, 422, "string"),
        ("comment", r#"{"text":"a","x":1}"#, 422, "x"),
        ("comment", r#"{"text":"#, 400, "JSON"),
        ("comment", "[]", 422, "expected"),
        ("comment", &long, 413, "65536"),
        ("assign", "{}", 422, "assignee"),
        ("assign", r#"{"assignee":""}"#, 422, "assignee"),
        ("acknowledge", r#"{"by":"a\u0007"}"#, 422, "by"),
        ("acknowledge", r#"{"by":7}"#, 422, "by"),
        ("snooze", "", 501, "not supported yet"),
        ("explode", "", 404, "acknowledge, assign, comment, resolve, reopen, close"),
    ];
    for (act, body, status, part) in posts {
        let (got, _, answer) = site.post(&format!("/v1/incidents/INC-1/{act}"), &[], body).await;
        assert_eq!(got.as_u16(), status, "{act}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{act}: {answer}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(site.post("/v1/incidents/INC-1/comment", &form, "text=a").await.0, 415);
    let other_method = Request::delete("/v1/incidents").body(Body::empty()).unwrap();
    let refused = site.send(other_method).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "GET,HEAD"));
    assert!(site.fake.told.lock().unwrap().is_empty(), "nothing of this may reach the engine");
}

#[tokio::test]
async fn writing_needs_a_token_once_there_is_one() {
    let tokens = |config: &mut Config| {
        config.tokens = [("ann", "canary-ann"), ("ci", "canary-ci")]
            .map(|(name, token)| TokenConfig { name: name.into(), token: Secret::new(token) })
            .to_vec();
    };
    let site = Site::new(|config, _| tokens(config)).live(&incidents(1..=1, IncidentStatus::Open));
    let cases = [
        (None, 401),
        (Some("Bearer canary"), 401),
        (Some("Bearer "), 401),
        (Some("Basic canary-ci"), 401),
        (Some("canary-ci"), 401),
        (Some("Bearer canary-ci"), 200),
        (Some("bearer  canary-ci"), 200),
    ];
    for (header, expected) in cases {
        let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
        for path in ["/v1/incidents/INC-1/acknowledge", "/-/reload"] {
            let (status, headers, body) = site.post(path, &headers, "").await;
            assert_eq!(status.as_u16(), expected, "{header:?} {path}");
            assert_eq!(headers.contains_key("www-authenticate"), expected == 401);
            assert!(!body.to_string().contains("canary"), "{body}");
        }
    }
    assert_eq!(site.get("/v1/incidents").await.0, 200, "reading stays open");
    // The name of the token stands in the audit trail, whatever the caller says of himself.
    site.post("/v1/incidents/INC-1/close", &[("authorization", "Bearer canary-ann")], r#"{"by":"mallory"}"#).await;
    let told = site.fake.told.lock().unwrap();
    assert!(matches!(told.last(), Some(Input::Act { by: Actor::Person(by), .. }) if &**by == "ann"), "{told:?}");
}

#[tokio::test]
async fn browsers_cannot_be_lured_into_writing() {
    let loopback = |_: &mut Config, _: &mut Fake| {};
    let public = |config: &mut Config, _: &mut Fake| config.listen = SocketAddr::from(([192, 0, 2, 1], 9093));
    let named = |config: &mut Config, _: &mut Fake| config.external_url = Some("https://quell.example/".into());
    let cases: [(Change, &[Header], u16); 16] = [
        (loopback, &[("host", "127.0.0.1:9093")], 200),
        (loopback, &[("host", "[::1]:9093")], 200),
        (loopback, &[("host", "LOCALHOST")], 200),
        (loopback, &[("host", "evil.example")], 403),
        (loopback, &[("host", "localhost.evil.example")], 403),
        (loopback, &[("host", "quell.example")], 403),
        (named, &[("host", "quell.example")], 200),
        (public, &[("host", "quell.example")], 200),
        (loopback, &[("origin", "http://localhost:9093")], 200),
        (loopback, &[("origin", "http://localhost:8080")], 403),
        (loopback, &[("origin", "null")], 403),
        (public, &[("host", "192.0.2.1:9093"), ("origin", "https://evil.example")], 403),
        (named, &[("host", "127.0.0.1:9093"), ("origin", "https://quell.example")], 200),
        (loopback, &[("sec-fetch-site", "cross-site")], 403),
        (loopback, &[("sec-fetch-site", "same-site")], 403),
        (loopback, &[("sec-fetch-site", "same-origin")], 200),
    ];
    for (change, headers, expected) in cases {
        let site = Site::new(change).live(&incidents(1..=1, IncidentStatus::Open));
        let (status, answer_headers, body) = site.post("/v1/incidents/INC-1/acknowledge", headers, "").await;
        assert_eq!(status.as_u16(), expected, "{headers:?}: {body}");
        assert!(!answer_headers.contains_key("access-control-allow-origin"));
        assert_eq!(site.fake.told.lock().unwrap().len(), usize::from(expected == 200), "{headers:?}");
    }
}

#[tokio::test]
async fn probes_status_reload_and_metrics() {
    let site = Site::new(|_, _| {}).live(&incidents(1..=2, IncidentStatus::Open));
    assert_eq!(site.get("/-/healthy").await.0, 200);
    assert_eq!(site.get("/-/ready").await.0, 200);
    let (_, status) = site.get("/v1/status").await;
    assert_eq!((&status["incidents"]["open"], &status["directory"]), (&json!(2), &json!("dir1")));
    let (reloaded, _, answer) = site.post("/-/reload", &[], "").await;
    assert_eq!((reloaded.as_u16(), &answer["message"]), (200, &json!("3 rules are in force")));

    site.get("/v1/nothing").await;
    let (_, text) = site.get("/metrics").await;
    let text = text.as_str().unwrap();
    for line in [
        r#"quell_http_requests_total{code="200",handler="ready"} 1"#,
        r#"quell_http_requests_total{code="404",handler="none"} 1"#,
        concat!("quell_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "quell_start_time_seconds 1767571200",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(site.metrics.resident_memory_bytes.get() > 1 << 20);
    assert!(site.metrics.open_fds.get() > 2);

    site.fake.shutdown.trigger();
    assert_eq!(site.get("/-/ready").await.0, 503);
    assert_eq!(site.get("/-/healthy").await.0, 200);

    let sick = Site::new(|_, fake| fake.status.storage_fault = Some("no space left".into()));
    assert_eq!(sick.get("/-/ready").await, (StatusCode::SERVICE_UNAVAILABLE, json!("quell cannot write: no space left\n")));
    assert_eq!(sick.get("/v1/status").await.1["log"], json!({ "seq": 7, "view_seq": 6, "fault": "no space left" }));

    let broken = Site::new(|_, fake| fake.reload = Err("rules/a.yaml:3: unknown key".into()));
    let (status, _, answer) = broken.post("/-/reload", &[], "").await;
    assert_eq!((status.as_u16(), &answer["error"]["message"]), (422, &json!("rules/a.yaml:3: unknown key")));
}

#[tokio::test]
async fn answers_are_hardened() {
    let site = Site::new(|_, _| {});
    for path in ["/v1/incidents", "/v1/nothing", "/metrics"] {
        let response = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    }
}

/// A record of `count` facts from `first_seq` on.
fn committed(first_seq: u64, count: u64) -> Arc<Committed> {
    let facts: Vec<Fact> = (0..count).map(|n| Fact::IncidentWithoutPolicy { incident: IncidentId(first_seq + n) }).collect();
    Arc::new(Committed { first_seq, time: NOW, facts: facts.into() })
}

/// Reads a stream until it holds `count` events or ends; gives `id event` of each.
async fn read_events(body: &mut Body, count: usize) -> Vec<String> {
    let mut text = String::new();
    while text.matches("\ndata: ").count() < count {
        let Some(frame) = body.frame().await else { break };
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
    }
    let field = |event: &str, name: &str| event.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    text.split("\n\n").filter_map(|e| Some(format!("{} {}", field(e, "id: ")?, field(e, "event: ")?))).collect()
}

async fn open_stream(site: &Site, since: Option<&str>) -> Body {
    let request = since.into_iter().fold(Request::get("/v1/events"), |request, id| request.header("last-event-id", id));
    let response = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    let mut body = response.into_body();
    // The greeting is written once the stream listens.
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), ": quell\n\n");
    body
}

const FACT: &str = "incident_without_policy";

#[tokio::test]
async fn events_come_live_and_resume_out_of_the_log() {
    let site = Site::new(|_, fake| fake.log = Mutex::new(vec![committed(1, 2), committed(3, 2)]));
    let mut live = open_stream(&site, None).await;
    let mut resumed = open_stream(&site, Some("2")).await;
    let mut halfway = open_stream(&site, Some("3")).await;
    assert_eq!(read_events(&mut resumed, 2).await, [format!("3 {FACT}"), format!("4 {FACT}")]);
    assert_eq!(read_events(&mut halfway, 1).await, [format!("4 {FACT}")]);
    site.fake.committed.send(committed(5, 1)).unwrap();
    for stream in [&mut live, &mut resumed, &mut halfway] {
        assert_eq!(read_events(stream, 1).await, [format!("5 {FACT}")]);
    }
}

#[tokio::test]
async fn what_the_log_no_longer_holds_is_named() {
    let site = Site::new(|_, fake| fake.log = Mutex::new(vec![committed(8, 1)]));
    let mut stream = open_stream(&site, Some("2")).await;
    assert_eq!(read_events(&mut stream, 2).await, ["7 gap".to_owned(), format!("8 {FACT}")]);
}

#[tokio::test]
async fn a_slow_listener_is_put_back_onto_the_log() {
    let site = Site::new(|_, _| {});
    let mut stream = open_stream(&site, Some("0")).await;
    // Many more than the channel holds, committed before the stream's task runs again.
    for seq in 1..=40 {
        site.fake.log.lock().unwrap().push(committed(seq, 1));
        site.fake.committed.send(committed(seq, 1)).unwrap();
    }
    let expected: Vec<String> = (1..=40).map(|seq| format!("{seq} {FACT}")).collect();
    assert_eq!(read_events(&mut stream, 40).await, expected);
}

#[tokio::test]
async fn silent_streams_are_kept_awake() {
    let site = Site::with_silence(Duration::from_millis(1), |_, _| {});
    let mut stream = open_stream(&site, None).await;
    for _ in 0..3 {
        assert_eq!(stream.frame().await.unwrap().unwrap().into_data().unwrap(), ": awake\n\n");
    }
}

#[tokio::test]
async fn streams_end_when_the_daemon_stops() {
    let site = Site::new(|_, _| {});
    let mut stream = open_stream(&site, None).await;
    site.fake.shutdown.trigger();
    assert!(stream.frame().await.is_none());
}

#[tokio::test]
async fn event_streams_are_limited() {
    let site = Site::new(|_, _| {});
    let mut open = Vec::new();
    for _ in 0..EVENT_STREAMS_MAX {
        open.push(open_stream(&site, None).await);
    }
    let (status, body) = site.get("/v1/events").await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (429, &json!("overloaded")));
    // One that leaves makes room.
    open.pop();
    while site.send(Request::get("/v1/events").body(Body::empty()).unwrap()).await.status() != 200 {
        tokio::task::yield_now().await;
    }
}

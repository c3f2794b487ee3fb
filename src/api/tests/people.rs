//! What people report, and heartbeats: what is taken, what is refused, what is answered.

use super::*;
use crate::config::{Secret, TokenConfig};
use crate::engine::Reported;
use crate::model::alert::{HEARTBEATS, REPORTS};
use crate::ruleset::{self, Limits, SourceFile};

fn report(site: &Site) -> (Alert, Arc<str>) {
    let told = site.fake.told.lock().unwrap();
    let [Input::Act { act: Act::Report(alert), by: Actor::Person(by) }] = &told[..] else { panic!("{told:?}") };
    (Alert::clone(alert), by.clone())
}

#[tokio::test]
async fn a_report_reaches_the_engine_as_an_alert() {
    let cases = [
        (
            r#"{"title":" Nobody can pay "}"#,
            vec![("alertname", "Nobody can pay")],
            vec![("summary", "Nobody can pay")],
            "",
            "api",
        ),
        (
            r#"{"title":"Slow","service":"checkout","severity":"P2","description":"since noon\nall of it","url":"https://chat.example/1",
                "labels":{"cluster":"eu1","empty":""},"by":"ann"}"#,
            vec![("alertname", "Slow"), ("service", "checkout"), ("severity", "high"), ("cluster", "eu1")],
            vec![("summary", "Slow"), ("description", "since noon\nall of it")],
            "https://chat.example/1",
            "ann",
        ),
    ];
    for (body, labels_said, annotations, url, who) in cases {
        let site = Site::new(|_, fake| fake.answer = Ok(Ok(Answer::Reported(Reported::Opened(IncidentId(1))))));
        let site = site.live(&incidents(1..=1, IncidentStatus::Open));
        let (status, _, answer) = site.post("/v1/incidents", &[], body).await;
        assert_eq!((status.as_u16(), &answer["outcome"], &answer["incident"]["id"]), (201, &json!("opened"), &json!("INC-1")));
        let (alert, by) = report(&site);
        assert_eq!(alert.labels, labels(&labels_said), "{body}");
        assert_eq!(alert.annotations, labels(&[annotations, vec![("reporter", who)]].concat()), "{body}");
        assert_eq!((&*alert.generator_url, &*alert.source, &*by, alert.starts_at), (url, REPORTS, who, NOW));
    }
}

#[tokio::test]
async fn the_answer_says_where_a_report_went() {
    use Reported::{Joined, Known, Opened, Suppressed};
    let id = IncidentId(1);
    let cases = [
        (Opened(id), 201, "opened", json!("INC-1")),
        (Joined(id), 201, "joined", json!("INC-1")),
        (Known(Some(id)), 200, "known", json!("INC-1")),
        (Known(None), 200, "known", Value::Null),
        (Suppressed, 202, "suppressed", Value::Null),
    ];
    for (reported, status, outcome, incident) in cases {
        let site = Site::new(|_, fake| fake.answer = Ok(Ok(Answer::Reported(reported))));
        let site = site.live(&incidents(1..=1, IncidentStatus::Open));
        let (got, _, answer) = site.post("/v1/incidents", &[], r#"{"title":"Slow"}"#).await;
        assert_eq!((got.as_u16(), &answer["outcome"], &answer["incident"]["id"]), (status, &json!(outcome), &incident));
    }
    let refusals: [(Submitted, u16); 4] = [
        (Ok(Err(Refusal::Forbidden("another report".into()))), 409),
        (Ok(Err(Refusal::Limit("active_alerts"))), 422),
        (Err(SubmitError::Storage("disk full".into())), 503),
        (Err(SubmitError::Stopping), 503),
    ];
    for (answer, status) in refusals {
        let site = Site::new(|_, fake| fake.answer = answer);
        assert_eq!(site.post("/v1/incidents", &[], r#"{"title":"Slow"}"#).await.0.as_u16(), status);
    }
}

#[tokio::test]
async fn a_key_makes_two_reports_one() {
    let key = |key: &'static str| vec![("idempotency-key", key)];
    let slow = |by: &str| format!(r#"{{"title":"Slow","by":"{by}"}}"#);
    let reports = [
        (key("a"), slow("ann")),
        (key("a"), slow("ann")),
        (key("b"), slow("ann")),
        (key("a"), slow("bob")),
        (vec![], slow("ann")),
        (vec![], slow("ann")),
    ];
    let mut made = Vec::new();
    for (headers, body) in reports {
        let site = Site::new(|_, _| {});
        site.post("/v1/incidents", &headers, &body).await;
        made.push(report(&site).0.fingerprint);
    }
    assert_eq!(made[0], made[1]);
    let all: std::collections::BTreeSet<_> = made[1..].iter().collect();
    assert_eq!(all.len(), 5, "{made:?}");
    let site = Site::new(|_, _| {});
    for headers in [vec![("idempotency-key", "")], vec![("idempotency-key", "a"), ("idempotency-key", "a")]] {
        assert_eq!(site.post("/v1/incidents", &headers, &slow("ann")).await.0, 400, "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_no_report_is_refused() {
    let long = format!(r#"{{"title":"{}"}}"#, "x".repeat(257));
    let described = format!(r#"{{"title":"a","description":"{}"}}"#, "x".repeat(10_001));
    let many: Vec<String> = (0..100).map(|n| format!(r#""l{n}":"x""#)).collect();
    let many = format!(r#"{{"title":"a","labels":{{{}}}}}"#, many.join(","));
    let cases = [
        ("", 422, "title"),
        ("{}", 422, "title"),
        ("[]", 422, "expected"),
        (r#"{"title":"#, 400, "JSON"),
        (r#"{"title":" "}"#, 422, "title: 1 to 256 bytes"),
        (r#"{"title":"a\nb"}"#, 422, "title: 1 to 256 bytes"),
        (long.as_str(), 422, "title: 1 to 256 bytes"),
        (described.as_str(), 422, "description: at most 10000 bytes"),
        (r#"{"title":"a","severity":"awful"}"#, 422, "severity: \"awful\" is none of critical, high"),
        (r#"{"title":"a","colour":"red"}"#, 422, "colour"),
        (r#"{"title":"a","labels":{"service":"x"}}"#, 422, "\"service\" is what the field service says"),
        (r#"{"title":"a","labels":{"alertname":"x"}}"#, 422, "what the field title says"),
        (r#"{"title":"a","labels":{"":"x"}}"#, 422, "labels: a name has"),
        (r#"{"title":"a","labels":{"a":1}}"#, 422, "expected a string"),
        (many.as_str(), 422, "labels: at most"),
        (r#"{"title":"a","by":"\u0007"}"#, 422, "by"),
    ];
    for (body, status, part) in cases {
        let site = Site::new(|_, _| {});
        let (got, _, answer) = site.post("/v1/incidents", &[], body).await;
        assert_eq!(got.as_u16(), status, "{body}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{body}: {answer}");
        assert!(site.fake.told.lock().unwrap().is_empty());
    }
}

/// A site whose rules name two heartbeats.
fn with_heartbeats(change: SiteChange) -> Site {
    let text =
        "heartbeats:\n  - { name: backup, every: 24h, labels: { service: db } }\n  - { name: sync, every: 1m, grace: 0s }\n";
    let files = [SourceFile { name: "jobs.yaml".to_owned(), text: text.to_owned() }];
    let rules = ruleset::load(&files, None, Limits::default()).unwrap().ruleset;
    let site = Site::new(change);
    site.fake.live.publish_rules(Arc::new(rules), None);
    site
}

fn heard(name: &str, missed: bool) -> Arc<Heartbeat> {
    let within = Millis::minutes(1);
    let due = (!missed).then_some(NOW + within);
    Arc::new(Heartbeat { name: name.into(), last_at: NOW, within, due, missed_at: missed.then_some(NOW) })
}

#[tokio::test]
async fn heartbeats_are_listed_with_what_is_known_of_them() {
    let site = with_heartbeats(|_, _| {});
    let (status, list) = site.get("/v1/heartbeats").await;
    assert_eq!((status.as_u16(), ids(&list, "heartbeats", "state").join(" ")), (200, "new new".to_owned()), "{list}");
    assert_eq!(
        list["heartbeats"][0],
        json!({
            "name": "backup", "state": "new", "every": "1d", "grace": "2h24m", "last_at": null, "due_at": null, "missed_at": null,
            "alert": null, "incidents": [], "rule": { "file": "jobs.yaml", "line": 2 },
            "labels": { "alertname": "HeartbeatMissed", "heartbeat": "backup", "service": "db", "severity": "high" },
        })
    );
    let fingerprint = Alert::keyed(HEARTBEATS, "sync");
    let raised = Alert { fingerprint, source: HEARTBEATS.into(), ..Alert::clone(&alert(1, AlertStatus::Firing, 7).alert) };
    let raised = AlertRecord { alert: Arc::new(raised), ..alert(1, AlertStatus::Firing, 7) };
    let heartbeats = vec![heard("backup", false), heard("sync", true)];
    let site = site.live(&Changes { heartbeats, alerts: vec![Arc::new(raised)], ..Changes::default() });
    for (query, expected) in
        [("", "backup sync"), ("?state=missed", "sync"), ("?state=new,beating", "backup"), ("?state=new", "")]
    {
        let (_, list) = site.get(&format!("/v1/heartbeats{query}")).await;
        assert_eq!(ids(&list, "heartbeats", "name").join(" "), expected, "{query}");
    }
    let (_, missed) = site.get("/v1/heartbeats/sync").await;
    assert_eq!((&missed["state"], &missed["incidents"], &missed["due_at"]), (&json!("missed"), &json!(["INC-7"]), &Value::Null));
    assert_eq!(missed["alert"], json!(fingerprint.to_string()));
    assert_eq!(site.get("/v1/heartbeats?state=dead").await.0, 400);
    let gone = Changes { forgotten_heartbeats: vec!["sync".into()], ..Changes::default() };
    assert_eq!(site.live(&gone).get("/v1/heartbeats/sync").await.1["state"], "new");
}

#[tokio::test]
async fn a_beat_reaches_the_engine_whatever_its_body_says() {
    let bodies: [(&str, &[(&str, &str)]); 3] = [
        ("", &[]),
        ("backup of 3 GB done", &[("content-type", "text/plain")]),
        (r#"{"version":"4","alerts":[{"status":"firing"}]}"#, &[("content-type", "application/json")]),
    ];
    for (body, headers) in bodies {
        let site = with_heartbeats(|_, _| {});
        let (status, _, answer) = site.post("/v1/heartbeats/backup", headers, body).await;
        assert_eq!((status.as_u16(), &answer["name"]), (200, &json!("backup")), "{answer}");
        let told = site.fake.told.lock().unwrap();
        let [Input::Act { act: Act::Beat(name), by: Actor::Person(by) }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((&**name, &**by), ("backup", "api"));
    }
}

#[tokio::test]
async fn a_beat_that_cannot_be_is_refused() {
    let site = with_heartbeats(|_, _| {});
    let cases = [("backp", "did you mean \"backup\"?"), ("something-else", "rule files name them in their section `heartbeats`")];
    for (name, part) in cases {
        let (status, _, answer) = site.post(&format!("/v1/heartbeats/{name}"), &[], "").await;
        assert_eq!(status, 404, "{name}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
        assert_eq!(site.get(&format!("/v1/heartbeats/{name}")).await.0, 404);
    }
    assert!(site.fake.told.lock().unwrap().is_empty());
    let (status, _, answer) = Site::new(|_, _| {}).post("/v1/heartbeats/backup", &[], "").await;
    assert!(status == 404 && answer["error"]["message"].as_str().unwrap().contains("and there is none"), "{answer}");
    let stuck = with_heartbeats(|_, fake| fake.answer = Err(SubmitError::Storage("disk full".into())));
    assert_eq!(stuck.post("/v1/heartbeats/backup", &[], "").await.0, 503);

    let closed: SiteChange = |config, _| config.tokens = vec![TokenConfig { name: "cron".into(), token: Secret::new("canary") }];
    let site = with_heartbeats(closed);
    assert_eq!(site.post("/v1/heartbeats/backup", &[], "").await.0, 401);
    assert_eq!(site.post("/v1/heartbeats/backup", &[("authorization", "Bearer canary")], "").await.0, 200);
    assert_eq!(site.get("/v1/heartbeats").await.0, 200, "reading needs none");
}

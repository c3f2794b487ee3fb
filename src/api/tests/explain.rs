//! Explanations over HTTP: what is gathered from the tables and from history. Their words are held where they are made.

use serde_json::json;

use super::*;
use crate::ruleset::{self, Limits, SourceFile};

const RULES: &str = "correlate:\n- { name: web, match: ['host=\"web\"'], by: [host] }\n- { name: all, match: ['host!=\"\"'] }\n";

fn rules() -> Arc<crate::ruleset::Ruleset> {
    let files = [SourceFile { name: "a.yaml".to_owned(), text: RULES.to_owned() }];
    Arc::new(ruleset::load(&files, None, Limits::default()).unwrap().ruleset)
}

/// The lines of one answer.
fn lines(explanation: &Value, question: &str) -> Vec<String> {
    let parts = explanation["parts"].as_array().unwrap();
    let part = parts.iter().find(|part| part["question"] == question).unwrap_or_else(|| panic!("{question}: {explanation:#}"));
    part["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// A live alert in a live incident, a past one in a past incident, a message about each.
fn site() -> Site {
    let (live, past) = (alert(5, AlertStatus::Firing, 2), alert(3, AlertStatus::Resolved, 1));
    let opened = |id, fingerprint| {
        let incident = IncidentId(id);
        let rule = RuleRef::new("all", "a.yaml", 3);
        let opened = Fact::IncidentOpened {
            incident,
            rule: rule.clone(),
            key: Labels::default(),
            title: "t".into(),
            window: Millis::minutes(5),
            max_age: Millis::hours(1),
            resolve_after: Millis::ZERO,
            recurrence_of: None,
            runbook: None,
        };
        [opened, Fact::AlertJoined { incident, fingerprint, rule }]
    };
    let records = |alert: &AlertRecord, status, id, message| Changes {
        alerts: vec![Arc::new(alert.clone())],
        incidents: vec![Arc::new(incident(id, status))],
        notifications: vec![Arc::new(notification(message, NotificationState::Delivered))],
        ..Changes::default()
    };
    let past_records = records(&past, IncidentStatus::Closed, 1, 2);
    let forgotten = past.alert.fingerprint;
    let live_records = records(&live, IncidentStatus::Open, 2, 1);
    let site = Site::new(|_, fake| fake.live.publish_rules(rules(), None)).live(&live_records);
    let forget = Changes { forgotten_alerts: vec![forgotten], ..Changes::default() };
    site.past(1, opened(1, forgotten).to_vec(), past_records)
        .past(3, vec![Fact::AlertForgotten { fingerprint: forgotten }], forget)
        .committed(5, opened(2, live.alert.fingerprint).to_vec(), live_records)
}

#[tokio::test]
async fn alerts_incidents_and_notifications_are_explained_live_and_past() {
    let site = site();
    let fingerprint = |seq| alert(seq, AlertStatus::Firing, 1).alert.fingerprint;
    let (status, live) = site.get(&format!("/v1/alerts/{}/explain", fingerprint(5))).await;
    assert_eq!((status, &live["kind"]), (StatusCode::OK, &json!("alert")));
    assert_eq!(
        lines(&live, "What does each rule say?"),
        ["web (a.yaml:2): host=\"web\" does not hold: `host` is \"host-5\"", "all (a.yaml:3): takes it, as {}"]
    );
    assert_eq!(lines(&live, "Where is it?"), ["INC-2 (P2, open): trouble 2; opened by rule default (built in), key {}"]);

    let (status, pair) = site.get(&format!("/v1/alerts/{}/explain?with={}", fingerprint(5), fingerprint(3))).await;
    assert_eq!((status, &pair["kind"]), (StatusCode::OK, &json!("pair")));
    assert_eq!(lines(&pair, "Are they together?"), ["no: one is in INC-2, the other in INC-1"]);

    for (id, title) in [(1, "INC-1 (P3, closed): trouble 1"), (2, "INC-2 (P2, open): trouble 2")] {
        let (status, incident) = site.get(&format!("/v1/incidents/INC-{id}/explain")).await;
        assert_eq!((status, &incident["title"]), (StatusCode::OK, &json!(title)));
        assert_eq!(lines(&incident, "Which alerts are in it?").len(), 1);
        assert_eq!(lines(&incident, "Who has been told?").len(), 1, "{incident:#}");
    }
    let (status, notification) = site.get("/v1/notifications/dir1-2/explain").await;
    assert_eq!((status, &notification["id"]), (StatusCode::OK, &json!("dir1-2")));
    assert_eq!(lines(&notification, "Which alerts are in it?").len(), 1);
}

#[tokio::test]
async fn what_is_not_there_cannot_be_explained() {
    let site = site();
    let known = alert(5, AlertStatus::Firing, 1).alert.fingerprint;
    for (path, status) in [
        ("/v1/alerts/00000000000000ff/explain".to_owned(), StatusCode::NOT_FOUND),
        (format!("/v1/alerts/{known}/explain?with=00000000000000ff"), StatusCode::NOT_FOUND),
        (format!("/v1/alerts/{known}/explain?with=x"), StatusCode::BAD_REQUEST),
        (format!("/v1/alerts/{known}/explain?at=x"), StatusCode::BAD_REQUEST),
        ("/v1/alerts/x/explain".to_owned(), StatusCode::BAD_REQUEST),
        ("/v1/incidents/INC-9/explain".to_owned(), StatusCode::NOT_FOUND),
        ("/v1/incidents/x/explain".to_owned(), StatusCode::BAD_REQUEST),
        ("/v1/notifications/dir1-9/explain".to_owned(), StatusCode::NOT_FOUND),
        ("/v1/notifications/x/explain".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let (got, body) = site.get(&path).await;
        assert_eq!(got, status, "{path}: {body}");
        assert!(body["error"]["message"].is_string(), "{path}: {body}");
    }
}

/// What such an answer says is held by `tests/it/explain.rs`, against the command.
#[tokio::test]
async fn a_moment_of_the_past_is_replayed_for_one_at_a_time() {
    let site = site();
    let paths = ["/v1/incidents/INC-2/explain", "/v1/alerts/0000000000000005/explain", "/v1/notifications/dir1-1/explain"];
    for path in paths {
        let (status, answer) = site.get(&format!("{path}?at=yesterday")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("parameter at"), "{answer}");

        let other = site.replays.clone().try_acquire_owned().unwrap();
        let response = site.send(Request::get(format!("{path}?at=2h")).body(Body::empty()).unwrap()).await;
        assert_eq!((response.status(), response.headers()["retry-after"].as_bytes()), (StatusCode::TOO_MANY_REQUESTS, &b"5"[..]));
        drop(other);

        let (status, answer) = site.get(&format!("{path}?at=2h")).await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("history")), "there is no log");
        assert_eq!(site.replays.available_permits(), 1, "the next one may, whatever became of this one");
    }
}

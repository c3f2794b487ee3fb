//! Lists and single records: filters, pages, and how what is live and what is history come together.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;

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
async fn what_has_just_left_the_live_tables_is_read_back_as_it_is_now() {
    let site = || {
        let fact = || vec![Fact::IncidentWithoutPolicy { incident: IncidentId(1) }];
        let delivered = |state| Changes { notifications: vec![Arc::new(notification(1, state))], ..Changes::default() };
        Site::new(|_, fake| fake.answer = Ok(Err(Refusal::NoSuchIncident(IncidentId(1)))))
            .past(1, fact(), incidents(1..=1, IncidentStatus::Resolved))
            .past(2, fact(), delivered(NotificationState::Queued))
            .committed(3, fact(), incidents(1..=1, IncidentStatus::Closed))
            .committed(4, fact(), delivered(NotificationState::Delivered))
    };
    assert_eq!(site().get("/v1/incidents/INC-1").await.1["status"], "closed");
    assert_eq!(ids(&site().get("/v1/incidents?status=closed").await.1, "incidents", "id"), ["INC-1"]);
    assert_eq!(site().get("/v1/notifications").await.1["notifications"][0]["state"], "delivered");
    // The engine does not know it any more; whoever acts on it is told what it is.
    let (status, _, answer) = site().post("/v1/incidents/INC-1/reopen", &[], "").await;
    assert_eq!((status.as_u16(), &answer["error"]["message"]), (409, &json!("INC-1 is closed")));
    let (status, _, answer) = site().post("/v1/notifications/dir1-1/retry", &[], "").await;
    assert_eq!(status, 409, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().starts_with("dir1-1 is delivered"), "{answer}");
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
            runbook: None,
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
    // The third is in the view as well, as everything live is.
    let forgotten: Vec<_> = past.alerts[..2].iter().map(|record| record.alert.fingerprint).collect();
    let site = Site::new(|_, _| {}).live(&live).past(1, facts, past).past(
        4,
        forgotten.iter().map(|fingerprint| Fact::AlertForgotten { fingerprint: *fingerprint }).collect(),
        Changes { forgotten_alerts: forgotten, ..Changes::default() },
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

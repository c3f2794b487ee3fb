//! Webhooks: Quell's own, signed, and Alertmanager's.

use serde_json::json;

use super::*;
use crate::fakes::Fault as Script;

const LONG: Millis = Millis::seconds(30);

#[tokio::test]
async fn the_life_of_an_incident_in_signed_events() {
    let fake = Webhook::start(Some(WEBHOOK_SECRET));
    let receiver = receiver(webhook_kind(fake.url()), &context(LONG));
    let tellings = [
        (NotificationKind::Trigger, false, "incident.opened"),
        (NotificationKind::Trigger, true, "incident.updated"),
        (NotificationKind::Update, false, "incident.updated"),
        (NotificationKind::Acknowledge, false, "incident.acknowledged"),
        (NotificationKind::Resolve, false, "incident.resolved"),
    ];
    for (index, (kind, again, _)) in tellings.iter().enumerate() {
        let message = Message { id: format!("d0c5-{index}"), again: *again, ..message(*kind, 1042) };
        taken(&*receiver, &message).await;
    }
    let types: Vec<String> = fake.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, tellings.map(|(_, _, name)| name));
}

#[tokio::test]
async fn the_body_is_the_apis_json() {
    let fake = Webhook::start(Some(WEBHOOK_SECRET));
    let mut message = message(NotificationKind::Trigger, 1042);
    message.alerts.truncate(1);
    taken(&*receiver(webhook_kind(fake.url()), &context(LONG)), &message).await;
    let expected = json!({
        "type": "incident.opened",
        "timestamp": "2026-01-05T00:00:00.000Z",
        "data": {
            "incident": {
                "id": "INC-1042", "title": "Database trouble in eu1", "status": "open", "type": "normal", "priority": 1, "impact": 1,
                "urgency": 1, "severity": "critical", "category": "database", "subcategory": "replication", "team": "dba",
                "assignee": null, "services": ["checkout"], "labels": { "cluster": "eu1" }, "rule": "database-cluster",
                "key": { "cluster": "eu1" }, "alerts": { "total": 2, "firing": 2 }, "parent": null, "runbook": null, "causes": [],
                "opened_at": "2026-01-05T00:00:00.000Z", "updated_at": "2026-01-05T00:00:00.000Z", "acknowledged_at": null,
                "resolved_at": null, "version": 17,
            },
            "alerts": [{
                "fingerprint": message.alerts[0].alert.fingerprint.to_string(), "status": "firing",
                "labels": { "alertname": "ReplicationLag", "host": "db-1", "severity": "critical" },
                "annotations": { "summary": "lags 40 s" }, "starts_at": "2026-01-05T00:00:00.000Z", "ends_at": null,
                "source": "prometheus", "last_seen": null, "repeats": null, "incidents": ["INC-1"], "suppressed_by": [],
            }],
        },
    });
    assert_eq!(fake.events(), [expected]);
}

#[tokio::test]
async fn every_attempt_has_the_id_and_its_own_time() {
    let fake = Webhook::start(Some(WEBHOOK_SECRET));
    fake.script([Script::TakeThenDrop]);
    let receiver = receiver(webhook_kind(fake.url()), &context(LONG));
    let first = message(NotificationKind::Trigger, 1);
    assert_eq!(fault_of(&receiver.deliver(&first).await), Some((true, Fault::Network)));
    taken(&*receiver, &Message { now: NOW + Millis::seconds(2), ..again(&first) }).await;
    let sent: Vec<_> =
        fake.requests().iter().map(|r| (r.header("webhook-id").to_owned(), r.header("webhook-timestamp").to_owned())).collect();
    assert_eq!(sent, [("d0c5-1".to_owned(), "1767571200".to_owned()), ("d0c5-1".to_owned(), "1767571202".to_owned())]);
    assert_eq!(fake.events().len(), 1);
}

#[tokio::test]
async fn unsigned_without_a_secret_and_refused_with_the_wrong_one() {
    let kind = |url: String, secret: Option<&str>| ReceiverKind::Webhook { url, secret: secret.map(Secret::new) };
    let open = Webhook::start(None);
    taken(&*receiver(kind(open.url(), None), &context(LONG)), &message(NotificationKind::Trigger, 1)).await;
    assert_eq!(open.requests()[0].header("webhook-signature"), "");
    let strict = Webhook::start(Some(WEBHOOK_SECRET));
    let other = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for secret in [None, Some(other)] {
        let delivery = receiver(kind(strict.url(), secret), &context(LONG)).deliver(&message(NotificationKind::Trigger, 1)).await;
        assert_eq!(fault_of(&delivery), Some((true, Fault::Auth)), "{delivery:?}");
    }
    taken(&*receiver(kind(strict.url(), Some(WEBHOOK_SECRET)), &context(LONG)), &message(NotificationKind::Trigger, 1)).await;
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let fake = Webhook::start(Some(WEBHOOK_SECRET));
    let mut message = message(NotificationKind::Trigger, 1);
    message.alerts = (0..20).map(|_| alert(&[("a", &"x".repeat(60_000))], "s")).collect();
    taken(&*receiver(webhook_kind(fake.url()), &context(LONG)), &message).await;
    let (size, alerts) = (fake.requests()[0].body.len(), fake.events()[0]["data"]["alerts"].as_array().unwrap().len());
    assert!(size <= 512_000 && alerts == 8, "{size} bytes with {alerts} alerts");
}

#[tokio::test]
async fn alertmanagers_receivers_hear_what_they_know() {
    let server = Server::start(|_| Answer::text(200, "ok"));
    let quiet = ReceiverKind::AlertmanagerWebhook { url: server.url(), max_alerts: 1, send_resolved: false, bearer: None };
    let (full, quiet) = (receiver(alertmanager_kind(server.url()), &context(LONG)), receiver(quiet, &context(LONG)));
    let mut heard = vec![];
    for receiver in [&full, &quiet] {
        let before = server.requests().len();
        for kind in
            [NotificationKind::Trigger, NotificationKind::Update, NotificationKind::Acknowledge, NotificationKind::Resolve]
        {
            taken(&**receiver, &message(kind, 1)).await;
        }
        let requests = server.requests();
        heard.push(requests[before..].iter().map(|r| r.json()["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(heard, [vec!["firing", "firing", "resolved"], vec!["firing", "firing"]]);
    let requests = server.requests();
    assert_eq!(requests[0].header("authorization"), format!("Bearer {BEARER}"));
    assert_eq!(requests[0].header("content-type"), "application/json");
    let last = requests.last().unwrap().json();
    assert_eq!((&last["truncatedAlerts"], last["alerts"].as_array().unwrap().len()), (&json!(1), 1));
    assert_eq!((&last["receiver"], &last["version"]), (&json!("under-test"), &json!("4")));
}

//! PagerDuty: the life of an alert there, its limits, and the smaller event after a refusal.

use serde_json::json;

use super::*;
use crate::fakes::Fault as Script;
use crate::fakes::pagerduty::PagerStatus;

const LONG: Millis = Millis::seconds(30);

#[tokio::test]
async fn an_incident_is_one_alert_from_trigger_to_resolve() {
    let fake = PagerDuty::start();
    let receiver = receiver(pagerduty_kind(fake.url()), &context(LONG));
    assert!(receiver.is_pager());
    let statuses = [
        (NotificationKind::Trigger, PagerStatus::Triggered),
        (NotificationKind::Update, PagerStatus::Triggered),
        (NotificationKind::Acknowledge, PagerStatus::Acknowledged),
        (NotificationKind::Update, PagerStatus::Acknowledged),
        (NotificationKind::Resolve, PagerStatus::Resolved),
    ];
    for (kind, expected) in statuses {
        taken(&*receiver, &message(kind, 1042)).await;
        assert_eq!(fake.alerts().iter().map(|alert| alert.status).collect::<Vec<_>>(), [expected], "after {kind:?}");
    }
    assert_eq!(fake.open_alerts().len(), 0);
    let requests = fake.requests();
    let actions: Vec<String> = requests.iter().map(|r| r.json()["event_action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(actions, ["trigger", "trigger", "acknowledge", "trigger", "resolve"]);
    assert!(requests.iter().all(|r| r.json()["dedup_key"] == "d0c5/INC-1042" && r.header("user-agent").starts_with("quell/")));
}

#[tokio::test]
async fn a_trigger_says_what_a_responder_needs() {
    let fake = PagerDuty::start();
    taken(&*receiver(pagerduty_kind(fake.url()), &context(LONG)), &message(NotificationKind::Trigger, 1042)).await;
    let event = fake.requests()[0].json();
    let payload = &event["payload"];
    assert_eq!(payload["summary"], "P1 checkout: 2 alerts, critical — Database trouble in eu1");
    assert_eq!(
        (&payload["source"], &payload["severity"], &payload["component"], &payload["group"], &payload["class"]),
        (&json!("db-1"), &json!("critical"), &json!("checkout"), &json!("dba"), &json!("database"))
    );
    assert_eq!(payload["timestamp"], "2026-01-05T00:00:00.000Z");
    assert_eq!(payload["custom_details"]["incident"], "INC-1042");
    assert_eq!(payload["custom_details"]["reason"], "the policy page-dba says so");
    assert_eq!(payload["custom_details"]["members"][1]["labels"]["host"], "db-2");
    assert_eq!(event["client_url"], "https://quell.example/incidents/INC-1042");
}

#[tokio::test]
async fn severities_follow_priorities() {
    let fake = PagerDuty::start();
    let receiver = receiver(pagerduty_kind(fake.url()), &context(LONG));
    for priority in 1..=5 {
        let mut message = message(NotificationKind::Trigger, u64::from(priority));
        change(&mut message, |incident| incident.priority = priority);
        taken(&*receiver, &message).await;
    }
    let severities: Vec<_> = fake.alerts().iter().map(|alert| alert.payload["severity"].clone()).collect();
    assert_eq!(severities, ["critical", "error", "warning", "info", "info"]);
}

#[tokio::test]
async fn sizes_at_and_over_the_limit_keep_key_and_link() {
    let fake = PagerDuty::start();
    let receiver = receiver(pagerduty_kind(fake.url()), &context(LONG));
    // Each alert adds its labels to the event; 20 of 60 KB are over twice what PagerDuty takes, one is well below.
    for (number, count, bytes, members) in
        [(1, 1, 60_000, true), (2, 8, 60_000, true), (3, 20, 60_000, false), (4, 20, 20_000, true)]
    {
        let mut message = message(NotificationKind::Trigger, number);
        message.alerts = (0..count).map(|_| alert(&[("a", &"ä".repeat(bytes / 2))], "s")).collect();
        change(&mut message, |incident| incident.title = "ü".repeat(2_000).into());
        taken(&*receiver, &message).await;
        let event = fake.requests().last().unwrap().json();
        assert_eq!(event["payload"]["custom_details"]["members"].is_array(), members, "{count} alerts of {bytes}");
        assert_eq!(event["payload"]["custom_details"]["incident"], format!("INC-{number}"));
        assert_eq!(event["dedup_key"], message.key);
        assert_eq!(event["links"][0]["href"], message.url.unwrap());
    }
    assert_eq!(fake.requests().len(), 4, "the fake refused one");
    for (length, accepted) in [(254, true), (255, true), (256, false)] {
        let mut message = message(NotificationKind::Trigger, 9);
        message.key = "é".repeat(length);
        assert_eq!(fault_of(&receiver.deliver(&message).await).is_none(), accepted, "a key of {length} characters");
    }
}

#[tokio::test]
async fn a_refused_event_is_tried_once_more_in_its_smallest_form() {
    for status in [400, 413] {
        let fake = PagerDuty::start();
        let refusal = || Script::Answer(Answer::json(status, &json!({ "status": "invalid event", "errors": ["no"] })));
        fake.script([refusal()]);
        let receiver = receiver(pagerduty_kind(fake.url()), &context(LONG));
        taken(&*receiver, &message(NotificationKind::Trigger, 1)).await;
        let requests = fake.requests();
        assert_eq!(requests.len(), 2);
        assert!(requests[1].body.len() < requests[0].body.len());
        assert_eq!(requests[1].json()["payload"]["custom_details"]["incident"], "INC-1");
        fake.script([refusal(), refusal()]);
        let delivery = receiver.deliver(&message(NotificationKind::Trigger, 2)).await;
        assert_eq!(fault_of(&delivery), Some((false, Fault::Rejected)));
        assert!(error_of(&delivery).contains("\"errors\":[\"no\"]"), "{delivery:?}");
        assert_eq!(fake.requests().len(), 4);
    }
}

#[tokio::test]
async fn only_its_own_kind_of_202_is_taken() {
    let fake = PagerDuty::start();
    let receiver = receiver(pagerduty_kind(fake.url()), &context(LONG));
    for body in ["", "accepted", "{}", "{\"status\":\"queued\"}", "[]", "null"] {
        fake.script([Script::Answer(Answer::text(202, body))]);
        let delivery = receiver.deliver(&message(NotificationKind::Trigger, 1)).await;
        assert_eq!(fault_of(&delivery), Some((true, Fault::Server)), "{body}: {delivery:?}");
    }
}

//! PagerDuty's and Opsgenie's addresses: their answers, their errors, and what becomes of the incident.

use hyper::Method;
use serde_json::{Value, json};

use super::{Reply, Setup, T0};
use crate::model::{IncidentStatus, Millis};

const SOURCES: &str = r#"
sources:
  - { name: scripts, format: pagerduty-events-v2, token: "key-1" }
  - { name: agents, format: pagerduty-events-v2, token: "key-2" }
  - { name: batch, format: opsgenie, token: "genie" }
"#;

fn setup() -> Setup {
    Setup::with_rules(SOURCES, "{}", T0)
}

fn enqueue(setup: &Setup, event: &Value) -> (u16, Value) {
    parsed(setup.request(&Method::POST, "/v2/enqueue", &[], event.to_string().as_bytes()))
}

fn genie(setup: &Setup, path: &str, key: &str, body: &str) -> (u16, Value) {
    let key = format!("GenieKey {key}");
    parsed(setup.request(&Method::POST, path, &[("authorization", &key)], body.as_bytes()))
}

fn parsed((status, text): Reply) -> (u16, Value) {
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

fn statuses(setup: &Setup) -> Vec<IncidentStatus> {
    let mut incidents = setup.engine.live.incidents();
    incidents.sort_by_key(|incident| incident.id);
    incidents.iter().map(|incident| incident.status).collect()
}

fn trigger(key: Option<&str>) -> Value {
    let mut event = json!({ "routing_key": "key-1", "event_action": "trigger",
        "payload": { "summary": "disk full", "source": "db-1", "severity": "critical" } });
    if let Some(key) = key {
        event["dedup_key"] = json!(key);
    }
    event
}

#[test]
fn a_pagerduty_sender_needs_another_host_only() {
    let setup = setup();
    let (status, text) = enqueue(&setup, &trigger(Some("a")));
    assert_eq!((status, &text), (202, &json!({ "status": "success", "message": "Event processed", "dedup_key": "a" })));
    assert_eq!(statuses(&setup), [IncidentStatus::Open]);
    // The same again is an update; the same key of another routing key is another alert.
    assert_eq!(enqueue(&setup, &trigger(Some("a"))).0, 202);
    let mut other = trigger(Some("a"));
    other["routing_key"] = json!("key-2");
    enqueue(&setup, &other);
    assert_eq!((setup.counts("scripts"), setup.counts("agents")), ([2, 1, 1, 0], [1, 0, 1, 0]));
    let act = |action: &str, key: &str| json!({ "routing_key": "key-1", "event_action": action, "dedup_key": key });
    assert_eq!(enqueue(&setup, &act("acknowledge", "a")).0, 202);
    assert_eq!(statuses(&setup)[0], IncidentStatus::Acknowledged);
    assert_eq!(enqueue(&setup, &act("resolve", "unknown")).0, 202, "accepted and ignored");
    assert_eq!(setup.counts("scripts")[2], 1);
    assert_eq!(enqueue(&setup, &act("resolve", "a")).0, 202);
    let live = setup.engine.live.alerts(|entry| entry.record.is_firing());
    assert_eq!(live.iter().map(|entry| &*entry.record.alert.source).collect::<Vec<_>>(), ["agents"]);
}

#[test]
fn a_key_is_made_and_told_where_there_is_none() {
    let setup = setup();
    let keys: Vec<String> = (0..2).map(|_| enqueue(&setup, &trigger(None)).1["dedup_key"].as_str().unwrap().to_owned()).collect();
    assert_ne!(keys[0], keys[1], "two posts are two alerts");
    assert_eq!(setup.engine.live.firing(), 2);
    enqueue(&setup, &json!({ "routing_key": "key-1", "event_action": "resolve", "dedup_key": keys[0] }));
    assert_eq!(setup.engine.live.firing(), 1);
}

#[test]
fn what_is_no_event_is_answered_as_pagerduty_does() {
    let setup = setup();
    let with = |path: &[&str], value: Value| {
        let mut event = trigger(Some("a"));
        let last = path.iter().fold(&mut event, |at, name| &mut at[*name]);
        *last = value;
        event
    };
    let cases = [
        (json!([]), "'routing_key' is missing or blank"),
        (with(&["routing_key"], json!("no")), "'routing_key' is not known here"),
        (with(&["event_action"], json!("explode")), "'event_action' is invalid"),
        (
            with(&["payload", "severity"], json!("purple")),
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        ),
        (with(&["payload", "summary"], json!("x".repeat(1025))), "'payload.summary' is too long"),
        (with(&["payload"], json!(null)), "'payload.source' is missing or blank"),
        (json!({ "routing_key": "key-1", "event_action": "resolve" }), "'dedup_key' is missing or blank"),
    ];
    for (event, expected) in cases {
        let (status, said) = enqueue(&setup, &event);
        assert_eq!(
            (status, &said["status"], &said["message"]),
            (400, &json!("invalid event"), &json!("Event object is invalid"))
        );
        let errors: Vec<&str> = said["errors"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(errors.iter().any(|error| error.starts_with(expected)), "{errors:?}, not {expected}");
    }
    assert_eq!(setup.request(&Method::POST, "/v2/enqueue", &[], b"{").0, 400);
    assert_eq!(setup.engine.live.firing(), 0);
}

#[test]
fn a_change_is_recorded_and_is_no_alert() {
    let setup = setup();
    let change = json!({ "routing_key": "key-1", "payload": { "summary": "Deployed cart 7", "source": "ci", "custom_details": { "service": "cart" } } });
    let (status, said) = parsed(setup.request(&Method::POST, "/v2/change/enqueue", &[], change.to_string().as_bytes()));
    assert_eq!((status, &said["message"]), (202, &json!("Change event processed")));
    let changes = setup.engine.live.reported();
    assert_eq!(changes.len(), 1);
    assert_eq!((&*changes[0].things[0], &*changes[0].reported_by, changes[0].started_at), ("service/cart", "scripts", T0));
    assert_eq!(setup.engine.live.firing(), 0);
    let nothing = json!({ "routing_key": "key-1", "payload": {} });
    assert_eq!(setup.request(&Method::POST, "/v2/change/enqueue", &[], nothing.to_string().as_bytes()).0, 400);
}

#[test]
fn an_opsgenie_sender_needs_another_host_only() {
    let setup = setup();
    let alert = r#"{"message":"late","alias":"a/b","priority":"P2","details":{"service":"settlement"}}"#;
    let (status, said) = genie(&setup, "/v2/alerts", "genie", alert);
    assert_eq!((status, &said["result"]), (202, &json!("Request will be processed")));
    assert!(said["took"].is_number() && said["requestId"].as_str().unwrap().len() == 36, "{said}");
    let call = |act: &str| format!("/v2/alerts/a%2Fb/{act}?identifierType=alias");
    assert_eq!(genie(&setup, &call("notes"), "genie", r#"{"note":"on it","user":"ines"}"#).0, 202);
    assert_eq!(genie(&setup, &call("acknowledge"), "genie", "{}").0, 202);
    assert_eq!(statuses(&setup), [IncidentStatus::Acknowledged]);
    assert_eq!(genie(&setup, &call("snooze"), "genie", "{}").0, 202);
    setup.pass_to(T0 + Millis::minutes(1));
    assert_eq!(genie(&setup, &call("close"), "genie", "").0, 202, "a body is not needed");
    assert_eq!(statuses(&setup), [IncidentStatus::Resolved]);
    // Without an alias it is known by the request's id.
    let (_, said) = genie(&setup, "/v2/alerts", "genie", r#"{"message":"other"}"#);
    assert_eq!(setup.engine.live.firing(), 1);
    let by_id = format!("/v2/alerts/{}/close", said["requestId"].as_str().unwrap());
    genie(&setup, &by_id, "genie", "{}");
    assert_eq!(setup.engine.live.firing(), 0);
}

#[test]
fn what_is_no_alert_is_answered_as_opsgenie_does() {
    let setup = setup();
    let cases = [
        ("/v2/alerts", "wrong", "{}", 401, "Could not authenticate"),
        ("/v2/alerts", "genie", "{", 400, "Could not parse JSON"),
        ("/v2/alerts", "genie", "{}", 422, "Request body is not processable. Please check the errors."),
        ("/v2/alerts/a/explode", "genie", "{}", 404, "Sorry, the requested page was not found"),
    ];
    for (path, key, body, status, message) in cases {
        let (given, said) = genie(&setup, path, key, body);
        assert_eq!((given, &said["message"]), (status, &json!(message)), "{path} {body}");
    }
    assert_eq!(setup.engine.live.firing(), 0);
}

//! PagerDuty's and Opsgenie's addresses: their answers, their errors, and what becomes of the incident.

use hyper::Method;
use serde_json::{Value, json};

use super::{Reply, Setup, T0, block_on};
use crate::model::{IncidentStatus, Millis};
use crate::runtime::SubmitError;
use crate::runtime::sources::{Replayed, Sources};

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

/// Neither API dates an end: what comes behind one may be news, and is raised, whatever it says of its beginning.
#[test]
fn an_end_without_a_time_takes_no_beginning_away() {
    let setup = setup();
    enqueue(&setup, &json!({ "routing_key": "key-1", "event_action": "resolve", "dedup_key": "a" }));
    let mut late = trigger(Some("a"));
    late["payload"]["timestamp"] = json!((T0 - Millis::minutes(1)).to_rfc3339());
    assert_eq!(enqueue(&setup, &late).0, 202);
    assert_eq!(genie(&setup, "/v2/alerts/a/close?identifierType=alias", "genie", "{}").0, 202);
    assert_eq!(genie(&setup, "/v2/alerts", "genie", r#"{"message":"m","alias":"a"}"#).0, 202);
    assert_eq!((setup.counts("scripts"), setup.counts("batch")), ([2, 1, 1, 0], [2, 1, 1, 0]));
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
    let put = setup.request(&Method::PUT, &call("message"), &[("authorization", "GenieKey genie")], br#"{"message":"later"}"#);
    assert_eq!(put.0, 202);
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

/// Whoever wrote the message is told, as by the tool's own service; what it says is kept, for nobody may have looked.
#[test]
fn what_came_with_a_key_and_is_no_event_is_kept() {
    let mut setup = setup();
    let purple = json!({ "routing_key": "key-number-1", "event_action": "trigger", "dedup_key": "a",
        "payload": { "summary": "disk full", "source": "db-1", "severity": "purple" } });
    setup.restart(&SOURCES.replace("key-1", "key-number-1"));
    // (path, key of Opsgenie, body, status, how many are kept then)
    let cases = [
        ("/v2/enqueue", "", purple.to_string(), 400, 1),
        ("/v2/enqueue", "", purple.to_string(), 400, 1),
        ("/v2/change/enqueue", "", json!({ "routing_key": "key-number-1", "payload": {} }).to_string(), 400, 2),
        // Nobody's: the key is wrong, or cannot be read.
        ("/v2/enqueue", "", purple.to_string().replace("key-number-1", "key-number-9"), 400, 2),
        ("/v2/enqueue", "", "{".to_owned(), 400, 2),
        ("/v2/alerts", "genie", r#"{"alias":"b"}"#.to_owned(), 422, 3),
        ("/v2/alerts", "genie", "{".to_owned(), 400, 4),
        ("/v2/alerts", "wrong", r#"{"alias":"b"}"#.to_owned(), 401, 4),
        ("/v2/alerts/b/close?identifierType=alias", "genie", "{".to_owned(), 400, 4),
        ("/v2/alerts/b/explode", "genie", "{}".to_owned(), 404, 4),
    ];
    for (path, key, body, status, kept) in cases {
        let (given, _) = genie(&setup, path, key, &body);
        assert_eq!((given, setup.state.rejects().len()), (status, kept), "{path} {body}");
    }
    let rejects = setup.state.rejects();
    let first = &rejects[0];
    assert_eq!((&*first.source, first.times), ("scripts", 2));
    assert!(first.error.starts_with("'payload.severity' is invalid"), "{}", first.error);
    let body = block_on(setup.state.body(first.id.clone())).unwrap().unwrap();
    assert!(body.contains(r#""routing_key":"[masked]""#), "{body}");
    assert_eq!((setup.counts("scripts"), setup.counts("batch")), ([3, 0, 0, 3], [2, 0, 0, 2]));
    assert_eq!(setup.metric(r#"quell_rejects{source="scripts"}"#).as_deref(), Some("2"));

    let replay = |setup: &Setup| block_on(setup.state.replay(vec![setup.state.rejects()[0].id.clone()])).unwrap().remove(0).1;
    assert!(matches!(replay(&setup), Replayed::Stays { .. }), "nothing has changed");
    let mapped = r#"
sources:
  - name: scripts
    format: generic
    map:
      labels: { alertname: "{{ body.payload.summary }}", host: "{{ body.payload.source }}" }
      status: "{{ 'resolved' if body.event_action == 'resolve' else 'firing' }}"
"#;
    setup.restart(mapped);
    assert_eq!(replay(&setup), Replayed::Taken { new: 1, repeats: 0 });
    assert_eq!(statuses(&setup), [IncidentStatus::Open]);
}

#[test]
fn what_cannot_be_read_is_refused_in_the_words_of_the_api() {
    let limits = "limits: { body_bytes: 1024 }";
    let setup = Setup::new(&format!("{SOURCES}{limits}"));
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(2_000));
    let (status, said) = genie(&setup, "/v2/enqueue", "", &long);
    let errors = ["the body is too large"];
    let expected = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
    assert_eq!((status, said), (413, expected));
    let (status, said) = genie(&setup, "/v2/alerts", "genie", &long);
    assert_eq!((status, &said["message"]), (413, &json!("the body is too large")));
    assert!(said["took"].is_number() && said["requestId"].is_string() && said["status"].is_null(), "{said}");
}

#[test]
fn what_finds_no_room_may_come_again() {
    let setup = setup();
    let alert = r#"{"message":"late"}"#;
    // (why, status, PagerDuty's word)
    let cases = [
        (SubmitError::Overloaded, 429, "throttle exceeded"),
        (SubmitError::Storage("full".into()), 503, "unavailable"),
        (SubmitError::Stopping, 503, "unavailable"),
    ];
    for (error, status, word) in cases {
        *setup.engine.failure.lock().unwrap() = Some(error);
        for (path, body) in [("/v2/enqueue", trigger(Some("a")).to_string()), ("/v2/alerts", alert.to_owned())] {
            let headers = [("authorization", "GenieKey genie")];
            let ((given, text), headers) = setup.exchange(&Method::POST, path, &headers, body.as_bytes());
            let said: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((given, headers["retry-after"].to_str().unwrap()), (status, "2"), "{path} {said}");
            assert!(said["message"].is_string(), "{path} {said}");
            if path == "/v2/enqueue" {
                assert_eq!(said["status"], word);
            }
        }
    }
    assert!(setup.state.rejects().is_empty(), "what its sender says again is not kept");
}

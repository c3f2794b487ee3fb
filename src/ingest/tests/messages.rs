//! Messages of tools one after another: what later ones add, take away and leave alone.

use std::sync::Arc;

use super::{Reply, Setup, T0};
use crate::engine::Act;
use crate::engine::entity::Changes;
use crate::model::{AlertRecord, IncidentId, Millis};

const SOURCES: &str = r"
sources:
  - { name: nagios, format: nagios, labels: { env: prod, severity: low } }
  - { name: datadog, format: datadog }
  - { name: splunk, format: splunk }
  - { name: pd, format: pagerduty-events-v2 }
  - { name: kuma, format: uptime-kuma }
";

fn nagios(kind: &str, state: &str, at: i64) -> String {
    let timet = T0.0 / 1_000 + at;
    format!(
        r#"{{"NOTIFICATIONTYPE":"{kind}","HOSTNAME":"db-1","SERVICEDESC":"disk","SERVICESTATE":"{state}","SERVICEOUTPUT":"97 %","TIMET":"{timet}"}}"#
    )
}

fn post(setup: &Setup, seconds: i64, source: &str, body: &str) -> Reply {
    setup.post(seconds, &format!("/v1/ingest/{source}"), body)
}

#[test]
fn news_is_what_differs() {
    let setup = Setup::new(SOURCES);
    let label =
        |severity: &str, rest: &str| format!(r#"{{alertname="disk", env="prod", host="db-1"{rest}, severity="{severity}"}} "#);
    let steps: &[(i64, String, &str, String)] = &[
        (0, nagios("PROBLEM", "WARNING", 0), r#""new":1"#, label("medium", "") + "firing from 0 expires never"),
        (60, nagios("PROBLEM", "WARNING", 60), r#""repeats":1"#, label("medium", "") + "firing from 0 expires never"),
        // Worse is news of the same alert.
        (120, nagios("PROBLEM", "CRITICAL", 120), r#""new":1"#, label("critical", "") + "firing from 120 expires never"),
        (
            130,
            nagios("PROBLEM", "UNKNOWN", 130),
            r#""new":1"#,
            label("high", r#", no_data="true""#) + "firing from 130 expires never",
        ),
        (140, nagios("PROBLEM", "CRITICAL", 140), r#""new":1"#, label("critical", "") + "firing from 140 expires never"),
        // What began before the known one ended the known one does not end.
        (150, nagios("RECOVERY", "OK", 100), r#""repeats":1"#, label("critical", "") + "firing from 140 expires never"),
        (
            160,
            nagios("DOWNTIMESTART", "CRITICAL", 160),
            r#""accepted":0"#,
            label("critical", "") + "firing from 140 expires never",
        ),
        (200, nagios("RECOVERY", "OK", 200), r#""new":1"#, label("critical", "") + "resolved from 140 ended 200"),
        (210, nagios("RECOVERY", "OK", 200), r#""repeats":1"#, label("critical", "") + "resolved from 140 ended 200"),
        // Order is not promised: an older word opens nothing again.
        (220, nagios("PROBLEM", "CRITICAL", 190), r#""repeats":1"#, label("critical", "") + "resolved from 140 ended 200"),
        (
            230,
            nagios("ACKNOWLEDGEMENT", "CRITICAL", 230),
            r#""repeats":1"#,
            label("critical", "") + "resolved from 140 ended 200",
        ),
        (300, nagios("PROBLEM", "WARNING", 300), r#""new":1"#, label("medium", "") + "firing from 300 expires never"),
    ];
    for (seconds, body, answer, known) in steps {
        let (status, text) = post(&setup, *seconds, "nagios", body);
        assert!(status == 202 && text.contains(answer), "{seconds}: {status} {text}");
        assert_eq!(setup.known(), [known.as_str()], "{seconds}");
    }
}

#[test]
fn less_takes_nothing_away() {
    let setup = Setup::new(SOURCES);
    let event =
        |action: &str, payload: &str| format!(r#"{{"routing_key":"k","event_action":"{action}","dedup_key":"d"{payload}}}"#);
    let full = r#","payload":{"summary":"S","source":"h","severity":"error","class":"c","custom_details":{"service":"s"}}"#;
    let less = r#","payload":{"summary":"S again","source":"h","severity":"error","class":"c"}"#;
    let labels = r#"{alertname="c", host="h", service="s", severity="high"}"#;
    let steps = [
        (0, event("resolve", ""), r#""repeats":1"#, None),
        (0, event("acknowledge", ""), r#""repeats":1"#, None),
        (1, event("trigger", full), r#""new":1"#, Some("firing from 1 expires never")),
        (2, event("trigger", less), r#""repeats":1"#, Some("firing from 1 expires never")),
        (3, event("resolve", ""), r#""new":1"#, Some("resolved from 1 ended 3")),
    ];
    for (seconds, body, answer, known) in steps {
        let (status, text) = post(&setup, seconds, "pd", &body);
        assert!(status == 202 && text.contains(answer), "{seconds}: {status} {text}");
        let known: Vec<String> = known.map(|known| format!("{labels} {known}")).into_iter().collect();
        assert_eq!(setup.known(), known, "{seconds}");
    }
    let entry = &setup.engine.live.alerts(|_| true)[0];
    assert_eq!(entry.record.alert.annotations.get("summary"), "S");
}

#[test]
fn what_cannot_be_read_is_accepted_and_counted() {
    let setup = Setup::new(SOURCES);
    let cases = [
        ("nagios", "hello", "the body is neither JSON nor a form"),
        ("nagios", r#"{"rule":"a" b"}"#, "line 1 column 13"),
        ("nagios", r#"{"NOTIFICATIONTYPE":"PROBLEM"}"#, "`HOSTNAME` is missing"),
        ("nagios", &nagios("BREAKFAST", "OK", 0), r#"`NOTIFICATIONTYPE` \"BREAKFAST\" is not known"#),
        ("datadog", r#"{"alert_transition":"$ALERT_TRANSITION","id":"1","title":"T"}"#, "install the template"),
        ("pd", r#"{"event_action":"trigger"}"#, "'payload.summary' is missing or blank"),
    ];
    for (source, body, expected) in cases {
        let (status, text) = post(&setup, 0, source, body);
        assert!(status == 202 && text.contains(expected), "{body}: {status} {text}");
    }
    assert_eq!((setup.counts("nagios"), setup.known()), ([4, 0, 0, 4], Vec::new()));
    let metrics = String::from_utf8(setup.metrics.expose()).unwrap();
    assert!(metrics.contains(r#"quell_alerts_rejected_total{reason="unmapped",source="nagios"} 4"#), "{metrics}");
    assert!(metrics.contains(r#"quell_source_placeholders_total{source="datadog"} 1"#), "{metrics}");
}

#[test]
fn unknown_words_are_shown_and_never_guessed() {
    let setup = Setup::new(SOURCES);
    post(&setup, 0, "nagios", &nagios("PROBLEM", "PURPLE", 0));
    let known = &setup.engine.live.alerts(|_| true)[0];
    assert_eq!(known.record.alert.labels.get("severity"), "low", "the source's own");
    assert_eq!(known.record.alert.annotations.get("severity_said"), "PURPLE");
    let metrics = String::from_utf8(setup.metrics.expose()).unwrap();
    assert!(metrics.contains(r#"quell_source_severities_unknown_total{source="nagios"} 1"#), "{metrics}");
}

#[test]
fn what_never_ends_by_a_word_ends_by_time() {
    let setup = Setup::new(SOURCES);
    post(&setup, 0, "splunk", r#"{"search_name":"s","result":{}}"#);
    post(&setup, 0, "kuma", r#"{"heartbeat":null,"monitor":null,"msg":"[A][b] server certificate b will expire in 14 days"}"#);
    post(&setup, 10, "kuma", r#"{"heartbeat":null,"monitor":null,"msg":"[A][b] server certificate b will expire in 7 days"}"#);
    post(&setup, 10, "kuma", r#"{"heartbeat":null,"monitor":null,"msg":"Test"}"#);
    let expected = [
        r#"{alertname="certificate expires", monitor="A", severity="medium"} firing from 0 expires 691210"#,
        r#"{alertname="s"} firing from 0 expires 3600"#,
    ];
    assert_eq!(setup.known(), expected);
    let metrics = String::from_utf8(setup.metrics.expose()).unwrap();
    assert!(metrics.contains(r#"quell_source_messages_total{kind="test",source="kuma"} 1"#), "{metrics}");
}

/// A source may have no time, and an alert of it have one: the record says so, for a start to know.
#[test]
fn an_end_by_time_that_a_message_gives_is_on_record() {
    let setup = Setup::with_rules(SOURCES, "{}", T0);
    post(&setup, 0, "kuma", r#"{"heartbeat":null,"monitor":null,"msg":"[A][b] server certificate b will expire in 14 days"}"#);
    post(&setup, 0, "nagios", &nagios("PROBLEM", "CRITICAL", 0));
    let of = |source: &str| {
        let alerts = setup.engine.live.alerts(|entry| &*entry.record.alert.source == source);
        (alerts.len(), alerts[0].record.lasts())
    };
    assert_eq!((of("kuma"), of("nagios")), ((1, Some(Millis::hours(8 * 24))), (1, None)));
}

#[test]
fn acknowledged_there_is_acknowledged_here() {
    let setup = Setup::new(SOURCES);
    post(&setup, 0, "nagios", &nagios("PROBLEM", "CRITICAL", 0));
    let incident = IncidentId(7);
    let entry = &setup.engine.live.alerts(|_| true)[0];
    let record = AlertRecord { incidents: [incident].into(), ..(*entry.record).clone() };
    setup.engine.live.publish(&Changes { alerts: vec![Arc::new(record)], ..Changes::default() }, T0);
    let (status, text) = post(&setup, 60, "nagios", &nagios("ACKNOWLEDGEMENT", "CRITICAL", 60));
    assert!(status == 202 && text.contains(r#""repeats":1"#), "{text}");
    assert_eq!(*setup.engine.acts.lock().unwrap(), [Act::Acknowledge(incident)]);
}

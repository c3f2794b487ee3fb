//! Sources that fall silent, fields that go missing, test messages; over restarts, a lost file and a disk that is full.

use super::{Setup, T0, block_on};
use crate::model::Millis;
use crate::runtime::SubmitError;
use crate::runtime::sources::Sources;

const SOURCES: &str = r#"
sources:
  - name: jobs
    format: generic
    silent_after: 1h
    map:
      each: body.events
      labels: { alertname: "{{ item.job }}", host: "{{ item.host | default('') }}" }
      status: "{{ item.state | default('firing') }}"
  - { name: nagios, format: nagios }
"#;

/// Lets time pass as the looks of that time would, and then looks once more.
fn pass(setup: &Setup, length: Millis) {
    setup.engine.set_now(setup.engine.now() + length);
    block_on(setup.state.look(length));
    block_on(setup.state.look(Millis::ZERO));
}

fn restart(setup: &mut Setup, yaml: &str) {
    block_on(setup.state.write_if_new(String::new()));
    setup.restart(yaml);
}

/// Our own alerts that fire: name, source, field.
fn own(setup: &Setup) -> Vec<String> {
    let alerts = setup.engine.live.alerts(|entry| &*entry.record.alert.source == "quell" && entry.record.is_firing());
    let mut names: Vec<String> = alerts
        .iter()
        .map(|entry| ["alertname", "source", "field"].map(|name| entry.record.alert.labels.get(name)).join(" ").trim().to_owned())
        .collect();
    names.sort();
    names
}

/// So many messages, each an hour after the one before.
fn hourly(setup: &Setup, count: u32, event: &str) {
    for _ in 0..count {
        setup.engine.set_now(setup.engine.now() + Millis::hours(1));
        job(setup, event);
    }
}

fn job(setup: &Setup, event: &str) {
    let now = setup.engine.now().since(T0).0 / 1_000;
    let (status, text) = setup.post(now, "/v1/ingest/jobs", &format!(r#"{{"events":[{event}]}}"#));
    assert!(status == 200 || status == 202, "{status} {text}");
}

#[test]
fn a_source_that_falls_silent_is_an_alert_until_it_speaks() {
    let mut setup = Setup::new(SOURCES);
    let silent = ["QuellSourceSilent jobs"];
    pass(&setup, Millis::minutes(59));
    assert_eq!(own(&setup), [""; 0]);
    pass(&setup, Millis::minutes(1));
    assert_eq!(own(&setup), silent);
    assert_eq!(setup.counts("quell"), [1, 0, 1, 0]);
    assert_eq!(setup.metric(r#"quell_source_silent{source="jobs"}"#).as_deref(), Some("1"));
    // Said once, however long it lasts, and over a restart.
    pass(&setup, Millis::hours(20));
    restart(&mut setup, SOURCES);
    pass(&setup, Millis::minutes(1));
    assert_eq!((own(&setup), setup.counts("quell")), (vec![silent[0].to_owned()], [0, 0, 0, 0]));
    // Whatever it says is a word.
    job(&setup, "7");
    pass(&setup, Millis::ZERO);
    assert_eq!((own(&setup), setup.counts("quell")), (Vec::new(), [1, 0, 1, 0]));
    assert_eq!(setup.state.statuses().iter().find(|it| it.name == "jobs").unwrap().heard_at, Some(setup.engine.now()));

    // A restart counts neither against it nor for it.
    pass(&setup, Millis::minutes(40));
    restart(&mut setup, SOURCES);
    setup.engine.set_now(setup.engine.now() + Millis::hours(5));
    pass(&setup, Millis::minutes(17));
    assert_eq!(own(&setup), [""; 0]);
    // It is kept in parts of three minutes, so that it is never too soon.
    pass(&setup, Millis::minutes(6));
    assert_eq!(own(&setup), silent);
    // Nobody asks any more.
    restart(&mut setup, &SOURCES.replace("    silent_after: 1h\n", ""));
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), [""; 0]);
}

#[test]
fn what_fires_is_believed_where_the_file_is_lost() {
    for damage in ["", "{\"version\":9,\"sources\":{}}", "gone"] {
        let mut setup = Setup::new(SOURCES);
        pass(&setup, Millis::hours(1));
        block_on(setup.state.write_if_new(String::new()));
        let file = setup.folder.path().join("sources.json");
        if damage == "gone" {
            std::fs::remove_file(file).unwrap();
        } else {
            std::fs::write(file, damage).unwrap();
        }
        setup.restart(SOURCES);
        pass(&setup, Millis::ZERO);
        assert_eq!(own(&setup), ["QuellSourceSilent jobs"], "{damage}");
        job(&setup, r#"{"job":"a"}"#);
        pass(&setup, Millis::ZERO);
        assert_eq!(own(&setup), [""; 0], "{damage}");
    }
}

#[test]
fn what_the_log_does_not_take_is_said_at_the_next_look() {
    let setup = Setup::new(SOURCES);
    *setup.engine.failure.lock().unwrap() = Some(SubmitError::Storage("full".into()));
    pass(&setup, Millis::hours(2));
    assert_eq!((own(&setup), setup.counts("quell")), (Vec::new(), [0, 0, 0, 0]));
    *setup.engine.failure.lock().unwrap() = None;
    pass(&setup, Millis::seconds(1));
    assert_eq!((own(&setup).len(), setup.counts("quell")), (1, [1, 0, 1, 0]));
    *setup.engine.failure.lock().unwrap() = Some(SubmitError::Overloaded);
    job_fails(&setup);
    pass(&setup, Millis::seconds(1));
    *setup.engine.failure.lock().unwrap() = None;
    assert_eq!(own(&setup).len(), 1);
    pass(&setup, Millis::seconds(1));
    assert_eq!((own(&setup), setup.counts("quell")), (Vec::new(), [2, 0, 2, 0]));
}

fn job_fails(setup: &Setup) {
    assert_eq!(setup.post(7_300, "/v1/ingest/jobs", r#"{"events":[{"job":"a"}]}"#).0, 429);
}

#[test]
fn a_field_that_used_to_be_there_is_missed_until_it_comes_back() {
    let mut setup = Setup::new(SOURCES);
    let with = r#"{"job":"a","host":"h"}"#;
    let without = r#"{"job":"a"}"#;
    hourly(&setup, 30, with);
    hourly(&setup, 9, without);
    // An end may carry less.
    hourly(&setup, 5, r#"{"job":"a","state":"resolved"}"#);
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), [""; 0]);
    restart(&mut setup, SOURCES);
    hourly(&setup, 1, without);
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), ["QuellSourceDrift jobs events[].host"]);
    assert_eq!(setup.metric(r#"quell_source_fields_missing{source="jobs"}"#).as_deref(), Some("1"));
    let entry = setup.engine.live.alerts(|entry| &*entry.record.alert.source == "quell").remove(0);
    let alert = &entry.record.alert;
    assert_eq!(alert.labels.get("severity"), "medium");
    assert_eq!(alert.annotations.get("summary"), "Messages of source jobs have no `events[].host` any more");
    restart(&mut setup, SOURCES);
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup).len(), 1);
    job(&setup, with);
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), [""; 0]);

    // A list that is called otherwise now: what was asked for in it is missing, and the messages are kept.
    hourly(&setup, 30, with);
    for _ in 0..10 {
        let second = setup.engine.now().since(T0).0 / 1_000 + 3_600;
        assert_eq!(setup.post(second, "/v1/ingest/jobs", r#"{"jobs":[{"job":"a","host":"h"}]}"#).0, 202);
    }
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), ["QuellSourceDrift jobs events[].host", "QuellSourceDrift jobs events[].job"]);
    // The mapping was mended: it asks for them no more.
    restart(&mut setup, &SOURCES.replace("body.events", "body.jobs"));
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), [""; 0]);
    assert_eq!(setup.state.statuses()[1].missing, []);
}

#[test]
fn a_tools_fields_are_watched_as_far_as_they_are_used() {
    let mut setup = Setup::new(SOURCES);
    let message = |rest: &str, n: i64| {
        format!(
            r#"{{"NOTIFICATIONTYPE":"PROBLEM","HOSTNAME":"db-1","SERVICEDESC":"disk","SERVICESTATE":"CRITICAL"{rest},"UNUSED":"{n}"}}"#
        )
    };
    for n in 0..30 {
        setup.post(n * 3_600, "/v1/ingest/nagios", &message(r#","SERVICEOUTPUT":"97 %""#, n));
    }
    for n in 30..40 {
        // A template that does not know its variable any more.
        setup.post(n * 3_600, "/v1/ingest/nagios", &message(r#","SERVICEOUTPUT":"$SERVICEOUTPUT""#, n).replace("UNUSED", "ALSO"));
    }
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), ["QuellSourceDrift nagios SERVICEOUTPUT"]);
    // Nobody wants to know.
    restart(&mut setup, &SOURCES.replace("format: nagios }", "format: nagios, drift: false }"));
    pass(&setup, Millis::ZERO);
    assert_eq!(own(&setup), [""; 0]);
}

/// An alarm comes as JSON in a text of its envelope.
#[test]
fn fields_inside_of_texts_are_watched_too() {
    let setup = Setup::new("sources: [{ name: aws, format: cloudwatch }]");
    let alarm = |rest: &str| {
        let alarm =
            format!(r#"{{"AlarmArn":"arn:aws:cloudwatch:eu-west-1:1:alarm:a","AlarmName":"a","NewStateValue":"ALARM"{rest}}}"#);
        let envelope = serde_json::json!({
            "Type": "Notification", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem", "Message": alarm,
        });
        envelope.to_string()
    };
    let with = alarm(r#","NewStateReason":"r","Trigger":{"MetricName":"m","Dimensions":[{"name":"InstanceId","value":"i-1"}]}"#);
    let without = alarm(r#","NewStateReason":"r","Trigger":{"Dimensions":[{"name":"InstanceId"}]}"#);
    for n in 0..40 {
        let (status, text) = setup.post(n * 3_600, "/v1/ingest/aws", if n < 30 { &with } else { &without });
        assert_eq!(status, 202, "{text}");
    }
    pass(&setup, Millis::ZERO);
    let path = |path: &str| format!("QuellSourceDrift aws Message.Trigger.{path}");
    assert_eq!(own(&setup), [path("Dimensions[].value"), path("MetricName")]);
}

#[test]
fn test_messages_are_shown_and_raise_nothing() {
    let tools = [
        ("uptime-kuma", r#"{"heartbeat":null,"monitor":null,"msg":"My Uptime Kuma Testing"}"#),
        ("grafana", r#"{"alerts":[{"status":"firing","labels":{"alertname":"TestAlert"}}]}"#),
        ("gcp-monitoring", r#"{"incident":{"state":"OPEN","incident_id":"0.abc","policy_name":"test"}}"#),
        ("honeycomb", r#"{"status":"TRIGGERED","name":"test"}"#),
    ];
    let sources: Vec<String> = tools.iter().map(|(tool, _)| format!("{{ name: {tool}, format: {tool} }}")).collect();
    let yaml = format!("sources: [{}]", sources.join(", "));
    let mut setup = Setup::new(&yaml);
    for (tool, message) in tools {
        for second in [5, 65] {
            let (status, text) = setup.post(second, &format!("/v1/ingest/{tool}"), message);
            assert!(status == 202 && text.contains(r#""accepted":0"#) && !text.contains("kept"), "{tool}: {status} {text}");
        }
    }
    restart(&mut setup, &yaml);
    for status in setup.state.statuses().iter().filter(|it| it.name != "prometheus") {
        assert_eq!((status.tests, status.test_at), (2, Some(T0 + Millis::seconds(65))), "{}", status.name);
    }
    assert_eq!((setup.known(), setup.state.rejects()), (Vec::new(), Vec::new()));
}

/// Rules see our own alerts as they see any.
#[test]
fn rules_match_our_own_alerts() {
    let rules = "
correlate:
  - name: deaf
    match: ['alertname=\"QuellSourceSilent\"', 'source=\"jobs\"']
    title: 'Nothing from {{ labels.source }}'
";
    let setup = Setup::with_rules(SOURCES, rules, T0);
    pass(&setup, Millis::hours(1));
    let incidents = setup.engine.live.incidents();
    assert_eq!(incidents.iter().map(|it| &*it.rule.name).collect::<Vec<_>>(), ["deaf"]);
}

//! Mapped JSON and Alertmanager's webhook: what is answered and known, message by message.

use std::collections::BTreeMap;

use super::tools::FOLDER;
use super::{Setup, T0};
use crate::config::load_text;
use crate::model::{AlertStatus, Millis};

const MAP: &str = r#"
sources:
  - name: jobs
    format: generic
    labels: { env: prod }
    map:
      each: body.events
      labels: { alertname: "{{ item.job }}Failed", host: "{{ item.node }}", severity: "{{ item.level | lower }}" }
      annotations: { summary: "{{ item.message | default('') }}" }
      status: "{{ 'resolved' if item.state == 'OK' else 'firing' }}"
      starts_at: "{{ item.since | default('') }}"
      identity: [alertname, host]
      resolve_after: 2h
"#;

fn event(fields: &str) -> String {
    format!(r#"{{"events":[{{"job":"Backup","node":"n1","level":"WARN","state":"BAD"{fields}}}]}}"#)
}

#[test]
fn events_become_alerts() {
    let setup = Setup::new(MAP);
    let steps = [
        (0, event(r#","message":"disk full""#), r#""new":1,"rejected":[],"repeats":0"#),
        // Another severity does not make another alert: the identity is said.
        (60, event(r#","level":"CRIT""#).replacen(r#","level":"WARN""#, "", 1), r#""new":0,"rejected":[],"repeats":1"#),
        (90, event(r#","state":"OK""#).replacen(r#","state":"BAD""#, "", 1), r#""new":1,"rejected":[],"repeats":0"#),
        (95, event(r#","state":"OK""#).replacen(r#","state":"BAD""#, "", 1), r#""new":0,"rejected":[],"repeats":1"#),
        (100, event(r#","since":1800000099"#), r#""new":1,"rejected":[],"repeats":0"#),
        (101, r#"{"events":[]}"#.to_owned(), r#""accepted":0"#),
    ];
    for (seconds, body, expected) in steps {
        let (status, text) = setup.post(seconds, "/v1/ingest/jobs", &body);
        assert!(status == 200 && text.contains(expected), "{seconds}: {status} {text}");
    }
    let labels = r#"{alertname="BackupFailed", env="prod", host="n1", severity="warn"}"#;
    assert_eq!(setup.known(), [format!("{labels} firing from 99 expires 7300")]);
}

#[test]
fn what_does_not_map_is_rejected_with_its_place() {
    let cases = [
        (
            r#"{"events":[{"job":"A","node":"n","level":"l","state":"x"},{"job":"B","state":"x"}]}"#,
            202,
            r#""rejected":[{"error":"map.labels.host: undefined value","index":1}]"#,
        ),
        (r#"{"events":{}}"#, 202, "there is no list at body.events"),
        ("[]", 202, "there is no list at body.events"),
        ("{", 400, "EOF"),
        (r#"{"events":[{"job":"A","node":"n","level":"l","state":"x","since":"soon"}]}"#, 202, "map.starts_at: gives no time"),
        (r#"{"events":[1e400]}"#, 400, "number out of range"),
    ];
    for (body, status, expected) in cases {
        let (given, text) = Setup::new(MAP).post(0, "/v1/ingest/jobs", body);
        assert!(given == status && text.contains(expected), "{body}: {given} {text}");
    }
    let deep = format!(r#"{{"events":{}{}}}"#, "[".repeat(40), "]".repeat(40));
    let (status, text) = Setup::new(MAP).post(0, "/v1/ingest/jobs", &deep);
    assert!(status == 400 && text.contains("nested deeper than 32"), "{text}");
}

/// Row 56: what comes in is data, never a template, and a template's steps end.
#[test]
fn templates_are_the_sites_alone_and_end() {
    let setup = Setup::new(MAP);
    let body = r#"{"events":[{"job":"{{ 7*7 }}","node":"{% for x in range(9) %}","level":"l","state":"x"}]}"#;
    setup.post(0, "/v1/ingest/jobs", body);
    assert!(setup.known()[0].contains(r#"alertname="{{ 7*7 }}Failed""#), "{:?}", setup.known());
    let endless = "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}";
    let yaml = format!("sources: [{{ name: s, format: generic, map: {{ labels: {{ a: '{endless}' }} }} }}]");
    let (_, text) = Setup::new(&yaml).post(0, "/v1/ingest/s", "{}");
    assert!(text.contains("map.labels.a: engine ran out of fuel"), "{text}");
}

#[test]
fn a_webhook_says_its_states_and_never_expires() {
    let setup = Setup::new("sources: [{ name: am, format: alertmanager }]");
    let member = |status: &str, rest: &str| {
        format!(r#"{{"status":"{status}","alerts":[{{"status":"{status}","labels":{{"a":"b"}},{rest}}}]}}"#)
    };
    let start = r#""startsAt":"2027-01-15T08:00:00Z""#;
    let zero = format!(r#"{start},"endsAt":"0001-01-01T00:00:00Z""#);
    let end = format!(r#"{start},"endsAt":"2027-01-15T08:01:00Z""#);
    let steps = [
        (0, member("firing", &zero), r#""new":1"#, "firing from 0 expires never"),
        (14_400, member("firing", &zero), r#""repeats":1"#, "firing from 0 expires never"),
        (14_401, member("resolved", &end), r#""new":1"#, "resolved from 0 ended 60"),
        // The word of the other of a pair comes late: it must not open again what has ended.
        (14_402, member("firing", &zero), r#""repeats":1"#, "resolved from 0 ended 60"),
        (14_403, member("firing", r#""startsAt":"2027-01-15T12:00:00Z""#), r#""new":1"#, "firing from 14400 expires never"),
        (14_404, member("gone", &zero), r#""error":"status is neither firing nor resolved""#, "firing from 14400 expires never"),
    ];
    for (seconds, body, answer, known) in steps {
        let (status, text) = setup.post(seconds, "/v1/ingest/am", &body);
        assert!(status == 200 && text.contains(answer), "{seconds}: {text}");
        assert_eq!(setup.known(), [format!(r#"{{a="b"}} {known}"#)], "{seconds}");
    }
    for body in ["[]", "{}", r#"{"alerts":5}"#] {
        assert_eq!(setup.post(20_000, "/v1/ingest/am", body).0, 400, "{body}");
    }
}

/// PRTG, StatusCake and LibreNMS have formats of their own, and could have been written as mappings: forms, texts, tags and all.
#[test]
fn a_mapping_says_what_a_format_says() {
    let messages = [
        ("prtg", "firing.form"),
        ("prtg", "resolved.form"),
        ("statuscake", "firing.form"),
        ("statuscake", "resolved.form"),
        ("librenms", "firing.json"),
        ("librenms", "worse.json"),
        ("librenms", "resolved.json"),
        ("librenms", "firing.json"),
    ];
    let setup = Setup::new(include_str!("../../../tests/golden/payloads/generic.yaml"));
    for (seconds, (tool, file)) in messages.iter().enumerate() {
        let body = std::fs::read_to_string(format!("{FOLDER}/{tool}/{file}")).unwrap();
        for source in [(*tool).to_owned(), format!("generic-{tool}")] {
            let path = format!("/v1/ingest/{source}");
            setup.engine.set_now(T0 + Millis::seconds(i64::try_from(seconds).unwrap()));
            let (status, text) = setup.send(&path, &[], body.as_bytes());
            assert!((200..300).contains(&status) && text.contains(r#""rejected":[]"#), "{source} {file}: {status} {text}");
        }
        let said = |source: &str| {
            let entries = setup.engine.live.alerts(|entry| &*entry.record.alert.source == source);
            let [entry] = &entries[..] else { panic!("{source} {file}: {} alerts", entries.len()) };
            let record = &entry.record;
            let labels: Vec<(String, String)> = record
                .alert
                .labels
                .iter()
                .filter(|(name, _)| *name != "key")
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            (record.status, record.ends_at, labels, entry.annotations().clone(), entry.expires_at)
        };
        assert_eq!(said(tool), said(&format!("generic-{tool}")), "{tool}/{file}");
    }
}

#[test]
fn what_no_template_looks_at_is_known() {
    let (config, _) = load_text("", MAP, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    let source = config.sources.iter().find(|source| &*source.name == "jobs").unwrap();
    let body =
        r#"{"events":[{"job":"B","node":"n","level":"WARN","state":"OK","since":1800000000,"owner":{"team":"t"}}],"sent":"now"}"#;
    let trial = crate::ingest::trial::read(&config, source, body, &hyper::HeaderMap::new(), T0).unwrap();
    assert_eq!(trial.unused.unwrap(), ["item.owner.team", "body.sent"]);
    assert_eq!((trial.alerts.len(), trial.alerts[0].status), (1, AlertStatus::Resolved), "also the end of what nobody knows");
}

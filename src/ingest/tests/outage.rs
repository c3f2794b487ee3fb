//! The one outage that all samples tell, sent through all formats in the order of its time to the real engine, in virtual
//! time: it must become one incident, with the right cause, and what has nothing to do with it must stay out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Setup;
use super::tools::{FOLDER, Sample, samples};
use crate::config::Tool;
use crate::model::{AlertRecord, Incident, IncidentStatus, Millis, Time};

/// What a site would write: who depends on whom, and of which service the machines are.
const RULES: &str = include_str!("../../../tests/golden/payloads/rules.yaml");

/// When messages come whose bodies name no moment, or another one.
const ARRIVALS: [(&str, &str); 29] = [
    ("pagerduty-events-v2/change-event.json", "09:31:05"),
    ("librenms/firing.json", "09:37:59"),
    ("zabbix/firing.json", "09:39:00"),
    ("prtg/firing.form", "09:39:10"),
    ("librenms/worse.json", "09:42:00"),
    ("icinga2/icinga-notifications-event.json", "09:43:56"),
    ("honeycomb/firing.json", "09:44:50"),
    ("zabbix/acknowledged.json", "09:45:03"),
    ("statuscake/firing.form", "09:46:40"),
    ("librenms/acknowledged.json", "09:46:38"),
    ("netdata/reachability-firing.json", "09:47:20"),
    ("pagerduty-events-v2/firing-no-dedup-key.json", "09:48:00"),
    ("opsgenie/firing.json", "09:48:30"),
    ("pagerduty-events-v2/acknowledged.json", "09:50:00"),
    ("uptime-kuma/certificate-expiry.json", "09:50:30"),
    ("opsgenie/acknowledged.json", "09:52:00"),
    ("librenms/resolved.json", "10:18:20"),
    ("zabbix/resolved.json", "10:19:53"),
    ("prtg/resolved.form", "10:20:15"),
    ("pagerduty-events-v2/resolved.json", "10:21:00"),
    ("netdata/reachability-resolved.json", "10:21:30"),
    ("statuscake/resolved.form", "10:22:50"),
    ("honeycomb/resolved.json", "10:24:00"),
    ("sentry/resolved.json", "10:25:00"),
    ("opsgenie/resolved.json", "10:28:00"),
    ("prometheus/firing.json", "09:45:12"),
    ("prometheus/heartbeat-watchdog.json", "09:45:02"),
    ("prometheus/resolved.json", "10:23:13"),
    ("cloudevents/batch.json", "10:23:40"),
];

/// One message of the outage.
struct Message {
    at: Time,
    file: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[test]
fn all_that_is_one_outage_is_one_incident() {
    let names: Vec<String> = Tool::ALL.iter().map(|tool| format!("{{ name: {0}, format: {0} }}", tool.name())).collect();
    let yaml = format!("sources: [{{ name: alertmanager, format: alertmanager }}, {}]", names.join(", "));
    let messages = messages();
    let setup = Setup::with_rules(&yaml, RULES, messages[0].at);
    for message in &messages {
        setup.pass_to(message.at);
        let headers: Vec<(&str, &str)> = message.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (status, text) = setup.request(&hyper::Method::POST, &message.path, &headers, message.body.as_bytes());
        assert!((200..300).contains(&status), "{}: {status} {text}", message.file);
        assert!(!text.contains(r#""error""#), "{}: {text}", message.file);
        if message.file == "cloudevents/batch.json" {
            assert!(text.contains(r#""repeats":2"#), "said before, in two messages: {text}");
        }
        if message.file == "opsgenie/acknowledged.json" {
            looks_right(&setup);
        }
    }
    setup.pass_to(messages.last().unwrap().at + Millis::minutes(10));
    // What fires still is what the samples have no end of.
    let endless = [
        "Cart error percentage",
        "DatasourceNoData",
        "Orders: write failures per host",
        "[P1] [Triggered on {env:prod,service:checkout-api}] Checkout p95 latency",
        "host down",
        "host down",
        "payments-declined-burst",
    ];
    assert_eq!(firing_in(&setup, &the_outage(&setup)), endless);
}

/// In the middle of it: who is in, who is not, and what it comes from.
fn looks_right(setup: &Setup) {
    let outage = the_outage(setup);
    assert_eq!(outage.status, IncidentStatus::Acknowledged, "somebody took it in Zabbix");
    let first = outage.causes().first().map(|cause| cause.entity.to_string());
    assert!(matches!(first.as_deref(), Some("service/orders-db" | "host/db-orders-01")), "{:?}", outage.causes());
    let members = setup.engine.live.alerts(|entry| entry.record.incidents.contains(&outage.id));
    let sources: std::collections::BTreeSet<&str> = members.iter().map(|entry| &*entry.record.alert.source).collect();
    let missing: Vec<&str> = Tool::ALL.iter().map(|tool| tool.name()).filter(|name| !sources.contains(name)).collect();
    assert_eq!(missing, ["librenms"], "the uplink's alert stands for itself");
    let outside = setup.engine.live.alerts(|entry| entry.record.is_firing() && !entry.record.incidents.contains(&outage.id));
    let mut outside: Vec<String> = outside.iter().map(|entry| entry.record.alert.labels.get("alertname").to_owned()).collect();
    outside.sort();
    assert_eq!(outside, ["Nightly export failed", "Uplink port down", "Watchdog", "certificate expires"]);
}

fn the_outage(setup: &Setup) -> std::sync::Arc<Incident> {
    let incidents = setup.engine.live.incidents();
    let of_rule: Vec<_> = incidents.iter().filter(|incident| &*incident.rule.name == "shop").collect();
    let titles: Vec<String> =
        incidents.iter().map(|it| format!("{} {} {}/{}", it.id, it.title, it.alerts_firing, it.alerts_total)).collect();
    assert_eq!(of_rule.len(), 1, "{titles:#?}");
    of_rule[0].clone()
}

/// The names of its alerts that fire.
fn firing_in(setup: &Setup, incident: &Incident) -> Vec<String> {
    let is_in = |record: &AlertRecord| record.is_firing() && record.incidents.contains(&incident.id);
    let firing = setup.engine.live.alerts(|entry| is_in(&entry.record));
    let mut names: Vec<String> = firing.iter().map(|entry| entry.record.alert.labels.get("alertname").to_owned()).collect();
    names.sort();
    names
}

/// All messages, in the order of their time.
fn messages() -> Vec<Message> {
    let arrivals: BTreeMap<&str, Time> =
        ARRIVALS.into_iter().map(|(file, clock)| (file, Time::parse_rfc3339(&format!("2026-05-14T{clock}Z")).unwrap())).collect();
    // One Dynatrace has one template: what it would send with the other one says less of the same problem.
    let is_sent = |sample: &Sample| {
        ["alerts", "change"].contains(&&*sample.outcome) && sample.file != "dynatrace/default-template-firing.json"
    };
    let tools = samples().into_iter().filter(is_sent).map(|sample| {
        let path = match sample.expected["path"].as_str().filter(|path| path.starts_with("/v2/alerts/")) {
            Some(path) => path.to_owned(),
            None => format!("/v1/ingest/{}", sample.tool.name()),
        };
        let Sample { file, expected, headers, body, .. } = sample;
        Message { at: arrival(&file, &expected, &arrivals), file, path, headers, body }
    });
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(format!("{FOLDER}/manifest.json")).unwrap()).unwrap();
    let labels = manifest["files"].as_array().unwrap().iter().filter_map(|expected| {
        let file = expected["file"].as_str().unwrap().to_owned();
        let path = match expected["tool"].as_str().unwrap() {
            "prometheus" => "/api/v2/alerts",
            "alertmanager" => "/v1/ingest/alertmanager",
            _ => return None,
        };
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let body = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
        Some(Message { at: arrival(&file, expected, &arrivals), file, path: path.to_owned(), headers, body })
    });
    let mut messages: Vec<Message> = tools.chain(labels).collect();
    messages.sort_by_key(|message| message.at);
    messages
}

/// A second behind the last moment that it names.
fn arrival(file: &str, expected: &Value, arrivals: &BTreeMap<&str, Time>) -> Time {
    let named = expected["alerts"].as_array().into_iter().flatten().filter_map(|alert| alert["at"].as_str());
    let last = named.map(|at| Time::parse_rfc3339(at).unwrap() + Millis::seconds(1)).max();
    arrivals.get(file).copied().or(last).unwrap_or_else(|| panic!("when does {file} come?"))
}

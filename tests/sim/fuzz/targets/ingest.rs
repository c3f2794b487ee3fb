//! Messages of every format, read as a source's message is: limits, identity, labels and all, on empty tables.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use quell::config::{Config, SourceConfig, Tool, load_text};
use quell::ingest::format;
use quell::ingest::format::json::{Json, Kind};
use quell::ingest::trial::{self, Trial};
use quell::model::Time;
use serde_json::Value;

use super::corpus;
use super::{Shape, Target};

/// After every time of the samples.
const NOW: Time = Time(1_800_000_000_000);

/// Small, so that messages meet them.
const LIMITS: &str = "limits: { alerts_per_request: 100, labels_per_alert: 16, label_value_bytes: 256, alert_bytes: 4096 }\n";

fn config(sources: &str) -> Config {
    load_text("fuzz.yaml", &format!("{LIMITS}{sources}"), &BTreeMap::new(), &BTreeMap::new()).unwrap().0
}

/// What a message of a source becomes, within its limits. A text that begins as a request has headers.
fn read(config: &Config, source: &SourceConfig, text: &str) -> Trial {
    let (headers, body) = with_headers(text);
    let trial = trial::read(config, source, body, &headers, NOW).unwrap();
    let limits = &config.limits;
    assert!(trial.alerts.len() + trial.rejected.len() <= limits.alerts_per_request);
    for news in &trial.alerts {
        let alert = &news.alert;
        assert!(alert.labels.iter().count() <= limits.labels_per_alert, "{}", alert.labels);
        let bytes = |labels: &quell::model::Labels| labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        assert!(bytes(&alert.labels) + bytes(&alert.annotations) <= limits.alert_bytes, "{}", alert.labels);
        for (name, value) in alert.labels.iter() {
            assert!(!name.is_empty() && !value.is_empty() && value.len() <= limits.label_value_bytes, "{}", alert.labels);
        }
        assert!(alert.starts_at <= NOW || news.ends_at.is_none(), "{}", alert.labels);
    }
    for rejected in &trial.rejected {
        assert!(rejected.message.len() <= 1_000, "{}", rejected.message);
    }
    trial
}

fn with_headers(text: &str) -> (HeaderMap, &str) {
    let mut headers = HeaderMap::new();
    if !text.starts_with("POST ") {
        return (headers, text);
    }
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.to_lowercase().as_bytes()), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    (headers, body)
}

/// What does not depend on when and how often it is read.
fn told(trial: &Trial) -> String {
    let alerts: Vec<_> =
        trial.alerts.iter().map(|news| (&news.alert.labels, news.status, news.alert.starts_at, news.ends_at)).collect();
    format!("{alerts:?} {:?} {}", trial.asides, trial.refused.is_some())
}

pub(crate) fn messages_of_tools() -> Vec<Target> {
    let targets = Tool::ALL.map(|tool| {
        let config = config(&format!("sources: [{{ name: s, format: {} }}]", tool.name()));
        let corpus = corpus::texts(&format!("tests/golden/payloads/{}", tool.name()), &[".json", ".form", ".http", ".txt"]);
        Target::of_text(&format!("format-{}", tool.name()), Shape::Json, corpus, move |text| {
            let source = config.sources.iter().find(|source| &*source.name == "s").unwrap();
            let first = read(&config, source, text);
            assert_eq!(told(&first), told(&read(&config, source, text)), "twice the same");
            // A name that nothing was made of is a name of the body.
            let (headers, body) = with_headers(text);
            if let Ok(reading) = format::read(tool, body, &headers, &config.limits) {
                assert!(reading.unused().len() <= body.len());
            }
        })
    });
    targets.into()
}

/// The tree of a body says what serde_json's own says, error and all.
pub(crate) fn trees_of_json() -> Vec<Target> {
    fn told(json: &Json<'_>) -> Value {
        match json.kind() {
            Kind::Null => Value::Null,
            Kind::Bool(flag) => Value::Bool(*flag),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(words) => Value::from(words.as_str()),
            Kind::List(items) => items.iter().map(told).collect(),
            Kind::Map(map) => {
                for (key, value) in map.in_order() {
                    assert!(std::ptr::eq(json.get(key).unwrap(), value), "{key:?}");
                }
                map.in_order().into_iter().map(|(key, value)| (key.to_owned(), told(value))).collect()
            }
        }
    }
    let targets = [("json", Shape::Json), ("json-bytes", Shape::Bytes)].map(|(name, shape)| {
        let corpus = corpus::texts("tests/golden/payloads", &[".json"]);
        Target::of_text(name, shape, corpus, |text| {
            let (read, expected) = (Json::parse(text), serde_json::from_str::<Value>(text));
            assert_eq!(read.as_ref().map(told).map_err(ToString::to_string), expected.map_err(|error| error.to_string()));
            if let Ok(json) = read {
                let before = told(&json);
                assert_eq!(told(&json.into_owned()), before);
            }
        })
    });
    targets.into()
}

/// The quick reader and the general one: a line break is all that makes the first leave a list to the second.
pub(crate) fn alerts_of_prometheus() -> Vec<Target> {
    let corpus = corpus::texts("tests/golden/payloads/prometheus", &[".json"]);
    let compact = |text: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(text).unwrap().to_string().into_bytes();
    let corpus: Vec<Vec<u8>> = corpus.iter().map(compact).collect();
    let config = config("");
    let target = Target::of_text("prometheus", Shape::Json, corpus, move |text| {
        let source = &config.sources[0];
        let quick = read(&config, source, text);
        if let Some(rest) = text.strip_prefix('[') {
            let general = read(&config, source, &format!("[\n{rest}"));
            assert_eq!(told(&quick), told(&general));
            let errors = |trial: &Trial| trial.rejected.iter().map(|it| it.index).collect::<Vec<_>>();
            assert_eq!(errors(&quick), errors(&general));
        }
    });
    vec![target]
}

pub(crate) fn alerts_of_an_alertmanager() -> Vec<Target> {
    let config = config("sources: [{ name: s, format: alertmanager }]");
    let corpus = corpus::texts("tests/golden/payloads/alertmanager", &[".json"]);
    let target = Target::of_text("alertmanager", Shape::Json, corpus, move |text| {
        let source = config.sources.iter().find(|source| &*source.name == "s").unwrap();
        assert_eq!(told(&read(&config, source, text)), told(&read(&config, source, text)));
    });
    vec![target]
}

/// Mappings that are right, and bodies that are not.
pub(crate) fn bodies_for_mappings() -> Vec<Target> {
    let maps = String::from_utf8(corpus::texts("tests/golden/payloads", &["payloads/generic.yaml"]).remove(0)).unwrap();
    let own = r#"
  - name: generic-list
    format: generic
    map:
      each: body.alerts
      labels: { alertname: "{{ item.labels.alertname | upper | replace('A', 'AA') }}", host: "{{ item.labels.instance | default(item.x ~ body.y) }}", n: "{{ item.values | length }}", s: "{{ item | string }}" }
      annotations: { all: "{{ body }}", first: "{{ item.annotations.summary[:10] }}", sorted: "{{ item.labels | dictsort | join(',') }}" }
      status: "{{ item.status | lower }}"
      starts_at: "{{ item.startsAt }}"
      ends_at: "{{ item.endsAt }}"
      identity: [alertname, host]
"#;
    let config = config(&format!("{}{own}", maps.split_once("sources:").map(|(_, rest)| format!("sources:{rest}")).unwrap()));
    let folders = [
        ("generic-prtg", "prtg"),
        ("generic-statuscake", "statuscake"),
        ("generic-librenms", "librenms"),
        ("generic-list", "grafana"),
    ];
    let targets = folders.map(|(name, folder)| {
        let (config, source) = (config.clone(), config.sources.iter().find(|source| &*source.name == name).unwrap().clone());
        let corpus = corpus::texts(&format!("tests/golden/payloads/{folder}"), &["firing.json", "resolved.json", ".form"]);
        Target::of_text(name, Shape::Json, corpus, move |text| {
            assert_eq!(told(&read(&config, &source, text)), told(&read(&config, &source, text)));
        })
    });
    targets.into()
}

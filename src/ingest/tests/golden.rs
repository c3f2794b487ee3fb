//! The payload samples of those who send labels, against the fingerprints and times that they must get.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::config::{Config, load_text};
use crate::engine::Input;
use crate::ingest::intake::Intake;
use crate::ingest::source::Source;
use crate::ingest::{alertmanager, prometheus};
use crate::metrics::Metrics;
use crate::model::{Fingerprint, Severity, Time};
use crate::runtime::Live;

#[derive(Deserialize)]
struct Sample {
    file: String,
    format: String,
    receive_at: String,
    alerts: Vec<Expected>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct Expected {
    fingerprint: String,
    status: String,
    severity: String,
    starts_at: String,
    ended_at: Option<String>,
}

#[test]
fn samples_get_their_fingerprints() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/payloads");
    let manifest = std::fs::read_to_string(format!("{folder}/fingerprints.json")).unwrap();
    let samples: Vec<Sample> = serde_json::from_str(&manifest).unwrap();
    assert_eq!(samples.len(), 7);
    let yaml = "sources: [{ name: alertmanager, format: alertmanager }]";
    let (config, _): (Config, _) = load_text("", yaml, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    let metrics = Arc::new(Metrics::default());
    for sample in samples {
        let body = std::fs::read_to_string(format!("{folder}/{}", sample.file)).unwrap();
        let live = Live::new(&config);
        let source = config.sources.iter().find(|source| *source.name == *sample.format).unwrap();
        let source = Source::new(source, config.resolve_timeout, &live, &metrics).unwrap();
        let mut intake = Intake::new(&live, &source, &config.limits, Time::parse_rfc3339(&sample.receive_at).unwrap());
        // A resolve of what nobody knows is no news, so each alert is made known first, as one that fires.
        for expected in &sample.alerts {
            known_firing(&live, expected, &source);
        }
        let read = if sample.format == "prometheus" { prometheus::read } else { alertmanager::read };
        read(&body, &mut intake).unwrap();
        let sorted = intake.finish();
        assert_eq!(sorted.rejected, [], "{}", sample.file);
        let firing = sample.alerts.iter().filter(|expected| expected.status == "firing").count();
        assert_eq!(sorted.repeats, firing as u64, "{}", sample.file);

        // On empty tables, what fires is news, with everything that the manifest says of it.
        let empty = Live::new(&config);
        let mut intake = Intake::new(&empty, &source, &config.limits, Time::parse_rfc3339(&sample.receive_at).unwrap());
        read(&body, &mut intake).unwrap();
        let news = sorted.news.into_iter().chain(intake.finish().news);
        let mut given: Vec<Expected> = news.filter_map(described).collect();
        given.sort_by_key(|it| sample.alerts.iter().position(|expected| expected.fingerprint == it.fingerprint));
        assert_eq!(given, sample.alerts, "{}", sample.file);
    }
}

/// What is news; `None` for the end of what nobody knows.
fn described(input: Input) -> Option<Expected> {
    let news = match input {
        Input::Alert(news) => news,
        Input::Ended { .. } => return None,
        other => panic!("ingest submits alerts only, not {other:?}"),
    };
    Some(Expected {
        fingerprint: news.alert.fingerprint.to_string(),
        status: news.status.as_str().to_owned(),
        severity: Severity::of(&news.alert.labels).to_string(),
        starts_at: news.alert.starts_at.to_rfc3339(),
        ended_at: news.ends_at.map(Time::to_rfc3339),
    })
}

fn known_firing(live: &Live, expected: &Expected, source: &Source) {
    use crate::engine::entity::Changes;
    use crate::model::{Alert, AlertRecord, Labels};
    let starts_at = Time::parse_rfc3339(&expected.starts_at).unwrap();
    let alert = Alert {
        fingerprint: Fingerprint::parse(&expected.fingerprint).unwrap(),
        labels: Labels::default(),
        annotations: Labels::default(),
        generator_url: "".into(),
        source: source.name.clone(),
        starts_at,
    };
    let record = AlertRecord::firing(Arc::new(alert), 1, starts_at);
    live.publish(&Changes { alerts: vec![Arc::new(record)], ..Changes::default() }, starts_at);
}

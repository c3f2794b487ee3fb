//! The small languages: expressions, templates, matchers, times, and the bytes of the log.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use minijinja::Value;
use quell::engine::{Engine, EngineOptions, Input, News, State};
use quell::model::{Alert, AlertStatus, Fingerprint, Incident, IncidentId, Labels, Millis, NotificationId, SilenceId, Time};
use quell::ruleset::template::{OUTPUT_BYTES_MAX, Scope, Template, pairs_value};
use quell::ruleset::{self, AlertSubject, Expression, IncidentSubject, Limits, Sees, Subject, parse_matchers};
use quell::storage::record;

use super::corpus;
use super::{Shape, Target};

fn labels() -> Labels {
    Labels::from_pairs([("alertname", "Disk"), ("host", "db-1"), ("env", "prod"), ("port", "9100"), ("name", "Grüße")]).unwrap()
}

/// An incident that an alert with these labels has opened.
fn incident() -> &'static Arc<Incident> {
    static INCIDENT: OnceLock<Arc<Incident>> = OnceLock::new();
    INCIDENT.get_or_init(|| {
        let rules = Arc::new(ruleset::load(&[], None, Limits::default()).unwrap().ruleset);
        let mut engine = Engine::new(State::new(), rules, EngineOptions::default());
        let mut facts = Vec::new();
        engine.step(Time(0), Input::Created { directory: "d".into() }, &mut facts).unwrap();
        let alert = Alert {
            fingerprint: labels().fingerprint(),
            labels: labels(),
            annotations: Labels::default(),
            generator_url: "".into(),
            source: "prometheus".into(),
            starts_at: Time(0),
        };
        let news = News { alert: Arc::new(alert), status: AlertStatus::Firing, ends_at: None, lasts: None };
        engine.step(Time(1), Input::Alert(news), &mut facts).unwrap();
        engine.state().incidents().next().unwrap().clone()
    })
}

pub(crate) fn expressions() -> Vec<Target> {
    let spec = corpus::texts("tests/spec/expressions.md", &[".md"]);
    let corpus = corpus::pieces(&spec, |line| Some(line.split_once(" => ")?.0.trim()));
    let target = Target::of_text("expression", Shape::Words, corpus, |text| {
        let labels = labels();
        let alert = Subject::Alert(AlertSubject { labels: &labels, annotations: &labels, source: "test" });
        let incident = Subject::Incident(IncidentSubject {
            incident: incident(),
            now: Time(90_000),
            distinct: &|label| u32::try_from(label.len()).unwrap(),
        });
        for (sees, subject) in [(Sees::Alert, alert), (Sees::Incident, incident)] {
            match Expression::compile(text, sees) {
                Ok(expression) => {
                    let whole = expression.evaluate(&subject);
                    assert_eq!(whole, expression.evaluate(&subject));
                    drop(expression.values(&subject));
                }
                Err(faults) => {
                    for fault in &faults {
                        assert!(text.get(fault.span.clone()).is_some(), "{fault:?} has its place in {text:?}");
                    }
                    assert!(!faults.is_empty());
                }
            }
        }
    });
    vec![target]
}

struct Names;

impl Scope for Names {
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>> {
        match root {
            "labels" => Some(labels().get(name).to_owned().into()),
            "incident" => Some("3".into()),
            "by" => (name == "cluster").then(|| "eu1".into()),
            _ => None,
        }
    }

    fn value(&self) -> Value {
        let (labels, long) = (labels(), "a".repeat(60_000));
        let roots = [
            ("labels", labels.iter().collect::<Vec<_>>()),
            ("by", vec![("cluster", "eu1")]),
            ("incident", vec![("count", "3"), ("title", &long)]),
        ];
        Value::from_pairs(roots.into_iter().map(|(root, pairs)| (root, pairs_value(pairs.into_iter()))))
    }
}

pub(crate) fn templates() -> Vec<Target> {
    let files: Vec<Vec<u8>> = ["tests/golden/rules", "docs", "rules", "tests/spec", "tests/golden/payloads/generic.yaml"]
        .iter()
        .flat_map(|place| corpus::texts(place, &[".yaml", ".md"]))
        .collect();
    let quoted = |line: &str| -> Option<(usize, usize)> {
        let start = line.find('"')? + 1;
        Some((start, start + line[start..].rfind('"')?))
    };
    let corpus =
        corpus::pieces(&files, |line| quoted(line).map(|(start, end)| &line[start..end]).filter(|text| text.contains("{{")));
    let target = Target::of_text("template", Shape::Words, corpus, |text| match Template::compile(text) {
        Ok(template) => {
            let rendered = template.render(&Names);
            assert!(rendered.as_ref().map_or_else(String::len, String::len) <= OUTPUT_BYTES_MAX + '…'.len_utf8());
            assert_eq!(rendered, template.render(&Names));
        }
        Err((words, place)) => {
            assert!(!words.is_empty() && place.is_none_or(|at| at <= text.len()), "{words} at {place:?} of {text:?}");
        }
    });
    vec![target]
}

pub(crate) fn matchers() -> Vec<Target> {
    let rules: Vec<Vec<u8>> = ["tests/golden/rules", "docs/example-rules.yaml", "rules/databases.yaml"]
        .iter()
        .flat_map(|place| corpus::texts(place, &[".yaml"]))
        .collect();
    let corpus = corpus::pieces(&rules, |line| line.split('\'').nth(1).filter(|text| text.contains('=')));
    let target = Target::of_text("matcher", Shape::Words, corpus, |text| {
        if let Ok(matchers) = parse_matchers(text) {
            let labels = labels();
            for matcher in &matchers {
                assert_eq!(matcher.matches(&labels), matcher.matches(&labels));
            }
            // What it is written as is read as the same.
            let written: Vec<String> = matchers.iter().map(ToString::to_string).collect();
            let again =
                parse_matchers(&format!("{{{}}}", written.join(","))).unwrap_or_else(|_| panic!("{written:?} is read again"));
            assert_eq!(again.iter().map(ToString::to_string).collect::<Vec<_>>(), written);
        }
    });
    vec![target]
}

pub(crate) fn times_and_ids() -> Vec<Target> {
    let texts = [
        "2026-01-05T10:00:00Z",
        "2026-01-05T10:00:00.123456789+02:00",
        "0001-01-01T00:00:00Z",
        "1d12h30m5s100ms",
        "90s",
        "INC-1042",
        "0123456789abcdef",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    ];
    let corpus = texts.map(|text| text.as_bytes().to_vec()).to_vec();
    let target = Target::of_text("time", Shape::Words, corpus, |text| {
        if let Some(time) = Time::parse_rfc3339(text) {
            assert_eq!(Time::parse_rfc3339(&time.to_rfc3339()), Some(time), "{text}");
        }
        if let Some(length) = Millis::parse(text) {
            assert_eq!(Millis::parse(&length.to_string()), Some(length), "{text}");
        }
        if let Some(id) = IncidentId::parse(text) {
            assert_eq!(IncidentId::parse(&id.to_string()), Some(id), "{text}");
        }
        if let Some(id) = SilenceId::parse(text) {
            assert_eq!(SilenceId::parse(&id.to_string()), Some(id), "{text}");
        }
        assert!(NotificationId::parse(text).is_none_or(|id| text.contains(&id.0.to_string())), "{text}");
        if let Some(id) = Fingerprint::parse(text) {
            assert_eq!(Fingerprint::parse(&id.to_string()), Some(id), "{text}");
        }
    });
    vec![target]
}

/// The golden records of every version, as bytes.
fn records(file: &str) -> Vec<Vec<u8>> {
    let lines = corpus::pieces(&corpus::texts("tests/golden/log", &[file]), |line| {
        Some(line).filter(|line| line.len() > 4 && line.len() % 2 == 0 && line.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    lines.iter().map(|line| line.chunks(2).map(byte).collect()).collect()
}

pub(crate) fn bytes_of_the_log() -> Vec<Target> {
    let facts = Target::new("facts", Shape::Bytes, records("facts.txt"), |bytes| {
        for version in [0, 1, record::RECORD_VERSION, record::RECORD_VERSION + 1] {
            let Ok(facts) = record::decode_facts(version, bytes) else { continue };
            for fact in &facts {
                assert!(record::to_json(fact)["kind"].is_string());
            }
            let mut again = Vec::new();
            record::encode_facts(&facts, &mut again);
            assert!(
                record::decode_facts(record::RECORD_VERSION, &again).unwrap() == facts,
                "what is read is written and read again"
            );
        }
    });
    let entities = Target::new("entities", Shape::Bytes, records("entities.txt"), |bytes| {
        for version in [0, 1, record::RECORD_VERSION, record::RECORD_VERSION + 1] {
            let Ok(entity) = record::decode_entity(version, bytes) else { continue };
            let mut again = Vec::new();
            record::encode_entity(&entity, &mut again);
            assert!(
                record::decode_entity(record::RECORD_VERSION, &again).unwrap() == entity,
                "what is read is written and read again"
            );
        }
    });
    vec![facts, entities]
}

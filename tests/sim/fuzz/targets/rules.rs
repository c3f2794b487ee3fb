//! What people write: rule files with their tables, tests of rules, configurations. Damaged, they load or are refused with
//! places; what loads, the engine can run.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use quell::config::load_text;
use quell::engine::{Engine, EngineOptions, Input, News, State};
use quell::model::{Alert, AlertStatus, Labels, Millis, Time};
use quell::ruleset::{self, Diagnostic, Limits, Ruleset, SourceFile};
use quell::storage::record;
use quell::verify::{backtest, rule_test};

use super::corpus;
use super::{Shape, Target};

const START: Time = Time(1_767_571_200_000);

fn file(name: &str, text: &str) -> SourceFile {
    SourceFile { name: name.to_owned(), text: text.to_owned() }
}

/// Every fault has a place in the text, and words.
fn shown(found: &[Diagnostic], text: &str) {
    for diagnostic in found {
        let lines = u32::try_from(text.lines().count() + 1).unwrap();
        assert!(diagnostic.line >= 1 && diagnostic.line <= lines && !diagnostic.message.is_empty(), "{diagnostic}");
        assert!(diagnostic.render(text).contains(&diagnostic.file.to_string()), "{diagnostic}");
    }
}

/// Alerts of many kinds begin and end under these rules, and what was decided is written and read again.
fn play(rules: &Arc<Ruleset>) {
    let mut engine = Engine::new(State::new(), rules.clone(), EngineOptions::default());
    let mut facts = Vec::new();
    engine.step(START, Input::Created { directory: "d".into() }, &mut facts).unwrap();
    engine.step(START, Input::Rules(rules.clone()), &mut facts).unwrap();
    let names = ["ReplicationLag", "HostDiskFull", "DeployStarted", "ErrorRateHigh", "Watchdog", "KubePodCrashLooping"];
    for minute in 0..40_i64 {
        let now = START + Millis::minutes(minute);
        let name = names[usize::try_from(minute).unwrap() % names.len()];
        let host = format!("db-{}", minute % 3);
        let severity = ["critical", "warning", "none"][usize::try_from(minute / 6).unwrap() % 3];
        let pairs = [
            ("alertname", name),
            ("host", &*host),
            ("cluster", "eu1"),
            ("service", "checkout"),
            ("env", "prod"),
            ("severity", severity),
            ("job", "postgres-eu1"),
        ];
        let labels = Labels::from_pairs(pairs).unwrap();
        let status = if minute % 7 == 6 { AlertStatus::Resolved } else { AlertStatus::Firing };
        let alert = Alert {
            fingerprint: labels.fingerprint(),
            annotations: Labels::from_pairs([("summary", "s"), ("description", "d")]).unwrap(),
            labels,
            generator_url: "".into(),
            source: "prometheus".into(),
            starts_at: now,
        };
        let news =
            News { alert: Arc::new(alert), status, ends_at: (status == AlertStatus::Resolved).then_some(now), lasts: None };
        drop(engine.step(now, Input::Alert(news), &mut facts));
    }
    engine.step(START + Millis::hours(30), Input::Tick, &mut facts).unwrap();
    let mut bytes = Vec::new();
    record::encode_facts(&facts, &mut bytes);
    assert!(record::decode_facts(record::RECORD_VERSION, &bytes).unwrap() == facts, "facts are read as they were written");
}

pub(crate) fn rule_files() -> Vec<Target> {
    let mut corpus = corpus::texts("tests/golden/rules", &[".yaml"]);
    corpus.extend(corpus::texts("docs/example-rules.yaml", &[".yaml"]));
    corpus.extend(corpus::texts("rules/databases.yaml", &[".yaml"]));
    corpus.extend(corpus::texts("rules/kubernetes.yaml", &[".yaml"]));
    let table = String::from_utf8(corpus::texts("tests/golden/rules/tables/owners.csv", &[".csv"]).remove(0)).unwrap();
    let target = Target::of_text("rules", Shape::Lines, corpus, move |text| {
        let files = [file("a.yaml", text), file("owners.csv", &table)];
        match ruleset::load(&files, None, Limits::default()) {
            Ok(loaded) => {
                shown(&loaded.warnings, text);
                play(&Arc::new(loaded.ruleset));
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                shown(&faults.into_iter().filter(|it| &*it.file == "a.yaml").collect::<Vec<_>>(), text);
            }
        }
    });
    vec![target]
}

pub(crate) fn tables_of_rules() -> Vec<Target> {
    let rules = "enrich:\n  - name: owners\n    table: owners.csv\n    on: [service]\n";
    let corpus = corpus::texts("tests/golden/rules", &[".csv"]);
    let target = Target::of_text("tables", Shape::Words, corpus, move |text| {
        let files = [file("a.yaml", rules), file("owners.csv", text)];
        match ruleset::load(&files, None, Limits::default()) {
            Ok(loaded) => play(&Arc::new(loaded.ruleset)),
            Err(faults) => {
                assert!(!faults.is_empty());
                shown(&faults.into_iter().filter(|it| &*it.file == "owners.csv").collect::<Vec<_>>(), text);
            }
        }
    });
    vec![target]
}

/// Tests of rules are read, and those that can be are run.
pub(crate) fn test_files() -> Vec<Target> {
    static RULES: OnceLock<Arc<Ruleset>> = OnceLock::new();
    let mut corpus = corpus::texts("tests/golden/test", &[".test.yaml"]);
    corpus.extend(corpus::texts("docs/example-rules.test.yaml", &[".yaml"]));
    let target = Target::of_text("tests-of-rules", Shape::Lines, corpus, |text| {
        let rules = RULES.get_or_init(|| {
            let example = String::from_utf8(corpus::texts("docs/example-rules.yaml", &[".yaml"]).remove(0)).unwrap();
            Arc::new(ruleset::load(&[file("a.yaml", &example)], None, Limits::default()).unwrap().ruleset)
        });
        match rule_test::read(&file("a.test.yaml", text)) {
            Ok((tests, warnings)) => {
                shown(&warnings, text);
                tests.tests.iter().take(3).for_each(|test| drop(rule_test::run(test, rules)));
            }
            Err(faults) => shown(&faults, text),
        }
    });
    vec![target]
}

pub(crate) fn configurations() -> Vec<Target> {
    let mut corpus = corpus::texts("src/config/defaults.yaml", &[".yaml"]);
    corpus.extend(corpus::texts("tests/golden/payloads/generic.yaml", &[".yaml"]));
    let pages: Vec<Vec<u8>> = ["README.md", "docs/receivers.md", "docs/sources", "docs/configuration.md"]
        .iter()
        .flat_map(|place| corpus::texts(place, &[".md"]))
        .flat_map(|page| {
            let page = String::from_utf8(page).unwrap();
            let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.as_bytes().to_vec()));
            blocks.collect::<Vec<_>>()
        })
        .collect();
    corpus.extend(pages);
    let env: BTreeMap<String, String> = [("QUELL_LISTEN".to_owned(), "127.0.0.1:1".to_owned())].into();
    let target = Target::of_text("configuration", Shape::Lines, corpus, move |text| {
        match load_text("quell.yaml", text, &env, &BTreeMap::new()) {
            Ok((config, _)) => assert_eq!(config.listen.port(), 1, "the environment wins over the file"),
            Err(faults) => assert!(!faults.is_empty() && faults.iter().all(|fault| !fault.message.is_empty())),
        }
    });
    vec![target]
}

pub(crate) fn inventories() -> Vec<Target> {
    let corpus = corpus::texts("tests/golden/backtest", &["topology.json", "two-callees.json"]);
    let target = Target::of_text("inventory", Shape::Json, corpus, |text| {
        if let Err(words) = backtest::topology::read(&file("topology.json", text)) {
            assert!(!words.is_empty());
        }
    });
    vec![target]
}

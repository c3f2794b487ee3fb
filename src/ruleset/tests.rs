//! Golden rule files: each `tests/golden/rules/NAME.yaml`, or folder `NAME` of such files, against `NAME.stderr` beside it.
//!
//! `UPDATE_GOLDEN=1 cargo test golden` writes what comes out now; read the difference before you keep it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::model::{Labels, Millis};

/// The receivers that golden files may name.
const RECEIVERS: [&str; 4] = ["dba-pager", "dba-chat", "managers", "default"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rules")
}

fn receivers() -> Vec<Arc<str>> {
    RECEIVERS.map(Arc::from).to_vec()
}

/// The files of a case, named without the way to them.
fn sources(case: &Path) -> Vec<SourceFile> {
    let way = format!("{}/", folder().display());
    let mut files = read_files(&[case.to_owned()]).unwrap();
    for file in &mut files {
        file.name = file.name.replace(&way, "");
    }
    files
}

fn shown(files: &[SourceFile]) -> String {
    let found = match load(files, Some(&receivers()), Limits::default()) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    };
    let text = |d: &Diagnostic| files.iter().find(|file| file.name == *d.file).map_or("", |file| &file.text);
    found.iter().flat_map(|diagnostic| [diagnostic.render(text(diagnostic)), "\n\n".to_owned()]).collect()
}

#[test]
fn golden() {
    let mut cases = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() || path.extension().is_some_and(|end| end == "yaml") {
            cases.insert(path.with_extension("stderr"), shown(&sources(&path)));
        }
    }
    assert!(cases.len() >= 30, "only {} golden cases were found", cases.len());
    let mut wrong = Vec::new();
    for (path, actual) in cases {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected != actual {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- actual\n{actual}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Loads one file that must be good.
fn ruleset(text: &str) -> Ruleset {
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
    load(&files, Some(&receivers()), Limits::default()).unwrap_or_else(|found| panic!("{found:?}")).ruleset
}

/// What a label set finds among the lists of a kind.
fn found(rules: &Ruleset, whose: Listed, labels: &[(&str, &str)]) -> Vec<u32> {
    let mut found = Found::default();
    rules.alert_index.matching(&Labels::from_pairs(labels.iter().copied()).unwrap(), &mut found);
    found.of(whose).collect()
}

#[test]
fn the_good_file_says_what_it_says() {
    let text = fs::read_to_string(folder().join("good.yaml")).unwrap();
    let rules = ruleset(&text);
    assert_ne!(rules.digest, 0);

    let [from_job, lower] = &rules.enrich[..] else { panic!("two enrich rules") };
    assert_eq!(from_job.rule.to_string(), "service-from-job (rules.yaml:3)");
    assert_eq!(from_job.set.iter().map(|(label, _)| &**label).collect::<Vec<_>>(), ["service", "team"]);
    assert!(from_job.set[0].1.uses("capture") && lower.matchers.is_empty());

    let kinds = rules.suppress.iter().map(|rule| match &rule.how {
        SuppressHow::Inhibit { source, equal } => format!("inhibit {} {equal:?}", source[0]),
        SuppressHow::During(_) => "during".to_owned(),
        SuppressHow::Hold(length) => format!("hold {length}"),
        SuppressHow::Flapping(flapping) => format!("flapping {} in {}", flapping.changes, flapping.within),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [r#"inhibit alertname="NodeDown" ["node"]"#, "during", "hold 2m", "flapping 4 in 10m"]);
    assert_eq!(found(&rules, Listed::Suppress, &[("severity", "info"), ("env", "staging")]), [1]);
    assert_eq!(found(&rules, Listed::Target, &[("severity", "info"), ("env", "staging")]), [0]);
    assert_eq!(found(&rules, Listed::Source, &[("alertname", "NodeDown")]), [0]);

    let [database, disks, deploy, heartbeat, default] = &rules.correlate[..] else {
        panic!("four correlate rules and the built-in one")
    };
    assert_eq!(
        (database.window, database.max_age, database.resolve_after),
        (Millis::minutes(10), Millis::hours(4), Millis::minutes(5))
    );
    assert!(database.threshold.is_none() && !database.go_on && disks.go_on);
    let sequence = deploy.sequence.as_ref().unwrap();
    assert_eq!((sequence.steps.len(), sequence.within, sequence.hold), (2, Millis::minutes(15), true));
    assert_eq!(found(&rules, Listed::Step, &[("alertname", "ErrorRateHigh")]), [1]);
    assert_eq!(rules.sequence_steps, [2, 2]);
    assert_eq!((heartbeat.absent, heartbeat.matchers.len()), (Some(Millis::minutes(5)), 1));
    let threshold = disks.threshold.as_ref().unwrap();
    assert_eq!((threshold.count, threshold.distinct.as_deref()), (5, Some("host")));
    assert_eq!((threshold.within, threshold.otherwise), (Millis::minutes(5), Otherwise::Alone));
    assert_eq!((disks.window, disks.max_age, disks.matchers.len()), (Millis::hours(1), Millis::hours(24), 2));
    assert_eq!(default.rule.to_string(), "default (built in)");

    assert_eq!(rules.classify[0].subcategory.as_deref(), Some("replication"));
    assert_eq!((rules.prioritize[0].impact, rules.prioritize[0].urgency), (Some(1), Some(1)));

    let [dba, others] = &rules.escalate[..] else { panic!("two escalate rules") };
    assert_eq!((dba.wait, dba.update, dba.repeat), (Millis::seconds(30), Millis::minutes(5), Some(Millis::hours(4))));
    let steps: Vec<_> = dba.steps.iter().map(|step| (step.after, step.unless_acknowledged, step.notify.len())).collect();
    assert_eq!(steps, [(Millis::seconds(30), false, 2), (Millis::minutes(15), true, 1)]);
    assert_eq!((others.wait, others.repeat, others.resolved, others.go_on), (Millis::ZERO, None, true, false));
}

#[test]
fn what_is_not_said_has_its_default() {
    let rules = ruleset("correlate:\n  - name: a\n    by: [x, y]\nescalate:\n  - name: b\n    steps: [{ notify: [default] }]\n");
    let rule = &rules.correlate[0];
    assert_eq!((rule.window, rule.max_age, rule.resolve_after), (Millis::hours(1), Millis::hours(24), Millis::ZERO));
    assert_eq!(title(rule, &[("x", "1"), ("y", "2")]), "a: 1, 2");
    let rule = &rules.escalate[0];
    assert_eq!((rule.wait, rule.update, rule.repeat, rule.resolved), (Millis::ZERO, Millis::minutes(5), None, true));
}

struct ByScope(Labels);

impl Scope for ByScope {
    fn field(&self, root: &str, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        (root == "by").then(|| self.0.get(name).into())
    }

    fn value(&self) -> minijinja::Value {
        minijinja::Value::UNDEFINED
    }
}

fn title(rule: &CorrelateRule, key: &[(&str, &str)]) -> String {
    rule.title.render(&ByScope(Labels::from_pairs(key.iter().copied()).unwrap())).unwrap()
}

#[test]
fn a_rule_of_a_file_replaces_the_built_in_one_of_its_name() {
    let rules = ruleset("correlate:\n  - name: default\n    by: [host]\nclassify:\n  - name: database\n    team: mine\n");
    assert_eq!(rules.correlate.len(), 1);
    assert_eq!(rules.correlate[0].rule.line, 2);
    assert_eq!(rules.classify.iter().filter(|rule| &*rule.rule.name == "database").count(), 1);
    assert_eq!(rules.classify.len(), Ruleset::built_in().classify.len());
}

#[test]
fn without_files_alerts_group_and_are_categorised() {
    let rules = Ruleset::built_in();
    assert_eq!(rules.digest, 0);
    let [rule] = &rules.correlate[..] else { panic!("one correlate rule") };
    assert_eq!(found(&rules, Listed::Correlate, &[]), [0]);
    assert_eq!(title(rule, &[("alertname", "DiskFull"), ("service", "shop")]), "DiskFull on shop");
    assert_eq!(title(rule, &[("alertname", "DiskFull")]), "DiskFull");
    assert_eq!(title(rule, &[]), "Alert");

    let cases = [
        ("alertname", "PostgresqlReplicationLag", "database", "dba"),
        ("alertname", "NodeFilesystemAlmostOutOfSpace", "storage", "platform"),
        ("alertname", "KubePodCrashLooping", "platform", "platform"),
        ("alertname", "HostHighCpuLoad", "server", "platform"),
        ("alertname", "InstanceDown", "server", "platform"),
        ("alertname", "Watchdog", "monitoring", "observability"),
        ("alertname", "TargetDown", "monitoring", "observability"),
        ("alertname", "HighErrorRate", "application", "application"),
        ("alertname", "BGPSessionDown", "network", "network"),
        ("alertname", "SSLCertificateExpiresSoon", "platform", "platform"),
        ("service", "orders-db", "database", "dba"),
        ("job", "payment-gateway", "network", "network"),
        ("alertname", "Something", "", ""),
    ];
    for (label, value, category, team) in cases {
        let mut found = Vec::new();
        rules.classify_index.matching(&Labels::from_pairs([(label, value)]).unwrap(), &mut found);
        let first = found.first().map(|number| &rules.classify[*number as usize]);
        let named = first.map_or(("", ""), |rule| (rule.category.as_deref().unwrap(), rule.team.as_deref().unwrap()));
        assert_eq!(named, (category, team), "{label}={value}");
    }
    let mut names: Vec<_> = rules.classify.iter().map(|rule| rule.rule.name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), rules.classify.len());
}

#[test]
fn limits_are_faults_and_the_digest_tells_files_apart() {
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
    let limits = Limits { rules_max: 2, file_bytes_max: 60, name_bytes_max: 5, table_rows_max: 1 };
    let codes = |files: &[SourceFile]| match load(files, None, limits) {
        Ok(loaded) => loaded.warnings.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(),
        Err(found) => found.iter().map(|d| d.code.as_str()).collect(),
    };
    let two = "classify:\n- { name: a, team: t }\n- { name: b, category: t }\n";
    assert_eq!(codes(&[file("a", two)]), [""; 0]);
    assert_eq!(codes(&[file("a", two), file("b", "prioritize:\n- { name: a, impact: 1 }\n")]), ["Q0002"]);
    assert_eq!(codes(&[file("a", &format!("{two}# longer"))]), ["Q0002"]);
    assert_eq!(codes(&[file("a", "classify:\n- { name: abcdef, team: t }\n")]), ["Q0016"]);

    let digest = |name: &str, text: &str| load(&[file(name, text)], None, limits).unwrap().ruleset.digest;
    assert_eq!(digest("a", two), digest("a", two));
    assert_ne!(digest("a", two), digest("b", two));
    assert_ne!(digest("a", two), digest("a", &two.replace("name: a", "name: c")));
}

#[test]
fn decisions_name_files_as_they_are_below_the_folder() {
    let text = "enrich:\n- { name: a, set: { t: x } }\nclassify:\n- { name: b, team: t }\nescalate:\n- { name: c, steps: [{ notify: [p] }] }\n";
    let cases = [
        ("/etc/quell/rules/teams/dba.yaml", "/etc/quell/rules", "teams/dba.yaml"),
        ("rules/dba.yaml", "rules/", "dba.yaml"),
        ("./dba.yaml", ".", "dba.yaml"),
        ("/etc/quell/one.yaml", "/etc/quell/one.yaml", "one.yaml"),
        ("/elsewhere/dba.yaml", "/etc/quell/rules", "/elsewhere/dba.yaml"),
    ];
    for (file, below, expected) in cases {
        let files = [SourceFile { name: file.to_owned(), text: text.to_owned() }];
        let mut rules = load(&files, None, Limits::default()).unwrap().ruleset;
        rules.name_files_below(Path::new(below));
        let named = [&rules.enrich[0].rule, &rules.classify[0].rule, &rules.escalate[0].rule].map(|rule| rule.file.to_string());
        assert_eq!(named, [expected; 3], "{file} below {below}");
        assert_eq!(&*rules.correlate.last().unwrap().rule.file, "", "a built-in rule has no file");
        assert_eq!(rules.len_in_files(), 3);
    }
}

#[test]
fn a_thousand_faults_are_not_all_shown() {
    let text = format!("correlate:\n{}", "  - x: 1\n".repeat(1_000));
    let files = [SourceFile { name: "a".to_owned(), text }];
    let found = load(&files, None, Limits::default()).unwrap_err();
    assert_eq!(found.len(), 201);
    assert!(found.iter().any(|d| d.message == "there are 1800 more faults in this file"));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    /// Files that are nearly right: the good one with pieces cut out, doubled or exchanged.
    #[test]
    fn any_damage_to_a_good_file_is_answered(cuts in proptest::collection::vec((0usize..2_000, 0usize..40, "[-a:\\[\\]{}&*'\"% \n]{0,4}"), 1..4)) {
        let mut text = fs::read_to_string(folder().join("good.yaml")).unwrap();
        for (at, length, piece) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &piece);
        }
        let files = [SourceFile { name: "a".to_owned(), text }];
        shown(&files);
    }
}

/// Whoever sends an alert chooses its values, and whoever writes rules is not always careful: an expression either does not load,
/// or takes a time that grows with the value alone. A matcher that tries one way after the other would not come back from the
/// first of these before the sun has burnt out, so that it is enough that this ends.
#[test]
fn hostile_expressions_are_refused_or_run_through_a_value_once() {
    let words: Vec<String> = (0..10_000).map(|n| format!("w{n}")).collect();
    let captures: Vec<String> = (0..100).map(|n| format!("(?P<c{n}>a*)")).collect();
    let (words, long) = (words.join("|"), "a".repeat(1_000_000));
    let refused = ["(a{1000}){1000}", "((((a{50}){50}){50}){50})", &long];
    for pattern in refused {
        let text = format!("correlate:\n- {{ name: bomb, match: ['host=~\"{pattern}\"'] }}\n");
        let files = [SourceFile { name: "rules.yaml".to_owned(), text }];
        let found = load(&files, Some(&receivers()), Limits::default()).expect_err("refused");
        let shown = found[0].render("");
        assert!(found.len() == 1 && shown.len() < 10_000, "{} bytes of {} faults", shown.len(), found.len());
    }
    let hits = [
        "(a+)+x",
        "(a|aa)+x",
        "(a|a?)+x",
        "(.*a){12}x",
        "(a*)*x",
        "([a-z]+)*",
        "(((a+)+)+)+x",
        &format!("{}x", captures.concat()),
    ];
    let misses = ["(a+)+", "(a|aa)+", "(.*a){12}", "(a*)*b", "(x+x+)+y", "([a-w]+)*", "(((a+)+)+)+", &words];
    let text: String = (0..).zip(hits.iter().chain(&misses)).fold("correlate:\n".to_owned(), |text, (n, pattern)| {
        text + &format!("- {{ name: bomb{n}, match: ['host=~\"{pattern}\"'], continue: true }}\n")
    });
    let rules = ruleset(&text);
    let value = format!("{}x", "a".repeat(1_023));
    let expected: Vec<u32> = (0..u32::try_from(hits.len()).unwrap()).collect();
    let default = u32::try_from(hits.len() + misses.len()).unwrap();
    assert_eq!(found(&rules, Listed::Correlate, &[("host", &value)]), [&expected[..], &[default]].concat());
    // Each alone, too, as a condition that no index stands before.
    for (position, rule) in rules.correlate.iter().enumerate().take(hits.len() + misses.len()) {
        assert_eq!(rule.matchers[0].matches_value(&value), position < hits.len(), "{}", rule.matchers[0]);
    }
}

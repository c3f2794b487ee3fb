//! What the engine is told of a test's alerts, and that any text is answered. What people see of results stands in the
//! golden files of `quell test`.

use super::read::read;
use super::run::told;
use super::*;

fn file(text: &str) -> TestFile {
    let source = SourceFile { name: "a.test.yaml".to_owned(), text: text.to_owned() };
    read(&source).unwrap_or_else(|found| panic!("{found:#?}")).0
}

/// What the engine hears in a test with these alerts.
fn heard(alerts: &str) -> String {
    let text = format!("tests: [{{ name: a, alerts: [{alerts}], expect: [{{ at: 0s, incidents: [] }}] }}]\n");
    told(&file(&text).tests[0]).join(", ")
}

#[test]
fn repeats_end_before_the_engine_and_silence_ends_an_alert() {
    let cases = [
        // A day of it is one input.
        ("{ at: 0s, labels: { a: b } }, { at: 1d, resolve: { a: b } }", "fires 0s, resolves 1d"),
        ("{ at: 0s, labels: { a: b } }, { at: 1h, labels: { a: b } }", "fires 0s"),
        // Sent last before it stopped, at a full minute after its beginning.
        ("{ at: 0s, labels: { a: b } }, { at: 2m, stop: { a: b } }", "fires 0s, expires 6m"),
        ("{ at: 10s, labels: { a: b } }, { at: 2m11s, stop: { a: b } }", "fires 10s, expires 7m10s"),
        ("{ at: 0s, labels: { a: b } }, { at: 0s, stop: { a: b } }", "fires 0s, expires 5m"),
        // Heard of again in time, and too late.
        ("{ at: 0s, labels: { a: b } }, { at: 1m, stop: { a: b } }, { at: 4m, labels: { a: b } }", "fires 0s"),
        (
            "{ at: 0s, labels: { a: b } }, { at: 1m, stop: { a: b } }, { at: 5m, labels: { a: b } }",
            "fires 0s, expires 5m, fires 5m",
        ),
        ("{ at: 0s, labels: { a: b } }, { at: 1m, stop: { a: b } }, { at: 2m, resolve: { a: b } }", "fires 0s, resolves 2m"),
        ("{ at: 0s, labels: { a: b } }, { at: 1m, stop: { a: b } }, { at: 9m, resolve: { a: b } }", "fires 0s, expires 5m"),
        // In order of time, whatever the order in the file.
        (
            "{ at: 2m, resolve: { a: b } }, { at: 0s, labels: { a: b } }, { at: 1m, labels: { a: c } }",
            "fires 0s, fires 1m, resolves 2m",
        ),
    ];
    for (alerts, expected) in cases {
        assert_eq!(heard(alerts), expected, "{alerts}");
    }
}

#[test]
fn rules_are_seen_from_the_test_file() {
    let rules = |name: &str, text: &str| {
        let source = SourceFile { name: name.to_owned(), text: format!("{text}tests: []\n") };
        read(&source).unwrap().0.rules()
    };
    let cases = [
        ("rules/db.test.yaml", "", "rules"),
        ("db.test.yaml", "", "."),
        ("db.test.yaml", "rules: [db.yaml]\n", "db.yaml"),
        ("rules/db.test.yaml", "rules: [db.yaml]\n", "rules/db.yaml"),
        ("rules/db.test.yaml", "rules: [/etc/db.yaml]\n", "/etc/db.yaml"),
    ];
    for (name, text, expected) in cases {
        assert_eq!(rules(name, text), [PathBuf::from(expected)], "{name}: {text}");
    }
}

#[test]
fn an_expectation_holds_a_thousand_incidents_at_most() {
    let text = |count: usize| {
        let text = format!("tests: [{{ name: a, expect: [{{ at: 0s, suppressed: [{}] }}] }}]", "{ kind: hold }, ".repeat(count));
        SourceFile { name: "a".to_owned(), text }
    };
    let (good, _) = read(&text(1_000)).unwrap();
    assert_eq!(read(&text(1_001)).unwrap_err()[0].code, Code::Limit);
    // And so many that are not met are compared without harm.
    let rules = Arc::new(crate::ruleset::Ruleset::built_in());
    let differences = &run(&good.tests[0], &rules)[0].differences;
    assert_eq!((differences.len(), differences[20].got.as_str()), (21, "980 more"));
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(48))]

    /// Files that are nearly right: a good one with pieces cut out, doubled or exchanged.
    #[test]
    fn any_damage_to_a_good_file_is_answered(cuts in proptest::collection::vec((0usize..4_000, 0usize..40, "[-a:\\[\\]{}&*'\"% \n]{0,4}"), 1..4)) {
        let good = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/test/good.test.yaml");
        let mut text = std::fs::read_to_string(good).unwrap();
        for (at, length, piece) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &piece);
        }
        let source = SourceFile { name: "a".to_owned(), text };
        if let Err(found) = read(&source) {
            proptest::prop_assert!(found.iter().all(|diagnostic| !diagnostic.render(&source.text).is_empty()));
        }
    }
}

//! Rules against recorded alerts, and what must not be warned of. The wording of warnings is held by the golden files.

use std::sync::Arc;

use super::lint_recorded;
use crate::model::{Alert, Labels, MatchOp, Matcher, Time};
use crate::ruleset::{Diagnostic, Limits, Loaded, SourceFile, load};

fn loaded(text: &str) -> (Loaded, Vec<SourceFile>) {
    let files = vec![SourceFile { name: "a.yaml".to_owned(), text: text.to_owned() }];
    (load(&files, None, Limits::default()).unwrap_or_else(|found| panic!("{text}: {found:?}")), files)
}

fn alert(pairs: &[(&str, &str)]) -> Arc<Alert> {
    let labels = Labels::from_pairs(pairs.iter().copied()).unwrap();
    Arc::new(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "test".into(),
        starts_at: Time(0),
    })
}

/// Code, line and what is said, of each.
fn shown(found: &[Diagnostic]) -> Vec<String> {
    found.iter().map(|it| format!("{}:{} {}", it.code.as_str(), it.line, it.message)).collect()
}

#[test]
fn recorded_alerts_show_what_rules_go_by_in_vain() {
    let alerts = [
        alert(&[("alertname", "Lag"), ("cluster", "eu"), ("percent", "97")]),
        alert(&[("alertname", "Lag"), ("cluster", "us"), ("percent", "much")]),
        alert(&[("alertname", "NodeDown"), ("node", "a")]),
    ];
    let cases: &[(&str, &[&str])] = &[
        ("correlate:\n- { name: r, match: ['alertname=\"Lag\"'], by: [cluster] }\n", &[]),
        (
            "correlate:\n- { name: r, match: ['alertname=\"Lag\"'], by: [cluster, hsot] }\n",
            &["Q0107:2 the rule `r` goes by `hsot` (`by`), which all of the 2 recorded alerts that it matches lack"],
        ),
        ("correlate:\n- { name: r, match: ['alertname=\"Other\"'], by: [hsot] }\n", &[]),
        // Enrichment comes first.
        (
            "enrich:\n- { name: e, match: ['cluster!=\"\"'], set: { host: \"{{ labels.cluster }}\" } }\ncorrelate:\n- { name: r, match: ['alertname=\"Lag\"'], by: [host] }\n",
            &[],
        ),
        (
            "correlate:\n- { name: r, by: [alertname], threshold: { count: 2, distinct: host, within: 5m } }\n",
            &[
                "Q0107:2 the rule `r` goes by `host` (`threshold.distinct`), which all of the 3 recorded alerts that it matches lack",
            ],
        ),
        (
            "correlate:\n- { name: r, match: ['alertname=\"NodeDown\"'], topology: { hops: 1, within: 5m } }\n",
            &["Q0107:2 the rule `r` goes by `service` (`topology`), which the one recorded alert that it matches lacks"],
        ),
        (
            "suppress:\n- name: s\n  inhibit: { source: ['alertname=\"NodeDown\"'], target: ['alertname=\"Lag\"'], equal: [node] }\n",
            &["Q0107:2 the rule `s` goes by `node` (`equal`), which its recorded sources have and its targets lack"],
        ),
        // A label that both sides lack agrees.
        (
            "suppress:\n- name: s\n  inhibit: { source: ['alertname=\"NodeDown\"'], target: ['alertname=\"Lag\"'], equal: [zone] }\n",
            &[],
        ),
        // One finding for each template, at the first alert that it fails on.
        (
            "enrich:\n- { name: e, match: ['percent=~\".+\"'], set: { full: \"{{ labels.percent | int > 95 }}\" } }\n",
            &[
                "Q0112:2 the template of `full` of the rule `e` fails on an alert {alertname=\"Lag\", cluster=\"us\", percent=\"much\"}: invalid operation: invalid float literal",
            ],
        ),
    ];
    for (text, expected) in cases {
        let (loaded, files) = loaded(text);
        assert_eq!(shown(&loaded.warnings), [""; 0], "{text}");
        assert_eq!(shown(&lint_recorded(&loaded.ruleset, &files, &alerts)), *expected, "{text}");
        assert_eq!(shown(&lint_recorded(&loaded.ruleset, &files, &[])), [""; 0], "{text}");
    }
}

#[test]
fn thousands_of_rules_are_compared_with_their_neighbours_only() {
    let rule = |n: usize| format!("- {{ name: r{n}, match: ['alertname=\"A{n}\"', 'env!=\"dev\"'], by: [x] }}\n");
    let text = format!(
        "correlate:\n{}{}",
        (0..3_000).map(rule).collect::<String>(),
        "- { name: last, match: ['alertname=\"A77\"', 'env=\"prod\"'] }\n"
    );
    let (loaded, _) = loaded(&text);
    assert_eq!(
        shown(&loaded.warnings),
        ["Q0102:3002 the rule `last` is never reached: `r77` takes all that it could match before it"]
    );
}

/// Row 55 of the promises: an expression is refused when it is made, or runs in time linear in the text. There is no third.
#[test]
fn expressions_that_would_explode_are_refused_or_are_linear() {
    let ten_thousand = (0..10_000).map(|n| format!("host-{n}")).collect::<Vec<_>>().join("|");
    let megabyte = "a".repeat(1 << 20);
    let captures = "(a)".repeat(2_000);
    let cases: [(&str, &str, bool); 8] = [
        ("nested repeats", "(a+)+$", true),
        ("alternatives that overlap", "(a|a)*b", true),
        ("repeats of repeats", "(a{1000}){1000}", false),
        ("repeats of many words", "(\\w{500}){500}", false),
        ("a megabyte", &megabyte, false),
        ("ten thousand words", &ten_thousand, false),
        ("two thousand groups", &captures, true),
        ("deep nesting", &format!("{}a{}", "(".repeat(100), ")".repeat(100)), false),
    ];
    // What backtracking would take years for, and what takes one step for each byte here.
    let bait = "a".repeat(1_000);
    for (what, pattern, is_made) in cases {
        match Matcher::new("x", MatchOp::Matches, pattern) {
            Ok(matcher) => {
                assert!(is_made, "{what} should be refused");
                assert_eq!(matcher.matches_value(&bait), pattern == "(a+)+$", "{what}");
            }
            Err(why) => assert!(!is_made && (why.contains("size limit") || why.contains("nested")), "{what}: {why}"),
        }
    }
}

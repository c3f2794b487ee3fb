//! Rules on few events, held against other rules on the same ones.

use std::sync::Arc;

use super::*;
use crate::engine::News;
use crate::model::{Alert, AlertStatus, IncidentId, Labels, Millis};
use crate::ruleset::{self, SourceFile};

const START: Time = Time(1_767_571_200_000);

fn rules(correlate: &str) -> Arc<Ruleset> {
    let text = format!(
        "correlate: [{correlate}]\nescalate: [{{ name: all, steps: [{{ notify: [chat] }}, {{ after: 2h, notify: [boss] }}] }}]\n"
    );
    let files = [SourceFile { name: "rules.yaml".to_owned(), text }];
    Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset)
}

/// Five alerts, a minute apart, each on a host and in a cluster; the first ends and comes back in the tenth minute.
fn play(correlate: &str, from: Time) -> Outcome {
    let mut run = Run::new(&rules(correlate), &Site::default(), START, from);
    let hosts = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "z")];
    let alert = |(cluster, host): (&str, &str)| {
        let labels = Labels::from_pairs([("alertname", "Down"), ("cluster", cluster), ("host", host)]).unwrap();
        Arc::new(Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::default(),
            generator_url: "".into(),
            source: "test".into(),
            starts_at: START,
        })
    };
    let mut say = |minute: i64, on: (&str, &str), status: AlertStatus| {
        let at = START + Millis::minutes(minute);
        let ends_at = (status == AlertStatus::Resolved).then_some(at);
        run.input(at, Input::Alert(News { alert: alert(on), status, ends_at, lasts: None }));
    };
    for (minute, on) in (0..).zip(hosts) {
        say(minute, on, AlertStatus::Firing);
    }
    say(9, hosts[0], AlertStatus::Resolved);
    say(10, hosts[0], AlertStatus::Firing);
    run.advance(START + Millis::hours(1));
    run.finish()
}

const BY_CLUSTER: &str = "{ name: r, by: [cluster] }";
const BY_BOTH: &str = "{ name: r, by: [cluster, host] }";
const BY_HOST: &str = "{ name: r, by: [host] }";
const NONE_OF_C: &str = "{ name: drop, match: ['cluster=\"c\"'], threshold: { count: 9, within: 1m, otherwise: drop } }, \
                         { name: r, by: [cluster] }";
const FIRST_ONLY_OF_A: &str =
    "{ name: drop, match: ['host=\"y\"'], threshold: { count: 9, within: 1m, otherwise: drop } }, { name: r, by: [cluster] }";

#[test]
fn what_differs_is_named_from_both_sides() {
    type Pairs = &'static [(u64, &'static [u64])];
    struct Case {
        baseline: &'static str,
        new: &'static str,
        same: usize,
        gained: &'static [u64],
        lost: &'static [u64],
        merged: Pairs,
        split: Pairs,
        changed: &'static [(u64, u64)],
    }
    let nothing =
        Case { baseline: BY_CLUSTER, new: BY_CLUSTER, same: 3, gained: &[], lost: &[], merged: &[], split: &[], changed: &[] };
    let cases = [
        Case { new: BY_BOTH, same: 1, split: &[(1, &[1, 2]), (2, &[3, 4])], ..nothing },
        Case { baseline: BY_BOTH, same: 1, merged: &[(1, &[1, 2]), (2, &[3, 4])], ..nothing },
        // Clusters a and b each have both hosts: everything is taken apart and put together otherwise.
        Case { new: BY_HOST, same: 1, merged: &[(1, &[1, 2]), (2, &[1, 2])], split: &[(1, &[1, 2]), (2, &[1, 2])], ..nothing },
        Case { new: NONE_OF_C, same: 2, lost: &[3], ..nothing },
        Case { baseline: NONE_OF_C, same: 2, gained: &[3], ..nothing },
        Case { new: FIRST_ONLY_OF_A, same: 1, changed: &[(1, 1), (2, 2)], ..nothing },
        nothing,
    ];
    let ids = |ids: &[u64]| ids.iter().map(|id| IncidentId(*id)).collect::<Vec<_>>();
    let pairs = |pairs: Pairs| pairs.iter().map(|(id, of)| (IncidentId(*id), ids(of))).collect::<Vec<_>>();
    for case in cases {
        let expected = Comparison {
            same: case.same,
            gained: ids(case.gained),
            lost: ids(case.lost),
            merged: pairs(case.merged),
            split: pairs(case.split),
            changed: case.changed.iter().map(|(before, now)| (IncidentId(*before), IncidentId(*now))).collect(),
        };
        let found = compare(&play(case.baseline, START), &play(case.new, START));
        assert_eq!(found, expected, "{} against {}", case.new, case.baseline);
    }
}

#[test]
fn what_comes_back_is_an_occurrence_of_its_incident() {
    let outcome = play(BY_CLUSTER, START);
    assert_eq!(outcome.occurrences.len(), 6);
    assert_eq!(outcome.incidents[&IncidentId(1)].occurrences, [0, 1, 5]);
    assert_eq!(outcome.pages, [(Arc::from("chat"), 3)].into(), "nobody has waited for two hours");
}

#[test]
fn what_began_before_is_played_and_not_counted() {
    let outcome = play(BY_CLUSTER, START + Millis::minutes(3));
    assert_eq!(outcome.occurrences.len(), 3);
    let incidents: Vec<u64> = outcome.incidents.keys().map(|id| id.0).collect();
    assert_eq!(incidents, [1, 2, 3], "the first incidents are there, with what came later");
    assert_eq!(outcome.pages, [(Arc::from("chat"), 1)].into());
}

#[test]
fn an_assignment_is_the_first_one_and_has_its_place() {
    let mut out = Vec::new();
    assignments::write(&play(NONE_OF_C, START), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let line = |number: usize| serde_json::from_str::<serde_json::Value>(text.lines().nth(number).unwrap()).unwrap();
    assert_eq!(text.lines().count(), 5, "an alert that comes back with the same beginning is one");
    assert_eq!((&line(1)["incident"], &line(1)["rank"]), (&"INC-1".into(), &2.into()));
    assert_eq!(line(1)["openedAt"], "2026-01-05T00:00:00.000Z");
    assert_eq!(line(4)["incident"], serde_json::Value::Null);
}

#[test]
fn an_inventory_becomes_entries_of_the_catalogue() {
    let file = |text: &str| SourceFile { name: "topology.json".to_owned(), text: text.to_owned() };
    let cases = [
        (
            r#"{"services":{"cart":{"tier":1,"team":"shop","kind":"core","dependsOn":[{"service":"cart-db","hard":true}]},"cart-db":{}}}"#,
            Ok(r#"{"services":[{"depends_on":["cart-db"],"name":"cart","team":"shop","tier":1},{"name":"cart-db"}]}"#),
        ),
        // In a cluster it calls what is there, else what is in the region, else any.
        (
            r#"{"clusters":{"eu1":{"region":"eu"},"eu2":{"region":"eu"},"us1":{"region":"us"}},"racks":{"h1":"r1"},"services":{"db":{"clusters":["eu1"]},"web":{"clusters":["eu1","eu2","us1"],"pods":{"eu2":[{"pod":"web-0","host":"h1"}]},"dependsOn":[{"service":"db"},{"service":"mail"}]}}}"#,
            Ok(concat!(
                r#"{"services":[{"name":"db"},{"depends_on":["db","mail"],"name":"web"},{"name":"db@eu1"},"#,
                r#"{"depends_on":["db@eu1","mail"],"name":"web@eu1"},{"depends_on":["db@eu1","h1","mail"],"name":"web@eu2"},"#,
                r#"{"depends_on":["db@eu1","mail"],"name":"web@us1"},{"depends_on":["db@eu1"],"name":"db@eu"},"#,
                r#"{"depends_on":["web@eu1","web@eu2"],"name":"web@eu"},{"depends_on":["web@us1"],"name":"web@us"},"#,
                r#"{"depends_on":["r1"],"name":"h1"},{"depends_on":["rack/r1"],"name":"host/h1"}]}"#,
            )),
        ),
        // What is somebody else's is a cause of its own, of which the services know, and not each of their clusters.
        (
            r#"{"externals":["psp"],"services":{"pay":{"clusters":["eu1"],"dependsOn":[{"service":"psp"}]}}}"#,
            Ok(concat!(
                r#"{"services":[{"depends_on":["external/psp"],"name":"pay"},"#,
                r#"{"depends_on":["psp"],"name":"pay@eu1"}]}"#,
            )),
        ),
        (r#"{"services":{}}"#, Ok("")),
        (
            r#"{"services":{},"maintenance":[{"from":"soon","to":"2026-01-05T01:00:00Z","hosts":["h1"]}]}"#,
            Err("topology.json: maintenance: \"soon\" is no RFC 3339 time"),
        ),
        ("{}", Err("topology.json: missing field `services` at line 1 column 2")),
    ];
    for (text, expected) in cases {
        let read = topology::read(&file(text)).map(|read| read.rules.text);
        assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
        if let Some(text) = expected.ok().filter(|text| !text.is_empty()) {
            assert!(ruleset::load(&[file(text)], None, ruleset::Limits::default()).is_ok(), "{text}");
        }
    }
}

#[test]
fn planned_maintenance_is_silent_and_a_while_longer() {
    let text =
        r#"{"services":{},"maintenance":[{"from":"2026-01-05T00:00:00Z","to":"2026-01-05T01:00:00Z","hosts":["h.1","h2"]}]}"#;
    let read = topology::read(&SourceFile { name: "topology.json".to_owned(), text: text.to_owned() }).unwrap();
    let covers = |node: &str| read.silences[0].matches(&Labels::from_pairs([("node", node)]).unwrap());
    assert_eq!((covers("h.1"), covers("h2"), covers("h01"), covers("")), (true, true, false, false));
    assert_eq!(read.silences[0].ends_at, START + Millis::minutes(65));
    let site = Site { silences: read.silences, ..Site::default() };
    let mut run = Run::new(&rules(BY_HOST), &site, START, START);
    let labels = Labels::from_pairs([("alertname", "Down"), ("node", "h2"), ("host", "x")]).unwrap();
    let alert = Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "test".into(),
        starts_at: START,
    };
    let news = News { alert: Arc::new(alert), status: AlertStatus::Firing, ends_at: None, lasts: None };
    run.input(START + Millis::minutes(30), Input::Alert(news));
    run.advance(START + Millis::minutes(64));
    assert!(run.player.state().incidents().next().is_none(), "nobody hears of it");
    run.advance(START + Millis::minutes(65));
    assert!(run.player.state().incidents().next().is_some(), "what goes on is heard of");
}

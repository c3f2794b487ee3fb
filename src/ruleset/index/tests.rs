use super::expressions::{KNOWN_BYTES_MAX, KNOWN_MAX};
use super::*;
use crate::ruleset::matchers::parse_matchers;
use proptest::prelude::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn index(lists: &[&str]) -> MatcherIndex {
    let mut index = MatcherIndex::default();
    for (number, text) in (0..).zip(lists) {
        index.insert(number, &parse_matchers(text).unwrap());
    }
    index
}

fn found(index: &MatcherIndex, pairs: &[(&str, &str)]) -> Vec<u32> {
    let mut found = vec![99];
    index.matching(&labels(pairs), &mut found);
    found
}

#[test]
fn each_kind_of_list_is_found() {
    let index = index(&[
        "",
        r#"a="1""#,
        r#"a="1",b="2""#,
        r#"a=~"1|2",b=~"(2|3)""#,
        r#"a=~"1.*""#,
        r#"a=~".*""#,
        r#"a="""#,
        r#"a!="1""#,
        r#"a!~"1|2""#,
        r#"a="1",b="""#,
        r#"a=~"1|""#,
        r#"a=~"x\.y",b="2""#,
        r#"a="1",a="2""#,
    ]);
    assert_eq!(found(&index, &[]), [0, 5, 6, 7, 8, 10]);
    assert_eq!(found(&index, &[("a", "1")]), [0, 1, 4, 5, 9, 10]);
    assert_eq!(found(&index, &[("a", "1"), ("b", "2")]), [0, 1, 2, 3, 4, 5, 10]);
    assert_eq!(found(&index, &[("a", "2"), ("b", "3")]), [0, 3, 5, 7]);
    assert_eq!(found(&index, &[("a", "x.y"), ("b", "2")]), [0, 5, 7, 8, 11]);
}

#[test]
fn where_lists_stand() {
    let index = index(&["", r#"a="1""#, r#"a="1",b!="2",c="3""#, r#"a=~"1|2|3""#, r#"a=~"1+",b!="""#, r#"a!="1",b="""#]);
    let places: Vec<String> = (0..6).map(|n| format!("{:?}", index.lists[&n].place)).collect();
    let kinds: Vec<&str> = places.iter().map(|p| p.split('(').next().unwrap()).collect();
    assert_eq!(kinds, ["All", "Ones", "Pairs", "Ones", "Expression", "Rest"]);
}

#[test]
fn a_common_label_does_not_drag_all_rules_in() {
    let lists: Vec<String> = (0..500).map(|n| format!(r#"env="prod",team="t",service="s{}",check="c{n}""#, n % 5)).collect();
    let index = index(&lists.iter().map(String::as_str).collect::<Vec<_>>());
    let mut candidates = Vec::new();
    index.candidates(&labels(&[("env", "prod"), ("team", "t"), ("service", "s1"), ("check", "none")]), &mut candidates);
    assert!(candidates.len() <= 10, "{} candidates", candidates.len());
}

#[test]
fn common_values_beside_an_expression_do_not_drag_all_rules_in() {
    for common in [r#"severity="critical""#, r#"severity="critical",env="prod""#] {
        let lists: Vec<String> = (0..200).map(|n| format!(r#"{common},alertname=~"Rule{n}x.*""#)).collect();
        let index = index(&lists.iter().map(String::as_str).collect::<Vec<_>>());
        let alert = labels(&[("severity", "critical"), ("env", "prod"), ("alertname", "Rule150xy")]);
        let mut candidates = Vec::new();
        index.candidates(&alert, &mut candidates);
        assert_eq!(candidates, [150], "the first ones have left the common values, too");
        index.matching(&alert, &mut candidates);
        assert_eq!(candidates, [150]);
    }
}

#[test]
fn literal_alternations_are_told_from_expressions() {
    let cases: [(&str, Option<&[&str]>); 12] = [
        ("a", Some(&["a"])),
        ("b|a|b", Some(&["a", "b"])),
        ("(a|b)", Some(&["a", "b"])),
        ("(?:a|b)", Some(&["a", "b"])),
        (r"a\.b|c-d", Some(&["a.b", "c-d"])),
        ("a|", Some(&["", "a"])),
        ("(?i)a", None),
        ("(?P<x>a)", None),
        ("(a)(b)", None),
        (r"\d", None),
        (r"\<a", None),
        ("a.b", None),
    ];
    for (pattern, expected) in cases {
        let expected = expected.map(|values| values.iter().map(|v| (*v).to_owned()).collect());
        assert_eq!(literals(pattern), expected, "{pattern}");
    }
}

#[test]
fn expressions_for_a_few_texts_are_told_from_others() {
    let sixteen: Vec<String> = "abcdefghijklmnop".chars().map(|c| format!("x{c}")).collect();
    let sixteen: Vec<&str> = sixteen.iter().map(String::as_str).collect();
    let cases: [(&str, Option<&[&str]>); 15] = [
        ("web-(1|2)", Some(&["web-1", "web-2"])),
        ("(?P<kind>web|db)-[12]", Some(&["db-1", "db-2", "web-1", "web-2"])),
        ("a.?", None),
        ("ab?", Some(&["a", "ab"])),
        ("(?i)ab", Some(&["AB", "Ab", "aB", "ab"])),
        ("(a|b)(c|d)é", Some(&["acé", "adé", "bcé", "bdé"])),
        ("(|a)", Some(&["", "a"])),
        ("x[a-p]", Some(&sixteen)),
        ("x[a-q]", None),
        ("[ab]{5}", None),
        ("^a$", None),
        (r"a\b", None),
        ("a+", None),
        ("(a|b+)", None),
        (r"\d", None),
    ];
    for (pattern, expected) in cases {
        let expected = expected.map(|values| values.iter().map(|v| (*v).to_owned()).collect());
        assert_eq!(few_texts(pattern), expected, "{pattern}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let mut index = index(&["", r#"a="1""#, r#"a="1",b="2""#, r#"a=~"x.*""#, r#"a=~"y.*""#, r#"a!="1""#, r#"a="1""#]);
    (0..7).for_each(|number| index.remove(number));
    index.remove(7);
    assert_eq!(format!("{index:?}"), format!("{:?}", MatcherIndex::default()));
}

#[test]
fn many_expressions_over_one_label_and_many_labels() {
    let lists: Vec<String> = (0..1_500).map(|n| format!(r#"a=~"v{n}(x|y)+""#)).collect();
    let index = index(&lists.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(found(&index, &[("a", "v1400xy")]), [1_400]);
    let mut pairs: Vec<(String, String)> = (0..100).map(|n| (format!("n{n}"), "v".to_owned())).collect();
    pairs.push(("a".to_owned(), "v3x".to_owned()));
    let wide: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(found(&index, &wide), [3]);
}

#[test]
fn what_is_remembered_of_a_value_is_what_would_be_found_anew() {
    let mut index = index(&[r#"a=~"x.*""#, r#"a=~"x.*",a!~".*z""#, r#"a=~"x.*",b="1""#, r#"a=~"x.*",b!="2""#]);
    for _ in 0..2 {
        assert_eq!(found(&index, &[("a", "xy")]), [0, 1, 3]);
        assert_eq!(found(&index, &[("a", "xy"), ("b", "1")]), [0, 1, 2, 3]);
        assert_eq!(found(&index, &[("a", "xz"), ("b", "2")]), [0]);
        assert_eq!(found(&index, &[("a", "y")]), [0; 0]);
    }
    index.insert(1, &parse_matchers(r#"a=~".*y""#).unwrap());
    index.remove(0);
    assert_eq!(found(&index, &[("a", "xy")]), [1, 3]);
    assert_eq!(found(&index, &[("a", "y")]), [1]);
    for n in 0..=KNOWN_MAX {
        assert_eq!(found(&index, &[("a", &format!("x{n}"))]), [3]);
    }
    assert_eq!(found(&index, &[("a", &"x".repeat(KNOWN_BYTES_MAX + 1))]), [3]);
    let known = index.labels["a"].expressions.known();
    assert!(known.len() <= KNOWN_MAX && known.iter().all(|value| value.len() <= KNOWN_BYTES_MAX), "{}", known.len());
}

/// Row by row what silences do all day: what is there already is not built anew for one more, or one less.
#[test]
fn one_more_expression_leaves_the_others_built() {
    let list = |n: u32| parse_matchers(&format!(r#"a=~"v{n}(x|y)+""#)).unwrap();
    let mut index = MatcherIndex::default();
    (0..1_500).for_each(|n| index.insert(n, &list(n)));
    let sizes = |index: &MatcherIndex| index.labels["a"].expressions.sets().iter().map(|(size, _)| *size).collect::<Vec<_>>();
    assert_eq!(sizes(&index), [1_024, 256, 128, 64, 16, 8, 4]);
    assert_eq!(found(&index, &[("a", "v1400xy")]), [1_400]);
    assert!(index.labels["a"].expressions.sets().iter().all(|(_, built)| *built));
    index.insert(1_500, &list(1_500));
    index.remove(3);
    assert_eq!(index.labels["a"].expressions.sets()[..7], [1_024, 256, 128, 64, 16, 8, 4].map(|size| (size, true)));
    assert_eq!(found(&index, &[("a", "v1500x")]), [1_500]);
    assert_eq!(found(&index, &[("a", "v3x")]), [0; 0]);
    // Holes are filled before they are more than what is there.
    (0..1_000).for_each(|n| index.remove(n));
    assert!(sizes(&index).iter().sum::<usize>() < 1_100, "{:?}", sizes(&index));
    (1_000..1_501).for_each(|n| assert_eq!(found(&index, &[("a", &format!("v{n}x"))]), [n]));
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let values = ["", "1", "2", "1|2", "1|", "(2|3)", "1.*", ".*", ".+", "[12]", "3?", r"\.", "(?i)X"];
    let ops = [MatchOp::Equal, MatchOp::Equal, MatchOp::NotEqual, MatchOp::Matches, MatchOp::NotMatches];
    (prop::sample::select(&["a", "b", "c"][..]), prop::sample::select(ops.to_vec()), prop::sample::select(values.to_vec()))
        .prop_map(|(name, op, value)| Matcher::new(name, op, value).unwrap())
}

proptest! {
    #[test]
    fn finds_what_a_plain_scan_finds(
        acts in prop::collection::vec((0u32..12, prop::option::weighted(0.8, prop::collection::vec(matcher(), 0..4))), 0..40),
        alerts in prop::collection::vec([("[a-c]", "[123x.]{0,2}"), ("[a-c]", "[123x.]{0,2}"), ("[a-d]", "[12]")], 1..6),
    ) {
        let mut index = MatcherIndex::default();
        let mut naive = std::collections::BTreeMap::new();
        let mut found = Vec::new();
        for (number, act) in acts {
            if let Some(list) = act {
                index.insert(number, &list);
                naive.insert(number, list);
            } else {
                index.remove(number);
                naive.remove(&number);
            }
            for alert in &alerts {
                let labels = Labels::from_pairs(alert.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap();
                let holds = |list: &Vec<Matcher>| list.iter().all(|m| m.matches(&labels));
                let expected: Vec<u32> = naive.iter().filter(|(_, list)| holds(list)).map(|(n, _)| *n).collect();
                index.matching(&labels, &mut found);
                prop_assert_eq!(&found, &expected, "{:?}", labels);
            }
        }
    }
}

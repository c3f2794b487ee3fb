//! The same expressions under the `cel` crate: where both have an answer, it is the same one.
//!
//! Every label that an expression names is there, because a missing one means something else here than in CEL. Lengths of
//! time are left out: that crate has them only with a date library that is banned here.

use std::collections::BTreeMap;
use std::sync::Arc;

use cel::{Context, Program};
use proptest::prelude::*;

use super::super::*;
use crate::model::{Incident, IncidentId, Labels, RuleRef, Severity, Time};

const NAMES: [&str; 3] = ["a", "b", "port"];

/// Texts, as they are written.
fn literal() -> impl Strategy<Value = String> {
    prop::sample::select(
        &[r#""""#, r#""x""#, "'y'", r#""x.y""#, r#""xy\n""#, "'é'", r#""12""#, r#"r"\d""#, r"'''x'''", r#""\x78\u0079""#][..],
    )
    .prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[r#""^x""#, r#""x$""#, r#""x|y""#, r#"r"\d+""#, r#"".""#, r#""^.*$""#, r#""^(x|y)+$""#, r#""(?i)X""#, r#""""#][..],
    )
}

/// A text.
fn text(fields: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![3 => prop::sample::select(fields).prop_map(str::to_owned), 2 => literal()].boxed()
}

/// A whole number; some fail.
fn int(texts: &BoxedStrategy<String>, fields: &'static [&'static str]) -> BoxedStrategy<String> {
    let number = prop::sample::select(&["0", "1", "2", "12", "-1", "0x0c", "3"][..]).prop_map(str::to_owned);
    let mut any = vec![number.boxed(), texts.clone().prop_map(|text| format!("size({text})")).boxed()];
    any.push(texts.clone().prop_map(|text| format!("int({text})")).boxed());
    if !fields.is_empty() {
        any.push(prop::sample::select(fields).prop_map(str::to_owned).boxed());
    }
    prop::strategy::Union::new(any).boxed()
}

/// A truth value over these fields.
fn truth(texts: &'static [&'static str], ints: &'static [&'static str], lists: &'static [&'static str]) -> BoxedStrategy<String> {
    let text = text(texts);
    let int = int(&text, ints);
    let comparison = || prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let texts_listed = prop::collection::vec(text.clone(), 1..4).prop_map(|items| format!("[{}]", items.join(", ")));
    let ints_listed = prop::collection::vec(int.clone(), 1..4).prop_map(|items| format!("[{}]", items.join(", ")));
    let list = if lists.is_empty() {
        texts_listed.boxed()
    } else {
        prop_oneof![texts_listed, prop::sample::select(lists).prop_map(str::to_owned)].boxed()
    };
    let item = (list.clone(), 0..3).prop_map(|(list, at)| format!("{list}[{at}]"));
    let any_text = prop_oneof![4 => text.clone(), 1 => item].boxed();
    let double = prop::sample::select(&["1.5", "12.0", "-0.5", ".5", "1e1"][..]);
    let method = prop::sample::select(&["startsWith", "endsWith", "contains"][..]);
    let leaf = prop_oneof![
        1 => any::<bool>().prop_map(|value| value.to_string()),
        4 => (any_text.clone(), comparison(), any_text.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        3 => (int.clone(), comparison(), int.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        1 => (int.clone(), comparison(), double).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        3 => (any_text.clone(), method, text).prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
        2 => (any_text.clone(), pattern()).prop_map(|(a, regex)| format!("{a}.matches({regex})")),
        2 => (any_text, list.clone()).prop_map(|(a, list)| format!("{a} in {list}")),
        1 => (int.clone(), ints_listed).prop_map(|(a, list)| format!("{a} in {list}")),
        1 => (list.clone(), comparison(), int).prop_map(|(list, op, b)| format!("{list}.size() {op} {b}")),
        1 => (list.clone(), list).prop_map(|(a, b)| format!("{a} == {b}")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| format!("!({a})")),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(") && ("))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" || ")),
            // Without parentheses: both must bind alike.
            prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.join(" && ")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) == ({b})")),
        ]
    })
    .boxed()
}

/// What CEL says: true, false, or a failure.
fn by_cel(text: &str, set: impl FnOnce(&mut Context<'_, '_>)) -> Option<bool> {
    let program = Program::compile(text).unwrap_or_else(|error| panic!("cel takes no {text}: {error}"));
    let mut context = Context::default();
    set(&mut context);
    match program.execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        Ok(other) => panic!("{text} is {other:?}"),
        Err(_) => None,
    }
}

fn value() -> impl Strategy<Value = String> {
    prop::sample::select(&["x", "y", "x.y", "xy\n", "é", "12", "3", "yx"][..]).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn alerts_are_judged_alike(
        text in truth(&["labels.a", "labels['b']", "labels.port", "annotations.a", "source"], &["size(labels)"], &[]),
        values in [value(), value(), value()],
        source in value(),
    ) {
        let map: BTreeMap<&str, &str> = NAMES.into_iter().zip(values.iter().map(String::as_str)).collect();
        let expression = Expression::compile(&text, Sees::Alert).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        let labels = Labels::from_pairs(map.iter().map(|(name, value)| (*name, *value))).unwrap();
        let subject = Subject::Alert(AlertSubject { labels: &labels, annotations: &labels, source: &source });
        let ours = expression.evaluate(&subject);
        let theirs = by_cel(&text, |context| {
            let map: std::collections::HashMap<String, String> = map.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            context.add_variable("labels", map.clone()).unwrap();
            context.add_variable("annotations", map).unwrap();
            context.add_variable("source", source.clone()).unwrap();
        });
        prop_assert_eq!(ours.ok(), theirs, "{} under {}", text, labels);

        let (matchers, rest) = expression.into_matchers();
        let cut = matchers.iter().all(|matcher| matcher.matches(&labels)) && rest.is_none_or(|rest| rest.holds(&subject));
        prop_assert_eq!(cut, ours == Ok(true), "{} as {:?}", text, matchers);
    }

    /// Where labels are missing: what was cut into matchers still says what the whole says.
    #[test]
    fn matchers_say_the_same(
        text in truth(&["labels.a", "labels.b", "labels.port"], &["size(labels)"], &[]),
        values in prop::collection::vec(value(), 0..3),
    ) {
        let expression = Expression::compile(&text, Sees::Alert).unwrap();
        let labels = Labels::from_pairs(NAMES.into_iter().zip(values.iter().map(String::as_str))).unwrap();
        let subject = Subject::Alert(AlertSubject { labels: &labels, annotations: &labels, source: "" });
        let whole = expression.holds(&subject);
        let (matchers, rest) = expression.into_matchers();
        let cut = matchers.iter().all(|matcher| matcher.matches(&labels)) && rest.is_none_or(|rest| rest.holds(&subject));
        prop_assert_eq!(cut, whole, "{} as {:?}", text, matchers);
    }

    #[test]
    fn incidents_are_judged_alike(
        text in truth(
            &["incident.category", "incident.team", "incident.labels.a"],
            &["incident.count", "incident.distinct(\"a\")", "size(incident.services)"],
            &["incident.services"],
        ),
        count in 0u32..4,
        names in [value(), value(), value()],
        services in prop::collection::btree_set(value(), 0..3),
    ) {
        let mut incident = Incident::opened(IncidentId(1), RuleRef::built_in("r"), "t".into(), 1, Time(0));
        incident.alerts_total = count;
        incident.severity = Severity::High;
        incident.category = names[0].as_str().into();
        incident.team = Some(names[1].as_str().into());
        incident.labels = Arc::new(Labels::from_pairs([("a", names[2].as_str())]).unwrap());
        incident.services = Arc::new(services.iter().map(|name| name.as_str().into()).collect());
        let expression = Expression::compile(&text, Sees::Incident).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        let distinct = |_: &str| 2;
        let subject = IncidentSubject { incident: &incident, now: Time(0), distinct: &distinct };
        let ours = expression.evaluate(&Subject::Incident(subject));
        let words = subject.words().unwrap();
        let worth_a_look = expression.word_matchers().iter().all(|matcher| matcher.matches(&words));
        prop_assert!(worth_a_look || ours != Ok(true), "{} under {}", text, words);
        // CEL's maps have no functions of their own.
        let theirs = by_cel(&text.replace("incident.distinct(\"a\")", "incident.distinct"), |context| {
            let labels = BTreeMap::from([("a", names[2].clone())]);
            let fields: Vec<(&str, cel::Value)> = vec![
                ("count", i64::from(count).into()),
                ("distinct", 2i64.into()),
                ("category", names[0].clone().into()),
                ("team", names[1].clone().into()),
                ("services", services.iter().cloned().collect::<Vec<String>>().into()),
                ("labels", labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<std::collections::HashMap<_, _>>().into()),
            ];
            let fields: std::collections::HashMap<String, cel::Value> = fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
            context.add_variable_from_value("incident", fields);
        });
        prop_assert_eq!(ours.ok(), theirs, "{} under {:?}", text, incident);
    }
}

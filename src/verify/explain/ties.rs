//! Why no tie of a rule holds between two alerts.

use super::alert_rules::told;
use crate::model::AlertRecord;
use crate::ruleset::{Catalogue, CorrelateRule, Tie, TieHow};

/// For each tie of a rule what it goes by, and the first of its conditions that fails.
pub(super) fn untied(rule: &CorrelateRule, one: &AlertRecord, other: &AlertRecord, catalogue: &Catalogue) -> Vec<String> {
    let place = |record: &AlertRecord| (record.fired_at, record.fired_seq);
    let (earlier, later) = if place(one) <= place(other) { (one, other) } else { (other, one) };
    let why = |tie: &Tie| unmet(tie, earlier, later, catalogue);
    rule.ties.iter().map(|tie| format!("no tie by {}: {}", way(tie), why(tie))).collect()
}

fn way(tie: &Tie) -> String {
    match &tie.how {
        TieHow::Same(labels) => labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(" and "),
        TieHow::Near { label, hops } => format!("`{label}`, {hops} hops of the catalogue"),
    }
}

fn unmet(tie: &Tie, earlier: &AlertRecord, later: &AlertRecord, catalogue: &Catalogue) -> String {
    let of = |label: &str| (earlier.labels().get(label).to_owned(), later.labels().get(label).to_owned());
    let apart = |label: &str, is_near: &dyn Fn(&str, &str) -> bool| match of(label) {
        (a, b) if a.is_empty() || b.is_empty() => Some(format!("not both have a `{label}`")),
        (a, b) if a == b || is_near(&a, &b) => None,
        (a, b) => Some(format!("`{label}` is {a:?} and {b:?}")),
    };
    let differ = match &tie.how {
        TieHow::Same(labels) => labels.iter().find_map(|label| apart(label, &|_, _| false)),
        TieHow::Near { label, hops } => apart(label, &|a, b| catalogue.near(b, *hops).any(|name| **name == *a)),
    };
    let gap = tie.began(later).since(tie.began(earlier));
    differ
        .or_else(|| {
            tie.to
                .iter()
                .find(|it| !it.matches(earlier.labels()))
                .map(|it| format!("of the earlier one {}", told(it, earlier.labels())))
        })
        .or_else(|| {
            (gap.0.abs() >= tie.within.0).then(|| format!("the later one began {gap} behind, and it looks back {}", tie.within))
        })
        .or_else(|| (tie.alerts > 1).then(|| format!("it asks for {} such alerts", tie.alerts)))
        .unwrap_or_else(|| "it holds, but the incident had closed, was full or too old when the later one came".to_owned())
}

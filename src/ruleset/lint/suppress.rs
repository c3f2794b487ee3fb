//! Suppressions that do nothing, that hide both sides of a pair, or that hide everything.

use std::sync::Arc;

use super::Finding;
use super::logic;
use crate::model::{MatchOp, Matcher, RuleRef, Time};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::rules::{Ruleset, SuppressHow, SuppressRule};

/// Inhibitions that are compared with each other; more than this many are not.
const INHIBITIONS_MAX: usize = 500;

/// An inhibition whose target is all in matchers.
struct Inhibition<'a> {
    rule: &'a RuleRef,
    source: &'a [Matcher],
    target: &'a [Matcher],
    equal: &'a [Arc<str>],
}

pub(super) fn find(ruleset: &Ruleset) -> Vec<Finding> {
    let inhibitions: Vec<Inhibition<'_>> = ruleset.suppress.iter().filter_map(inhibition).collect();
    let mut found: Vec<Finding> = inhibitions.iter().filter_map(idle).collect();
    for (at, one) in inhibitions.iter().enumerate().take(INHIBITIONS_MAX) {
        let others = inhibitions[at + 1..].iter().take(INHIBITIONS_MAX);
        found.extend(others.filter_map(|other| mutual(one, other)));
    }
    found.extend(ruleset.suppress.iter().filter_map(hides_all));
    found
}

fn inhibition(rule: &SuppressRule) -> Option<Inhibition<'_>> {
    match &rule.how {
        SuppressHow::Inhibit { source, equal } if rule.when.is_none() => {
            Some(Inhibition { rule: &rule.rule, source, target: &rule.matchers, equal })
        }
        _ => None,
    }
}

/// An alert that is source and target of a rule is not inhibited by one that is both, too; so where every one is both,
/// nothing ever is.
fn idle(it: &Inhibition<'_>) -> Option<Finding> {
    let name = &it.rule.name;
    if logic::cover(it.source, it.target) && logic::cover(it.target, it.source) {
        let message = format!("the rule `{name}` inhibits nothing: what is its source is its target, too");
        let hint = "an alert that is both is not inhibited by one that is both; make the source narrower than the target";
        return Some(Finding::new(it.rule, Code::IdleSuppression, message, hint));
    }
    let shared = it.equal.iter().find(|label| {
        let of_label = |matcher: &&Matcher| matcher.name == **label;
        let both: Vec<Matcher> = it.source.iter().chain(it.target).filter(of_label).cloned().collect();
        logic::contradiction(&both).is_some()
    })?;
    let alone = [it.source, it.target].iter().any(|list| logic::contradiction(list).is_some());
    let message = format!("the rule `{name}` inhibits nothing: source and target never have the same `{shared}`");
    (!alone).then(|| Finding::new(it.rule, Code::IdleSuppression, message, format!("take `{shared}` out of `equal`")))
}

/// Two rules by which a pair of alerts hides each other, so that nobody hears of either.
fn mutual(one: &Inhibition<'_>, other: &Inhibition<'_>) -> Option<Finding> {
    let same = |a: &[Matcher], b: &[Matcher]| logic::cover(a, b) || logic::cover(b, a);
    let equal = |it: &Inhibition<'_>| {
        let mut labels: Vec<Arc<str>> = it.equal.to_vec();
        labels.sort();
        labels
    };
    let crossed = same(one.source, other.target) && same(other.source, one.target) && equal(one) == equal(other);
    // What is source and target of one rule at once is left alone by it.
    let apart = |it: &Inhibition<'_>| logic::contradiction(&[it.source, it.target].concat()).is_some();
    (crossed && apart(one) && apart(other)).then(|| {
        let message = format!("the rules `{}` and `{}` hide each other's sources", one.rule.name, other.rule.name);
        let hint = "when both fire, nobody hears of either: decide which of the two is the cause, and keep its rule";
        Finding::new(other.rule, Code::IdleSuppression, message, hint)
    })
}

fn hides_all(rule: &SuppressRule) -> Option<Finding> {
    let all = rule.when.is_none() && rule.matchers.iter().all(is_everywhere);
    let name = &rule.rule.name;
    let (message, hint) = match &rule.how {
        SuppressHow::During(schedule) if schedule.next_start(Time(0)).is_none() => {
            let what = if all { "everything" } else { "what it matches" };
            (
                format!("the rule `{name}` hides {what} for ever: its window never ends"),
                "what nobody needs is best not sent at all",
            )
        }
        SuppressHow::During(_) if all => {
            let hint = "say what is being worked on, or let through what is critical: `severity!=\"critical\"`";
            (format!("the rule `{name}` hides every alert there is while its window lasts"), hint)
        }
        SuppressHow::Inhibit { equal, .. } if all && equal.is_empty() => {
            let hint = "name the labels in `equal` in which both must agree, or narrow the target";
            (format!("the rule `{name}` hides every other alert there is while one source fires"), hint)
        }
        _ => return None,
    };
    Some(Finding::new(&rule.rule, Code::HidesAll, message, hint))
}

/// Whether a matcher holds for every alert: each has a name.
fn is_everywhere(matcher: &Matcher) -> bool {
    let named = &*matcher.name == "alertname";
    let any = matcher.op == MatchOp::NotEqual && matcher.value.is_empty();
    logic::is_always_true(matcher) || named && (any || matcher.op == MatchOp::Matches && &*matcher.value == ".+")
}

//! Rules that an earlier one leaves nothing, in the stages in which the first that matches takes all; and rules that leave
//! nothing to any other.
//!
//! Whether one rule takes all that another could match is asked of those pairs only that have a label in common, so that
//! ten thousand rules by alert name are compared as quickly as they are read.

use std::collections::BTreeMap;

use super::Finding;
use super::condition::{Condition, Stages};
use super::logic;
use crate::model::{Matcher, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::rules::{CorrelateRule, Ruleset};

/// Pairs of rules that are compared at most; beyond that, shadows stay unseen.
const PAIRS_MAX: usize = 500_000;

pub(super) fn find(ruleset: &Ruleset, stages: &Stages<'_>) -> Vec<Finding> {
    let mut found = correlate(ruleset, &stages.correlate);
    found.extend(classify(ruleset, &stages.classify));
    found.extend(shadowed(&stages.prioritize, |_| true));
    found.extend(shadowed(&stages.escalate, |position| !ruleset.escalate[position].go_on));
    found.extend(ruleset.correlate.iter().zip(&stages.correlate).filter_map(|(rule, asks)| one_for_all(rule, asks)));
    found
}

/// Each rule that an earlier one covers, of those after which no other is asked.
fn shadowed(stage: &[Condition<'_>], is_last: impl Fn(usize) -> bool) -> Vec<Finding> {
    let mut takers = Takers::default();
    let mut found = Vec::new();
    for (position, asks) in stage.iter().enumerate() {
        match takers.covering(asks.matchers, |earlier| stage[earlier].covers(asks)) {
            Some(taker) => found.push(finding(asks.rule, &stage[taker])),
            // A rule that is never reached takes nothing from others.
            None if is_last(position) => takers.add(position, asks.matchers),
            None => {}
        }
    }
    found
}

/// A rule takes what it matches unless it says `continue`, or waits for more before it takes any.
fn correlate(ruleset: &Ruleset, stage: &[Condition<'_>]) -> Vec<Finding> {
    let mut takers = Takers::default();
    let mut found = Vec::new();
    for (position, (rule, asks)) in ruleset.correlate.iter().zip(stage).enumerate() {
        // A sequence is never complete when one of its steps never comes so far.
        let steps = Condition::of_steps(rule);
        let asked = if rule.sequence.is_some() { &steps[..] } else { std::slice::from_ref(asks) };
        let taker = asked.iter().find_map(|asked| takers.covering(asked.matchers, |earlier| stage[earlier].covers(asked)));
        let plain = rule.threshold.is_none()
            && rule.topology.is_none()
            && rule.sequence.is_none()
            && rule.storm.is_none()
            && rule.ties.is_empty();
        match taker {
            Some(taker) => found.push(finding(asks.rule, &stage[taker])),
            None if plain && !rule.go_on => takers.add(position, asks.matchers),
            None => {}
        }
    }
    found
}

/// Each field of an incident is set by the first rule that names it: a rule is in the shadow when all of its fields are.
fn classify(ruleset: &Ruleset, stage: &[Condition<'_>]) -> Vec<Finding> {
    let named = |position: usize| {
        let rule = &ruleset.classify[position];
        [rule.category.is_some(), rule.subcategory.is_some(), rule.team.is_some()]
    };
    let mut takers = Takers::default();
    let mut found = Vec::new();
    for (position, asks) in stage.iter().enumerate() {
        let field = |field: usize| takers.covering(asks.matchers, |earlier| named(earlier)[field] && stage[earlier].covers(asks));
        let fields: Vec<Option<usize>> = (0..3).filter(|it| named(position)[*it]).map(field).collect();
        match fields.first().copied().flatten().filter(|_| fields.iter().all(Option::is_some)) {
            Some(taker) => found.push(finding(asks.rule, &stage[taker])),
            None => takers.add(position, asks.matchers),
        }
    }
    found
}

fn finding(rule: &RuleRef, taker: &Condition<'_>) -> Finding {
    let what = if taker.is_open() { "everything" } else { "all that it could match" };
    let message = format!("the rule `{}` is never reached: `{}` takes {what} before it", rule.name, taker.rule.name);
    Finding::new(rule, Code::Shadowed, message, format!("put it before {}:{}", taker.rule.file, taker.rule.line))
}

/// A correlate rule that makes one incident of all alerts there are. The last resort of a site may be meant so.
fn one_for_all(rule: &CorrelateRule, asks: &Condition<'_>) -> Option<Finding> {
    let all = asks.is_open()
        && rule.by.is_empty()
        && rule.absent.is_none()
        && rule.sequence.is_none()
        && rule.storm.is_none()
        && rule.ties.is_empty();
    all.then(|| {
        let message = format!("the rule `{}` puts all alerts there are into one incident", rule.rule.name);
        Finding::new(&rule.rule, Code::TakesAll, message, "add `by`, for one incident for each of its values, or `match`")
    })
}

/// Rules that take what they match, each under a label that whatever they cover must have, too.
#[derive(Default)]
struct Takers<'a> {
    /// Rules without a condition on a label.
    open: Vec<usize>,
    /// By a label and a value that it must have, or by the label alone.
    under: BTreeMap<(&'a str, Option<String>), Vec<usize>>,
    compared: usize,
}

impl<'a> Takers<'a> {
    fn add(&mut self, position: usize, matchers: &'a [Matcher]) {
        let Some(first) = matchers.iter().find(|matcher| !logic::is_always_true(matcher)) else {
            return self.open.push(position);
        };
        match logic::listed(first) {
            Some(values) => {
                for value in values {
                    self.under.entry((&first.name, Some(value))).or_default().push(position);
                }
            }
            None => self.under.entry((&first.name, None)).or_default().push(position),
        }
    }

    /// The first of those that may cover a rule with these matchers and do.
    fn covering(&mut self, matchers: &'a [Matcher], covers: impl Fn(usize) -> bool) -> Option<usize> {
        if self.compared > PAIRS_MAX {
            return None;
        }
        let mut near: Vec<usize> = self.open.clone();
        for matcher in matchers {
            near.extend(self.under.get(&(&*matcher.name, None)).into_iter().flatten());
            // What covers the rule takes each of the values that it lists, and so the first.
            if let Some(value) = logic::listed(matcher).and_then(|values| values.into_iter().next()) {
                near.extend(self.under.get(&(&*matcher.name, Some(value))).into_iter().flatten());
            }
        }
        near.sort_unstable();
        near.dedup();
        self.compared += near.len();
        near.into_iter().find(|position| covers(*position))
    }
}

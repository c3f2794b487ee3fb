//! What each correlate rule says to one alert: takes it, lets it by, or the first of its conditions that fails.

use std::sync::Arc;

use super::Records;
use crate::model::{AlertRecord, Labels, Matcher, RuleRef};
use crate::ruleset::{
    AlertSubject, CorrelateRule, Expression, Otherwise, Ruleset, Sequence, SequenceStep, StormRule, Subject, Threshold,
};

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) rule: RuleRef,
    pub(super) outcome: Outcome,
}

/// What becomes of an alert at one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes into the rule's incident for this key. `go_on`: later rules have it, too.
    Takes { key: Labels, go_on: bool },
    /// It counts towards a threshold: what that asks for, and whether it came.
    Counts { key: Labels, wanted: String, so_far: &'static str },
    /// It is the rule's beat, and opens nothing.
    Beat,
    /// It is a step of the rule's sequence, from 1, of so many.
    Step { number: usize, of: usize },
    /// A condition does not hold, in words.
    Fails(String),
    /// An earlier rule has taken it; and what would have become of it.
    Behind { by: RuleRef, else_it: Box<Outcome> },
}

impl Outcome {
    /// In words, behind the alert's name and a colon.
    pub(super) fn words(&self) -> String {
        match self {
            Outcome::Takes { key, go_on: false } => format!("takes it, as {key}"),
            Outcome::Takes { key, go_on: true } => format!("takes it, as {key}, and lets it go on"),
            Outcome::Counts { key, wanted, so_far } => format!("counts it, as {key}: {wanted}, and {so_far}"),
            Outcome::Beat => "it is the beat that the rule waits for, and opens nothing".to_owned(),
            Outcome::Step { number, of } => format!("it is step {number} of {of} of its sequence"),
            Outcome::Fails(why) => why.clone(),
            Outcome::Behind { by, else_it } => match &**else_it {
                Outcome::Fails(why) => format!("not asked, as {} has it already, and {why}", by.name),
                other => format!("not asked, as {} has it already; else: {}", by.name, other.words()),
            },
        }
    }
}

/// What each rule says, in order.
pub(super) fn ask(rules: &Ruleset, record: &AlertRecord, records: &Records) -> Vec<Verdict> {
    let mut taken: Option<RuleRef> = None;
    let mut verdicts = Vec::new();
    for rule in &rules.correlate {
        let outcome = match &taken {
            Some(by) => Outcome::Behind { by: by.clone(), else_it: Box::new(ask_one(rule, record, records)) },
            None => ask_one(rule, record, records),
        };
        if taken.is_none() && keeps(rule, &outcome, record, records) {
            taken = Some(rule.rule.clone());
        }
        verdicts.push(Verdict { rule: rule.rule.clone(), outcome });
    }
    verdicts
}

/// Whether the alert is in an incident of the rule.
fn is_home(rule: &CorrelateRule, record: &AlertRecord, records: &Records) -> bool {
    let mut homes = record.incidents.iter().filter_map(|id| records.incidents.get(id));
    homes.any(|incident| incident.rule.name == rule.rule.name)
}

/// Whether no later rule is asked.
fn keeps(rule: &CorrelateRule, outcome: &Outcome, record: &AlertRecord, records: &Records) -> bool {
    let has_it = || is_home(rule, record, records) || record.waits_under(&rule.rule.name).is_some();
    let stays = match outcome {
        Outcome::Takes { go_on, .. } => !go_on,
        Outcome::Beat => true,
        // What waits, or was dropped, is asked for by nobody else.
        Outcome::Counts { .. } => {
            has_it() || rule.threshold.as_ref().is_some_and(|threshold| threshold.otherwise == Otherwise::Drop)
        }
        Outcome::Step { .. } => has_it(),
        Outcome::Fails(_) | Outcome::Behind { .. } => false,
    };
    stays && !rule.go_on
}

fn ask_one(rule: &CorrelateRule, record: &AlertRecord, records: &Records) -> Outcome {
    let labels = record.labels();
    if record.alert.is_report() && !rule.waits_for_nothing() {
        return Outcome::Fails("counts or waits for others, and what a person reports waits for nothing".to_owned());
    }
    if let Some(sequence) = &rule.sequence {
        return ask_sequence(rule, sequence, record);
    }
    if let Some(why) = failing(&rule.matchers, rule.when.as_ref(), record) {
        return Outcome::Fails(why);
    }
    if rule.absent.is_some() {
        return Outcome::Beat;
    }
    if rule.topology.is_some() && labels.get("service").is_empty() {
        return Outcome::Fails("follows the catalogue, and the alert has no label `service`".to_owned());
    }
    let key = labels.only(&rule.by);
    if let Some(storm) = &rule.storm {
        let StormRule { least, within, above, .. } = storm;
        if !is_home(rule, record, records) {
            return Outcome::Fails(format!(
                "takes alerts of {key} in a storm only: {least} of them within {within}, and {above} times what is usual"
            ));
        }
        // The first of each kind goes on to the later rules as well.
        return Outcome::Takes { key, go_on: record.incidents.len() > 1 };
    }
    match &rule.threshold {
        Some(threshold) => {
            let so_far = match record.waits_under(&rule.rule.name) {
                Some(_) => "too few have come so far",
                None if is_home(rule, record, records) => "enough came",
                None => "too few came",
            };
            Outcome::Counts { key, wanted: wanted(threshold), so_far }
        }
        None => Outcome::Takes { key, go_on: rule.go_on },
    }
}

fn ask_sequence(rule: &CorrelateRule, sequence: &Sequence, record: &AlertRecord) -> Outcome {
    let of_step = |step: &SequenceStep| failing(&step.matchers, step.when.as_ref(), record);
    // The later step, as the engine tries it first.
    let step = sequence.steps.iter().rposition(|step| of_step(step).is_none());
    let of_rule = failing(&[], rule.when.as_ref(), record);
    match (step, of_rule) {
        (Some(step), None) => return Outcome::Step { number: step + 1, of: sequence.steps.len() },
        (Some(_), Some(why)) => return Outcome::Fails(why),
        (None, _) => {}
    }
    let each: Vec<String> = sequence.steps.iter().filter_map(of_step).collect();
    Outcome::Fails(format!("is no step of its sequence: {}", each.join("; ")))
}

/// What an alert waits for under a rule, which may be gone by now.
pub(super) fn awaited(rule: Option<&CorrelateRule>) -> String {
    match rule {
        Some(CorrelateRule { threshold: Some(threshold), .. }) => wanted(threshold),
        Some(CorrelateRule { storm: Some(_), .. }) => "it is held to see whether a storm comes".to_owned(),
        Some(CorrelateRule { sequence: Some(_), .. }) => "it is held until its sequence is complete".to_owned(),
        Some(_) => "others may come that it is tied to".to_owned(),
        None => "the rule is not among those of now".to_owned(),
    }
}

/// What a threshold asks for.
pub(super) fn wanted(threshold: &Threshold) -> String {
    let what = match &threshold.distinct {
        Some(label) => format!("different values of `{label}`"),
        None if threshold.firings => "firings".to_owned(),
        None => "alerts".to_owned(),
    };
    format!("it opens an incident for {} {what} within {}", threshold.count, threshold.within)
}

/// The first condition of a rule that an alert does not satisfy, in words.
pub(super) fn failing(matchers: &[Matcher], when: Option<&Expression>, record: &AlertRecord) -> Option<String> {
    let labels = record.labels();
    if let Some(matcher) = matchers.iter().find(|matcher| !matcher.matches(labels)) {
        return Some(told(matcher, labels));
    }
    let alert = AlertSubject { labels, annotations: &record.alert.annotations, source: &record.alert.source };
    when.and_then(|when| unmet(when, &Subject::Alert(alert)))
}

/// A matcher that fails, and on what.
pub(super) fn told(matcher: &Matcher, labels: &Labels) -> String {
    match labels.get(&matcher.name) {
        "" => format!("{matcher} does not hold: it has no `{}`", matcher.name),
        value => format!("{matcher} does not hold: `{}` is {value:?}", matcher.name),
    }
}

/// Why an expression is not true, with what it looked at; `None` if it is.
pub(super) fn unmet(when: &Expression, subject: &Subject<'_>) -> Option<String> {
    let why = match when.evaluate(subject) {
        Ok(true) => return None,
        Ok(false) => "is false".to_owned(),
        Err(failure) => format!("cannot be told ({failure})"),
    };
    let values: Vec<String> = when.values(subject).iter().map(|(name, value)| format!("{name} is {value}")).collect();
    let values = if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
    Some(format!("`when: {}` {why}{values}", when.text()))
}

/// The first rule that takes an alert by itself, with the key, as far as the rules loaded now say.
pub(super) fn taker(verdicts: &[Verdict]) -> Option<(&RuleRef, &Labels)> {
    verdicts.iter().find_map(|verdict| match &verdict.outcome {
        Outcome::Takes { key, .. } | Outcome::Counts { key, .. } => Some((&verdict.rule, key)),
        _ => None,
    })
}

/// The rule of that name as it is loaded now.
pub(super) fn rule_named<'r>(rules: &'r Ruleset, name: &Arc<str>) -> Option<&'r CorrelateRule> {
    rules.correlate.iter().find(|rule| rule.rule.name == *name)
}

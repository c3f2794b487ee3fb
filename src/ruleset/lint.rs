//! Warnings about rules that can be used but hardly do what was meant.
//!
//! Looks at whole stages once everything has compiled; never refuses a rule.

use super::diagnostics::{Code, Diagnostic, SourceMap};
use super::expression::Expression;
use super::load::SourceFile;
use super::rules::Ruleset;
use super::services::Doubt;
use crate::model::{MatchOp, Matcher, RuleRef};

/// All warnings, in the order of the stages.
pub(super) fn lint(ruleset: &Ruleset, files: &[SourceFile]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let alert_stages = ruleset
        .enrich
        .iter()
        .map(|rule| (&rule.rule, &rule.matchers))
        .chain(ruleset.suppress.iter().map(|rule| (&rule.rule, &rule.matchers)))
        .chain(ruleset.correlate.iter().map(|rule| (&rule.rule, &rule.matchers)))
        .chain(ruleset.correlate.iter().flat_map(|rule| {
            rule.sequence.iter().flat_map(|sequence| &sequence.steps).map(move |matchers| (&rule.rule, matchers))
        }))
        .chain(ruleset.classify.iter().map(|rule| (&rule.rule, &rule.matchers)))
        .chain(ruleset.prioritize.iter().map(|rule| (&rule.rule, &rule.matchers)))
        .chain(ruleset.escalate.iter().map(|rule| (&rule.rule, &rule.matchers)));
    for (rule, matchers) in alert_stages {
        if let Some((one, other)) = contradiction(matchers) {
            let message = format!("the rule `{}` never matches: `{one}` and `{other}` exclude each other", rule.name);
            found.push((rule, Code::NeverMatches, message, String::new()));
        }
    }
    let correlate = ruleset.correlate.iter().map(|r| {
        let plain = r.threshold.is_none() && r.topology.is_none() && r.sequence.is_none() && r.ties.is_empty();
        (&r.rule, takes_all(&r.matchers, r.when.as_ref()) && !r.go_on && plain)
    });
    let prioritize = ruleset.prioritize.iter().map(|r| (&r.rule, takes_all(&r.matchers, r.when.as_ref())));
    let escalate = ruleset.escalate.iter().map(|r| (&r.rule, takes_all(&r.matchers, r.when.as_ref()) && !r.go_on));
    for stage in [correlate.collect::<Vec<_>>(), prioritize.collect(), escalate.collect()] {
        let Some(taker) = stage.iter().position(|(_, takes_all)| *takes_all) else { continue };
        for (rule, _) in &stage[taker + 1..] {
            let taker = stage[taker].0;
            let message = format!("the rule `{}` is never reached: `{}` takes everything before it", rule.name, taker.name);
            let hint = format!("put it before {}:{}", taker.file, taker.line);
            found.push((rule, Code::Shadowed, message, hint));
        }
    }
    for (service, doubt, message, hint) in ruleset.catalogue.doubts() {
        let code = match doubt {
            Doubt::Unknown => Code::UnknownService,
            Doubt::Circle => Code::Circle,
            Doubt::Crowded => Code::Crowded,
        };
        found.push((service, code, message, hint));
    }
    let maps: Vec<SourceMap<'_>> = files.iter().map(|file| SourceMap::new(&file.name, &file.text)).collect();
    found
        .into_iter()
        .map(|(rule, code, message, hint)| place(rule, &maps, Diagnostic::new(code, 0..0, message).hint(hint)))
        .collect()
}

/// Whether a rule with these conditions has none.
fn takes_all(matchers: &[Matcher], when: Option<&Expression>) -> bool {
    matchers.is_empty() && when.is_none()
}

/// Two matchers of a list that no label set satisfies together.
fn contradiction(matchers: &[Matcher]) -> Option<(&Matcher, &Matcher)> {
    let equal = matchers.iter().filter(|matcher| matcher.op == MatchOp::Equal);
    equal
        .flat_map(|one| matchers.iter().map(move |other| (one, other)))
        .find(|(one, other)| one.name == other.name && !other.matches_value(&one.value))
}

/// Puts a warning at the rule's name.
fn place(rule: &RuleRef, maps: &[SourceMap<'_>], mut diagnostic: Diagnostic) -> Diagnostic {
    let Some(map) = maps.iter().find(|map| *map.file() == rule.file) else { return diagnostic };
    diagnostic.span = map.line_span(rule.line);
    map.place(diagnostic)
}

//! Rules that no alert and no incident can match: what they ask contradicts itself.

use super::Finding;
use super::condition::{Condition, Stages};
use super::logic;
use crate::model::{Matcher, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::rules::{Ruleset, SuppressHow};

pub(super) fn find(ruleset: &Ruleset, stages: &Stages<'_>) -> Vec<Finding> {
    let of = |list: &[Condition<'_>]| -> Vec<Finding> {
        list.iter().filter_map(|it| it.why_never().map(|why| finding(it.rule, &why))).collect()
    };
    let mut found = of(&stages.enrich);
    found.extend(of(&stages.suppress));
    for rule in &ruleset.suppress {
        if let SuppressHow::Inhibit { source, .. } = &rule.how {
            found.extend(contradiction(&rule.rule, source));
        }
    }
    found.extend(of(&stages.correlate));
    for rule in &ruleset.correlate {
        found.extend(Condition::of_steps(rule).iter().filter_map(|step| step.why_never().map(|why| finding(step.rule, &why))));
    }
    found.extend([&stages.classify, &stages.prioritize, &stages.escalate].into_iter().flat_map(|list| of(list)));
    found
}

fn contradiction(rule: &RuleRef, matchers: &[Matcher]) -> Option<Finding> {
    logic::contradiction(matchers).map(|why| finding(rule, &why))
}

fn finding(rule: &RuleRef, why: &str) -> Finding {
    Finding::new(rule, Code::NeverMatches, format!("the rule `{}` never matches: {why}", rule.name), "")
}

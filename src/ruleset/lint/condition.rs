//! What a rule asks, in one form for all stages, so that one rule's can be compared with another's.

use super::logic;
use crate::model::{Matcher, RuleRef};
use crate::ruleset::Expression;
use crate::ruleset::rules::{CorrelateRule, Ruleset};

/// The conditions of one rule.
pub(super) struct Condition<'a> {
    pub(super) rule: &'a RuleRef,
    pub(super) matchers: &'a [Matcher],
    /// What the expression says of an incident in the form of matchers; of an alert, it stands among `matchers`.
    words: Vec<Matcher>,
    /// The expression, as far as it says more.
    rest: Option<Expression>,
}

/// The rules of each stage, in order.
pub(super) struct Stages<'a> {
    pub(super) enrich: Vec<Condition<'a>>,
    pub(super) suppress: Vec<Condition<'a>>,
    pub(super) correlate: Vec<Condition<'a>>,
    pub(super) classify: Vec<Condition<'a>>,
    pub(super) prioritize: Vec<Condition<'a>>,
    pub(super) escalate: Vec<Condition<'a>>,
}

impl<'a> Condition<'a> {
    fn of_alert(rule: &'a RuleRef, matchers: &'a [Matcher], when: Option<&Expression>) -> Condition<'a> {
        Condition { rule, matchers, words: Vec::new(), rest: when.cloned() }
    }

    fn of_incident(rule: &'a RuleRef, matchers: &'a [Matcher], when: Option<&Expression>) -> Condition<'a> {
        let (words, rest) = when.map_or((Vec::new(), None), |when| when.clone().into_matchers());
        Condition { rule, matchers, words, rest }
    }

    /// Each step of a rule with a sequence.
    pub(super) fn of_steps(rule: &'a CorrelateRule) -> Vec<Condition<'a>> {
        let steps = rule.sequence.iter().flat_map(|sequence| &sequence.steps);
        steps.map(|step| Condition::of_alert(&rule.rule, &step.matchers, step.when.as_ref())).collect()
    }

    /// Whether it asks nothing.
    pub(super) fn is_open(&self) -> bool {
        self.matchers.is_empty() && self.words.is_empty() && self.rest.is_none()
    }

    /// Whether it holds wherever `other` does.
    pub(super) fn covers(&self, other: &Condition<'_>) -> bool {
        logic::cover(self.matchers, other.matchers)
            && logic::cover(&self.words, &other.words)
            && self
                .rest
                .as_ref()
                .is_none_or(|rest| rest.verdict() == Some(true) || other.rest.as_ref().is_some_and(|known| known.implies(rest)))
    }

    /// Why it never holds, in words.
    pub(super) fn why_never(&self) -> Option<String> {
        if let Some(why) = logic::contradiction(self.matchers) {
            return Some(why);
        }
        if logic::contradiction(&self.words).is_some() {
            return Some("its parts of `when` exclude each other".to_owned());
        }
        let never = self.rest.as_ref().is_some_and(|rest| rest.verdict() == Some(false));
        never.then(|| "its expression is false, whatever it is asked about".to_owned())
    }
}

/// The conditions of all rules.
pub(super) fn stages(ruleset: &Ruleset) -> Stages<'_> {
    Stages {
        enrich: ruleset.enrich.iter().map(|it| Condition::of_alert(&it.rule, &it.matchers, it.when.as_ref())).collect(),
        suppress: ruleset.suppress.iter().map(|it| Condition::of_alert(&it.rule, &it.matchers, it.when.as_ref())).collect(),
        correlate: ruleset.correlate.iter().map(|it| Condition::of_alert(&it.rule, &it.matchers, it.when.as_ref())).collect(),
        classify: ruleset.classify.iter().map(|it| Condition::of_incident(&it.rule, &it.matchers, it.when.as_ref())).collect(),
        prioritize: ruleset
            .prioritize
            .iter()
            .map(|it| Condition::of_incident(&it.rule, &it.matchers, it.when.as_ref()))
            .collect(),
        escalate: ruleset.escalate.iter().map(|it| Condition::of_incident(&it.rule, &it.matchers, it.when.as_ref())).collect(),
    }
}

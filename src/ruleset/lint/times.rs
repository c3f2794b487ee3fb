//! Times that are shorter than what senders take to say the same again, and escalations that never end.

use super::Finding;
use crate::model::{Millis, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::rules::{CorrelateRule, EscalateRule, Ruleset};

/// Prometheus evaluates its rules and sends what fires again each minute, unless told otherwise. So two alerts of one cause
/// come up to a minute apart, and a beat comes once in that time at best.
const RESEND: Millis = Millis::minutes(1);

pub(super) fn find(ruleset: &Ruleset) -> Vec<Finding> {
    let mut found: Vec<Finding> = ruleset.correlate.iter().flat_map(correlate).collect();
    found.extend(ruleset.escalate.iter().filter_map(escalate));
    found
}

fn correlate(rule: &CorrelateRule) -> Vec<Finding> {
    let times = [
        ("window", Some(rule.window).filter(|_| rule.absent.is_none()), "alerts of one cause fall into several incidents"),
        ("threshold.within", rule.threshold.as_ref().map(|it| it.within), "alerts of one cause are not counted together"),
        ("within", rule.sequence.as_ref().map(|it| it.within), "a step may come too late only because it was sent late"),
        ("topology.within", rule.topology.map(|it| it.within), "trouble of one cause falls into several incidents"),
    ];
    let mut found: Vec<Finding> = times
        .into_iter()
        .filter_map(|(key, length, outcome)| Some(short(&rule.rule, key, length.filter(|it| *it < RESEND)?, outcome)))
        .collect();
    let beat = rule.absent.filter(|length| *length <= RESEND);
    found.extend(beat.map(|length| short(&rule.rule, "absent.for", length, "a beat that comes in time counts as missed")));
    found
}

fn short(rule: &RuleRef, key: &str, length: Millis, outcome: &str) -> Finding {
    let message = format!("`{key}` of the rule `{}` is {length}: {outcome}", rule.name);
    let hint = "Prometheus evaluates and sends again each minute, so allow for twice that at least";
    Finding::new(rule, Code::ShortTime, message, hint)
}

fn escalate(rule: &EscalateRule) -> Option<Finding> {
    let repeat = rule.repeat.filter(|_| !rule.resolved)?;
    let message =
        format!("the rule `{}` tells again every {repeat}, and never that it is over: `resolved` is false", rule.rule.name);
    let hint = "leave `resolved` out, so that what was opened at a receiver is closed there";
    Some(Finding::new(&rule.rule, Code::NoEnd, message, hint))
}

//! `escalate`: rules that say who is told of an incident, when and how often. The first that matches is its policy.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `match` | some firing alert of the incident satisfies all | every incident |
//! | `when` | an [expression](crate::ruleset::expression) over the incident | every incident |
//! | `wait` | collect alerts for so long before the first message; what resolves within is silent | `0s` |
//! | `steps` | a list of `{ after, unless, notify }`, in order of time | must be there |
//! | `update` | at most one update message in this time | `5m` |
//! | `repeat` | say it again after this time while the incident stays open | never |
//! | `resolved` | whether what was opened at a receiver is closed there | `true` |
//! | `continue` | `true`: later rules apply, too | `false` |
//!
//! Of a step, `notify` is a list of receivers, `after` counts from the incident's opening (for the first step the default
//! is `wait`; every other step must have it), and `unless: acknowledged` leaves the step out when somebody has
//! acknowledged the incident by then.

use std::sync::Arc;

use crate::model::{Millis, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::expression::Sees;
use crate::ruleset::fields::{Fields, Text};
use crate::ruleset::rules::{EscalateRule, EscalateStep};
use crate::ruleset::suggest::{listed, nearest};
use crate::ruleset::yaml::Value;

/// The shortest time between two updates, where a rule does not say.
pub(in crate::ruleset) const UPDATE: Millis = Millis::minutes(5);
/// Steps of one policy.
pub(in crate::ruleset) const STEPS_MAX: usize = 32;
/// `repeat` may not be shorter: it would be a second storm.
const REPEAT_MIN: Millis = Millis::minutes(1);

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef, receivers: Option<&[Arc<str>]>) -> EscalateRule {
    let matchers = fields.matchers("match");
    let when = fields.when(Sees::Incident);
    let wait = fields.duration("wait").unwrap_or(Millis::ZERO);
    let steps = steps(fields, wait, receivers);
    let update = fields.duration("update").unwrap_or(UPDATE);
    let repeat = repeat(fields);
    let resolved = fields.flag("resolved").unwrap_or(true);
    let go_on = fields.flag("continue").unwrap_or(false);
    EscalateRule { rule, matchers, when, wait, steps, update, repeat, resolved, go_on }
}

fn steps(fields: &mut Fields<'_>, wait: Millis, receivers: Option<&[Arc<str>]>) -> Vec<EscalateStep> {
    let Some(node) = fields.need("steps") else { return Vec::new() };
    let items = fields.as_list("steps", node);
    if matches!(node.value, Value::List(_)) && (items.is_empty() || items.len() > STEPS_MAX) {
        let message = format!("`steps` has {} entries, but must have 1 to {STEPS_MAX}", items.len());
        fields.fault(Code::Range, &fields.key_span("steps"), message, "");
    }
    let mut steps: Vec<EscalateStep> = Vec::new();
    for (number, item) in items.iter().take(STEPS_MAX).enumerate() {
        let earliest = steps.last().map_or(wait, |step| step.after);
        let step = Fields::read(item, "a step", fields.report, |step| {
            let after = if number == 0 { step.get("after") } else { step.need("after") };
            let length = after.and_then(|node| step.as_duration("after", node));
            if let (Some(node), Some(length)) = (after, length)
                && length < earliest
            {
                let (message, hint) = if number == 0 {
                    (format!("the first step is due after {length}, before `wait` ({wait}) is over"), "leave `after` out")
                } else {
                    (format!("a step after {length} behind one after {earliest}"), "put the steps in order of time")
                };
                step.fault(Code::Range, &node.span, message, hint);
            }
            EscalateStep { after: length.unwrap_or(earliest), unless_acknowledged: unless(step), notify: notify(step, receivers) }
        });
        steps.extend(step);
    }
    steps
}

fn unless(step: &mut Fields<'_>) -> bool {
    let Some(word) = step.text("unless") else { return false };
    if word.text != "acknowledged" {
        let message = format!("`{}` is not known after `unless`", word.text);
        step.fault(Code::Word, &word.node.span, message, "the only word is `acknowledged`");
    }
    true
}

fn notify(step: &mut Fields<'_>, receivers: Option<&[Arc<str>]>) -> Vec<Arc<str>> {
    step.need("notify");
    let words = step.words("notify");
    if words.is_empty() && step.is_empty_list("notify") {
        step.fault(Code::Missing, &step.key_span("notify"), "`notify` has no receiver", "");
    }
    for word in &words {
        if let Some(known) = receivers {
            check_receiver(step, *word, known);
        }
    }
    words.iter().map(|word| word.text.into()).collect()
}

fn check_receiver(step: &Fields<'_>, word: Text<'_>, receivers: &[Arc<str>]) {
    let known: Vec<&str> = receivers.iter().map(|name| &**name).collect();
    if known.contains(&word.text) {
        return;
    }
    let hint = match nearest(word.text, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the configuration has no receivers".to_owned(),
        None if known.len() > 12 => "receivers are defined in the configuration, under `receivers`".to_owned(),
        None => format!("the configuration has {}", listed(&known)),
    };
    step.fault(Code::Receiver, &word.node.span, format!("there is no receiver `{}`", word.text), &hint);
}

fn repeat(fields: &mut Fields<'_>) -> Option<Millis> {
    let node = fields.get("repeat")?;
    if matches!(&node.value, Value::Text(text) if text == "never") {
        return None;
    }
    let length = fields.as_duration("repeat", node)?;
    if length < REPEAT_MIN {
        let message = format!("`repeat` is {length}, but must be at least {REPEAT_MIN}");
        fields.fault(Code::Range, &node.span, message, "leave it out, or write `never`, to say it once");
    }
    Some(length)
}

//! `correlate`: rules that group alerts into incidents. The first that matches takes the alert.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `match` | which alerts | all |
//! | `when` | an [expression](crate::ruleset::expression) over the alert: over the beat beside `absent`, over each step beside `sequence` | all |
//! | `by` | one incident for each combination of these labels' values | one for all |
//! | `window` | an incident takes further alerts while its last news is less old than this | `1h` |
//! | `max_age` | … and while it is itself younger than this | `24h` |
//! | `resolve_after` | how long all its alerts must have stayed resolved before it resolves | `0s` |
//! | `back_within` | an alert that was away (resolved) for so long does not come back to its incident: it is decided anew | it comes back |
//! | `threshold` | `{ count, distinct, of, within, otherwise }`: open only when `count` alerts (or alerts with so many different values of the label `distinct`) fire within the time, or with `of: firings` alerts have begun to fire so many times, one and the same several times; what has waited in vain goes on to later rules (`otherwise: alone`, the default) or ends there (`drop`) | open at once |
//! | `absent` | `{ match, for }`, instead of `match`: the alerts that match (and satisfy the rule's `when`) are beats and open nothing; an incident opens when no beat of the group has been heard of for so long, and the next one resolves it | |
//! | `sequence`, `within`, `hold` | instead of `match`: a list of 2 to 8 steps, each with its `match` or `when`; an incident opens when the last one comes after all others, in order, `within` the time. Earlier steps go on to later rules, and their incidents become its children; with `hold: true` they wait until the time is over, and become its members | |
//! | `topology` | `{ hops, within }`, instead of `by`: alerts with a `service` join the oldest open incident with news within the time whose service is at most so many (1 to 4) edges of the catalogue away; others that they touch become its children; alone, one incident for each service | |
//! | `ties`, `wait` | instead of `by`: a list of up to 16, each `{ same, within, to, alerts }` or `{ hops, on, within, to, alerts }`: an alert joins the incident that has an alert with the same labels (or of a thing so near in the catalogue) that began less than `within` before it, by the first tie that holds; one that is tied to nothing waits for `wait` (default `0s`) before it opens an incident, with all that wait and are tied to it | |
//! | `lag` | beside `ties`: the label that says how long (`10m`) an alert's condition had lasted when it fired, as Prometheus' `for` makes it. Ties then compare when conditions began, in either direction | when alerts began |
//! | `storm` | `{ above, least, within, hold, pass }`: one incident for each value of `by` takes all that comes while at least `least` alerts, and `above` (10) times what is usual there, come within the time. The first alerts of `pass` (3) kinds go on to later rules as well; without a storm everything does, after `hold` (by default at once, and after 10s while a fifth of what makes a storm has come) | |
//! | `continue` | `true`: later rules take the alert, too | `false` |
//! | `title` | a template that sees `by.<label>`, `labels.<name>` (of the alert that opens) and `incident.count` | the rule's name and the values of `by` |
//!
//! After all rules comes the built-in one with the name `default`: by `alertname` and `service`, window `1h`, at most
//! `24h`. A file that has a rule of that name replaces it.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::model::{Matcher, Millis, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::{Fields, Text};
use crate::ruleset::rules::{CorrelateRule, Otherwise, Sequence, SequenceStep, StormRule, Threshold, Topology};
use crate::ruleset::schema::ties;
use crate::ruleset::template::{Part, Template};
use crate::ruleset::yaml::Value;

/// How long an incident takes further alerts after its last news, where a rule does not say.
pub(in crate::ruleset) const WINDOW: Millis = Millis::hours(1);
/// How old an incident that takes further alerts may be, where a rule does not say.
pub(in crate::ruleset) const MAX_AGE: Millis = Millis::hours(24);
/// Steps of one sequence.
pub(in crate::ruleset) const STEPS_MAX: usize = 8;
/// An alert that has resolved is remembered for so long as a step.
const SEQUENCE_MAX: Millis = Millis::hours(24);
/// Alerts are remembered for so long in order to be counted as a storm.
const STORM_WITHIN: [Millis; 2] = [Millis::seconds(10), Millis::minutes(30)];
/// What waits for a storm is not heard of meanwhile.
const STORM_HOLD_MAX: Millis = Millis::minutes(1);
/// Kinds that go past a storm: each may open an incident.
pub(in crate::ruleset) const STORM_PASS_MAX: u32 = 100;
/// Times what is usual, where a rule does not say.
pub(in crate::ruleset) const STORM_ABOVE: u32 = 10;
/// Kinds that go past a storm, where a rule does not say.
pub(in crate::ruleset) const STORM_PASS: u32 = 3;
/// Hops beyond which everything is near everything.
pub(in crate::ruleset) const HOPS_MAX: u32 = 4;
/// Beats are looked for about once a second.
const BEAT_MIN: Millis = Millis::seconds(5);
/// A beat that is rarer than this is none.
const BEAT_MAX: Millis = Millis::hours(30 * 24);
/// Labels in one `by`.
pub(in crate::ruleset) const BY_MAX: usize = 16;
/// Alerts that a threshold may ask for.
pub(in crate::ruleset) const COUNT_MAX: u32 = 100_000;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> CorrelateRule {
    let mut sequence = sequence(fields);
    let (mut matchers, absent) = absent(fields);
    let when = fields.when_of_alert(&mut matchers);
    if let Some(sequence) = &mut sequence {
        // The rule is found by its steps alone, so what all of them must be is said with each.
        let of_all = std::mem::take(&mut matchers);
        sequence.steps.iter_mut().for_each(|step| step.matchers.extend(of_all.iter().cloned()));
    }
    let by = if fields.has("topology") { vec!["service".into()] } else { by(fields) };
    let window = positive(fields, "window").unwrap_or(WINDOW);
    let max_age = positive(fields, "max_age").unwrap_or(MAX_AGE);
    let resolve_after = fields.duration("resolve_after").unwrap_or(Millis::ZERO);
    let back_within = positive(fields, "back_within");
    let threshold = threshold(fields);
    let topology = topology(fields);
    let (ties, wait) = ties::read(fields);
    let storm = storm(fields);
    let go_on = fields.flag("continue").unwrap_or(false);
    let title = match fields.text("title") {
        Some(text) => title(fields, text, &by),
        None => None,
    };
    let title = title.unwrap_or_else(|| default_title(&rule.name, &by));
    CorrelateRule {
        rule,
        matchers,
        when,
        by,
        window,
        max_age,
        resolve_after,
        back_within,
        threshold,
        absent,
        sequence,
        topology,
        storm,
        ties,
        wait,
        go_on,
        title,
    }
}

fn sequence(fields: &mut Fields<'_>) -> Option<Sequence> {
    let node = fields.get("sequence")?;
    fields.ignore("match");
    for other in ["match", "threshold", "absent", "topology"] {
        refuse_beside(fields, "sequence", other, "each step of the sequence has its own `match`");
    }
    let items = fields.as_list("sequence", node);
    if matches!(node.value, Value::List(_)) && !(2..=STEPS_MAX).contains(&items.len()) {
        let message = format!("`sequence` has {} steps, but must have 2 to {STEPS_MAX}", items.len());
        fields.fault(Code::Range, &node.span, message, "");
    }
    let step = |item| {
        Fields::read(item, "a step of `sequence`", fields.report, |step| {
            if !step.has("when") {
                step.need("match");
            }
            if step.is_empty_list("match") {
                step.fault(
                    Code::Missing,
                    &step.key_span("match"),
                    "`match` has no matcher",
                    "any alert at all would be this step",
                );
            }
            let mut matchers = step.matchers("match");
            let when = step.when_of_alert(&mut matchers);
            SequenceStep { matchers, when }
        })
    };
    let steps = items.iter().filter_map(step).collect();
    fields.need("within");
    let within = positive(fields, "within")?;
    if within > SEQUENCE_MAX {
        let message = format!("`within` is {within}, but must be at most {SEQUENCE_MAX}");
        fields.fault(Code::Range, &fields.key_span("within"), message, "");
    }
    Some(Sequence { steps, within, hold: fields.flag("hold").unwrap_or(false) })
}

/// Tells of a key that cannot stand beside another one.
pub(super) fn refuse_beside(fields: &Fields<'_>, key: &str, other: &'static str, hint: &str) {
    if fields.has(other) {
        fields.fault(Code::Conflict, &fields.key_span(other), format!("`{other}` beside `{key}`"), hint);
    }
}

fn topology(fields: &mut Fields<'_>) -> Option<Topology> {
    let node = fields.get("topology")?;
    fields.ignore("by");
    for other in ["by", "threshold", "absent"] {
        refuse_beside(fields, "topology", other, "its incidents have the service as their key");
    }
    let read = Fields::read(node, "`topology`", fields.report, |topology| {
        topology.need("hops");
        let hops = topology.number("hops", 1..=HOPS_MAX).and_then(|hops| u8::try_from(hops).ok());
        topology.need("within");
        let within = positive(topology, "within");
        Some(Topology { hops: hops?, within: within? })
    });
    read.flatten()
}

fn storm(fields: &mut Fields<'_>) -> Option<StormRule> {
    let node = fields.get("storm")?;
    for other in ["threshold", "absent", "sequence", "topology", "continue"] {
        refuse_beside(fields, "storm", other, "a storm takes whatever comes in its place, and without one everything goes on");
    }
    let read = Fields::read(node, "`storm`", fields.report, |storm| {
        let above = number_or(storm, "above", 2..=1_000, STORM_ABOVE);
        storm.need("least");
        let least = storm.number("least", 2..=COUNT_MAX);
        let [shortest, longest] = STORM_WITHIN;
        let within = storm.need("within").and_then(|node| {
            let within = storm.as_duration("within", node)?;
            if within < shortest || within > longest {
                let message = format!("`within` is {within}, but must be from {shortest} to {longest}");
                storm.fault(Code::Range, &node.span, message, "");
            }
            Some(within)
        });
        let hold = storm.duration("hold");
        if let Some(hold) = hold.filter(|hold| *hold > STORM_HOLD_MAX) {
            let message = format!("`hold` is {hold}, but must be at most {STORM_HOLD_MAX}");
            storm.fault(Code::Range, &storm.key_span("hold"), message, "nobody hears of what is held");
        }
        let pass = number_or(storm, "pass", 0..=STORM_PASS_MAX, STORM_PASS);
        Some(StormRule { above: above?, least: least?, within: within?, hold, pass: pass? })
    });
    read.flatten()
}

/// A number, or its default where the key is not there; `None` for a bad one.
fn number_or(fields: &mut Fields<'_>, key: &'static str, range: RangeInclusive<u32>, default: u32) -> Option<u32> {
    let number = fields.number(key, range);
    if fields.has(key) { number } else { Some(default) }
}

/// The rule's matchers, and how long it waits for a beat, if it does.
fn absent(fields: &mut Fields<'_>) -> (Vec<Matcher>, Option<Millis>) {
    let Some(node) = fields.get("absent") else { return (fields.matchers("match"), None) };
    fields.ignore("match");
    for (other, hint) in [
        ("match", "which alerts are the beat is said in `absent`"),
        ("threshold", "one beat is enough, and none is too few"),
        ("resolve_after", "the next beat resolves it"),
    ] {
        refuse_beside(fields, "absent", other, hint);
    }
    // Which alerts are the beat may be said by the rule's `when` alone.
    let conditional = fields.has("when");
    let read = Fields::read(node, "`absent`", fields.report, |absent| {
        if !conditional {
            absent.need("match");
        }
        let matchers = absent.matchers("match");
        if absent.is_empty_list("match") {
            absent.fault(
                Code::Missing,
                &absent.key_span("match"),
                "`match` has no matcher",
                "any alert at all would be the beat",
            );
        }
        let length = absent.need("for").and_then(|node| {
            let length = absent.as_duration("for", node)?;
            if length < BEAT_MIN || length > BEAT_MAX {
                let message = format!("`for` is {length}, but must be from {BEAT_MIN} to {BEAT_MAX}");
                absent.fault(Code::Range, &node.span, message, "");
            }
            Some(length)
        });
        (matchers, length)
    });
    read.unwrap_or_default()
}

fn by(fields: &mut Fields<'_>) -> Vec<Arc<str>> {
    let words = fields.words("by");
    if words.len() > BY_MAX {
        let message = format!("`by` has {} labels, but at most {BY_MAX} are allowed", words.len());
        fields.fault(Code::Limit, &fields.key_span("by"), message, "");
    }
    words.iter().map(|word| word.text.into()).collect()
}

/// A length of time that is more than nothing.
pub(in crate::ruleset) fn positive(fields: &mut Fields<'_>, key: &'static str) -> Option<Millis> {
    let node = fields.get(key)?;
    let length = fields.as_duration(key, node)?;
    if length == Millis::ZERO {
        fields.fault(Code::Range, &node.span, format!("`{key}` must be more than nothing"), "");
    }
    Some(length)
}

fn threshold(fields: &mut Fields<'_>) -> Option<Threshold> {
    let node = fields.get("threshold")?;
    let read = Fields::read(node, "`threshold`", fields.report, |threshold| {
        threshold.need("count");
        let count = threshold.number("count", 1..=COUNT_MAX);
        let distinct = threshold.word("distinct");
        let firings = match threshold.text("of").map(|text| (text.text, text)) {
            None | Some(("alerts", _)) => false,
            Some(("firings", _)) => true,
            Some((word, text)) => {
                let hint = "`alerts`: those that fire; `firings`: each time that one begins to";
                threshold.fault(Code::Word, &text.node.span, format!("`{word}` is neither `alerts` nor `firings`"), hint);
                false
            }
        };
        if firings {
            refuse_beside(threshold, "of", "distinct", "each firing counts, whatever its labels");
        }
        threshold.need("within");
        let within = positive(threshold, "within");
        let otherwise = match threshold.text("otherwise").map(|text| (text.text, text)) {
            None | Some(("alone", _)) => Otherwise::Alone,
            Some(("drop", _)) => Otherwise::Drop,
            Some((word, text)) => {
                let message = format!("`{word}` is neither `alone` nor `drop`");
                let hint = "`alone`: goes on to the later rules; `drop`: ends there";
                threshold.fault(Code::Word, &text.node.span, message, hint);
                Otherwise::Alone
            }
        };
        Some(Threshold { count: count?, distinct, firings, within: within?, otherwise })
    });
    read.flatten()
}

fn title(fields: &Fields<'_>, text: Text<'_>, by: &[Arc<str>]) -> Option<Template> {
    fields.template(text, |root, field| match (root, field) {
        ("labels", _) | ("incident", Some("count")) => Ok(()),
        ("by", Some(name)) if by.iter().any(|label| **label == *name) => Ok(()),
        ("by", Some(name)) => Err(format!("add `{name}` to `by`, or write `labels.{name}` for the first alert's")),
        ("by", None) => Err("name one of the labels in `by`".to_owned()),
        ("incident", _) => Err("of `incident`, a title sees `count`".to_owned()),
        _ => Err("a title sees `by`, `labels` and `incident.count`".to_owned()),
    })
}

/// `rule: value, value`.
fn default_title(rule: &str, by: &[Arc<str>]) -> Template {
    let mut parts = vec![(Part::Text(rule.into()), 0)];
    for (at, label) in by.iter().enumerate() {
        parts.push((Part::Text(if at == 0 { ": " } else { ", " }.into()), 0));
        parts.push((Part::Field { root: "by".into(), name: (&**label).into() }, 0));
    }
    Template::from_parts(&parts)
}

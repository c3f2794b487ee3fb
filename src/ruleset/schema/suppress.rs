//! `suppress`: rules that keep alerts quiet. A suppressed alert opens and joins no incident until what suppressed it ends.
//!
//! A rule has exactly one of:
//!
//! | key | suppresses |
//! | --- | --- |
//! | `inhibit: { source, target, equal }` | alerts that match `target` while an alert that matches `source` fires and has the same values in the labels `equal` (default none) |
//! | `during: { days, from, to, zone }` | what matches while the wall clock of `zone` (default `UTC`) stands between `from` and `to` on one of the `days` (`mon` to `sun`, default all) |
//! | `hold: 2m` | what matches for so long after it began to fire: what resolves within that time is heard of by nobody |
//! | `flapping: { changes, within, until_stable }` | what matches and has changed between firing and resolved so many times (2 to 100; the first firing counts) within the time, until it has not changed for `until_stable` |
//!
//! `match` says which alerts, `when` says it as an [expression](crate::ruleset::expression); one of the two must be there for
//! all but `inhibit`, which has its `target` instead of `match`, and whose `when` is about the target.
//! Times of day are `HH:MM`, up to `24:00`; a window whose `from` comes after its `to` lasts past midnight.

use crate::model::{Matcher, Millis, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::Fields;
use crate::ruleset::rules::{Flapping, SuppressHow, SuppressRule};
use crate::ruleset::schedule::{Schedule, find_zone, parse_clock, parse_day};
use crate::ruleset::suggest::listed;
use crate::ruleset::yaml::Node;

/// Longer than this nothing is held: it would be hidden, not held.
const HOLD_MAX: Millis = Millis::hours(24);

/// Changes that a rule may ask for: each alert keeps so many moments.
pub(in crate::ruleset) const CHANGES_MAX: u32 = 100;

/// An alert that has resolved is remembered for so long on a rule's behalf.
const FLAPPING_MAX: Millis = Millis::hours(24);

/// What a rule has one of.
const HOW: [&str; 4] = ["inhibit", "during", "hold", "flapping"];

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> Option<SuppressRule> {
    let present: Vec<&str> = HOW.into_iter().filter(|key| fields.has(key)).collect();
    match present[..] {
        [] => {
            let span = fields.span();
            fields.fault(Code::Missing, &span, format!("a suppress rule needs one of {}", listed(&HOW)), "");
        }
        [_, second, ..] => {
            let span = fields.key_span(second);
            let message = format!("a suppress rule has one of {}; this one has {}", listed(&HOW), present.len());
            fields.fault(Code::Conflict, &span, message, "make a rule for each");
        }
        [_] => {}
    }
    let (target, inhibited) = inhibit(fields);
    let how = inhibited.or(during(fields));
    let how = how.or(hold(fields));
    let how = how.or(flapping(fields));
    let mut matchers = if fields.has("inhibit") {
        if fields.has("match") {
            let span = fields.key_span("match");
            fields.fault(Code::Conflict, &span, "`match` beside `inhibit`", "which alerts are inhibited is said by `target`");
            fields.matchers("match");
        }
        target
    } else {
        if !fields.has("when") {
            fields.need("match");
        }
        let matchers = fields.matchers("match");
        require_some(fields, "match", matchers.is_empty());
        matchers
    };
    let when = fields.when_of_alert(&mut matchers);
    Some(SuppressRule { rule, matchers, when, how: how? })
}

/// The target and the rest of an inhibition.
fn inhibit(fields: &mut Fields<'_>) -> (Vec<Matcher>, Option<SuppressHow>) {
    let Some(node) = fields.get("inhibit") else { return (Vec::new(), None) };
    let read = Fields::read(node, "`inhibit`", fields.report, |inhibit| {
        let (mut lists, names) = (Vec::new(), ["source", "target"]);
        for name in names {
            inhibit.need(name);
            let list = inhibit.matchers(name);
            require_some(inhibit, name, list.is_empty());
            lists.push(list);
        }
        let equal = inhibit.words("equal").iter().map(|word| word.text.into()).collect();
        let target = lists.pop().unwrap_or_default();
        (target, Some(SuppressHow::Inhibit { source: lists.pop().unwrap_or_default(), equal }))
    });
    read.unwrap_or_default()
}

/// An empty list of matchers would suppress everything: it must be meant, as `alertname!=""`.
fn require_some(fields: &Fields<'_>, key: &str, is_empty: bool) {
    if is_empty && fields.is_empty_list(key) {
        let span = fields.key_span(key);
        fields.fault(Code::Missing, &span, format!("`{key}` has no matcher"), "for all alerts write `['alertname!=\"\"']`");
    }
}

fn during(fields: &mut Fields<'_>) -> Option<SuppressHow> {
    let node = fields.get("during")?;
    let read = Fields::read(node, "`during`", fields.report, |during| {
        let mut days = [!during.has("days"); 7];
        for word in during.words("days") {
            match parse_day(word.text) {
                Some(day) => days[day] = true,
                None => during.fault(
                    Code::Schedule,
                    &word.node.span,
                    format!("`{}` is no day of the week", word.text),
                    "the days are mon, tue, wed, thu, fri, sat, sun",
                ),
            }
        }
        let from = clock(during, "from");
        let to = clock(during, "to");
        if let (Some(from), Some(to)) = (from, to)
            && from == to
        {
            let hint = "for whole days write `from: \"00:00\"`, `to: \"24:00\"`";
            during.fault(Code::Schedule, &during.key_span("to"), "a window that ends when it begins", hint);
        }
        if from == Some(24 * 60) {
            during.fault(Code::Schedule, &during.key_span("from"), "a window cannot begin at 24:00", "write `00:00`");
        }
        let zone = match during.text("zone") {
            None => find_zone("UTC"),
            Some(name) => {
                let zone = find_zone(name.text);
                if zone.is_none() {
                    let message = format!("`{}` is no time zone", name.text);
                    during.fault(Code::Schedule, &name.node.span, message, "zones have IANA's names, such as `Europe/Berlin`");
                }
                zone
            }
        };
        Some(SuppressHow::During(Schedule::new(days, from?, to?, zone?)))
    });
    read.flatten()
}

/// A time of day, in minutes.
fn clock(fields: &mut Fields<'_>, key: &'static str) -> Option<u16> {
    let text = fields.need_text(key)?;
    let minutes = parse_clock(text.text);
    if minutes.is_none() {
        let message = format!("`{}` is no time of day", text.text);
        fields.fault(Code::Schedule, &text.node.span, message, "write hours and minutes, `\"02:00\"` to `\"24:00\"`");
    }
    minutes
}

fn hold(fields: &mut Fields<'_>) -> Option<SuppressHow> {
    let node = fields.get("hold")?;
    let length = fields.as_duration("hold", node)?;
    in_range(fields, "hold", node, length, HOLD_MAX);
    Some(SuppressHow::Hold(length))
}

fn flapping(fields: &mut Fields<'_>) -> Option<SuppressHow> {
    let node = fields.get("flapping")?;
    let read = Fields::read(node, "`flapping`", fields.report, |flapping| {
        flapping.need("changes");
        let changes = flapping.number("changes", 2..=CHANGES_MAX);
        let [within, until_stable] = ["within", "until_stable"].map(|key| {
            let node = flapping.need(key)?;
            let length = flapping.as_duration(key, node)?;
            in_range(flapping, key, node, length, FLAPPING_MAX);
            Some(length)
        });
        Some(SuppressHow::Flapping(Flapping { changes: changes?, within: within?, until_stable: until_stable? }))
    });
    read.flatten()
}

fn in_range(fields: &Fields<'_>, key: &str, node: &Node, length: Millis, most: Millis) {
    if length == Millis::ZERO || length > most {
        let message = format!("`{key}` is {length}, but must be more than nothing and at most {most}");
        fields.fault(Code::Range, &node.span, message, "");
    }
}

//! `heartbeats`: what tells again and again that it is there, by `POST /v1/heartbeats/{name}`; when it does not, an alert fires.
//!
//! | key | meaning |
//! | --- | --- |
//! | `name` | as the path has it: letters, digits, `-`, `_` and `.`; unique over all files |
//! | `every` | how often it is to be heard of |
//! | `grace` | so much later is still in time; default a tenth of `every`, at least 5s |
//! | `labels` | of the alert, beside `alertname="HeartbeatMissed"` and `heartbeat`; `severity` is `high` unless named here |
//!
//! The alert is one of the source `heartbeat`, and goes through all stages. The next beat resolves it.

use std::ops::RangeInclusive;

use crate::model::{Labels, Millis, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::Fields;
use crate::ruleset::rules::HeartbeatRule;

/// The alert's name.
pub(in crate::ruleset) const ALERTNAME: &str = "HeartbeatMissed";
/// Bytes of a name.
pub(in crate::ruleset) const NAME_BYTES_MAX: usize = 128;
/// Labels that one heartbeat may give.
pub(in crate::ruleset) const LABELS_MAX: usize = 32;
/// Bytes of one label's value.
const VALUE_BYTES_MAX: usize = 1_024;
/// Oftener nobody need hear of anything, and each beat is written down.
const EVERY: RangeInclusive<Millis> = Millis::seconds(1)..=Millis::hours(366 * 24);
const GRACE_LEAST: Millis = Millis::seconds(5);
/// The default for `grace` is such a part of `every`.
const GRACE_PART: i64 = 10;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> HeartbeatRule {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !rule.name.is_empty() && (rule.name.len() > NAME_BYTES_MAX || !rule.name.chars().all(is_plain)) {
        let message = format!("the name of a heartbeat has at most {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`");
        fields.fault(Code::Range, &fields.key_span("name"), message, "it is the end of the path that beats are sent to");
    }
    fields.need("every");
    let every = fields.duration("every").filter(|every| in_range(fields, "every", *every, &EVERY));
    let grace = fields.duration("grace");
    let grace = grace.filter(|grace| in_range(fields, "grace", *grace, &(Millis::ZERO..=*EVERY.end())));
    let every = every.unwrap_or(*EVERY.end());
    let grace = grace.unwrap_or(GRACE_LEAST.max(Millis(every.0 / GRACE_PART)));
    let labels = labels(fields, &rule.name);
    HeartbeatRule { rule, every, grace, labels }
}

fn in_range(fields: &Fields<'_>, key: &str, length: Millis, range: &RangeInclusive<Millis>) -> bool {
    let fits = range.contains(&length);
    if !fits {
        let message = format!("`{key}` is {length}, but must be from {} to {}", range.start(), range.end());
        fields.fault(Code::Range, &fields.key_span(key), message, "");
    }
    fits
}

/// All labels of the alert.
fn labels(fields: &mut Fields<'_>, heartbeat: &str) -> Labels {
    let own = [("severity", "high"), ("alertname", ALERTNAME), ("heartbeat", heartbeat)];
    let node = fields.get("labels");
    let given = node.and_then(|node| {
        Fields::read(node, "a set of labels", fields.report, |labels| {
            let entries = labels.all();
            if entries.len() > LABELS_MAX {
                let message = format!("`labels` has {} labels, but at most {LABELS_MAX} are allowed", entries.len());
                labels.fault(Code::Limit, &node.span, message, "");
            }
            let mut pairs: Vec<(&str, &str)> = Vec::new();
            for (key, value) in entries.iter().take(LABELS_MAX) {
                let name = key.text.as_str();
                if matches!(name, "alertname" | "heartbeat") {
                    labels.fault(Code::Conflict, &key.span, format!("`{name}` is Quell's to set"), "take it out");
                }
                let Some(text) = labels.as_text(name, value) else { continue };
                if name.is_empty() || name.len() > VALUE_BYTES_MAX || text.text.len() > VALUE_BYTES_MAX {
                    let message =
                        format!("a label has 1 to {VALUE_BYTES_MAX} bytes in its name, and at most so many in its value");
                    labels.fault(Code::Range, &value.span, message, "");
                } else {
                    pairs.push((name, text.text));
                }
            }
            pairs
        })
    });
    // Of two with one name the last counts: what is ours stands behind, but for the severity.
    let pairs = own[..1].iter().copied().chain(given.into_iter().flatten()).chain(own[1..].iter().copied());
    Labels::from_pairs(pairs).unwrap_or_default()
}

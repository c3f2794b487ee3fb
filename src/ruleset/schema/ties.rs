//! `ties` of a correlate rule: what makes an alert part of the trouble that another one belongs to.
//!
//! | key | meaning | default |
//! | --- | --- | --- |
//! | `same` | labels on which both agree; a missing one ties nothing | |
//! | `hops`, `on` | instead: the things that the label `on` names are at most so many (0 to 4) hops apart in the catalogue | `service` |
//! | `within` | how long before it the other one has begun, at most (up to 1h) | must be there |
//! | `to` | matchers for the other one | any alert |
//! | `alerts` | how many such alerts the incident must have | 1 |
//!
//! `lag` beside `ties` names the label that says how long an alert's condition had lasted when it fired.

use super::correlate::{HOPS_MAX, positive, refuse_beside};
use crate::model::Millis;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::Fields;
use crate::ruleset::rules::{Tie, TieHow};

/// Ties of one rule.
pub(in crate::ruleset) const TIES_MAX: usize = 16;
/// Labels of one tie.
pub(in crate::ruleset) const SAME_MAX: usize = 8;
/// Alerts that a tie may ask for.
pub(in crate::ruleset) const ALERTS_MAX: u32 = 100;
/// What resolved before that may be out of memory.
const WITHIN_MAX: Millis = Millis::hours(1);
/// Longer than this, an alert that is tied to nothing is kept from nobody.
const WAIT_MAX: Millis = Millis::hours(1);

/// The rule's ties, and how long one waits that is tied to nothing.
pub(super) fn read(fields: &mut Fields<'_>) -> (Vec<Tie>, Millis) {
    let wait = positive(fields, "wait");
    let Some(node) = fields.get("ties") else {
        for key in ["wait", "lag"] {
            if fields.has(key) {
                let message = format!("`{key}` without `ties`");
                fields.fault(Code::Missing, &fields.key_span(key), message, "others join it by `ties` alone");
                fields.ignore(key);
            }
        }
        return (Vec::new(), Millis::ZERO);
    };
    for other in ["by", "absent", "sequence", "topology"] {
        refuse_beside(fields, "ties", other, "its incidents are what is tied together");
    }
    if wait.is_some() {
        refuse_beside(fields, "wait", "threshold", "how long it waits is said by `within`");
    }
    if wait.is_some_and(|wait| wait > WAIT_MAX) {
        let message = format!("`wait` must be at most {WAIT_MAX}");
        fields.fault(Code::Range, &fields.key_span("wait"), message, "");
    }
    let lag = fields.word("lag");
    let items = fields.as_list("ties", node);
    if items.is_empty() || items.len() > TIES_MAX {
        let message = format!("`ties` has {} entries, but must have 1 to {TIES_MAX}", items.len());
        fields.fault(Code::Range, &node.span, message, "");
    }
    let read = |item| Fields::read(item, "a tie", fields.report, tie).flatten();
    let ties = items.iter().filter_map(read).map(|tie| Tie { lag: lag.clone(), ..tie }).collect();
    (ties, wait.unwrap_or(Millis::ZERO))
}

fn tie(fields: &mut Fields<'_>) -> Option<Tie> {
    let how = if fields.has("same") { Some(same(fields)) } else { near(fields) };
    fields.need("within");
    let within = positive(fields, "within");
    if within.is_some_and(|within| within > WITHIN_MAX) {
        let message = format!("`within` must be at most {WITHIN_MAX}");
        fields.fault(Code::Range, &fields.key_span("within"), message, "");
    }
    let to = fields.matchers("to");
    let alerts = fields.number("alerts", 1..=ALERTS_MAX).unwrap_or(1);
    Some(Tie { how: how?, within: within?, to, alerts, lag: None })
}

fn same(fields: &mut Fields<'_>) -> TieHow {
    for other in ["hops", "on"] {
        refuse_beside(fields, "same", other, "make it a tie of its own");
        fields.ignore(other);
    }
    let labels = fields.words("same");
    if labels.is_empty() || labels.len() > SAME_MAX {
        let message = format!("`same` has {} labels, but must have 1 to {SAME_MAX}", labels.len());
        fields.fault(Code::Range, &fields.key_span("same"), message, "");
    }
    TieHow::Same(labels.iter().map(|label| label.text.into()).collect())
}

fn near(fields: &mut Fields<'_>) -> Option<TieHow> {
    if !fields.has("hops") {
        let hint = "write `same: [cluster]`, or `hops: 1` to follow the catalogue";
        fields.fault(Code::Missing, &fields.span(), "a tie needs `same` or `hops`", hint);
    }
    let hops = fields.number("hops", 0..=HOPS_MAX).and_then(|hops| u8::try_from(hops).ok());
    let label = fields.word("on").unwrap_or_else(|| "service".into());
    Some(TieHow::Near { label, hops: hops? })
}

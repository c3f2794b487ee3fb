//! `enrich`: rules that change labels. Each that matches applies, in order, and sees what those before it have set.
//!
//! | key | meaning |
//! | --- | --- |
//! | `match` | which alerts; default all |
//! | `when` | an [expression](crate::ruleset::expression) over the alert; default all |
//! | `set` | labels and what they become, as templates; an empty result takes the label away |
//!
//! Templates see `labels.<name>`, `annotations.<name>`, `alert.source` and `capture.<name>`: what the named group
//! `(?P<name>…)` of a `=~` matcher took.

use std::sync::Arc;

use crate::model::RuleRef;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::Fields;
use crate::ruleset::matchers::capture_names;
use crate::ruleset::rules::EnrichRule;
use crate::ruleset::suggest::listed;
use crate::ruleset::template::Template;

/// Labels that one rule may set.
const SET_MAX: usize = 64;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef) -> EnrichRule {
    let table = fields.refuse("table") | fields.refuse("on");
    let mut matchers = fields.matchers("match");
    let captured: Vec<&str> = capture_names(&matchers).collect();
    let node = if table { fields.get("set") } else { fields.need("set") };
    let mut set: Vec<(Arc<str>, Template)> = Vec::new();
    if let Some(node) = node {
        Fields::read(node, "`set`", fields.report, |labels| {
            let entries = labels.all();
            if entries.is_empty() || entries.len() > SET_MAX {
                let message = format!("`set` has {} labels, but must have 1 to {SET_MAX}", entries.len());
                labels.fault(Code::Range, &node.span, message, "");
            }
            for (key, value) in entries.iter().take(SET_MAX) {
                if let Some(text) = labels.as_text(&key.text, value)
                    && let Some(template) = labels.template(text, |root, field| allowed(&captured, root, field))
                {
                    set.push((key.text.as_str().into(), template));
                }
            }
        });
    }
    let when = fields.when_of_alert(&mut matchers);
    EnrichRule { rule, matchers, when, set }
}

fn allowed(captured: &[&str], root: &str, field: Option<&str>) -> Result<(), String> {
    match (root, field) {
        ("labels" | "annotations", _) | ("alert", Some("source")) => Ok(()),
        ("capture", Some(name)) if captured.contains(&name) => Ok(()),
        ("capture", Some(_)) if !captured.is_empty() => Err(format!("the matchers of this rule capture {}", listed(captured))),
        ("capture", Some(name)) => Err(format!("no `=~` matcher of this rule has a group `(?P<{name}>…)`")),
        ("capture", None) => Err("name one of the captured groups".to_owned()),
        ("alert", _) => Err("of `alert`, templates in `set` see `source`".to_owned()),
        _ => Err("templates in `set` see `labels`, `annotations`, `capture` and `alert.source`".to_owned()),
    }
}

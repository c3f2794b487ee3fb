//! `enrich`: rules that change labels. Each that matches applies, in order, and sees what those before it have set.
//!
//! | key | meaning |
//! | --- | --- |
//! | `match` | which alerts; default all |
//! | `when` | an [expression](crate::ruleset::expression) over the alert; default all |
//! | `set` | labels and what they become, as templates; an empty result takes the label away |
//! | `table`, `on` | instead of `set`: a CSV file, its path from the rule file on, and which of its columns are looked up by the alert's labels of these names; the row's other columns become labels, but for empty cells |
//! | `changed` | only where what the alert is about was changed (`/v1/changes`) no longer ago than this, in its cluster or everywhere; default: whether or not |
//!
//! Templates see `labels.<name>`, `annotations.<name>`, `alert.source` and `capture.<name>`: what the named group
//! `(?P<name>…)` of a `=~` matcher took.

use std::sync::Arc;

use crate::model::RuleRef;
use crate::ruleset::diagnostics::Code;
use crate::ruleset::fields::Fields;
use crate::ruleset::matchers::capture_names;
use crate::ruleset::rules::EnrichRule;
use crate::ruleset::schema::correlate::positive;
use crate::ruleset::suggest::listed;
use crate::ruleset::table::{Table, Tables, is_plain};
use crate::ruleset::template::Template;

/// Labels that one rule may set.
pub(in crate::ruleset) const SET_MAX: usize = 64;

/// Columns that one key may have.
pub(in crate::ruleset) const ON_MAX: usize = 16;

pub(in crate::ruleset) fn read(fields: &mut Fields<'_>, rule: RuleRef, tables: &Tables<'_>) -> EnrichRule {
    let mut matchers = fields.matchers("match");
    let captured: Vec<&str> = capture_names(&matchers).collect();
    let table = table(fields, tables);
    let node = fields.get("set");
    match (fields.has("set"), fields.has("table")) {
        (false, false) => fields.fault(Code::Missing, &fields.span(), "an enrich rule needs one of `set`, `table`", ""),
        (true, true) => {
            fields.fault(Code::Conflict, &fields.key_span("table"), "`table` beside `set`", "make a rule for each");
        }
        _ => {}
    }
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
    let changed = positive(fields, "changed");
    EnrichRule { rule, matchers, when, set, table, changed }
}

fn table(fields: &mut Fields<'_>, tables: &Tables<'_>) -> Option<Arc<Table>> {
    let on: Vec<Arc<str>> = fields.words("on").iter().map(|word| word.text.into()).collect();
    if !fields.has("table") {
        if fields.has("on") {
            fields.fault(Code::Conflict, &fields.key_span("on"), "`on` without `table`", "it names the columns of a table's key");
        }
        return None;
    }
    fields.need("on");
    if (on.is_empty() && fields.is_empty_list("on")) || on.len() > ON_MAX {
        let message = format!("`on` has {} columns, but must have 1 to {ON_MAX}", on.len());
        fields.fault(Code::Range, &fields.key_span("on"), message, "");
    }
    let path = fields.need_text("table")?;
    if !is_plain(path.text) {
        let hint = "it ends with `.csv` and has no blanks, quotes, commas, colons or brackets";
        fields.fault(Code::Table, &path.node.span, format!("`{}` cannot be the path of a table", path.text), hint);
        return None;
    }
    let Some(file) = tables.file(fields.report.map.file(), path.text) else {
        let hint = "its path counts from this file, and lies in the folder of the rules";
        fields.fault(Code::Table, &path.node.span, format!("there is no table `{}`", path.text), hint);
        return None;
    };
    if on.is_empty() { None } else { tables.compile(file, &on) }
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

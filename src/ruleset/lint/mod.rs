//! Warnings about rules that can be used but hardly do what was meant.
//!
//! Looks at whole stages once everything has compiled; never refuses a rule. A warning is given only where it can be told
//! for certain: [`logic`] says what matchers say of each other, and is silent where it does not know.
//!
//! | file | warns of rules that |
//! | --- | --- |
//! | [`never`] | can never match |
//! | [`shadow`] | are never reached, or leave nothing to any other |
//! | [`suppress`] | suppress nothing, each other, or everything |
//! | [`times`] | wait for less time than senders take, or for ever |
//! | [`templates`] | have a template that fails |
//! | [`recorded`] | do not fit the alerts that really came |

mod condition;
mod logic;
mod never;
mod recorded;
mod shadow;
mod suppress;
mod templates;
#[cfg(test)]
mod tests;
mod times;

use std::sync::Arc;

use super::diagnostics::{Code, Diagnostic, SourceMap};
use super::load::SourceFile;
use super::rules::Ruleset;
use super::services::Doubt;
use crate::model::{Alert, RuleRef};

/// What is to be said of a rule, at its name.
struct Finding {
    rule: RuleRef,
    code: Code,
    message: String,
    hint: String,
}

impl Finding {
    fn new(rule: &RuleRef, code: Code, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { rule: rule.clone(), code, message: message.into(), hint: hint.into() }
    }
}

/// All warnings that the rules alone give rise to, by kind and in the order of the stages.
pub(super) fn lint(ruleset: &Ruleset, files: &[SourceFile]) -> Vec<Diagnostic> {
    let stages = condition::stages(ruleset);
    let mut found = never::find(ruleset, &stages);
    found.extend(shadow::find(ruleset, &stages));
    found.extend(suppress::find(ruleset));
    found.extend(times::find(ruleset));
    found.extend(templates::find(ruleset));
    found.extend(services(ruleset));
    place(found, files)
}

/// The warnings that recorded alerts give rise to: of rules that go by labels which these lack, and of templates that fail
/// on them.
#[must_use]
pub fn lint_recorded(ruleset: &Ruleset, files: &[SourceFile], alerts: &[Arc<Alert>]) -> Vec<Diagnostic> {
    place(recorded::find(ruleset, alerts), files)
}

fn services(ruleset: &Ruleset) -> Vec<Finding> {
    let doubts = ruleset.catalogue.doubts().into_iter();
    let finding = |(service, doubt, message, hint): (&RuleRef, Doubt, String, String)| {
        let code = match doubt {
            Doubt::Unknown => Code::UnknownService,
            Doubt::Circle => Code::Circle,
            Doubt::Crowded => Code::Crowded,
        };
        Finding::new(service, code, message, hint)
    };
    doubts.map(finding).collect()
}

/// Puts each warning at its rule's name.
fn place(found: Vec<Finding>, files: &[SourceFile]) -> Vec<Diagnostic> {
    let maps: Vec<SourceMap<'_>> = files.iter().map(|file| SourceMap::new(&file.name, &file.text)).collect();
    let placed = |finding: Finding| {
        let mut diagnostic = Diagnostic::new(finding.code, 0..0, finding.message).hint(finding.hint);
        let Some(map) = maps.iter().find(|map| *map.file() == finding.rule.file) else { return diagnostic };
        diagnostic.span = map.line_span(finding.rule.line);
        map.place(diagnostic)
    };
    found.into_iter().map(placed).collect()
}

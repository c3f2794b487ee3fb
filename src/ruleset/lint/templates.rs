//! Templates that fail on the plainest alert that their rule takes: the one that has the labels which the rule asks for,
//! and no other.
//!
//! Compiling finds what is wrong with a template whatever it is given. What is left are values: `int` of a label that is
//! not there. Where a rule asks for what no plain text can be made of, nothing is tried.

use super::Finding;
use super::logic;
use crate::model::{Labels, Matcher, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::rules::Ruleset;
use crate::ruleset::{AlertSubject, Expression, Subject};

pub(super) fn find(ruleset: &Ruleset) -> Vec<Finding> {
    let nothing = Labels::default();
    let mut found = Vec::new();
    for rule in &ruleset.enrich {
        let Some(labels) = plainest(&rule.matchers, rule.when.as_ref()) else { continue };
        let alert = AlertSubject { labels: &labels, annotations: &nothing, source: "" };
        let failed = rule.render(&alert).find_map(|(name, value)| Some((name, value.err()?)));
        if let Some((name, why)) = failed {
            found.push(finding(&rule.rule, &format!("the template of `{name}`"), &why, &labels));
        }
    }
    for rule in ruleset.correlate.iter().filter(|rule| rule.sequence.is_none()) {
        let Some(labels) = plainest(&rule.matchers, rule.when.as_ref()) else { continue };
        if let Err(why) = rule.render_title(&labels.only(&rule.by), &labels, 1) {
            found.push(finding(&rule.rule, "the title", &why, &labels));
        }
    }
    found
}

/// What is said of a template that failed.
pub(super) fn finding(rule: &RuleRef, what: &str, why: &str, labels: &Labels) -> Finding {
    let message = format!("{what} of the rule `{}` fails on an alert {labels}: {why}", rule.name);
    let hint = "ask before you reckon with a label that may be missing or hold another text: `{% if labels.x %}…{% endif %}`";
    Finding::new(rule, Code::TemplateFails, message, hint)
}

/// The labels that a rule's matchers list, if these are enough for it.
fn plainest(matchers: &[Matcher], when: Option<&Expression>) -> Option<Labels> {
    let wanted: Vec<(&str, String)> =
        matchers.iter().filter_map(|matcher| Some((&*matcher.name, logic::listed(matcher)?.into_iter().next()?))).collect();
    let mut pairs: Vec<(&str, &str)> = vec![("alertname", "Alert")];
    for (name, value) in &wanted {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value));
    }
    let labels = Labels::from_pairs(pairs)?;
    let nothing = Labels::default();
    let subject = Subject::Alert(AlertSubject { labels: &labels, annotations: &nothing, source: "" });
    let fits = matchers.iter().all(|matcher| matcher.matches(&labels)) && when.is_none_or(|when| when.holds(&subject));
    fits.then_some(labels)
}

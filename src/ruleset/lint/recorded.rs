//! Rules held against alerts that really came: labels that these lack, and templates that fail on them.
//!
//! Each alert goes through the enrich rules first, as it would in the daemon. Nothing is suppressed and nothing joins: what
//! a rule would do with an alert that another one takes is worth knowing, too.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Finding;
use super::templates;
use crate::model::{Alert, Labels, Matcher, RuleRef};
use crate::ruleset::diagnostics::Code;
use crate::ruleset::rules::{Ruleset, SuppressHow};
use crate::ruleset::{AlertSubject, Expression, Subject};

pub(super) fn find(ruleset: &Ruleset, alerts: &[Arc<Alert>]) -> Vec<Finding> {
    let mut uses = uses(ruleset);
    let mut failed: BTreeSet<(RuleRef, String)> = BTreeSet::new();
    let mut found = Vec::new();
    for alert in alerts {
        let mut fail = |rule: &RuleRef, what: String, why: &str, labels: &Labels| {
            let finding = templates::finding(rule, &what, why, labels);
            // Once for each template is enough.
            if failed.insert((rule.clone(), what)) {
                found.push(finding);
            }
        };
        let labels = enriched(ruleset, alert, &mut fail);
        let subject = subject(alert, &labels);
        for usage in &mut uses {
            usage.look(&subject);
        }
        for rule in ruleset.correlate.iter().filter(|rule| rule.sequence.is_none()) {
            if rule.title.names().is_empty() || !holds(&rule.matchers, rule.when.as_ref(), &subject) {
                continue;
            }
            if let Err(why) = rule.render_title(&labels.only(&rule.by), &labels, 1) {
                fail(&rule.rule, "the title".to_owned(), &why, &labels);
            }
        }
    }
    found.extend(uses.iter().filter_map(Usage::finding));
    found
}

/// A rule that goes by a label, and how many alerts it has met.
struct Usage<'a> {
    rule: &'a RuleRef,
    /// The key in the rule that names the label.
    key: &'static str,
    label: &'a str,
    side: Side<'a>,
    /// Of an inhibition, the sources; `side` has the targets.
    sources: Option<Side<'a>>,
}

/// The alerts that must have the label, as far as they were met.
struct Side<'a> {
    matchers: &'a [Matcher],
    when: Vec<&'a Expression>,
    matched: usize,
    had: usize,
}

impl Side<'_> {
    fn look(&mut self, alert: &AlertSubject<'_>, label: &str) {
        if holds(self.matchers, self.when.iter().copied(), alert) {
            self.matched += 1;
            self.had += usize::from(!alert.labels.get(label).is_empty());
        }
    }

    fn lacks(&self) -> bool {
        self.matched > 0 && self.had == 0
    }

    fn has(&self) -> bool {
        self.matched > 0 && self.had == self.matched
    }
}

impl Usage<'_> {
    fn look(&mut self, alert: &AlertSubject<'_>) {
        self.side.look(alert, self.label);
        if let Some(sources) = &mut self.sources {
            sources.look(alert, self.label);
        }
    }

    fn finding(&self) -> Option<Finding> {
        let (name, key, label) = (&self.rule.name, self.key, self.label);
        let (message, hint) = match &self.sources {
            // A label that both sides lack agrees; one that only one side has never does.
            Some(sources) if sources.lacks() && self.side.has() || sources.has() && self.side.lacks() => {
                let (with, without) = if sources.lacks() { ("targets", "sources") } else { ("sources", "targets") };
                let message = format!(
                    "the rule `{name}` goes by `{label}` (`{key}`), which its recorded {with} have and its {without} lack"
                );
                (message, "so they never agree, and nothing is inhibited")
            }
            None if self.side.lacks() => {
                let alerts = match self.side.matched {
                    1 => "the one recorded alert that it matches lacks".to_owned(),
                    many => format!("all of the {many} recorded alerts that it matches lack"),
                };
                let message = format!("the rule `{name}` goes by `{label}` (`{key}`), which {alerts}");
                (message, "a label that is missing counts as empty, so these are as if they all had one value")
            }
            _ => return None,
        };
        Some(Finding::new(self.rule, Code::LabelMissing, message, hint))
    }
}

/// Every label by which a rule of a file tells alerts apart.
fn uses<'a>(ruleset: &'a Ruleset) -> Vec<Usage<'a>> {
    let mut found = Vec::new();
    for rule in &ruleset.suppress {
        let SuppressHow::Inhibit { source, equal } = &rule.how else { continue };
        found.extend(equal.iter().map(|label| Usage {
            rule: &rule.rule,
            key: "equal",
            label,
            side: side(&rule.matchers, rule.when.as_ref()),
            sources: Some(side(source, None)),
        }));
    }
    for rule in ruleset.correlate.iter().filter(|rule| rule.rule.line > 0) {
        let lists: Vec<(&[Matcher], Option<&Expression>)> = match &rule.sequence {
            Some(sequence) => sequence.steps.iter().map(|step| (&*step.matchers, step.when.as_ref())).collect(),
            None => vec![(&rule.matchers, None)],
        };
        let key = if rule.topology.is_some() { "topology" } else { "by" };
        let by = rule.by.iter().map(|label| (key, label));
        let distinct = rule.threshold.iter().filter_map(|it| Some(("threshold.distinct", it.distinct.as_ref()?)));
        for (key, label) in by.chain(distinct) {
            let usage = |(matchers, when): &(&'a [Matcher], Option<&'a Expression>)| {
                let side = side(matchers, rule.when.as_ref().into_iter().chain(*when));
                Usage { rule: &rule.rule, key, label, side, sources: None }
            };
            found.extend(lists.iter().map(usage));
        }
    }
    found
}

fn side<'a>(matchers: &'a [Matcher], when: impl IntoIterator<Item = &'a Expression>) -> Side<'a> {
    Side { matchers, when: when.into_iter().collect(), matched: 0, had: 0 }
}

/// An alert's labels behind all enrich rules.
fn enriched<'a>(ruleset: &Ruleset, alert: &'a Alert, fail: &mut impl FnMut(&RuleRef, String, &str, &Labels)) -> Cow<'a, Labels> {
    let mut labels = Cow::Borrowed(&alert.labels);
    for rule in &ruleset.enrich {
        let subject = subject(alert, &labels);
        if !holds(&rule.matchers, rule.when.as_ref(), &subject) {
            continue;
        }
        for (name, value) in rule.render(&subject) {
            if let Err(why) = value {
                fail(&rule.rule, format!("the template of `{name}`"), &why, &labels);
            }
        }
        if let Some(changed) = rule.apply(&subject) {
            labels = Cow::Owned(changed);
        }
    }
    labels
}

fn subject<'a>(alert: &'a Alert, labels: &'a Labels) -> AlertSubject<'a> {
    AlertSubject { labels, annotations: &alert.annotations, source: &alert.source }
}

fn holds<'a>(matchers: &[Matcher], when: impl IntoIterator<Item = &'a Expression>, alert: &AlertSubject<'_>) -> bool {
    matchers.iter().all(|matcher| matcher.matches(alert.labels))
        && when.into_iter().all(|when| when.holds(&Subject::Alert(*alert)))
}

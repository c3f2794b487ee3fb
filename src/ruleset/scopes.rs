//! What the templates of rules see, and what becomes of it: labels that a rule sets, titles that it gives.
//!
//! Never decides which rule applies. A template that fails has no result; what then stands in its place is the asker's
//! matter.

use std::borrow::Cow;
use std::sync::Arc;

use super::expression::AlertSubject;
use super::matchers::captures;
use super::rules::{CorrelateRule, EnrichRule};
use super::template::{Scope, pairs_value};
use crate::model::Labels;

impl EnrichRule {
    /// What the rule makes of an alert's labels; `None` if that is no change. A template that fails leaves its label as it
    /// was: rules are checked at load, so what is left are values that no template of theirs expects.
    #[must_use]
    pub fn apply(&self, alert: &AlertSubject<'_>) -> Option<Labels> {
        let labels = alert.labels;
        if let Some(table) = &self.table {
            let changed = labels.with(table.row(labels))?;
            return (changed != *labels).then_some(changed);
        }
        let set: Vec<(&str, String)> = self.render(alert).filter_map(|(name, value)| Some((&**name, value.ok()?))).collect();
        let changed = labels.with(set.iter().map(|(name, value)| (*name, value.as_str())))?;
        (changed != *labels).then_some(changed)
    }

    /// The labels that the rule's templates set, each with its value or what is wrong with it, in words.
    pub fn render<'a>(&'a self, alert: &AlertSubject<'a>) -> impl Iterator<Item = (&'a Arc<str>, Result<String, String>)> {
        let scope = EnrichScope { alert: *alert, captures: captures(&self.matchers, alert.labels) };
        self.set.iter().map(move |(name, template)| (name, template.render(&scope)))
    }
}

impl CorrelateRule {
    /// The title of an incident with this key, these common labels and so many alerts.
    ///
    /// # Errors
    /// The fault in words.
    pub fn render_title(&self, key: &Labels, labels: &Labels, count: u32) -> Result<String, String> {
        self.title.render(&TitleScope { key, labels, count })
    }
}

/// What the templates of `set` may name: `labels`, `annotations`, `capture`, `alert.source`.
struct EnrichScope<'a> {
    alert: AlertSubject<'a>,
    captures: Vec<(&'a str, &'a str)>,
}

impl Scope for EnrichScope<'_> {
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>> {
        match (root, name) {
            ("labels", name) => Some(self.alert.labels.get(name).into()),
            ("annotations", name) => Some(self.alert.annotations.get(name).into()),
            ("capture", name) => self.captures.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into()),
            ("alert", "source") => Some(self.alert.source.into()),
            _ => None,
        }
    }

    fn value(&self) -> minijinja::Value {
        minijinja::context! {
            labels => pairs_value(self.alert.labels.iter()),
            annotations => pairs_value(self.alert.annotations.iter()),
            capture => pairs_value(self.captures.iter().copied()),
            alert => minijinja::context! { source => self.alert.source },
        }
    }
}

/// What a title may name: `by`, `labels`, `incident.count`.
struct TitleScope<'a> {
    key: &'a Labels,
    labels: &'a Labels,
    count: u32,
}

impl Scope for TitleScope<'_> {
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>> {
        match (root, name) {
            ("by", name) => Some(self.key.get(name).into()),
            ("labels", name) => Some(self.labels.get(name).into()),
            ("incident", "count") => Some(self.count.to_string().into()),
            _ => None,
        }
    }

    fn value(&self) -> minijinja::Value {
        minijinja::context! {
            by => pairs_value(self.key.iter()),
            labels => pairs_value(self.labels.iter()),
            incident => minijinja::context! { count => self.count },
        }
    }
}

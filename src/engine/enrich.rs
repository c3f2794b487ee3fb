//! Labels that rules set. Every rule that matches applies, in order, each seeing what those before it have set.

use std::borrow::Cow;

use crate::engine::conditions::holds_for;
use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, Labels, RuleRef};
use crate::ruleset::{self, EnrichRule, Scope};

impl Engine {
    pub(super) fn enrich(&mut self, fingerprint: Fingerprint) {
        if self.rules.enrich.is_empty() {
            return;
        }
        let Some(record) = self.state.alert(fingerprint).cloned() else { return };
        let rules = self.rules.clone();
        let mut labels = Cow::Borrowed(record.labels());
        let mut applied: Vec<RuleRef> = Vec::new();
        let mut from = 0;
        // Each change of the labels may bring other rules in, so the index is asked anew behind the rule that made it.
        while let Some(position) = self.next_enrichment(&record, &labels, from) {
            let rule = &rules.enrich[position as usize];
            if let Some(changed) = apply(rule, &record, &labels) {
                labels = Cow::Owned(changed);
                applied.push(rule.rule.clone());
            }
            from = position + 1;
        }
        if !applied.is_empty() {
            let labels = labels.into_owned();
            self.record(Fact::AlertEnriched { fingerprint, labels, rules: applied });
        }
    }

    fn next_enrichment(&mut self, record: &AlertRecord, labels: &Labels, from: u32) -> Option<u32> {
        let found = self.look_up(|rules| &rules.enrich_index, labels);
        let when = |position: u32| self.rules.enrich[position as usize].when.as_ref();
        let next = found.iter().copied().find(|position| *position >= from && holds_for(when(*position), record, labels));
        self.give_back(found);
        next
    }
}

/// What a rule makes of the labels; `None` if that is no change. A template that fails leaves its label as it was: rules
/// are checked at load, so what is left are values too long for any label.
fn apply(rule: &EnrichRule, record: &AlertRecord, labels: &Labels) -> Option<Labels> {
    if let Some(table) = &rule.table {
        let changed = labels.with(table.row(labels))?;
        return (changed != *labels).then_some(changed);
    }
    let scope = EnrichScope { record, labels, captures: ruleset::captures(&rule.matchers, labels) };
    let set: Vec<(&str, String)> =
        rule.set.iter().filter_map(|(name, template)| Some((&**name, template.render(&scope).ok()?))).collect();
    let changed = labels.with(set.iter().map(|(name, value)| (*name, value.as_str())))?;
    (changed != *labels).then_some(changed)
}

/// What the templates of `set` may name: `labels`, `annotations`, `capture`, `alert.source`.
struct EnrichScope<'a> {
    record: &'a AlertRecord,
    labels: &'a Labels,
    captures: Vec<(&'a str, &'a str)>,
}

impl Scope for EnrichScope<'_> {
    fn field(&self, root: &str, name: &str) -> Option<Cow<'_, str>> {
        match (root, name) {
            ("labels", name) => Some(self.labels.get(name).to_owned().into()),
            ("annotations", name) => Some(self.record.alert.annotations.get(name).to_owned().into()),
            ("capture", name) => self.captures.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into()),
            ("alert", "source") => Some((&*self.record.alert.source).into()),
            _ => None,
        }
    }

    fn value(&self) -> minijinja::Value {
        minijinja::context! {
            labels => ruleset::pairs_value(self.labels.iter()),
            annotations => ruleset::pairs_value(self.record.alert.annotations.iter()),
            capture => ruleset::pairs_value(self.captures.iter().copied()),
            alert => minijinja::context! { source => &*self.record.alert.source },
        }
    }
}

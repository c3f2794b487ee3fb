//! Labels that rules set. Every rule that matches applies, in order, each seeing what those before it have set.

use std::borrow::Cow;

use crate::engine::conditions::holds_for;
use crate::engine::{Engine, Fact};
use crate::model::cause::{environment_of, other_environment, thing_of};
use crate::model::{AlertRecord, Change, Fingerprint, Labels, Millis, RuleRef};
use crate::ruleset::AlertSubject;

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
            from = position + 1;
            if rule.changed.is_some_and(|within| !self.was_changed(&labels, within)) {
                continue;
            }
            if let Some(changed) = rule.apply(&subject(&record, &labels)) {
                labels = Cow::Owned(changed);
                applied.push(rule.rule.clone());
            }
        }
        if !applied.is_empty() {
            let labels = labels.into_owned();
            self.record(Fact::AlertEnriched { fingerprint, labels, rules: applied });
        }
    }

    /// Whether what an alert is about was changed of late, in its cluster and environment or everywhere.
    fn was_changed(&self, labels: &Labels, within: Millis) -> bool {
        let Some(thing) = thing_of(labels) else { return false };
        let (cluster, environment) = (labels.get("cluster"), environment_of(labels));
        let here = |change: &Change| {
            change.cluster.as_deref().is_none_or(|other| cluster.is_empty() || cluster == other)
                && !change.environment.as_deref().is_some_and(|other| other_environment(environment, other))
        };
        self.state.reported.of(&thing, self.now - within, self.now).any(|change| here(change))
    }

    fn next_enrichment(&mut self, record: &AlertRecord, labels: &Labels, from: u32) -> Option<u32> {
        let found = self.look_up(|rules| &rules.enrich_index, labels);
        let when = |position: u32| self.rules.enrich[position as usize].when.as_ref();
        let next = found.iter().copied().find(|position| *position >= from && holds_for(when(*position), record, labels));
        self.give_back(found);
        next
    }
}

/// The alert with the labels that it has by now, as rules see it.
fn subject<'a>(record: &'a AlertRecord, labels: &'a Labels) -> AlertSubject<'a> {
    AlertSubject { labels, annotations: &record.alert.annotations, source: &record.alert.source }
}

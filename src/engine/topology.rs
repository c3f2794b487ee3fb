//! Rules that follow the service catalogue: trouble of services that are near each other is one trouble.
//!
//! An alert joins the oldest open incident, of whatever rule, that is about its own service or one near it and has had news
//! within the time. Others that it touches become that one's children: they go on by themselves, and count for themselves.
//! Nothing becomes part of what is part of it, so there are no circles of incidents, whatever the catalogue has.

use crate::engine::correlate::Joined;
use crate::engine::state::GroupKey;
use crate::engine::{Engine, Fact};
use crate::model::{Fingerprint, IncidentId, Millis, RuleRef, Time};
use crate::ruleset::{CorrelateRule, Topology};

/// Parts of one incident. Rules that make one of everything make a hundred of it, and the rest stands for itself.
pub(super) const CHILDREN_MAX: usize = 100;
/// The time in which merges are counted, by rule.
const MERGES_WITHIN: Millis = Millis::hours(1);

impl Engine {
    /// Whether an alert says which service it is about; one that does not is no concern of the catalogue.
    pub(super) fn names_service(&self, fingerprint: Fingerprint) -> bool {
        self.state.alert(fingerprint).is_some_and(|record| !record.labels().get("service").is_empty())
    }

    pub(super) fn join_near(&mut self, rule: &CorrelateRule, topology: Topology, group: GroupKey, fingerprint: Fingerprint) {
        let touched = self.touched(topology, fingerprint);
        let had = self.state.alert(fingerprint).map(|record| record.incidents.clone()).unwrap_or_default();
        if touched.iter().any(|id| had.contains(id)) {
            return;
        }
        let Some(oldest) = touched.iter().copied().find(|id| self.takes(*id, fingerprint)) else {
            return self.join_or_open(rule, group, fingerprint);
        };
        self.join(oldest, fingerprint, &rule.rule);
        for id in touched.into_iter().filter(|id| *id > oldest) {
            self.attach(id, oldest, fingerprint, &rule.rule);
        }
        self.follow_join(oldest, fingerprint, Joined::More);
    }

    /// Makes an incident part of another, unless it is part of one already, or that one is part of it, or has too many.
    pub(super) fn attach(&mut self, id: IncidentId, parent: IncidentId, fingerprint: Fingerprint, rule: &RuleRef) {
        let free = self.state.incident(id).is_some_and(|incident| incident.parent.is_none());
        let above = |id: &IncidentId| self.state.incident(*id).and_then(|incident| incident.parent);
        let circle = std::iter::successors(Some(parent), above).any(|above| above == id);
        let full = self.state.children.get(&parent).is_some_and(|children| children.len() >= CHILDREN_MAX);
        if free && !circle && !full && !self.hold_merge(id, parent, rule) {
            self.record(Fact::IncidentAttached { incident: id, parent, fingerprint, rule: rule.clone() });
            self.review_children(parent);
        }
    }

    /// Whether a rule has merged so much within an hour that it cannot be meant so: then incidents stand for themselves, until
    /// fewer have been merged. Told of each whole once in that time.
    fn hold_merge(&mut self, child: IncidentId, parent: IncidentId, rule: &RuleRef) -> bool {
        let since = Time(self.now.0 - MERGES_WITHIN.0 + 1);
        let merges = self.state.merges.get(&rule.name).map_or(0, |merges| merges.range((since, IncidentId(0))..).count());
        if merges < self.options.merges_per_hour {
            return false;
        }
        let told = self.state.incident(parent).and_then(|incident| incident.merges_held);
        if told.is_none_or(|at| self.now.since(at) >= MERGES_WITHIN) {
            let merges = u32::try_from(merges).unwrap_or(u32::MAX);
            self.record(Fact::MergeHeld { incident: parent, child, rule: rule.clone(), merges });
        }
        true
    }

    /// The open incidents about the alert's service or one near it that have had news within the time, oldest first.
    fn touched(&self, topology: Topology, fingerprint: Fingerprint) -> Vec<IncidentId> {
        let Some(record) = self.state.alert(fingerprint) else { return Vec::new() };
        let service = record.labels().get("service");
        let near = self.rules.catalogue.near(service, topology.hops).map(|name| &**name);
        let about = std::iter::once(service).chain(near).filter_map(|name| self.state.by_service.get(name)).flatten();
        let lively = |id: &IncidentId| {
            self.state
                .incident(*id)
                .is_some_and(|incident| incident.status.is_active() && self.now.since(incident.last_news_at) < topology.within)
        };
        let mut touched: Vec<IncidentId> = about.copied().filter(lively).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}

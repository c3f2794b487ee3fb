//! Changes that people and their pipelines report: kept for a while, in case trouble follows.

use std::sync::Arc;

use crate::engine::{Answer, Engine, Fact};
use crate::model::{Change, IncidentId, cause};

/// Open incidents that are looked at anew for one change: one that touches everything explains nothing.
const INCIDENTS_LOOKED_AT_MAX: usize = 100;

impl Engine {
    /// Takes note of a change. The same report twice is no news.
    pub(super) fn record_change(&mut self, change: &Arc<Change>) -> Answer {
        if self.state.reported.get(&change.id) == Some(change) {
            return Answer::Repeat;
        }
        self.record(Fact::ChangeRecorded { change: change.clone() });
        while self.state.reported.len() > self.options.changes {
            let oldest = self.state.reported.oldest_first().next().map(|change| change.id.clone());
            let Some(oldest) = oldest else { break };
            self.record(Fact::ChangeForgotten { change: oldest, surplus: true });
        }
        for id in self.incidents_of(change) {
            self.plan_causes(id);
        }
        Answer::New
    }

    /// The open incidents about what was changed: a pipeline may report a deployment when it is over, and trouble is there.
    fn incidents_of(&self, change: &Change) -> Vec<IncidentId> {
        let names = change.things.iter().map(|thing| cause::catalogue_name(thing));
        let about = names.filter_map(|name| self.state.by_service.get(name)).flatten();
        let mut found: Vec<IncidentId> = about.copied().take(INCIDENTS_LOOKED_AT_MAX).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Forgets what is too long ago to be the cause of anything.
    pub(super) fn forget_changes(&mut self) {
        let old = |change: &&Arc<Change>| self.now.since(change.last_at()) > self.options.changes_kept;
        let old: Vec<Arc<str>> = self.state.reported().filter(old).map(|change| change.id.clone()).collect();
        for change in old {
            self.record(Fact::ChangeForgotten { change, surplus: false });
        }
    }
}

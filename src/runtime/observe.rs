//! What the engine's thread counts and says of itself: metrics of facts and log, and the watchdog's beats.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use super::live::Live;
use crate::engine::Fact;
use crate::metrics::Metrics;
use crate::model::SuppressionKind;
use crate::storage::disk::Disk;
use crate::storage::log::Log;

/// At least this often the engine's thread looks after itself.
const BEAT_MAX: Duration = Duration::from_secs(1);

const SUPPRESSIONS: [SuppressionKind; 5] = [
    SuppressionKind::Silence,
    SuppressionKind::Inhibition,
    SuppressionKind::Maintenance,
    SuppressionKind::Flapping,
    SuppressionKind::Hold,
];

/// Counts for the engine's thread.
pub(super) struct Observer {
    pub(super) metrics: Arc<Metrics>,
    live: Arc<Live>,
    suppressions: [(SuppressionKind, IntCounter); 5],
    /// How often the service manager wants to hear of us, if it does.
    watchdog: Option<Duration>,
}

impl Observer {
    pub(super) fn new(metrics: Arc<Metrics>, live: Arc<Live>) -> Observer {
        let suppressions = SUPPRESSIONS.map(|kind| (kind, metrics.suppressions_total.with_label_values(&[kind.as_str()])));
        Observer { metrics, live, suppressions, watchdog: sd_notify::watchdog_enabled() }
    }

    /// How often to beat: each second, and twice in the watchdog's interval.
    pub(super) fn beat_every(&self) -> Duration {
        self.watchdog.map_or(BEAT_MAX, |interval| (interval / 2).min(BEAT_MAX))
    }

    /// Counts what was committed.
    pub(super) fn committed(&self, facts: &[Fact]) {
        self.metrics.engine_facts_total.inc_by(facts.len() as u64);
        for fact in facts {
            match fact {
                Fact::IncidentOpened { .. } => self.metrics.incidents_opened_total.inc(),
                Fact::IncidentWithoutPolicy { .. } => self.metrics.incidents_without_policy_total.inc(),
                Fact::MergeHeld { incident, rule, merges, .. } => {
                    tracing::warn!(%rule, %incident, merges, "a rule merges too much: incidents stand for themselves until it has merged less within an hour");
                    self.metrics.merges_held_total.inc();
                }
                Fact::AlertFired { alert } if alert.is_report() => self.metrics.reports_total.inc(),
                Fact::HeartbeatHeard { .. } => self.metrics.heartbeats_heard_total.inc(),
                Fact::HeartbeatMissed { .. } => self.metrics.heartbeats_missed_total.inc(),
                Fact::ChangeRecorded { .. } => self.metrics.changes_recorded_total.inc(),
                Fact::ChangeForgotten { surplus: true, .. } => self.metrics.changes_surplus_total.inc(),
                Fact::AlertSuppressed { by, .. } => {
                    self.suppressions.iter().filter(|(kind, _)| *kind == by.kind).for_each(|(_, counter)| counter.inc());
                }
                _ => {}
            }
        }
    }

    /// Says that the thread lives, and how much there is.
    pub(super) fn beat<D: Disk>(&self, log: &Log<D>, view_behind: u64) {
        if self.watchdog.is_some()
            && let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Watchdog])
        {
            tracing::warn!(%error, "the watchdog could not be told");
        }
        let bytes: u64 = log.segments().iter().map(|segment| segment.bytes).sum();
        self.metrics.log_bytes.set(as_i64(bytes));
        self.metrics.view_behind_facts.set(as_i64(view_behind));
        self.metrics.alerts_firing.set(as_i64(self.live.firing() as u64));
        self.metrics.alerts_suppressed.set(as_i64(self.live.suppressed() as u64));
    }
}

fn as_i64(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

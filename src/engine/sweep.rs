//! What may leave the memory. The view keeps the history; the memory keeps what a new alert could still touch.

use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, Millis, NotificationId, NotificationState, SilenceId};

/// How often the memory is swept.
pub(super) const EVERY: Millis = Millis::minutes(10);

/// A resolved alert in no incident that is open is kept for so long, against resolves that are sent again (Prometheus
/// does for 15 minutes).
const RESOLVED_ALERT_KEPT: Millis = Millis::hours(1);

/// A delivered notification is kept for so long.
const DELIVERED_KEPT: Millis = Millis::hours(1);

/// A notification that was given up is kept, and counted, for so long.
const DEAD_KEPT: Millis = Millis::hours(7 * 24);

/// A silence that has ended is kept for so long, as in Alertmanager.
const SILENCE_KEPT: Millis = Millis::hours(120);

impl Engine {
    pub(super) fn sweep(&mut self) {
        let mut alerts: Vec<(u64, Fingerprint)> = self
            .state
            .alerts()
            .filter(|record| self.is_done(record))
            .map(|record| (record.fired_seq, record.alert.fingerprint))
            .collect();
        alerts.sort_unstable();
        for (_, fingerprint) in alerts {
            self.record(Fact::AlertForgotten { fingerprint });
        }
        let old = |n: &&std::sync::Arc<crate::model::Notification>| match n.state {
            NotificationState::Delivered => n.delivered_at.is_some_and(|at| self.now.since(at) > DELIVERED_KEPT),
            NotificationState::Dead => self.now.since(n.created_at) > DEAD_KEPT,
            NotificationState::Queued | NotificationState::Failed => false,
        };
        let notifications: Vec<NotificationId> = self.state.notifications().filter(old).map(|n| n.id).collect();
        for notification in notifications {
            self.record(Fact::NotificationForgotten { notification });
        }
        let silences: Vec<SilenceId> =
            self.state.silences().filter(|s| self.now.since(s.ends_at) > SILENCE_KEPT).map(|s| s.id).collect();
        for silence in silences {
            self.record(Fact::SilenceForgotten { silence });
        }
    }

    fn is_done(&self, record: &AlertRecord) -> bool {
        let ended = record.ends_at.unwrap_or(record.fired_at);
        let open = |id: &crate::model::IncidentId| self.state.incident(*id).is_some_and(|incident| incident.status.is_active());
        !record.is_firing() && self.now.since(ended) > RESOLVED_ALERT_KEPT && !record.incidents.iter().any(open)
    }
}

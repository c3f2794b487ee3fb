//! What may leave the memory. The view keeps the history; the memory keeps what a new alert could still touch.

use crate::engine::{Engine, Fact};
use crate::model::{AlertRecord, Fingerprint, Millis, NotificationId, NotificationState, SilenceId, Time};

/// How often the memory is swept.
const EVERY: Millis = Millis::minutes(10);

/// When it is swept next: at fixed moments, so that a restart changes nothing.
pub(super) fn next_after(now: Time) -> Time {
    last_before(now) + EVERY
}

/// The last of those moments. Not the one that was planned: after a restart an earlier one may be, which had gone by without
/// anything to write down.
pub(super) fn last_before(now: Time) -> Time {
    Time(now.0 - now.0.rem_euclid(EVERY.0))
}

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
        let mut alerts: Vec<(u64, Fingerprint)> = Vec::new();
        let mut returning: Vec<(Time, u64, Fingerprint)> = Vec::new();
        for record in self.state.alerts() {
            let (seq, key) = (record.fired_seq, record.alert.fingerprint);
            match self.use_of(record) {
                Use::Live => {}
                Use::MayReturn => returning.push((record.ends_at.unwrap_or(record.fired_at), seq, key)),
                Use::None => alerts.push((seq, key)),
            }
        }
        // Of those that might come back to a resolved incident, the youngest stay.
        returning.sort_unstable();
        let surplus = returning.len().saturating_sub(self.options.returning_alerts);
        alerts.extend(returning[..surplus].iter().map(|(_, seq, key)| (*seq, *key)));
        alerts.sort_unstable();
        for (_, fingerprint) in alerts {
            self.leave_conditions(fingerprint);
            self.record(Fact::AlertForgotten { fingerprint });
        }
        self.conditions.forget_closed(&self.state);
        self.ties.sweep(&self.state, &self.rules, self.now);
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
        self.forget_changes();
    }

    /// What a record in memory is still good for.
    fn use_of(&self, record: &AlertRecord) -> Use {
        let ended = record.ends_at.unwrap_or(record.fired_at);
        let mut incidents = record.incidents.iter().filter_map(|id| self.state.incident(*id));
        let awaited = record.beat.as_ref().and_then(|beat| beat.due).is_some_and(|due| due >= self.now);
        let stepped = record.steps().any(|step| step.until > self.now);
        if record.is_firing() || awaited || stepped || self.now.since(ended) <= RESOLVED_ALERT_KEPT {
            return Use::Live;
        }
        let counted = record.flaps.as_ref().is_some_and(|flaps| flaps.kept_until > self.now);
        let found = incidents.try_fold(if counted { Use::MayReturn } else { Use::None }, |found, incident| {
            match incident.status.is_active() {
                true => Err(Use::Live),
                false if self.may_reopen(incident) => Ok(Use::MayReturn),
                false => Ok(found),
            }
        });
        found.unwrap_or_else(|live| live)
    }
}

enum Use {
    /// It fires, has just resolved, or is in an incident that is not over.
    Live,
    /// A resolved incident would take it back, or rules still count its changes.
    MayReturn,
    None,
}

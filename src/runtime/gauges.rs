//! Gauges that are counted now and then from the live tables, so that nobody has to keep them right at each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGaugeVec;

use super::handle::Handle;
use super::live::Live;
use crate::metrics::Metrics;
use crate::model::{IncidentStatus, NotificationState};

/// How many notifications each receiver is owed, and how many are dead.
type ByReceiver = BTreeMap<Arc<str>, (usize, usize)>;

const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Counts until the daemon stops.
pub(super) async fn run(handle: Handle, metrics: Arc<Metrics>) {
    let mut by_receiver = ByReceiver::new();
    loop {
        count(handle.live(), &metrics, &mut by_receiver);
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = handle.shutdown().wait() => return,
        }
    }
}

/// `by_receiver` has everyone who was ever owed something, so that a count falls to zero and does not stay where it was.
fn count(live: &Live, metrics: &Metrics, by_receiver: &mut ByReceiver) {
    let incidents = live.incidents();
    for status in [IncidentStatus::Open, IncidentStatus::Acknowledged, IncidentStatus::Resolved] {
        let n = incidents.iter().filter(|incident| incident.status == status).count();
        metrics.incidents.with_label_values(&[status.as_str()]).set(as_i64(n));
    }
    let rules = live.rules().rules;
    let mut heartbeats = [("new", 0), ("beating", 0), ("missed", 0)];
    for name in rules.heartbeats.keys() {
        let place = live.heartbeat(name).map_or(0, |it| if it.missed_at.is_none() { 1 } else { 2 });
        heartbeats[place].1 += 1;
    }
    for (state, n) in heartbeats {
        metrics.heartbeats.with_label_values(&[state]).set(as_i64(n));
    }
    for counts in by_receiver.values_mut() {
        *counts = (0, 0);
    }
    for notification in live.notifications() {
        let (waiting, dead) = by_receiver.entry(notification.receiver.clone()).or_default();
        *waiting += usize::from(notification.state.is_owed());
        *dead += usize::from(notification.state == NotificationState::Dead);
    }
    let set = |gauge: &IntGaugeVec, receiver: &str, n| gauge.with_label_values(&[receiver]).set(as_i64(n));
    for (receiver, (waiting, dead)) in by_receiver.iter() {
        set(&metrics.notifications_owed, receiver, *waiting);
        set(&metrics.notifications_dead, receiver, *dead);
    }
}

fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::Changes;
    use crate::model::{IncidentId, Notification, NotificationId, NotificationKind, Reason, Time};

    #[test]
    fn what_is_no_longer_owed_counts_as_nothing() {
        let (live, metrics, mut by_receiver) = (Live::new(&Config::default()), Metrics::default(), BTreeMap::new());
        // (the notification's state, owed, dead)
        let cases = [(NotificationState::Queued, 1, 0), (NotificationState::Delivered, 0, 0), (NotificationState::Dead, 0, 1)];
        for (state, owed, dead) in cases {
            let notification = Notification {
                id: NotificationId(1),
                incident: IncidentId(1),
                receiver: "pager".into(),
                kind: NotificationKind::Trigger,
                reason: Reason::Text("test".into()),
                again: false,
                state,
                attempts: 0,
                created_at: Time(0),
                delivered_at: None,
                retry_at: None,
                error: None,
            };
            live.publish(&Changes { notifications: vec![Arc::new(notification)], ..Changes::default() }, Time(0));
            count(&live, &metrics, &mut by_receiver);
            let gauge = |gauge: &IntGaugeVec| gauge.with_label_values(&["pager"]).get();
            assert_eq!((gauge(&metrics.notifications_owed), gauge(&metrics.notifications_dead)), (owed, dead), "{state:?}");
        }
        let forgotten = Changes { forgotten_notifications: vec![NotificationId(1)], ..Changes::default() };
        live.publish(&forgotten, Time(0));
        count(&live, &metrics, &mut by_receiver);
        assert_eq!(metrics.notifications_dead.with_label_values(&["pager"]).get(), 0);
    }
}

//! Gauges that are counted now and then from the live tables, so that nobody has to keep them right at each change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGaugeVec;

use super::handle::Handle;
use super::live::Live;
use crate::metrics::Metrics;
use crate::model::{IncidentStatus, NotificationState};

const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Counts until the daemon stops.
pub(super) async fn run(handle: Handle, metrics: Arc<Metrics>) {
    loop {
        count(handle.live(), &metrics);
        tokio::select! {
            () = tokio::time::sleep(COUNT_EVERY) => {}
            () = handle.shutdown().wait() => return,
        }
    }
}

fn count(live: &Live, metrics: &Metrics) {
    let incidents = live.incidents();
    for status in [IncidentStatus::Open, IncidentStatus::Acknowledged, IncidentStatus::Resolved] {
        let n = incidents.iter().filter(|incident| incident.status == status).count();
        metrics.incidents.with_label_values(&[status.as_str()]).set(as_i64(n));
    }
    let mut owed: BTreeMap<Arc<str>, (usize, usize)> = BTreeMap::new();
    for notification in live.notifications() {
        let (waiting, dead) = owed.entry(notification.receiver.clone()).or_default();
        *waiting += usize::from(notification.state.is_owed());
        *dead += usize::from(notification.state == NotificationState::Dead);
    }
    let set = |gauge: &IntGaugeVec, receiver: &str, n| gauge.with_label_values(&[receiver]).set(as_i64(n));
    for (receiver, (waiting, dead)) in &owed {
        set(&metrics.notifications_owed, receiver, *waiting);
        set(&metrics.notifications_dead, receiver, *dead);
    }
}

fn as_i64(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

//! Alertmanager's webhook, version 4: a notification about a group, whose members each say their own state.
//!
//! The group's state, key and common labels are left aside: a group changes members, an alert keeps its labels.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::intake::{Intake, Reason};
use super::prometheus::{Times, said};
use super::wire::{BodyFault, Found, WireAlert, read_list};
use crate::model::AlertStatus;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification<'a> {
    #[serde(borrow)]
    alerts: &'a RawValue,
    /// Members that the sender's own limit cut off.
    #[serde(default)]
    truncated_alerts: u64,
}

/// Takes in a body: `{"version":"4","alerts":[{"status":…,"labels":{…},…}],…}`.
///
/// # Errors
/// A body that is no such notification; what is wrong with one alert is noted in `intake`.
pub fn read(body: &str, intake: &mut Intake<'_>) -> Result<(), BodyFault> {
    let notification: Notification<'_> = serde_json::from_str(body).map_err(|error| BodyFault::Unreadable(error.to_string()))?;
    if notification.truncated_alerts > 0 {
        // Nothing may be concluded of the missing ones; that they are missing is the sender's setting to mend.
        tracing::warn!(
            missing = notification.truncated_alerts,
            "an Alertmanager leaves alerts out of its notifications; set max_alerts: 0 on its webhook"
        );
    }
    let (alerts, found) = read_list(notification.alerts.get(), intake.limits().alerts_per_request)?;
    let mut times = Times::default();
    let meant = |item: Result<_, String>| {
        item.map_err(|error| (Reason::Shape, error)).and_then(|alert| member(alert, &found, &mut times))
    };
    intake.take_all(alerts.into_iter().map(meant).collect());
    Ok(())
}

fn member<'a>(
    alert: WireAlert<'a>,
    found: &'a Found<'a>,
    times: &mut Times,
) -> Result<super::intake::Said<'a>, (Reason, String)> {
    let status = match alert.status.as_ref().map(|status| &*status.0) {
        Some("firing") => AlertStatus::Firing,
        Some("resolved") => AlertStatus::Resolved,
        Some(_) => return Err((Reason::Shape, "status is neither firing nor resolved".to_owned())),
        None => return Err((Reason::Missing, "status is required".to_owned())),
    };
    let mut said = said(alert, found, times, Some(status))?;
    if status == AlertStatus::Firing {
        // It has not ended, whatever stands there: year 0001, or the sender's own guess.
        said.ends_at = None;
    }
    Ok(said)
}

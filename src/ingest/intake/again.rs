//! A message that came before, could not be taken then, and is tried again. It is heard as of its arrival: what has been said
//! of its alerts since then holds, so that nobody is called to what is over.

use super::Intake;
use crate::model::{AlertStatus, Fingerprint, Time};
use crate::runtime::live::FingerprintSet;

/// What is known of such a message.
#[derive(Debug)]
pub struct Again<'a> {
    /// Its name, which makes keys for alerts that have none.
    pub id: &'a str,
    /// When it came.
    pub arrived: Time,
    /// The places of the alerts that were not taken, in order.
    pub failed: &'a [usize],
    /// How many alerts it was read as.
    pub alerts: usize,
    /// Alerts that are over by the last of the messages that are tried together with it.
    pub over: &'a FingerprintSet,
}

impl Intake<'_> {
    /// The moment that the message is of.
    pub(super) fn arrived(&self) -> Time {
        self.again.map_or(self.now, |again| again.arrived)
    }

    /// Whether the alert at this place was taken when the message came. Where it is read as another number of alerts now, the
    /// places mean nothing: all of them are looked at, and those that are known are repeats.
    pub(super) fn was_taken(&self, index: usize) -> bool {
        self.again.is_some_and(|again| again.alerts == self.alerts && again.failed.binary_search(&index).is_err())
    }

    /// Whether newer words than this message's are known of the alert, or come with it.
    pub(super) fn is_past(&self, fingerprint: Fingerprint, status: AlertStatus) -> bool {
        let Some(again) = self.again else { return false };
        let has_ended = || !self.tells_all && self.source.watched.has_ended_since(fingerprint, again.arrived);
        if status == AlertStatus::Firing && (again.over.contains(&fingerprint) || has_ended()) {
            return true;
        }
        self.live.alert(fingerprint).is_some_and(|entry| {
            let record = &entry.record;
            let since = record.ends_at.filter(|_| !record.is_firing()).unwrap_or(record.alert.starts_at);
            // Of one moment, an end is the last word.
            again.arrived < since || again.arrived == since && status == AlertStatus::Firing
        })
    }

    /// Whether an alert that is said to fire has ended by time since then.
    pub(super) fn has_run_out(&self, status: AlertStatus, expires_at: Time) -> bool {
        self.again.is_some() && status == AlertStatus::Firing && expires_at <= self.now
    }
}

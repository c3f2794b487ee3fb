//! Recurring windows of time in a time zone: `during: { days: [sun], from: "02:00", to: "04:00", zone: Europe/Berlin }`.

use crate::model::Time;

/// A recurring window.
#[derive(Clone, Debug)]
pub struct Schedule {}

impl Schedule {
    /// If `now` lies inside the window, when this window ends; otherwise `None`.
    #[must_use]
    pub fn covers_until(&self, now: Time) -> Option<Time> {
        let _ = now;
        todo!()
    }

    /// When the window next begins, strictly after `now`; `None` if it never does again.
    #[must_use]
    pub fn next_start(&self, now: Time) -> Option<Time> {
        let _ = now;
        todo!()
    }
}

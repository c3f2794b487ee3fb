//! A silence: a person's word that alerts like these shall not be heard of for a while.

use std::sync::Arc;

use super::id::SilenceId;
use super::labels::Labels;
use super::matcher::Matcher;
use super::time::Time;

/// A silence. Ended ones keep their record until retention takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub id: SilenceId,
    pub matchers: Vec<Matcher>,
    pub starts_at: Time,
    pub ends_at: Time,
    pub updated_at: Time,
    pub created_by: Arc<str>,
    pub comment: Arc<str>,
}

impl Silence {
    /// Whether it is in force at `now`.
    #[must_use]
    pub fn is_active(&self, now: Time) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// Whether it covers a label set.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

//! A heartbeat: a job or a machine that says again and again that it is there, under a name that a rule file has.

use std::sync::Arc;

use super::time::{Millis, Time};

/// What is known of a heartbeat that was heard of. One that was never heard of has no record, and is not missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// As rule file and path have it.
    pub name: Arc<str>,
    /// When it was heard of last.
    pub last_at: Time,
    /// It must be heard of again within this.
    pub within: Millis,
    /// When it will be missed, unless it is heard of before; `None` while it is missed.
    pub due: Option<Time>,
    /// Since when it is missed.
    pub missed_at: Option<Time>,
}

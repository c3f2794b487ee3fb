//! A message whose sender has proved itself: what is remembered of it, so that the same one is not taken twice.

use std::fmt;
use std::sync::Arc;

use super::time::Time;

/// What tells a message from all others of its source: the first half of a SHA-256. Shown as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u128);

/// A message that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenMessage {
    pub source: Arc<str>,
    pub id: MessageId,
    /// When it was sent, where its sender has signed that.
    pub sent_at: Option<Time>,
    /// How long it is remembered.
    pub until: Time,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

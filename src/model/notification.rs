//! A notification: one message owed to one receiver, kept until the receiver has really taken it.

use std::sync::Arc;

use super::id::{IncidentId, NotificationId};
use super::reason::Reason;
use super::time::Time;

/// What a notification says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationKind {
    Trigger,
    Update,
    Acknowledge,
    Resolve,
}

impl NotificationKind {
    /// The name in the API and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NotificationKind::Trigger => "trigger",
            NotificationKind::Update => "update",
            NotificationKind::Acknowledge => "acknowledge",
            NotificationKind::Resolve => "resolve",
        }
    }
}

/// Where a notification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotificationState {
    /// Waiting for its first attempt.
    Queued,
    Delivered,
    /// Tried in vain; will be tried again.
    Failed,
    /// Given up: refused for good, or too old. Stays visible until it is retried by hand or ages out.
    Dead,
}

impl NotificationState {
    /// The name in the API and the metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            NotificationState::Queued => "queued",
            NotificationState::Delivered => "delivered",
            NotificationState::Failed => "failed",
            NotificationState::Dead => "dead",
        }
    }

    /// Whether it is still owed.
    #[must_use]
    pub fn is_owed(self) -> bool {
        matches!(self, NotificationState::Queued | NotificationState::Failed)
    }
}

/// A notification as it stands: an immutable record, replaced as a whole when something changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub id: NotificationId,
    pub incident: IncidentId,
    pub receiver: Arc<str>,
    pub kind: NotificationKind,
    /// Why it is sent: the policy, the act, or that everything cleared.
    pub reason: Reason,
    /// Whether this tells the receiver of the incident for the first time or again (`repeat`, a later step).
    pub again: bool,
    pub state: NotificationState,
    pub attempts: u32,
    pub created_at: Time,
    pub delivered_at: Option<Time>,
    /// When the next attempt is due; for queued and failed ones.
    pub retry_at: Option<Time>,
    /// The last attempt's fault.
    pub error: Option<Arc<str>>,
}

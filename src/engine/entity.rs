//! The parts that the state consists of, as the view and a checkpoint keep them. Everything else in the state (timers,
//! groups, members, counts) is derived from these.

use std::sync::Arc;

use crate::model::{
    AlertRecord, Change, Fingerprint, Heartbeat, Incident, IncidentId, MessageId, Notification, NotificationId, Silence,
    SilenceId, TakenMessage, Time, Usual,
};

/// One part of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Entity {
    Meta(Meta),
    Alert(Arc<AlertRecord>),
    Incident(Arc<Incident>),
    Notification(Arc<Notification>),
    Silence(Arc<Silence>),
    Change(Arc<Change>),
    Usual(Arc<Usual>),
    Message(Arc<TakenMessage>),
    Heartbeat(Arc<Heartbeat>),
}

/// Counters and names of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Meta {
    /// The name of the data directory, made once.
    pub directory: Arc<str>,
    /// The last applied fact.
    pub seq: u64,
    /// The time of the last applied fact.
    pub time: Time,
    pub last_incident: u64,
    pub last_notification: u64,
    /// The digest of the rules that were in force last; `None` before any were loaded.
    pub rules_digest: Option<u64>,
}

/// What changed since the last look: the present records, the last records of those that changed and then left the memory,
/// and the keys of all that left it. A key that left and came back meanwhile is not among the forgotten ones.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub alerts: Vec<Arc<AlertRecord>>,
    pub incidents: Vec<Arc<Incident>>,
    pub notifications: Vec<Arc<Notification>>,
    pub silences: Vec<Arc<Silence>>,
    /// Changes that people reported.
    pub reported: Vec<Arc<Change>>,
    /// What is usual where; `milli_per_hour` 0 for what is remembered no more.
    pub usual: Vec<Arc<Usual>>,
    pub messages: Vec<Arc<TakenMessage>>,
    pub heartbeats: Vec<Arc<Heartbeat>>,
    pub forgotten_alerts: Vec<Fingerprint>,
    pub forgotten_incidents: Vec<IncidentId>,
    pub forgotten_notifications: Vec<NotificationId>,
    pub forgotten_silences: Vec<SilenceId>,
    pub forgotten_reported: Vec<Arc<str>>,
    pub forgotten_messages: Vec<(Arc<str>, MessageId)>,
    pub forgotten_heartbeats: Vec<Arc<str>>,
}

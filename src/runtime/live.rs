//! Everything live, in concurrent tables: what dedup asks for each alert and what lists walk.

use std::sync::Arc;

use dashmap::DashMap;

use crate::engine::entity::Changes;
use crate::model::{AlertRecord, Fingerprint, Incident, IncidentId, Notification, NotificationId, Silence, SilenceId, Time};

/// The tables. Written by the engine's thread after each sync, read by everybody.
#[derive(Debug)]
pub struct Live {
    /// Seeded hash of an alert's label bytes as they came, to its fingerprint.
    raw: DashMap<u64, Fingerprint>,
    alerts: DashMap<Fingerprint, Entry>,
    incidents: DashMap<IncidentId, Arc<Incident>>,
    notifications: DashMap<NotificationId, Arc<Notification>>,
    silences: DashMap<SilenceId, Arc<Silence>>,
}

/// One alert: its record, and what repeats move without the engine.
#[derive(Clone, Debug)]
pub struct Entry {
    pub record: Arc<AlertRecord>,
    /// When it counts as resolved if nothing more is heard.
    pub expires_at: Time,
    pub last_seen: Time,
    pub repeats: u32,
}

impl Live {
    /// Publishes what the engine changed.
    pub fn publish(&self, changes: &Changes, now: Time) {
        let _ = (changes, now);
        todo!()
    }

    /// One incident.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<Arc<Incident>> {
        self.incidents.get(&id).map(|entry| entry.value().clone())
    }
}

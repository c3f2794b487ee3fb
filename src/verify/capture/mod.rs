//! A recorded incident as a rule test: what its senders and people did, and what became of it then.
//!
//! Reads a log and never changes it. With an incident belong the alerts that were in it, those that inhibited one of them,
//! and the incidents that these were in, too: so that what is played makes what was recorded, and nothing else. What can
//! not be told in a test is left out: an alert whose sender names its identity counts by its labels, and an expired one
//! resolves at the moment of its expiry.

mod record;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Entity, Fact};
use crate::model::{Fingerprint, IncidentId, Reason};
use crate::storage::disk::Disk;
use crate::storage::log::{LogError, LogFiles, LogItem};

/// Alerts, each time that it fired, that one test holds.
const ALERTS_MAX: usize = 5_000;

/// Why an incident cannot be made a test.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("there is no incident {0} in the log")]
    NoSuchIncident(IncidentId),
    #[error("{0} began before the oldest record that is left of the log")]
    Trimmed(IncidentId),
    #[error("{id} and what belongs to it have {alerts} alerts, and a test holds {ALERTS_MAX} at most")]
    TooLarge { id: IncidentId, alerts: usize },
}

/// The text of a test file with one test, which passes under the rules that decided then.
///
/// # Errors
/// When the log does not hold all of the incident, or cannot be read.
pub fn capture<D: Disk>(log: &LogFiles<D>, id: IncidentId) -> Result<String, CaptureError> {
    let related = related(log, id)?;
    let recorded = record::record(log, &related)?;
    Ok(text::write(id, &recorded))
}

/// What belongs to an incident.
#[derive(Debug, Default)]
struct Related {
    incidents: BTreeSet<IncidentId>,
    /// Each time that an alert fired, by the log position at which it began.
    fired: BTreeSet<u64>,
}

/// Which alerts were where, of the whole log.
#[derive(Default)]
struct Links {
    /// The log position at which each alert began to fire last.
    fired: BTreeMap<Fingerprint, u64>,
    /// The incidents that each alert has been in: one that comes back comes back there.
    homes: BTreeMap<Fingerprint, Vec<IncidentId>>,
    /// Incidents that are neither resolved nor closed.
    active: BTreeSet<IncidentId>,
    joined: Vec<(IncidentId, u64)>,
    /// Who was inhibited by whom.
    inhibited: Vec<(u64, u64)>,
    opened: BTreeSet<IncidentId>,
    /// Incidents that were there before the oldest record.
    before: BTreeSet<IncidentId>,
}

impl Links {
    fn add(&mut self, seq: u64, fact: &Fact) {
        // An alert that fired before the oldest record has no beginning here.
        let fired = |fired: &BTreeMap<Fingerprint, u64>, alert: &Fingerprint| fired.get(alert).copied().unwrap_or(0);
        match fact {
            Fact::AlertFired { alert } => {
                self.fired.insert(alert.fingerprint, seq);
                let homes = self.homes.get(&alert.fingerprint).into_iter().flatten();
                self.joined.extend(homes.filter(|home| self.active.contains(home)).map(|home| (*home, seq)));
            }
            Fact::AlertForgotten { fingerprint } => {
                self.homes.remove(fingerprint);
            }
            Fact::AlertLeft { incident, fingerprint, .. } => {
                self.homes.entry(*fingerprint).or_default().retain(|home| home != incident);
            }
            Fact::IncidentOpened { incident, .. } => {
                self.opened.insert(*incident);
                self.active.insert(*incident);
            }
            Fact::IncidentReopened { incident, reason } => {
                self.active.insert(*incident);
                if let Reason::Alert(back, _) = reason {
                    self.joined.push((*incident, fired(&self.fired, back)));
                }
            }
            Fact::IncidentResolved { incident, .. } | Fact::IncidentClosed { incident, .. } => {
                self.active.remove(incident);
            }
            Fact::AlertJoined { incident, fingerprint, .. } => {
                self.joined.push((*incident, fired(&self.fired, fingerprint)));
                let homes = self.homes.entry(*fingerprint).or_default();
                if !homes.contains(incident) {
                    homes.push(*incident);
                }
            }
            Fact::AlertSuppressed { fingerprint, by } => {
                if let Reason::Alert(source, _) = &by.reason {
                    self.inhibited.push((fired(&self.fired, fingerprint), fired(&self.fired, source)));
                }
            }
            _ => {}
        }
    }

    /// Everything that hangs together with an incident.
    fn related(&self, id: IncidentId) -> Related {
        let mut related = Related { incidents: BTreeSet::from([id]), fired: BTreeSet::new() };
        loop {
            let mut more = false;
            for (incident, fired) in &self.joined {
                if related.incidents.contains(incident) || related.fired.contains(fired) {
                    more |= related.incidents.insert(*incident);
                    more |= related.fired.insert(*fired);
                }
            }
            for (target, source) in &self.inhibited {
                if related.fired.contains(target) {
                    more |= related.fired.insert(*source);
                }
            }
            if !more || related.fired.len() > ALERTS_MAX {
                return related;
            }
        }
    }
}

fn related<D: Disk>(log: &LogFiles<D>, id: IncidentId) -> Result<Related, CaptureError> {
    let mut links = Links::default();
    for item in log.read(0)? {
        match item? {
            LogItem::Entity(Entity::Incident(incident)) => {
                links.before.insert(incident.id);
            }
            // Nothing is passed over without leave, and none was given.
            LogItem::Entity(_) | LogItem::Skipped(_) => {}
            LogItem::Record(record) => {
                (record.first_seq..).zip(&record.facts).for_each(|(seq, fact)| links.add(seq, fact));
            }
        }
    }
    if links.before.contains(&id) {
        return Err(CaptureError::Trimmed(id));
    }
    if !links.opened.contains(&id) {
        return Err(CaptureError::NoSuchIncident(id));
    }
    let related = links.related(id);
    if related.fired.len() > ALERTS_MAX {
        return Err(CaptureError::TooLarge { id, alerts: related.fired.len() });
    }
    if let Some(old) = related.incidents.intersection(&links.before).next() {
        return Err(CaptureError::Trimmed(*old));
    }
    if related.fired.contains(&0) {
        return Err(CaptureError::Trimmed(id));
    }
    Ok(related)
}

//! From a notification to the message that its receiver gets: the incident as it stands now, its alerts, and why it is told.

use std::cell::Cell;
use std::sync::Arc;

use super::lines::Owed;
use crate::deliver::{ALERTS_SHOWN_MAX, Message};
use crate::model::{Actor, AlertRecord, Incident, IncidentId, Reason, Time};
use crate::runtime::Live;

/// Members looked at for a message; the newest of so many are newest enough.
const MEMBERS_MAX: usize = 1_000;

/// What stands in every message of one installation.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Site {
    /// The id of the data directory.
    pub(in crate::runtime) directory: Arc<str>,
    /// Our own address as people reach it.
    pub(in crate::runtime) external_url: Option<String>,
}

/// Builds the message. Walks the table of alerts, so it belongs on a thread that may be kept for some milliseconds.
///
/// # Errors
/// `None` when the incident is no longer in memory.
pub(in crate::runtime) fn message(owed: &Owed, live: &Live, site: &Site, now: Time) -> Option<Message> {
    let notification = &owed.notification;
    let incident = live.incident(notification.incident)?;
    let actor = match &notification.reason {
        Reason::Actor(actor @ (Actor::Person(_) | Actor::Receiver(_))) => Some(actor.to_string()),
        _ => None,
    };
    Some(Message {
        id: notification.id.external(&site.directory),
        key: format!("{}/{}", site.directory, incident.id),
        kind: notification.kind,
        again: notification.again,
        alerts: members(live, incident.id),
        reason: sentence(&notification.reason),
        actor,
        remote: remote(&incident, &notification.receiver),
        // An attempt of the last process may have been taken without our knowing.
        attempts: owed.attempts.max(u32::from(owed.from_before)),
        created_at: notification.created_at,
        now,
        url: site.external_url.as_ref().map(|url| format!("{}/incidents/{}", url.trim_end_matches('/'), incident.id)),
        incident,
    })
}

/// Firing ones first, the newest of each first.
fn members(live: &Live, incident: IncidentId) -> Vec<Arc<AlertRecord>> {
    let found = Cell::new(0);
    let entries = live.alerts(|entry| {
        let member = found.get() < MEMBERS_MAX && entry.record.incidents.contains(&incident);
        found.set(found.get() + usize::from(member));
        member
    });
    let mut alerts: Vec<Arc<AlertRecord>> = entries.into_iter().map(|entry| entry.record).collect();
    alerts.sort_unstable_by_key(|record| (!record.is_firing(), std::cmp::Reverse(record.fired_seq)));
    alerts.truncate(ALERTS_SHOWN_MAX);
    alerts
}

/// What the receiver calls the incident, where it told us.
fn remote(incident: &Incident, receiver: &str) -> Option<String> {
    let opened = incident.opened_at_receivers.iter().filter(|opened| &*opened.receiver == receiver);
    opened.filter_map(|opened| opened.remote.as_deref()).next_back().map(str::to_owned)
}

fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Rule(rule) => format!("by rule {rule}"),
        Reason::Silence(id) => format!("by silence {id}"),
        Reason::Alert(fingerprint, rule) => format!("by alert {fingerprint} under rule {rule}"),
        Reason::Actor(actor) => format!("by {actor}"),
        Reason::Text(text) => text.to_string(),
    }
}

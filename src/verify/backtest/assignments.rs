//! Which alert went into which incident, one object a line: what a scorer reads.
//!
//! The first answer counts: an alert's incident is the first that it went into. Its `rank` is its place among the alerts of
//! that incident, in order of joining. `rootEntities` are the incident's probable causes, the likeliest first, as they stood soon
//! after its opening: a cause that is known when all is over helps nobody.

use std::collections::BTreeSet;
use std::io::{self, Write};

use rustc_hash::FxHashMap;
use serde_json::json;

use super::outcome::Outcome;
use crate::model::{IncidentId, Millis};

/// When the causes of an incident are asked for: late enough that what follows from the cause has come, early enough that
/// people still look for it.
const CAUSES_AFTER: Millis = Millis::minutes(5);

/// Writes `{"fingerprint","startsAt","incident","openedAt","rank","rootEntities"}` for each alert and beginning;
/// `incident` is `null`, and the others are left out, where it went into none.
///
/// # Errors
/// What writing gives.
pub fn write(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let ranks: FxHashMap<(IncidentId, usize), usize> = outcome
        .incidents
        .iter()
        .flat_map(|(id, case)| (1..).zip(&case.occurrences).map(|(rank, place)| ((*id, *place), rank)))
        .collect();
    let mut told = BTreeSet::new();
    for (place, occurrence) in outcome.occurrences.iter().enumerate() {
        let Some(case) = occurrence.incidents.first().and_then(|id| outcome.incidents.get(id)) else { continue };
        let key = (occurrence.alert.fingerprint, occurrence.alert.starts_at);
        if !told.insert(key) {
            continue;
        }
        let line = json!({
            "fingerprint": key.0.to_string(),
            "startsAt": key.1.to_rfc3339(),
            "incident": case.incident.id.to_string(),
            "openedAt": case.incident.opened_at.to_rfc3339(),
            "rank": ranks.get(&(case.incident.id, place)),
            "rootEntities": case.causes_after(CAUSES_AFTER).iter().map(|cause| &*cause.entity).collect::<Vec<_>>(),
        });
        writeln!(out, "{line}")?;
    }
    for occurrence in outcome.occurrences.iter().filter(|occurrence| occurrence.incidents.is_empty()) {
        let key = (occurrence.alert.fingerprint, occurrence.alert.starts_at);
        if told.insert(key) {
            let line = json!({ "fingerprint": key.0.to_string(), "startsAt": key.1.to_rfc3339(), "incident": null });
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

//! Two outcomes of the same alerts: which incidents one has and the other has not, and which are otherwise together.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::outcome::{Case, Outcome};
use crate::model::{Fingerprint, IncidentId, Time};

/// What differs between a baseline and what other rules make of the same alerts.
///
/// An incident that has exactly the alerts of one in the other outcome is the same, whatever its number. The others are
/// held against each other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// How many are the same.
    pub same: usize,
    /// New ones whose alerts were in none.
    pub gained: Vec<IncidentId>,
    /// Those of the baseline whose alerts are in none.
    pub lost: Vec<IncidentId>,
    /// New ones with the alerts of several, and those.
    pub merged: Vec<(IncidentId, Vec<IncidentId>)>,
    /// Those of the baseline whose alerts are in several now, and these.
    pub split: Vec<(IncidentId, Vec<IncidentId>)>,
    /// One of the baseline and the one it has become, with more alerts or fewer.
    pub changed: Vec<(IncidentId, IncidentId)>,
}

/// An alert and when it was heard of: the same in both outcomes.
type Point = (Fingerprint, Time);
type Overlaps = BTreeMap<IncidentId, BTreeSet<IncidentId>>;

/// Holds what came of the same alerts under other rules against a baseline.
#[must_use]
pub fn compare(baseline: &Outcome, new: &Outcome) -> Comparison {
    let (same_before, same_now) = same(baseline, new);
    let before = rest(baseline, &same_before);
    let now = rest(new, &same_now);
    let mut found = Comparison { same: same_now.len(), ..Comparison::default() };
    let mut homes: FxHashMap<Point, Vec<IncidentId>> = FxHashMap::default();
    for (id, case) in &before {
        for point in points(baseline, case) {
            homes.entry(point).or_default().push(*id);
        }
    }
    let (mut from, mut into) = (Overlaps::new(), Overlaps::new());
    for (id, case) in &now {
        let homes = points(new, case).filter_map(|point| homes.get(&point)).flatten();
        for home in homes {
            from.entry(*id).or_default().insert(*home);
            into.entry(*home).or_default().insert(*id);
        }
    }
    found.gained = now.keys().filter(|id| !from.contains_key(id)).copied().collect();
    found.lost = before.keys().filter(|id| !into.contains_key(id)).copied().collect();
    found.merged = several(&from);
    found.split = several(&into);
    let one_of = |ids: &BTreeSet<IncidentId>| ids.first().copied().filter(|_| ids.len() == 1);
    let became = |(id, ids): (&IncidentId, &BTreeSet<IncidentId>)| Some((*id, one_of(ids)?));
    found.changed = into.iter().filter_map(became).filter(|(_, id)| from[id].len() == 1).collect();
    found
}

/// The incidents that both outcomes have, by their numbers in each.
fn same(baseline: &Outcome, new: &Outcome) -> (BTreeSet<IncidentId>, BTreeSet<IncidentId>) {
    let mut by_points: FxHashMap<Vec<Point>, Vec<IncidentId>> = FxHashMap::default();
    // The last one first, because the first one is then taken first.
    for (id, case) in baseline.incidents.iter().rev() {
        by_points.entry(sorted(baseline, case)).or_default().push(*id);
    }
    let (mut before, mut now) = (BTreeSet::new(), BTreeSet::new());
    for (id, case) in &new.incidents {
        if let Some(other) = by_points.get_mut(&sorted(new, case)).and_then(Vec::pop) {
            before.insert(other);
            now.insert(*id);
        }
    }
    (before, now)
}

fn rest<'o>(outcome: &'o Outcome, same: &BTreeSet<IncidentId>) -> BTreeMap<IncidentId, &'o Case> {
    outcome.incidents.iter().filter(|(id, _)| !same.contains(id)).map(|(id, case)| (*id, case)).collect()
}

fn several(overlaps: &Overlaps) -> Vec<(IncidentId, Vec<IncidentId>)> {
    let several = overlaps.iter().filter(|(_, ids)| ids.len() > 1);
    several.map(|(id, ids)| (*id, ids.iter().copied().collect())).collect()
}

fn points<'o>(outcome: &'o Outcome, case: &'o Case) -> impl Iterator<Item = Point> + 'o {
    case.occurrences.iter().map(|place| {
        let occurrence = &outcome.occurrences[*place];
        (occurrence.alert.fingerprint, occurrence.at)
    })
}

fn sorted(outcome: &Outcome, case: &Case) -> Vec<Point> {
    let mut points: Vec<Point> = points(outcome, case).collect();
    points.sort_unstable();
    points
}

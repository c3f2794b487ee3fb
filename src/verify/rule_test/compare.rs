//! What differs between what a check expects and what there is, and what decided it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Check;
use super::describe::{reason_text, suppressions};
use super::pattern::{AlertPattern, IncidentPattern};
use super::run::{Difference, open, suppressed};
use crate::engine::Fact;
use crate::model::{AlertRecord, Incident, NotificationKind};
use crate::verify::player::Player;

/// Everything that is not as a check expects it. `facts` are those since the check before.
pub(super) fn differences(check: &Check, player: &Player, facts: &[Fact]) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(expected) = &check.incidents {
        let open: Vec<&Incident> = open(player).map(|incident| &**incident).collect();
        found.append(&mut incident_differences(expected, &open));
    }
    if let Some(expected) = &check.notified {
        found.extend(notified_difference(expected, facts));
    }
    if let Some(expected) = &check.suppressed {
        found.append(&mut suppressed_differences(expected, &suppressed(player)));
    }
    found
}

fn incident_differences(expected: &[IncidentPattern], open: &[&Incident]) -> Vec<Difference> {
    if expected.len() == open.len() {
        return expected.iter().zip(open).flat_map(|(expected, incident)| expected.differences(incident)).collect();
    }
    let what = || "open incidents".to_owned();
    let counts = Difference { what: what(), expected: expected.len().to_string(), got: open.len().to_string(), reason: None };
    // Which of them it is that is missing or too many can be seen from what finds no partner.
    let (missing, extra) = without_partners(expected, open, |pattern, incident| pattern.holds(incident));
    let missing = missing.map(|pattern| Difference {
        what: "an incident".to_owned(),
        expected: pattern.to_string(),
        got: "none like it".to_owned(),
        reason: None,
    });
    let extra = extra.map(|incident| Difference {
        what: incident.id.to_string(),
        expected: "no such incident".to_owned(),
        got: format!("{:?}", incident.title),
        reason: Some(format!("rule {}", incident.rule)),
    });
    std::iter::once(counts).chain(missing).chain(extra).collect()
}

/// First messages and further steps; updates, repetitions and what closes them are none.
fn notified_difference(expected: &[Arc<str>], facts: &[Fact]) -> Option<Difference> {
    let mut told: BTreeMap<&Arc<str>, BTreeSet<String>> = BTreeMap::new();
    let mut stepping = false;
    for fact in facts {
        match fact {
            Fact::EscalationStepped { skipped, .. } => stepping = !skipped,
            Fact::EscalationTold { .. } => stepping = false,
            Fact::NotificationQueued { notification: n } if n.kind == NotificationKind::Trigger && (stepping || !n.again) => {
                told.entry(&n.receiver).or_default().insert(format!("{} by {}", n.incident, reason_text(&n.reason)));
            }
            _ => {}
        }
    }
    let expected: BTreeSet<&Arc<str>> = expected.iter().collect();
    if told.keys().copied().eq(expected.iter().copied()) {
        return None;
    }
    let unexpected: Vec<String> = told
        .iter()
        .filter(|(receiver, _)| !expected.contains(*receiver))
        .map(|(receiver, of)| format!("{receiver} was told of {}", of.iter().cloned().collect::<Vec<_>>().join(" and ")))
        .collect();
    Some(Difference {
        what: "notified".to_owned(),
        expected: listed(expected.into_iter()),
        got: listed(told.into_keys()),
        reason: (!unexpected.is_empty()).then(|| unexpected.join("; ")),
    })
}

fn listed<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> String {
    format!("[{}]", names.map(|name| &**name).collect::<Vec<_>>().join(", "))
}

fn suppressed_differences(expected: &[AlertPattern], suppressed: &[&Arc<AlertRecord>]) -> Vec<Difference> {
    let (missing, extra) = without_partners(expected, suppressed, |pattern, record| pattern.holds(record));
    let what = || "suppressed".to_owned();
    let missing = missing.map(|pattern| Difference {
        what: what(),
        expected: pattern.to_string(),
        got: "none like it".to_owned(),
        reason: None,
    });
    let extra = extra.map(|record| Difference {
        what: what(),
        expected: "no such alert".to_owned(),
        got: record.labels().to_string(),
        reason: Some(suppressions(record)),
    });
    missing.chain(extra).collect()
}

/// Pairs expectations with things so that as many as can be have a partner, and gives what is left over of both. One
/// expectation may fit several things, so the first that fits may have to go to another one (Kuhn's matching).
fn without_partners<'a, P, T>(
    expected: &'a [P],
    things: &'a [T],
    fits: impl Fn(&P, &T) -> bool,
) -> (impl Iterator<Item = &'a P>, impl Iterator<Item = &'a T>) {
    fn pair<P, T>(
        number: usize,
        expected: &[P],
        things: &[T],
        fits: &impl Fn(&P, &T) -> bool,
        partner: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        for (at, thing) in things.iter().enumerate() {
            if seen[at] || !fits(&expected[number], thing) {
                continue;
            }
            seen[at] = true;
            let free = match partner[at] {
                None => true,
                Some(other) => pair(other, expected, things, fits, partner, seen),
            };
            if free {
                partner[at] = Some(number);
                return true;
            }
        }
        false
    }
    let mut partner: Vec<Option<usize>> = vec![None; things.len()];
    for number in 0..expected.len() {
        pair(number, expected, things, &fits, &mut partner, &mut vec![false; things.len()]);
    }
    let paired: BTreeSet<usize> = partner.iter().copied().flatten().collect();
    let missing = expected.iter().enumerate().filter(move |(number, _)| !paired.contains(number)).map(|(_, pattern)| pattern);
    let extra = things.iter().zip(partner).filter(|(_, partner)| partner.is_none()).map(|(thing, _)| thing);
    (missing, extra)
}

//! What an incident probably comes from.
//!
//! Looked for some seconds after an incident has opened or grown, and then ever more seldom, so that an alert pays nothing
//! for it but a glance at one field. What speaks for a thing:
//!
//! - others that alert depend on it by the catalogue, or are part of it (a host of its rack), and nothing below it alerts;
//! - its gravest alert says that it is down rather than that it is slow;
//! - it was changed shortly before;
//! - it was early. Weakly: rules wait for different times before they fire, so the cause is often not the first to alert.
//!
//! A thing that raises no alert itself is a cause too where most of what depends on it does and nothing else explains it.
//! All of it is a function of the incident's alerts, whatever their order, the catalogue and the reported changes.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::engine::state::State;
use crate::engine::{Engine, Fact};
use crate::model::cause::{CAUSES_MAX, Symptom, catalogue_name, environment_of, other_environment, places_of, thing, thing_of};
use crate::model::{AlertRecord, Cause, CauseReason, Change, IncidentId, Labels, Millis, Severity, Time, ahead};
use crate::ruleset::Catalogue;

/// Causes are looked for this long after an incident has opened: what belongs together is often there by then.
const FIRST_LOOK_AFTER: Millis = Millis::seconds(10);
/// Further looks wait for a part of the incident's age: one in so many. Some twenty looks in a day.
const LOOK_AGAIN_AFTER: i64 = 2;
/// An incident of more alerts than this is looked at once. It is a flood, and a look costs a walk over all of them.
const MEMBERS_MAX: u32 = 20_000;
/// Alerts that are asked for together: their labels lie all over the memory, and waiting for one after the other was two thirds
/// of a look.
const READ_AT_ONCE: usize = 64;
/// Things that are weighed against each other.
const SUSPECTS_MAX: usize = 128;
/// How far dependencies are followed, in hops and in things.
const HOPS_MAX: u32 = 4;
const REACHED_MAX: usize = 256;
/// Places that are remembered of one thing: replicas lie on several hosts.
const PLACES_MAX: usize = 8;
/// Silent things that are weighed.
const SILENT_MAX: usize = 64;
/// A change speaks for a cause this long, ever more weakly.
const CHANGE_COUNTS: Millis = Millis::hours(1);
/// Rules wait for minutes before they fire, and deployments are reported late: a change this long after the first alert may
/// still have come before the trouble.
const CHANGE_LATE: Millis = Millis::minutes(1);
/// Being early counts this long, ever more weakly.
const EARLY_COUNTS: Millis = Millis::minutes(5);

/// What each reason is worth at most. Together they may come to more than [`SCORE_MAX`], which is then the score.
const CARRIES: f64 = 42.0;
const BENEATH: f64 = 24.0;
const DEEPEST: f64 = 12.0;
const SILENT: f64 = 60.0;
const CHANGED: f64 = 25.0;
const EARLY: f64 = 10.0;
const SCORE_MAX: f64 = 100.0;

impl Engine {
    /// Has an incident's causes looked for, unless that is planned already or there is nothing to find: one service in a
    /// site without a catalogue and without reported changes.
    pub(super) fn plan_causes(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        if incident.causes_due.is_some() || !incident.status.is_active() {
            return;
        }
        let alone = incident.services.len() <= 1;
        if alone && self.rules.catalogue.services().is_empty() && self.state.reported.is_empty() {
            return;
        }
        if incident.alerts_total > MEMBERS_MAX && incident.causes.is_some() {
            return;
        }
        let age = self.now.since(incident.opened_at);
        let wait = FIRST_LOOK_AFTER.max(Millis(age.0 / LOOK_AGAIN_AFTER));
        self.record(Fact::IncidentCausesPlanned { incident: id, due: Some(self.now + wait) });
    }

    pub(super) fn look_for_causes(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incident(id) else { return };
        if incident.causes_due.is_none_or(|due| due > self.now) {
            return;
        }
        let members: Vec<&Arc<AlertRecord>> = self.members(id).collect();
        let near = members.chunks(READ_AT_ONCE).flat_map(|some| {
            ahead::labels(some.iter().map(|record| &***record));
            some
        });
        let evidence = near.map(|record| Evidence {
            labels: record.labels(),
            severity: record.severity(),
            at: record.alert.starts_at.min(record.fired_at),
        });
        let suspects = suspects(evidence);
        let found = Scene::of(&suspects, &self.rules.catalogue, &self.state).rank();
        if found == incident.causes() {
            self.record(Fact::IncidentCausesPlanned { incident: id, due: None });
        } else {
            let runbook = found.first().and_then(|cause| self.runbook(catalogue_name(&cause.entity)));
            self.record(Fact::IncidentCausesFound { incident: id, causes: Arc::new(found), runbook });
        }
    }

    /// Where it stands what to do about a service, by the catalogue.
    pub(super) fn runbook(&self, service: &str) -> Option<Arc<str>> {
        self.rules.catalogue.get(service)?.runbook.clone()
    }
}

/// What one alert says.
struct Evidence<'a> {
    labels: &'a Labels,
    severity: Severity,
    at: Time,
}

/// A thing that alerts, by all of its alerts.
#[derive(Debug)]
struct Suspect {
    first_at: Time,
    /// Its gravest alert: what that says, how bad its sender calls it, its name.
    gravest: (Symptom, Severity, Arc<str>),
    /// Larger things that its alerts happen in.
    places: BTreeSet<Arc<str>>,
    /// Environments that its alerts name.
    environments: BTreeSet<Arc<str>>,
}

/// All things that alert, by name. The order of the alerts makes no difference.
fn suspects<'a>(evidence: impl Iterator<Item = Evidence<'a>>) -> BTreeMap<Arc<str>, Suspect> {
    let mut suspects: BTreeMap<Arc<str>, Suspect> = BTreeMap::new();
    // A flood is thousands of alerts of few names.
    let mut symptoms: FxHashMap<&str, (Symptom, Arc<str>)> = FxHashMap::default();
    for Evidence { labels, severity, at } in evidence {
        let Some(name) = thing_of(labels) else { continue };
        let alertname = labels.get("alertname");
        let (symptom, alertname) = symptoms.entry(alertname).or_insert_with(|| (Symptom::of(alertname), alertname.into()));
        let gravest = (*symptom, severity, alertname.clone());
        let places = places_of(labels).filter(|place| *place != name);
        let environment = Some(environment_of(labels)).filter(|name| !name.is_empty());
        if let Some(suspect) = suspects.get_mut(&name) {
            suspect.first_at = suspect.first_at.min(at);
            // Alerts of a name are many: nothing is compared for another of the same.
            if worth(&gravest) > worth(&suspect.gravest)
                || (worth(&gravest) == worth(&suspect.gravest) && gravest < suspect.gravest)
            {
                suspect.gravest = gravest;
            }
            suspect.places.extend(places);
            let new = environment.filter(|name| !suspect.environments.contains(*name));
            suspect.environments.extend(new.map(Arc::from));
            for known in [&mut suspect.places, &mut suspect.environments] {
                while known.len() > PLACES_MAX {
                    known.pop_last();
                }
            }
        } else {
            let environments = environment.map(Arc::from).into_iter().collect();
            suspects.insert(name.clone(), Suspect { first_at: at, gravest, places: places.collect(), environments });
        }
    }
    keep_the_likeliest(suspects)
}

/// Where there are too many, those stay that others are part of, then those with the gravest alerts, then the first.
fn keep_the_likeliest(suspects: BTreeMap<Arc<str>, Suspect>) -> BTreeMap<Arc<str>, Suspect> {
    if suspects.len() <= SUSPECTS_MAX {
        return suspects;
    }
    let mut parts: FxHashMap<Arc<str>, usize> = FxHashMap::default();
    for place in suspects.values().flat_map(|suspect| &suspect.places) {
        *parts.entry(place.clone()).or_default() += 1;
    }
    let mut all: Vec<(Arc<str>, Suspect)> = suspects.into_iter().collect();
    all.sort_by_cached_key(|(name, suspect)| {
        let parts = parts.get(name).copied().unwrap_or(0);
        (Reverse(parts), suspect.gravest.clone(), suspect.first_at, name.clone())
    });
    all.truncate(SUSPECTS_MAX);
    all.into_iter().collect()
}

/// How much a thing's gravest alert speaks for it. What its sender calls a mere note says half of that.
fn worth((symptom, severity, _): &(Symptom, Severity, Arc<str>)) -> u32 {
    let worth = match symptom {
        Symptom::Down => 26,
        Symptom::Saturated => 20,
        Symptom::Failing => 12,
        Symptom::Unclear => 8,
        Symptom::Slow => 6,
        Symptom::Starved => 2,
    };
    if is_note(*severity) { worth / 2 } else { worth }
}

/// Whether a sender calls an alert a mere note.
fn is_note(severity: Severity) -> bool {
    matches!(severity, Severity::Low | Severity::Info)
}

/// All that is known when causes are ranked.
struct Scene<'a> {
    suspects: &'a BTreeMap<Arc<str>, Suspect>,
    /// When the first of them alerted.
    began_at: Option<Time>,
    catalogue: &'a Catalogue,
    state: &'a State,
}

/// A reason and what it is worth.
type Weighed = (f64, CauseReason);

/// The alerting things that each alerting thing relies on.
type ReliesOn<'a> = BTreeMap<&'a Arc<str>, BTreeSet<&'a Arc<str>>>;

impl<'a> Scene<'a> {
    fn of(suspects: &'a BTreeMap<Arc<str>, Suspect>, catalogue: &'a Catalogue, state: &'a State) -> Scene<'a> {
        Scene { suspects, began_at: suspects.values().map(|suspect| suspect.first_at).min(), catalogue, state }
    }

    /// The likeliest causes, best first.
    fn rank(&self) -> Vec<Cause> {
        let relies_on: ReliesOn<'_> = self.suspects.keys().map(|name| (name, self.alerting_below(name))).collect();
        let mut dependents: FxHashMap<&Arc<str>, usize> = FxHashMap::default();
        for below in relies_on.values().flatten() {
            *dependents.entry(below).or_default() += 1;
        }
        let dependents = |name| dependents.get(name).copied().unwrap_or(0);
        let alerting = self.suspects.iter().map(|(name, it)| self.alerting(name, it, &relies_on, dependents(name)));
        let mut causes: Vec<(f64, Cause)> = alerting.collect();
        causes.extend(self.silent(&relies_on));
        causes.sort_by(likelier);
        causes.into_iter().take(CAUSES_MAX).map(|(_, cause)| cause).collect()
    }

    /// What speaks for a thing that alerts, on which so many others that do rely.
    fn alerting(&self, name: &Arc<str>, suspect: &Suspect, relies_on: &ReliesOn<'_>, dependents: usize) -> (f64, Cause) {
        let others = self.suspects.len() - 1;
        let mut reasons: Vec<Weighed> = Vec::new();
        let starved = suspect.gravest.0 == Symptom::Starved;
        if dependents > 0 {
            let reason = CauseReason::Carries { dependents: number(dependents), of: number(others) };
            reasons.push((CARRIES * share(dependents, others), reason));
        }
        // What depends on it in turn does not lie below it: services in a circle fail together.
        let below = relies_on[name].iter().any(|other| !relies_on[*other].contains(name));
        let beneath = self.beneath(name, suspect);
        // Of what stands alone in the catalogue this would say nothing.
        let telling = dependents > 0 || beneath.is_some() || !self.catalogue.depends_on(catalogue_name(name)).is_empty();
        reasons.extend(beneath);
        if others > 0 && !below && !starved && telling {
            reasons.push((DEEPEST, CauseReason::Deepest));
        }
        let (symptom, _, alert) = &suspect.gravest;
        reasons.push((f64::from(worth(&suspect.gravest)), CauseReason::Says { alert: alert.clone(), symptom: *symptom }));
        if let Some(first) = self.began_at.filter(|_| others > 0) {
            let after = to_seconds(suspect.first_at.since(first));
            reasons.push((EARLY * fading(after, EARLY_COUNTS), CauseReason::Came { after }));
        }
        reasons.extend(self.changed(name, suspect.first_at, &suspect.places, &suspect.environments));
        cause(name.clone(), reasons)
    }

    /// That services run on such a thing speaks for it as far as it is in the same place as those that alert.
    fn beneath(&self, name: &str, suspect: &Suspect) -> Option<Weighed> {
        let carries = ["host/", "rack/", "cluster/"].iter().any(|kind| name.starts_with(kind));
        if !carries || !matches!(suspect.gravest.0, Symptom::Down | Symptom::Saturated) || is_note(suspect.gravest.1) {
            return None;
        }
        let services = || self.suspects.iter().filter(|(name, _)| name.starts_with("service/"));
        let here = |other: &Suspect| {
            suspect.places.is_empty() || !suspect.places.is_disjoint(&other.places) || other.places.contains(name)
        };
        let (near, of) = (services().filter(|(_, other)| here(other)).count(), services().count());
        (near > 0).then(|| (BENEATH * share(near, of), CauseReason::Beneath { services: number(near), of: number(of) }))
    }

    /// Things that raise no alert, while most of what depends on them does.
    fn silent(&self, relies_on: &ReliesOn<'_>) -> Vec<(f64, Cause)> {
        let mut dependents: BTreeMap<Arc<str>, Vec<&Arc<str>>> = BTreeMap::new();
        for name in self.suspects.keys().filter(|name| !self.is_starved(name)) {
            for below in self.directly_below(name).filter(|below| !self.suspects.contains_key(below)) {
                dependents.entry(below).or_default().push(name);
            }
        }
        // What nothing below explains.
        let open = relies_on.iter().filter(|(name, below)| below.is_empty() && !self.is_starved(name));
        let open: BTreeSet<&Arc<str>> = open.map(|(name, _)| *name).collect();
        let mut found: Vec<(f64, Cause)> = dependents.iter().filter_map(|(name, on)| self.silent_one(name, on, &open)).collect();
        found.sort_by(likelier);
        found.truncate(SILENT_MAX);
        found
    }

    fn silent_one(&self, name: &Arc<str>, dependents: &[&Arc<str>], open: &BTreeSet<&Arc<str>>) -> Option<(f64, Cause)> {
        let explained = dependents.iter().filter(|other| open.contains(**other)).count();
        let all = self.catalogue.callers(catalogue_name(name)).len().max(dependents.len());
        let first = dependents.iter().filter_map(|other| self.suspects.get(*other)).map(|suspect| suspect.first_at).min()?;
        let changed = self.changed(name, first, &BTreeSet::new(), &BTreeSet::new());
        let foreign = name.starts_with("external/");
        let enough = if foreign { explained > 0 } else { explained > 1 };
        if changed.is_none() && (!enough || dependents.len() * 2 < all) {
            return None;
        }
        let explains = match explained {
            // What else there is to explain may follow from it by ways that only others know.
            2.. if foreign => 1.0,
            1 if foreign => 0.5,
            _ => share(explained, open.len()),
        };
        let worth = SILENT * explains * share(dependents.len(), all);
        let reason = CauseReason::Silent { dependents: number(dependents.len()), of: number(all) };
        // What is somebody else's raises no alert here, whatever is the matter with it: that it is silent says nothing against it.
        let deepest = foreign.then_some((DEEPEST, CauseReason::Deepest));
        Some(cause(name.clone(), [(worth, reason)].into_iter().chain(changed).chain(deepest).collect()))
    }

    /// The last change of a thing before its trouble, where that is not long before, and not in another cluster or environment.
    fn changed(
        &self,
        name: &str,
        first_at: Time,
        places: &BTreeSet<Arc<str>>,
        environments: &BTreeSet<Arc<str>>,
    ) -> Option<Weighed> {
        let elsewhere = |change: &Change| {
            let here = |cluster: &Arc<str>| {
                let clusters = places.iter().filter_map(|place| place.strip_prefix("cluster/"));
                let mut clusters = clusters.peekable();
                clusters.peek().is_none() || clusters.any(|place| *place == **cluster)
            };
            let other = |made_in: &Arc<str>| {
                !environments.is_empty() && environments.iter().all(|environment| other_environment(environment, made_in))
            };
            change.cluster.as_ref().is_some_and(|cluster| !here(cluster)) || change.environment.as_ref().is_some_and(other)
        };
        let (from, to) = (Time(first_at.0 - CHANGE_COUNTS.0), first_at + CHANGE_LATE);
        let change = self.state.reported.of(name, from, to).find(|change| !elsewhere(change))?;
        let before = to_seconds(first_at.since(change.started_at).max(Millis::ZERO));
        let reason = CauseReason::Changed { kind: change.kind.clone(), summary: change.summary.clone(), before };
        Some((CHANGED * fading(before, CHANGE_COUNTS), reason))
    }

    /// The alerting things that one depends on or is part of, over several hops.
    fn alerting_below(&self, from: &Arc<str>) -> BTreeSet<&Arc<str>> {
        let mut reached: BTreeSet<Arc<str>> = BTreeSet::from([from.clone()]);
        let mut found = BTreeSet::new();
        let mut edge = vec![from.clone()];
        for _ in 0..HOPS_MAX {
            let mut next = Vec::new();
            for below in edge.iter().flat_map(|name| self.directly_below(name)) {
                if reached.len() < REACHED_MAX && reached.insert(below.clone()) {
                    let alerting = self.suspects.get_key_value(&below).filter(|(name, _)| !self.is_starved(name));
                    found.extend(alerting.map(|(name, _)| name));
                    next.push(below);
                }
            }
            edge = next;
        }
        found
    }

    /// Whether all that a thing says is that nobody asks anything of it. Then nothing that depends on it fails for its sake.
    fn is_starved(&self, name: &str) -> bool {
        self.suspects.get(name).is_some_and(|suspect| suspect.gravest.0 == Symptom::Starved)
    }

    /// What a thing depends on by the catalogue, and what it is part of by its alerts' labels.
    fn directly_below(&self, name: &str) -> impl Iterator<Item = Arc<str>> + '_ {
        let depends_on = self.catalogue.depends_on(catalogue_name(name)).iter().map(|name| thing(name));
        let places = self.suspects.get(name).into_iter().flat_map(|suspect| suspect.places.iter().cloned());
        // Everything is part of some cluster: one that does not alert itself explains nothing.
        depends_on.chain(places.filter(|place| !place.starts_with("cluster/") || self.suspects.contains_key(place)))
    }
}

/// The likelier of two first, of two alike the one whose name comes first.
fn likelier((a_worth, a): &(f64, Cause), (b_worth, b): &(f64, Cause)) -> Ordering {
    b_worth.total_cmp(a_worth).then_with(|| a.entity.cmp(&b.entity))
}

/// A cause of these reasons, the weightiest first, with what they are worth together, which may be more than its score.
fn cause(entity: Arc<str>, mut reasons: Vec<Weighed>) -> (f64, Cause) {
    reasons.sort_by(|a, b| b.0.total_cmp(&a.0));
    let sum: f64 = reasons.iter().map(|(worth, _)| worth).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
    let score = sum.round().clamp(1.0, SCORE_MAX) as u32;
    (sum, Cause { entity, score, reasons: reasons.into_iter().map(|(_, reason)| reason).collect() })
}

/// People read these; a tenth of a second is no reason.
fn to_seconds(length: Millis) -> Millis {
    Millis(length.0 - length.0.rem_euclid(1_000))
}

/// From 1 to 0 while a time passes.
#[expect(clippy::cast_precision_loss, reason = "hours in milliseconds")]
fn fading(passed: Millis, within: Millis) -> f64 {
    (1.0 - passed.0 as f64 / within.0 as f64).clamp(0.0, 1.0)
}

/// A part of a whole; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

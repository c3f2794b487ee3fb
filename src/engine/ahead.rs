//! Reading ahead: brings near what the stages will ask for, for many inputs at once (see [`crate::model::ahead`]). Decides
//! nothing. Into which incident an alert goes is only guessed here, and a wrong guess costs a little time.

use std::hash::{Hash, Hasher};
use std::hint::black_box;
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::engine::state::Members;
use crate::engine::{Engine, Input};
use crate::model::{Alert, Fingerprint, Incident, IncidentId, Labels, Time, ahead};

/// Places of guesses. Alerts that share one spoil each other's guess.
const PLACES: usize = 4_096;

/// Alerts in a row that go into no incident; behind more of them, nothing is learnt of the rest.
const NEXT: usize = 64;

/// Where alerts went of late, by the labels that the last rule which took one looks at.
#[derive(Debug, Default)]
pub(super) struct Habit {
    by: Vec<Arc<str>>,
    last: Vec<Option<IncidentId>>,
    /// The alerts that were looked at last, in order, each with its place.
    expected: Vec<(Fingerprint, usize)>,
    /// How many of them have been decided on.
    decided: usize,
}

impl Habit {
    fn place(&self, labels: &Labels) -> usize {
        let mut hasher = FxHasher::default();
        for (name, value) in labels.iter().filter(|(name, _)| self.by.iter().any(|label| **label == **name)) {
            (name.len(), value).hash(&mut hasher);
        }
        usize::try_from(hasher.finish()).unwrap_or_default() % PLACES
    }

    /// Notes where an alert has gone, by a rule that puts together what agrees in these labels.
    pub(super) fn learn(&mut self, fingerprint: Fingerprint, by: &[Arc<str>], incident: IncidentId) {
        let next = self.expected[self.decided..].iter().take(NEXT);
        let Some(ahead) = next.map(|(expected, _)| *expected).position(|expected| expected == fingerprint) else { return };
        self.decided += ahead;
        if self.by.as_slice() == by {
            self.last.resize(PLACES, None);
            self.last[self.expected[self.decided].1] = Some(incident);
        } else {
            self.by = by.to_vec();
            self.last.clear();
        }
    }
}

impl Engine {
    /// Brings near what deciding on these inputs will need. Nothing of the state or of what is decided depends on it.
    pub fn read_ahead(&mut self, inputs: &[Input]) {
        let alerts = inputs.iter().filter_map(|input| match input {
            Input::Alert(news) => Some(&*news.alert),
            _ => None,
        });
        ahead::alerts(alerts.clone());
        black_box(alerts.clone().filter(|alert| self.state.alert(alert.fingerprint).is_some()).count());
        self.read_incidents_ahead(alerts);
    }

    fn read_incidents_ahead<'a>(&mut self, alerts: impl Iterator<Item = &'a Alert>) {
        let mut habit = std::mem::take(&mut self.habit);
        habit.decided = 0;
        habit.expected.clear();
        let places = alerts.map(|alert| (alert.fingerprint, habit.place(&alert.labels))).collect();
        habit.expected = places;
        let guess = |(_, place): &(Fingerprint, usize)| habit.last.get(*place).copied().flatten();
        let incidents: Vec<&Incident> = habit
            .expected
            .iter()
            .filter_map(guess)
            .filter_map(|id| self.state.incident(id))
            .map(|incident| &**incident)
            .collect();
        // Each look has the addresses that the one before has read.
        look(&incidents, |it| it.version ^ u64::from(it.alerts_total) ^ bits(it.last_news_at));
        look(&incidents, |it| {
            let head = &*it.head;
            let dues = [head.resolved_at, head.fall_due, head.retitle_due, head.causes_due, head.major_due];
            dues.into_iter().flatten().map(bits).fold(bits(head.opened_at) ^ u64::from(head.priority), |sum, due| sum ^ due)
        });
        look(&incidents, |it| (it.policies.len() ^ it.services.len() ^ it.labels.encoded().len()) as u64);
        look(&incidents, |it| {
            let runs =
                it.policies.iter().filter(|run| run.update_due.is_some() || run.paused_at.is_some() || run.steps.is_empty());
            (runs.count() ^ it.classified_by.iter().flatten().count()) as u64 ^ ahead::text(it.labels.encoded())
        });
        look(&incidents, |it| it.policies.iter().flat_map(|run| &run.steps).fold(0, |sum, step| sum ^ bits(step.due)));
        look(&incidents, |it| self.state.members.get(&it.id).and_then(Members::last).map_or(0, |last| last.0));
        self.habit = habit;
    }
}

fn bits(time: Time) -> u64 {
    time.0.cast_unsigned()
}

fn look(incidents: &[&Incident], at: impl Fn(&Incident) -> u64) {
    black_box(incidents.iter().fold(0, |sum, incident| sum ^ at(incident)));
}

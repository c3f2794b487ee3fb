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

/// Joins in a row by other labels until those are looked at: rules that take turns must not turn all of it over each time.
const PATIENCE: usize = 16;

/// Where alerts went of late, by the labels of a rule that takes many.
#[derive(Debug, Default)]
pub(super) struct Habit {
    by: Vec<Arc<str>>,
    last: Vec<Option<IncidentId>>,
    /// How many joins in a row were by other labels.
    others: usize,
    /// The alerts that were looked at last, in order, each with its place.
    expected: Vec<(Fingerprint, usize)>,
    /// How many of them have been decided on.
    decided: usize,
}

impl Habit {
    fn place(&self, labels: &Labels) -> usize {
        let mut hasher = FxHasher::default();
        self.by.iter().for_each(|name| labels.get(name).hash(&mut hasher));
        usize::try_from(hasher.finish()).unwrap_or_default() % PLACES
    }

    /// Notes where an alert has gone, by a rule that puts together what agrees in these labels.
    pub(super) fn learn(&mut self, fingerprint: Fingerprint, by: &[Arc<str>], incident: IncidentId) {
        let next = self.expected[self.decided..].iter().take(NEXT);
        let Some(ahead) = next.map(|(expected, _)| *expected).position(|expected| expected == fingerprint) else { return };
        self.decided += ahead;
        if self.by.as_slice() == by {
            self.others = 0;
            self.last.resize(PLACES, None);
            self.last[self.expected[self.decided].1] = Some(incident);
            return;
        }
        self.others += 1;
        if self.others > PATIENCE {
            // Where alerts went by other labels says nothing, and does no harm.
            self.by = by.to_vec();
            self.others = 0;
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
        let mut expected = std::mem::take(&mut habit.expected);
        expected.clear();
        expected.extend(alerts.map(|alert| (alert.fingerprint, habit.place(&alert.labels))));
        (habit.expected, habit.decided) = (expected, 0);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(host: &str) -> Labels {
        Labels::from_pairs([("alertname", "Disk"), ("host", host)]).unwrap()
    }

    /// Lets alerts of one host join, each by these labels, and gives what is guessed of the next.
    fn guess(habit: &mut Habit, joins: &[&[&str]]) -> Option<IncidentId> {
        for (number, by) in (0..).zip(joins) {
            let by: Vec<Arc<str>> = by.iter().map(|name| (*name).into()).collect();
            // Another alert was looked at before it, and has joined nothing.
            habit.expected = vec![(Fingerprint(1_000), 0), (Fingerprint(number), habit.place(&labels("a")))];
            habit.decided = 0;
            habit.learn(Fingerprint(number), &by, IncidentId(7));
        }
        habit.last.get(habit.place(&labels("a"))).copied().flatten()
    }

    const BY_HOST: &[&str] = &["host"];

    #[test]
    fn alerts_go_where_those_like_them_went() {
        let mut habit = Habit::default();
        assert_eq!(guess(&mut habit, &[BY_HOST; PATIENCE]), None, "it might be an exception");
        assert_eq!(guess(&mut habit, &[BY_HOST; 2]), Some(IncidentId(7)));
        assert_eq!(habit.last.get(habit.place(&labels("b"))).copied().flatten(), None, "another host");
    }

    #[test]
    fn rules_that_take_turns_leave_it_as_it_is() {
        let mut habit = Habit::default();
        assert_eq!(guess(&mut habit, &[BY_HOST; 2 * PATIENCE]), Some(IncidentId(7)));
        let turns: [&[&str]; 4] = [&["alertname"], &["alertname", "host"], BY_HOST, &[]];
        assert_eq!(guess(&mut habit, &turns.repeat(PATIENCE)), Some(IncidentId(7)));
        assert_eq!(habit.by, ["host".into()]);
    }
}

//! Plays inputs into an engine in virtual time. Timers run at their very moment, between the inputs.
//!
//! Receivers take every message at once: what they do with it is no matter of rules. Repeats are not played: in the daemon
//! they end at the dedup table, so they may not cost a step here.

use std::sync::Arc;

use crate::engine::{Answer, Changes, DeliveryOutcome, Engine, EngineOptions, Fact, Input, Refusal, State};
use crate::model::Time;
use crate::ruleset::Ruleset;

/// An engine with a past, which began empty.
#[derive(Debug)]
pub struct Player {
    engine: Engine,
}

impl Player {
    /// A fresh engine under rules, at the moment that its time begins. The receivers that the rules name exist.
    #[must_use]
    pub fn new(rules: &Arc<Ruleset>, start: Time) -> Player {
        Player::of_site(rules, start, EngineOptions::default(), &[])
    }

    /// As [`Player::new`], with a site's limits and receivers: one named `default` is told where no rule fits.
    #[must_use]
    pub fn of_site(rules: &Arc<Ruleset>, start: Time, options: EngineOptions, receivers: &[Arc<str>]) -> Player {
        let named = rules.escalate.iter().flat_map(|rule| &rule.steps).flat_map(|step| &step.notify);
        let mut receivers: Vec<Arc<str>> = named.chain(receivers).cloned().collect();
        receivers.sort();
        receivers.dedup();
        let mut player = Player { engine: Engine::new(State::new(), rules.clone(), options) };
        player.engine.know_receivers(receivers.into());
        for input in [Input::Created { directory: "test".into() }, Input::Rules(rules.clone())] {
            // Nothing can be refused here, and nothing of it is of interest. Time begins with this step: before it, an engine
            // stands at 1970, and would look around every few minutes from then on.
            drop(player.step(start, input, &mut Vec::new()));
        }
        player
    }

    /// What has become of it all.
    #[must_use]
    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// When something is decided next by time alone, if anything is.
    #[must_use]
    pub fn next_timer(&self) -> Option<Time> {
        self.engine.next_timer()
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        self.engine.take_changes()
    }

    /// Lets time pass up to and including `at`. What is decided meanwhile is appended to `facts`.
    pub fn advance(&mut self, at: Time, facts: &mut Vec<Fact>) {
        while let Some(due) = self.engine.next_timer().filter(|due| *due <= at) {
            // Time alone is never refused.
            drop(self.step(due, Input::Tick, facts));
        }
    }

    /// Lets time pass up to `at` and tells the engine something then.
    ///
    /// # Errors
    /// Why the input was refused.
    pub fn input(&mut self, at: Time, input: Input, facts: &mut Vec<Fact>) -> Result<Answer, Refusal> {
        self.advance(at, facts);
        self.step(at, input, facts)
    }

    fn step(&mut self, at: Time, input: Input, facts: &mut Vec<Fact>) -> Result<Answer, Refusal> {
        let mut next = facts.len();
        let answer = self.engine.step(at, input, facts);
        while let Some(fact) = facts.get(next) {
            next += 1;
            if let Fact::NotificationQueued { notification } = fact {
                let outcome = DeliveryOutcome::Delivered { remote: None };
                let delivery = Input::Delivery { notification: notification.id, outcome };
                // It has just been queued, so it is known and owed.
                drop(self.engine.step(at, delivery, facts));
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Alert, AlertStatus, Labels, Millis, NotificationState};
    use crate::ruleset::{self, SourceFile};

    #[test]
    fn timers_run_at_their_moment_and_messages_arrive_at_once() {
        let text = "escalate:\n- name: all\n  wait: 30s\n  steps: [{ notify: [chat] }, { after: 1h, notify: [boss] }]\n";
        let files = [SourceFile { name: "a.yaml".to_owned(), text: text.to_owned() }];
        let rules = Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset);
        let start = Time(1_767_571_200_000);
        let mut player = Player::new(&rules, start);
        let labels = Labels::from_pairs([("alertname", "A")]).unwrap();
        let alert = Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::default(),
            generator_url: "".into(),
            source: "test".into(),
            starts_at: start,
        };
        let news = crate::engine::News { alert: Arc::new(alert), status: AlertStatus::Firing, ends_at: None, lasts: None };
        let mut facts = Vec::new();
        player.input(start, Input::Alert(news), &mut facts).unwrap();
        player.advance(start + Millis::minutes(5), &mut facts);
        let told = |player: &Player| -> Vec<_> {
            player.state().notifications().map(|n| (n.receiver.to_string(), n.created_at.since(start), n.state)).collect()
        };
        let delivered = NotificationState::Delivered;
        assert_eq!(told(&player), [("chat".to_owned(), Millis::seconds(30), delivered)]);
        // The moment itself belongs to the time that passes.
        player.advance(start + Millis::hours(1), &mut facts);
        assert!(told(&player).contains(&("boss".to_owned(), Millis::hours(1), delivered)));
    }
}

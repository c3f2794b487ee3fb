//! Rules that change at any moment of anything: nobody is told twice, nobody's end is kept from him, and somebody answers.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::properties::{RULES, entities, input, moves};
use super::story::{self, START, Story};
use crate::engine::{Engine, EngineOptions, Fact, Input, State};
use crate::model::{IncidentId, IncidentStatus, Millis, NotificationKind, Time};
use crate::ruleset::Ruleset;

/// Policies that are each other's successors. None names a receiver in two steps, so that each may be told once; the second
/// is the first by another name.
const POLICIES: [&str; 5] = [
    "escalate: [{ name: pager, wait: 30s, steps: [{ notify: [pager] }, { after: 5m, unless: acknowledged, notify: [boss] }] }]",
    "escalate: [{ name: waker, wait: 30s, steps: [{ notify: [pager] }, { after: 5m, unless: acknowledged, notify: [boss] }] }]",
    "",
    "
escalate:
  - { name: urgent, when: incident.priority <= 3, continue: true, steps: [{ notify: [phone] }] }
  - { name: rest, wait: 10s, steps: [{ notify: [chat] }, { after: 1h, notify: [managers] }] }
",
    r#"
escalate:
  - { name: some, match: ['alertname=~"A|B"'], steps: [{ notify: [chat] }] }
"#,
];

fn rulesets() -> &'static [Arc<Ruleset>; 5] {
    static RULESETS: OnceLock<[Arc<Ruleset>; 5]> = OnceLock::new();
    let stages = RULES.split("escalate:").next().unwrap();
    RULESETS.get_or_init(|| POLICIES.map(|policies| story::rules(&format!("{stages}{policies}\n"))))
}

fn receivers() -> Arc<[Arc<str>]> {
    ["pager", "boss", "phone", "chat", "managers", "default"].map(Arc::from).into()
}

/// How often each receiver was told of an incident since it opened or came back, and whether it was told the end.
#[derive(Default)]
struct Told(BTreeMap<(IncidentId, Arc<str>), (u32, bool)>);

impl Told {
    fn follow(&mut self, fact: &Fact) {
        match fact {
            Fact::NotificationQueued { notification: it } => {
                let told = self.0.entry((it.incident, it.receiver.clone())).or_default();
                match it.kind {
                    NotificationKind::Trigger => {
                        told.0 += 1;
                        assert!(told.0 == 1, "{} rang {} times for {}", it.receiver, told.0, it.incident);
                    }
                    NotificationKind::Resolve => told.1 = true,
                    NotificationKind::Update | NotificationKind::Acknowledge => {}
                }
            }
            Fact::IncidentResolved { incident, .. } => {
                let unfinished = self.0.iter().find(|((id, _), told)| id == incident && told.0 > 0 && !told.1);
                assert!(unfinished.is_none(), "{unfinished:?} never hears the end");
                self.0.retain(|(id, _), _| id != incident);
            }
            _ => {}
        }
    }
}

/// No policy here waits for longer before it tells of an incident.
const WAIT_MAX: Millis = Millis::seconds(30);

/// Each open incident of which anything may be said has somebody who was told of it, or about to be: since its policy began, or
/// since a pause has moved that.
fn check_somebody_answers(engine: &Engine) {
    for incident in engine.state().incidents().filter(|incident| incident.status == IncidentStatus::Open) {
        let silent = incident.alerts_suppressed == incident.alerts_firing;
        let told = incident.opened_at_receivers.iter().any(|opened| !opened.resolved);
        let begins = incident.policies.iter().any(|run| engine.now().since(run.started_at.max(run.clock())) <= WAIT_MAX);
        assert!(silent || told || begins, "nobody knows of {incident:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_rules_come_and_go(
        script in moves(),
        reloads in prop::collection::vec(0usize..8, 60),
        first in 0usize..5,
        cut in 0usize..60,
    ) {
        let mut story = Story::new(rulesets()[first].clone());
        story.engine.know_receivers(receivers());
        let (mut replica, mut restarted, mut told) = (State::new(), None::<Engine>, Told::default());
        let mut seq = 0;
        let mut follow = |at: Time, facts: &[Fact]| {
            for fact in facts {
                seq += 1;
                replica.apply(seq, at, fact);
                told.follow(fact);
            }
        };
        follow(START, &story.facts.clone());
        let mut at = START;
        for (index, ((seconds, step), reload)) in script.iter().zip(&reloads).enumerate() {
            at = at + Millis::seconds(i64::from(*seconds));
            let rules = rulesets().get(*reload).map(|rules| Input::Rules(rules.clone()));
            for input in [Some(input(at, step)), rules].into_iter().flatten() {
                let facts = story.step(at, input.clone());
                follow(at, &facts);
                if let Some(engine) = &mut restarted {
                    let mut other: Vec<Fact> = Vec::new();
                    drop(engine.step(at, input, &mut other));
                    prop_assert_eq!(&other, &facts, "after a restart, at {}", index);
                }
            }
            if index == cut {
                let mut state = State::new();
                for entity in entities(story.engine.state()) {
                    state.add(entity);
                }
                state.finish();
                let mut engine = Engine::new(state, story.engine.rules().clone(), EngineOptions::default());
                engine.know_receivers(receivers());
                restarted = Some(engine);
            }
        }
        // The same rules again, as each start has them, decide nothing.
        let rules = story.engine.rules().clone();
        let again = story.step(at, Input::Rules(rules));
        prop_assert!(again.iter().all(|fact| fact.kind() == "rules_loaded"), "{:?}", again);
        follow(at, &again);
        at = at + WAIT_MAX + Millis(1);
        follow(at, &story.step(at, Input::Tick));
        check_somebody_answers(&story.engine);
        let (replayed, live) = (entities(&replica), entities(story.engine.state()));
        prop_assert_eq!(replayed, live);
    }
}

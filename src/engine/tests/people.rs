//! Reports and heartbeats where documents do not reach: changes of rules, limits, what is refused.

use std::sync::Arc;

use super::story::{self, START, Story};
use crate::engine::{Act, Answer, Engine, EngineOptions, Fact, Input, Refusal, Reported, State};
use crate::model::alert::{HEARTBEATS, REPORTS};
use crate::model::{Actor, Alert, Heartbeat, IncidentId, Labels, Millis, Time};

fn heartbeats(of_backup: &str) -> Arc<crate::ruleset::Ruleset> {
    story::rules(&format!("heartbeats: [{{ name: other, every: 1h }}{of_backup}]\n"))
}

fn backup(story: &Story) -> Option<Arc<Heartbeat>> {
    story.engine.state().heartbeats().find(|it| &*it.name == "backup").cloned()
}

fn fires(story: &Story) -> bool {
    let alert = story.engine.state().alert(Alert::keyed(HEARTBEATS, "backup"));
    alert.is_some_and(|record| record.is_firing())
}

/// What a change of rules makes of a heartbeat that has beaten at the start.
#[test]
fn other_rules_count_from_the_last_beat_on() {
    let hourly = ", { name: backup, every: 1h, grace: 0s }";
    // Minutes after the beat, the rules from then on, and when it is due then, in minutes after the beat; `None`: forgotten.
    let cases = [
        (10, hourly, Some(60)),
        (10, ", { name: backup, every: 2h, grace: 5m }", Some(125)),
        (10, ", { name: backup, every: 30m, grace: 0s }", Some(30)),
        // That time has gone by: from now on, or a change of the rules would be a false alarm.
        (40, ", { name: backup, every: 30m, grace: 0s }", Some(70)),
        (10, "", None),
    ];
    for (minutes, rules, due) in cases {
        let mut story = Story::new(heartbeats(hourly));
        story.step(START, Story::input("beat backup", START));
        let at = START + Millis::minutes(minutes);
        story.step(at, Input::Rules(heartbeats(rules)));
        let expected = due.map(|due| Some(START + Millis::minutes(due)));
        assert_eq!(backup(&story).map(|it| it.due), expected, "{minutes}m {rules}");
        // The same rules again, as each start has them, move nothing.
        assert_eq!(story.step(at, Input::Rules(heartbeats(rules))), [], "{minutes}m {rules}");
    }
}

#[test]
fn what_no_rule_names_any_more_is_missed_no_more() {
    let hourly = ", { name: backup, every: 1h, grace: 0s }";
    let mut story = Story::new(heartbeats(hourly));
    story.step(START, Story::input("beat backup", START));
    let at = START + Millis::hours(1);
    story.step(at, Input::Tick);
    assert!(fires(&story) && backup(&story).is_some_and(|it| it.missed_at == Some(at) && it.due.is_none()));
    // Other labels and another time say nothing about what is missed already.
    story.step(at, Input::Rules(heartbeats(", { name: backup, every: 2h, labels: { team: dba } }")));
    assert!(fires(&story));
    let facts = story.step(at, Input::Rules(heartbeats("")));
    assert!(!fires(&story) && backup(&story).is_none(), "{facts:?}");
    let changes = story.engine.take_changes();
    assert_eq!(changes.forgotten_heartbeats, ["backup".into()]);
    // It is heard of no more, and unknown until a rule names it again.
    let mut out = Vec::new();
    let refused = story.engine.step(at, Story::input("beat backup", at), &mut out);
    assert_eq!((refused, out.len()), (Err(Refusal::NoSuchHeartbeat("backup".into())), 0));
}

/// An alert that was lost with a stretch of the log is raised again by the next start.
#[test]
fn a_miss_whose_alert_is_lost_is_raised_again() {
    let rules = heartbeats(", { name: backup, every: 1h, grace: 0s }");
    let mut state = State::new();
    state.finish();
    state.apply(1, START, &Fact::Created { directory: "d".into() });
    let heard = Fact::HeartbeatHeard { heartbeat: "backup".into(), within: Millis::hours(1), by: Actor::Engine };
    state.apply(2, START, &heard);
    let missed = Fact::HeartbeatMissed { heartbeat: "backup".into(), rule: rules.heartbeats["backup"].rule.clone() };
    state.apply(3, START + Millis::hours(1), &missed);
    let mut engine = Engine::new(state, rules.clone(), EngineOptions::default());
    let mut facts = Vec::new();
    engine.step(START + Millis::hours(2), Input::Rules(rules), &mut facts).unwrap();
    assert!(facts.iter().any(|fact| matches!(fact, Fact::AlertFired { alert } if alert.is_heartbeat())), "{facts:?}");
    assert!(facts.iter().any(|fact| matches!(fact, Fact::IncidentOpened { .. })), "{facts:?}");
}

fn report(key: &str, title: &str, at: Time) -> Input {
    let alert = Alert {
        fingerprint: Alert::keyed(REPORTS, key),
        labels: Labels::from_pairs([("alertname", title), ("service", "shop")]).unwrap(),
        annotations: Labels::default(),
        generator_url: "".into(),
        source: REPORTS.into(),
        starts_at: at,
    };
    Input::Act { act: Act::Report(Arc::new(alert)), by: Actor::Person("ann".into()) }
}

#[test]
fn reports_are_answered_with_where_they_went() {
    let mut story = Story::new(story::rules("correlate: [{ name: by-service, by: [service] }]\n"));
    let at = |minutes| START + Millis::minutes(minutes);
    let mut tell = |minutes, input| {
        let mut facts = Vec::new();
        let answer = story.engine.step(at(minutes), input, &mut facts);
        (answer, facts.len())
    };
    let one = IncidentId(1);
    assert_eq!(tell(0, report("a", "Slow", at(0))).0, Ok(Answer::Reported(Reported::Opened(one))));
    assert_eq!(tell(1, report("b", "Empty", at(1))).0, Ok(Answer::Reported(Reported::Joined(one))));
    // The same key: later, and whatever has become of it.
    assert_eq!(tell(2, report("a", "Slow", at(2))), (Ok(Answer::Reported(Reported::Known(Some(one)))), 0));
    let (refused, facts) = tell(3, report("a", "Another matter", at(3)));
    assert!(matches!(refused, Err(Refusal::Forbidden(_))) && facts == 0, "{refused:?}");
    assert!(tell(4, Story::input("done INC-1", at(4))).0.is_ok());
    assert_eq!(tell(5, report("a", "Slow", at(5))), (Ok(Answer::Reported(Reported::Known(Some(one)))), 0));
    let silence = Story::input("silence 1 10m service=\"shop\"", at(6));
    assert!(tell(6, silence).0.is_ok());
    assert_eq!(tell(7, report("c", "Late", at(7))).0, Ok(Answer::Reported(Reported::Suppressed)));
}

#[test]
fn reports_keep_to_the_limit_of_alerts_and_misses_do_not() {
    let rules = story::rules("heartbeats: [{ name: backup, every: 1h, grace: 0s }]\n");
    let options = EngineOptions { active_alerts: 1, ..EngineOptions::default() };
    let mut engine = Engine::new(State::new(), rules, options);
    let mut facts = Vec::new();
    engine.step(START, Story::input("beat backup", START), &mut facts).unwrap();
    engine.step(START, report("a", "Slow", START), &mut facts).unwrap();
    assert_eq!(engine.step(START, report("b", "Empty", START), &mut facts), Err(Refusal::Limit("active_alerts")));
    // What is known already needs no room, and Quell's own word finds room.
    assert!(engine.step(START, report("a", "Slow", START), &mut facts).is_ok());
    engine.step(START + Millis::hours(1), Input::Tick, &mut facts).unwrap();
    assert_eq!(engine.state().firing(), 2);
}

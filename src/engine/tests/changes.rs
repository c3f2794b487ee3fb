//! What the engine hands to the live tables and the view, and what it does not write again at a start.

use std::sync::Arc;

use super::story::{self, START, Story};
use crate::engine::{Engine, EngineOptions, Fact, Input, News, State};
use crate::model::{AlertStatus, IncidentId, Millis, NotificationState};

fn news(text: &str, status: AlertStatus, at: crate::model::Time) -> Input {
    Input::Alert(News { alert: story::alert(text, at), status, ends_at: None, lasts: None })
}

/// What changed and left within one step is handed over as it last was; what left and came back is not among the forgotten.
#[test]
fn last_records_are_not_lost() {
    let mut story = Story::new(story::rules("escalate: [{ name: all, steps: [{ notify: [chat] }] }]\n"));
    story.step(START, news("alertname=A", AlertStatus::Firing, START));
    story.step(START, news("alertname=A", AlertStatus::Resolved, START));
    for number in 1..=2 {
        story.step(START, Story::input(&format!("delivered {number}"), START));
    }
    story.step(START, Story::input("close INC-1", START));
    // Nobody has looked since; all of it is swept by the time of the next step.
    let later = START + Millis::hours(2);
    story.step(later, news("alertname=A", AlertStatus::Firing, later));
    let changes = story.engine.take_changes();

    let alerts: Vec<_> = changes.alerts.iter().map(|record| (record.status, record.fired_at)).collect();
    assert_eq!(alerts, [(AlertStatus::Resolved, START), (AlertStatus::Firing, later)]);
    assert_eq!(changes.forgotten_alerts, [], "it fires again");
    let incidents: Vec<_> = changes.incidents.iter().map(|incident| (incident.id, incident.closed_at)).collect();
    assert_eq!(incidents, [(IncidentId(1), Some(START)), (IncidentId(2), None)]);
    assert_eq!(changes.forgotten_incidents, [IncidentId(1)]);
    let notifications: Vec<_> = changes.notifications.iter().map(|n| (n.id.0, n.state)).collect();
    let (delivered, queued) = (NotificationState::Delivered, NotificationState::Queued);
    assert_eq!(notifications, [(1, delivered), (2, delivered), (3, queued)]);
    assert_eq!(changes.forgotten_notifications.iter().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);

    // What has not changed since the last look leaves without its record.
    story.step(later, news("alertname=A", AlertStatus::Resolved, later));
    story.step(later, Story::input("close INC-2", later));
    story.engine.take_changes();
    story.step(later + Millis::hours(2), Input::Tick);
    let changes = story.engine.take_changes();
    assert_eq!((changes.alerts.len(), changes.forgotten_alerts.len()), (0, 1));
}

#[test]
fn a_start_with_the_same_rules_records_nothing() {
    let text = "escalate: [{ name: all, steps: [{ notify: [chat] }] }]\n";
    let mut story = Story::new(story::rules(text));
    let loaded = |facts: &[Fact]| facts.iter().filter(|fact| matches!(fact, Fact::RulesLoaded { .. })).count();
    assert_eq!(loaded(&story.step(START, Input::Rules(story::rules(text)))), 1);
    assert_eq!(loaded(&story.step(START, Input::Rules(story::rules(text)))), 0);
    assert_eq!(loaded(&story.step(START, Input::Rules(story::rules("")))), 1);

    let mut state = State::new();
    story.engine.state().entities().for_each(|entity| state.add(entity));
    state.finish();
    let mut restarted = Engine::new(state, Arc::default(), EngineOptions::default());
    let mut facts = Vec::new();
    restarted.step(START, Input::Rules(story::rules("")), &mut facts).unwrap();
    assert_eq!(facts, []);
}

/// What each new ruleset decides about what is there already.
#[test]
fn a_change_of_rules_is_applied_to_what_fires() {
    let pager = "escalate: [{ name: all, steps: [{ notify: [chat] }] }]\n";
    let inhibit = "suppress: [{ name: up, inhibit: { source: ['alertname=\"A\"'], target: ['alertname=\"B\"'], equal: [] } }]\n";
    let window =
        |to| format!("suppress: [{{ name: night, match: ['alertname=\"B\"'], during: {{ from: \"00:00\", to: \"{to}\" }} }}]\n");
    let (long, short) = (window("04:00"), window("03:00"));
    // Rules before and after; what the reload decides.
    let cases: [(&str, &str, &[&str]); 6] = [
        ("", pager, &["escalation_started", "notification_queued", "escalation_started", "notification_queued"]),
        (pager, "", &[]),
        ("", inhibit, &["alert_suppressed"]),
        (inhibit, "", &["alert_released", "incident_opened"]),
        (&long, &short, &["alert_suppressed"]),
        (&long, "", &["alert_released", "incident_opened"]),
    ];
    for (before, after, expected) in cases {
        let mut story = Story::new(story::rules(before));
        for name in ["A", "B"] {
            story.step(START, news(&format!("alertname={name}"), AlertStatus::Firing, START));
        }
        let later = START + Millis::minutes(1);
        let facts = story.step(later, Input::Rules(story::rules(after)));
        let telling = ["alert_suppressed", "alert_released", "incident_opened", "escalation_started", "notification_queued"];
        let kinds: Vec<_> = facts.iter().map(Fact::kind).filter(|kind| telling.contains(kind)).collect();
        assert_eq!(kinds, expected, "from {before:?} to {after:?}");
    }
}

/// An alert whose identity leaves labels out fires on under others: no hold begins, and what it inhibited is free.
#[test]
fn other_labels_of_a_firing_alert() {
    let rules = "suppress:\n  - { name: brief, match: ['alertname=\"A\"'], hold: 1m }\n  - name: up\n    inhibit: { source: ['state=\"down\"'], target: ['alertname=\"B\"'], equal: [] }\n";
    let mut story = Story::new(story::rules(rules));
    story.step(START, news("alertname=A state=down", AlertStatus::Firing, START));
    story.step(START, news("alertname=B", AlertStatus::Firing, START));
    let suppressed = |story: &Story| story.engine.state().alerts().filter(|record| record.is_suppressed()).count();
    assert_eq!(suppressed(&story), 2);
    let later = START + Millis::minutes(2);
    story.step(later, Input::Tick);
    assert_eq!(suppressed(&story), 1);
    let mut changed = (*story::alert("alertname=A state=up", later)).clone();
    changed.fingerprint = story::alert("alertname=A state=down", later).fingerprint;
    story.step(later, Input::Alert(News { alert: Arc::new(changed), status: AlertStatus::Firing, ends_at: None, lasts: None }));
    assert_eq!(suppressed(&story), 0);
    assert_eq!(story.engine.state().incidents().count(), 2);
}

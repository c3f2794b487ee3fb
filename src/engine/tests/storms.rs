//! What long troubles come to: few pages, one incident.

use super::story::{self, START, Story};
use crate::engine::topology::CHILDREN_MAX;
use crate::engine::{Engine, EngineOptions, Fact, Input, News, State};
use crate::model::{AlertStatus, Incident, IncidentId, IncidentStatus, Millis, NotificationKind, Time};

fn count(story: &Story, test: impl Fn(&Fact) -> bool) -> usize {
    story.facts.iter().filter(|fact| test(fact)).count()
}

fn is_page(fact: &Fact) -> bool {
    matches!(fact, Fact::NotificationQueued { notification } if notification.kind == NotificationKind::Trigger)
}

/// An alert that changes every 30 seconds for 6 hours: one incident, and no more pages than it takes to see that it flaps.
#[test]
fn six_hours_of_flapping_page_no_more_than_the_rule_allows() {
    // Changes that make it flap; pages until then; pages once it has stayed firing for `until_stable`.
    for (changes, pages, afterwards) in [(2, 1, 2), (3, 1, 2), (4, 2, 3), (6, 3, 4)] {
        let rules = format!(
            "suppress: [{{ name: restless, match: ['alertname=\"A\"'], flapping: {{ changes: {changes}, within: 10m, until_stable: 15m }} }}]\n\
             escalate: [{{ name: pager, steps: [{{ notify: [pager] }}], repeat: 10m }}]\n"
        );
        let mut story = Story::new(story::rules(&rules));
        let mut at = START;
        for change in 0..720 {
            at = START + Millis::seconds(30 * change);
            let status = if change % 2 == 0 { AlertStatus::Firing } else { AlertStatus::Resolved };
            story.step(at, Input::Alert(News { alert: story::alert("alertname=A", START), status, ends_at: None, lasts: None }));
        }
        let opened = |story: &Story| count(story, |fact| matches!(fact, Fact::IncidentOpened { .. }));
        assert_eq!((opened(&story), count(&story, is_page)), (1, pages), "{changes} changes");

        at = at + Millis::seconds(30);
        let alert = story::alert("alertname=A", START);
        story.step(at, Input::Alert(News { alert, status: AlertStatus::Firing, ends_at: None, lasts: None }));
        story.step(at + Millis::minutes(15), Input::Tick);
        assert_eq!((opened(&story), count(&story, is_page)), (1, afterwards), "{changes} changes");
        let incident = story.engine.state().incidents().next().unwrap();
        assert_eq!(incident.status, IncidentStatus::Open, "it fires, and is stable");
    }
}

/// Nobody counts what no rule wants counted, and what is counted stays within the rule's own number.
#[test]
fn changes_are_kept_for_rules_alone_and_are_few() {
    let rules =
        "suppress: [{ name: restless, match: ['alertname=\"A\"'], flapping: { changes: 5, within: 1h, until_stable: 1h } }]\n";
    let mut story = Story::new(story::rules(rules));
    for change in 0..40 {
        let at = START + Millis::seconds(change);
        let status = if change % 2 == 0 { AlertStatus::Firing } else { AlertStatus::Resolved };
        for name in ["alertname=A", "alertname=B"] {
            story.step(at, Input::Alert(News { alert: story::alert(name, START), status, ends_at: None, lasts: None }));
        }
    }
    let kept = |name| {
        let record = story.engine.state().alert(story::alert(name, START).fingerprint).unwrap();
        record.flaps.as_ref().map(|flaps| (flaps.changes.len(), flaps.spells.len()))
    };
    assert_eq!((kept("alertname=A"), kept("alertname=B")), (Some((5, 1)), None));
}

/// Row 32 of the promises: a rule that takes everything fills incidents up to their limit, and no further.
#[test]
fn a_rule_that_takes_everything_is_held_by_the_limit_on_alerts() {
    const MOST: u32 = 10;
    let rules = story::rules("correlate: [{ name: all }]\n");
    let mut story = Story::new(rules.clone());
    let options = EngineOptions { alerts_per_incident: MOST, ..EngineOptions::default() };
    story.engine = Engine::new(State::new(), rules, options);
    for number in 0..35 {
        let alert = story::alert(&format!("alertname=A host=h{number}"), START);
        story.step(START, Input::Alert(News { alert, status: AlertStatus::Firing, ends_at: None, lasts: None }));
    }
    let sizes: Vec<u32> = story.engine.state().incidents().map(|incident| incident.alerts_total).collect();
    assert_eq!(sizes, [MOST, MOST, MOST, 5]);
}

/// … and one that makes everything part of one incident stops at the limit on parts.
#[test]
fn a_rule_that_merges_everything_is_held_by_the_limit_on_parts() {
    const LEAVES: usize = 130;
    let leaf = |n| format!("- {{ name: leaf{n}, depends_on: [hub] }}\n");
    let leaves = (0..LEAVES).map(leaf).collect::<Vec<_>>().concat();
    let rules = format!(
        "services:\n- {{ name: hub }}\n{leaves}correlate:\n\
         - {{ name: each, match: ['service=~\"leaf.*\"'], by: [service] }}\n- {{ name: near, topology: {{ hops: 1, within: 10m }} }}\n"
    );
    let mut story = Story::new(story::rules(&rules));
    let mut fire = |labels: &str| {
        story.step(
            START,
            Input::Alert(News { alert: story::alert(labels, START), status: AlertStatus::Firing, ends_at: None, lasts: None }),
        );
    };
    (0..LEAVES).for_each(|n| fire(&format!("alertname=A service=leaf{n}")));
    fire("alertname=A service=hub");
    let parts = story.engine.state().incidents().filter(|incident| incident.parent.is_some()).count();
    assert_eq!(parts, CHILDREN_MAX);
    assert_eq!(story.engine.state().incidents().count(), LEAVES, "the hub's alert joins the oldest, and nothing is lost");
}

/// … and at the limit on merges within an hour, for that hour; that is told once.
#[test]
fn a_rule_that_merges_everything_is_held_by_the_limit_on_merges() {
    const MOST: usize = 20;
    let leaves: String = (0..30).map(|n| ["- { name: leaf", &n.to_string(), ", depends_on: [hub] }\n"].concat()).collect();
    let rules = format!(
        "services:\n- {{ name: hub }}\n{leaves}correlate:\n\
         - {{ name: each, match: ['service=~\"leaf.*\"'], by: [service] }}\n- {{ name: near, topology: {{ hops: 1, within: 10m }} }}\n"
    );
    let rules = story::rules(&rules);
    let mut story = Story::new(rules.clone());
    story.engine = Engine::new(State::new(), rules, EngineOptions { merges_per_hour: MOST, ..EngineOptions::default() });
    let parts = |story: &Story| story.engine.state().incidents().filter(|incident| incident.parent.is_some()).count();
    let held = |story: &Story| count(story, |fact| matches!(fact, Fact::MergeHeld { .. }));
    for (hour, minute) in [(1, 0), (1, 59), (2, 60)] {
        let at = START + Millis::minutes(minute);
        (0..30).for_each(|n| fire(&mut story, at, &format!("alertname=A{minute} service=leaf{n}")));
        fire(&mut story, at, &format!("alertname=A{minute} service=hub"));
        fire(&mut story, at, &format!("alertname=B{minute} service=hub"));
        assert_eq!((parts(&story), held(&story)), if hour == 1 { (MOST, 1) } else { (29, 1) }, "after {minute} minutes");
    }
}

/// Rules of a site that is ready for storms.
const READY: &str = "
correlate:
  - name: storm
    match: ['cluster!=\"\"']
    by: [cluster]
    storm: { least: 100, within: 1m, hold: 10s }
    title: \"Storm in {{ by.cluster }}: {{ incident.count }} alerts\"
escalate:
  - { name: pager, steps: [{ notify: [pager] }] }
";

/// Plays fifty thousand alerts of sixty seconds in one cluster, of six hundred kinds, and one alert elsewhere each second.
fn fifty_thousand(rules: &str) -> Story {
    let mut story = Story::new(story::rules(rules));
    for (number, name) in (0..50_000_i64).zip(["NodeDown", "TargetDown", "PodNotReady"].iter().cycle()) {
        let at = START + Millis(number * 60_000 / 50_000);
        let service = number / 3 % 200;
        let severity = if number % 10 == 7 { "critical" } else { "warning" };
        let labels = format!("alertname={name} service=s{service} cluster=eu1 pod=p{number} severity={severity}");
        fire(&mut story, at, &labels);
        if number % 834 == 0 {
            fire(&mut story, at, &format!("alertname=Late service=other{number} cluster=us{number}"));
        }
    }
    story.step(START + Millis::minutes(2), Input::Tick);
    story
}

fn fire(story: &mut Story, at: Time, labels: &str) {
    while let Some(due) = story.engine.next_timer().filter(|due| *due < at) {
        story.step(due, Input::Tick);
    }
    let news = News { alert: story::alert(labels, at), status: AlertStatus::Firing, ends_at: None, lasts: None };
    story.step(at, Input::Alert(news));
}

/// A rule that says nothing of `hold`: what comes before there is a sign of a storm, a fifth of `least`, opens incidents.
#[test]
fn without_a_hold_of_its_own_a_storm_is_seen_coming() {
    let plain = READY.replace(", hold: 10s", "");
    let played = fifty_thousand(&plain);
    let incidents = |played: &Story| {
        let state = played.engine.state();
        state.incidents().filter(|incident| incident.labels.get("cluster") == "eu1").count()
    };
    assert_eq!(incidents(&played), 1 + 19 + 3, "the storm, those before the sign, and those that pass");
    assert_eq!(incidents(&fifty_thousand(&READY.replace("hold: 10s", "hold: 0s"))), 1 + 99 + 3);

    // Elsewhere one alert comes, and is kept from nobody.
    let waits = |fact: &Fact| matches!(fact, Fact::AlertWaiting { key, .. } if key.get("cluster") != "eu1");
    assert_eq!(count(&played, waits), 0);
}

#[test]
fn fifty_thousand_alerts_of_a_minute_are_few_incidents_and_soon_a_page() {
    let played = fifty_thousand(READY);
    let state = played.engine.state();
    let of_cluster = |incident: &&std::sync::Arc<Incident>| incident.labels.get("cluster") == "eu1";
    let in_storm: Vec<IncidentId> = state.incidents().filter(of_cluster).map(|incident| incident.id).collect();
    assert!((1..=5).contains(&in_storm.len()), "{in_storm:?}");
    let storm = state.incidents().find(|incident| incident.storm.is_some()).unwrap();
    assert!(storm.alerts_total >= 49_000, "{}", storm.alerts_total);
    assert_eq!(storm.storm.as_ref().unwrap().kinds.len(), crate::model::storm::KINDS_MAX);

    // Nothing is in no incident, neither inside nor outside of the storm, where each alert has its own.
    assert!(state.alerts().all(|record| !record.incidents.is_empty()));
    let outside = state.incidents().filter(|incident| incident.labels.get("cluster").starts_with("us")).count();
    assert_eq!(outside, 60);

    let paged = played.facts.iter().find_map(|fact| match fact {
        Fact::NotificationQueued { notification } if in_storm.contains(&notification.incident) => Some(notification.created_at),
        _ => None,
    });
    assert!(paged.is_some_and(|at| at < START + Millis::seconds(30)), "{paged:?}");
    // What is written down beside each alert's own firing, enrichment, waiting and joining.
    let beside =
        count(&played, |fact| matches!(fact.kind(), "storm_began" | "storm_kind_seen" | "storm_ended" | "usual_measured"));
    assert!(beside <= 600, "{beside}");
}

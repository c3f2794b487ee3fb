//! What holds for any input: the log replayed is the state, a restart changes nothing, counts are what they count.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::story::{self, START, Story};
use crate::engine::{Act, DeliveryOutcome, Engine, EngineOptions, Entity, Fact, Input, News, State};
use crate::model::incident::IncidentType;
use crate::model::{Actor, AlertStatus, IncidentId, IncidentStatus, Millis, NotificationId, Silence, SilenceId, Time};
use crate::ruleset::Ruleset;

pub(super) const RULES: &str = r#"
services:
  - { name: "0", tier: 1, team: zero, depends_on: ["1"] }
  - { name: "1", depends_on: ["2"] }
enrich:
  - name: service-from-job
    match: ['job=~"app-(?P<name>.+)"']
    set: { service: "{{ capture.name }}" }
suppress:
  - name: a-hides-b
    inhibit: { source: ['alertname="A"'], target: ['alertname="B"'], equal: [job] }
  - name: brief
    match: ['alertname="C"']
    hold: 2m
  - name: nightly
    match: ['alertname="D"']
    during: { days: [mon, tue, wed, thu, fri, sat, sun], from: "00:10", to: "00:20", zone: Europe/Berlin }
  - name: restless
    match: ['host=~"h0|h1"']
    flapping: { changes: 2, within: 1h, until_stable: 5m }
  - name: very-restless
    match: ['host="h1"']
    flapping: { changes: 3, within: 10h, until_stable: 1h }
correlate:
  - name: a-then-c
    sequence: [{ match: ['alertname="A"'] }, { match: ['alertname="C"'] }]
    by: [job]
    within: 10m
  - name: d-held-for-b
    sequence: [{ match: ['alertname="D"'] }, { match: ['alertname="A"'] }, { match: ['alertname="B"'] }]
    by: [job]
    within: 1h
    hold: true
  - name: heartbeat
    absent: { match: ['alertname="B"', 'service="1"'], for: 5m }
    by: [severity]
  - name: storm
    match: ['job="app-1"']
    by: [job]
    storm: { least: 2, above: 2, within: 10m, hold: 20s, pass: 1 }
    max_age: 2h
  - name: near
    match: ['alertname=~"A|D"', 'host="h2"']
    topology: { hops: 1, within: 5m }
    continue: true
  - name: together
    match: ['alertname=~"A|B"']
    by: [job]
    window: 5m
    max_age: 1h
    title: "{{ incident.count }} in {{ by.job }}"
  - name: several
    match: ['alertname="C"']
    threshold: { count: 3, distinct: host, within: 3m, otherwise: alone }
    continue: true
  - name: often
    match: ['alertname="D"', 'host="h0"']
    threshold: { count: 3, within: 1h, of: firings, otherwise: alone }
  - name: by-host
    match: ['alertname=~"C|D"']
    by: [host]
    window: 3d
    max_age: 30d
    resolve_after: 2m
heartbeats:
  - { name: b0, every: 5m, grace: 0s }
  - { name: b1, every: 1h, labels: { alertgroup: b, job: app-1, severity: critical } }
classify:
  - name: a
    match: ['alertname="A"']
    category: database
prioritize:
  - name: urgent
    match: ['host="h0"']
    urgency: 1
  - name: vital
    match: ['alertname="D"', 'host="h1"']
    type: major
escalate:
  - name: pager
    wait: 30s
    steps:
      - notify: [pager]
      - { after: 5m, unless: acknowledged, notify: [boss] }
    update: 1m
    repeat: 10m
"#;

/// The same stages with expressions in all of them.
const RULES_WITH_WHEN: &str = r#"
enrich:
  - name: service-from-host
    when: labels.alertname in ["A", "B"] && size(labels.host) == 2
    set: { service: "{{ labels.host }}", tier: "1" }
suppress:
  - name: a-hides-b
    inhibit: { source: ['alertname="A"'], target: ['alertname="B"'], equal: [job] }
    when: labels.severity != "critical"
  - name: brief
    when: labels.alertname == "C" && annotations.calm == "" && size(labels) < 9
    hold: 2m
correlate:
  - name: together
    when: labels.alertname.matches("^[AB]$") || labels.host == "h2"
    by: [job]
    window: 5m
  - name: all
    resolve_after: 1m
classify:
  - name: several-hosts
    match: ['alertname="A"']
    when: incident.distinct("host") >= 2
    category: database
    team: dba
  - name: many
    when: incident.count >= 3 || incident.severity == "info"
    team: web
prioritize:
  - name: young
    match: ['host="h0"']
    when: incident.age < duration("20m")
    impact: 1
  - name: plain
    match: ['alertname="D"']
    impact: 2
  - name: databases
    when: incident.category == "database" && incident.services.size() > 1
    urgency: 1
escalate:
  - name: managers
    when: incident.type == "major"
    continue: true
    steps: [{ notify: [managers] }]
  - name: urgent
    when: incident.priority <= 2
    continue: true
    steps: [{ notify: [pager] }]
  - name: team
    match: ['severity="warning"']
    when: incident.team in ["dba", "web"] && incident.distinct("severity") < 3
    wait: 30s
    steps: [{ notify: [chat] }, { after: 5m, notify: [boss] }]
    repeat: 10m
  - name: rest
    match: ['job="app-1"']
    steps: [{ notify: [mail] }]
"#;

/// Ties of every kind, with and without a threshold; `back_within`; and a rule without ties beside them.
const RULES_WITH_TIES: &str = r#"
services:
  - { name: h0, depends_on: [h1] }
  - { name: h1, depends_on: [h2] }
enrich:
  - { name: lags, match: ['alertname="B"'], set: { lag: 5m } }
suppress:
  - { name: brief, match: ['alertname="C"', 'host="h0"'], hold: 2m }
correlate:
  - name: first
    match: ['severity="critical"']
    ties:
      - { hops: 1, on: host, within: 20m, to: ['alertname=~"A|B"'] }
      - { same: [job, severity], within: 10m, alerts: 2 }
    wait: 90s
    back_within: 5m
  - name: enough
    match: ['alertname!="D"']
    lag: lag
    ties: [{ same: [job], within: 40m }, { hops: 2, on: host, within: 1h }]
    threshold: { count: 2, distinct: host, within: 30m, otherwise: alone }
    max_age: 2h
  - name: rest
    by: [host]
    back_within: 1h
escalate:
  - name: all
    steps: [{ notify: [pager] }]
"#;

/// Inhibition rules that share sources and targets, say the same twice, hide each other, and hide themselves.
const RULES_WITH_INHIBITION: &str = r#"
enrich:
  - { name: zone, match: ['host=~"h[01]"'], set: { zone: "z" } }
suppress:
  - { name: a-b, inhibit: { source: ['alertname="A"'], target: ['alertname="B"'], equal: [job] } }
  - { name: a-b-again, inhibit: { source: ['alertname="A"'], target: ['alertname="B"'], equal: [job] } }
  - { name: c-b, inhibit: { source: ['alertname="C"'], target: ['alertname="B"'], equal: [job] } }
  - { name: a-b-zone, inhibit: { source: ['alertname="A"'], target: ['alertname="B"'], equal: [zone, job] } }
  - { name: a-lesser, inhibit: { source: ['alertname="A"'], target: ['severity=~"warning|info"'], equal: [job] } }
  - { name: worse, inhibit: { source: ['severity="critical"'], target: ['host=~"h[12]"'], equal: [alertname] } }
  - { name: anything, inhibit: { source: ['job="app-1"'], target: ['job="app-1"'] } }
  - { name: d-unless-h0, inhibit: { source: ['alertname="D"'], target: ['job="app-0"'], equal: [zone] }, when: 'labels.host != "h0"' }
  - { name: d-hold, match: ['alertname="D"'], hold: 1m }
"#;

fn rules_with_inhibition() -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    RULESET.get_or_init(|| story::rules(RULES_WITH_INHIBITION)).clone()
}

fn rules_with_ties() -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    RULESET.get_or_init(|| story::rules(RULES_WITH_TIES)).clone()
}

/// Compiled once: the built-in words alone take longer to compile than a case to play.
fn rules() -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    RULESET.get_or_init(|| story::rules(RULES)).clone()
}

fn rules_with_when() -> Arc<Ruleset> {
    static RULESET: OnceLock<Arc<Ruleset>> = OnceLock::new();
    RULESET.get_or_init(|| story::rules(RULES_WITH_WHEN)).clone()
}

/// One of the rulesets.
fn drawn_rules(which: usize) -> Arc<Ruleset> {
    [rules, rules_with_when, rules_with_ties, rules_with_inhibition][which]()
}

#[derive(Clone, Debug)]
pub(super) enum Move {
    Fire(u8, u8, u8),
    Resolve(u8, u8, u8),
    Expire(u8, u8, u8),
    Acknowledge(u64),
    Resolved(u64),
    Reopen(u64),
    Close(u64),
    Type(u64, bool),
    Silence(u8, u8),
    Unsilence(u8),
    Outcome(u64, bool),
    Change(u8, u8),
    Report(u8, u8),
    Beat(u8),
    Wait,
}

pub(super) fn moves() -> impl Strategy<Value = Vec<(u32, Move)>> {
    let alert = (0u8..4, 0u8..2, 0u8..3);
    let one = prop_oneof![
        6 => alert.clone().prop_map(|(a, b, c)| Move::Fire(a, b, c)),
        4 => alert.clone().prop_map(|(a, b, c)| Move::Resolve(a, b, c)),
        1 => alert.prop_map(|(a, b, c)| Move::Expire(a, b, c)),
        1 => (1u64..6).prop_map(Move::Acknowledge),
        1 => (1u64..6).prop_map(Move::Resolved),
        1 => (1u64..6).prop_map(Move::Reopen),
        1 => (1u64..6).prop_map(Move::Close),
        1 => (1u64..6, any::<bool>()).prop_map(|(id, major)| Move::Type(id, major)),
        1 => (0u8..3, 0u8..4).prop_map(|(a, b)| Move::Silence(a, b)),
        1 => (0u8..3).prop_map(Move::Unsilence),
        2 => (1u64..20, any::<bool>()).prop_map(|(n, ok)| Move::Outcome(n, ok)),
        1 => (0u8..3, 0u8..3).prop_map(|(a, b)| Move::Change(a, b)),
        1 => (0u8..3, 0u8..3).prop_map(|(a, b)| Move::Report(a, b)),
        1 => (0u8..3).prop_map(Move::Beat),
        1 => Just(Move::Wait),
    ];
    proptest::collection::vec((prop_oneof![Just(0u32), 1u32..90, 90u32..2_000, 3_000u32..100_000], one), 1..60)
}

pub(super) fn input(at: Time, step: &Move) -> Input {
    let alert = |a: u8, b: u8, c: u8| {
        let name = ["A", "B", "C", "D"][usize::from(a)];
        let severity = ["critical", "warning", "info"][usize::from(c)];
        story::alert(&format!("alertname={name} job=app-{b} host=h{c} severity={severity}"), at)
    };
    let by = || Actor::Person("ann".into());
    let act = |act| Input::Act { act, by: by() };
    match *step {
        Move::Fire(a, b, c) => {
            Input::Alert(News { alert: alert(a, b, c), status: AlertStatus::Firing, ends_at: None, lasts: None })
        }
        Move::Resolve(a, b, c) => {
            Input::Alert(News { alert: alert(a, b, c), status: AlertStatus::Resolved, ends_at: Some(at), lasts: None })
        }
        Move::Expire(a, b, c) => Input::Expired { fingerprint: alert(a, b, c).fingerprint, expired_at: at },
        Move::Acknowledge(id) => act(Act::Acknowledge(IncidentId(id))),
        Move::Resolved(id) => act(Act::Resolve(IncidentId(id))),
        Move::Reopen(id) => act(Act::Reopen(IncidentId(id))),
        Move::Close(id) => act(Act::Close(IncidentId(id))),
        Move::Type(id, major) => {
            let to = if major { IncidentType::Major } else { IncidentType::Normal };
            act(Act::SetType(IncidentId(id), to, "drawn".into()))
        }
        Move::Silence(number, host) => act(Act::SetSilence(Silence {
            id: SilenceId(u128::from(number)),
            matchers: crate::ruleset::parse_matchers(&format!("host=\"h{host}\"")).unwrap(),
            starts_at: at,
            ends_at: at + Millis::minutes(7),
            updated_at: at,
            created_by: "ann".into(),
            comment: "".into(),
        })),
        Move::Unsilence(number) => act(Act::EndSilence(SilenceId(u128::from(number)))),
        Move::Outcome(id, ok) => Input::Delivery {
            notification: NotificationId(id),
            outcome: if ok {
                DeliveryOutcome::Delivered { remote: Some("r".into()) }
            } else {
                DeliveryOutcome::Dead { error: "no".into() }
            },
        },
        Move::Change(id, service) => story::Story::input(&format!("change deploy 5m id={id} service={service}"), at),
        Move::Report(title, service) => {
            story::Story::input(&format!("report alertname=R{title} job=app-1 service={service} severity=high"), at)
        }
        Move::Beat(number) => story::Story::input(&format!("beat b{number}"), at),
        Move::Wait => Input::Tick,
    }
}

pub(super) fn entities(state: &State) -> Vec<Entity> {
    state.entities().collect()
}

/// The names of incidents and notifications that these facts make.
fn numbers(facts: &[Fact]) -> Vec<String> {
    let made = facts.iter().filter_map(|fact| match fact {
        Fact::IncidentOpened { incident, .. } => Some(incident.to_string()),
        Fact::NotificationQueued { notification } => Some(format!("notification {}", notification.id.0)),
        _ => None,
    });
    made.collect()
}

fn check_counts(state: &State) {
    for incident in state.incidents() {
        assert!(incident.alerts_firing <= incident.alerts_total, "{incident:?}");
        let members: Vec<_> = state.alerts().filter(|record| record.incidents.contains(&incident.id)).collect();
        let firing = members.iter().filter(|record| record.is_firing()).count();
        let suppressed = members.iter().filter(|record| record.is_firing() && record.is_suppressed()).count();
        assert_eq!((incident.alerts_firing as usize, incident.alerts_suppressed as usize), (firing, suppressed), "{incident:?}");
        if let Some(worst) = members.iter().filter(|record| record.is_firing()).map(|record| record.severity()).min() {
            assert_eq!(incident.severity, worst);
        }
        let above = |id: &IncidentId| state.incident(*id).and_then(|incident| incident.parent);
        let mut above = std::iter::successors(incident.parent, above);
        assert!(above.all(|parent| parent != incident.id), "part of itself: {incident:?}");
        assert!(incident.status != IncidentStatus::Closed, "a closed incident stays in memory");
    }
    for record in state.alerts() {
        let mut incidents = record.incidents.to_vec();
        incidents.sort_unstable();
        incidents.dedup();
        assert_eq!(incidents.len(), record.incidents.len(), "twice in one incident: {record:?}");
    }
    let firing = state.alerts().filter(|record| record.is_firing()).count();
    assert_eq!(state.firing(), firing);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Facts applied to an empty state give the state that recorded them; a state rebuilt from its entities decides the
    /// same as one that went on.
    #[test]
    fn replay_and_restart_change_nothing(script in moves(), cut in 0usize..60, which in 0usize..4) {
        let rules = drawn_rules(which);
        let mut story = Story::new(rules.clone());
        let mut replica = State::new();
        let mut restarted: Option<Engine> = None;
        let mut at = START;
        let mut seq = 0;
        for fact in story.facts.clone() {
            seq += 1;
            replica.apply(seq, at, &fact);
        }
        for (index, (seconds, step)) in script.iter().enumerate() {
            at = at + Millis::seconds(i64::from(*seconds));
            let facts = story.step(at, input(at, step));
            for fact in &facts {
                seq += 1;
                replica.apply(seq, at, fact);
            }
            if let Some(engine) = &mut restarted {
                let mut other: Vec<Fact> = Vec::new();
                drop(engine.step(at, input(at, step), &mut other));
                prop_assert_eq!(&other, &facts, "after a restart, at {}", index);
            }
            check_counts(story.engine.state());
            story.engine.check_conditions();
            story.engine.check_inhibitions();
            if index == cut {
                let mut state = State::new();
                for entity in entities(story.engine.state()) {
                    state.add(entity);
                }
                state.finish();
                restarted = Some(Engine::new(state, rules.clone(), EngineOptions::default()));
            }
        }
        prop_assert_eq!(entities(&replica), entities(story.engine.state()));
        // Timers that are due have run in the one and not in the other; those to come are the same.
        prop_assert_eq!(replica.timers_after(at), story.engine.state().timers_after(at));
    }

    /// A stretch of the log that is lost costs what it said and nothing more: the rest applies, no number is used twice, and
    /// once what fires in no incident has expired, its next repeat brings it into one.
    #[test]
    fn a_lost_stretch_stops_nothing(script in moves(), first in 0usize..60, count in 1usize..20) {
        let rules = rules();
        let mut story = Story::new(rules.clone());
        let mut state = State::new();
        let mut at = START;
        let mut opened = Vec::new();
        for (seq, fact) in (1..).zip(&story.facts) {
            state.apply(seq, at, fact);
        }
        for (index, (seconds, step)) in script.iter().enumerate() {
            at = at + Millis::seconds(i64::from(*seconds));
            let facts = story.step(at, input(at, step));
            opened.extend(numbers(&facts));
            let mut seq = state.seq();
            if (first..first + count).contains(&index) {
                state.skip_facts(facts.len() as u64);
                continue;
            }
            for fact in &facts {
                seq += 1;
                state.apply(seq, at, fact);
            }
        }
        prop_assert_eq!(state.seq(), story.engine.state().seq());

        let adrift = state.adrift();
        let mut again: Vec<_> = state.alerts().filter(|record| record.is_firing()).map(|record| record.alert.clone()).collect();
        again.sort_by_key(|alert| alert.fingerprint);
        let mut engine = Engine::new(state, rules, EngineOptions::default());
        let mut facts = Vec::new();
        let repeats = again.iter().map(|alert| Input::Alert(News {
            alert: alert.clone(),
            status: AlertStatus::Firing,
            ends_at: None,
            lasts: None,
        }));
        for input in adrift.into_iter().map(|fingerprint| Input::Expired { fingerprint, expired_at: at }).chain(repeats).chain([Input::Tick]) {
            drop(engine.step(at, input, &mut facts));
        }
        for number in numbers(&facts) {
            prop_assert!(!opened.contains(&number), "{} meant something else before", number);
        }
        for alert in &again {
            let record = engine.state().alert(alert.fingerprint).unwrap();
            // What a sequence holds goes on when its time is over; a beat opens nothing while it is heard.
            let waits = record.waiting.is_some() || record.beat.is_some();
            let is_active = |id: &IncidentId| engine.state().incident(*id).is_some_and(|incident| incident.status.is_active());
            prop_assert!(!record.is_firing() || record.is_suppressed() || waits || record.incidents.iter().any(is_active), "{:?}", record);
        }
    }

    /// An input given twice at the same moment is decided once.
    #[test]
    fn repeats_decide_nothing(script in moves(), which in 0usize..4) {
        let mut story = Story::new(drawn_rules(which));
        let mut at = START;
        for (seconds, step) in &script {
            at = at + Millis::seconds(i64::from(*seconds));
            story.step(at, input(at, step));
            if matches!(step, Move::Fire(..) | Move::Resolve(..) | Move::Expire(..) | Move::Acknowledge(_)) {
                prop_assert_eq!(story.step(at, input(at, step)), Vec::new());
            }
        }
    }
}

/// What is drawn reaches everything that an alert and an incident can come to: properties of what never happens are worth
/// nothing.
#[test]
fn what_is_drawn_reaches_every_decision() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = std::collections::BTreeSet::new();
    for round in 0..400 {
        let script = moves().new_tree(&mut runner).unwrap().current();
        let mut story = Story::new(if round % 4 == 0 { rules_with_ties() } else { rules() });
        let mut at = START;
        for (seconds, step) in &script {
            at = at + Millis::seconds(i64::from(*seconds));
            reached.extend(story.step(at, input(at, step)).iter().map(Fact::kind));
        }
    }
    let wanted = [
        "alert_suppressed",
        "alert_released",
        "alert_waiting",
        "alert_waited_in_vain",
        "alert_flapping",
        "alert_beats",
        "beat_missed",
        "alert_left",
        "incident_attached",
        "sequence_stepped",
        "storm_began",
        "storm_kind_seen",
        "storm_ended",
        "usual_measured",
        "incident_causes_found",
        "incident_major",
        "incident_type_set",
        "change_recorded",
        "change_forgotten",
        "incident_reopened",
        "incident_closed",
        "escalation_paused",
        "escalation_continued",
        "heartbeat_heard",
        "heartbeat_missed",
        "heartbeat_planned",
    ];
    let missing: Vec<_> = wanted.into_iter().filter(|kind| !reached.contains(kind)).collect();
    assert!(missing.is_empty(), "never drawn: {missing:?}");
}

/// Every receiver that was told of an incident whose policy closes what it opened is told of its end, once.
#[test]
fn what_was_opened_is_closed() {
    let mut story = Story::new(rules());
    let told = |story: &Story, kind: &str| -> Vec<Arc<str>> {
        let of_kind = story.facts.iter().filter_map(|fact| match fact {
            Fact::NotificationQueued { notification } if notification.kind.as_str() == kind => {
                Some(notification.receiver.clone())
            }
            _ => None,
        });
        of_kind.collect()
    };
    story.step(START, input(START, &Move::Fire(0, 0, 0)));
    let later = START + Millis::minutes(6);
    story.step(later, input(later, &Move::Silence(0, 0)));
    assert_eq!(told(&story, "resolve"), Vec::<Arc<str>>::new());
    story.step(later, input(later, &Move::Resolve(0, 0, 0)));
    assert_eq!(told(&story, "resolve"), vec![Arc::from("pager"), Arc::from("boss")]);
}

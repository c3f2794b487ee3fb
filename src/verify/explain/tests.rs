//! Golden answers: each story is played into the live engine, and what is said of it stands in `tests/golden/explain`.
//! `UPDATE_GOLDEN=1 cargo test --lib explain` writes what is said now; read the difference before you keep it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::engine::{Act, Input, News};
use crate::model::alert::REPORTS;
use crate::model::incident::IncidentType;
use crate::model::{Actor, Alert, AlertStatus, Fingerprint, IncidentId, Labels, Millis, NotificationId, Silence, SilenceId};
use crate::ruleset::{self, Limits, Ruleset, SourceFile, parse_matchers};
use crate::storage::view::TimelineEntry;
use crate::verify::player::Player;

/// 2026-01-05T00:00:00Z, a Monday.
const START: Time = Time(1_767_571_200_000);

/// What is asked at the end of a story.
enum Question {
    Alert(&'static str),
    Incident(u64),
    Notification(u64),
    Pair(&'static str, &'static str),
}
use Question::{Alert as OfAlert, Incident as OfIncident, Notification as OfNotification, Pair as OfPair};

fn rules(text: &str) -> Arc<Ruleset> {
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: text.to_owned() }];
    Arc::new(ruleset::load(&files, None, Limits::default()).unwrap_or_else(|found| panic!("{found:?}")).ruleset)
}

/// `alertname=A host=a` as labels.
fn labels(text: &str) -> Labels {
    Labels::from_pairs(text.split(' ').map(|pair| pair.split_once('=').unwrap())).unwrap()
}

fn key(text: &str) -> Fingerprint {
    labels(text).fingerprint()
}

fn alert(text: &str, starts_at: Time) -> Arc<Alert> {
    let labels = labels(text);
    Arc::new(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "prometheus".into(),
        starts_at,
    })
}

/// Plays lines of the form `5m fire a=b c=d`, `6m resolve a=b c=d`, `7m ack INC-1`, `8m silence a="b"`, `9m wait`.
fn play(rules: &Arc<Ruleset>, story: &[&str]) -> Player {
    let mut player = Player::new(rules, START);
    for line in story {
        let mut words = line.splitn(3, ' ');
        let at = START + Millis::parse(words.next().unwrap()).unwrap();
        let (word, rest) = (words.next().unwrap(), words.next().unwrap_or_default());
        let news = |status| Input::Alert(News { alert: alert(rest, at), status, ends_at: None, lasts: None });
        let by_ann = |act| Input::Act { act, by: Actor::Person("ann".into()) };
        let input = match word {
            "fire" => news(AlertStatus::Firing),
            "resolve" => news(AlertStatus::Resolved),
            "report" => {
                let annotations = Labels::from_pairs([("reporter", "ann")]).unwrap();
                let report = Alert { source: REPORTS.into(), annotations, ..Alert::clone(&alert(rest, at)) };
                by_ann(Act::Report(Arc::new(report)))
            }
            "beat" => by_ann(Act::Beat(rest.into())),
            "ack" => by_ann(Act::Acknowledge(IncidentId::parse(rest).unwrap())),
            "major" => by_ann(Act::SetType(IncidentId::parse(rest).unwrap(), IncidentType::Major, "the press calls".into())),
            "silence" => by_ann(Act::SetSilence(Silence {
                id: SilenceId(7),
                matchers: parse_matchers(rest).unwrap(),
                starts_at: at,
                ends_at: at + Millis::hours(1),
                updated_at: at,
                created_by: "ann".into(),
                comment: "disk is being replaced".into(),
            })),
            _ => Input::Tick,
        };
        player.input(at, input, &mut Vec::new()).unwrap();
    }
    player
}

fn ask(player: &Player, rules: &Ruleset, question: &Question) -> Explanation {
    let records = Records::of_state(player.state());
    let answer = match question {
        OfAlert(labels) => explain_alert(&records, rules, key(labels)),
        OfIncident(number) => explain_incident(&records, rules, IncidentId(*number)),
        OfNotification(number) => explain_notification(&records, rules, NotificationId(*number)),
        OfPair(one, other) => explain_pair(&records, rules, key(one), key(other)),
    };
    answer.unwrap()
}

const RULES: &str = r#"
suppress:
  - name: node-hides-pods
    inhibit: { source: ['alertname="NodeDown"'], target: ['alertname=~"Pod.*"'], equal: [node] }
correlate:
  - name: databases
    match: ['service=~".+-db"', 'env="prod"']
    by: [cluster]
    window: 10m
  - name: full
    match: ['alertname="DiskFull"']
    when: int(labels.percent) > 95
    by: [host]
  - name: near
    match: ['env="prod"']
    topology: { hops: 2, within: 5m }
  - name: many
    match: ['alertname="Slow"']
    by: [cluster]
    threshold: { count: 3, distinct: host, within: 5m }
  - name: deployed
    sequence: [{ match: ['alertname="Deploy"'] }, { match: ['alertname="Errors"'], when: double(labels.rate) > 5.0 }]
    by: [service]
    within: 15m
  - name: beat
    absent: { match: ['alertname="Watchdog"'], for: 5m }
classify:
  - { name: dba, match: ['service=~".+-db"'], category: database, team: dba }
prioritize:
  - { name: vital, match: ['tier="1"'], impact: 1, urgency: 1 }
  - { name: crowd, when: incident.count > 10, impact: 1 }
escalate:
  - name: web
    match: ['team="web"']
    steps: [{ notify: [web-pager] }]
  - name: dba
    when: incident.team == "dba" && incident.priority <= 4
    wait: 30s
    steps:
      - notify: [dba-pager, dba-chat]
      - { after: 15m, unless: acknowledged, notify: [managers] }
"#;

const LAG: &str = "alertname=Lag cluster=eu1 env=prod host=a service=orders-db severity=critical";
const LAG_US: &str = "alertname=Lag cluster=us1 env=prod host=b service=orders-db";
const LAG_LATER: &str = "alertname=Lag cluster=eu1 env=prod host=c service=orders-db";
const DISK: &str = "alertname=DiskFull host=a percent=90";
const SLOW: &str = "alertname=Slow cluster=eu1 host=a";
const POD: &str = "alertname=PodDown node=n1 pod=p1";
const NODE: &str = "alertname=NodeDown node=n1";

/// Name of the golden file, story, question.
fn stories() -> Vec<(&'static str, Vec<String>, Question)> {
    let fire = |at: &str, alert: &str| format!("{at} fire {alert}");
    vec![
        ("alert-in-an-incident", vec![fire("1m", LAG)], OfAlert(LAG)),
        ("alert-of-the-default-rule", vec![fire("1m", DISK)], OfAlert(DISK)),
        ("alert-suppressed", vec![fire("1m", NODE), fire("2m", POD), "3m silence node=\"n1\"".to_owned()], OfAlert(POD)),
        ("alert-waiting", vec![fire("1m", SLOW)], OfAlert(SLOW)),
        ("alert-that-waited-in-vain", vec![fire("1m", SLOW), "7m wait".to_owned()], OfAlert(SLOW)),
        ("alert-step", vec![fire("1m", "alertname=Deploy service=shop")], OfAlert("alertname=Deploy service=shop")),
        (
            "alert-that-is-no-step",
            vec![fire("1m", "alertname=Errors service=shop rate=2")],
            OfAlert("alertname=Errors service=shop rate=2"),
        ),
        ("incident-declared-major", vec![fire("1m", DISK), "2m major INC-1".to_owned()], OfIncident(1)),
        ("alert-beat", vec![fire("1m", "alertname=Watchdog")], OfAlert("alertname=Watchdog")),
        (
            "incident-paged",
            vec![fire("1m", LAG), fire("2m", LAG_LATER), "3m ack INC-1".to_owned(), "20m wait".to_owned()],
            OfIncident(1),
        ),
        ("incident-without-policy", vec![fire("1m", DISK)], OfIncident(1)),
        ("incident-waiting-and-paused", vec![fire("1m", LAG), "1m10s silence cluster=\"eu1\"".to_owned()], OfIncident(1)),
        ("notification", vec![fire("1m", LAG), "20m wait".to_owned()], OfNotification(3)),
        ("pair-together", vec![fire("1m", LAG), fire("2m", LAG_LATER)], OfPair(LAG, LAG_LATER)),
        ("pair-of-two-keys", vec![fire("1m", LAG), fire("2m", LAG_US)], OfPair(LAG, LAG_US)),
        ("pair-of-two-rules", vec![fire("1m", LAG), fire("2m", DISK)], OfPair(LAG, DISK)),
        ("pair-beyond-the-window", vec![fire("1m", LAG), fire("30m", LAG_LATER)], OfPair(LAG, LAG_LATER)),
        ("pair-with-a-suppressed-one", vec![fire("1m", NODE), fire("2m", POD)], OfPair(NODE, POD)),
        (
            "pair-below-a-threshold",
            vec![fire("1m", SLOW), fire("2m", "alertname=Slow cluster=eu1 host=b")],
            OfPair(SLOW, "alertname=Slow cluster=eu1 host=b"),
        ),
    ]
}

/// Rules that go by what alerts have in common and by their number.
const TIED: &str = r#"
services:
  - { name: cart, depends_on: [cart-db] }
correlate:
  - name: storm
    match: ['cluster!=""']
    by: [cluster]
    storm: { least: 3, within: 1m }
  - name: tied
    ties:
      - { same: [cluster], within: 2m, to: ['severity="critical"'] }
      - { hops: 1, within: 5m }
"#;

const CART: &str = "alertname=Errors service=cart cluster=eu1 severity=critical";
const CART_LATER: &str = "alertname=Errors service=mail cluster=eu1";
const MAIL_US: &str = "alertname=Errors service=mail cluster=us1";
const CART_DB: &str = "alertname=Lag service=cart-db cluster=us1";

fn stories_of_ties() -> Vec<(&'static str, Vec<String>, Question)> {
    let fire = |at: &str, alert: &str| format!("{at} fire {alert}");
    vec![
        ("pair-tied-by-nothing", vec![fire("1m", CART), fire("2m", MAIL_US)], OfPair(CART, MAIL_US)),
        ("pair-too-late-for-its-tie", vec![fire("1m", CART), fire("4m", CART_LATER)], OfPair(CART, CART_LATER)),
        ("pair-tied", vec![fire("1m", CART), fire("2m", CART_DB)], OfPair(CART, CART_DB)),
        (
            "alert-in-a-storm",
            vec![fire("1m", CART), fire("1m10s", CART_LATER), fire("1m20s", "alertname=Slow service=mail cluster=eu1")],
            OfAlert(CART),
        ),
    ]
}

/// Rules for what people report and for a heartbeat.
const PEOPLE: &str = r#"
correlate:
  - { name: many, match: ['service="cart"'], threshold: { count: 3, within: 5m } }
  - { name: by-service, match: ['service!=""'], by: [service] }
heartbeats:
  - { name: backup, every: 1h, grace: 10m, labels: { service: orders-db } }
"#;

const EMPTY: &str = "alertname=Empty service=cart";

fn stories_of_people() -> Vec<(&'static str, Vec<String>, Question)> {
    let fire = |at: &str, alert: &str| format!("{at} fire {alert}");
    vec![
        ("report-alone", vec![format!("1m report {EMPTY}")], OfAlert(EMPTY)),
        (
            "report-joined",
            vec![fire("1m", "alertname=Slow service=mail"), "2h report alertname=Late service=mail".to_owned()],
            OfAlert("alertname=Late service=mail"),
        ),
        ("heartbeat-missed", vec!["1m beat backup".to_owned(), "2h wait".to_owned()], OfIncident(1)),
    ]
}

#[test]
fn golden_answers() {
    hold_golden(&rules(RULES), stories());
    hold_golden(&rules(PEOPLE), stories_of_people());
    hold_golden(&rules(TIED), stories_of_ties());
}

fn hold_golden(rules: &Arc<Ruleset>, stories: Vec<(&'static str, Vec<String>, Question)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/explain");
    let mut wrong = Vec::new();
    for (name, story, question) in stories {
        let lines: Vec<&str> = story.iter().map(String::as_str).collect();
        let answer = text(&ask(&play(rules, &lines), rules, &question).to_json(), str::to_owned);
        let path = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &answer).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if expected != answer {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- got\n{answer}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_rules_say_is_what_the_engine_does() {
    // Of each alert of each story that is in one incident by itself, the rule that is said to take it is the incident's.
    let rules = rules(RULES);
    let mut compared = 0;
    for (name, story, _) in stories() {
        let lines: Vec<&str> = story.iter().map(String::as_str).collect();
        let player = play(&rules, &lines);
        let records = Records::of_state(player.state());
        for record in records.alerts.values() {
            let [home] = &record.incidents[..] else { continue };
            let verdicts = alert_rules::ask(&rules, record, &records);
            let said = alert_rules::taker(&verdicts).map(|(rule, _)| rule.name.clone());
            // What waited in vain went on to the rule behind.
            if name != "alert-that-waited-in-vain" {
                assert_eq!(said.as_ref(), Some(&records.incidents[home].rule.name), "{name}: {}", record.labels());
                compared += 1;
            }
        }
    }
    assert!(compared > 10);
}

#[test]
fn other_rules_than_those_that_decided_are_named() {
    let then = rules(RULES);
    let player = play(&then, &[&format!("1m fire {LAG}")]);
    let mut records = Records::of_state(player.state());
    let notes = |records: &Records, rules: &Ruleset| explain_alert(records, rules, key(LAG)).unwrap().notes;
    assert_eq!(notes(&records, &then), [""; 0]);

    let now = rules(&format!("# moved down\n\n{RULES}"));
    assert_eq!(
        notes(&records, &now),
        [
            "the rules that were in force then are not quite those that are asked here",
            "databases stands at databases (rules.yaml:8) by now"
        ]
    );
    records.rules_since = Some(START + Millis::hours(1));
    let gone = rules("correlate: [{ name: other, by: [host] }]\n");
    assert_eq!(
        notes(&records, &gone),
        [
            "the rules have changed since, at 2026-01-05T01:00:00.000Z; what other rules say is said by those of now",
            "databases is not among the rules any more"
        ]
    );
    assert!(explain_alert(&records, &gone, Fingerprint(1)).is_none());
}

/// A policy that a reload has taken away: who answers now, from when on, and what became of the one before.
#[test]
fn a_policy_that_ended_is_told_of() {
    let then = rules(RULES);
    let mut player = play(&then, &[&format!("1m fire {LAG}")]);
    let now = rules(&RULES.replace("  - name: dba\n", "  - name: databases-later\n"));
    let mut facts = Vec::new();
    player.input(START + Millis::minutes(5), Input::Rules(now.clone()), &mut facts).unwrap();
    let mut records = Records::of_state(player.state());
    let ended = TimelineEntry {
        seq: 1,
        at: records.now,
        kind: "escalation_ended".to_owned(),
        text: "escalation ended (rule dba, rules.yaml:36): the rules have it no more".to_owned(),
        actor: None,
        reason: None,
    };
    records.timelines.insert(IncidentId(1), vec![ended]);
    let answer = explain_notification(&records, &now, NotificationId(1)).unwrap();
    let told = answer.parts.iter().find(|part| part.question == "Who is told, and when?").unwrap();
    let lines: Vec<&str> = told.lines.iter().map(|line| &*line.text).collect();
    assert_eq!(
        lines[..4],
        [
            "rule databases-later (rules.yaml:36) applies since 2026-01-05T00:05:00.000Z, its times counted from 2026-01-05T00:01:00.000Z",
            "step 1, due 2026-01-05T00:01:30.000Z: told dba-pager, dba-chat",
            "step 2: will tell managers at 2026-01-05T00:16:00.000Z, unless somebody has acknowledged by then",
            "2026-01-05T00:05:00.000Z: escalation ended (rule dba, rules.yaml:36): the rules have it no more",
        ]
    );
}

#[test]
fn json_has_the_reasons_as_values() {
    let rules = rules(RULES);
    let answer = ask(&play(&rules, &[&format!("1m fire {LAG}")]), &rules, &OfAlert(LAG)).to_json();
    assert_eq!((&answer["kind"], &answer["at"]), (&"alert".into(), &"2026-01-05T00:01:00.000Z".into()));
    let part = answer["parts"].as_array().unwrap().iter().find(|part| part["question"] == "Where is it?").unwrap();
    assert_eq!(part["lines"][0]["reason"], serde_json::json!({ "rule": "databases", "file": "rules.yaml", "line": 6 }));
}

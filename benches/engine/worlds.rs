//! The worlds that new alerts come into: so many rules, silences or alerts of a kind.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use quell::engine::{Act, Engine, EngineOptions, Input, News, State};
use quell::model::{Actor, Alert, AlertStatus, Labels, Millis, Silence, SilenceId, Time};
use quell::ruleset::{self, Ruleset, SourceFile, parse_matchers};

pub(crate) const START: Time = Time(1_767_571_200_000);

/// Alerts that fire before the clock starts, where a curve is not about them.
const PRESENT: u64 = 5_000;

const TEAMS: [&str; 8] = ["payments", "checkout", "search", "identity", "platform", "data", "mobile", "edge"];
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// Groups as the comparison with Alertmanager does, and tells nobody for ten minutes.
const GROUPS: &str = "correlate:\n  - name: groups\n    by: [alertname, cluster]\n";
const POLICY: &str = "escalate:\n  - name: hook\n    wait: 10m\n    steps: [{ notify: [hook] }]\n";

/// How an alert's cost goes with something of which there may be much.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) counts: &'static [usize],
    pub(crate) at_most: AtMost,
    pub(crate) world: fn(usize) -> World,
}

/// What an alert may cost at any point of a curve.
#[derive(Clone, Copy)]
pub(crate) enum AtMost {
    /// So many times what it costs at the first.
    Times(f64),
    /// So much.
    Each(Duration),
}

use AtMost::{Each, Times};

pub(crate) const CURVES: &[Curve] = &[
    Curve { name: "correlate rules that do not match", counts: &[10, 100, 1_000, 10_000], at_most: Times(2.0), world: correlate },
    Curve { name: "rules of every stage", counts: &[10, 100, 1_000, 10_000], at_most: Times(2.0), world: every_stage },
    Curve { name: "policies that do not match", counts: &[10, 100, 1_000, 10_000], at_most: Times(2.0), world: policies },
    Curve { name: "inhibition rules", counts: &[0, 10, 100, 1_000, 10_000], at_most: Times(1.5), world: inhibition },
    Curve { name: "silences", counts: &[0, 10, 100, 1_000, 10_000], at_most: Times(1.5), world: silences },
    Curve { name: "alerts in one incident", counts: &[50, 500, 5_000, 50_000], at_most: Times(1.3), world: one_incident },
    Curve { name: "active alerts", counts: &[500, 5_000, 50_000, 500_000], at_most: Times(2.0), world: active },
    Curve { name: "hostile expressions", counts: &[0, 10, 100, 1_000], at_most: Each(Duration::from_millis(1)), world: hostile },
];

/// Rules, silences and alerts that are there before the first measured one.
pub(crate) struct World {
    rules: Arc<Ruleset>,
    silences: Vec<Silence>,
    pub(crate) present: u64,
    pub(crate) alert: fn(u64) -> Arc<Alert>,
}

impl World {
    fn of(text: String) -> World {
        let files = [SourceFile { name: "rules.yaml".to_owned(), text }];
        let rules = ruleset::load(&files, None, ruleset::Limits::default()).expect("good rules").ruleset;
        World { rules: Arc::new(rules), silences: Vec::new(), present: PRESENT, alert }
    }

    /// An engine in which all that is there has come to rest.
    pub(crate) fn engine(&self) -> Engine {
        let mut engine = Engine::new(State::new(), self.rules.clone(), EngineOptions::default());
        let mut facts = Vec::new();
        for silence in &self.silences {
            let act = Input::Act { act: Act::SetSilence(silence.clone()), by: Actor::Engine };
            engine.step(START, act, &mut facts).expect("taken");
        }
        for id in 0..self.present {
            let news = News { alert: (self.alert)(id), status: AlertStatus::Firing, ends_at: None, lasts: None };
            engine.step(START, Input::Alert(news), &mut facts).expect("taken");
            facts.clear();
        }
        engine.take_changes();
        engine
    }
}

/// The load generator's alert: eight labels, 500 groups of alertname and cluster.
fn alert(id: u64) -> Arc<Alert> {
    let hash = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let team = TEAMS[(hash >> 8) as usize % TEAMS.len()];
    let service = format!("{team}-svc-{:03}", (hash >> 16) % 200);
    let labels = Labels::from_pairs([
        ("alertname", format!("HighRequestLatency{:02}", (hash >> 24) % 50).as_str()),
        ("cluster", format!("eu-west-prod-{:02}", (hash >> 32) % 10).as_str()),
        ("namespace", team),
        ("service", &service),
        ("pod", &format!("{service}-7d9f8b6c5d-{id:07}")),
        ("instance", &format!("10.{}.{}.{}:9100", (id >> 16) & 255, (id >> 8) & 255, id & 255)),
        ("job", "kubernetes-pods"),
        ("severity", SEVERITIES[(hash >> 40) as usize % SEVERITIES.len()]),
    ])
    .expect("short labels");
    with_labels(labels)
}

fn with_labels(labels: Labels) -> Arc<Alert> {
    Arc::new(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs([("summary", "p99 latency above 500ms for 5m")]).expect("short"),
        generator_url: "http://prometheus:9090/graph".into(),
        source: "prometheus".into(),
        starts_at: START,
    })
}

/// Matchers that no alert satisfies, as in the comparison with Alertmanager: services end at 199, and every fifth needs a
/// regular expression.
fn idle(number: usize) -> Vec<String> {
    let (team, service) = (TEAMS[number % 8], 200 + number);
    let mut matchers = if number.is_multiple_of(5) {
        vec![format!("namespace=\"{team}\""), format!("service=~\"{team}-svc-({service}|{})\"", service + 1)]
    } else {
        vec![format!("service=\"{team}-svc-{service}\""), format!("severity=\"{}\"", SEVERITIES[number % 3])]
    };
    if number.is_multiple_of(7) {
        matchers.push("cluster!=\"eu-west-prod-99\"".to_owned());
    }
    matchers
}

/// A rule of YAML that never matches.
fn idle_rule(text: &mut String, number: usize, rest: &str) {
    let matchers: Vec<String> = idle(number).iter().map(|matcher| format!("'{matcher}'")).collect();
    writeln!(text, "  - {{ name: idle{number}, match: [{}], {rest} }}", matchers.join(", ")).expect("a text takes all");
}

/// Idle rules of one stage.
fn section(stage: &str, count: usize, rest: &str) -> String {
    let mut text = if count > 0 { format!("{stage}:\n") } else { String::new() };
    (0..count).for_each(|number| idle_rule(&mut text, number, rest));
    text
}

fn correlate(count: usize) -> World {
    World::of(section("correlate", count, "by: [cluster]") + GROUPS.trim_start_matches("correlate:\n") + POLICY)
}

/// As many rules in all, a sixth of them in each stage.
fn every_stage(count: usize) -> World {
    let each = count.div_ceil(6);
    World::of(
        section("enrich", each, "set: { team: nobody }")
            + &section("suppress", each, "hold: 2m")
            + &section("correlate", each, "by: [cluster]")
            + GROUPS.trim_start_matches("correlate:\n")
            + &section("classify", each, "category: database")
            + &section("prioritize", each, "impact: 1")
            + &section("escalate", each, "steps: [{ notify: [nobody] }]")
            + POLICY.trim_start_matches("escalate:\n"),
    )
}

fn policies(count: usize) -> World {
    let text = section("escalate", count, "steps: [{ notify: [nobody] }]");
    World::of(GROUPS.to_owned() + &text + POLICY.trim_start_matches("escalate:\n"))
}

/// Every second rule has sources and targets among the alerts; the targets of the others are alerts, but their sources never
/// fire. This is what the peer was measured with. Behind the first thousand all are of the second kind: those of the first would
/// say the same over and over, and each gives every alert that it hides one more reason.
fn inhibition(count: usize) -> World {
    let mut text = if count > 0 { "suppress:\n".to_owned() } else { String::new() };
    for number in 0..count {
        let (source, target) = if number.is_multiple_of(2) && number < 1_000 {
            let source = format!("'severity=\"critical\"', 'alertname=\"HighRequestLatency{:02}\"'", number % 50);
            (source, format!("'severity=\"info\"', 'service=\"payments-svc-{:03}\"'", number % 400))
        } else {
            let source = format!("'alertname=\"NodeDown{number:03}\"'");
            (source, format!("'severity=~\"warning|info\"', 'namespace=\"{}\"'", TEAMS[number % 8]))
        };
        let inhibit = format!("{{ source: [{source}], target: [{target}], equal: [cluster, namespace] }}");
        writeln!(text, "  - {{ name: hides{number}, inhibit: {inhibit} }}").expect("a text takes all");
    }
    World::of(text + GROUPS + POLICY)
}

fn silences(count: usize) -> World {
    let silence = |number: usize| Silence {
        id: SilenceId(number as u128 + 1),
        matchers: parse_matchers(&idle(number).join(",")).expect("good matchers"),
        starts_at: START,
        ends_at: START + Millis::hours(8),
        updated_at: START,
        created_by: "ann".into(),
        comment: "".into(),
    };
    World { silences: (0..count).map(silence).collect(), ..World::of(GROUPS.to_owned() + POLICY) }
}

fn one_incident(count: usize) -> World {
    World { present: count as u64, ..World::of(format!("correlate:\n  - {{ name: all, by: [] }}\n{POLICY}")) }
}

fn active(count: usize) -> World {
    World { present: count as u64, ..World::of(GROUPS.to_owned() + POLICY) }
}

/// Expressions that take a program which tries one way after the other longer than the world will stand, none of which matches.
/// Each alert brings a value of its own, as long as limits let it be.
fn hostile(count: usize) -> World {
    const BOMBS: [&str; 8] = ["(a+)+", "(a|aa)+", "(a|a?)+", "(.*a){12}", "(a*)*b", "(x+x+)+y", "([a-z]+)*_", "(((a+)+)+)+"];
    let mut text = "correlate:\n".to_owned();
    for number in 0..count {
        let bomb = BOMBS[number % BOMBS.len()];
        writeln!(text, "  - {{ name: bomb{number}, match: ['pod=~\"{bomb}!{number}\"'], by: [cluster] }}")
            .expect("a text takes all");
    }
    World { alert: hostile_alert, ..World::of(text + GROUPS.trim_start_matches("correlate:\n") + POLICY) }
}

fn hostile_alert(id: u64) -> Arc<Alert> {
    let hostile = format!("{}{id:024}", "a".repeat(1_000));
    with_labels(alert(id).labels.with([("pod", hostile.as_str())]).expect("short labels"))
}

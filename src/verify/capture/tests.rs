//! What is recorded passes when it is played under the rules that decided.

use std::sync::Arc;

use super::*;
use crate::engine::{Act, DeliveryOutcome, Engine, EngineOptions, Input, News, State};
use crate::model::{Actor, Alert, AlertStatus, Labels, Millis, Silence, SilenceId, Time};
use crate::ruleset::{self, Ruleset, SourceFile};
use crate::storage::disk::FolderDisk;
use crate::storage::log::{Log, LogOptions};
use crate::verify::rule_test;

const RULES: &str = r#"
suppress:
  - { name: node-down, inhibit: { source: ['alertname="NodeDown"'], target: ['severity="warning"'], equal: [node] } }
  - { name: spikes, match: ['alertname="HighCpu"'], hold: 2m }
correlate:
  - name: hosts
    match: ['alertname="DiskFull"']
    by: [cluster]
    threshold: { count: 2, distinct: host, within: 5m, otherwise: alone }
  - { name: nodes, match: ['node!=""'], by: [node], resolve_after: 3m, title: "{{ by.node }}: {{ incident.count }}" }
escalate:
  - name: all
    wait: 30s
    steps: [{ notify: [chat] }, { after: 15m, unless: acknowledged, notify: [chat, boss] }]
    update: 1m
    repeat: 1h
"#;

/// Some time on an ordinary day.
const START: Time = Time(1_793_900_012_345);

fn rules() -> Arc<Ruleset> {
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: RULES.to_owned() }];
    Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap().ruleset)
}

/// A daemon's engine and log. Its timers are late, as a daemon's are.
struct Daemon {
    engine: Engine,
    log: Log<FolderDisk>,
    folder: tempfile::TempDir,
}

impl Daemon {
    fn new() -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let disk = FolderDisk::open(&folder.path().join("log")).unwrap();
        let (log, _) = Log::open(disk, LogOptions::default()).unwrap();
        let engine = Engine::new(State::new(), rules(), EngineOptions::default());
        let mut daemon = Daemon { engine, log, folder };
        daemon.engine.know_receivers(Arc::from([Arc::from("chat"), Arc::from("boss")]));
        daemon.step(START, Input::Created { directory: "d".into() });
        daemon.step(START, Input::Rules(rules()));
        daemon
    }

    fn step(&mut self, at: Time, input: Input) {
        let (mut facts, seq) = (Vec::new(), self.engine.state().seq() + 1);
        self.engine.step(at, input, &mut facts).unwrap();
        if !facts.is_empty() {
            self.log.append(seq, at, &facts);
        }
        for fact in facts {
            if let Fact::NotificationQueued { notification } = fact {
                let outcome = DeliveryOutcome::Delivered { remote: None };
                self.step(at + Millis(7), Input::Delivery { notification: notification.id, outcome });
            }
        }
    }

    fn at(&mut self, offset: &str, input: impl FnOnce(Time) -> Input) {
        let at = START + Millis::parse(offset).unwrap();
        while let Some(due) = self.engine.next_timer().filter(|due| *due <= at) {
            self.step(due + Millis(40), Input::Tick);
        }
        self.step(at, input(at));
    }

    fn capture(&mut self, id: u64) -> Result<String, CaptureError> {
        self.log.commit().unwrap();
        let disk = FolderDisk::open_read_only(&self.folder.path().join("log")).unwrap();
        capture(&LogFiles::open(disk).unwrap(), IncidentId(id))
    }
}

fn alert(labels: &[(&str, &str)], at: Time) -> Arc<Alert> {
    let labels = Labels::from_pairs(labels.iter().copied()).unwrap();
    let annotations = Labels::from_pairs([("summary", "it says \"no\":\n\t# yes \u{202e}")]).unwrap();
    let (generator_url, source) = ("".into(), "prometheus".into());
    Arc::new(Alert { fingerprint: labels.fingerprint(), labels, annotations, generator_url, source, starts_at: at })
}

fn fires(labels: &'static [(&'static str, &'static str)]) -> impl FnOnce(Time) -> Input {
    move |at| Input::Alert(News { alert: alert(labels, at), status: AlertStatus::Firing, ends_at: None, lasts: None })
}

fn resolves(labels: &'static [(&'static str, &'static str)]) -> impl FnOnce(Time) -> Input {
    move |at| Input::Alert(News { alert: alert(labels, at), status: AlertStatus::Resolved, ends_at: Some(at), lasts: None })
}

fn act(act: Act) -> impl FnOnce(Time) -> Input {
    move |_| Input::Act { act, by: Actor::Person("ann b.".into()) }
}

/// A morning with incidents that have to do with each other and some that have not.
fn morning() -> Daemon {
    const DOWN: &[(&str, &str)] = &[("alertname", "NodeDown"), ("node", "n1"), ("severity", "critical")];
    const POD: &[(&str, &str)] = &[("alertname", "Pod"), ("node", "n1"), ("pod", "true"), ("severity", "warning")];
    const ELSE: &[(&str, &str)] = &[("alertname", "Else"), ("service", "shop")];
    const DISKS: [&[(&str, &str)]; 2] = [
        &[("alertname", "DiskFull"), ("cluster", "1"), ("host", "a")],
        &[("alertname", "DiskFull"), ("cluster", "1"), ("host", "b")],
    ];
    const CPU: &[(&str, &str)] = &[("alertname", "HighCpu"), ("node", "n2")];
    let silence = |at: Time| Silence {
        id: SilenceId(7),
        matchers: ruleset::parse_matchers(r#"cluster="1", host=~"a|b\d""#).unwrap(),
        starts_at: at,
        ends_at: at + Millis::minutes(12),
        updated_at: at,
        created_by: "eve".into(),
        comment: "".into(),
    };
    let mut daemon = Daemon::new();
    daemon.at("10s", |at| Input::Act { act: Act::SetSilence(silence(at)), by: Actor::Person("eve".into()) });
    daemon.at("1m", fires(ELSE));
    daemon.at("2m1s", fires(POD));
    daemon.at("3m", fires(DOWN));
    daemon.at("4m500ms", fires(CPU));
    daemon.at("5m", act(Act::Acknowledge(IncidentId(1))));
    daemon.at("6m", fires(DISKS[0]));
    daemon.at("11m", fires(DISKS[1]));
    daemon.at("14m", act(Act::Assign(IncidentId(2), Some("eve".into()))));
    daemon.at("14m10s", act(Act::Comment(IncidentId(2), "looking: \"now\"".into())));
    daemon.at("15m", act(Act::Assign(IncidentId(2), None)));
    daemon.at("20m", |at| Input::Expired { fingerprint: alert(DOWN, at).fingerprint, expired_at: at - Millis(3) });
    daemon.at("25m", resolves(POD));
    daemon.at("29m", fires(POD));
    daemon.at("40m", act(Act::Resolve(IncidentId(2))));
    daemon.at("41m", act(Act::Close(IncidentId(2))));
    daemon.at("42m", resolves(POD));
    daemon.at("50m", resolves(ELSE));
    daemon.at("1h", resolves(DISKS[0]));
    daemon.at("1h", resolves(DISKS[1]));
    daemon.at("3h", |_| Input::Tick);
    daemon
}

#[test]
fn what_is_captured_passes_under_the_same_rules() {
    let mut daemon = morning();
    let count = daemon.engine.state().next_incident().0 - 1;
    assert!(count >= 4, "the morning had {count} incidents");
    let mut checks = 0;
    for id in 1..=count {
        let text = daemon.capture(id).unwrap();
        let source = SourceFile { name: "captured".to_owned(), text: text.clone() };
        let (file, warnings) = rule_test::read(&source).unwrap_or_else(|found| panic!("{found:#?}\n{text}"));
        assert_eq!((file.tests.len(), warnings.len()), (1, 0), "{text}");
        assert_eq!(rule_test::run(&file.tests[0], &rules()), [], "INC-{id}\n{text}");
        checks += text.matches("      - at: ").count();

        // Under other rules it does not: the test holds on to what was decided.
        let other = Arc::new(Ruleset::built_in());
        assert_ne!(rule_test::run(&file.tests[0], &other), [], "INC-{id}\n{text}");
    }
    assert!(checks > 12, "only {checks} moments are looked at");
}

/// What people will read and edit. `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_text_is_as_it_was() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/capture.test.yaml");
    let text = morning().capture(2).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(golden).unwrap_or_default(), text);
}

#[test]
fn what_cannot_be_captured_says_why() {
    let mut daemon = morning();
    let said = |result: Result<String, CaptureError>| result.unwrap_err().to_string();
    assert_eq!(said(daemon.capture(99)), "there is no incident INC-99 in the log");
    let state = daemon.engine.state();
    let entities: Vec<_> = state.entities().collect();
    daemon.log.checkpoint(state.seq(), state.time(), &mut entities.into_iter(), &mut |_| true).unwrap();
    let open = daemon.engine.state().incidents().next().expect("one that has not closed").id;
    assert_eq!(said(daemon.capture(open.0)), format!("{open} began before the oldest record that is left of the log"));
}

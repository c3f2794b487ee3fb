//! The same inputs decide the same, and the same log gives the same state: on every thread, in every build, on every
//! processor, in a daemon with one thread and with many.
//!
//! What a build on another processor must come to stands in `tests/golden/log/state`: a log as it was once written, and the
//! numbers of its state (`log`) and of the state that [`inputs`] lead to (`decided`). `QUELL_GOLDEN=write` writes the numbers
//! anew, for when records know more of an incident or rules decide otherwise; the log stays as it is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use quell::engine::{Act, DeliveryOutcome, Engine, EngineOptions, Input, News, State};
use quell::model::{Actor, Alert, AlertStatus, IncidentId, Labels, Millis, NotificationId, Silence, SilenceId, Time};
use quell::ruleset::{self, Ruleset, SourceFile, parse_matchers};
use quell::storage::digest::StateDigest;
use quell::storage::disk::FolderDisk;
use quell::storage::log::{Log, LogFiles, LogOptions, Record};
use serde_json::{Value, json};

use crate::daemon::{PATIENCE, Site};
use crate::documents::repository;

/// 2026-01-05T00:00:00Z.
const START: Time = Time(1_767_571_200_000);

/// Inputs that are played.
const STEPS: u64 = 160;

const LOG_NAME: &str = "00000000000000000001.log";

/// Something of every stage.
const RULES: &str = r#"
services:
  - { name: s0, tier: 1, team: zero, depends_on: [s1] }
  - { name: s1, depends_on: [s2] }
enrich:
  - { name: service, match: ['host=~"h(?P<n>[0-2])"'], set: { service: "s{{ capture.n }}" } }
suppress:
  - { name: a-hides-b, inhibit: { source: ['alertname="A"'], target: ['alertname="B"'], equal: [job] } }
  - { name: brief, match: ['alertname="C"', 'job="app-0"'], hold: 2m }
  - { name: restless, match: ['host="h3"'], flapping: { changes: 3, within: 1h, until_stable: 5m } }
  - { name: nightly, match: ['alertname="D"'], during: { days: [mon, tue], from: "01:10", to: "01:40", zone: Europe/Berlin } }
correlate:
  - { name: a-then-c, sequence: [{ match: ['alertname="A"'] }, { match: ['alertname="C"'] }], by: [job], within: 10m }
  - { name: storm, match: ['job="app-2"'], by: [job], storm: { least: 4, above: 2, within: 10m, hold: 20s, pass: 1 }, max_age: 2h }
  - { name: near, match: ['alertname="D"'], topology: { hops: 1, within: 15m } }
  - { name: several, match: ['alertname="C"'], threshold: { count: 2, distinct: host, within: 5m, otherwise: alone } }
  - { name: jobs, when: 'labels.alertname in ["A", "B"]', by: [job], window: 20m, title: "{{ incident.count }} in {{ by.job }}" }
classify:
  - { name: database, match: ['alertname="A"'], category: database }
prioritize:
  - { name: much, when: 'incident.distinct("host") > 2', impact: 1, urgency: 2 }
escalate:
  - name: pager
    when: incident.priority <= 3
    wait: 30s
    steps: [{ notify: [pager] }, { after: 5m, unless: acknowledged, notify: [boss] }]
    update: 1m
    repeat: 10m
"#;

fn rules() -> Arc<Ruleset> {
    let files = [SourceFile { name: "rules.yaml".to_owned(), text: RULES.to_owned() }];
    Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).unwrap_or_else(|faults| panic!("{faults:#?}")).ruleset)
}

/// What happens, and how long after what was before it. Drawn, but always the same.
fn inputs() -> Vec<(Millis, Input)> {
    let mut drawn = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = move |n: u64| {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (drawn >> 33) % n
    };
    let mut all = Vec::new();
    let mut at = START;
    for _ in 0..STEPS {
        let after =
            Millis::seconds(i64::try_from([0, 1 + below(40), 60 + below(400)][usize::try_from(below(3)).unwrap()]).unwrap());
        at = at + after;
        let alert = alert(below(4), below(3), below(4), at);
        let news = |status, ends_at| Input::Alert(News { alert: alert.clone(), status, ends_at, lasts: None });
        let act = |act| Input::Act { act, by: Actor::Person("ann".into()) };
        let input = match below(16) {
            0..=6 => news(AlertStatus::Firing, None),
            7..=10 => news(AlertStatus::Resolved, Some(at)),
            11 => Input::Expired { fingerprint: alert.fingerprint, expired_at: at },
            12 => act(Act::Acknowledge(IncidentId(1 + below(30)))),
            13 => act(Act::Comment(IncidentId(1 + below(30)), "looking".into())),
            14 => act(Act::SetSilence(silence(below(3), at))),
            _ => {
                let outcome = DeliveryOutcome::Delivered { remote: None };
                Input::Delivery { notification: NotificationId(1 + below(40)), outcome }
            }
        };
        all.push((after, input));
    }
    all
}

fn alert(name: u64, job: u64, host: u64, at: Time) -> Arc<Alert> {
    let severity = ["critical", "warning", "info"][usize::try_from((name + host) % 3).unwrap()];
    let name = ["A", "B", "C", "D"][usize::try_from(name).unwrap()];
    let (job, host) = (format!("app-{job}"), format!("h{host}"));
    let labels =
        Labels::from_pairs([("alertname", name), ("job", &job), ("host", &host), ("severity", severity)]).expect("short labels");
    Arc::new(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::default(),
        generator_url: "".into(),
        source: "prometheus".into(),
        starts_at: at,
    })
}

fn silence(number: u64, at: Time) -> Silence {
    Silence {
        id: SilenceId(u128::from(number) + 1),
        matchers: parse_matchers(&format!("host=~\"h{number}\", job!=\"app-0\"")).unwrap(),
        starts_at: at,
        ends_at: at + Millis::minutes(7),
        updated_at: at,
        created_by: "ann".into(),
        comment: "".into(),
    }
}

/// Plays all inputs, timers at their moments. What was decided, and the number of the state that it came to.
fn play(rules: &Arc<Ruleset>) -> (Vec<Record>, StateDigest) {
    let mut engine = Engine::new(State::new(), rules.clone(), EngineOptions::default());
    engine.know_receivers(["pager", "boss"].map(Arc::from).into());
    let mut records: Vec<Record> = Vec::new();
    let mut step = |engine: &mut Engine, time: Time, input: Input| {
        let (first_seq, mut facts) = (engine.state().seq() + 1, Vec::new());
        // What is refused, an incident that is not there yet, has not happened.
        drop(engine.step(time, input, &mut facts));
        if !facts.is_empty() {
            records.push(Record { first_seq, time, facts });
        }
    };
    step(&mut engine, START, Input::Created { directory: "golden".into() });
    step(&mut engine, START, Input::Rules(rules.clone()));
    let mut at = START;
    for (after, input) in inputs() {
        at = at + after;
        while let Some(due) = engine.next_timer().filter(|due| *due < at) {
            step(&mut engine, due, Input::Tick);
        }
        step(&mut engine, at, input);
    }
    let digest = StateDigest::of(engine.state());
    (records, digest)
}

fn golden() -> PathBuf {
    repository().join("tests/golden/log/state")
}

fn writes_golden() -> bool {
    std::env::var_os("QUELL_GOLDEN").is_some_and(|value| value == "write")
}

/// Holds a number against the one in `tests/golden/log/state/NAME.txt`.
fn check_number(name: &str, digest: StateDigest) {
    let path = golden().join(format!("{name}.txt"));
    let today = format!("{} {digest}\n", digest.seq);
    if writes_golden() {
        fs::write(&path, &today).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(today, kept, "{name}: another sequence or state than ever before (QUELL_GOLDEN=write, if that is meant)");
}

/// A data directory with the golden log in it.
fn golden_data(folder: &Path) {
    let digits: Vec<u8> =
        fs::read(golden().join(format!("{LOG_NAME}.hex"))).unwrap().into_iter().filter(|digit| *digit != b'\n').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    fs::create_dir_all(folder.join("log")).unwrap();
    fs::write(folder.join("log").join(LOG_NAME), bytes).unwrap();
}

/// Writes records as a log and keeps its bytes, without the zeros that are for what is to come.
fn write_golden_log(records: &[Record]) {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = Log::open(FolderDisk::open(folder.path()).unwrap(), LogOptions::default()).unwrap();
    for record in records {
        log.append(record.first_seq, record.time, &record.facts);
        log.commit().unwrap();
    }
    let mut bytes = fs::read(folder.path().join(LOG_NAME)).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // Eight zeros end a segment, at a multiple of eight.
    bytes.truncate(used.next_multiple_of(8) + 8);
    let mut text = String::new();
    for line in bytes.chunks(64) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    fs::create_dir_all(golden()).unwrap();
    fs::write(golden().join(format!("{LOG_NAME}.hex")), text).unwrap();
}

/// What `quell log verify --state` says of a data directory: sequence and number.
fn verified(site: &Site, data: &Path) -> Value {
    verified_by(env!("CARGO_BIN_EXE_quell"), site, data)
}

fn verified_by(binary: &str, site: &Site, data: &Path) -> Value {
    let mut command = Command::new(binary);
    command.current_dir(site.path()).args(["log", "verify", "--state", "--json", "--data"]).arg(data);
    let output = command.output().unwrap_or_else(|e| panic!("{binary}: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["state"].clone()
}

#[test]
fn the_same_inputs_decide_the_same_on_every_thread() {
    let rules = rules();
    let (records, digest) = play(&rules);
    let kinds: std::collections::BTreeSet<&str> =
        records.iter().flat_map(|record| &record.facts).map(quell::engine::Fact::kind).collect();
    assert!(kinds.len() >= 25, "what is played shows too little: {kinds:?}");
    check_number("decided", digest);
    // Each with rules that it has read itself.
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| play(&self::rules()))).collect();
        for thread in threads {
            let (again, number) = thread.join().unwrap();
            assert!(again == records, "another thread decided otherwise");
            assert_eq!(number, digest);
        }
    });
}

#[test]
fn a_log_of_old_gives_the_state_that_it_gave() {
    if writes_golden() && !golden().join(format!("{LOG_NAME}.hex")).exists() {
        write_golden_log(&play(&rules()).0);
    }
    let site = Site::new("", &[]);
    golden_data(&site.data());
    let files = LogFiles::open(FolderDisk::open_read_only(&site.data().join("log")).unwrap()).unwrap();
    let digest = StateDigest::of_log(&files).unwrap();
    check_number("log", digest);
    let expected = json!({ "seq": digest.seq, "digest": digest.to_string() });
    assert_eq!(verified(&site, &site.data()), expected);
    // Another build or another processor's: as `QUELL_OTHER_BUILD="$PWD/target/release/quell" tests/run replay::`.
    if let Ok(other) = std::env::var("QUELL_OTHER_BUILD") {
        assert_eq!(verified_by(&other, &site, &site.data()), expected, "{other}");
    }
}

/// A daemon with one thread writes, one with four goes on from its log alone.
#[test]
fn a_daemon_with_more_threads_has_the_same_state() {
    let config = "receivers: [{ name: chat, log: {} }]\n";
    let site = Site::new(config, &[("rules.yaml", "correlate:\n  - { name: clusters, by: [cluster] }\n")]);
    let mut one = site.start_in(&[("TOKIO_WORKER_THREADS", "1".to_owned())]);
    thread::scope(|scope| {
        for sender in 0..4 {
            let one = &one;
            scope.spawn(move || {
                for round in 0..5 {
                    let alert = |n: u32| {
                        let cluster = format!("c{}", (sender + n) % 3);
                        json!({ "labels": { "alertname": "Down", "cluster": cluster, "host": format!("h{sender}-{round}-{n}") } })
                    };
                    one.post_alerts(&json!((0..6).map(alert).collect::<Vec<_>>()));
                }
            });
        }
    });
    let seen = |daemon: &crate::daemon::Daemon| {
        let mut alerts = daemon.list("/v1/alerts?status=all", "alerts");
        // The moment of the last message is the table's own: it begins anew with each start.
        for alert in &mut alerts {
            alert.as_object_mut().unwrap().remove("last_seen");
        }
        alerts.sort_by_key(|alert| alert["fingerprint"].to_string());
        (daemon.incidents(), alerts)
    };
    let before = seen(&one);
    assert_eq!((before.0.len(), before.1.len()), (3, 120));
    one.kill();
    let number = verified(&site, &site.data());
    for left in ["view.db", "view.db-wal", "view.db-shm"] {
        drop(fs::remove_file(site.data().join(left)));
    }
    let mut four = site.start_in(&[("TOKIO_WORKER_THREADS", "4".to_owned())]);
    assert_eq!(seen(&four), before);
    four.signal("TERM");
    assert!(four.wait_for_exit(PATIENCE).success());
    assert_eq!(verified(&site, &site.data()), number, "a start decided something");
}

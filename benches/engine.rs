//! What one new alert costs in the engine: facts decided and applied, no log. Nanoseconds per alert are CPU milliseconds
//! per million times a thousand: 1,000 ns is 1 CPU s per million.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use quell::engine::{Engine, EngineOptions, Input, News, State};
use quell::model::{Alert, AlertStatus, Labels, Time};
use quell::ruleset::{self, Ruleset, SourceFile};

const START: Time = Time(1_767_571_200_000);

/// Alerts of one batch; as many as one measured iteration takes.
const ALERTS: u64 = 2_000;

/// The load generator's alert: eight labels, 500 groups of alertname and cluster.
fn alert(id: u64) -> Arc<Alert> {
    let hash = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let team = ["payments", "checkout", "search", "identity", "platform", "data", "mobile", "edge"][(hash >> 8) as usize % 8];
    let service = format!("{team}-svc-{:03}", (hash >> 16) % 200);
    let labels = Labels::from_pairs([
        ("alertname", format!("HighRequestLatency{:02}", (hash >> 24) % 50).as_str()),
        ("cluster", format!("eu-west-prod-{:02}", (hash >> 32) % 10).as_str()),
        ("namespace", team),
        ("service", &service),
        ("pod", &format!("{service}-7d9f8b6c5d-{id:07}")),
        ("instance", &format!("10.{}.{}.{}:9100", (id >> 16) & 255, (id >> 8) & 255, id & 255)),
        ("job", "kubernetes-pods"),
        ("severity", ["critical", "warning", "info"][(hash >> 40) as usize % 3]),
    ])
    .expect("short labels");
    Arc::new(Alert {
        fingerprint: labels.fingerprint(),
        labels,
        annotations: Labels::from_pairs([("summary", "p99 latency above 500ms for 5m")]).expect("short"),
        generator_url: "http://prometheus:9090/graph".into(),
        source: "prometheus".into(),
        starts_at: START,
    })
}

/// Rules that none of the alerts matches, two equalities each as in the peer's configuration, and one that groups.
fn rules(not_matching: usize) -> Arc<Ruleset> {
    let rule = |n: usize| {
        let (service, severity) = (format!("payments-svc-{:03}", 200 + n), ["critical", "warning", "info"][n % 3]);
        format!("  - name: r{n}\n    match: ['service=\"{service}\"', 'severity=\"{severity}\"']\n    by: [cluster]\n")
    };
    let mut text = String::from("correlate:\n");
    text.extend((0..not_matching).map(rule));
    text.push_str("  - name: groups\n    by: [alertname, cluster]\n    title: \"{{ by.alertname }} in {{ by.cluster }}\"\n");
    let files = [SourceFile { name: "rules.yaml".to_owned(), text }];
    let limits = ruleset::Limits::default();
    Arc::new(ruleset::load(&files, None, limits).expect("good rules").ruleset)
}

fn engine_with(rules: &Arc<Ruleset>, alerts: u64) -> Engine {
    let mut engine = Engine::new(State::new(), rules.clone(), EngineOptions::default());
    let mut facts = Vec::new();
    for id in 0..alerts {
        let news = News { alert: alert(id), status: AlertStatus::Firing, ends_at: None };
        engine.step(START, Input::Alert(news), &mut facts).expect("taken");
        facts.clear();
    }
    engine.take_changes();
    engine
}

/// Times [`ALERTS`] new alerts on top of those that an engine has already.
fn new_ones(b: &mut Bencher<'_>, rules: &Arc<Ruleset>, present: u64) {
    b.iter_batched(
        || (engine_with(rules, present), (present..present + ALERTS).map(alert).collect::<Vec<_>>()),
        |(mut engine, alerts)| {
            let mut facts = Vec::new();
            for alert in alerts {
                let news = News { alert, status: AlertStatus::Firing, ends_at: None };
                black_box(engine.step(START, Input::Alert(news), &mut facts)).expect("taken");
                facts.clear();
            }
            engine
        },
        BatchSize::LargeInput,
    );
}

fn new_alerts(c: &mut Criterion) {
    let mut group = c.benchmark_group("new alerts");
    group.throughput(Throughput::Elements(ALERTS)).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    for count in [0, 10, 100, 1_000, 10_000] {
        let rules = rules(count);
        group.bench_with_input(BenchmarkId::new("rules that do not match", count), &count, |b, _| {
            new_ones(b, &rules, 5_000);
        });
    }
    group.finish();
}

/// One incident that takes them all: the cost of an alert must not grow with those before it.
fn one_incident(c: &mut Criterion) {
    let files = [SourceFile { name: "one.yaml".to_owned(), text: "correlate:\n  - name: all\n    by: []\n".to_owned() }];
    let rules = Arc::new(ruleset::load(&files, None, ruleset::Limits::default()).expect("good rules").ruleset);
    let mut group = c.benchmark_group("one incident");
    group.throughput(Throughput::Elements(ALERTS)).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    for members in [50, 50_000] {
        group.bench_with_input(BenchmarkId::new("alerts in it", members), &members, |b, members| {
            new_ones(b, &rules, *members);
        });
    }
    group.finish();
}

criterion_group!(benches, new_alerts, one_incident);
criterion_main!(benches);

//! The cost of taking alerts in, without HTTP and without the engine: parse, identity, dedup. Bodies have 64 alerts of
//! 8 labels and about 700 bytes each; times are for a body, `elem` is an alert.
//!
//! Budget: a repeat at most 1.6 µs.
#![expect(clippy::unwrap_used, reason = "what fails here is the bench's own mistake")]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use quell::config::Config;
use quell::engine::Input;
use quell::engine::entity::Changes;
use quell::ingest::intake::{Intake, Sorted};
use quell::ingest::prometheus;
use quell::ingest::source::Source;
use quell::metrics::Metrics;
use quell::model::{Alert, AlertRecord, Fingerprint, Labels, Millis, Time};
use quell::runtime::Live;

const ALERTS: usize = 64;
const NOW: Time = Time(1_800_000_000_000);

struct Setup {
    config: Config,
    live: Live,
    source: Source,
}

impl Setup {
    fn new() -> Setup {
        let config = Config::default();
        let live = Live::new(&config);
        let source = Source::new(&config.sources[0], config.resolve_timeout, &live, &Metrics::default()).unwrap();
        Setup { config, live, source }
    }

    fn take(&self, body: &str) -> Sorted {
        let mut intake = Intake::new(&self.live, &self.source, &self.config.limits, NOW);
        prometheus::read(body, &mut intake).unwrap();
        intake.finish()
    }

    /// Commits what is news, as the engine would.
    fn commit(&self, sorted: Sorted) {
        let records = sorted.news.into_iter().map(|input| {
            let Input::Alert(news) = input else { unreachable!("ingest submits alerts only") };
            Arc::new(AlertRecord { status: news.status, ends_at: news.ends_at, ..AlertRecord::firing(news.alert, 1, NOW) })
        });
        self.live.publish(&Changes { alerts: records.collect(), ..Changes::default() }, NOW);
        self.live.learn(sorted.pending.iter().map(|pending| &pending.word));
    }
}

fn body(vary: usize) -> String {
    let (start, end) = (NOW - Millis::minutes(5), NOW + Millis::minutes(4));
    let mut text = String::from("[");
    for i in 0..ALERTS {
        let comma = if i == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"labels":{{"alertname":"HighErrorRate{}","cluster":"prod-eu{}","env":"production","instance":"api-{i:06}.prod.example.net:9100","job":"api-server","namespace":"shop","service":"checkout","severity":"critical"}},"annotations":{{"summary":"Error rate above 5% on api-{i:06}","description":"{}.4% of requests to api-{i:06}.prod.example.net failed during the last five minutes, which is more than the objective allows.","runbook_url":"https://runbooks.example.net/checkout/high-error-rate"}},"startsAt":"{start}","endsAt":"{end}","generatorURL":"http://prometheus.example.net:9090/graph?g0.expr=rate%28errors%5B5m%5D%29+%3E+0.05&g0.tab=1"}}"#,
            i % 50,
            i % 10,
            vary % 90 + 10,
        )
        .unwrap();
    }
    text.push(']');
    text
}

fn ingest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(ALERTS as u64));

    let setup = Setup::new();
    let first = body(0);
    setup.commit(setup.take(&first));
    assert_eq!(setup.take(&first).repeats, ALERTS as u64);
    group.bench_function("repeats", |bencher| bencher.iter(|| setup.take(black_box(&first)).repeats));

    let bodies: Vec<String> = (0..90).map(body).collect();
    let mut turn = 0;
    group.bench_function("repeats with other annotations", |bencher| {
        bencher.iter(|| {
            turn += 1;
            setup.take(black_box(&bodies[turn % bodies.len()])).repeats
        });
    });

    let setup = Setup::new();
    group.bench_function("new", |bencher| {
        bencher.iter_batched(|| (), |()| setup.take(black_box(&first)).news.len(), BatchSize::SmallInput);
    });
    group.finish();

    // What the runtime asks once a second, at its worst: an alert is overdue, so the whole table is swept.
    let setup = Setup::new();
    let records: Vec<_> = (0..500_000u64).map(|i| record(i, &setup.source)).collect();
    setup.live.publish(&Changes { alerts: records, ..Changes::default() }, NOW);
    setup.live.publish(&Changes { alerts: vec![record(500_000, &setup.source)], ..Changes::default() }, NOW - Millis::hours(1));
    assert_eq!(setup.live.expired(NOW).len(), 1);
    criterion.bench_function("ingest/sweep of 500,000 alerts", |bencher| bencher.iter(|| setup.live.expired(NOW).len()));
}

fn record(number: u64, source: &Source) -> Arc<AlertRecord> {
    let alert = Alert {
        fingerprint: Fingerprint(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        labels: Labels::default(),
        annotations: Labels::default(),
        generator_url: "".into(),
        source: source.name.clone(),
        starts_at: NOW,
    };
    Arc::new(AlertRecord::firing(Arc::new(alert), number, NOW))
}

criterion_group!(benches, ingest);
criterion_main!(benches);

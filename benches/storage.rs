//! What durability costs: encoding an alert, committing batches to a real folder, replaying a log.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quell::engine::Fact;
use quell::model::{Alert, Labels, Time};
use quell::storage::disk::FolderDisk;
use quell::storage::log::{Log, LogOptions};
use quell::storage::record::{RECORD_VERSION, decode_facts, encode_facts};

/// Records in one commit.
const BATCH: u64 = 64;
/// Records in the log that is replayed.
const REPLAYED: u64 = 100_000;

/// An alert as Prometheus sends it: ten labels, three annotations, about 700 bytes.
fn alert_fired(n: u64) -> Fact {
    let instance = format!("checkout-api-6f9c7d5b8-{n:08}:9464");
    let labels = Labels::from_pairs([
        ("alertname", "CheckoutHighErrorRate"),
        ("cluster", "prod-eu1"),
        ("env", "prod"),
        ("instance", instance.as_str()),
        ("job", "checkout-api"),
        ("namespace", "shop"),
        ("region", "eu-west-1"),
        ("service", "checkout-api"),
        ("severity", "critical"),
        ("team", "payments"),
    ])
    .expect("short");
    let annotations = Labels::from_pairs([
        ("description", "More than 5% of the requests to the checkout API have failed for ten minutes; customers cannot pay."),
        ("runbook_url", "https://runbooks.example/checkout/high-error-rate"),
        ("summary", "Checkout API error rate is 7.3% (threshold 5%)"),
    ])
    .expect("short");
    let generator_url = "http://prometheus.example:9090/graph?g0.expr=job%3Ahttp_errors%3Arate5m+%3E+0.05&g0.tab=1".into();
    let fingerprint = labels.fingerprint();
    let starts_at = Time(1_767_571_200_000);
    Fact::AlertFired {
        alert: Arc::new(Alert { fingerprint, labels, annotations, generator_url, source: "prometheus".into(), starts_at }),
    }
}

fn encode(c: &mut Criterion) {
    let facts = [alert_fired(1)];
    let mut bytes = Vec::new();
    encode_facts(&facts, &mut bytes);
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |b| {
        let mut out = Vec::with_capacity(4096);
        b.iter(|| {
            out.clear();
            encode_facts(black_box(&facts), &mut out);
            out.len()
        });
    });
    group.bench_function("decode", |b| b.iter(|| decode_facts(RECORD_VERSION, black_box(&bytes))));
    group.finish();
}

fn open(folder: &std::path::Path) -> Log<FolderDisk> {
    let disk = FolderDisk::open(folder).expect("a temporary folder");
    Log::open(disk, LogOptions::default()).expect("a sound log").0
}

fn commit(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut log = open(folder.path());
    let facts = [alert_fired(1)];
    let mut seq = 1;
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("commit of 64 records", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                log.append(seq, Time(1_767_571_200_000), &facts);
                seq += 1;
            }
            log.commit().expect("space on the disk");
        });
    });
    group.finish();
}

fn replay(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut log = open(folder.path());
    for seq in 1..=REPLAYED {
        log.append(seq, Time(1_767_571_200_000), &[alert_fired(seq)]);
        if seq % 1_000 == 0 {
            log.commit().expect("space on the disk");
        }
    }
    let mut group = c.benchmark_group("log");
    group.throughput(Throughput::Elements(REPLAYED)).sample_size(10);
    group.bench_function("replay", |b| b.iter(|| log.read(0).expect("readable").flatten().count()));
    group.finish();
}

criterion_group!(benches, encode, commit, replay);
criterion_main!(benches);

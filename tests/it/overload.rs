//! Far more news than the engine takes: what is refused is refused at once, what is admitted is quick, the worst comes first,
//! and all is well again as soon as it is over.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{PATIENCE, Site, wait_until};
use crate::http::{Connection, Response};

/// One request of ordinary news fits into four fifths of this, two do not.
const CONFIG: &str = "limits:\n  queue_alerts: 200\n";
/// Makes the engine work for each alert, so that few senders on a small machine offer far more than it takes.
const RULES: &str = r#"
correlate:
  - name: each-alone
    by: [id]
    title: "{{ by.id | upper }} {{ labels.severity | title }}"
"#;
const ALERTS_PER_REQUEST: usize = 100;
const FLOODERS: usize = 12;
/// What the flood must have seen before it ends.
const REFUSED_MIN: u64 = 300;
const ADMITTED_MIN: u64 = 10;
const CRITICAL_MIN: u64 = 30;
/// Row 33: a refusal comes at once.
const REFUSAL_MAX: Duration = Duration::from_millis(50);
/// No admitted request waits for longer than the queue is deep; this machine has other work, too.
const ADMITTED_MAX: Duration = Duration::from_secs(5);
/// Each alert known may take this much memory, beside what the process took before and buffers of its connections.
const BYTES_PER_ALERT: f64 = 8_192.0;
const BYTES_OF_BUFFERS: f64 = 64.0 * 1_024.0 * 1_024.0;

#[test]
fn far_too_much_is_refused_at_once_and_the_worst_is_heard_first() {
    let site = Site::new(CONFIG, &[("flood.yaml", RULES)]);
    let daemon = site.start();
    daemon.post_alerts(&json!([{ "labels": { "alertname": "First" } }]));
    let memory_before = daemon.metric("quell_resident_memory_bytes", &[]);
    let flood = Flood::start(daemon.addr);
    wait_until("the flood to have been refused and admitted often enough", PATIENCE * 2, || flood.is_enough());
    let seen = flood.finish();

    let refused = seen.times_of(429);
    let admitted = seen.times_of(200);
    assert_eq!(refused.len() + admitted.len(), seen.answers.len(), "other answers than 200 and 429: {:?}", seen.statuses());
    let (median, slowest) = (refused[refused.len() / 2], admitted[admitted.len() - 1]);
    eprintln!(
        "offered {} times what was admitted; refused in {median:?} (median), {:?} (99%); admitted in {:?} (median), {slowest:?} (slowest)",
        seen.answers.len() / admitted.len(),
        refused[refused.len() * 99 / 100],
        admitted[admitted.len() / 2],
    );
    assert!(seen.answers.len() >= 5 * admitted.len(), "hardly more was offered than admitted: the test shows nothing");
    // On a machine that has much else to do, everything takes long; refusals still do not wait for the queue.
    let at_once = REFUSAL_MAX.max(admitted[admitted.len() / 2] / 2);
    assert!(median < at_once, "refused only after {median:?}, of {at_once:?}");
    assert!(slowest < ADMITTED_MAX, "admitted only after {slowest:?}");
    assert!(seen.answers.iter().all(|answer| answer.status == 200 || answer.retry_after >= Some(1)), "429 without Retry-After");

    // Critical alerts on their own are never refused here, and those in requests that are refused as a whole are taken all the same.
    assert!(seen.critical.iter().all(|status| *status == 200), "critical alerts were refused: {:?}", seen.critical);
    let known: BTreeSet<String> = ids(&daemon.list("/v1/alerts?label=severity:critical", "alerts"));
    assert_eq!(known.len(), seen.critical.len() + seen.mixed.len(), "critical alerts are missing");
    assert!(seen.mixed.contains(&429), "no mixed request was refused: the test shows nothing");

    // Every refused alert was counted, and none is known; all that were admitted are.
    let ordinary_known = daemon.list("/v1/alerts?label=severity:warning", "alerts").len();
    assert_eq!(ordinary_known, (admitted.len() + seen.mixed_admitted()) * ALERTS_PER_REQUEST);
    let refused_alerts = (refused.len() + seen.mixed.len() - seen.mixed_admitted()) * ALERTS_PER_REQUEST;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let (refused_alerts, known) = (refused_alerts as f64, (ordinary_known + known.len()) as f64);
    let counted = daemon.metric("quell_alerts_rejected_total", &["reason=\"overloaded\""]);
    assert!((counted - refused_alerts).abs() < 0.5, "{counted} counted, {refused_alerts} refused");
    let grown = daemon.metric("quell_resident_memory_bytes", &[]) - memory_before;
    assert!(grown < BYTES_OF_BUFFERS + known * BYTES_PER_ALERT, "memory grew by {grown} bytes for {known} alerts");

    // Full speed again: nothing waits, and what was refused is taken.
    wait_until("the queue to be empty", Duration::from_secs(10), || daemon.metric("quell_engine_queue_alerts", &[]) < 0.5);
    for number in 0..20 {
        daemon.post_alerts(&request(&format!("after-{number}"), None));
    }
}

fn ids(alerts: &[Value]) -> BTreeSet<String> {
    alerts.iter().map(|alert| alert["labels"]["id"].as_str().unwrap().to_owned()).collect()
}

/// Connections that post news as fast as they are answered.
struct Flood {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    flooders: Vec<JoinHandle<Vec<Answer>>>,
    critical: JoinHandle<Vec<Answer>>,
    mixed: JoinHandle<Vec<Answer>>,
}

#[derive(Default)]
struct Counts {
    refused: AtomicU64,
    admitted: AtomicU64,
    critical: AtomicU64,
}

struct Answer {
    status: u16,
    time: Duration,
    retry_after: Option<u64>,
}

/// What all connections were answered.
struct Seen {
    answers: Vec<Answer>,
    critical: Vec<u16>,
    mixed: Vec<u16>,
}

impl Flood {
    fn start(addr: SocketAddr) -> Flood {
        let (over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let spawn = |name: String, body: fn(&str) -> Value, count: fn(&Counts, u16)| {
            let (over, counts) = (over.clone(), counts.clone());
            thread::spawn(move || post_until(&over, addr, &name, body, |status| count(&counts, status)))
        };
        let flooders = (0..FLOODERS).map(|number| {
            spawn(
                format!("flood-{number}"),
                |id| request(id, None),
                |counts, status| {
                    let count = if status == 200 { &counts.admitted } else { &counts.refused };
                    count.fetch_add(1, Ordering::Relaxed);
                },
            )
        });
        let flooders = flooders.collect();
        let critical = spawn(
            "critical".to_owned(),
            |id| json!([alert(id, "critical")]),
            |counts, _| {
                counts.critical.fetch_add(1, Ordering::Relaxed);
            },
        );
        let mixed = spawn("mixed".to_owned(), |id| request(id, Some("critical")), |_, _| {});
        Flood { over, counts, flooders, critical, mixed }
    }

    fn is_enough(&self) -> bool {
        let reached = |count: &AtomicU64, min| count.load(Ordering::Relaxed) >= min;
        let Counts { refused, admitted, critical } = &*self.counts;
        reached(refused, REFUSED_MIN) && reached(admitted, ADMITTED_MIN) && reached(critical, CRITICAL_MIN)
    }

    fn finish(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        let statuses = |thread: JoinHandle<Vec<Answer>>| thread.join().unwrap().iter().map(|answer| answer.status).collect();
        let answers = self.flooders.into_iter().flat_map(|flooder| flooder.join().unwrap()).collect();
        Seen { answers, critical: statuses(self.critical), mixed: statuses(self.mixed) }
    }
}

impl Seen {
    /// How long the answers with this status took, shortest first.
    fn times_of(&self, status: u16) -> Vec<Duration> {
        let mut times: Vec<Duration> = self.answers.iter().filter(|it| it.status == status).map(|it| it.time).collect();
        times.sort_unstable();
        times
    }

    fn statuses(&self) -> BTreeSet<u16> {
        self.answers.iter().map(|answer| answer.status).collect()
    }

    fn mixed_admitted(&self) -> usize {
        self.mixed.iter().filter(|status| **status == 200).count()
    }
}

/// Posts one body after the other on one connection; none is sent twice.
fn post_until(over: &AtomicBool, addr: SocketAddr, name: &str, body: impl Fn(&str) -> Value, count: impl Fn(u16)) -> Vec<Answer> {
    let mut connection = Connection::open(addr).unwrap();
    let mut answers = Vec::new();
    // Written once: senders that are busy writing JSON offer less than the daemon can refuse.
    let template = body("@@").to_string();
    while !over.load(Ordering::Relaxed) {
        let body = template.replace("@@", &format!("{name}-{}", answers.len()));
        let began = Instant::now();
        let response = connection
            .send("POST", "/api/v2/alerts", &[("content-type", "application/json")], body.as_bytes())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        answers.push(Answer { status: response.status, time: began.elapsed(), retry_after: retry_after(&response) });
        count(response.status);
    }
    answers
}

fn retry_after(response: &Response) -> Option<u64> {
    response.header("retry-after")?.parse().ok()
}

/// A request of ordinary alerts, with one more of another severity where that is asked for.
fn request(id: &str, one_more: Option<&str>) -> Value {
    let ordinary = (0..ALERTS_PER_REQUEST).map(|number| alert(&format!("{id}-{number}"), "warning"));
    ordinary.chain(one_more.map(|severity| alert(id, severity))).collect::<Vec<_>>().into()
}

fn alert(id: &str, severity: &str) -> Value {
    json!({ "labels": { "alertname": "Flood", "id": id, "severity": severity } })
}

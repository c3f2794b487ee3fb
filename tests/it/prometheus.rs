//! The whole way, with nothing faked but the pager's server: Debian's Prometheus evaluates a real alerting rule on a
//! metric that the test moves, Quell is its Alertmanager, PagerDuty is told once and told once that it is over, and a
//! kill -9 in between changes nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{Collected, Daemon, PATIENCE, Site, sum_of_metric, wait_for, wait_until};
use crate::fakes::http::Request;
use crate::fakes::pagerduty::{PagerDuty, PagerStatus};
use crate::http;

const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

const RULES: &str = r#"
correlate:
  - name: database-cluster
    match: ['service=~".+-db"']
    by: [cluster]
    title: "Database trouble in {{ by.cluster }}"
classify:
  - name: replication
    match: ['alertname=~"Replication.*"']
    category: database
    subcategory: replication
    team: dba
prioritize:
  - name: eu1-carries-the-shop
    match: ['cluster="eu1"']
    impact: 2
    urgency: 1
escalate:
  - name: dba
    match: ['service=~".+-db"']
    steps:
      - notify: [dba-pager]
"#;

#[test]
fn an_alert_of_prometheus_becomes_one_page_and_one_resolve_across_a_kill() {
    let pager = PagerDuty::start();
    let config =
        format!("receivers:\n  - name: dba-pager\n    pagerduty: {{ routing_key: {ROUTING_KEY}, url: \"{}\" }}\n", pager.url());
    let site = Site::new(&config, &[("database.yaml", RULES)]);
    let mut quell = site.start();
    let lag = Lag::serve();
    let prometheus = Prometheus::start(lag.addr, quell.addr);

    // Nothing is wrong, so Prometheus has nothing to say.
    wait_until("Prometheus to scrape the metric", PATIENCE, || prometheus.value_of("replication_lag_seconds").is_some());
    assert!(quell.incidents().is_empty());

    lag.set_seconds(9);
    let opened = wait_for("the incident", PATIENCE, || quell.incidents().into_iter().next());
    check_incident(&opened);
    wait_until("the page", PATIENCE, || events(&pager).len() == 1);
    let page = events(&pager).remove(0);
    assert_eq!(page["event_action"], "trigger");
    assert_eq!(page["routing_key"], ROUTING_KEY);
    assert_eq!(page["payload"]["severity"], "error", "P2 on PagerDuty's scale");
    assert_eq!(page["payload"]["custom_details"]["incident"], "INC-1");
    let key = page["dedup_key"].as_str().unwrap().to_owned();
    assert!(key.ends_with("/INC-1"), "{key}");
    wait_until("the delivery to be on record", PATIENCE, || {
        quell.notifications().iter().any(|n| n["state"] == "delivered" && n["kind"] == "trigger" && n["key"] == key.as_str())
    });
    check_timeline(&quell);

    // Prometheus goes on sending, each time with another end and another value in the annotations: nobody hears of it.
    prometheus.wait_for_sends(2);
    quell.kill();
    let quell = site.start_at(&quell.addr.to_string());
    let after_restart = quell.get("/v1/incidents/INC-1");
    assert_eq!(after_restart["status"], "open");
    assert_eq!(after_restart["opened_at"], opened["opened_at"]);
    prometheus.wait_for_sends(3);
    assert_eq!(quell.incidents().len(), 1);
    assert_eq!(quell.get("/v1/incidents/INC-1")["status"], "open");
    assert_eq!(quell.get("/v1/incidents/INC-1")["alerts"], serde_json::json!({ "total": 1, "firing": 1 }));
    assert!(quell.metric("quell_alerts_repeats_total", &[r#"source="prometheus""#]) >= 3.0);
    assert_eq!(events(&pager).len(), 1, "paged again: {:?}", events(&pager));

    lag.set_seconds(0);
    wait_until("the incident to resolve", PATIENCE, || quell.get("/v1/incidents/INC-1")["status"] == "resolved");
    wait_until("PagerDuty to hear of it", PATIENCE, || events(&pager).len() == 2);
    let resolve = events(&pager).remove(1);
    assert_eq!(resolve["event_action"], "resolve");
    assert_eq!(resolve["dedup_key"], key.as_str());
    let alerts = pager.alerts();
    assert!(alerts.len() == 1 && alerts[0].status == PagerStatus::Resolved && alerts[0].triggers == 1, "{alerts:?}");
    // Prometheus says "resolved" again and again for 15 minutes.
    prometheus.wait_for_sends(2);
    assert_eq!(events(&pager).len(), 2, "{:?}", events(&pager));
    assert_eq!(quell.incidents().len(), 1);
    assert!(kinds(&quell).contains(&"incident_resolved".to_owned()));
}

/// Everything that PagerDuty was sent, in order.
fn events(pager: &PagerDuty) -> Vec<Value> {
    pager.requests().iter().map(Request::json).collect()
}

fn check_incident(incident: &Value) {
    let expected = [
        ("id", "INC-1".into()),
        ("status", "open".into()),
        ("title", "Database trouble in eu1".into()),
        ("priority", 2.into()),
        ("impact", 2.into()),
        ("urgency", 1.into()),
        ("severity", "critical".into()),
        ("category", "database".into()),
        ("subcategory", "replication".into()),
        ("team", "dba".into()),
        ("rule", "database-cluster".into()),
        ("services", serde_json::json!(["cart-db"])),
        ("key", serde_json::json!({ "cluster": "eu1" })),
        ("acknowledged_at", Value::Null),
        ("resolved_at", Value::Null),
    ];
    for (field, value) in expected {
        assert_eq!(incident[field], value, "{field} of {incident}");
    }
}

/// The timeline names what happened and which rule, in which file and line, decided.
fn check_timeline(quell: &Daemon) {
    let entries = quell.get("/v1/incidents/INC-1/timeline")["entries"].as_array().unwrap().clone();
    let entry = |kind: &str| {
        entries.iter().find(|entry| entry["kind"] == kind).unwrap_or_else(|| panic!("no {kind} in the timeline: {entries:#?}"))
    };
    for (kind, rule, stage) in
        [("incident_opened", "database-cluster", "correlate:"), ("incident_classified", "replication", "classify:")]
    {
        // In each section of RULES the first rule's name stands on the line below the section's.
        let line = RULES.lines().position(|line| line == stage).unwrap() + 2;
        let reason = entry(kind)["reason"].to_string();
        for part in [format!("\"{rule}\""), "database.yaml\"".to_owned(), format!("\"line\":{line}")] {
            assert!(reason.contains(&part), "{kind} without {part}: {reason}");
        }
    }
    entry("alert_joined");
    entry("incident_prioritized");
    entry("notification_queued");
    let times: Vec<&str> = entries.iter().map(|entry| entry["at"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

fn kinds(quell: &Daemon) -> Vec<String> {
    let timeline = quell.get("/v1/incidents/INC-1/timeline");
    timeline["entries"].as_array().unwrap().iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
}

/// A scrape target with one gauge, `replication_lag_seconds`, that the test moves. Its thread ends with the test process.
struct Lag {
    addr: SocketAddr,
    seconds: Arc<AtomicU64>,
}

impl Lag {
    fn serve() -> Lag {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let lag = Lag { addr: listener.local_addr().unwrap(), seconds: Arc::default() };
        let seconds = lag.seconds.clone();
        thread::spawn(move || {
            let mut scrapes = 0_u64;
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                scrapes += 1;
                // A firing value differs at each scrape, so that the alert's annotations do.
                let value = seconds.load(Ordering::SeqCst);
                let value = if value == 0 { 0 } else { value * 1_000 + scrapes };
                // Prometheus gives up on a scrape when it likes; the next one comes soon.
                drop(answer(stream, &format!("# TYPE replication_lag_seconds gauge\nreplication_lag_seconds {value}\n")));
            }
        });
        lag
    }

    fn set_seconds(&self, seconds: u64) {
        self.seconds.store(seconds, Ordering::SeqCst);
    }
}

fn answer(stream: std::net::TcpStream, body: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        line.clear();
    }
    write!(
        stream.get_mut(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Debian's Prometheus as a child process.
struct Prometheus {
    child: Child,
    addr: SocketAddr,
    stderr: Collected,
    _folder: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr, alertmanager: SocketAddr) -> Prometheus {
        let folder = TempDir::new().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms, evaluation_interval: 250ms }}\n\
             rule_files: [rules.yml]\n\
             alerting:\n  alertmanagers:\n    - static_configs: [{{ targets: [\"{alertmanager}\"] }}]\n\
             scrape_configs:\n  - job_name: databases\n    static_configs:\n      \
             - {{ targets: [\"{target}\"], labels: {{ cluster: eu1, service: cart-db }} }}\n"
        );
        let rules = "groups:\n  - name: databases\n    rules:\n      - alert: ReplicationLag\n        \
             expr: replication_lag_seconds > 500\n        labels: { severity: critical }\n        \
             annotations: { summary: \"{{ $labels.instance }} is {{ $value }} ms behind\" }\n";
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        fs::write(folder.path().join("rules.yml"), rules).unwrap();
        let mut child = Command::new("prometheus")
            .current_dir(folder.path())
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--web.listen-address=127.0.0.1:0"])
            // Alerts end four of these after each send: 8 s, which even a busy machine keeps up with.
            .arg("--rules.alert.resend-delay=2s")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("prometheus cannot be run ({e}); `tests/run` installs it, or: apt-get install prometheus")
            });
        let stderr = Collected::from(child.stderr.take().unwrap());
        let addr = wait_for("Prometheus' address", PATIENCE, || {
            let log = stderr.text();
            let (_, rest) = log.split_once("msg=\"Listening on\" address=")?;
            rest.split_once('\n')?.0.trim().parse().ok()
        });
        let prometheus = Prometheus { child, addr, stderr, _folder: folder };
        wait_until("Prometheus to be ready", PATIENCE, || {
            http::request(prometheus.addr, "GET", "/-/ready", &[], b"").is_ok_and(|r| r.status == 200)
        });
        prometheus
    }

    /// The value of an instant query with one series as its result.
    fn value_of(&self, query: &str) -> Option<f64> {
        let answer = http::request(self.addr, "GET", &format!("/api/v1/query?query={query}"), &[], b"").ok()?.json();
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// Waits until Prometheus has sent its alerts so many times more, by its own count.
    fn wait_for_sends(&self, more: u64) {
        let taken = || {
            let text = http::request(self.addr, "GET", "/metrics", &[], b"").map(|r| r.text()).unwrap_or_default();
            let sent = sum_of_metric(&text, "prometheus_notifications_sent_total", &[]);
            let failed = sum_of_metric(&text, "prometheus_notifications_errors_total", &[]);
            sent - failed
        };
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let goal = taken() + more as f64;
        wait_until("Prometheus to send again", PATIENCE, || taken() >= goal);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already; either way it must not outlive the test.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- Prometheus' stderr ---\n{}---", self.stderr.text());
        }
    }
}

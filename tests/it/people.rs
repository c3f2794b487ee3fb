//! What people report, and heartbeats, from the command line to what people read, with kills between.

use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, PATIENCE, Site, wait_for, wait_until};

const CONFIG: &str = "receivers: [{ name: default, log: {} }]\n";

const RULES: &str = "
correlate:
  - { name: by-service, match: ['service!=\"\"'], by: [service] }
heartbeats:
  - { name: sync, every: 1s, grace: 1s, labels: { service: orders, severity: critical } }
  - { name: nightly, every: 24h }
";

fn text(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn timeline(daemon: &Daemon, id: &str) -> String {
    let entries = daemon.list(&format!("/v1/incidents/{id}/timeline"), "entries");
    entries.iter().filter_map(|entry| entry["text"].as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_report_joins_what_is_open_on_its_service_and_is_kept() {
    let site = Site::new(CONFIG, &[("shop.yaml", RULES)]);
    let mut daemon = site.start();
    daemon.post_alerts(&json!([{ "labels": { "alertname": "HighLatency", "service": "checkout" } }]));
    let url = format!("http://{}", daemon.addr);
    let said = text(&site.run(&[
        "incident",
        "report",
        "Nobody can pay",
        "--service",
        "checkout",
        "--severity",
        "critical",
        "--description",
        "since noon",
        "--key",
        "call-1",
        "--by",
        "ann",
        "--url",
        &url,
    ]));
    assert!(said.starts_with("INC-1 joined: P"), "{said}");
    // What was answered is on disk.
    daemon.kill();
    let mut daemon = site.start();
    let incident = daemon.get("/v1/incidents/INC-1");
    assert_eq!((&incident["severity"], &incident["alerts"]["firing"]), (&json!("critical"), &json!(2)), "{incident}");
    let body = json!({ "title": "Nobody can pay", "service": "checkout", "severity": "critical", "description": "since noon", "by": "ann" });
    let again = |body: &Value| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "call-1")];
        daemon.request("POST", "/v1/incidents", &headers, body.to_string().as_bytes())
    };
    let known = again(&body);
    assert_eq!(
        (known.status, &known.json()["outcome"], &known.json()["incident"]["id"]),
        (200, &json!("known"), &json!("INC-1"))
    );
    let other = json!({ "title": "Another matter", "by": "ann" });
    assert_eq!(again(&other).status, 409, "{}", again(&other).text());
    let told = timeline(&daemon, "INC-1");
    for line in [
        "ann reports Nobody can pay on service checkout: since noon",
        "report Nobody can pay on service checkout joined, because the incident was open on its service",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let fingerprint = known.json()["alert"]["fingerprint"].as_str().unwrap().to_owned();
    let url = format!("http://{}", daemon.addr);
    let why = text(&site.run(&["explain", &fingerprint, "--url", &url]));
    assert!(why.contains("reported by ann as") && why.contains("a report joins the most urgent open incident"), "{why}");

    // The machine's alert ends, and the person's word stands until somebody resolves the incident.
    text(&site.run(&["send", "alertname=HighLatency", "service=checkout", "--resolve", "--url", &url]));
    wait_until("the end of the alert", PATIENCE, || daemon.get("/v1/incidents/INC-1")["alerts"]["firing"] == 1);
    assert_eq!(daemon.get("/v1/incidents/INC-1")["status"], "open");
    text(&site.run(&["incident", "resolve", "INC-1", "--by", "ann", "--url", &url]));
    daemon.kill();
    let daemon = site.start();
    let incident = daemon.get("/v1/incidents/INC-1");
    assert_eq!((&incident["status"], &incident["alerts"]["firing"]), (&json!("resolved"), &json!(0)), "{incident}");
    assert_eq!(daemon.list("/v1/alerts", "alerts"), Vec::<Value>::new());

    let opened = daemon.post("/v1/incidents", &json!({ "title": "The printer is on fire" }));
    assert_eq!((opened.status, &opened.json()["outcome"]), (201, &json!("opened")), "{}", opened.text());
    assert_eq!(opened.json()["incident"]["title"], "The printer is on fire");
    assert_eq!(daemon.post("/v1/incidents", &json!({ "service": "checkout" })).status, 422);
    assert!((daemon.metric("quell_reports_total", &[]) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_heartbeat_that_is_missed_raises_an_alert_and_the_next_beat_ends_it() {
    let site = Site::new(CONFIG, &[("jobs.yaml", RULES)]);
    let mut daemon = site.start();
    let wrong = daemon.post("/v1/heartbeats/snyc", &json!({}));
    assert!(wrong.status == 404 && wrong.text().contains("did you mean \\\"sync\\\"?"), "{}", wrong.text());
    let beat = daemon.request("POST", "/v1/heartbeats/nightly", &[("content-type", "text/plain")], b"3 GB done");
    assert_eq!((beat.status, &beat.json()["state"]), (200, &json!("beating")), "{}", beat.text());
    let heard = beat.json()["last_at"].clone();
    let url = format!("http://{}", daemon.addr);
    text(&site.run(&["heartbeat", "send", "sync", "--url", &url]));
    daemon.kill();
    let daemon = site.start();
    // A start forgets no beat: neither when it came, nor that the next one is due.
    assert_eq!(daemon.get("/v1/heartbeats/nightly")["last_at"], heard);
    let missed = wait_for("the miss", PATIENCE, || {
        let sync = daemon.get("/v1/heartbeats/sync");
        (sync["state"] == "missed").then_some(sync)
    });
    let id = missed["incidents"][0].as_str().unwrap().to_owned();
    let incident = daemon.get(&format!("/v1/incidents/{id}"));
    assert_eq!(
        (&incident["status"], &incident["severity"], &incident["services"]),
        (&json!("open"), &json!("critical"), &json!(["orders"]))
    );
    let alerts = daemon.list("/v1/alerts", "alerts");
    assert_eq!((&alerts[0]["source"], &alerts[0]["labels"]["heartbeat"]), (&json!("heartbeat"), &json!("sync")), "{alerts:?}");
    assert!(timeline(&daemon, &id).contains("nothing was heard of sync since"), "{}", timeline(&daemon, &id));
    wait_until("the message", PATIENCE, || daemon.stdout().contains("by-service: orders"));
    let url = format!("http://{}", daemon.addr);
    let list = text(&site.run(&["heartbeat", "list", "--url", &url]));
    assert!(list.contains("missed") && list.contains(&id), "{list}");

    text(&site.run(&["heartbeat", "send", "sync", "--url", &url]));
    assert_eq!(daemon.get(&format!("/v1/incidents/{id}"))["status"], "resolved");
    // It is missed again, and then no rule names it any more.
    wait_until("the second miss", PATIENCE, || daemon.get("/v1/heartbeats/sync")["state"] == "missed");
    assert!(daemon.metric("quell_heartbeats_missed_total", &[]) >= 2.0);
    // The same log under the same rules gives the same incidents.
    let data = site.data();
    let played = text(&site.run(&["backtest", "--rules", "rules", "--since", "1h", "--data", data.to_str().unwrap(), "--json"]));
    let played: Value = serde_json::from_str(&played).unwrap();
    assert_eq!((&played["incidents"]["baseline"], &played["incidents"]["new"]), (&json!(1), &json!(1)), "{played}");
    site.write_rules("jobs.yaml", "correlate: [{ name: by-service, by: [service] }]\n");
    assert!(daemon.post("/-/reload", &json!({})).is_success());
    assert_eq!(daemon.request("GET", "/v1/heartbeats/sync", &[], b"").status, 404);
    assert_eq!(daemon.list("/v1/alerts", "alerts"), Vec::<Value>::new());
    wait_until("the gauges", Duration::from_secs(20), || daemon.metric("quell_heartbeats", &[]) == 0.0);
}

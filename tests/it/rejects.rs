//! Messages that cannot be mapped, from a POST to a page, with kill -9 wherever it could hurt; test messages; a source that
//! falls silent.

use std::fs;

use serde_json::{Value, json};

use crate::daemon::{Daemon, PATIENCE, Site, wait_for, wait_until};
use crate::fakes::pagerduty::PagerDuty;

const RULES: &str = "
escalate:
  - name: page
    match: ['alertname!~\"Quell.*\"']
    steps: [{ notify: [pager] }]
";

const TOKEN: &str = "canary-of-the-jobs";

/// A site whose jobs call their host by this name, as far as it knows.
fn config(pager: &PagerDuty, host: &str) -> String {
    format!(
        "
sources:
  - name: jobs
    format: generic
    token: {TOKEN}
    map: {{ each: body.jobs, labels: {{ alertname: '{{{{ item.job }}}}', host: '{{{{ item.{host} }}}}' }} }}
  - {{ name: kuma, format: uptime-kuma }}
tokens: [{{ name: ops, token: let-me-in }}]
receivers:
  - name: pager
    pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: \"{}\" }}
",
        pager.url()
    )
}

/// Runs `quell source …` against the daemon. Gives the exit code and what it printed.
fn source(site: &Site, daemon: &Daemon, args: &[&str]) -> (Option<i32>, String) {
    let url = format!("http://{}", daemon.addr);
    let args: Vec<&str> = ["source"].iter().chain(args).copied().chain(["--url", &url, "--token", "let-me-in"]).collect();
    let output = site.run(&args);
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

fn rejects(site: &Site, daemon: &Daemon) -> Vec<Value> {
    let (code, out) = source(site, daemon, &["rejects", "--json"]);
    assert_eq!(code, Some(0), "{out}");
    serde_json::from_str::<Value>(&out).unwrap()["rejects"].as_array().unwrap().clone()
}

#[test]
fn a_message_that_could_not_be_mapped_pages_once_when_it_can_be() {
    let pager = PagerDuty::start();
    let site = Site::new(&config(&pager, "hostname"), &[("page.yaml", RULES)]);
    let mut daemon = site.start();
    let body = json!({ "jobs": [{ "job": "BackupFailed", "host": "db-1", "key": TOKEN }] });
    let path = format!("/v1/ingest/jobs/{TOKEN}");
    let answer = daemon.post(&path, &body);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["kept"].as_str().unwrap().to_owned();

    // Acknowledged is kept, whatever comes.
    daemon.kill();
    let mut daemon = site.start();
    let kept = rejects(&site, &daemon);
    assert_eq!(kept.len(), 1);
    assert_eq!((&kept[0]["id"], &kept[0]["error"]), (&json!(id), &json!("map.labels.host: undefined value")));
    let (code, out) = source(&site, &daemon, &["show", &id, "--body"]);
    assert_eq!((code, out.as_str()), (Some(0), r#"{"jobs":[{"host":"db-1","job":"BackupFailed","key":"[masked]"}]}"#));
    let (code, out) = source(&site, &daemon, &["replay", &id]);
    assert_eq!((code, out), (Some(1), format!("{id}  stays: map.labels.host: undefined value\n")));
    let denied = daemon.request("GET", &format!("/v1/rejects/{id}"), &[], b"");
    assert_eq!(denied.status, 401, "{}", denied.text());

    // The mapping is mended, which takes a start; then it is tried again, and the process ends before it has let go of it.
    daemon.kill();
    fs::write(site.config(), config(&pager, "host")).unwrap();
    let file = site.data().join("rejects").join(format!("{id}.reject"));
    let as_kept = fs::read(&file).unwrap();
    assert!(!String::from_utf8_lossy(&as_kept).contains(TOKEN));
    let mut daemon = site.start();
    for expected in ["taken, 1 new, 0 repeats", "taken, 0 new, 1 repeats"] {
        let (code, out) = source(&site, &daemon, &["replay", "--source", "jobs"]);
        assert_eq!((code, out), (Some(0), format!("{id}  {expected}\n")));
        assert!(!file.exists() && rejects(&site, &daemon).is_empty());
        daemon.kill();
        fs::write(&file, &as_kept).unwrap();
        daemon = site.start();
    }
    assert_eq!(daemon.incidents().len(), 1);
    wait_until("the page", PATIENCE, || daemon.notifications().iter().all(|it| it["state"] == "delivered"));
    let triggers: Vec<Value> = pager.requests().iter().map(crate::fakes::http::Request::json).collect();
    let keys: std::collections::BTreeSet<&str> = triggers.iter().map(|it| it["dedup_key"].as_str().unwrap()).collect();
    assert_eq!((keys.len(), daemon.notifications().len()), (1, 1), "{triggers:?}");
    let (code, out) = source(&site, &daemon, &["drop", &id]);
    assert_eq!((code, out), (Some(0), format!("{id}  dropped\n")));
    assert_eq!(source(&site, &daemon, &["drop", &id]).0, Some(1));
    assert!(!file.exists());
}

#[test]
fn a_test_message_is_shown_and_wakes_nobody() {
    let pager = PagerDuty::start();
    let site = Site::new(&config(&pager, "host"), &[("page.yaml", RULES)]);
    let mut daemon = site.start();
    let test = json!({ "heartbeat": null, "monitor": null, "msg": "My Uptime Kuma Testing" });
    assert_eq!(daemon.post("/v1/ingest/kuma", &test).status, 202);
    assert_eq!((daemon.incidents().len(), rejects(&site, &daemon).len()), (0, 0));
    daemon.signal("TERM");
    daemon.wait_for_exit(PATIENCE);
    let daemon = site.start();
    let (_, out) = source(&site, &daemon, &["list", "--json"]);
    let sources = serde_json::from_str::<Value>(&out).unwrap();
    let kuma = sources["sources"].as_array().unwrap().iter().find(|it| it["name"] == "kuma").unwrap().clone();
    assert_eq!(kuma["tests"], 1, "{kuma}");
    assert!(kuma["test_at"].is_string() && kuma["heard_at"].is_string(), "{kuma}");
}

#[test]
fn a_source_that_falls_silent_is_an_incident_until_it_speaks() {
    let config = "sources: [{ name: prometheus, silent_after: 1s }]\nreceivers: [{ name: default, log: {} }]\n";
    let site = Site::new(config, &[]);
    let mut daemon = site.start();
    let fires = |daemon: &Daemon| daemon.list("/v1/alerts?status=firing&label=alertname:QuellSourceSilent", "alerts");
    let alert = wait_for("the alert", PATIENCE, || fires(&daemon).pop());
    assert_eq!((&alert["source"], &alert["labels"]["source"]), (&json!("quell"), &json!("prometheus")));
    daemon.kill();
    let daemon = site.start();
    wait_until("a look", PATIENCE, || daemon.metric("quell_source_silent", &["prometheus"]) > 0.0);
    assert_eq!((fires(&daemon).len(), daemon.incidents().len()), (1, 1), "known over the restart, and said once");
    wait_until("its end", PATIENCE, || {
        daemon.post_alerts(&json!([]));
        fires(&daemon).is_empty()
    });
    wait_until("the incident's end", PATIENCE, || daemon.incidents()[0]["status"] == "resolved");
}

//! Why, asked of a running daemon, of its data directory, and of its past.

use serde_json::{Value, json};

use crate::daemon::{Daemon, PATIENCE, Site, wait_until};

const CONFIG: &str = "receivers: [{ name: pager, log: {} }]\n";

const RULES: &str = "\
suppress:
  - name: node-hides-pods
    inhibit: { source: ['alertname=\"NodeDown\"'], target: ['alertname=\"PodDown\"'], equal: [node] }
correlate:
  - { name: web, match: ['team=\"web\"'], by: [host] }
  - { name: disks, match: ['alertname=\"DiskFull\"'], by: [cluster] }
escalate:
  - { name: nights, match: ['env=\"prod\"'], steps: [{ notify: [pager] }] }
  - { name: others, when: incident.priority <= 4, steps: [{ notify: [pager] }] }
";

fn disk(host: &str, cluster: &str) -> Value {
    json!([{ "labels": { "alertname": "DiskFull", "host": host, "cluster": cluster } }])
}

/// What the command prints; it must succeed.
fn explain(site: &Site, args: &[&str]) -> String {
    let output = site.run(&[&["explain"], args].concat());
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{args:?}: {err}");
    out
}

fn has(text: &str, wanted: &[&str]) {
    for line in wanted {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
fn a_daemon_says_why() {
    let site = Site::new(CONFIG, &[("rules.yaml", RULES)]);
    let daemon = site.start();
    let url = format!("http://{}", daemon.addr);
    daemon.post_alerts(&disk("a", "eu1"));
    daemon.post_alerts(&disk("b", "us1"));
    daemon.post_alerts(&json!([{ "labels": { "alertname": "NodeDown", "node": "n1" } }]));
    daemon.post_alerts(&json!([{ "labels": { "alertname": "PodDown", "node": "n1" } }]));

    let page = explain(&site, &["INC-1", "--url", &url]);
    has(
        &page,
        &[
            "incident INC-1 (P4, open): disks: eu1",
            "  web (rules.yaml:5): team=\"web\" does not hold: it has no `team`",
            "  disks (rules.yaml:6): takes it, as {cluster=\"eu1\"}",
            "  not by rule nights (rules.yaml:8): env=\"prod\" holds for none of its firing alerts",
            "  step 1, due ",
            ": told pager",
        ],
    );
    let pair = explain(&site, &["host=\"a\"", "host=\"b\"", "--url", &url]);
    has(&pair, &["  no: one is in INC-1, the other in INC-2", "groups by `cluster`, which is \"eu1\" and \"us1\""]);
    let quiet = explain(&site, &["alertname=\"PodDown\"", "--url", &url]);
    has(
        &quiet,
        &[
            "Who keeps it quiet?\n  inhibition, by alert ",
            "(that is NodeDown on node n1)",
            "a suppressed alert opens and joins none",
        ],
    );

    let message = daemon.notifications().iter().find(|it| it["incident"] == "INC-1").map(|it| it["id"].clone()).unwrap();
    let message = message.as_str().unwrap();
    let sent: Value = serde_json::from_str(&explain(&site, &[message, "--url", &url, "--json"])).unwrap();
    // The command prints what the daemon answers, which differs from moment to moment in nothing else.
    let answered = daemon.get(&format!("/v1/notifications/{message}/explain"));
    for field in ["kind", "id", "title", "notes"] {
        assert_eq!(sent[field], answered[field]);
    }
    assert_eq!(sent["parts"][0], answered["parts"][0]);
    assert_eq!(sent["parts"][0]["lines"][0]["reason"], json!({ "rule": "others", "file": "rules.yaml", "line": 9 }));

    changed_rules_are_named(&site, &daemon, &url);
}

fn changed_rules_are_named(site: &Site, daemon: &Daemon, url: &str) {
    site.write_rules("rules.yaml", "correlate:\n  - { name: all, by: [alertname] }\n");
    assert!(daemon.post("/-/reload", &json!({})).is_success());
    let page = explain(site, &["INC-1", "--url", url]);
    has(
        &page,
        &[
            "note: the rules have changed since, at ",
            "note: disks is not among the rules any more",
            "all (rules.yaml:2): takes it",
        ],
    );
}

#[test]
fn a_data_directory_says_what_was() {
    let site = Site::new(CONFIG, &[("rules.yaml", RULES)]);
    let mut daemon = site.start();
    daemon.post_alerts(&disk("a", "eu1"));
    let before = daemon.incidents()[0]["opened_at"].as_str().unwrap().to_owned();
    wait_until("the clock to go on", PATIENCE, || {
        daemon.get("/v1/status")["now"].as_str().is_some_and(|now| now > before.as_str())
    });
    daemon.post_alerts(&disk("c", "eu1"));
    for args in [&["INC-1", "--at", &before, "--data", "data"][..], &["INC-1", "--at", &before]] {
        let then = explain(&site, args);
        has(&then, &["DiskFull on host a, firing"]);
        assert!(!then.contains("host c"), "{then}");
    }
    // Over HTTP the daemon says the same of a moment as the command does of its data directory.
    let fingerprint = daemon.get("/v1/alerts?label=host:a")["alerts"][0]["fingerprint"].as_str().unwrap().to_owned();
    for (path, subject) in [("incidents", "INC-1"), ("alerts", &fingerprint)] {
        let then: Value = serde_json::from_str(&explain(&site, &[subject, "--at", &before, "--data", "data", "--json"])).unwrap();
        assert_eq!(daemon.get(&format!("/v1/{path}/{subject}/explain?at={before}")), then);
    }
    let refused = daemon.request("GET", "/v1/incidents/INC-1/explain?at=2001-01-01T00:00:00Z", &[], b"");
    assert_eq!((refused.status, refused.json()["error"]["message"].as_str()), (404, Some("the log is empty")));
    for firing in [true, false] {
        let ends_at = if firing { json!(null) } else { json!("2026-01-01T00:00:00Z") };
        for name in ["NodeDown", "PodDown"] {
            daemon.post_alerts(&json!([{ "labels": { "alertname": name, "node": "n1" }, "startsAt": "2025-12-31T00:00:00Z", "endsAt": ends_at }]));
        }
    }
    daemon.signal("TERM");
    daemon.wait_for_exit(PATIENCE);
    let now = explain(&site, &["INC-1", "--data", "data"]);
    has(&now, &["DiskFull on host a", "DiskFull on host c", "disks (rules.yaml:6): takes it"]);
    assert!(!now.contains("note:"), "the daemon was told of the same rules by another path:\n{now}");
    site.write_rules("more.yaml", "enrich: [{ name: e, set: { a: b } }]\n");
    has(
        &explain(&site, &["INC-1", "--data", "data"]),
        &["note: the rules that were in force then are not quite those that are asked here"],
    );
    // Nobody ever heard of this one, and it is over; what was decided on it is in the log all the same.
    let quiet = explain(&site, &["alertname=\"PodDown\"", "--data", "data"]);
    has(
        &quiet,
        &[
            "What happened to it?",
            ": fires, says prometheus",
            ": is suppressed: inhibition, by alert ",
            ": is no longer suppressed: inhibition, by alert ",
            ": resolves, says its sender",
        ],
    );
    has(&explain(&site, &["host=\"a\"", "host=\"c\"", "--data", "data"]), &["yes, in INC-1"]);

    for (args, code, said) in [
        (&["INC-9", "--data", "data"][..], 1, "`INC-9` was not known"),
        (&["INC-1", "--at", "2001-01-01T00:00:00Z"], 1, "the log is empty"),
        (&["INC-1", "--data", "nowhere"], 2, "there is no log to read"),
        (&["INC-1", "host=\"a\"", "--data", "data"], 2, "both must be alerts"),
        (&["what", "--data", "data"], 2, "is no alert, incident or notification"),
    ] {
        let output = site.run(&[&["explain"], args].concat());
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
}

//! The commands and calls as people and other programs use them: amtool sends, promtool judges the metrics, the counts add up, a closed
//! incident reads as closed.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use quell::model::Time;
use serde_json::{Value, json};

use crate::daemon::{Daemon, PATIENCE, Site, wait_for};

const RULES: &str = "
correlate:
  - name: by-host
    match: ['host!=\"\"']
    by: [host]
    title: \"Trouble on {{ by.host }}\"
";

/// A site that takes alerts from Prometheus and, by a mapping, from a batch system.
const CONFIG: &str = "
sources:
  - name: batch
    format: generic
    map: { each: body.jobs, labels: { alertname: '{{ item.job }}', host: '{{ item.host }}' } }
receivers:
  - { name: default, log: {} }
limits: { labels_per_alert: 4 }
";

#[test]
fn amtool_sends_an_alert() {
    let site = Site::new(CONFIG, &[("hosts.yaml", RULES)]);
    let daemon = site.start();
    let url = format!("--alertmanager.url=http://{}", daemon.addr);
    for _ in 0..2 {
        let args = [&url, "alert", "add", "alertname=DiskFull", "host=db-1", "--annotation=summary=3 % left"];
        let output = Command::new("amtool").args(args).output().unwrap_or_else(|e| {
            panic!("amtool cannot be run ({e}); `tests/run` installs it, or: apt-get install prometheus-alertmanager")
        });
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let incidents = daemon.incidents();
    assert_eq!(incidents.len(), 1);
    assert_eq!((&incidents[0]["title"], &incidents[0]["status"]), (&json!("Trouble on db-1"), &json!("open")));
    let alert = &daemon.get("/v1/alerts")["alerts"][0];
    assert_eq!(alert["annotations"], json!({ "summary": "3 % left" }));
    assert_eq!(alert["repeats"], 1);
}

#[test]
fn rules_are_held_against_what_a_daemon_has_recorded() {
    let site = Site::new(CONFIG, &[("hosts.yaml", RULES)]);
    let daemon = site.start();
    daemon.post_alerts(&json!([{ "labels": { "alertname": "DiskFull", "host": "db-1" } }]));
    site.write_rules("new.yaml", "correlate:\n  - name: by-rack\n    match: ['alertname=\"DiskFull\"']\n    by: [rakc]\n");
    let check = || {
        let output = site.run(&["check", "rules/new.yaml", "--strict", "--data", "data"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // The view follows the log within a second or so.
    let err = wait_for("the alert in the view", PATIENCE, || Some(check().1).filter(|err| !err.contains("no recorded alerts")));
    assert!(err.contains("warning[Q0107]: the rule `by-rack` goes by `rakc` (`by`), which the one recorded alert"), "{err}");
    assert_eq!(check().0, Some(1));
    site.write_rules("new.yaml", "correlate:\n  - name: by-host\n    match: ['alertname=\"DiskFull\"']\n    by: [host]\n");
    assert_eq!(check(), (Some(0), String::new()));

    let lines = site.path().join("alerts.ndjson");
    std::fs::write(&lines, "{\"labels\":{\"alertname\":\"DiskFull\",\"rack\":\"7\"}}\n").unwrap();
    let output = site.run(&["check", "rules/new.yaml", "--alerts", "alerts.ndjson"]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && err.contains("Q0107"), "{err}");
    let output = site.run(&["check", "rules/new.yaml", "--data", "nowhere"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Made when it is sent, because it may say what time it is.
type Body<'a> = &'a dyn Fn() -> Value;

#[test]
fn alerts_that_come_in_add_up_and_promtool_likes_the_metrics() {
    let site = Site::new(CONFIG, &[("hosts.yaml", RULES)]);
    let daemon = site.start();
    let disk = |host: &str| json!({ "labels": { "alertname": "DiskFull", "host": host } });
    let over = |host: &str| {
        let now = Time(i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap());
        json!({ "labels": { "alertname": "DiskFull", "host": host }, "endsAt": now.to_rfc3339() })
    };
    let wide = json!({ "labels": { "a": "1", "b": "2", "c": "3", "d": "4", "e": "5" } });
    // Each with what becomes of its alerts: repeats, new, rejected.
    let requests: [(&str, Body<'_>, [u32; 3]); 9] = [
        ("/api/v2/alerts", &|| json!([disk("a"), disk("b"), disk("a")]), [1, 2, 0]),
        ("/api/v2/alerts", &|| json!([disk("a"), disk("b")]), [2, 0, 0]),
        ("/api/v2/alerts", &|| json!([disk("c"), { "labels": {} }, wide]), [0, 1, 2]),
        ("/api/v2/alerts", &|| json!([over("a"), over("unheard-of")]), [1, 1, 0]),
        ("/api/v2/alerts", &|| json!([over("a"), disk("a")]), [1, 1, 0]),
        ("/api/v2/alerts", &|| json!([]), [0, 0, 0]),
        (
            "/v1/ingest/batch",
            &|| json!({ "jobs": [{ "job": "Backup", "host": "a" }, { "job": "Backup", "host": "a" }] }),
            [1, 1, 0],
        ),
        ("/v1/ingest/batch", &|| json!({ "jobs": [{ "job": "Backup" }, { "host": "a" }, 7] }), [0, 0, 3]),
        ("/v1/ingest/batch", &|| json!({ "jobs": "none" }), [0, 0, 1]),
    ];
    let names = ["repeats", "new", "rejected", "received"];
    // As text, which is how they are exposed; a sum of nothing is minus zero.
    let counts = |daemon: &Daemon| names.map(|name| daemon.metric(&format!("quell_alerts_{name}_total"), &[]).abs().to_string());
    let mut sum = [0; 3];
    for (path, body, expected) in requests {
        let body = body();
        daemon.post(path, &body);
        for (sum, more) in sum.iter_mut().zip(expected) {
            *sum += more;
        }
        let [repeats, new, rejected] = sum;
        let expected = [repeats, new, rejected, repeats + new + rejected].map(|count| count.to_string());
        assert_eq!(counts(&daemon), expected, "after {path} {body}: {names:?}");
    }

    let metrics = daemon.request("GET", "/metrics", &[], b"");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("promtool cannot be run ({e}); `tests/run` installs it, or: apt-get install prometheus"));
    promtool.stdin.take().unwrap().write_all(&metrics.body).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    assert!(judged.status.success() && judged.stderr.is_empty(), "{}", String::from_utf8_lossy(&judged.stderr));
}

#[test]
fn an_incident_from_first_to_last_by_the_commands() {
    let site = Site::new(CONFIG, &[("hosts.yaml", RULES)]);
    let daemon = site.start();
    let url = format!("http://{}", daemon.addr);
    let quell = |args: &[&str], code: i32| -> String {
        let output = site.run(&[args, &["--url", &url]].concat());
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
        if code == 0 { out } else { err }
    };
    quell(&["send", "alertname=DiskFull", "host=db-1", "severity=critical"], 0);
    assert!(quell(&["incident", "list"], 0).contains("Trouble on db-1"));
    let steps: [(&[&str], i32, &str); 10] = [
        (&["close", "INC-1"], 1, "error: INC-1 is open; resolve it first (409)\n"),
        (&["ack", "INC-1", "--by", "ann"], 0, "INC-1 is acknowledged: Trouble on db-1\n"),
        (&["assign", "INC-1", "eve", "--by", "ann"], 0, "INC-1 is acknowledged: Trouble on db-1\n"),
        (&["comment", "INC-1", "on it", "--by", "eve"], 0, "INC-1 is acknowledged: Trouble on db-1\n"),
        (&["major", "INC-1", "--reason", "the press", "--by", "ann"], 0, "INC-1 is acknowledged: Trouble on db-1\n"),
        (&["resolve", "INC-1"], 0, "INC-1 is resolved: Trouble on db-1\n"),
        (&["major", "INC-1", "--reason", "late", "--undo"], 1, "error: INC-1 is resolved (409)\n"),
        (&["close", "INC-1"], 0, "INC-1 is closed: Trouble on db-1\n"),
        (&["close", "INC-1"], 1, "error: INC-1 is closed (409)\n"),
        (&["ack", "INC-2"], 1, "error: there is no incident INC-2 (404)\n"),
    ];
    for (step, code, said) in steps {
        assert_eq!(quell(&[&["incident"], step].concat(), code), said, "{step:?}");
    }
    let shown: Value = serde_json::from_str(&quell(&["incident", "show", "INC-1", "--json"], 0)).unwrap();
    let incident = &shown["incident"];
    assert_eq!([&incident["status"], &incident["assignee"], &incident["type"]], ["closed", "eve", "major"]);
    let entries = shown["timeline"].as_array().unwrap();
    let texts: Vec<&str> = entries.iter().map(|entry| entry["text"].as_str().unwrap()).collect();
    for said in [
        "opened (rule by-host, hosts.yaml:3): Trouble on db-1",
        "acknowledged by ann",
        "assigned to eve by ann",
        "eve: on it",
        "declared a major incident by ann: the press",
    ] {
        assert!(texts.contains(&said), "{said} is not in {texts:#?}");
    }
    // A rule of a file is named as the file is below its folder; what is built in stands nowhere.
    let reason = |kind: &str| &entries.iter().find(|entry| entry["kind"] == kind).unwrap()["reason"];
    assert_eq!(*reason("incident_opened"), json!({ "rule": "by-host", "file": "hosts.yaml", "line": 3 }));
    assert_eq!(*reason("incident_classified"), json!({ "rule": "storage", "file": null, "line": null }));
}

#[test]
fn a_recorded_incident_becomes_a_test() {
    let site = Site::new(CONFIG, &[("hosts.yaml", RULES)]);
    let daemon = site.start();
    let url = format!("http://{}", daemon.addr);
    let quell = |args: &[&str], code: i32| -> [String; 2] {
        let output = site.run(args);
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said:?}");
        said
    };
    quell(&["send", "alertname=DiskFull", "host=other", "--url", &url], 0);
    quell(&["send", "alertname=DiskFull", "host=db-1", "severity=critical", "--url", &url], 0);
    quell(&["send", "alertname=Latency", "host=db-1", "--url", &url], 0);
    quell(&["incident", "ack", "INC-2", "--by", "ann", "--url", &url], 0);
    quell(&["send", "alertname=Latency", "host=db-1", "--resolve", "--url", &url], 0);

    // Beside the running daemon, from what is on disk.
    let [text, notes] = quell(&["test", "rules", "--capture", "INC-2", "--strict"], 0);
    assert_eq!(notes, "", "it passes under the rules that decided");
    for part in
        ["# INC-2 as it was recorded. Here it is INC-1.\n", "acknowledge: INC-1", "status: acknowledged, count: 2, firing: 1"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("other"), "what has nothing to do with it is left out:\n{text}");
    site.write_rules("inc-2.test.yaml", &text);
    let [out, _] = quell(&["test", "rules"], 0);
    assert!(out.contains("good: 1 test passed in 1 file"), "{out}");

    // Other rules would have decided otherwise.
    site.write_rules("hosts.yaml", &RULES.replace("by: [host]", "by: [host, alertname]"));
    let [_, notes] = quell(&["test", "rules", "--capture", "INC-2"], 0);
    assert!(notes.contains("would be otherwise: INC-1 count: expected 2, got 1"), "{notes}");
    quell(&["test", "rules"], 1);
    let [out, told] = quell(&["test", "--capture", "INC-9"], 1);
    assert_eq!([out.as_str(), told.as_str()], ["", "error: there is no incident INC-9 in the log\n"]);
    let [_, told] = quell(&["test", "--capture", "INC-1", "--data", "nowhere"], 2);
    assert!(told.starts_with("error: there is no log in nowhere\nhint: "), "{told}");
}

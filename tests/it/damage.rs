//! Damage in the middle of the log: refused, named, and passed over only where the operator says so, with what that costs.

use std::fs;

use serde_json::{Value, json};

use crate::daemon::{Daemon, Site};

const RULES: &str = "correlate:\n  - name: by-cluster\n    by: [cluster]\n";
const SEGMENT: &str = "00000000000000000001.log";

fn post(daemon: &Daemon, cluster: &str, host: &str) {
    let labels = json!({ "alertname": "Down", "cluster": cluster, "host": host });
    daemon.post_alerts(&json!([{ "labels": labels, "startsAt": "2020-01-01T00:00:00Z" }]));
}

/// Which hosts' alerts fire, and in which incidents they are.
fn firing(daemon: &Daemon) -> Vec<(String, Value)> {
    let alerts = daemon.list("/v1/alerts?status=firing", "alerts");
    let mut found: Vec<_> =
        alerts.iter().map(|a| (a["labels"]["host"].as_str().unwrap().to_owned(), a["incidents"].clone())).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// Flips a bit of the record that first names `text`, and deletes the view, which knows what the record said.
fn damage(site: &Site, text: &str) {
    let path = site.data().join("log").join(SEGMENT);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    for file in ["view.db", "view.db-wal", "view.db-shm"] {
        drop(fs::remove_file(site.data().join(file)));
    }
}

#[test]
fn damage_is_passed_over_only_where_the_operator_says_so_and_nobody_is_forgotten() {
    let site = Site::new("", &[("rules.yaml", RULES)]);
    let mut daemon = site.start();
    for (cluster, host) in [("a", "host-a1"), ("b", "host-b1"), ("b", "host-b2"), ("c", "host-c1")] {
        post(&daemon, cluster, host);
    }
    assert_eq!(
        firing(&daemon).iter().map(|(_, ids)| ids.clone()).collect::<Vec<_>>(),
        [json!(["INC-1"]), json!(["INC-2"]), json!(["INC-2"]), json!(["INC-3"])]
    );
    daemon.kill();
    damage(&site, "host-b1");

    let (status, stderr) = site.start_refused();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("{SEGMENT} is damaged at byte")), "{stderr}");
    assert!(stderr.contains(&format!("--skip-damage {SEGMENT}")), "does not say what can be done: {stderr}");

    let mut daemon = site.start_with(&["--skip-damage", SEGMENT]);
    let stderr = daemon.stderr();
    let said = stderr.lines().find(|line| line.contains("skipped damage in the log")).unwrap_or_else(|| panic!("{stderr}"));
    for word in ["ERROR", SEGMENT, "from_byte=", "to_byte=", "first_seq=", "last_seq="] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let lost = daemon.metric("quell_log_lost_facts_total", &[]);
    assert!(lost >= 3.0, "an alert, its incident and its joining are lost, not {lost} facts");

    // The incident that both were in is lost, so neither may count as known: their senders say them again.
    assert_eq!(firing(&daemon), [("host-a1".to_owned(), json!(["INC-1"])), ("host-c1".to_owned(), json!(["INC-3"]))]);
    post(&daemon, "b", "host-b1");
    post(&daemon, "b", "host-b2");
    let newest = daemon.incidents().last().unwrap()["id"].as_str().unwrap().to_owned();
    assert!(newest[4..].parse::<u64>().unwrap() > 3, "{newest} has had another meaning");
    let after = firing(&daemon);
    assert_eq!(after.len(), 4);
    for (host, ids) in &after[1..3] {
        assert!(ids.as_array().unwrap().contains(&json!(newest)), "{host} is in {ids}");
    }
    daemon.kill();

    // The damage stays where it is, and is named, for as long as the segment is kept.
    let checked = site.run(&["log", "verify", "--data", site.data().to_str().unwrap()]);
    let named = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!((checked.status.code(), named.contains("is damaged at byte")), (Some(1), true), "{named}");
    assert_eq!(site.start_refused().0.code(), Some(1), "the permission is not for ever");
    let daemon = site.start_with(&["--skip-damage", SEGMENT]);
    assert_eq!(firing(&daemon), after, "what came behind the damage is kept as ever");
}

//! `quell backtest` beside a running daemon, and what its page says.

use std::time::SystemTime;

use quell::model::Time;
use serde_json::{Value, json};

use crate::daemon::{PATIENCE, Site, wait_until};
use crate::documents::{blocks, repository};
use crate::fakes::Webhook;

const BY_CLUSTER: &str = "
correlate:
  - name: clusters
    by: [cluster]
escalate:
  - name: all
    steps: [{ notify: [chat] }]
";

const CONFIG: &str = "receivers: [{ name: chat, log: {} }]\n";

/// What `quell backtest` says of the daemon's log.
fn backtest(site: &Site, rules: &str) -> Value {
    let data = site.data();
    let args = ["backtest", "--rules", rules, "--since", "1h", "--data", data.to_str().unwrap(), "--json"];
    let output = site.run(&args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_live_log_under_the_live_rules_gives_the_live_incidents() {
    let site = Site::new(CONFIG, &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    let alert = |cluster: &str, host: &str| json!({ "labels": { "alertname": "Down", "cluster": cluster, "host": host } });
    let over = |cluster: &str, host: &str| {
        let mut over = alert(cluster, host);
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        over["endsAt"] = json!(Time(i64::try_from(since_1970.as_millis()).unwrap()).to_rfc3339());
        over
    };
    daemon.post_alerts(&json!([alert("a", "1"), alert("a", "2"), alert("b", "1")]));
    daemon.post_alerts(&json!([over("b", "1"), alert("c", "3")]));
    let acknowledged = daemon.post("/v1/incidents/INC-1/acknowledge", &json!({}));
    assert!(acknowledged.is_success());
    daemon.post_alerts(&json!([alert("b", "2"), over("a", "1")]));
    daemon.post_alerts(&json!([alert("a", "1"), alert("b", "1")]));

    // The daemon goes on while this reads its log.
    let same = backtest(&site, "rules");
    let live = daemon.incidents().len();
    assert_eq!(same["incidents"], json!({ "baseline": live, "new": live, "same": live }), "{same}");
    for difference in ["gained", "lost", "merged", "split", "changed"] {
        assert_eq!(same[difference], json!([]), "{difference}");
    }
    assert_eq!((&same["occurrences"], same["pages"]["chat"]["baseline"] == same["pages"]["chat"]["new"]), (&json!(7), true));

    let other = site.path().join("other.yaml");
    std::fs::write(&other, BY_CLUSTER.replace("[cluster]", "[cluster, host]")).unwrap();
    let other = backtest(&site, other.to_str().unwrap());
    assert_eq!(other["split"].as_array().unwrap().len(), 2, "{other}");
    assert_eq!(other["incidents"]["new"], 5);
}

/// A replay counts pages and sends none, also with the configuration that the daemon sends by.
#[test]
fn no_page_leaves_a_replay() {
    let fake = Webhook::start(None);
    let config = format!("receivers: [{{ name: chat, webhook: {{ url: \"{}\" }} }}]\n", fake.url());
    let site = Site::new(&config, &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    let alert = |host: u32| json!({ "labels": { "alertname": "Down", "cluster": "a", "host": host.to_string() } });
    daemon.post_alerts(&json!((0..9).map(alert).collect::<Vec<_>>()));
    wait_until("the daemon's own page", PATIENCE, || fake.events().len() == 1);
    std::fs::write(site.path().join("other.yaml"), BY_CLUSTER.replace("[cluster]", "[cluster, host]")).unwrap();
    let data = site.data();
    let args = ["backtest", "--config", "quell.yaml", "--rules", "other.yaml", "--since", "1h", "--json", "--data"];
    let output = site.run(&[&args[..], &[data.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["pages"]["chat"], json!({ "baseline": 1, "new": 9 }), "{found}");
    // The command has ended, so whatever it would have sent has been sent.
    assert_eq!((fake.requests().len(), daemon.notifications().len()), (1, 1));
}

#[test]
fn the_rules_of_the_storm_benchmark_are_accepted_without_a_warning() {
    let site = Site::new("", &[]);
    let rules = repository().join("benches/storm/rules");
    let output = site.run(&["check", "--strict", rules.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(0) && said.lines().all(|line| line.starts_with("note: ")), "{said}");
}

#[test]
fn what_the_page_on_backtests_says_is_so() {
    let document = std::fs::read_to_string(repository().join("docs/backtest.md")).unwrap();
    let [now, new] = &blocks(&document, "yaml")[..] else { panic!("two rule files") };
    let site = Site::new("", &[("rules.yaml", now)]);
    std::fs::create_dir(site.path().join("new-rules")).unwrap();
    std::fs::write(site.path().join("new-rules/rules.yaml"), new).unwrap();
    std::fs::write(site.path().join("alerts.ndjson"), &blocks(&document, "json")[0]).unwrap();
    let (_, command) = document.split_once("gives, by `quell ").expect("the page shows a command");
    let (command, _) = command.split_once('`').unwrap();
    let output = site.run(&command.split(' ').collect::<Vec<_>>());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out.trim_end(), blocks(&document, "text")[0].trim_end(), "{err}");
    // Each way to call it is one that the program knows.
    for line in blocks(&document, "sh")[0].lines() {
        let command = line.split('#').next().unwrap().trim().trim_start_matches("quell ");
        let output = site.run(&command.split(' ').collect::<Vec<_>>());
        let err = String::from_utf8_lossy(&output.stderr);
        let known = output.status.success() || err.starts_with("error: there is no log in data");
        assert!(known, "{line}: {err}");
    }
}

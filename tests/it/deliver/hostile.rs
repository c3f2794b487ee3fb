//! A receiver whose answers are made to hurt, as the whole daemon meets it: its attempts fail and are made again under the same
//! key, it costs little memory, and other receivers notice nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bad_input::gzip;
use crate::daemon::{Daemon, PATIENCE, Site, wait_until};
use crate::fakes::http::Request;
use crate::fakes::{Answer, Fault as Script, PagerDuty, Webhook};

const RULES: &str =
    "correlate:\n  - name: by-cluster\n    by: [cluster]\nescalate:\n  - name: all\n    steps:\n      - notify: [pager, hook]\n";
/// Many times what an answer may cost (64 KB), and half of the bomb.
const BYTES_MAX: f64 = 32.0 * 1_024.0 * 1_024.0;

fn post(daemon: &Daemon, cluster: &str) {
    daemon.post_alerts(&json!([{ "labels": { "alertname": "Down", "cluster": cluster, "severity": "critical" } }]));
}

/// A receiver's notifications that are delivered, and all attempts that it has cost.
fn delivered(daemon: &Daemon, receiver: &str) -> (usize, u64) {
    let all: Vec<Value> = daemon.notifications().into_iter().filter(|it| it["receiver"] == receiver).collect();
    let attempts = all.iter().map(|it| it["attempts"].as_u64().unwrap()).sum();
    (all.iter().filter(|it| it["state"] == "delivered").count(), attempts)
}

#[test]
fn answers_without_end_slow_answers_and_bombs_are_failures_of_that_receiver_alone() {
    let (pager, hook) = (PagerDuty::start(), Webhook::start(None));
    let bomb = Answer::bytes(202, gzip(&vec![b' '; 64 << 20])).with("content-encoding", "gzip");
    pager.script([Script::Drip, Script::Endless, Script::TakeThen(bomb)]);
    let site = Site::new(
        &format!(
            "receivers:\n  - name: pager\n    pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: \"{}\" }}\n  \
             - name: hook\n    webhook: {{ url: \"{}\" }}\n",
            pager.url(),
            hook.url()
        ),
        &[("rules.yaml", RULES)],
    );
    let daemon = site.start();
    let memory = || daemon.metric("quell_resident_memory_bytes", &[]);
    let before = memory();

    post(&daemon, "a");
    pager.server().wait_for(|requests| requests.len() == 1);
    // The pager is answering, a byte a second, and will be for as long as it is let.
    post(&daemon, "b");
    wait_until("the other receiver to have both", PATIENCE, || delivered(&daemon, "hook") == (2, 2));
    assert!(delivered(&daemon, "pager").0 < 2, "the slow answer was taken for one");

    wait_until("the pager to have taken both", PATIENCE * 2, || delivered(&daemon, "pager").0 == 2);
    assert_eq!(delivered(&daemon, "pager").1, 5, "three failures, and one success for each incident");
    assert!(daemon.metric("quell_notification_attempts_total", &["receiver=\"pager\""]) >= 5.0);
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in pager.requests().iter().map(Request::json) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        keys.entry(text(&event["payload"]["custom_details"]["incident"])).or_default().insert(text(&event["dedup_key"]));
    }
    assert!(keys.len() == 2 && keys.values().all(|keys| keys.len() == 1), "not one key for each incident: {keys:?}");
    assert_eq!(pager.alerts().len(), 2, "what it took before it failed was opened twice");
    assert_eq!(hook.requests().len(), 2, "the other receiver was told again");
    let grown = memory() - before;
    assert!(grown < BYTES_MAX, "memory grew by {grown} bytes");
}

//! Rules and sources that do not load change nothing: the old ones stay in force, and the log, a metric and the answer say why.

use std::fs;

use serde_json::json;

use crate::daemon::{Daemon, PATIENCE, Site, wait_until};

const BY_CLUSTER: &str = "correlate:\n  - name: by-cluster\n    by: [cluster]\n";
const BY_HOST: &str = "correlate:\n  - name: by-host\n    by: [host]\n";

/// Rule files that must not load, each with the line at fault and a word of the message.
const BROKEN: &[(&str, &str, u32, &str)] = &[
    ("not YAML", "correlate:\n  - name: [\n", 2, "["),
    ("unknown section", "corelate:\n  - name: x\n", 1, "corelate"),
    ("unknown key", "correlate:\n  - name: x\n    windw: 5m\n", 3, "windw"),
    ("bad regular expression", "correlate:\n  - name: x\n    match: ['a=~\"(\"']\n", 3, "("),
    ("bad duration", "correlate:\n  - name: x\n    window: soon\n", 3, "soon"),
    ("duplicate name", "correlate:\n  - name: x\n    by: [a]\n  - name: x\n    by: [b]\n", 4, "x"),
    ("table that is not there", "enrich:\n  - name: x\n    table: none.csv\n    on: [service]\n", 3, "there is no table"),
    ("template", "correlate:\n  - name: x\n    title: \"{{ by.\"\n", 3, "title"),
];

#[test]
fn broken_rules_at_reload_leave_the_old_ones_in_force() {
    let site = Site::new("", &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    assert!(reload(&daemon).0);
    for (number, (name, text, line, word)) in BROKEN.iter().enumerate() {
        site.write_rules("rules.yaml", text);
        let (taken, answer) = reload(&daemon);
        assert!(!taken, "{name}: taken: {answer}");
        assert!(answer.contains(&format!("rules.yaml:{line}")), "{name}: the answer does not say where: {answer}");
        assert!(answer.contains(word), "{name}: the answer does not say what: {answer}");
        assert!(in_force(&daemon, 0.0), "{name}: the metric does not say so");
        // Two alerts of one cluster on two hosts are still one incident by the old rule.
        let cluster = format!("broken-{number}");
        post(&daemon, &cluster);
        assert_eq!(rules_of(&daemon, &cluster), ["by-cluster"], "{name}");
        // The check command says the same, with its exit code.
        let checked = site.run(&["check", site.rules().to_str().unwrap()]);
        assert_eq!(checked.status.code(), Some(1), "{name}");
    }

    site.write_rules("rules.yaml", BY_HOST);
    let (taken, answer) = reload(&daemon);
    assert!(taken, "{answer}");
    assert!(
        answer.contains("rules reloaded") && answer.contains("receivers"),
        "does not say what was reloaded, and what not: {answer}"
    );
    assert!(in_force(&daemon, 1.0));
    post(&daemon, "mended");
    assert_eq!(rules_of(&daemon, "mended"), ["by-host", "by-host"]);
}

#[test]
fn sighup_reloads_and_a_bad_file_is_named_in_the_log() {
    let site = Site::new("", &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    site.write_rules("rules.yaml", BROKEN[1].1);
    daemon.signal("HUP");
    wait_until("the log to name the fault", PATIENCE, || daemon.stderr().contains("rules.yaml:1"));
    wait_until("the metric to say so", PATIENCE, || in_force(&daemon, 0.0));
    post(&daemon, "bad");
    assert_eq!(rules_of(&daemon, "bad"), ["by-cluster"]);

    site.write_rules("rules.yaml", BY_HOST);
    daemon.signal("HUP");
    wait_until("the new rules to be in force", PATIENCE, || in_force(&daemon, 1.0));
    post(&daemon, "good");
    assert_eq!(rules_of(&daemon, "good"), ["by-host", "by-host"]);
}

#[test]
fn a_changed_file_is_noticed_without_being_told() {
    let site = Site::new("", &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    let rules = || daemon.metric("quell_rules", &[]);
    let before = rules();
    site.write_rules("more.yaml", "correlate:\n  - name: more\n    match: ['alertname=\"More\"']\n");
    wait_until("the file to be noticed", PATIENCE, || rules() > before);
    fs::remove_file(site.rules().join("more.yaml")).unwrap();
    wait_until("its removal to be noticed", PATIENCE, || rules() <= before);

    // A table is watched as the rules are that name it.
    site.write_rules("owners.csv", "service,team\na,b\n");
    site.write_rules("more.yaml", "enrich:\n  - name: owners\n    table: owners.csv\n    on: [service]\n");
    wait_until("the table to be in force", PATIENCE, || rules() > before);
    site.write_rules("owners.csv", "service,team\na\n");
    wait_until("its fault to be noticed", PATIENCE, || in_force(&daemon, 0.0));
}

#[test]
fn broken_rules_at_start_are_refused_with_their_place() {
    for (name, text, line, word) in BROKEN {
        let site = Site::new("", &[("rules.yaml", text)]);
        let (status, stderr) = site.start_refused();
        assert_eq!(status.code(), Some(1), "{name}: {stderr}");
        assert!(stderr.contains(&format!("rules.yaml:{line}")) && stderr.contains(word), "{name}: {stderr}");
    }
}

/// Asks for a reload: whether it was taken, and the answer's text.
fn reload(daemon: &Daemon) -> (bool, String) {
    let response = daemon.request("POST", "/-/reload", &[], b"");
    (response.is_success(), response.text())
}

fn in_force(daemon: &Daemon, expected: f64) -> bool {
    (daemon.metric("quell_rules_last_reload_successful", &[]) - expected).abs() < 0.5
}

/// Two alerts of one cluster, on two hosts.
fn post(daemon: &Daemon, cluster: &str) {
    let alert =
        |host: &str| json!({ "labels": { "alertname": "DiskFull", "cluster": cluster, "host": format!("{cluster}-{host}") } });
    daemon.post_alerts(&json!([alert("a"), alert("b")]));
}

/// The rules that opened the incidents of a cluster.
fn rules_of(daemon: &Daemon, cluster: &str) -> Vec<String> {
    let all = daemon.incidents();
    let of_cluster = all.iter().filter(|incident| incident["labels"]["cluster"] == cluster);
    of_cluster.map(|incident| incident["rule"].as_str().unwrap().to_owned()).collect()
}

const TOKEN: &str = "canary-of-the-jobs";

/// A site whose jobs call their host by this name, as far as it knows.
fn jobs(host: &str, more: &str) -> String {
    format!(
        "
sources:
  - name: jobs
    format: generic
    token: {TOKEN}
    map: {{ labels: {{ alertname: '{{{{ body.job }}}}', host: '{{{{ body.{host} }}}}' }} }}
{more}"
    )
}

fn post_job(daemon: &Daemon, token: &str, job: &str) -> u16 {
    daemon.post(&format!("/v1/ingest/jobs/{token}"), &json!({ "job": job, "host": "db-1" })).status
}

#[test]
fn a_mapping_and_a_token_take_effect_on_request() {
    let site = Site::new(&jobs("hostname", ""), &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    assert_eq!(post_job(&daemon, TOKEN, "BackupFailed"), 202, "kept, because it cannot be mapped");
    fs::write(site.config(), jobs("host", "  - { name: more, format: grafana }\n").replace(TOKEN, "another-token")).unwrap();
    assert_eq!(post_job(&daemon, "another-token", "Early"), 401, "not before it is asked for");
    let (taken, answer) = reload(&daemon);
    assert!(taken && answer.contains("sources reloaded: 3 are in force (changed: jobs; new: more)"), "{answer}");
    assert_eq!((post_job(&daemon, "another-token", "Late"), post_job(&daemon, TOKEN, "Late")), (200, 401));

    let url = format!("http://{}", daemon.addr);
    let replayed = site.run(&["source", "replay", "--source", "jobs", "--url", &url]);
    let said = String::from_utf8(replayed.stdout).unwrap();
    assert!(replayed.status.success() && said.contains("taken, 1 new, 0 repeats"), "{said}");
    assert_eq!(daemon.list("/v1/alerts", "alerts").len(), 2);

    // And on SIGHUP.
    fs::write(site.config(), jobs("host", "")).unwrap();
    daemon.signal("HUP");
    wait_until("the old token to be good again", PATIENCE, || post_job(&daemon, TOKEN, "Late") == 200);
    assert_eq!(daemon.post("/v1/ingest/more", &json!({ "alerts": [] })).status, 404);
}

/// (what is wrong, quell.yaml, rules, words of the answer)
type Wrong<'a> = (&'a str, String, &'a str, &'a [&'a str]);

#[test]
fn sources_and_rules_take_effect_together_or_not_at_all() {
    let site = Site::new(&jobs("host", ""), &[("rules.yaml", BY_CLUSTER)]);
    let daemon = site.start();
    let good = || jobs("host", "").replace(TOKEN, "another-token");
    let cases: [Wrong<'_>; 5] = [
        ("no YAML", good() + "a: [", BY_HOST, &["quell.yaml:"]),
        ("an unknown key", good() + "    labls: { a: b }\n", BY_HOST, &["quell.yaml:7", "labls", "did you mean `labels`?"]),
        ("a template", good().replace("body.job }}", "body.job "), BY_HOST, &["alertname"]),
        ("rules", good(), "correlate:\n  - name: [\n", &["rules.yaml:2"]),
        (
            "rules that name a receiver of the next start",
            good() + "receivers: [{ name: later, log: {} }]\n",
            "escalate:\n  - name: x\n    steps: [{ notify: [later] }]\n",
            &["rules.yaml:3", "`receivers` of quell.yaml changed since then and take effect at the next start"],
        ),
    ];
    for (name, config, rules, words) in cases {
        fs::write(site.config(), config).unwrap();
        site.write_rules("rules.yaml", rules);
        let (taken, answer) = reload(&daemon);
        assert!(!taken && words.iter().all(|word| answer.contains(word)), "{name}: {answer}");
        assert!(!answer.contains("another-token"), "{name}: {answer}");
        assert!(in_force(&daemon, 0.0), "{name}: the metric does not say so");
        assert_eq!((post_job(&daemon, TOKEN, name), post_job(&daemon, "another-token", name)), (200, 401), "{name}");
    }
    site.write_rules("rules.yaml", BY_CLUSTER);

    // What cannot be changed while running is named; the rest takes effect.
    let more = "listen: 127.0.0.1:1\ndata: elsewhere\nlimits: { rejects: 7 }\n";
    fs::write(site.config(), good() + more).unwrap();
    let (taken, answer) = reload(&daemon);
    assert!(taken && answer.contains("`limits` of quell.yaml changed since then"), "{answer}");
    assert_eq!(post_job(&daemon, "another-token", "Late"), 200);
    assert!(in_force(&daemon, 1.0));
}

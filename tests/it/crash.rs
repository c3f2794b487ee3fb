//! Kill -9 under load, again and again on one data directory: what was acknowledged is there. And the gentler ends: SIGTERM
//! under load, and a second daemon on the same folder.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{Daemon, PATIENCE, Site, wait_until};
use crate::fakes::http::Request;
use crate::fakes::pagerduty::PagerDuty;
use crate::http::{self, Connection};

/// Rounds of kill -9, unless `QUELL_KILL_ROUNDS` says otherwise.
const ROUNDS: u64 = 100;
/// Rounds whose alerts share an incident: some incidents open under load in a new process, some live through several.
const ROUNDS_PER_INCIDENT: u64 = 5;
/// Rounds of kill -9 while rules are being reloaded.
const RELOAD_ROUNDS: u64 = 6;
const CONNECTIONS: u64 = 4;
const ALERTS_PER_REQUEST: u64 = 5;
/// Requests of one connection in one round, if nothing stops it before.
const REQUESTS_MAX: u64 = 60;

const RULES: &str = r#"
correlate:
  - name: load
    match: ['alertname="Load"']
    by: [incident]
    resolve_after: 1h
escalate:
  - name: page
    steps:
      - notify: [pager]
    update: 1h
"#;

fn site(pager: &PagerDuty) -> Site {
    let config = format!(
        "receivers:\n  - name: pager\n    pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: \"{}\" }}\n",
        pager.url()
    );
    Site::new(&config, &[("load.yaml", RULES)])
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9_under_load() {
    let rounds = std::env::var("QUELL_KILL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let begun = Instant::now();
    let pager = PagerDuty::start();
    let site = site(&pager);
    let mut all = Ledger::default();
    let mut groups = BTreeSet::new();
    let mut delays = Delays(0x5eed);
    let mut daemon = site.start();
    for round in 1..=rounds {
        let load = Load::start(daemon.addr, round);
        // Not a wait for something to happen: the moment of death is what the test varies.
        thread::sleep(delays.next());
        daemon.kill();
        let ledger = load.finish();
        daemon = site.start();
        ledger.check(&daemon, &format!("/v1/alerts?status=all&label=round:{round}"), &format!("round {round}"));
        if ledger.acknowledged() > 0 {
            groups.insert(group_of(round));
        }
        all.add(ledger);
    }
    all.check(&daemon, "/v1/alerts?status=all", "the end");
    check_pages(&daemon, &pager, &groups, rounds);
    assert!(all.acknowledged() >= rounds, "hardly anything was acknowledged: the test shows nothing");
    eprintln!("{rounds} kills in {:?}: 0 lost of {} acknowledged", begun.elapsed(), all.acknowledged());
}

/// Each of the `groups` that something was acknowledged of has one incident, and each incident was paged, under its own key
/// and no other, however often the way there was cut.
fn check_pages(daemon: &Daemon, pager: &PagerDuty, groups: &BTreeSet<String>, rounds: u64) {
    wait_until("every page to be taken", PATIENCE + Duration::from_secs(rounds), || {
        daemon.notifications().iter().all(|n| n["state"] == "delivered")
    });
    let incidents = daemon.incidents();
    let found: BTreeSet<String> = incidents.iter().map(|incident| text(&incident["key"]["incident"])).collect();
    assert_eq!(found.len(), incidents.len(), "incidents were torn apart");
    assert!(found.is_superset(groups), "incidents were lost: {found:?} of {groups:?}");
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in pager.requests().iter().map(Request::json) {
        assert_eq!(event["event_action"], "trigger", "nothing has resolved: {event}");
        let incident = event["payload"]["custom_details"]["incident"].as_str().unwrap().to_owned();
        keys.entry(incident).or_default().insert(event["dedup_key"].as_str().unwrap().to_owned());
    }
    for incident in &incidents {
        let id = incident["id"].as_str().unwrap();
        let keys = keys.remove(id).unwrap_or_default();
        assert!(keys.len() == 1 && keys.iter().all(|key| key.ends_with(&format!("/{id}"))), "{id} was paged under {keys:?}");
    }
    assert!(keys.is_empty(), "pages for incidents that are not there: {keys:?}");
}

/// Rules that differ in the name of their one rule.
fn named(rule: &str) -> String {
    RULES.replacen("name: load", &format!("name: {rule}"), 1)
}

#[test]
fn kill_9_while_rules_are_reloaded_leaves_the_rules_that_the_file_has() {
    let pager = PagerDuty::start();
    let site = site(&pager);
    let mut delays = Delays(0x0e1d);
    let mut interrupted = 0;
    let mut reloads = 0;
    for round in 1..=RELOAD_ROUNDS {
        let mut daemon = site.start();
        let load = Load::start(daemon.addr, round);
        let addr = daemon.addr;
        let (file, given) = thread::scope(|scope| {
            let reloading = scope.spawn(|| reload_until_it_dies(&site, addr));
            // As above; longer, because rules take longer to compile than alerts to be taken.
            thread::sleep(delays.next() * 6);
            daemon.kill();
            reloading.join().unwrap()
        });
        interrupted += u64::from(given.interrupted);
        reloads += given.taken;
        let ledger = load.finish();
        let verified = site.run(&["log", "verify", "--data", site.data().to_str().unwrap()]);
        assert_eq!(verified.status.code(), Some(0), "round {round}: {}", String::from_utf8_lossy(&verified.stderr));

        let mut daemon = site.start();
        let when = format!("round {round}");
        ledger.check(&daemon, &format!("/v1/alerts?status=all&label=round:{round}"), &when);
        let probe = format!("probe-{round}");
        daemon.post_alerts(&json!([{ "labels": { "alertname": "Load", "incident": probe } }]));
        let incidents = daemon.list(&format!("/v1/incidents?label=incident:{probe}"), "incidents");
        assert_eq!(incidents.iter().map(|incident| text(&incident["rule"])).collect::<Vec<_>>(), [file], "{when}");
        daemon.kill();
    }
    assert!(reloads > 0 && interrupted > 0, "{reloads} reloads, {interrupted} interrupted: the test shows nothing");
    eprintln!("{RELOAD_ROUNDS} kills: {reloads} reloads taken, {interrupted} interrupted");
}

/// What became of the reloads of one process.
#[derive(Default)]
struct Reloads {
    taken: u64,
    /// Whether the last one got no answer.
    interrupted: bool,
}

/// Reloads one of two rules and then the other until there is no answer. Gives the name of the rule that the file has then.
fn reload_until_it_dies(site: &Site, addr: SocketAddr) -> (&'static str, Reloads) {
    let mut reloads = Reloads::default();
    for rule in ["old", "new"].into_iter().cycle() {
        site.write_rules("load.yaml", &named(rule));
        let Ok(response) = http::request(addr, "POST", "/-/reload", &[], b"") else {
            reloads.interrupted = true;
            return (rule, reloads);
        };
        assert!(response.is_success(), "{} {}", response.status, response.text());
        reloads.taken += 1;
    }
    unreachable!("the names come round for ever")
}

#[test]
fn sigterm_under_load_ends_in_time_and_loses_nothing() {
    let pager = PagerDuty::start();
    let site = site(&pager);
    let mut daemon = site.start();
    let load = Load::start(daemon.addr, 1);
    wait_until("the load to arrive", PATIENCE, || daemon.metric("quell_alerts_new_total", &[]) > 20.0);
    daemon.signal("TERM");
    let status = daemon.wait_for_exit(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0));
    let ledger = load.finish();
    assert!(ledger.acknowledged() > 0);
    let daemon = site.start();
    ledger.check(&daemon, "/v1/alerts?status=all", "SIGTERM");
    check_pages(&daemon, &pager, &BTreeSet::from([group_of(1)]), 1);
}

#[test]
fn an_idle_daemon_stops_at_once() {
    let site = Site::new("", &[]);
    let mut daemon = site.start();
    daemon.signal("TERM");
    assert_eq!(daemon.wait_for_exit(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn a_second_daemon_on_the_same_folder_refuses() {
    let site = Site::new("", &[]);
    let first = site.start();
    first.post_alerts(&json!([{ "labels": { "alertname": "First" } }]));
    let (status, stderr) = site.start_refused();
    assert_eq!(status.code(), Some(1), "{stderr}");
    let data = site.data();
    assert!(stderr.contains(data.to_str().unwrap()), "does not name the folder: {stderr}");
    assert!(stderr.contains("in use") || stderr.contains("locked"), "does not say why: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    // The first has noticed nothing.
    first.post_alerts(&json!([{ "labels": { "alertname": "Second" } }]));
    assert_eq!(first.list("/v1/alerts", "alerts").len(), 2);
}

#[test]
fn a_killed_daemon_leaves_no_lock_behind() {
    let site = Site::new("", &[]);
    for _ in 0..3 {
        site.start().kill();
    }
}

/// Several connections that post alerts until the daemon goes away.
struct Load {
    connections: Vec<JoinHandle<Ledger>>,
}

impl Load {
    fn start(addr: SocketAddr, round: u64) -> Load {
        Load { connections: (0..CONNECTIONS).map(|connection| thread::spawn(move || post(addr, round, connection))).collect() }
    }

    /// What was acknowledged, once every connection has ended.
    fn finish(self) -> Ledger {
        let mut all = Ledger::default();
        for connection in self.connections {
            all.add(connection.join().unwrap());
        }
        all
    }
}

/// Posts batch after batch on one connection; each third request also resolves the batch two before it.
fn post(addr: SocketAddr, round: u64, connection: u64) -> Ledger {
    let mut ledger = Ledger::default();
    let Ok(mut stream) = Connection::open(addr) else { return ledger };
    let batch = |request: u64| (0..ALERTS_PER_REQUEST).map(move |n| format!("{round}-{connection}-{request}-{n}"));
    for request in 0..REQUESTS_MAX {
        let firing: Vec<String> = batch(request).collect();
        let resolving: Vec<String> = if request % 3 == 2 { batch(request - 2).collect() } else { Vec::new() };
        let body: Vec<Value> = firing
            .iter()
            .map(|id| alert(round, id, None))
            .chain(resolving.iter().map(|id| alert(round, id, Some("2020-01-01T00:01:00Z"))))
            .collect();
        ledger.begin_resolving(&resolving);
        let body = Value::from(body).to_string();
        match stream.send("POST", "/api/v2/alerts", &[("content-type", "application/json")], body.as_bytes()) {
            Ok(response) if response.is_success() => ledger.acknowledge(firing, &resolving),
            // Stopping and overload are honest answers; anything else is not.
            Ok(response) => {
                assert!([429, 503].contains(&response.status), "{} {}", response.status, response.text());
                return ledger;
            }
            Err(_) => return ledger,
        }
    }
    ledger
}

/// Several rounds go into one incident.
fn group_of(round: u64) -> String {
    ((round - 1) / ROUNDS_PER_INCIDENT).to_string()
}

fn alert(round: u64, id: &str, ends_at: Option<&str>) -> Value {
    let mut alert = json!({
        "labels": { "alertname": "Load", "id": id, "round": round.to_string(), "incident": group_of(round), "severity": "critical" },
        "startsAt": "2020-01-01T00:00:00Z",
    });
    if let Some(ends_at) = ends_at {
        alert["endsAt"] = ends_at.into();
    }
    alert
}

/// What the daemon has acknowledged: it must know all of it after any end.
#[derive(Default)]
struct Ledger {
    firing: BTreeSet<String>,
    resolved: BTreeSet<String>,
    /// Acknowledged as firing; then a resolve was sent that nobody answered.
    either: BTreeSet<String>,
}

impl Ledger {
    fn begin_resolving(&mut self, ids: &[String]) {
        for id in ids {
            if self.firing.remove(id) {
                self.either.insert(id.clone());
            }
        }
    }

    fn acknowledge(&mut self, firing: Vec<String>, resolved: &[String]) {
        self.firing.extend(firing);
        for id in resolved {
            self.either.remove(id);
            self.resolved.insert(id.clone());
        }
    }

    fn add(&mut self, other: Ledger) {
        self.firing.extend(other.firing);
        self.resolved.extend(other.resolved);
        self.either.extend(other.either);
    }

    fn acknowledged(&self) -> u64 {
        (self.firing.len() + self.resolved.len() + self.either.len()) as u64
    }

    /// Compares with what the daemon lists under `path`.
    fn check(&self, daemon: &Daemon, path: &str, when: &str) {
        let known: BTreeMap<String, String> =
            daemon.list(path, "alerts").iter().map(|alert| (text(&alert["labels"]["id"]), text(&alert["status"]))).collect();
        let wrong = |ids: &BTreeSet<String>, right: &[&str]| -> Vec<String> {
            let found = |id: &String| known.get(id).map_or("missing", String::as_str).to_owned();
            ids.iter().filter(|id| !right.contains(&found(id).as_str())).map(|id| format!("{id} is {}", found(id))).collect()
        };
        let faults = [
            ("acknowledged as firing", wrong(&self.firing, &["firing"])),
            ("acknowledged as resolved", wrong(&self.resolved, &["resolved"])),
            ("acknowledged, its resolve not answered", wrong(&self.either, &["firing", "resolved"])),
        ];
        for (what, wrong) in faults {
            assert!(
                wrong.is_empty(),
                "{when}: {} alerts {what} are not so any more: {:?}",
                wrong.len(),
                &wrong[..wrong.len().min(5)]
            );
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Delays between 10 and 120 ms, the same in each run (SplitMix64).
struct Delays(u64);

impl Delays {
    fn next(&mut self) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis(10 + (z ^ (z >> 31)) % 111)
    }
}

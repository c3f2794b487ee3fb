//! The addresses of PagerDuty's and Opsgenie's APIs at a real daemon: each call with its answer and what becomes of the
//! incident, with kill -9 between calls; and Debian's Alertmanager, whose own clients for both services are told another host.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::{Collected, Daemon, PATIENCE, Site, wait_for, wait_until};
use crate::fakes::pagerduty::{PagerDuty, PagerStatus};
use crate::http::{self, Response};

const KEY: &str = "canary-routing-key-of-the-scripts";
const GENIE: &str = "canary-genie-key-of-the-batch";

const RULES: &str = "
services:
  - { name: checkout, depends_on: [orders] }
correlate:
  - { name: together, match: ['group=~\".+\"'], by: [group] }
  - { name: by-service, match: ['service!=\"\"'], by: [service] }
escalate:
  - name: page
    steps: [{ notify: [pager] }]
";

fn site(pager: &PagerDuty, more: &str) -> Site {
    let config = format!(
        "
sources:
  - {{ name: scripts, format: pagerduty-events-v2, token: {KEY} }}
  - {{ name: batch, format: opsgenie, token: {GENIE} }}
receivers:
  - name: pager
    pagerduty: {{ routing_key: 0123456789abcdef0123456789abcdef, url: \"{}\" }}
{more}",
        pager.url()
    );
    Site::new(&config, &[("page.yaml", RULES)])
}

fn enqueue(daemon: &Daemon, event: &Value) -> Response {
    daemon.post("/v2/enqueue", event)
}

/// An event of the scripts; a trigger says what is wrong.
fn event(action: &str, key: &str) -> Value {
    let mut event = json!({ "routing_key": KEY, "event_action": action, "dedup_key": key });
    if action == "trigger" {
        event["payload"] = json!({ "summary": format!("{key} is full"), "source": "db-1", "severity": "error", "class": "DiskFull",
            "custom_details": { "service": key } });
    }
    event
}

fn genie(daemon: &Daemon, method: &str, path: &str, body: &str) -> Response {
    genie_by(daemon, GENIE, (method, path), body)
}

fn genie_by(daemon: &Daemon, key: &str, (method, path): (&str, &str), body: &str) -> Response {
    let key = format!("GenieKey {key}");
    daemon.request(method, path, &[("content-type", "application/json"), ("authorization", &key)], body.as_bytes())
}

/// Opsgenie's answer: its status and message, with the number of the request and the time that it took.
#[track_caller]
fn check_genie(response: &Response, status: u16, field: &str, text: &str) -> String {
    let said = response.json();
    assert_eq!((response.status, &said[field]), (status, &json!(text)), "{said}");
    let id = said["requestId"].as_str().unwrap_or_else(|| panic!("no requestId in {said}")).to_owned();
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert!(parts == [8, 4, 4, 4, 12] && said["took"].is_number(), "{said}");
    id
}

const TAKEN: &str = "Request will be processed";

fn status_of(daemon: &Daemon, id: &str) -> String {
    daemon.get(&format!("/v1/incidents/{id}"))["status"].as_str().unwrap().to_owned()
}

fn timeline(daemon: &Daemon, id: &str) -> String {
    let entries = daemon.list(&format!("/v1/incidents/{id}/timeline"), "entries");
    entries.iter().map(|it| format!("{} {}", it["actor"], it["text"].as_str().unwrap_or_default())).collect::<Vec<_>>().join("\n")
}

/// Waits until the pager has heard all of it, and gives how its alerts stand. A page under way at a kill is said once more, under
/// the same key.
fn pages(daemon: &Daemon, pager: &PagerDuty) -> Vec<PagerStatus> {
    wait_until("the pages", PATIENCE, || daemon.notifications().iter().all(|it| it["state"] == "delivered"));
    pager.alerts().iter().map(|alert| alert.status).collect()
}

#[test]
fn an_incident_goes_the_way_that_a_pagerduty_sender_says() {
    let pager = PagerDuty::start();
    let site = site(&pager, "");
    let mut daemon = site.start();
    let taken = |key: &str| json!({ "status": "success", "message": "Event processed", "dedup_key": key });
    // (action, key, the status of the only incident then); the process ends without warning before each.
    let steps = [
        ("acknowledge", "orders", None),
        ("resolve", "orders", None),
        ("trigger", "orders", Some("open")),
        ("trigger", "orders", Some("open")),
        ("resolve", "another", Some("open")),
        ("acknowledge", "orders", Some("acknowledged")),
        ("acknowledge", "orders", Some("acknowledged")),
        ("resolve", "orders", Some("resolved")),
        ("resolve", "orders", Some("resolved")),
        ("acknowledge", "orders", Some("resolved")),
    ];
    for (number, (action, key, expected)) in steps.into_iter().enumerate() {
        let answer = enqueue(&daemon, &event(action, key));
        assert_eq!((answer.status, answer.json()), (202, taken(key)), "step {number}");
        daemon.kill();
        daemon = site.start();
        let statuses: Vec<Value> = daemon.incidents().iter().map(|incident| incident["status"].clone()).collect();
        assert_eq!(statuses, expected.map(|status| json!(status)).into_iter().collect::<Vec<_>>(), "step {number}");
    }
    let incident = daemon.get("/v1/incidents/INC-1");
    assert_eq!((&incident["services"], &incident["severity"]), (&json!(["orders"]), &json!("high")), "{incident}");
    assert!(incident["acknowledged_at"].is_string() && incident["resolved_at"].is_string(), "{incident}");
    let told = timeline(&daemon, "INC-1");
    assert!(told.lines().any(|line| line.contains("scripts") && line.contains("acknowledged")), "{told}");
    assert_eq!(pages(&daemon, &pager), [PagerStatus::Resolved]);

    // Each without a key is an alert of its own, and can be ended by the key of its answer.
    let mut keyless = event("trigger", "cart");
    keyless.as_object_mut().unwrap().remove("dedup_key");
    let keys: Vec<Value> = (0..2).map(|_| enqueue(&daemon, &keyless).json()["dedup_key"].clone()).collect();
    assert_ne!(keys[0], keys[1]);
    daemon.kill();
    let daemon = site.start();
    let firing = || daemon.list("/v1/alerts?status=firing", "alerts").len();
    assert_eq!(firing(), 2);
    for (key, left) in keys.iter().zip([1, 0]) {
        assert_eq!(enqueue(&daemon, &event("resolve", key.as_str().unwrap())).status, 202);
        assert_eq!(firing(), left);
    }
}

#[test]
fn a_change_of_a_pagerduty_sender_is_a_probable_cause() {
    let pager = PagerDuty::start();
    let site = site(&pager, "");
    let mut daemon = site.start();
    let change = json!({ "routing_key": KEY, "payload": { "summary": "Deployed orders 42", "source": "ci",
        "custom_details": { "service": "orders" } }, "links": [{ "href": "https://ci.example/42", "text": "run 42" }] });
    let answer = daemon.post("/v2/change/enqueue", &change);
    assert_eq!((answer.status, answer.json()), (202, json!({ "status": "success", "message": "Change event processed" })));
    daemon.kill();
    let daemon = site.start();
    assert!(daemon.incidents().is_empty(), "a change is no alert");
    assert_eq!(daemon.get("/v1/changes?service=orders")["changes"][0]["summary"], "Deployed orders 42");
    for service in ["checkout", "orders"] {
        let mut event = event("trigger", service);
        event["payload"]["group"] = json!("shop");
        assert_eq!(enqueue(&daemon, &event).status, 202);
    }
    let found = || daemon.get("/v1/incidents/INC-1")["causes"].to_string();
    wait_until("the cause", PATIENCE, || found().contains("Deployed orders 42"));
}

#[test]
fn what_is_no_event_gets_the_errors_of_pagerduty_and_is_kept() {
    let pager = PagerDuty::start();
    let site = site(&pager, "tokens: [{ name: ops, token: let-me-in }]\n");
    let mut daemon = site.start();
    let with = |pointer: &str, value: Value| {
        let mut event = event("trigger", "orders");
        *event.pointer_mut(pointer).unwrap() = value;
        event
    };
    let without_key = json!({ "routing_key": KEY, "event_action": "resolve" });
    let severities = "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')";
    let actions = "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')";
    // (path, event, all that is wrong with it, whether it is kept)
    let cases = [
        ("/v2/enqueue", json!({}), vec!["'routing_key' is missing or blank"], false),
        ("/v2/enqueue", with("/routing_key", json!("no")), vec!["'routing_key' is not known here"], false),
        ("/v2/enqueue", with("/event_action", json!("explode")), vec![actions], true),
        ("/v2/enqueue", with("/payload/severity", json!("purple")), vec![severities], true),
        ("/v2/enqueue", with("/payload/source", json!("")), vec!["'payload.source' is missing or blank"], true),
        ("/v2/enqueue", without_key, vec!["'dedup_key' is missing or blank"], true),
        (
            "/v2/enqueue",
            with("/dedup_key", json!("x".repeat(256))),
            vec!["'dedup_key' is too long (maximum is 255 characters)"],
            true,
        ),
        (
            "/v2/enqueue",
            with("/payload", json!({ "severity": "purple" })),
            vec!["'payload.summary' is missing or blank", "'payload.source' is missing or blank", severities],
            true,
        ),
        ("/v2/change/enqueue", json!({ "routing_key": KEY, "payload": {} }), vec!["'payload.summary' is missing or blank"], true),
    ];
    let mut kept = 0;
    for (path, event, errors, is_kept) in cases {
        let answer = daemon.post(path, &event);
        let expected = json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
        assert_eq!((answer.status, answer.json()), (400, expected), "{event}");
        kept += usize::from(is_kept);
        assert_eq!(rejects(&daemon).len(), kept, "{event}");
    }
    let not_json = daemon.request("POST", "/v2/enqueue", &[], b"{");
    assert_eq!((not_json.status, not_json.json()["errors"].clone()), (400, json!(["the body is no JSON"])));
    assert_eq!(daemon.request("GET", "/v2/enqueue", &[], b"").status, 404);
    assert!(daemon.incidents().is_empty());

    // What is kept outlives the process, is told without its key, and is tried again on demand.
    daemon.kill();
    let daemon = site.start();
    assert_eq!(rejects(&daemon).len(), kept);
    let purple = rejects(&daemon).into_iter().find(|it| it["error"] == severities).unwrap();
    let id = purple["id"].as_str().unwrap().to_owned();
    let url = format!("http://{}", daemon.addr);
    let run = |args: &[&str]| {
        let output = site.run(&[args, &["--url", &url, "--token", "let-me-in"]].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, body) = run(&["source", "show", &id, "--body"]);
    assert!(code == Some(0) && body.contains("purple") && body.contains("[masked]") && !body.contains(KEY), "{body}");
    assert_eq!(run(&["source", "replay", &id]), (Some(1), format!("{id}  stays: {severities}\n")));
    let listed = run(&["source", "rejects"]).1;
    assert!(listed.contains("scripts") && listed.contains("'payload.severity' is invalid"), "{listed}");
    let counted = daemon.metric("quell_rejects", &["source=\"scripts\""]);
    assert!((counted - 7.0).abs() < 0.1, "{counted}");
}

fn rejects(daemon: &Daemon) -> Vec<Value> {
    let headers = [("authorization", "Bearer let-me-in")];
    daemon.request("GET", "/v1/rejects", &headers, b"").json()["rejects"].as_array().unwrap().clone()
}

#[test]
fn an_incident_goes_the_way_that_an_opsgenie_sender_says() {
    let pager = PagerDuty::start();
    let site = site(&pager, "");
    let mut daemon = site.start();
    let alert = json!({ "message": "Settlement is late", "alias": "settlement/2026", "priority": "P2", "source": "batch-1",
        "details": { "service": "settlement" }, "responders": [{ "name": "payments", "type": "team" }] });
    let call = |act: &str| format!("/v2/alerts/settlement%2F2026/{act}?identifierType=alias");
    let note = r#"{"user":"ines","note":"file 4 is there","source":"batch-1"}"#;
    // (method, path, body, the status of the only incident then); the process ends without warning after each.
    let steps = [
        ("POST", call("close"), "{}", None),
        ("POST", "/v2/alerts".to_owned(), &*alert.to_string(), Some("open")),
        ("POST", "/v2/alerts".to_owned(), &*alert.to_string(), Some("open")),
        ("POST", call("notes"), note, Some("open")),
        ("POST", call("acknowledge"), r#"{"user":"ines"}"#, Some("acknowledged")),
        // What is answered and does nothing.
        ("POST", call("unacknowledge"), "{}", Some("acknowledged")),
        ("POST", call("snooze"), r#"{"endTime":"2030-01-01T00:00:00Z"}"#, Some("acknowledged")),
        ("POST", call("assign"), r#"{"owner":{"username":"ines"}}"#, Some("acknowledged")),
        ("POST", call("escalate"), r#"{"escalation":{"name":"all"}}"#, Some("acknowledged")),
        ("POST", call("responders"), r#"{"responder":{"type":"team","name":"dba"}}"#, Some("acknowledged")),
        ("POST", call("tags"), r#"{"tags":["a"]}"#, Some("acknowledged")),
        ("POST", call("details"), r#"{"details":{"a":"b"}}"#, Some("acknowledged")),
        ("PUT", call("message"), r#"{"message":"Settlement is very late"}"#, Some("acknowledged")),
        ("PUT", call("description"), r#"{"description":"…"}"#, Some("acknowledged")),
        ("PUT", call("priority"), r#"{"priority":"P1"}"#, Some("acknowledged")),
        ("POST", call("close"), "", Some("resolved")),
        ("POST", call("close"), "{}", Some("resolved")),
    ];
    for (method, path, body, expected) in steps {
        check_genie(&genie(&daemon, method, &path, body), 202, "result", TAKEN);
        if method == "POST" {
            daemon.kill();
            daemon = site.start();
        }
        let statuses: Vec<Value> = daemon.incidents().iter().map(|incident| incident["status"].clone()).collect();
        assert_eq!(statuses, expected.map(|status| json!(status)).into_iter().collect::<Vec<_>>(), "{method} {path}");
    }
    let incident = daemon.get("/v1/incidents/INC-1");
    assert_eq!((&incident["services"], &incident["severity"]), (&json!(["settlement"]), &json!("high")), "{incident}");
    let told = timeline(&daemon, "INC-1");
    assert!(told.lines().any(|line| line.contains("batch") && line.contains("ines: file 4 is there")), "{told}");
    assert_eq!(pages(&daemon, &pager), [PagerStatus::Resolved]);

    // Without an alias it is known by the number of the answer, also after the process has ended.
    let id = check_genie(&genie(&daemon, "POST", "/v2/alerts", r#"{"message":"Other"}"#), 202, "result", TAKEN);
    daemon.kill();
    let daemon = site.start();
    assert_eq!(status_of(&daemon, "INC-2"), "open");
    check_genie(&genie(&daemon, "POST", &format!("/v2/alerts/{id}/close"), "{}"), 202, "result", TAKEN);
    assert_eq!(status_of(&daemon, "INC-2"), "resolved");
}

#[test]
fn what_is_no_call_gets_the_errors_of_opsgenie() {
    let pager = PagerDuty::start();
    let site = site(&pager, "limits: { body_bytes: 4096 }\ntokens: [{ name: ops, token: let-me-in }]\n");
    let daemon = site.start();
    let good = r#"{"message":"late"}"#;
    let long = format!(r#"{{"message":"late","description":"{}"}}"#, "x".repeat(5_000));
    let not_processable = "Request body is not processable. Please check the errors.";
    let not_found = "Sorry, the requested page was not found";
    // (key, method, path, body, status, message, how many are kept then)
    let cases = [
        ("wrong", "POST", "/v2/alerts", good, 401, "Could not authenticate", 0),
        (KEY, "POST", "/v2/alerts", good, 401, "Could not authenticate", 0),
        ("wrong", "POST", "/v2/alerts/a/close", "{}", 401, "Could not authenticate", 0),
        (GENIE, "POST", "/v2/alerts", "{", 400, "Could not parse JSON", 1),
        (GENIE, "POST", "/v2/alerts", r#"{"alias":"a"}"#, 422, not_processable, 2),
        (GENIE, "POST", "/v2/alerts/a/close", "{", 400, "Could not parse JSON", 2),
        (GENIE, "POST", "/v2/alerts/a/explode", "{}", 404, not_found, 2),
        (GENIE, "PUT", "/v2/alerts/a/close", "{}", 404, not_found, 2),
        (GENIE, "POST", "/v2/alerts", &long, 413, "the body is too large", 2),
    ];
    for (key, method, path, body, status, message, kept) in cases {
        check_genie(&genie_by(&daemon, key, (method, path), body), status, "message", message);
        assert_eq!(rejects(&daemon).len(), kept, "{method} {path} {body}");
    }
    let answer = genie(&daemon, "POST", "/v2/alerts", r#"{"alias":"a"}"#).json();
    assert!(answer["errors"]["message"].as_str().is_some_and(|error| error.contains("message")), "{answer}");
    let bare = daemon.request("POST", "/v2/alerts", &[("authorization", &format!("Bearer {GENIE}"))], good.as_bytes());
    check_genie(&bare, 401, "message", "Could not authenticate");
    assert!(daemon.incidents().is_empty());
}

#[test]
fn a_source_that_has_all_its_alerts_is_told_to_come_later() {
    let pager = PagerDuty::start();
    let site = site(&pager, "limits: { active_alerts_per_source: 1 }\n");
    let daemon = site.start();
    let alert = |alias: &str| json!({ "message": "late", "alias": alias }).to_string();
    assert_eq!(enqueue(&daemon, &event("trigger", "a")).status, 202);
    assert_eq!(genie(&daemon, "POST", "/v2/alerts", &alert("a")).status, 202);
    for answer in [enqueue(&daemon, &event("trigger", "b")), genie(&daemon, "POST", "/v2/alerts", &alert("b"))] {
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")), "{}", answer.text());
        let said = answer.json();
        assert!(said["status"] == "throttle exceeded" || said["requestId"].is_string(), "{said}");
        assert!(said["message"].as_str().is_some_and(|message| message.contains("active")), "{said}");
    }
    // As soon as there is room again.
    enqueue(&daemon, &event("resolve", "a"));
    assert_eq!(enqueue(&daemon, &event("trigger", "b")).status, 202);
    assert_eq!(genie(&daemon, "POST", "/v2/alerts/a/close?identifierType=alias", "{}").status, 202);
    assert_eq!(genie(&daemon, "POST", "/v2/alerts", &alert("b")).status, 202);
}

/// Many at once, with room for hardly any: whoever is refused is told to come again, and whoever is not is heard.
#[test]
fn too_many_at_once_are_told_to_come_again() {
    let pager = PagerDuty::start();
    let site = site(&pager, "limits: { queue_alerts: 2 }\n");
    let daemon = site.start();
    let (addr, is_enough) = (daemon.addr, AtomicBool::new(false));
    let post = |sender: usize| {
        let mut taken = 0;
        for number in 0.. {
            if is_enough.load(Ordering::Relaxed) {
                break;
            }
            let event = event("trigger", &format!("{sender}-{number}")).to_string();
            let answer = http::request(addr, "POST", "/v2/enqueue", &[], event.as_bytes()).unwrap();
            if answer.status == 202 {
                taken += 1;
                continue;
            }
            let said = answer.json();
            assert_eq!((answer.status, answer.header("retry-after")), (429, Some("2")), "{said}");
            assert_eq!((&said["status"], said["message"].is_string()), (&json!("throttle exceeded"), true), "{said}");
            is_enough.store(true, Ordering::Relaxed);
        }
        taken
    };
    let taken: usize = thread::scope(|scope| {
        let senders: Vec<_> = (0..16).map(|sender| scope.spawn(move || post(sender))).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    assert_eq!(daemon.list("/v1/alerts?status=firing", "alerts").len(), taken);
}

/// Alertmanager has clients of its own for both services, as they are written for the real ones.
#[test]
fn alertmanager_speaks_to_both_addresses_as_it_would_to_the_services() {
    let pager = PagerDuty::start();
    let site = site(&pager, "");
    let daemon = site.start();
    let alertmanager = Alertmanager::start(daemon.addr);
    let alert = |ends: Value| {
        json!([{ "labels": { "alertname": "DiskFull", "severity": "error" }, "annotations": { "summary": "disk is full" },
        "endsAt": ends }])
    };
    alertmanager.post(&alert(json!("2100-01-01T00:00:00Z")));
    let firing = || daemon.list("/v1/alerts?status=firing", "alerts");
    wait_until("both to be told", PATIENCE, || firing().len() == 2);
    let mut sources: Vec<String> = firing().iter().map(|alert| alert["source"].as_str().unwrap().to_owned()).collect();
    sources.sort();
    assert_eq!(sources, ["batch", "scripts"]);
    // Said again with other words, which Opsgenie's client does by PUT.
    let requests = || daemon.metric("quell_http_requests_total", &["code=\"202\"", "ingest"]);
    let before = requests();
    let mut changed = alert(json!("2100-01-01T00:00:00Z"));
    changed[0]["annotations"]["summary"] = json!("disk is quite full");
    changed[0]["labels"]["host"] = json!("db-1");
    alertmanager.post(&changed);
    wait_until("four more calls", PATIENCE, || requests() >= before + 3.5);
    changed[0]["endsAt"] = json!("2020-01-01T00:00:00Z");
    alertmanager.post(&changed);
    alertmanager.post(&alert(json!("2020-01-01T00:00:00Z")));
    wait_until("both to be told of the end", PATIENCE, || firing().is_empty());
    wait_until("the end of what was opened", PATIENCE, || daemon.incidents().iter().all(|it| it["status"] == "resolved"));
    assert!(alertmanager.failures().is_empty(), "{:?}", alertmanager.failures());
}

/// Debian's Alertmanager as a child process, which tells both of our addresses.
struct Alertmanager {
    child: Child,
    addr: SocketAddr,
    stderr: Collected,
    _folder: TempDir,
}

impl Alertmanager {
    fn start(quell: SocketAddr) -> Alertmanager {
        let folder = TempDir::new().unwrap();
        let config = format!(
            "route: {{ receiver: quell, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h }}\n\
             receivers:\n  - name: quell\n    pagerduty_configs:\n      - {{ routing_key: {KEY}, url: \"http://{quell}/v2/enqueue\", severity: error }}\n    \
             opsgenie_configs:\n      - {{ api_key: {GENIE}, api_url: \"http://{quell}/\", update_alerts: true, priority: P2 }}\n"
        );
        fs::write(folder.path().join("alertmanager.yml"), config).unwrap();
        // Free at this moment; it cannot be told to take any.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = Command::new("prometheus-alertmanager")
            .current_dir(folder.path())
            .args(["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address="])
            .arg(format!("--web.listen-address={addr}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("prometheus-alertmanager cannot be run ({e}); `tests/run` installs it, or: apt-get install prometheus-alertmanager")
            });
        let stderr = Collected::from(child.stderr.take().unwrap());
        let alertmanager = Alertmanager { child, addr, stderr, _folder: folder };
        wait_until("Alertmanager to be ready", PATIENCE, || {
            http::request(addr, "GET", "/-/ready", &[], b"").is_ok_and(|answer| answer.status == 200)
        });
        alertmanager
    }

    fn post(&self, alerts: &Value) {
        let headers = [("content-type", "application/json")];
        let answer = wait_for("Alertmanager's answer", PATIENCE, || {
            http::request(self.addr, "POST", "/api/v2/alerts", &headers, alerts.to_string().as_bytes()).ok()
        });
        assert!(answer.is_success(), "{}", answer.text());
    }

    /// What it could not deliver.
    fn failures(&self) -> Vec<String> {
        self.stderr
            .text()
            .lines()
            .filter(|line| line.contains("level=error") || line.contains("level=warn"))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended already; either way it must not outlive the test.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- Alertmanager's stderr ---\n{}---", self.stderr.text());
        }
    }
}

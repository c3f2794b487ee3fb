//! From alerts and a reported deployment to the probable cause that people read, with a kill -9 in between.

use serde_json::json;

use crate::daemon::{PATIENCE, Site, wait_for};

const RULES: &str = "
services:
  - { name: web, depends_on: [cart] }
  - { name: cart, depends_on: [cart-db] }
  - { name: cart-db, runbook: https://runbooks.example/cart-db }
correlate:
  - { name: all, by: [cluster] }
";

#[test]
fn a_deployment_that_was_reported_is_named_as_the_cause_after_a_kill_as_well() {
    let site = Site::new("receivers: [{ name: default, log: {} }]\n", &[("shop.yaml", RULES)]);
    let mut daemon = site.start();
    let change = json!({ "id": "v42", "kind": "deploy", "service": "cart-db", "summary": "cart-db v42" });
    let answer = daemon.post("/v1/changes", &change);
    assert_eq!((answer.status, &answer.json()["new"]), (200, &json!(1)), "{}", answer.text());
    assert_eq!(daemon.post("/v1/changes", &json!({ "kind": "deploy" })).status, 422);
    assert!((daemon.metric("quell_changes_recorded_total", &[]) - 1.0).abs() < f64::EPSILON);
    // What was answered is on disk.
    daemon.kill();
    let daemon = site.start();
    assert_eq!(daemon.get("/v1/changes?service=cart-db")["changes"][0]["summary"], "cart-db v42");

    let alert = |name: &str, service: &str| json!({ "labels": { "alertname": name, "service": service, "cluster": "eu1" } });
    daemon.post_alerts(&json!([alert("HighErrorRate", "web"), alert("HighErrorRate", "cart"), alert("SlowQueries", "cart-db")]));
    let causes = wait_for("the causes", PATIENCE, || {
        let causes = daemon.get("/v1/incidents/INC-1")["causes"].clone();
        (causes != json!([])).then_some(causes)
    });
    assert_eq!(causes[0]["entity"], "service/cart-db", "{causes}");
    assert_eq!(daemon.get("/v1/incidents/INC-1")["runbook"], "https://runbooks.example/cart-db", "that of the likeliest cause");
    let reasons = causes[0]["reasons"].to_string();
    assert!(reasons.contains("all 2 other things that alert depend on it"), "{reasons}");
    assert!(reasons.contains("before the first alert of it or of what depends on it: cart-db v42"), "{reasons}");

    let timeline = daemon.list("/v1/incidents/INC-1/timeline", "entries");
    let line = timeline.iter().find(|entry| entry["kind"] == "incident_causes_found").expect("a line in the timeline");
    assert!(line["text"].as_str().unwrap().starts_with("probable cause: service/cart-db ("), "{line}");
    let shown = site.run(&["incident", "show", "INC-1", "--url", &format!("http://{}", daemon.addr)]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for part in ["Probable causes", "service/cart-db", "https://runbooks.example/cart-db"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

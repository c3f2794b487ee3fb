//! Calls that change something, who may make them, and everything that is refused; probes, and the document.

use super::*;
use crate::api::{Access, ROUTES, admin, body};
use crate::config::{Secret, TokenConfig};
use crate::model::incident::IncidentType;

#[test]
fn the_document_names_every_route_and_no_other() {
    let document: Value = serde_json::from_str(admin::OPENAPI).unwrap();
    let mut documented = Vec::new();
    for (path, calls) in document["paths"].as_object().unwrap() {
        for (method, call) in calls.as_object().unwrap() {
            let access = if call.get("security").is_some() { "write" } else { "read" };
            documented.push(format!("{method} {path} {access}"));
        }
    }
    let access = |access| if access == Access::Read { "read" } else { "write" };
    let mut routed: Vec<String> = ROUTES.iter().map(|r| format!("{} {} {}", r.method, r.path, access(r.access))).collect();
    documented.sort();
    routed.sort();
    assert_eq!(documented, routed);
}

#[tokio::test]
async fn acts_reach_the_engine() {
    use IncidentType::{Major, Normal};
    let id = IncidentId(1);
    let cases = [
        ("acknowledge", "", Act::Acknowledge(id), "api"),
        ("acknowledge", r#"{"by":"ann"}"#, Act::Acknowledge(id), "ann"),
        ("resolve", "{}", Act::Resolve(id), "api"),
        ("reopen", "", Act::Reopen(id), "api"),
        ("close", r#"{"by":null}"#, Act::Close(id), "api"),
        ("comment", r#"{"text":" hello ","by":"bob"}"#, Act::Comment(id, "hello".into()), "bob"),
        ("assign", r#"{"assignee":"eve"}"#, Act::Assign(id, Some("eve".into())), "api"),
        ("assign", r#"{"assignee":null}"#, Act::Assign(id, None), "api"),
        ("type", r#"{"type":"major","reason":"the press","by":"ann"}"#, Act::SetType(id, Major, "the press".into()), "ann"),
        ("type", r#"{"type":"normal","reason":"a drill"}"#, Act::SetType(id, Normal, "a drill".into()), "api"),
    ];
    for (act, body, expected, who) in cases {
        let site = Site::new(|_, _| {}).live(&incidents(1..=1, IncidentStatus::Open));
        let (status, _, answer) = site.post(&format!("/v1/incidents/INC-1/{act}"), &[], body).await;
        assert_eq!((status, &answer["id"]), (StatusCode::OK, &json!("INC-1")), "{act} {body}: {answer}");
        let told = site.fake.told.lock().unwrap();
        let [Input::Act { act, by: Actor::Person(by) }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((act, &**by), (&expected, who));
    }
}

#[tokio::test]
async fn refusals_have_their_status() {
    let cases: [(Submitted, u16, &str); 6] = [
        (Ok(Err(Refusal::NoSuchIncident(IncidentId(9)))), 404, "not_found"),
        (Ok(Err(Refusal::Forbidden("INC-9 is closed".into()))), 409, "conflict"),
        (Ok(Err(Refusal::Limit("comments"))), 422, "unprocessable"),
        (Err(SubmitError::Overloaded), 429, "overloaded"),
        (Err(SubmitError::Storage("disk full".into())), 503, "storage"),
        (Err(SubmitError::Stopping), 503, "stopping"),
    ];
    for (answer, status, code) in cases {
        let site = Site::new(|_, fake| fake.answer = answer);
        let (got, headers, body) = site.post("/v1/incidents/INC-9/acknowledge", &[], "").await;
        assert_eq!((got.as_u16(), body["error"]["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(headers.contains_key("retry-after"), status == 429 || status == 503);
    }
}

#[tokio::test]
async fn bad_requests_are_told_what_is_wrong() {
    let site = Site::new(|_, _| {}).live(&incidents(1..=1, IncidentStatus::Open));
    let gets = [
        ("/v1/incidents?status=opened", 400, "parameter status"),
        ("/v1/incidents?priority=6", 400, "parameter priority"),
        ("/v1/incidents?limit=0", 400, "parameter limit"),
        ("/v1/incidents?limit=1001", 400, "parameter limit"),
        ("/v1/incidents?cursor=x", 400, "parameter cursor"),
        ("/v1/incidents?label=x", 400, "parameter label"),
        ("/v1/incidents?team=a&team=b", 400, "parameter team"),
        ("/v1/incidents?state=open", 400, "unknown parameter \"state\""),
        ("/v1/incidents/INC-1?x=1", 400, "unknown parameter \"x\""),
        ("/v1/incidents/INC-x", 400, "INC-1042"),
        ("/v1/incidents/INC-99", 404, "INC-99"),
        ("/v1/incidents/INC-99/timeline", 404, "INC-99"),
        ("/v1/alerts?status=open", 400, "parameter status"),
        ("/v1/alerts?status=all&limit=all", 400, "parameter limit"),
        ("/v1/alerts/xyz", 400, "fingerprint"),
        ("/v1/notifications?state=open", 400, "parameter state"),
        ("/v1/events?since=x", 400, "parameter since"),
        ("/v1/nothing", 404, "/v1/nothing"),
        ("/v1/incidents/INC-1/acknowledge", 405, "GET"),
    ];
    for (path, status, part) in gets {
        let (got, body) = site.get(path).await;
        assert_eq!(got.as_u16(), status, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(part), "{path}: {body}");
    }
    let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(body::BODY_BYTES_MAX));
    let posts = [
        ("comment", "", 422, "text"),
        ("comment", r#"{"text":" "}"#, 422, "text"),
        ("comment", r#"{"text":1}"#, 422, "string"),
        ("comment", r#"{"text":"a","x":1}"#, 422, "x"),
        ("comment", r#"{"text":"#, 400, "JSON"),
        ("comment", "[]", 422, "expected"),
        ("comment", &long, 413, "65536"),
        ("assign", "{}", 422, "assignee"),
        ("assign", r#"{"assignee":""}"#, 422, "assignee"),
        ("acknowledge", r#"{"by":"a\u0007"}"#, 422, "by"),
        ("acknowledge", r#"{"by":7}"#, 422, "by"),
        ("snooze", "", 501, "not supported yet"),
        ("explode", "", 404, "acknowledge, assign, comment, resolve, reopen, close"),
    ];
    for (act, body, status, part) in posts {
        let (got, _, answer) = site.post(&format!("/v1/incidents/INC-1/{act}"), &[], body).await;
        assert_eq!(got.as_u16(), status, "{act}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{act}: {answer}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    assert_eq!(site.post("/v1/incidents/INC-1/comment", &form, "text=a").await.0, 415);
    let other_method = Request::delete("/v1/incidents").body(Body::empty()).unwrap();
    let refused = site.send(other_method).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "GET,HEAD,POST"));
    assert!(site.fake.told.lock().unwrap().is_empty(), "nothing of this may reach the engine");
}

#[tokio::test]
async fn writing_needs_a_token_once_there_is_one() {
    let tokens = |config: &mut Config| {
        config.tokens = [("ann", "canary-ann"), ("ci", "canary-ci")]
            .map(|(name, token)| TokenConfig { name: name.into(), token: Secret::new(token) })
            .to_vec();
    };
    let site = Site::new(|config, _| tokens(config)).live(&incidents(1..=1, IncidentStatus::Open));
    let cases = [
        (None, 401),
        (Some("Bearer canary"), 401),
        (Some("Bearer "), 401),
        (Some("Basic canary-ci"), 401),
        (Some("canary-ci"), 401),
        (Some("Bearer canary-ci"), 200),
        (Some("bearer  canary-ci"), 200),
    ];
    for (header, expected) in cases {
        let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
        for path in ["/v1/incidents/INC-1/acknowledge", "/-/reload"] {
            let (status, headers, body) = site.post(path, &headers, "").await;
            assert_eq!(status.as_u16(), expected, "{header:?} {path}");
            assert_eq!(headers.contains_key("www-authenticate"), expected == 401);
            assert!(!body.to_string().contains("canary"), "{body}");
        }
    }
    assert_eq!(site.get("/v1/incidents").await.0, 200, "reading stays open");
    // The name of the token stands in the audit trail, whatever the caller says of himself.
    site.post("/v1/incidents/INC-1/close", &[("authorization", "Bearer canary-ann")], r#"{"by":"mallory"}"#).await;
    let told = site.fake.told.lock().unwrap();
    assert!(matches!(told.last(), Some(Input::Act { by: Actor::Person(by), .. }) if &**by == "ann"), "{told:?}");
}

#[tokio::test]
async fn browsers_cannot_be_lured_into_writing() {
    let loopback = |_: &mut Config, _: &mut Fake| {};
    let public = |config: &mut Config, _: &mut Fake| config.listen = SocketAddr::from(([192, 0, 2, 1], 9093));
    let named = |config: &mut Config, _: &mut Fake| config.external_url = Some("https://quell.example/".into());
    let cases: [(SiteChange, &[Header], u16); 16] = [
        (loopback, &[("host", "127.0.0.1:9093")], 200),
        (loopback, &[("host", "[::1]:9093")], 200),
        (loopback, &[("host", "LOCALHOST")], 200),
        (loopback, &[("host", "evil.example")], 403),
        (loopback, &[("host", "localhost.evil.example")], 403),
        (loopback, &[("host", "quell.example")], 403),
        (named, &[("host", "quell.example")], 200),
        (public, &[("host", "quell.example")], 200),
        (loopback, &[("origin", "http://localhost:9093")], 200),
        (loopback, &[("origin", "http://localhost:8080")], 403),
        (loopback, &[("origin", "null")], 403),
        (public, &[("host", "192.0.2.1:9093"), ("origin", "https://evil.example")], 403),
        (named, &[("host", "127.0.0.1:9093"), ("origin", "https://quell.example")], 200),
        (loopback, &[("sec-fetch-site", "cross-site")], 403),
        (loopback, &[("sec-fetch-site", "same-site")], 403),
        (loopback, &[("sec-fetch-site", "same-origin")], 200),
    ];
    for (change, headers, expected) in cases {
        let site = Site::new(change).live(&incidents(1..=1, IncidentStatus::Open));
        let (status, answer_headers, body) = site.post("/v1/incidents/INC-1/acknowledge", headers, "").await;
        assert_eq!(status.as_u16(), expected, "{headers:?}: {body}");
        assert!(!answer_headers.contains_key("access-control-allow-origin"));
        assert_eq!(site.fake.told.lock().unwrap().len(), usize::from(expected == 200), "{headers:?}");
    }
}

#[tokio::test]
async fn probes_status_reload_and_metrics() {
    let site = Site::new(|_, _| {}).live(&incidents(1..=2, IncidentStatus::Open));
    assert_eq!(site.get("/-/healthy").await.0, 200);
    assert_eq!(site.get("/-/ready").await.0, 200);
    let (_, status) = site.get("/v1/status").await;
    assert_eq!((&status["incidents"]["open"], &status["directory"]), (&json!(2), &json!("dir1")));
    let (reloaded, _, answer) = site.post("/-/reload", &[], "").await;
    assert_eq!((reloaded.as_u16(), &answer["message"]), (200, &json!("3 rules are in force")));

    site.get("/v1/nothing").await;
    let (_, text) = site.get("/metrics").await;
    let text = text.as_str().unwrap();
    for line in [
        r#"quell_http_requests_total{code="200",handler="ready"} 1"#,
        r#"quell_http_requests_total{code="404",handler="none"} 1"#,
        concat!("quell_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        "quell_start_time_seconds 1767571200",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(site.metrics.resident_memory_bytes.get() > 1 << 20);
    assert!(site.metrics.open_fds.get() > 2);

    site.fake.shutdown.trigger();
    assert_eq!(site.get("/-/ready").await.0, 503);
    assert_eq!(site.get("/-/healthy").await.0, 200);

    let sick = Site::new(|_, fake| fake.status.storage_fault = Some("no space left".into()));
    assert_eq!(sick.get("/-/ready").await, (StatusCode::SERVICE_UNAVAILABLE, json!("quell cannot write: no space left\n")));
    assert_eq!(sick.get("/v1/status").await.1["log"], json!({ "seq": 7, "view_seq": 6, "fault": "no space left" }));

    let broken = Site::new(|_, fake| fake.reload = Err("rules/a.yaml:3: unknown key".into()));
    let (status, _, answer) = broken.post("/-/reload", &[], "").await;
    assert_eq!((status.as_u16(), &answer["error"]["message"]), (422, &json!("rules/a.yaml:3: unknown key")));
}

#[tokio::test]
async fn answers_are_hardened() {
    let site = Site::new(|_, _| {});
    for path in ["/v1/incidents", "/v1/nothing", "/metrics"] {
        let response = site.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    }
}

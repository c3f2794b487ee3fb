//! Secrets stay where they are: canaries in every place that can hold one, then a search through everything that the
//! daemon says, answers, measures and writes.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::daemon::{PATIENCE, Site, wait_until};
use crate::fakes::pagerduty::PagerDuty;
use crate::signatures::github_signature;

const SOURCE_TOKEN: &str = "canary-source-token-1f0c";
const PATH_TOKEN: &str = "canary-path-token-2a7d";
const API_TOKEN: &str = "canary-api-token-3b9e";
const ROUTING_KEY: &str = "canaryroutingkey4c0f4c0f4c0f4c0f";
const URL_PASSWORD: &str = "canary-url-password-5d1a";
const URL_QUERY: &str = "canary-url-query-6e2b";
const HOOK_SECRET: &str = "whsec_Y2FuYXJ5LWhvb2stc2VjcmV0LTdmM2MtN2YzYy03ZjNj";
const TICKET_PASSWORD: &str = "canary-ticket-password-8a4d";
const MAIL_PASSWORD: &str = "canary-mail-password-9b5e";
const OLD_TOKEN: &str = "canary-old-token-1d7a";
const SIGNING_SECRET: &str = "canary-signing-secret-2e8b";
const OLD_SIGNING_SECRET: &str = "canary-old-signing-secret-3f9c";
/// What confirms a subscription: whoever has it may.
const SNS_TOKEN: &str = "canary5a1e5a1e5a1e5a1e5a1e5a1e5a1e5a1e";
/// What a stranger tries: his guesses are somebody's secrets, too.
const WRONG_TOKEN: &str = "canary-wrong-token-0c6f";

const CANARIES: [&str; 14] = [
    SOURCE_TOKEN,
    PATH_TOKEN,
    API_TOKEN,
    ROUTING_KEY,
    URL_PASSWORD,
    URL_QUERY,
    HOOK_SECRET,
    TICKET_PASSWORD,
    MAIL_PASSWORD,
    OLD_TOKEN,
    SIGNING_SECRET,
    OLD_SIGNING_SECRET,
    SNS_TOKEN,
    WRONG_TOKEN,
];

/// Port 9 (discard) of this machine: nobody listens, so every delivery there fails and says why.
const NOBODY: &str = "127.0.0.1:9";

fn config(pager: &str) -> String {
    format!(
        r#"
sources:
  - {{ name: prometheus, format: prometheus, token: {SOURCE_TOKEN} }}
  - {{ name: shop, format: alertmanager, token: [{PATH_TOKEN}, {OLD_TOKEN}], token_header: X-Shop-Token }}
  - {{ name: jobs, format: generic, token: {PATH_TOKEN}, map: {{ labels: {{ alertname: "{{{{ body.job }}}}" }} }} }}
  - {{ name: pushes, format: alertmanager, signature: {{ scheme: github, secret: [{SIGNING_SECRET}, {OLD_SIGNING_SECRET}] }} }}
  - {{ name: topics, format: cloudwatch, token: {PATH_TOKEN} }}
  - {{ name: signed-topics, format: cloudwatch, sns: {{ topics: ["arn:aws:sns:eu-west-1:1:alarms"] }} }}
tokens:
  - {{ name: operators, token: {API_TOKEN} }}
receivers:
  - name: pager
    pagerduty: {{ routing_key: {{ file: routing.key }}, url: "{pager}" }}
  - name: hook
    webhook: {{ url: "http://quell:{URL_PASSWORD}@{NOBODY}/hook?token={URL_QUERY}", secret: {HOOK_SECRET} }}
  - name: tickets
    servicenow: {{ url: "http://{NOBODY}", user: quell, password: {TICKET_PASSWORD} }}
  - name: mail
    email: {{ host: 127.0.0.1, port: 9, tls: "off", user: quell, password: {MAIL_PASSWORD}, from: quell@example.org, to: [ops@example.org] }}
  - name: console
    log: {{}}
"#
    )
}

const RULES: &str = "
escalate:
  - name: everybody
    steps:
      - notify: [pager, hook, tickets, mail, console]
";

#[test]
fn no_output_contains_a_secret() {
    let pager = PagerDuty::start();
    let site = Site::new(&config(&pager.url()), &[("rules.yaml", RULES)]);
    fs::write(site.path().join("routing.key"), format!("{ROUTING_KEY}\n")).unwrap();
    let mut daemon = site.start();
    let mut outputs: Vec<(String, String)> = Vec::new();

    // In: the right tokens, wrong ones, and secrets in paths.
    let alert = json!([{ "labels": { "alertname": "DiskFull", "host": "db1" } }]).to_string();
    let webhook =
        json!({ "version": "4", "status": "firing", "alerts": [{ "status": "firing", "labels": { "alertname": "Hooked" } }] })
            .to_string();
    // Cannot be mapped, so its body is kept.
    let odd = json!({ "jbo": "Backup", "keys": [PATH_TOKEN, API_TOKEN] }).to_string();
    let posts = [
        ("/api/v2/alerts".to_owned(), SOURCE_TOKEN, &alert, true),
        ("/api/v2/alerts".to_owned(), WRONG_TOKEN, &alert, false),
        (format!("/v1/ingest/shop/{PATH_TOKEN}"), "", &webhook, true),
        (format!("/v1/ingest/jobs/{PATH_TOKEN}"), "", &odd, true),
        (format!("/v1/ingest/shop/{WRONG_TOKEN}"), "", &webhook, false),
        (format!("/v1/ingest/nobody/{WRONG_TOKEN}"), "", &webhook, false),
        ("/v1/incidents/INC-1/acknowledge".to_owned(), WRONG_TOKEN, &alert, false),
        ("/v1/heartbeats/nightly".to_owned(), WRONG_TOKEN, &alert, false),
    ];
    for (path, token, body, taken) in posts {
        let authorization = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", &authorization));
        }
        let response = daemon.request("POST", &path, &headers, body.as_bytes());
        assert_eq!(response.is_success(), taken, "{path}: {} {}", response.status, response.text());
        outputs.push((format!("the answer to POST {path}"), response.text()));
    }

    // In: in a header of the source's own, signed, wrongly signed, and a topic's question whether it may send.
    let signed = |secret: &str| github_signature(secret, &webhook);
    let asks = json!({
        "Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:others", "Token": SNS_TOKEN, "MessageId": "m",
        "SubscribeURL": format!("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token={SNS_TOKEN}"),
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0f1e.pem", "SignatureVersion": "1",
        "Signature": "", "Timestamp": "2026-05-04T08:02:11.304Z", "Message": "m",
    })
    .to_string();
    let posts = [
        ("/v1/ingest/shop".to_owned(), "x-shop-token", OLD_TOKEN.to_owned(), &webhook, true),
        ("/v1/ingest/shop".to_owned(), "x-shop-token", WRONG_TOKEN.to_owned(), &webhook, false),
        ("/v1/ingest/pushes".to_owned(), "x-hub-signature-256", signed(SIGNING_SECRET), &webhook, true),
        ("/v1/ingest/pushes".to_owned(), "x-hub-signature-256", signed(OLD_SIGNING_SECRET), &webhook, false),
        ("/v1/ingest/pushes".to_owned(), "x-hub-signature-256", signed(WRONG_TOKEN), &webhook, false),
        (format!("/v1/ingest/topics/{PATH_TOKEN}"), "x-none", String::new(), &asks, true),
        ("/v1/ingest/signed-topics".to_owned(), "x-none", String::new(), &asks, false),
    ];
    for (path, header, value, body, taken) in posts {
        let response = daemon.request("POST", &path, &[(header, &value)], body.as_bytes());
        assert_eq!(response.is_success(), taken, "{path}: {} {}", response.status, response.text());
        outputs.push((format!("the answer to POST {path}"), response.text()));
    }

    // The secrets of webhooks, right and wrong.
    let ping = b"{\"object_kind\":\"push\"}";
    for (header, value, status) in [
        ("x-gitlab-token", API_TOKEN.to_owned(), 202),
        ("x-gitlab-token", WRONG_TOKEN.to_owned(), 401),
        ("x-hub-signature-256", format!("sha256={WRONG_TOKEN}"), 401),
    ] {
        let headers = [("content-type", "application/json"), ("x-gitlab-event", "Push Hook"), (header, value.as_str())];
        let response = daemon.request("POST", "/v1/changes", &headers, ping);
        assert_eq!(response.status, status, "{header}: {}", response.text());
        outputs.push((format!("the answer to {header}"), response.text()));
    }

    // Out: one delivery that is taken, and a failure of each other kind.
    wait_until("the page", PATIENCE, || !pager.requests().is_empty());
    wait_until("the failures", PATIENCE, || {
        let failed = daemon.notifications().into_iter().filter(|n| !n["error"].is_null());
        failed.map(|n| n["receiver"].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>().len() == 3
    });
    for path in [
        "/v1/incidents?status=all",
        "/v1/incidents/INC-1",
        "/v1/incidents/INC-1/timeline",
        "/v1/incidents/INC-1/alerts",
        "/v1/alerts?status=all",
        "/v1/notifications",
        "/v1/sources",
        "/v1/rejects",
        "/metrics",
        "/-/ready",
        "/-/healthy",
        "/api/v2/status",
    ] {
        outputs.push((format!("GET {path}"), daemon.request("GET", path, &[], b"").text()));
    }

    let kept = daemon.get("/v1/rejects")["rejects"][0]["id"].as_str().unwrap().to_owned();
    let token = format!("Bearer {API_TOKEN}");
    let shown = daemon.request("GET", &format!("/v1/rejects/{kept}"), &[("authorization", &token)], b"");
    assert!(shown.text().contains("Backup"), "{}", shown.text());
    outputs.push(("a kept message".to_owned(), shown.text()));

    daemon.signal("TERM");
    daemon.wait_for_exit(PATIENCE);
    outputs.push(("stdout".to_owned(), daemon.stdout()));
    outputs.push(("stderr".to_owned(), daemon.stderr()));
    let data = site.data();
    let dump = site.run(&["log", "dump", "--data", data.to_str().unwrap()]);
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    outputs.push(("log dump".to_owned(), String::from_utf8_lossy(&dump.stdout).into_owned()));
    assert!(outputs.iter().any(|(_, text)| text.contains("DiskFull")), "the search would not find what is there");
    add_files(&data, &mut outputs);
    search(&outputs);
}

#[test]
fn a_faulty_configuration_is_shown_without_its_secrets() {
    let faults = [
        // The line at fault is shown, and a secret stands on it.
        format!("receivers:\n  - {{ name: pager, pagerduty: {{ routing_key: {ROUTING_KEY}, urll: x }} }}\n"),
        format!("tokens:\n  - {{ name: operators, token: [{API_TOKEN}] }}\n"),
        format!("tokens:\n  - {{ name: operators, token: {API_TOKEN}, nmae: x }}\n"),
        format!("sources:\n  - {{ name: a, format: nagios, token: [{SOURCE_TOKEN}, 5] }}\n"),
        format!("sources:\n  - {{ name: a, format: nagios, signature: {{ scheme: githb, secret: {SIGNING_SECRET} }} }}\n"),
        format!(
            "sources:\n  - {{ name: a, format: nagios, signature: {{ scheme: standard-webhooks, secret: {SIGNING_SECRET} }} }}\n"
        ),
        format!("receivers:\n  - name: hook\n    webhook: {{ url: \"htp://quell:{URL_PASSWORD}@{NOBODY}/\" }}\n"),
    ];
    for config in faults {
        let (status, stderr) = Site::new(&config, &[]).start_refused();
        assert!(!status.success() && !stderr.is_empty(), "taken: {config}");
        search(&[(format!("the error for {config}"), stderr)]);
    }
}

/// Every file of the data directory, whatever it holds.
fn add_files(folder: &Path, outputs: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_files(&path, outputs);
        } else {
            outputs.push((path.display().to_string(), String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()));
        }
    }
}

fn search(outputs: &[(String, String)]) {
    for (place, text) in outputs {
        for canary in CANARIES {
            if let Some(at) = text.find(canary) {
                let around: String = text[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect();
                panic!("{place} contains {canary}, behind: {around}");
            }
        }
    }
}

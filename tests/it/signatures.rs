//! Signed messages at a real daemon: each is taken once, also by many connections at once, over kill -9, and with a view that
//! is built anew. And what no message can make the daemon do: call somebody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::daemon::{Daemon, PATIENCE, Site};
use crate::fakes::http::{Answer, Server};

const GITHUB_SECRET: &str = "It's a Secret to Everybody";
const WEBHOOKS_SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What GitHub and its like sign a body with.
pub(crate) fn github_signature(secret: &str, body: &str) -> String {
    let digest = mac(secret.as_bytes(), body.as_bytes());
    digest.iter().fold("sha256=".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

fn site() -> Site {
    let map = r#"map: { labels: { alertname: "{{ body.name }}" } }"#;
    let hooks = format!("signature: {{ scheme: standard-webhooks, secret: whsec_{WEBHOOKS_SECRET} }}, {map}");
    let pushes = format!("signature: {{ scheme: github, secret: \"{GITHUB_SECRET}\" }}, {map}");
    let source = |name: &str, rest: &str| format!("  - {{ name: {name}, format: generic, {rest} }}\n");
    Site::new(&format!("sources:\n{}{}", source("hooks", &hooks), source("pushes", &pushes)), &[])
}

fn push(daemon: &Daemon, body: &str) -> u16 {
    let signature = github_signature(GITHUB_SECRET, body);
    daemon.request("POST", "/v1/ingest/pushes", &[("x-hub-signature-256", &signature)], body.as_bytes()).status
}

/// A message as Standard Webhooks has it, signed for a moment some seconds from now.
fn hook(daemon: &Daemon, id: &str, at: u64, body: &str) -> (u16, String) {
    let content = format!("{id}.{at}.{body}");
    let signature = format!("v1,{}", BASE64.encode(mac(&BASE64.decode(WEBHOOKS_SECRET).unwrap(), content.as_bytes())));
    let headers = [("webhook-id", id), ("webhook-timestamp", &at.to_string()), ("webhook-signature", &signature)];
    let response = daemon.request("POST", "/v1/ingest/hooks", &headers, body.as_bytes());
    (response.status, response.text())
}

#[test]
fn what_was_taken_is_not_taken_again_after_kill_9() {
    let site = site();
    let mut daemon = site.start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(push(&daemon, r#"{"name":"Pushed"}"#), 200);
    assert_eq!(hook(&daemon, "msg_1", now, r#"{"name":"Hooked"}"#).0, 200);
    for view in ["as it was", "built anew"] {
        daemon.kill();
        if view == "built anew" {
            fs::read_dir(site.data()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).for_each(
                |path| {
                    if path.file_name().unwrap().to_string_lossy().starts_with("view.db") {
                        fs::remove_file(path).unwrap();
                    }
                },
            );
        }
        daemon = site.start();
        assert_eq!(push(&daemon, r#"{"name":"Pushed"}"#), 401, "{view}");
        assert_eq!(hook(&daemon, "msg_1", now, r#"{"name":"Hooked"}"#).0, 401, "{view}");
        let replayed = daemon.metric("quell_requests_rejected_total", &["reason=\"replayed\""]);
        assert!((replayed - 2.0).abs() < 0.1, "{view}: {replayed}");
        // Its sender tries again, because it has not heard of it: another time, signed, and the same id.
        let (status, text) = hook(&daemon, "msg_1", now + 1, r#"{"name":"Hooked"}"#);
        assert!(status == 200 && text.contains(r#""accepted":0"#), "{view}: {status} {text}");
    }
    assert_eq!(push(&daemon, r#"{"name":"Pushed again"}"#), 200);
    assert_eq!(hook(&daemon, "msg_2", now, r#"{"name":"Hooked"}"#).0, 200);
    assert_eq!(daemon.list("/v1/alerts?status=all", "alerts").len(), 3);
    daemon.kill();
}

#[test]
fn of_many_at_once_one_is_taken() {
    let site = site();
    let daemon = site.start();
    for round in 0..10 {
        let body = format!(r#"{{"name":"Round {round}"}}"#);
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..8).map(|_| scope.spawn(|| push(&daemon, &body))).collect();
            senders.into_iter().map(|sender| sender.join().unwrap()).collect()
        });
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for status in answers {
            *counts.entry(status).or_default() += 1;
        }
        assert_eq!(counts.get(&200), Some(&1), "{counts:?}");
        assert!(counts.keys().all(|status| [200, 401, 429].contains(status)), "{counts:?}");
    }
    let new = daemon.metric("quell_alerts_new_total", &["source=\"pushes\""]);
    assert!((new - 10.0).abs() < 0.1, "{new}");
}

/// The samples of SNS, against the certificate that they were signed with.
#[test]
fn messages_of_sns_are_checked_by_the_certificate_that_is_named() {
    let folder = format!("{}/tests/golden/payloads/cloudwatch", env!("CARGO_MANIFEST_DIR"));
    let sns = format!(
        "{{ topics: [\"arn:aws:sns:eu-west-1:210987654321:prod-alarms\"], confirm: false, window: 36500d, \
         certificate: {{ file: {folder}/test-signing-cert.pem }} }}"
    );
    let site = Site::new(&format!("sources: [{{ name: aws, format: cloudwatch, sns: {sns} }}]\n"), &[]);
    let mut daemon = site.start();
    let cases = [
        ("invalid-signature.json", 403),
        ("invalid-cert-host.json", 403),
        ("subscription-confirmation-ssrf.json", 403),
        ("raw-message-delivery.json", 403),
        ("firing.json", 202),
        ("subscription-confirmation.json", 200),
    ];
    let post = |daemon: &Daemon, file: &str| {
        let body = fs::read(format!("{folder}/{file}")).unwrap();
        daemon.request("POST", "/v1/ingest/aws", &[("content-type", "text/plain; charset=UTF-8")], &body)
    };
    for (file, expected) in cases {
        let response = post(&daemon, file);
        assert_eq!(response.status, expected, "{file}: {}", response.text());
    }
    daemon.kill();
    let daemon = site.start();
    // The same number: SNS tries again, and signs in the other version.
    let response = post(&daemon, "firing-signature-v2.json");
    assert!(response.status == 202 && response.text().contains(r#""accepted":0"#), "{}", response.text());
    assert_eq!(daemon.list("/v1/alerts?status=all", "alerts").len(), 1);
}

/// Whatever addresses messages hold, nothing is asked for there.
#[test]
fn no_address_in_a_message_is_ever_called() {
    let trap = Server::start(|_| Answer::text(200, "gotcha"));
    let url = trap.url();
    let source = |name: &str| format!("  - {{ name: {name}, format: {name} }}\n");
    let names = ["alertmanager", "grafana", "cloudwatch", "cloudevents", "sentry", "datadog", "netdata"];
    let topics = "sns: { topics: [\"arn:aws:sns:eu-west-1:1:alarms\"] }";
    let config = format!("sources:\n{}  - {{ name: signed, format: cloudwatch, {topics} }}\n", names.map(source).concat());
    let site = Site::new(&config, &[]);
    let mut daemon = site.start();
    let alert = json!({
        "status": "firing", "labels": { "alertname": "A", "runbook_url": url }, "annotations": { "runbook_url": url, "image": url },
        "generatorURL": url, "startsAt": "2026-05-14T09:40:21Z", "silenceURL": url, "dashboardURL": url, "panelURL": url, "imageURL": url,
    });
    let group = json!({ "version": "4", "externalURL": url, "status": "firing", "alerts": [alert] });
    let envelope = |kind: &str, certificate: &str, confirm: &str| {
        json!({
            "Type": kind, "TopicArn": "arn:aws:sns:eu-west-1:1:alarms", "MessageId": "m", "Message": "{}", "Token": "t", "Signature": "",
            "SignatureVersion": "1", "Timestamp": "2026-05-14T09:40:21Z", "SigningCertURL": certificate, "SubscribeURL": confirm,
            "UnsubscribeURL": url,
        })
    };
    let event = json!({
        "specversion": "1.0", "id": "1", "source": url, "type": "x.firing", "dataschema": url,
        "data": { "links": [{ "href": url }], "summary": "S" },
    });
    let hidden = url.replace("http://", "https://sns.eu-west-1.amazonaws.com@");
    let amazon = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0f1e.pem";
    let kinds = ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"];
    let mut posts = vec![("alertmanager", group.clone()), ("grafana", group), ("cloudevents", event)];
    for source in ["cloudwatch", "signed"] {
        for certificate in [&url, &hidden] {
            posts.extend(kinds.map(|kind| (source, envelope(kind, certificate, &url))));
        }
    }
    // Here all but what would be called is good, where nothing is signed.
    posts.extend(kinds.map(|kind| ("cloudwatch", envelope(kind, amazon, &url))));
    daemon.post_alerts(&json!([{ "labels": { "alertname": "A" }, "generatorURL": url, "annotations": { "url": url } }]));
    for (source, body) in posts {
        let status = daemon.post(&format!("/v1/ingest/{source}"), &body).status;
        assert!([200, 202, 403].contains(&status), "{source}: {status} for {body}");
    }
    let ask = [("webhook-request-origin", "events.example.com"), ("webhook-request-callback", &*url)];
    assert_eq!(daemon.request("OPTIONS", "/v1/ingest/cloudevents", &ask, b"").status, 200);
    daemon.signal("TERM");
    daemon.wait_for_exit(PATIENCE);
    assert!(trap.requests().is_empty(), "{:#?}", trap.requests());
}

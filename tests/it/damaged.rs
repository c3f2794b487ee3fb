//! Requests damaged at random, by fixed seeds: method, path, headers, framing, body. Each gets an answer or a closed connection,
//! and afterwards the daemon serves as ever. What bodies become is looked at without HTTP, in `tests/sim/fuzz`.

#[path = "../sim/fuzz/mutate.rs"]
mod mutate;

use serde_json::json;

use crate::daemon::Site;
use crate::http::Connection;
use crate::random::Random;
use mutate::{Shape, damaged};

const REQUESTS: u64 = 1_000;

const CONFIG: &str = r"
sources:
  - { name: open, format: nagios }
  - { name: shut, format: cloudevents, token: { file: token } }
  - { name: pager, format: pagerduty-events-v2, token: { file: token } }
  - { name: genie, format: opsgenie, token: { file: token } }
limits: { body_bytes: 65536 }
";

/// Heads of requests, without their ends.
const HEADS: [&str; 8] = [
    "POST /api/v2/alerts HTTP/1.1\r\nhost: a\r\ncontent-type: application/json",
    "POST /v1/ingest/open HTTP/1.1\r\nhost: a\r\nauthorization: Bearer t\r\ncontent-encoding: gzip",
    "POST /v1/ingest/shut/the%2Dtoken HTTP/1.1\r\nhost: a\r\nce-specversion: 1.0\r\nce-type: a.firing\r\nce-source: %C3%A9",
    "OPTIONS /v1/ingest/shut HTTP/1.1\r\nhost: a\r\nauthorization: Basic YTp0aGUtdG9rZW4=\r\nwebhook-request-origin: a.example",
    "POST /v2/alerts/a%2Fb/close?identifierType=alias HTTP/1.1\r\nhost: a\r\nauthorization: GenieKey the-token",
    "POST /v2/enqueue HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nexpect: 100-continue",
    "GET /v1/incidents?status=all&label=a%3Ab&limit=10&cursor=MQ HTTP/1.1\r\nhost: a\r\naccept: */*",
    "GET /v1/alerts/0123456789abcdef/explain HTTP/1.0\r\nhost: a\r\nconnection: close",
];

const BODIES: [&str; 4] = [
    r#"[{"labels":{"alertname":"Bad","severity":"critical"},"startsAt":"2026-01-05T10:00:00Z"}]"#,
    r#"{"NOTIFICATIONTYPE":"PROBLEM","HOSTNAME":"h","SERVICEDESC":"s","SERVICESTATE":"CRITICAL","TIMET":"1778751993"}"#,
    r#"{"routing_key":"the-token","event_action":"trigger","dedup_key":"k","payload":{"summary":"s","source":"h","severity":"error"}}"#,
    "",
];

fn request(seed: u64) -> Vec<u8> {
    let mut random = Random::new(seed);
    let corpus = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>();
    let shape = [Shape::Bytes, Shape::Words, Shape::Lines][usize::try_from(random.below(3)).unwrap()];
    let head = damaged(shape, &corpus(&HEADS), &mut random);
    let body = damaged(Shape::Json, &corpus(&BODIES), &mut random);
    // Mostly a length that is right, so that what stands behind the head is reached.
    let length = if random.one_in(4) { random.below(200) } else { body.len() as u64 };
    [head.as_slice(), format!("\r\ncontent-length: {length}\r\n\r\n").as_bytes(), &body].concat()
}

#[test]
fn damaged_requests_do_no_harm() {
    let site = Site::new(CONFIG, &[]);
    std::fs::write(site.path().join("token"), "the-token").unwrap();
    let daemon = site.start();
    let mut answered = 0;
    for seed in 0..REQUESTS {
        let bytes = request(seed);
        let mut connection = Connection::open(daemon.addr).unwrap();
        // The daemon may answer and close before it has read everything.
        drop(connection.write(&bytes));
        drop(connection.finish_writing());
        if let Ok(response) = connection.read_response() {
            answered += 1;
            assert_ne!(response.status, 500, "seed {seed}: {:?}: {}", String::from_utf8_lossy(&bytes), response.text());
        }
    }
    assert!(answered > REQUESTS / 2, "{answered} answers: the damage is too great to test anything");
    assert!(!daemon.stderr().contains("panicked") && !daemon.stderr().contains("the-token"), "{}", daemon.stderr());
    daemon.post_alerts(&json!([{ "labels": { "alertname": "Honest" } }]));
    let alerts = daemon.list("/v1/alerts?status=all", "alerts");
    assert!(alerts.iter().any(|alert| alert["labels"]["alertname"] == "Honest"), "{alerts:?}");
}

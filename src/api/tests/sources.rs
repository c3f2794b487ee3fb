//! Sources and kept messages over HTTP: what is listed, what is shown to whom, what becomes of what.

use std::path::Path;

use super::*;
use crate::config::{Secret, TokenConfig};
use crate::runtime::sources::{Answer, RejectsError, Replayed, SourceStatus, Sources};
use crate::storage::disk::FolderDisk;
use crate::storage::rejects::{Reject, Rejects, Verdict};

/// Three kept messages, two of `a` and one of `b`; of the second everything fails.
pub(super) struct FakeSources {
    rejects: Mutex<Rejects<FolderDisk>>,
}

impl FakeSources {
    pub(super) fn new(folder: &Path) -> FakeSources {
        let disk = FolderDisk::open(&folder.join("rejects")).unwrap();
        let (mut rejects, _) = Rejects::open(disk, 10, 1_000).unwrap();
        for (n, source) in [(0, "a"), (1, "a"), (2, "b")] {
            let verdict = Verdict { error: format!("`f{n}` is missing"), failed: vec![0], alerts: 2 };
            let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
            rejects.keep(source, &format!("body {n}"), headers, verdict, NOW + Millis(n)).unwrap();
        }
        FakeSources { rejects: Mutex::new(rejects) }
    }
}

impl Sources for FakeSources {
    fn statuses(&self) -> Vec<SourceStatus> {
        let quiet = SourceStatus {
            name: "a".into(),
            format: "generic",
            heard_at: None,
            silent_after: None,
            silent: false,
            test_at: None,
            tests: 0,
            missing: vec![],
            firing: 0,
            rejects: 2,
        };
        let loud = SourceStatus {
            name: "b".into(),
            format: "nagios",
            heard_at: Some(NOW),
            silent_after: Some(Millis::hours(1)),
            silent: true,
            test_at: Some(NOW),
            tests: 3,
            missing: vec![("HOSTNAME".into(), NOW)],
            ..quiet.clone()
        };
        vec![quiet, loud]
    }
    fn rejects(&self) -> Vec<Reject> {
        self.rejects.lock().unwrap().iter().cloned().collect()
    }
    fn body(&self, id: String) -> Answer<'_, Option<String>> {
        let body = self.rejects.lock().unwrap().body(&id).unwrap();
        Box::pin(async { Ok(body) })
    }
    fn replay(&self, ids: Vec<String>) -> Answer<'_, Vec<(String, Replayed)>> {
        let outcome = |id: String| {
            let outcome = match id.split_once('-').map(|(at, _)| at) {
                Some("1767571200000") => Replayed::Taken { new: 1, repeats: 2 },
                Some("1767571200001") => Replayed::Stays { error: "still".into() },
                _ => Replayed::Unknown,
            };
            (id, outcome)
        };
        let full = ids.len() > 3;
        Box::pin(async move {
            if full { Err(RejectsError::Submit(SubmitError::Overloaded)) } else { Ok(ids.into_iter().map(outcome).collect()) }
        })
    }
    fn discard(&self, ids: Vec<String>) -> Answer<'_, Vec<Reject>> {
        let gone = self.rejects.lock().unwrap().remove(&ids).unwrap();
        Box::pin(async { Ok(gone) })
    }
}

const IDS: [&str; 3] = ["1767571200000-0000", "1767571200001-0000", "1767571200002-0000"];

#[tokio::test]
async fn sources_are_listed() {
    let (status, answer) = Site::new(|_, _| {}).get("/v1/sources").await;
    let at = "2026-01-05T00:00:00.000Z";
    let quiet = json!({ "name": "a", "format": "generic", "heard_at": null, "silent_after": null, "silent": false, "missing": [],
                        "tests": 0, "test_at": null, "firing": 0, "rejects": 2 });
    let loud = json!({ "name": "b", "format": "nagios", "heard_at": at, "silent_after": "1h", "silent": true,
                       "missing": [{ "field": "HOSTNAME", "since": at }], "tests": 3, "test_at": at, "firing": 0, "rejects": 2 });
    assert_eq!((status, answer), (StatusCode::OK, json!({ "sources": [quiet, loud] })));
}

#[tokio::test]
async fn kept_messages_are_listed_without_and_shown_with_their_bodies() {
    let site = Site::new(|_, _| {});
    let pages: [(&str, &[usize], Option<usize>); 5] = [
        ("", &[2, 1, 0], None),
        ("?source=a", &[1, 0], None),
        ("?limit=2", &[2, 1], Some(1)),
        ("?limit=2&cursor=1767571200001-0000", &[0], None),
        ("?source=nobody", &[], None),
    ];
    for (query, expected, next) in pages {
        let (status, page) = site.get(&format!("/v1/rejects{query}")).await;
        let expected: Vec<&str> = expected.iter().map(|n| IDS[*n]).collect();
        assert_eq!((status, ids(&page, "rejects", "id")), (StatusCode::OK, expected.iter().map(|id| (*id).to_owned()).collect()));
        assert_eq!(page["next"], json!(next.map(|n| IDS[n])), "{query}");
        assert!(!page.to_string().contains("body "), "{page}");
    }
    let mut request = Request::get(format!("/v1/rejects/{}", IDS[1]));
    request = request.header("host", "localhost:9093");
    let response = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    let expected = json!({
        "id": IDS[1], "source": "a", "error": "`f1` is missing", "first_at": "2026-01-05T00:00:00.001Z",
        "last_at": "2026-01-05T00:00:00.001Z", "times": 1, "alerts": 2, "failed": 1, "bytes": 6,
        "headers": { "content-type": "text/plain" }, "body": "body 1",
    });
    assert_eq!(body_json(response).await, expected);
}

#[tokio::test]
async fn a_body_is_for_those_with_a_token() {
    let token = |config: &mut Config, _: &mut Fake| {
        config.tokens = vec![TokenConfig { name: "ops".into(), token: Secret::new("let me in") }];
    };
    let site = Site::new(token);
    let cases = [
        ("localhost:9093", None, 401),
        ("localhost:9093", Some("Bearer wrong"), 401),
        ("localhost:9093", Some("Bearer let me in"), 200),
        ("evil.example", Some("Bearer let me in"), 403),
    ];
    for (host, token, expected) in cases {
        let mut request = Request::get(format!("/v1/rejects/{}", IDS[0])).header("host", host);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let response = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), expected, "{host} {token:?}");
    }
    assert_eq!(site.get("/v1/rejects").await.0, StatusCode::OK, "what says nothing is open");
}

#[tokio::test]
async fn messages_are_tried_again_and_dropped() {
    let site = Site::new(|_, _| {});
    let asked = |body: Value| body.to_string();
    let four = ["1-1", "1-2", "1-3", "1-4"];
    let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let cases: [(&str, String, u16, Value); 10] = [
        (
            "replay",
            asked(json!({ "ids": [IDS[0], IDS[1], "5-5"] })),
            200,
            json!({ "replayed": [
                { "id": IDS[0], "state": "taken", "new": 1, "repeats": 2, "error": null },
                { "id": IDS[1], "state": "stays", "new": 0, "repeats": 0, "error": "still" },
                { "id": "5-5", "state": "unknown", "new": 0, "repeats": 0, "error": "there is no kept message of this id" },
            ] }),
        ),
        (
            "replay",
            asked(json!({ "source": "a", "by": "ann" })),
            200,
            json!({ "replayed": [
                { "id": IDS[0], "state": "taken", "new": 1, "repeats": 2, "error": null },
                { "id": IDS[1], "state": "stays", "new": 0, "repeats": 0, "error": "still" },
            ] }),
        ),
        ("replay", asked(json!({ "ids": four })), 429, json!("queue")),
        ("replay", asked(json!({ "source": "nobody" })), 404, json!("nobody")),
        ("replay", asked(json!({ "ids": [IDS[0]], "source": "a" })), 422, json!("either ids")),
        ("replay", String::new(), 422, json!("either ids")),
        ("replay", asked(json!({ "ids": many })), 422, json!("1001 are given")),
        ("drop", asked(json!({ "ids": [] })), 422, json!("0 are given")),
        ("drop", asked(json!({ "ids": [IDS[2], "5-5"] })), 200, json!({ "dropped": [IDS[2]] })),
        ("drop", asked(json!({ "source": "a" })), 200, json!({ "dropped": [IDS[0], IDS[1]] })),
    ];
    for (act, body, status, expected) in cases {
        let (got, _, answer) = site.post(&format!("/v1/rejects/{act}"), &[], &body).await;
        assert_eq!(got.as_u16(), status, "{act} {body}: {answer}");
        match expected.as_str() {
            Some(part) => assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}"),
            None => assert_eq!(answer, expected, "{act} {body}"),
        }
    }
    assert_eq!(site.get("/v1/rejects").await.1["rejects"], json!([]));
}

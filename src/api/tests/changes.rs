//! Reported changes: what is taken, what is refused, what is listed.

use super::*;
use crate::config::{Secret, TokenConfig};

fn change(id: &str, thing: &str, minutes_ago: i64) -> Change {
    Change {
        id: id.into(),
        kind: "deploy".into(),
        things: vec![thing.into()],
        cluster: None,
        started_at: Time(NOW.0 - Millis::minutes(minutes_ago).0),
        ended_at: None,
        summary: "".into(),
        url: "".into(),
        reported_by: "api".into(),
    }
}

fn told(site: &Site) -> Vec<Change> {
    let told = site.fake.told.lock().unwrap();
    let changes = told.iter().map(|input| match input {
        Input::Act { act: Act::RecordChange(change), .. } => (**change).clone(),
        other => panic!("{other:?}"),
    });
    changes.collect()
}

#[tokio::test]
async fn changes_reach_the_engine_in_whatever_form_they_come() {
    let cart = || change("v42", "service/cart", 0);
    let cases = [
        (r#"{"id":"v42","kind":"deploy","service":"cart"}"#, vec![cart()]),
        // A line as a pipeline's own log may have it.
        (
            r#"{"at":"2026-01-05T00:00:00Z","cluster":"eu1","id":"v42","kind":"deploy","service":"cart"}"#,
            vec![Change { cluster: Some("eu1".into()), ..cart() }],
        ),
        (
            r#"[{"id":"v42","kind":"deploy","services":["cart","cart"]},{"id":"a","kind":"deploy","entity":"host/db-1"}]"#,
            vec![cart(), change("a", "host/db-1", 0)],
        ),
        (
            r#"{"changes":[{"id":"v42","kind":"deploy","entities":["cart","external/psp"],"started_at":"2026-01-04T23:50:00Z",
                "ended_at":"2026-01-04T23:55:00Z","summary":" v42 ","url":"https://ci.example/42"}]}"#,
            vec![Change {
                things: vec!["external/psp".into(), "service/cart".into()],
                ended_at: Some(Time(NOW.0 - Millis::minutes(5).0)),
                summary: "v42".into(),
                url: "https://ci.example/42".into(),
                ..change("v42", "", 10)
            }],
        ),
    ];
    for (body, expected) in cases {
        let site = Site::new(|_, fake| fake.answer = Ok(Ok(Answer::New)));
        let (status, _, answer) = site.post("/v1/changes", &[], body).await;
        assert_eq!(status, 200, "{body}: {answer}");
        assert_eq!((&answer["accepted"], &answer["new"]), (&json!(expected.len()), &json!(expected.len())), "{answer}");
        assert_eq!(told(&site), expected, "{body}");
    }
}

#[tokio::test]
async fn a_report_without_an_id_is_the_same_change_when_it_is_sent_again() {
    let site = Site::new(|_, _| {});
    let at =
        |minute: u32, service: &str| format!(r#"{{"at":"2026-01-04T23:{minute:02}:00Z","kind":"deploy","service":"{service}"}}"#);
    for body in [at(50, "cart"), at(50, "cart"), at(51, "cart"), at(50, "auth")] {
        assert_eq!(site.post("/v1/changes", &[], &body).await.0, 200);
    }
    let ids: Vec<_> = told(&site).into_iter().map(|change| change.id).collect();
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0] != ids[2] && ids[0] != ids[3] && ids[2] != ids[3], "{ids:?}");
}

#[tokio::test]
async fn what_is_no_change_is_refused_as_a_whole() {
    let good = r#"{"service":"cart"}"#;
    let many = format!("[{}]", vec![good; 101].join(","));
    let long = format!(r#"{{"service":"{}"}}"#, "x".repeat(257));
    let cases = [
        ("7", "a change, a list of changes"),
        ("", "between 1 and 32 names"),
        ("[]", "0 changes"),
        (many.as_str(), "101 changes"),
        (r#"{"changes":7}"#, "a change, a list of changes"),
        (r#"{"changes":[],"service":"cart"}"#, "a change, a list of changes"),
        (r#"{"service":"cart","colour":"red"}"#, "colour"),
        (r#"{"service":""}"#, "service: 1 to 256 bytes"),
        (long.as_str(), "service: 1 to 256 bytes"),
        (r#"{"service":"cart","summary":"a\u0007"}"#, "summary: 1 to 1000 bytes"),
        (r#"{"service":"cart","at":"yesterday"}"#, "started_at: \"yesterday\" is no time"),
        (r#"{"service":"cart","at":"2026-01-03T23:59:59Z"}"#, "more than 1d ago"),
        (r#"{"service":"cart","at":"2026-01-06T00:00:01Z"}"#, "more than 1d ahead"),
        (r#"{"service":"cart","at":"2026-01-05T00:00:00Z","ended_at":"2026-01-04T00:00:00Z"}"#, "ends before it begins"),
        (r#"[{"service":"cart"},{"kind":"deploy"}]"#, "changes[1]: between 1 and 32 names"),
    ];
    for (body, part) in cases {
        let site = Site::new(|_, _| {});
        let (status, _, answer) = site.post("/v1/changes", &[], body).await;
        assert_eq!(status, 422, "{body}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{body}: {answer}");
        assert_eq!(told(&site), []);
    }
}

#[tokio::test]
async fn reporting_needs_a_token_once_there_is_one_and_says_whose_it_was() {
    let token = TokenConfig { name: "ci".into(), token: Secret::new("canary-ci") };
    let site = Site::new(|config, _| config.tokens = vec![token]);
    let body = r#"{"service":"cart"}"#;
    assert_eq!(site.post("/v1/changes", &[], body).await.0, 401);
    assert_eq!(site.post("/v1/changes", &[("authorization", "Bearer canary-ci")], body).await.0, 200);
    assert_eq!(&*told(&site)[0].reported_by, "ci");
    assert_eq!(site.get("/v1/changes").await.0, 200, "reading needs none");
}

#[tokio::test]
async fn changes_are_listed_the_last_first() {
    let reported = [("a", "service/cart", 5), ("b", "service/cart", 5), ("c", "host/db-1", 1), ("d", "service/auth", 9)];
    let reported = reported.map(|(id, thing, ago)| Arc::new(change(id, thing, ago))).to_vec();
    let site = Site::new(|_, _| {}).live(&Changes { reported, ..Changes::default() });
    let cases = [
        ("", "c b a d"),
        ("?service=cart", "b a"),
        ("?entity=host/db-1", "c"),
        ("?entity=service/auth", "d"),
        ("?kind=config", ""),
        ("?limit=2", "c b"),
    ];
    for (query, expected) in cases {
        let (status, list) = site.get(&format!("/v1/changes{query}")).await;
        assert_eq!(status, 200, "{query}: {list}");
        assert_eq!(ids(&list, "changes", "id").join(" "), expected, "{query}");
    }
    let next = site.get("/v1/changes?limit=2").await.1["next"].as_str().unwrap().to_owned();
    let (_, rest) = site.get(&format!("/v1/changes?limit=2&cursor={next}")).await;
    assert_eq!((ids(&rest, "changes", "id").join(" "), &rest["next"]), ("a d".to_owned(), &Value::Null));
    assert_eq!(site.get("/v1/changes?cursor=7").await.0, 400);
    assert_eq!(site.get("/v1/changes?service=a&entity=b").await.0, 400);
}

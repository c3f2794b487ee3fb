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
        author: None,
        environment: None,
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

/// What is posted: headers, query and body of a file in `tests/golden/changes`.
struct Posted {
    headers: Vec<(String, String)>,
    path: String,
    body: String,
}

impl Posted {
    fn read(name: &str) -> Posted {
        let file: Value = serde_json::from_str(&std::fs::read_to_string(golden_folder().join(name)).unwrap()).unwrap();
        let headers = file["headers"].as_object().unwrap().iter();
        Posted {
            headers: headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned())).collect(),
            path: format!("/v1/changes?{}", file["query"].as_str().unwrap()),
            body: file["body"].to_string(),
        }
    }

    async fn to(&self, site: &Site) -> (StatusCode, Value) {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (status, _, answer) = site.post(&self.path, &headers, &self.body).await;
        (status, answer)
    }
}

fn golden_folder() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/changes")
}

/// Each body of another tool, and what is answered: `UPDATE_GOLDEN=1` writes the `.out` beside it.
#[tokio::test]
async fn bodies_of_other_tools_become_changes() {
    let mut names: Vec<String> =
        std::fs::read_dir(golden_folder()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.strip_suffix(".json").is_some());
    names.sort();
    assert!(names.len() > 30, "{names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let site = Site::new(|_, fake| fake.answer = Ok(Ok(Answer::New)));
        let (status, answer) = Posted::read(&name).to(&site).await;
        let told = told(&site).len();
        assert_eq!(answer["accepted"].as_u64().unwrap_or(0), told as u64, "{name}: {answer}");
        let ignored = site.metrics.changes_ignored_total.with_label_values(&[name.split('-').next().unwrap()]).get();
        assert_eq!(ignored, u64::from(status == 202), "{name}");
        let got = format!("{}\n{answer:#}\n", status.as_u16());
        let path = golden_folder().join(name.replace(".json", ".out"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &got).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if got != expected {
            wrong.push(format!("{}\n--- expected\n{expected}\n--- got\n{got}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every field of every body gone, and of every other kind: each is answered, and nothing half read is told to the engine.
#[tokio::test]
async fn a_body_that_is_not_quite_right_is_answered() {
    let long = "ü\n".repeat(3_000);
    let strange = [Value::Null, json!(-7), json!(""), json!(long), json!([{}]), json!({ "id": {} })];
    let site = Site::new(|_, _| {});
    let mut posted = 0;
    for name in [
        "github-deployment-status-success",
        "github-release-published",
        "github-workflow-run",
        "gitlab-deployment-success",
        "gitlab-pipeline",
        "gitlab-release",
        "argocd-succeeded",
    ] {
        let Posted { headers, path, body } = Posted::read(&format!("{name}.json"));
        let body: Value = serde_json::from_str(&body).unwrap();
        let mut places = Vec::new();
        fields(&body, "", &mut places);
        assert!(places.len() > 15, "{name}: {places:?}");
        for at in &places {
            for value in &strange {
                let mut changed = body.clone();
                *changed.pointer_mut(at).unwrap() = value.clone();
                let posting = Posted { headers: headers.clone(), path: path.clone(), body: changed.to_string() };
                let (status, answer) = posting.to(&site).await;
                assert!([200, 202, 422].contains(&status.as_u16()), "{name} {at} {value}: {status} {answer}");
                let told = std::mem::take(&mut *site.fake.told.lock().unwrap());
                assert_eq!(told.len() as u64, answer["accepted"].as_u64().unwrap_or(0), "{name} {at} {value}: {answer}");
                for change in answer["changes"].as_array().into_iter().flatten() {
                    let texts =
                        ["id", "kind", "summary", "url", "author", "environment"].map(|key| change[key].as_str().unwrap_or(""));
                    assert!(texts.iter().all(|text| text.len() <= 2_000 && !text.contains(char::is_control)), "{change}");
                    assert!(change["id"] != "" && change["entities"][0].as_str().is_some(), "{change}");
                }
                posted += 1;
            }
        }
    }
    assert!(posted > 1_000, "{posted}");
}

/// The places of all fields in a body.
fn fields(body: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match body {
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(place, value)| (place.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, value) in inner {
        let place = format!("{at}/{key}");
        fields(value, &place, found);
        found.push(place);
    }
}

/// Messages about one deployment come in any order, and again; what is known in the end is the same.
#[tokio::test]
async fn all_messages_about_one_deployment_are_one_change() {
    let of_github = ["github-deployment", "github-deployment-status-pending", "github-deployment-status-success"];
    let of_gitlab = ["gitlab-deployment-running", "gitlab-deployment-success", "gitlab-deployment-success"];
    for [a, b, c] in [of_github, of_gitlab] {
        let mut ends = Vec::new();
        for order in [[a, b, c], [c, b, a], [b, c, a], [a, c, c]] {
            let site = Site::new(|_, _| {});
            for name in order {
                let (status, answer) = Posted::read(&format!("{name}.json")).to(&site).await;
                assert_eq!(status, 200, "{name}: {answer}");
                let reported = told(&site).into_iter().map(Arc::new).collect();
                site.fake.live.publish(&Changes { reported, ..Changes::default() }, NOW);
            }
            let [only] = &site.fake.live.reported()[..] else { panic!("one change") };
            assert!(only.started_at < only.ended_at.unwrap(), "{order:?}: {only:?}");
            ends.push((order, (**only).clone()));
        }
        // That no message about the beginning of a thing came is no reason to know another end of it.
        assert!(ends.iter().all(|(_, end)| *end == ends[0].1), "{ends:#?}");
    }
}

#[tokio::test]
async fn parameters_of_other_tools_are_read_strictly() {
    let cases = [
        ("format=jenkins", "{}", 400, "none of quell, github, gitlab, argocd"),
        ("service=cart", r#"{"service":"cart"}"#, 400, "parameter service is for the bodies of other tools"),
        ("format=gitlab&workflow=x", r#"{"object_kind":"push"}"#, 400, "parameter workflow is for GitHub's bodies"),
        ("format=github&format=gitlab", "{}", 400, "given twice"),
        ("format=quell", r#"{"service":"cart"}"#, 200, ""),
    ];
    for (query, body, status, part) in cases {
        let (got, _, answer) = Site::new(|_, _| {}).post(&format!("/v1/changes?{query}"), &[], body).await;
        assert_eq!(got.as_u16(), status, "{query}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap_or_default().contains(part), "{query}: {answer}");
    }
    let long = format!(r#"{{"service":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(Site::new(|_, _| {}).post("/v1/changes", &[], &long).await.0, 413);
}

/// Webhooks of GitHub and GitLab can set no header: a token is the secret that these sign with, or send.
#[tokio::test]
async fn webhooks_prove_a_token_in_their_own_way() {
    let body = r#"{"zen":"?"}"#;
    // HMAC-SHA256 of the body under `canary-ci`, worked out elsewhere.
    let signed = "sha256=e07f4dd6d16c4c1dd76e067e3628b1e70a037e40f29c21afe77949ed69b22ec2";
    let event = ("x-github-event", "ping");
    let cases: [(&[(&str, &str)], u16); 9] = [
        (&[event], 401),
        (&[event, ("x-hub-signature-256", signed)], 202),
        (&[event, ("x-hub-signature-256", &signed.replace('7', "8"))], 401),
        (&[event, ("x-hub-signature-256", "sha256=00")], 401),
        (&[event, ("x-hub-signature-256", "")], 401),
        (&[("x-gitlab-token", "canary-ci"), event], 202),
        (&[("x-gitlab-token", "canary-other"), event], 401),
        (&[("authorization", "Bearer canary-ci"), event], 202),
        // Who shows a token is held to it.
        (&[("authorization", "Bearer canary-other"), event, ("x-hub-signature-256", signed)], 401),
    ];
    for (headers, status) in cases {
        let token = TokenConfig { name: "ci".into(), token: Secret::new("canary-ci") };
        let site = Site::new(|config, _| config.tokens = vec![token]);
        let (got, _, answer) = site.post("/v1/changes", headers, body).await;
        assert_eq!(got.as_u16(), status, "{headers:?}: {answer}");
        // Of the other calls none is opened by that.
        let (got, _, _) = site.post("/v1/heartbeats/x", &[("x-gitlab-token", "canary-ci")], "").await;
        assert_eq!(got.as_u16(), 401);
        let (got, _, _) = site.post("/v1/incidents/INC-1/close", &[("x-hub-signature-256", signed)], body).await;
        assert_eq!(got.as_u16(), 401);
    }
}

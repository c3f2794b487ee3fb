//! `POST /api/v2/alerts`, as tables: what is sent when, what is answered, what is known then.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::{Setup, T0};
use crate::model::{Millis, Time};
use crate::runtime::SubmitError;

const ALERTS: &str = "/api/v2/alerts";

fn at(seconds: i64) -> String {
    (T0 + Millis::seconds(seconds)).to_rfc3339()
}

/// `{"labels":{"alertname":"A"}, …}` with `fields` in which `@60` stands for the time 60 s behind the start.
fn alert(fields: &str) -> String {
    let mut text = String::new();
    for (i, part) in fields.split('@').enumerate() {
        let digits = part.len() - part.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit()).len();
        if i == 0 {
            text.push_str(part);
        } else {
            write!(text, "\"{}\"{}", at(part[..digits].parse().unwrap()), &part[digits..]).unwrap();
        }
    }
    let comma = if text.is_empty() { "" } else { "," };
    format!(r#"{{"labels":{{"alertname":"A"}}{comma}{text}}}"#)
}

/// One alert posted at second 0: the answer, and what is known behind it.
#[test]
fn times_as_alertmanager_reads_them() {
    let zero = r#""startsAt":"0001-01-01T00:00:00.000Z","endsAt":"0001-01-01T00:00:00Z""#;
    let firing = |start: i64, end: i64| Some(format!(r#"{{alertname="A"}} firing from {start} expires {end}"#));
    let cases = [
        ("", 200, "", firing(0, 300)),
        (zero, 200, "", firing(0, 300)),
        (r#""startsAt":"","endsAt":null"#, 200, "", firing(0, 300)),
        (r#""startsAt":@-60,"endsAt":@240"#, 200, "", firing(-60, 240)),
        (r#""endsAt":@240"#, 200, "", firing(240, 240)),
        (r#""startsAt":@100"#, 200, "", firing(100, 300)),
        (r#""startsAt":@-60,"endsAt":@0"#, 200, "", None),
        (r#""startsAt":@-60,"endsAt":@-30"#, 200, "", None),
        (r#""startsAt":@60,"endsAt":@30"#, 400, r#""start time must be before end time""#, None),
        (r#""startsAt":@30,"endsAt":@30"#, 200, "", firing(30, 30)),
        (r#""startsAt":"yesterday""#, 400, r#"{"code":400,"message":"startsAt: \"yesterday\" is no RFC 3339 time"}"#, None),
        (r#""startsAt":"9999-12-31T23:59:59Z""#, 400, r#""start time must be before end time""#, None),
        (r#""startsAt":"9999-12-31T23:59:59Z","endsAt":"9999-12-31T23:59:59Z""#, 200, "", firing(7_423_372_036, 7_423_372_036)),
        (r#""startsAt":"1901-01-01T00:00:00Z""#, 200, "", firing(0, 300)),
    ];
    for (fields, status, answer, known) in cases {
        let setup = Setup::new("");
        assert_eq!(setup.post(0, ALERTS, &format!("[{}]", alert(fields))), (status, answer.to_owned()), "{fields}");
        assert_eq!(setup.known(), known.into_iter().collect::<Vec<_>>(), "{fields}");
    }
}

/// Rows 47 and its like: one alert over time. Each step: when, the fields, [received, repeats, new, rejected] in all.
#[test]
fn one_alert_over_time() {
    type Step = (i64, &'static str, [u64; 4]);
    let cases: [(&str, &[Step], &str); 7] = [
        (
            "each minute, the end moves",
            &[(0, r#""startsAt":@0,"endsAt":@240"#, [1, 0, 1, 0]), (60, r#""startsAt":@0,"endsAt":@300"#, [2, 1, 1, 0])],
            r#"{alertname="A"} firing from 0 expires 300"#,
        ),
        (
            "a pair, 15 s apart",
            &[(0, r#""startsAt":@0,"endsAt":@240"#, [1, 0, 1, 0]), (15, r#""startsAt":@-15,"endsAt":@250"#, [2, 1, 1, 0])],
            r#"{alertname="A"} firing from -15 expires 250"#,
        ),
        ("resolve of the unknown", &[(0, r#""startsAt":@-60,"endsAt":@-1"#, [1, 1, 0, 0])], ""),
        (
            "resolve before fire, which comes late by 10 minutes",
            &[(0, r#""startsAt":@-60,"endsAt":@-1"#, [1, 1, 0, 0]), (600, r#""startsAt":@-60,"endsAt":@180"#, [2, 2, 0, 0])],
            "",
        ),
        (
            "resolve, and again for 15 minutes",
            &[
                (0, r#""startsAt":@0,"endsAt":@240"#, [1, 0, 1, 0]),
                (60, r#""startsAt":@0,"endsAt":@50"#, [2, 0, 2, 0]),
                (120, r#""startsAt":@0,"endsAt":@50"#, [3, 1, 2, 0]),
            ],
            r#"{alertname="A"} resolved from 0 ended 50"#,
        ),
        (
            "fires anew",
            &[
                (0, r#""startsAt":@0,"endsAt":@240"#, [1, 0, 1, 0]),
                (60, r#""startsAt":@0,"endsAt":@50"#, [2, 0, 2, 0]),
                (90, r#""startsAt":@80,"endsAt":@330"#, [3, 0, 3, 0]),
                (91, r#""startsAt":@0,"endsAt":@50"#, [4, 1, 3, 0]),
            ],
            r#"{alertname="A"} firing from 80 expires 330"#,
        ),
        (
            "another annotation each time is a repeat",
            &[(0, r#""annotations":{"v":"1"}"#, [1, 0, 1, 0]), (60, r#""annotations":{"v":"2"}"#, [2, 1, 1, 0])],
            r#"{alertname="A"} firing from 0 expires 360"#,
        ),
    ];
    for (name, steps, known) in cases {
        let setup = Setup::new("");
        for (seconds, fields, counts) in steps {
            assert_eq!(setup.post(*seconds, ALERTS, &format!("[{}]", alert(fields))).0, 200, "{name}");
            assert_eq!(setup.counts("prometheus"), *counts, "{name} at {seconds}");
        }
        assert_eq!(setup.known().join("\n"), known, "{name}");
    }
}

#[test]
fn the_newest_annotations_are_kept() {
    let setup = Setup::new("");
    for (seconds, value) in [(0, "1"), (60, "2"), (61, "2"), (120, "3")] {
        setup.post(
            seconds,
            ALERTS,
            &format!("[{}]", alert(&format!(r#""annotations":{{"v":"{value}"}},"generatorURL":"http://g/{value}""#))),
        );
        let entry = setup.engine.live.alerts(|_| true).remove(0);
        assert_eq!((entry.annotations().get("v"), entry.generator_url()), (value, format!("http://g/{value}").as_str()));
    }
}

/// A further word on an alert that is new in the same request must not be lost for not being in the table yet.
#[test]
fn fires_and_resolves_in_one_request() {
    let setup = Setup::new("");
    let body = format!("[{},{}]", alert(r#""startsAt":@-60"#), alert(r#""startsAt":@-60,"endsAt":@-1"#));
    assert_eq!(setup.post(0, ALERTS, &body).0, 200);
    assert_eq!(setup.known(), [r#"{alertname="A"} resolved from -60 ended -1"#]);
    assert_eq!(setup.counts("prometheus"), [2, 0, 2, 0]);
    let twice = format!("[{0},{0}]", alert(r#""startsAt":@0,"endsAt":@900"#));
    setup.post(600, ALERTS, &twice);
    assert_eq!(setup.counts("prometheus"), [4, 1, 3, 0]);
}

/// Row 53: what is wrong with one alert costs that alert only.
#[test]
fn each_alert_is_judged_alone() {
    let long = "x".repeat(1_025);
    let many: Vec<String> = (0..10_000).map(|i| format!(r#""l{i}":"v""#)).collect();
    let wide: Vec<String> = (0..20).map(|i| format!(r#""l{i}":"{}""#, "x".repeat(1_000))).collect();
    let cases = [
        (r#"{"labels":{}}"#.to_owned(), 400, r#""at least one label pair required""#),
        (r#"{"labels":{"a":""}}"#.to_owned(), 400, r#""at least one label pair required""#),
        (r#"{"labels":{"":"v"}}"#.to_owned(), 400, r#""invalid label set: invalid name \"\"""#),
        (r#"{"labels":{"a\nb":"v"}}"#.to_owned(), 400, r#""invalid label set: invalid name \"a\\nb\"""#),
        (r#"{"labels":{"a\u0007b":"v"}}"#.to_owned(), 400, "invalid label set: invalid name"),
        ("{\"labels\":{\"a\u{7f}b\":\"v\"}}".to_owned(), 400, "invalid label set: invalid name"),
        ("{\"labels\":{\"a\u{9b}b\":\"v\"}}".to_owned(), 400, "invalid label set: invalid name"),
        ("{\"labels\":{\"a\":\"b\"},\"annotations\":{\"a\u{7f}b\":\"v\"}}".to_owned(), 400, "invalid annotations: invalid name"),
        (r#"{"labels":{"a":"1","a":"2"}}"#.to_owned(), 400, r#""invalid label set: duplicate name \"a\"""#),
        (r#"{"labels":{"a":5}}"#.to_owned(), 400, "invalid label set: invalid type: integer"),
        (r#"{"labels":{"a":"\ud800"}}"#.to_owned(), 400, "invalid label set"),
        (format!(r#"{{"labels":{{"a":"{long}"}}}}"#), 400, "the value of \\\"a\\\" is longer than 1024 bytes"),
        (format!(r#"{{"labels":{{"{long}":"a"}}}}"#), 400, "a name is longer than 128 bytes"),
        (format!(r#"{{"labels":"{}"}}"#, "x".repeat(5_000)), 400, "xxx…\""),
        (format!(r#"{{"labels":{{{}}}}}"#, many.join(",")), 400, "more than 64 entries"),
        (format!(r#"{{"labels":{{{}}}}}"#, wide.join(",")), 400, "more than 16384 bytes"),
        (format!(r#"{{"labels":{{"a":"b"}},"annotations":{{"t":"{}"}}}}"#, "x".repeat(17_000)), 400, "longer than 16384 bytes"),
        (r#"{"labels":{"a":"b"},"annotations":{"t":1}}"#.to_owned(), 400, "invalid annotations"),
        (r#"{"annotations":{}}"#.to_owned(), 422, r#"{"code":602,"message":"labels in body is required"}"#),
        ("5".to_owned(), 400, r#"{"code":400,"#),
        (r#"{"labels":{"a":"b"},"startsAt":5}"#.to_owned(), 400, r#"{"code":400,"#),
        (r#"{"labels":{"a":"b"},"labels":{"a":"c"}}"#.to_owned(), 400, r#"{"code":400,"#),
        // These are fine: any Unicode is a name.
        (r#"{"labels":{"__name__":"up","Σ":"🙂","a b":"c","A":"1","a":"2"}}"#.to_owned(), 200, ""),
        (r#"{"labels":{"a":"\u202e\u0000\u200b"}}"#.to_owned(), 200, ""),
        (r#"{"labels":{"a":"b"},"other":{"deep":[[[[1e400]]]]}}"#.to_owned(), 200, ""),
    ];
    for (bad, status, answer) in cases {
        let setup = Setup::new("");
        let (given, text) = setup.post(0, ALERTS, &format!("[{},{bad}]", alert("")));
        let start: String = bad.chars().take(60).collect();
        assert!(given == status && text.contains(answer) && text.len() < 500, "{start}: {given} {text}");
        let refused = u64::from(status != 200);
        assert_eq!(setup.counts("prometheus"), [2, 0, 2 - refused, refused], "{start}");
        assert_eq!(setup.known().len() as u64, 2 - refused, "{start}");
        // And again, now that the good one is known.
        setup.post(60, ALERTS, &format!("[{},{bad}]", alert("")));
        assert_eq!(setup.counts("prometheus"), [4, 2 - refused, 2 - refused, 2 * refused], "{start}");
    }
    let both = r#"[{"labels":{}},{"labels":{"":"x"}}]"#;
    let expected = "\"at least one label pair required\\ninvalid label set: invalid name \\\"\\\"\"";
    assert_eq!(Setup::new("").post(0, ALERTS, both), (400, expected.to_owned()));
}

/// Rows 51 and 52, as far as a body in memory goes.
#[test]
fn bodies_that_are_none() {
    let deep = format!("[{}{}]", "[".repeat(10_000), "]".repeat(10_000));
    let many = format!("[{}]", vec!["{}"; 10_001].join(","));
    let cases: [(&[u8], u16); 14] = [
        (b"", 422),
        (b"null", 400),
        (b"{}", 400),
        (b"[", 400),
        (b"[]]", 400),
        (b"[] x", 400),
        (br#"[{"labels":{"a":"b"}}"#, 400),
        (br#"[{"labels":{"a":"b"}},]"#, 400),
        (b"\xef\xbb\xbf[]", 400),
        (b"[{\"labels\":{\"a\":\"\xff\"}}]", 400),
        (b"[NaN]", 400),
        (deep.as_bytes(), 400),
        (many.as_bytes(), 413),
        (b"[]", 200),
    ];
    for (body, status) in cases {
        let setup = Setup::new("");
        let (given, text) = setup.send(ALERTS, &[("content-type", "application/json")], body);
        let start = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!(given, status, "{start}: {text}");
        assert!(setup.known().is_empty(), "{start}");
    }
}

#[test]
fn limits_on_active_alerts_leave_the_known_ones_alone() {
    let setup = Setup::new("limits: { active_alerts_per_source: 2 }\nsources: [{ name: am, format: alertmanager }]");
    let one = |name: &str| format!(r#"{{"labels":{{"a":"{name}"}}}}"#);
    let (status, text) = setup.post(0, ALERTS, &format!("[{},{},{}]", one("1"), one("2"), one("3")));
    assert_eq!((status, text.as_str()), (429, "\"more than 2 active alerts of this source\""));
    assert_eq!(setup.post(1, ALERTS, &format!("[{},{}]", one("1"), one("2"))).0, 200);
    let other = r#"{"alerts":[{"status":"firing","labels":{"b":"1"}}]}"#;
    assert_eq!(setup.post(2, "/v1/ingest/am", other).1, r#"{"accepted":1,"new":1,"rejected":[],"repeats":0}"#);
    assert_eq!(setup.counts("prometheus"), [5, 2, 2, 1]);
}

#[test]
fn what_the_engine_cannot_take_is_no_success() {
    let cases = [
        (SubmitError::Overloaded, 429, "overloaded"),
        (SubmitError::Storage("disk full".into()), 503, "storage"),
        (SubmitError::Stopping, 503, "stopping"),
    ];
    for (error, status, code) in cases {
        let setup = Setup::new("sources: [{ name: plain, format: prometheus }]");
        *setup.engine.failure.lock().unwrap() = Some(error);
        assert_eq!(setup.post(0, ALERTS, &format!("[{}]", alert(""))).0, status);
        let (given, text) = setup.post(0, "/v1/ingest/plain", &format!("[{}]", alert("")));
        assert!(given == status && text.contains(&format!(r#""code":"{code}""#)), "{text}");
        assert_eq!((setup.counts("prometheus"), setup.known().len()), ([1, 0, 0, 1], 0));
        // The sender tries again, and is heard.
        *setup.engine.failure.lock().unwrap() = None;
        assert_eq!(setup.post(2, ALERTS, &format!("[{}]", alert(""))).0, 200);
        assert_eq!(setup.counts("prometheus"), [2, 0, 1, 1]);
    }
}

/// Row 33: the request is refused, its critical alerts are not.
#[test]
fn critical_alerts_are_taken_out_of_a_request_that_finds_no_room() {
    let one = |name: &str, severity: &str| format!(r#"{{"labels":{{"alertname":"{name}","severity":"{severity}"}}}}"#);
    let mixed = format!("[{},{},{}]", one("A", "warning"), one("B", "critical"), one("C", "info"));
    // (body, answer while there is room for critical ones only, counts, known; then with room, counts)
    let cases = [
        (mixed.as_str(), 429, [3, 0, 1, 2], 1, [6, 1, 3, 2]),
        (&format!("[{}]", one("A", "warning")), 429, [1, 0, 0, 1], 0, [2, 0, 1, 1]),
        (&format!("[{}]", one("B", "critical")), 200, [1, 0, 1, 0], 1, [2, 1, 1, 0]),
    ];
    for (body, status, counts, known, counts_after) in cases {
        let setup = Setup::new("");
        setup.engine.crowded.store(true, Ordering::Relaxed);
        assert_eq!(setup.post(0, ALERTS, body).0, status, "{body}");
        assert_eq!((setup.counts("prometheus"), setup.known().len()), (counts, known), "{body}");
        let refused = setup.metrics.requests_rejected_total.with_label_values(&["overloaded"]).get();
        assert_eq!(refused, u64::from(status == 429), "{body}");
        setup.engine.crowded.store(false, Ordering::Relaxed);
        assert_eq!(setup.post(2, ALERTS, body).0, 200, "{body}");
        assert_eq!(setup.counts("prometheus"), counts_after, "{body}");
    }
}

#[test]
fn a_source_adds_its_labels() {
    let setup = Setup::new("sources: [{ name: prometheus, format: prometheus, labels: { env: prod, alertname: none } }]");
    for seconds in [0, 1, 2] {
        setup.post(seconds, ALERTS, &format!("[{}]", alert("")));
    }
    assert_eq!(setup.known(), [r#"{alertname="A", env="prod"} firing from 0 expires 302"#]);
    assert_eq!(setup.counts("prometheus"), [3, 2, 1, 0]);
}

/// Row 47: a million times the same is one occurrence (here a hundred thousand: the path is the same).
#[test]
fn the_same_alert_over_and_over() {
    let setup = Setup::new("");
    let body = format!("[{}]", vec![alert(r#""startsAt":@0,"endsAt":@900"#); 10_000].join(","));
    for seconds in 0..10 {
        assert_eq!(setup.post(seconds, ALERTS, &body).0, 200);
    }
    assert_eq!(setup.counts("prometheus"), [100_000, 99_999, 1, 0]);
    assert_eq!(setup.engine.live.alerts(|_| true)[0].repeats, 90_000);
    assert_eq!(setup.engine.live.expired(Time(T0.0 + 899_999)), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rows 52 and 64 in small: whatever comes, there is an answer, the counts add up, and saying it again is no news.
    #[test]
    fn any_body_is_answered(parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..40)) {
        let body = parts.concat();
        for path in [ALERTS, "/v1/ingest/am", "/v1/ingest/map"] {
            let setup = Setup::new(THREE_FORMATS);
            let first = setup.post(0, path, &body);
            let source = path.rsplit('/').next().filter(|name| *name != "alerts").unwrap_or("prometheus");
            let [received, repeats, new, rejected] = setup.counts(source);
            prop_assert_eq!(received, repeats + new + rejected);
            prop_assert_eq!(setup.post(1, path, &body).0, first.0);
            prop_assert_eq!(setup.counts(source)[2], new);
        }
    }
}

const THREE_FORMATS: &str =
    "sources: [{ name: am, format: alertmanager }, { name: map, format: generic, map: { labels: { a: '{{ body }}' } } }]";

/// What bodies are thrown together from.
const PARTS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    r#"[{"labels":{"a":"b"}}]"#,
    r#"{"labels":{"a":"b"}}"#,
    r#""labels""#,
    r#""annotations""#,
    r#"{"alerts":["#,
    r#"{"status":"firing","labels":{"a":"c"}}"#,
    "]}",
    r#""startsAt":"2027-01-15T08:00:00Z""#,
    r#""a""#,
    r#""\ud800""#,
    "1e999",
    "-0",
    "null",
    "true",
    "\u{feff}",
    "\0",
    "\\",
    "\"",
    "é🙂",
];

//! `quell source` against a daemon: lists, one message with its body, what became of those that were tried again.

use super::*;

const AT: &str = "2026-01-05T00:00:00.000Z";

fn reject(id: &str, alerts: u64, error: &str) -> Value {
    json!({ "id": id, "source": "jobs", "error": error, "first_at": AT, "last_at": AT, "times": 1, "alerts": alerts, "failed": 1, "bytes": 7 })
}

/// Runs `quell source …` against a server that gives these answers. Gives exit code, stdout, stderr, what was asked.
fn source(args: &[&str], answer: (u16, Value)) -> (u8, String, String, String) {
    let server = Server::answering(vec![answer]);
    let args: Vec<&str> = ["source"].iter().chain(args).copied().chain(["--url", server.url.as_str()]).collect();
    let (code, out, err) = quell(&args);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let out = if args.contains(&"--body") || args.contains(&"--json") {
        out
    } else {
        out.lines().map(words).collect::<Vec<_>>().join("\n")
    };
    (code, out, err, server.asked.recv().unwrap())
}

#[test]
fn sources_and_kept_messages_are_listed() {
    let quiet = json!({ "name": "prometheus", "format": "prometheus", "heard_at": null, "silent_after": null, "silent": false,
                        "missing": [], "tests": 0, "test_at": null, "firing": 4, "rejects": 0 });
    let odd = json!({ "name": "jobs", "format": "generic", "heard_at": AT, "silent_after": "1h", "silent": true,
                      "missing": [{ "field": "a[].b", "since": AT }, { "field": "c", "since": AT }], "tests": 1, "test_at": AT,
                      "firing": 0, "rejects": 2 });
    let (code, out, err, asked) = source(&["list", "--utc"], (200, json!({ "sources": [quiet, odd] })));
    let expected = format!(
        "NAME FORMAT HEARD FIRING REJECTS TEST MISSING\nprometheus prometheus - 4 0 - -\njobs generic {AT}, silent 0 2 {AT} a[].b c"
    );
    assert_eq!((code, out, err.as_str(), asked.as_str()), (0, expected, "", "GET /v1/sources"));

    let page = json!({ "rejects": [reject("2-0", 3, "`x` is \u{1b}[2Jmissing"), reject("1-0", 0, "no list")], "next": "1-0" });
    let args = ["rejects", "--source", "jobs", "--limit", "2", "--utc"];
    let (code, out, err, asked) = source(&args, (200, page.clone()));
    let expected = format!(
        "ID SOURCE CAME TIMES NOT TAKEN BYTES ERROR\n2-0 jobs {AT} 1 1 of 3 7 `x` is [2Jmissing\n1-0 jobs {AT} 1 all 7 no list"
    );
    assert_eq!((code, out), (0, expected));
    assert_eq!(err, "there are more messages; go on with --cursor 1-0\n");
    assert_eq!(asked, "GET /v1/rejects?limit=2&source=jobs");
    let (_, out, _, _) = source(&["rejects", "--json"], (200, page.clone()));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), page);
    let (code, out, err, _) = source(&["rejects"], (200, json!({ "rejects": [], "next": null })));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "no messages are kept: all that came could be taken\n"));
}

#[test]
fn one_kept_message_is_shown_with_its_body() {
    let mut shown = reject("2-0", 3, "`x` is missing");
    shown["headers"] = json!({ "content-type": "text/plain" });
    shown["body"] = json!("line\n\u{1b}[2Jline");
    let (code, out, _, asked) = source(&["show", "2-0", "--utc"], (200, shown.clone()));
    let expected = format!("2-0 jobs\ncame {AT}\nerror `x` is missing\nheader content-type: text/plain\n\nline\n[2Jline");
    assert_eq!((code, out, asked.as_str()), (0, expected, "GET /v1/rejects/2-0"));
    let (_, out, _, _) = source(&["show", "2-0", "--body"], (200, shown));
    assert_eq!(out, "line\n\u{1b}[2Jline", "as it came, for files");
    let gone = json!({ "error": { "code": "not_found", "message": "there is no kept message 2-0" } });
    let (code, _, err, _) = source(&["show", "2-0"], (404, gone));
    assert_eq!((code, err.as_str()), (1, "error: there is no kept message 2-0 (404)\n"));
}

#[test]
fn the_exit_code_says_whether_all_of_it_worked() {
    let one = |id: &str, state: &str, error: Value| json!({ "id": id, "state": state, "new": 1, "repeats": 0, "error": error });
    let taken = json!({ "replayed": [one("1-0", "taken", Value::Null)] });
    let (code, out, _, asked) = source(&["replay", "1-0", "--by", "ann"], (200, taken.clone()));
    assert_eq!((code, out.as_str()), (0, "1-0 taken, 1 new, 0 repeats"));
    assert_eq!(asked, r#"POST /v1/rejects/replay {"by":"ann","ids":["1-0"]}"#);
    let (code, _, _, asked) = source(&["replay", "--source", "jobs", "--by", "ann", "--json"], (200, taken));
    assert_eq!((code, asked.as_str()), (0, r#"POST /v1/rejects/replay {"by":"ann","source":"jobs"}"#));
    let mixed = json!({ "replayed": [one("1-0", "stays", "no".into()), one("2-0", "unknown", "there is none".into())] });
    let (code, out, _, _) = source(&["replay", "1-0", "2-0"], (200, mixed));
    assert_eq!((code, out.as_str()), (1, "1-0 stays: no\n2-0 there is none"));
    let (code, _, err, _) = source(&["replay", "--source", "jobs"], (200, json!({ "replayed": [] })));
    assert_eq!((code, err.as_str()), (0, "no messages of this source are kept\n"));

    let (code, out, err, asked) = source(&["drop", "1-0", "2-0", "--by", "ann"], (200, json!({ "dropped": ["1-0"] })));
    assert_eq!((code, out.as_str(), err.as_str()), (1, "1-0 dropped", "2-0: there is no kept message of this id\n"));
    assert_eq!(asked, r#"POST /v1/rejects/drop {"by":"ann","ids":["1-0","2-0"]}"#);
    for args in [&["source", "replay"][..], &["source", "drop"], &["source", "replay", "1-0", "--source", "jobs"]] {
        assert_eq!(quell(args).0, 2, "{args:?}");
    }
}

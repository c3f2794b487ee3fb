//! The command line as its users meet it: help texts, completions, exit codes, and what commands print, against a small
//! HTTP server that answers what the test wants.

mod sources;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use clap::CommandFactory;
use clap::builder::StyledStr;
use serde_json::{Value, json};

use super::{Cli, run};

/// Runs a command line. Gives exit code, stdout, stderr.
fn quell(args: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("quell").chain(args.iter().copied()).map(Into::into);
    let code = run(args, &mut out, &mut err, false);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A server that gives one answer to each of so many requests, and reports what was asked: `POST /path?query body`.
struct Server {
    url: String,
    asked: mpsc::Receiver<String>,
}

impl Server {
    fn answering(answers: Vec<(u16, Value)>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, asked) = mpsc::channel();
        thread::spawn(move || {
            for (status, answer) in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut text = Vec::new();
                let (head, body) = loop {
                    let mut piece = [0; 4096];
                    let read = stream.read(&mut piece).unwrap();
                    text.extend_from_slice(&piece[..read]);
                    let so_far = String::from_utf8(text.clone()).unwrap();
                    let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
                    if body.len() >= length {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                let token = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
                let request = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1");
                sender.send(format!("{request} {body}{token}").trim().to_owned()).unwrap();
                let answer = answer.to_string();
                let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
                stream.write_all((head + &answer).as_bytes()).unwrap();
            }
        });
        Server { url, asked }
    }
}

fn incident(id: u64, title: &str) -> Value {
    json!({
        "id": format!("INC-{id}"), "title": title, "status": "open", "type": "normal", "priority": 1, "impact": 1, "urgency": 1,
        "severity": "critical", "category": "database", "subcategory": null, "team": "dba", "assignee": null,
        "services": ["orders-db"], "labels": { "cluster": "eu1" }, "rule": "database-cluster", "key": { "cluster": "eu1" },
        "alerts": { "total": 3, "firing": 2 }, "parent": null, "causes": [], "opened_at": "2026-01-05T00:00:00.000Z",
        "updated_at": "2026-01-05T00:00:00.000Z", "acknowledged_at": null, "resolved_at": null, "version": 17,
    })
}

/// Help texts of all commands, in order.
fn help() -> String {
    fn add(command: &mut clap::Command, path: &str, text: &mut String) {
        let long: StyledStr = command.render_long_help();
        writeln!(text, "$ {path} --help\n{long}").unwrap();
        for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let path = format!("{path} {}", command.get_name());
            add(command, &path, text);
        }
    }
    let mut text = String::new();
    let mut cli = Cli::command().version("0").term_width(100);
    cli.build();
    add(&mut cli, "quell", &mut text);
    text
}

#[test]
fn help_of_every_command() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cli/help.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cli")).unwrap();
        std::fs::write(golden, help()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(golden).unwrap_or_default(), help(), "UPDATE_GOLDEN=1 writes the file anew");
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn pages_of_codes_and_the_schema_are_printed() {
    let (code, out, err) = quell(&["check", "--explain", "q0102"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("## Q0102: a rule that is never reached") && out.ends_with("```\n"), "{out}");
    let (code, out, err) = quell(&["check", "--explain", "Q0004"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.starts_with("error: there is no code `Q0004`"), "{err}");
    assert_eq!(quell(&["check", "--explain", "Q0102", "rules"]).0, 2, "a page needs no files");
    let (code, out, _) = quell(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &schema["type"][0]), (0, &serde_json::json!("object")));
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, out, _) = quell(&["completions", shell]);
        assert_eq!(code, 0);
        assert!(out.contains("incident") && out.contains("ack"), "{shell}: {out}");
    }
}

#[test]
fn exit_codes_and_where_text_goes() {
    let cases: [(&[&str], u8, &str, &str); 17] = [
        (&["--version"], 0, "quell ", ""),
        (&["--help"], 0, "Run the daemon", ""),
        (&[], 2, "", "Usage: quell"),
        (&["nothing"], 2, "", "unrecognized subcommand"),
        (&["incident", "list", "--limit", "x"], 2, "", "--limit"),
        (&["incident", "list", "--limit", "0"], 2, "", "--limit"),
        (&["notification", "list", "--limit", "1001"], 2, "", "--limit"),
        (&["serve", "--listen", "nowhere"], 2, "", "--listen: `listen` must be an address with a port"),
        (&["check", "--config", "/nowhere/at/all.yaml"], 2, "", "/nowhere/at/all.yaml: cannot be read"),
        (&["log", "verify", "--data", "/nowhere/at/all"], 2, "", "there is no log in /nowhere/at/all\nhint: --data"),
        (&["incident", "assign", "INC-1"], 2, "", "ASSIGNEE"),
        (&["send"], 2, "", "NAME=VALUE"),
        (&["send", "x"], 2, "", "expected NAME=VALUE"),
        (&["send", "a=b", "--file", "x"], 2, "", "cannot be used with"),
        (&["incident", "list", "--url", "nonsense"], 2, "", "--url"),
        (&["incident", "list", "--url", "ftp://x"], 2, "", "http://host:port"),
        (&["send", "--file", "/nowhere/at/all.json"], 1, "", "/nowhere/at/all.json"),
    ];
    for (args, code, stdout, stderr) in cases {
        let (got, out, err) = quell(args);
        assert_eq!(got, code, "{args:?}: {err}");
        assert!(out.contains(stdout) && out.is_empty() == stdout.is_empty(), "{args:?}: {out}");
        assert!(err.contains(stderr) && err.is_empty() == stderr.is_empty(), "{args:?}: {err}");
    }
}

#[test]
fn an_unreachable_daemon_is_said_with_a_hint() {
    // Bound and closed again: nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = quell(&["incident", "list", "--url", &format!("http://{address}"), "--token", "canary"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with("error: no answer from http://127.0.0.1:") && err.contains("hint: is the daemon running"), "{err}");
    assert!(!err.contains("canary"));
}

#[test]
fn lists_incidents() {
    let page = json!({ "incidents": [incident(2, "evil \u{1b}[2J title"), incident(1, "trouble")], "next": "1" });
    let server = Server::answering(vec![(200, page.clone()), (200, page.clone())]);
    let url = server.url.as_str();
    let args =
        ["incident", "list", "--url", url, "--utc", "--status", "open,resolved", "--label", "cluster=eu 1", "--limit", "2"];
    let (code, out, err) = quell(&args);
    assert_eq!(code, 0, "{err}");
    assert_eq!(server.asked.recv().unwrap(), "GET /v1/incidents?status=open%2Cresolved&label=cluster%3Aeu+1&limit=2");
    let lines: Vec<String> = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "ID PRIO STATUS TITLE FIRING CATEGORY TEAM OPENED",
            "INC-2 P1 open evil [2J title 2/3 database dba 2026-01-05T00:00:00.000Z",
            "INC-1 P1 open trouble 2/3 database dba 2026-01-05T00:00:00.000Z",
        ]
    );
    assert_eq!(err, "there are more incidents; go on with --cursor 1\n");

    let (_, out, err) = quell(&["incident", "list", "--url", url, "--json"]);
    assert_eq!((serde_json::from_str::<Value>(&out).unwrap(), err.as_str()), (page, ""));
}

#[test]
fn an_empty_list_says_so_beside_the_data() {
    let server = Server::answering(vec![
        (200, json!({ "incidents": [], "next": null })),
        (200, json!({ "incidents": [], "next": null })),
        (200, json!({ "notifications": [], "next": null })),
    ]);
    let cases: [(&[&str], &str); 3] = [
        (&["incident", "list"], "no incidents want work; --status all lists the others\n"),
        (&["incident", "list", "--team", "dba"], "no such incidents\n"),
        (&["notification", "list"], "no such notifications\n"),
    ];
    for (args, said) in cases {
        assert_eq!(quell(&[args, &["--url", &server.url]].concat()), (0, String::new(), said.to_owned()));
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_fault() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let server = Server::answering(vec![(200, json!({ "incidents": [incident(1, "trouble")], "next": null }))]);
    let list = ["incident", "list", "--url", &server.url];
    for args in [&list[..], &["completions", "bash"], &["demo", "--rules"], &["--help"]] {
        let mut err = Vec::new();
        let args = std::iter::once("quell").chain(args.iter().copied()).map(Into::into);
        assert_eq!(run(args, &mut Closed, &mut err, false), 0);
        assert_eq!(String::from_utf8(err).unwrap(), "");
    }
}

#[test]
fn colour_only_when_wanted() {
    let page = json!({ "incidents": [incident(1, "trouble")], "next": null });
    let server = Server::answering(vec![(200, page.clone()), (200, page)]);
    assert!(!quell(&["incident", "list", "--url", &server.url]).1.contains('\u{1b}'));
    assert!(quell(&["incident", "list", "--url", &server.url, "--color", "always"]).1.contains("\u{1b}[31mINC-1"));
}

#[test]
fn shows_an_incident() {
    let timeline = json!({ "entries": [
        { "seq": 4, "at": "2026-01-05T00:00:01.000Z", "kind": "incident_opened", "text": "opened", "actor": null, "reason": null },
        { "seq": 9, "at": "2026-01-05T00:00:02.000Z", "kind": "incident_commented", "text": "ann: looking", "actor": "ann", "reason": null },
    ], "next": null });
    let alerts = json!({ "alerts": [
        { "status": "firing", "labels": { "alertname": "PostgresDown", "host": "db-1" }, "starts_at": "2026-01-05T00:00:00.000Z" },
    ], "next": "3" });
    let server = Server::answering(vec![(200, incident(1, "trouble")), (200, timeline), (200, alerts)]);
    let (code, out, err) = quell(&["incident", "show", "INC-1", "--url", &server.url, "--utc"]);
    assert_eq!(code, 0, "{err}");
    for part in ["INC-1  trouble", "P1 (impact 1, urgency 1)", "2 firing of 3", "ann: looking", "PostgresDown", "host=db-1"] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    let url = format!("{}/v1/incidents/INC-1/alerts?cursor=3", server.url);
    assert_eq!(err, format!("there are more alerts than these; the rest is at {url}\n"));
}

#[test]
fn acts_on_incidents() {
    let cases: [(&[&str], &str); 9] = [
        (&["ack", "INC-1"], r#"POST /v1/incidents/INC-1/acknowledge {"by":"ann"}"#),
        (&["resolve", "7"], r#"POST /v1/incidents/7/resolve {"by":"ann"}"#),
        (&["reopen", "a/b"], r#"POST /v1/incidents/a%2Fb/reopen {"by":"ann"}"#),
        (&["close", "INC-1"], r#"POST /v1/incidents/INC-1/close {"by":"ann"}"#),
        (
            &["major", "INC-1", "--reason", "the press"],
            r#"POST /v1/incidents/INC-1/type {"by":"ann","reason":"the press","type":"major"}"#,
        ),
        (
            &["major", "INC-1", "--reason", "a drill", "--undo"],
            r#"POST /v1/incidents/INC-1/type {"by":"ann","reason":"a drill","type":"normal"}"#,
        ),
        (&["comment", "INC-1", "on", "it"], r#"POST /v1/incidents/INC-1/comment {"by":"ann","text":"on it"}"#),
        (&["assign", "INC-1", "eve"], r#"POST /v1/incidents/INC-1/assign {"assignee":"eve","by":"ann"}"#),
        (&["assign", "INC-1", "--nobody"], r#"POST /v1/incidents/INC-1/assign {"assignee":null,"by":"ann"}"#),
    ];
    for (act, asked) in cases {
        let server = Server::answering(vec![(200, incident(1, "trouble"))]);
        let args: Vec<&str> = [&["incident"], act, &["--by", "ann", "--url", &server.url, "--token", "t0"]].concat();
        let (code, out, err) = quell(&args);
        assert_eq!((code, out.as_str()), (0, "INC-1 is open: trouble\n"), "{err}");
        assert_eq!(server.asked.recv().unwrap(), format!("{asked}Bearer t0"));
    }
}

#[test]
fn reports_what_is_wrong() {
    let answer = |outcome: &str| json!({ "outcome": outcome, "incident": incident(7, "trouble"), "alert": {} });
    let quiet =
        json!({ "outcome": "suppressed", "incident": null, "alert": { "suppressed_by": [{ "kind": "silence", "id": "s1" }] } });
    let gone = json!({ "outcome": "known", "incident": null, "alert": null });
    let cases = [
        (answer("opened"), "INC-7 opened: P1, trouble\n"),
        (answer("joined"), "INC-7 joined: P1, trouble\n"),
        (answer("known"), "INC-7 known: P1, trouble\n"),
        (gone, "this report had come before\n"),
        (quiet, "taken, and quiet while this lasts: silence s1\n"),
    ];
    for (answer, said) in cases {
        let server = Server::answering(vec![(201, answer)]);
        let (code, out, err) =
            quell(&["incident", "report", "Nobody", "can", "pay", "--service", "shop", "--by", "ann", "--url", &server.url]);
        assert_eq!((code, out.as_str()), (0, said), "{err}");
        let asked = server.asked.recv().unwrap();
        let body: Value = serde_json::from_str(asked.strip_prefix("POST /v1/incidents ").unwrap()).unwrap();
        assert_eq!((&body["title"], &body["service"], &body["by"]), (&json!("Nobody can pay"), &json!("shop"), &json!("ann")));
    }
    let server = Server::answering(vec![(201, answer("joined"))]);
    let all = ["--severity", "high", "--label", "cluster=eu1", "--description", "since noon", "--link", "https://chat.example/1"];
    let line = [&["incident", "report", "Slow", "--key", "k1", "--json", "--url", &server.url][..], &all].concat();
    let (code, out, _) = quell(&line);
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["outcome"]), (0, &json!("joined")));
    let asked = server.asked.recv().unwrap();
    for part in [r#""severity":"high""#, r#""labels":{"cluster":"eu1"}"#, r#""url":"https://chat.example/1""#, "since noon"] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    assert_eq!(quell(&["incident", "report", "Slow", "--key", "a\nb"]).0, 2);
    assert_eq!(quell(&["incident", "report"]).0, 2);
}

#[test]
fn lists_and_sends_heartbeats() {
    let heartbeat = json!({
        "name": "backup", "state": "missed", "every": "1d", "grace": "1h", "last_at": "2026-01-05T00:00:00.000Z",
        "due_at": "2026-01-06T01:00:00.000Z", "missed_at": null, "alert": null, "incidents": ["INC-7"], "labels": {},
        "rule": { "file": "jobs.yaml", "line": 2 },
    });
    let empty = json!({ "heartbeats": [], "next": null });
    let missing =
        json!({ "error": { "code": "not_found", "message": "there is no heartbeat \"backp\"; did you mean \"backup\"?" } });
    let page = json!({ "heartbeats": [heartbeat], "next": null });
    let server = Server::answering(vec![(200, page), (200, empty), (200, heartbeat), (404, missing)]);
    let (_, out, _) = quell(&["heartbeat", "list", "--state", "missed,new", "--utc", "--url", &server.url]);
    assert_eq!(server.asked.recv().unwrap(), "GET /v1/heartbeats?state=missed%2Cnew");
    let last: Vec<&str> = out.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, ["backup", "missed", "1d", "1h", "2026-01-05T00:00:00.000Z", "INC-7"]);
    let said = quell(&["heartbeat", "list", "--url", &server.url]);
    assert_eq!(said, (0, String::new(), "no rule file names a heartbeat\n".to_owned()));
    server.asked.recv().unwrap();
    let (code, out, _) = quell(&["heartbeat", "send", "backup", "--url", &server.url, "--token", "t0"]);
    assert_eq!((code, out.as_str()), (0, "backup is heard of, and is to be again by 2026-01-06T01:00:00.000Z\n"));
    assert_eq!(server.asked.recv().unwrap(), "POST /v1/heartbeats/backup {}Bearer t0");
    let (code, _, err) = quell(&["heartbeat", "send", "backp", "--url", &server.url]);
    assert!(code == 1 && err.contains("did you mean \"backup\"?"), "{err}");
}

#[test]
fn refusals_are_told_as_the_daemon_says_them() {
    let refusal = |status, message: &str| (status, json!({ "error": { "code": "x", "message": message } }));
    let cases = [
        (refusal(409, "INC-1 is closed"), "error: INC-1 is closed (409)\n"),
        (
            refusal(401, "this token is not known"),
            "error: this token is not known (401)\nhint: give a token with --token or in QUELL_TOKEN\n",
        ),
        ((502, json!({ "x": 1 })), "error: {\"x\":1} (502)\n"),
    ];
    for (answer, expected) in cases {
        let server = Server::answering(vec![answer]);
        assert_eq!(quell(&["incident", "ack", "INC-1", "--url", &server.url]), (1, String::new(), expected.to_owned()));
    }
    let server = Server::answering(vec![refusal(400, "\"INC-x\" is no incident's id")]);
    let said = quell(&["incident", "ack", "INC-x", "--url", &server.url]);
    assert_eq!(said, (2, String::new(), "error: \"INC-x\" is no incident's id (400)\n".to_owned()));
}

#[test]
fn sends_alerts() {
    let server = Server::answering(vec![(200, json!({})), (200, json!({})), (200, json!({}))]);
    let url = server.url.as_str();
    let (code, out, err) = quell(&["send", "alertname=A", "severity=warning", "--annotation", "summary=a=b", "--url", url]);
    assert_eq!((code, out.as_str(), err), (0, "", format!("{url}/ took 1 alert\n")));
    assert_eq!(
        server.asked.recv().unwrap(),
        r#"POST /api/v2/alerts [{"annotations":{"summary":"a=b"},"labels":{"alertname":"A","severity":"warning"}}]"#
    );

    assert_eq!(quell(&["send", "alertname=A", "--resolve", "--url", url]).0, 0);
    let asked = server.asked.recv().unwrap();
    let sent: Value = serde_json::from_str(asked.split_once(' ').unwrap().1.split_once(' ').unwrap().1).unwrap();
    assert!(crate::model::Time::parse_rfc3339(sent[0]["endsAt"].as_str().unwrap()).is_some());

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alerts.json");
    std::fs::write(&file, r#"[{"labels":{"alertname":"A"}},{"labels":{"alertname":"B"}}]"#).unwrap();
    let (code, out, _) = quell(&["send", "--file", file.to_str().unwrap(), "--url", url, "--json"]);
    let sent: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, sent["sent"].as_array().unwrap().len()), (0, 2));
}

#[test]
fn lists_and_retries_notifications() {
    let notification = json!({
        "id": "dir1-4", "incident": "INC-1", "receiver": "pager", "kind": "trigger", "state": "dead", "attempts": 9, "key": "dir1/INC-1",
        "created_at": "2026-01-05T00:00:00.000Z", "delivered_at": null, "error": "refused",
    });
    let page = json!({ "notifications": [notification], "next": null });
    let server = Server::answering(vec![(200, page), (200, notification)]);
    let (_, out, _) = quell(&["notification", "list", "--state", "dead", "--utc", "--url", &server.url]);
    assert_eq!(server.asked.recv().unwrap(), "GET /v1/notifications?state=dead&limit=100");
    let last: Vec<&str> = out.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(last, ["dir1-4", "INC-1", "pager", "trigger", "dead", "9", "2026-01-05T00:00:00.000Z", "refused"]);
    let (code, out, _) = quell(&["notification", "retry", "dir1-4", "--by", "ann", "--url", &server.url]);
    assert_eq!((code, out.as_str()), (0, "dir1-4 is dead\n"));
    assert_eq!(server.asked.recv().unwrap(), r#"POST /v1/notifications/dir1-4/retry {"by":"ann"}"#);
}

#[test]
fn the_demos_rules_can_be_read() {
    let (code, out, _) = quell(&["demo", "--rules"]);
    assert!(code == 0 && out.contains("database-cluster") && out.contains("escalate:"), "{out}");
}

/// What messages of sources become: printed, as JSON, and with what is wrong.
#[test]
fn messages_are_shown_before_anybody_sends_them() {
    let payloads = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/payloads");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("quell.yaml");
    std::fs::write(
        &config,
        "sources: [{ name: pd, format: pagerduty-events-v2 }, { name: z, format: zabbix }, { name: nag, format: nagios }]",
    )
    .unwrap();
    let test = |file: &str, source: &str, more: &[&str]| {
        let file = if file.starts_with('/') { file.to_owned() } else { format!("{payloads}/{file}") };
        let mut line = vec!["source", "test", &file, "--source", source, "--config", config.to_str().unwrap()];
        line.extend(more);
        quell(&line)
    };
    let (code, out, err) = test("zabbix/acknowledged.json", "z", &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for part in ["firing, acknowledged", "  host: db-orders-01\n", "  severity: critical\n", "is known nowhere", "not used: "] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (code, out, _) = test("pagerduty-events-v2/firing.json", "pd", &["--json"]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &said["alerts"][0]["labels"]["service"]), (0, &serde_json::json!("orders-db")));
    assert_eq!(said["unused"], serde_json::json!(["images[0].alt", "images[0].href", "images[0].src", "links[0].text"]));
    let (code, out, _) = test("pagerduty-events-v2/resolved.json", "pd", &[]);
    assert!(code == 0 && out.contains(" resolved\n"), "{out}");
    let broken = folder.path().join("broken.json");
    std::fs::write(&broken, r#"{"NOTIFICATIONTYPE":"PROBLEM"}"#).unwrap();
    let (code, out, _) = test(broken.to_str().unwrap(), "nag", &[]);
    assert!(code == 1 && out.contains("alert 0: not understood: `HOSTNAME` is missing"), "{out}");
    let (code, _, err) = test("zabbix/firing.json", "x", &[]);
    assert!(code == 2 && err.contains("hint: there are: prometheus, pd, z, nag"), "{err}");
}

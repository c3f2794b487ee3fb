//! What strangers send: broken framing, broken JSON, bombs. Each gets its answer or a closed connection, costs little
//! memory, is never acknowledged, and the next honest request is served.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::daemon::{Daemon, Site};
use crate::http::Connection;

const BODY_BYTES_MAX: usize = 1 << 20;

fn site() -> Site {
    Site::new(&format!("limits: {{ body_bytes: {BODY_BYTES_MAX} }}\n"), &[])
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// Where one request ends is certain: it may serve the next.
    Any,
    /// Where the next request begins is in doubt: it must be closed.
    Closed,
}

/// One thing sent raw.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    /// The answers that are right; 0 is a connection closed without one.
    right: &'static [u16],
    after: After,
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("POST /api/v2/alerts HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n{headers}\r\n")
        .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A request whose framing is right, with any body.
fn framed(headers: &str, body: &[u8]) -> Vec<u8> {
    post(&format!("content-length: {}\r\n{headers}", body.len()), body)
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn as_chunk(body: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat()
}

fn http_1_0(request: Vec<u8>) -> Vec<u8> {
    String::from_utf8(request).unwrap().replacen("HTTP/1.1", "HTTP/1.0", 1).into_bytes()
}

/// An empty list under two framings, and behind it, where a proxy that believes the length sees the rest of a body, a request
/// that would be served on a connection that stays open.
///
/// Such a request may be refused, or taken by its chunks if the connection is closed behind the answer (RFC 9112, section 6.1).
/// Ours is taken and closed, and not refused, because nobody can tell it apart any more: hyper leaves the length out of the
/// headers, in either order, and says so nowhere but by closing. To see the head before hyper does would mean to find the ends
/// of all requests on a connection, chunk by chunk: a second parser, whose disagreement with the first is the very fault that
/// such requests live by. What matters is held here: nothing behind the chunks is ever read as a request.
fn chunked_with_length(headers: [&str; 2]) -> Vec<u8> {
    let smuggled = framed("", br#"[{"labels":{"alertname":"Smuggled"}}]"#);
    [post(&format!("{}\r\n{}\r\n", headers[0], headers[1]), &as_chunk(b"[]")), smuggled].concat()
}

fn framing() -> Vec<Case> {
    let good: &[u8] = br#"[{"labels":{"alertname":"Bad"}}]"#;
    let case = |name, bytes, right, after| Case { name, bytes, right, after };
    let many_headers = (0..2_000).map(|n| format!("x-{n}: y\r\n")).collect::<Vec<_>>().concat();
    vec![
        case("no body", framed("", b""), &[400, 422], After::Any),
        case("no body and no length", post("", b""), &[400, 411, 422], After::Any),
        case("two lengths", post("content-length: 32\r\ncontent-length: 5\r\n", good), &[400], After::Closed),
        case("length that is no number", post("content-length: many\r\n", good), &[400], After::Closed),
        case("negative length", post("content-length: -1\r\n", good), &[400], After::Closed),
        case("length beyond 64 bits", post("content-length: 99999999999999999999\r\n", good), &[400, 413], After::Closed),
        case(
            "chunked and a length",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\nPOST / HTTP/1.1\r\n\r\n"),
            &[400, 422],
            After::Closed,
        ),
        case(
            "length behind chunked",
            chunked_with_length(["transfer-encoding: chunked", "content-length: 5"]),
            &[200],
            After::Closed,
        ),
        case(
            "length before chunked",
            chunked_with_length(["content-length: 5", "transfer-encoding: chunked"]),
            &[200],
            After::Closed,
        ),
        case("two lengths in one header", post("content-length: 32, 5\r\n", good), &[400], After::Closed),
        case(
            "two lengths, the second of no use",
            post("content-length: 32\r\ncontent-length: x\r\n", good),
            &[400],
            After::Closed,
        ),
        case(
            "chunked, and then something else",
            post("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", &as_chunk(good)),
            &[400],
            After::Closed,
        ),
        case("a space before the colon", post("transfer-encoding : chunked\r\n", &as_chunk(good)), &[400], After::Closed),
        case("chunked in HTTP/1.0", http_1_0(post("transfer-encoding: chunked\r\n", &as_chunk(good))), &[400], After::Closed),
        case("unknown transfer encoding", post("transfer-encoding: rot13\r\n", good), &[400, 501], After::Closed),
        case(
            "chunk size that is no number",
            post("transfer-encoding: chunked\r\n", b"zz\r\n[]\r\n0\r\n\r\n"),
            &[400, 0],
            After::Closed,
        ),
        case("100 MB by its length", post("content-length: 104857600\r\n", &[b' '; 1_000]), &[413], After::Closed),
        case("length just above the limit", framed("", &vec![b' '; BODY_BYTES_MAX + 1]), &[413], After::Closed),
        case("gzip bomb, 1000:1", framed("content-encoding: gzip\r\n", &gzip(&vec![b' '; 64 << 20])), &[413], After::Any),
        case("gzip that is none", framed("content-encoding: gzip\r\n", good), &[400], After::Any),
        case("gzip cut short", framed("content-encoding: gzip\r\n", &gzip(good)[..20]), &[400], After::Any),
        case("gzip in gzip", framed("content-encoding: gzip, gzip\r\n", &gzip(&gzip(good))), &[415], After::Any),
        case("brotli", framed("content-encoding: br\r\n", good), &[415], After::Any),
        case("zstd", framed("content-encoding: zstd\r\n", good), &[415], After::Any),
        case("a header of 1 MB", framed(&format!("x-long: {}\r\n", "y".repeat(1 << 20)), good), &[400, 431, 0], After::Closed),
        case("2,000 headers", framed(&many_headers, good), &[400, 431, 0], After::Closed),
        case("no HTTP", b"hello\r\n\r\n".to_vec(), &[400, 0], After::Closed),
        case("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[400, 505, 0], After::Closed),
        case("NUL in a header", framed("x-nul: a\0b\r\n", good), &[400], After::Closed),
    ]
}

/// Bodies that are no alerts. None may be acknowledged as a whole: each is 400 (422 where the JSON is right and its shape is
/// not, as Alertmanager answers), or 413 where it is too large.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let labels = |inner: &str| format!(r#"[{{"labels":{{"alertname":"Bad",{inner}}}}}]"#).into_bytes();
    let many_keys = (0..50_000).map(|n| format!(r#""k{n}":"v""#)).collect::<Vec<_>>().join(",");
    vec![
        ("not JSON", b"hello".to_vec()),
        ("HTML", b"<html></html>".to_vec()),
        ("an object in place of a list", br#"{"labels":{"alertname":"Bad"}}"#.to_vec()),
        ("a number", b"7".to_vec()),
        ("null", b"null".to_vec()),
        ("cut short", br#"[{"labels":{"alertname":"Bad""#.to_vec()),
        ("garbage behind", br#"[{"labels":{"alertname":"Bad"}}] x"#.to_vec()),
        ("two documents", br#"[{"labels":{"alertname":"Bad"}}][]"#.to_vec()),
        ("depth 10,000", [b"[".repeat(10_000), b"]".repeat(10_000)].concat()),
        ("depth inside an unknown field", [br#"[{"labels":{"alertname":"Bad"},"x":"#.to_vec(), b"[".repeat(100_000)].concat()),
        ("1e400", labels(r#""v":1e400"#)),
        ("2^64", labels(r#""v":18446744073709551616"#)),
        ("NaN", labels(r#""v":NaN"#)),
        ("a label that is a number", labels(r#""v":1"#)),
        ("a label that is null", labels(r#""v":null"#)),
        ("duplicate label", labels(r#""v":"1","v":"2""#)),
        ("lone surrogate", labels(r#""v":"\ud800""#)),
        ("invalid UTF-8", labels("\"v\":\"\u{1}\"").iter().map(|b| if *b == 1 { 0xff } else { *b }).collect()),
        ("control character", labels("\"v\":\"\u{1}\"")),
        ("byte order mark", [b"\xef\xbb\xbf".to_vec(), labels(r#""v":"1""#)].concat()),
        ("50,000 labels", labels(&many_keys)),
        ("a value of 100 kB", labels(&format!(r#""v":"{}""#, "x".repeat(100_000)))),
        ("a value of 10 MB", labels(&format!(r#""v":"{}""#, "x".repeat(10 << 20)))),
        ("no labels", br#"[{"annotations":{}}]"#.to_vec()),
        ("empty labels", br#"[{"labels":{}}]"#.to_vec()),
        ("a time that is none", br#"[{"labels":{"alertname":"Bad"},"startsAt":"yesterday"}]"#.to_vec()),
        ("a time that is a number", br#"[{"labels":{"alertname":"Bad"},"startsAt":18446744073709551616}]"#.to_vec()),
    ]
}

#[test]
fn broken_framing_is_answered_or_cut_off() {
    let site = site();
    let daemon = site.start();
    for case in framing() {
        let mut connection = Connection::open(daemon.addr).unwrap();
        // The daemon may answer and close before it has read everything.
        drop(connection.write(&case.bytes));
        let status = connection.read_response().map_or(0, |response| response.status);
        assert!(case.right.contains(&status), "{}: {status}, not one of {:?}", case.name, case.right);
        if case.after == After::Closed {
            assert!(connection.is_closed_by_peer(), "{}: the connection stays open", case.name);
        }
    }
    serves_as_ever(&daemon);
}

#[test]
fn a_body_cut_short_is_not_taken() {
    let site = site();
    let daemon = site.start();
    let mut connection = Connection::open(daemon.addr).unwrap();
    connection.write(&post("content-length: 5000\r\n", br#"[{"labels":{"alertname":"Bad"}}]"#)).unwrap();
    connection.finish_writing().unwrap();
    // Whoever hung up may be told why or nothing.
    let status = connection.read_response().map_or(0, |response| response.status);
    assert!([0, 400, 408].contains(&status), "{status}");
    assert!(connection.is_closed_by_peer());
    serves_as_ever(&daemon);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let site = site();
    let daemon = site.start();
    let mut connection = Connection::open(daemon.addr).unwrap();
    connection.write(&post("transfer-encoding: chunked\r\n", b"")).unwrap();
    let mut chunk = b"10000\r\n".to_vec();
    chunk.extend_from_slice(&vec![b' '; 0x10000]);
    chunk.extend_from_slice(b"\r\n");
    // Sockets buffer a few megabytes on either side; beyond that somebody must have stopped reading.
    let sent = (0..1_024).take_while(|_| connection.write(&chunk).is_ok()).count();
    assert!(sent < 1_024, "64 MiB were taken, of {BODY_BYTES_MAX} bytes allowed");
    serves_as_ever(&daemon);
}

#[test]
fn a_body_that_is_no_alert_is_refused_with_a_reason() {
    let site = site();
    let daemon = site.start();
    for (name, body) in bodies() {
        let right: &[u16] = if body.len() > BODY_BYTES_MAX { &[413] } else { &[400, 422] };
        let mut connection = Connection::open(daemon.addr).unwrap();
        drop(connection.write(&framed("", &body)));
        let response = connection.read_response().unwrap_or_else(|e| panic!("{name}: no answer: {e}"));
        assert!(right.contains(&response.status), "{name}: {} {}", response.status, response.text());
        assert!(response.text().len() > 5, "{name}: no reason given");
        assert!(response.text().len() < 4_096, "{name}: the reason repeats the input");
    }
    serves_as_ever(&daemon);
}

#[test]
fn one_bad_alert_does_not_take_the_others_down() {
    let site = site();
    let daemon = site.start();
    let many = (0..10_000).map(|n| format!(r#""l{n}":"v","#)).collect::<Vec<_>>().concat();
    let bad = [r#"{"labels":{"alertname":"Bad","":"x"}}"#.to_owned(), format!(r#"{{"labels":{{{many}"alertname":"Bad"}}}}"#)];
    for (number, bad) in bad.iter().enumerate() {
        let good = format!(r#"{{"labels":{{"alertname":"Good","n":"{number}"}}}}"#);
        let response = daemon.request(
            "POST",
            "/api/v2/alerts",
            &[("content-type", "application/json")],
            format!("[{bad},{good}]").as_bytes(),
        );
        assert_eq!(response.status, 400, "{}", response.text());
        let alerts = daemon.list("/v1/alerts", "alerts");
        assert_eq!(alerts.len(), number + 1, "{alerts:?}");
        assert!(alerts.iter().all(|alert| alert["labels"]["alertname"] == "Good"));
    }
}

#[test]
fn odd_but_legal_labels_are_kept_as_they_are() {
    let site = site();
    let daemon = site.start();
    let labels = json!({
        "alertname": "Odd",
        "Case": "upper", "case": "lower",
        "rtl": "\u{202e}desrever", "zero_width": "a\u{200b}b", "newline": "a\nb", "number": "42", "html": "<script>alert(1)</script>",
        "template": "{{ 7 * 7 }} ${HOME} %s", "ansi": "\u{1b}[31mred",
    });
    daemon.post_alerts(&json!([{ "labels": labels }]));
    assert_eq!(daemon.list("/v1/alerts", "alerts")[0]["labels"], labels);
    assert!(!daemon.incidents()[0]["title"].as_str().unwrap().contains("49"), "a label was taken for a template");
    assert!(!daemon.stderr().contains('\u{1b}'), "a label steers the terminal that shows the log");
}

#[test]
fn hostile_bodies_cost_little_memory() {
    let site = site();
    let daemon = site.start();
    serves_as_ever(&daemon);
    let before = peak_memory_bytes(&daemon);
    for _ in 0..3 {
        for bytes in framing().into_iter().map(|case| case.bytes).chain(bodies().into_iter().map(|(_, body)| framed("", &body))) {
            let mut connection = Connection::open(daemon.addr).unwrap();
            drop(connection.write(&bytes));
            drop(connection.finish_writing());
            drop(connection.read_response());
        }
    }
    let rise = peak_memory_bytes(&daemon).saturating_sub(before);
    // Twice the limit for the body, and what the allocator takes in blocks of megabytes for each thread. The bomb alone
    // would be 64 MiB, and the bodies of one round more than 100.
    let allowed = 2 * BODY_BYTES_MAX + (40 << 20);
    assert!(rise < allowed, "memory rose by {rise} bytes, more than {allowed}");
}

/// After all that: no panic, nothing bad accepted, and an honest alert is taken.
fn serves_as_ever(daemon: &Daemon) {
    daemon.post_alerts(&json!([{ "labels": { "alertname": "Honest" } }]));
    let alerts = daemon.list("/v1/alerts?status=all", "alerts");
    let names: Vec<&str> = alerts.iter().filter_map(|alert| alert["labels"]["alertname"].as_str()).collect();
    assert_eq!(names, ["Honest"], "something bad was taken");
    assert_eq!(daemon.try_get("/-/healthy").map(|r| r.status), Some(200));
    assert!(!daemon.stderr().contains("panicked"), "{}", daemon.stderr());
}

/// The most memory that the daemon ever held, by Linux' account.
fn peak_memory_bytes(daemon: &Daemon) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

//! What senders must prove: tokens in all their places, and every scheme of signatures against everything that may be wrong
//! with one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::{Digest, Sha256};

use super::{Reply, Setup, T0};
use crate::model::Millis;
use crate::runtime::SubmitError;

const PATH: &str = "/v1/ingest/hooks";

/// Secrets that are good, the new one and the old one; one that is not.
const NEW: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3";
const OLD: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xk";
const WRONG: &str = "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc";

/// The schemes, and what is different between them.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scheme {
    settings: &'static str,
    header: &'static str,
    /// What stands before each signature.
    prefix: &'static str,
    /// What stands between several; `None` where there is one.
    between: Option<&'static str>,
    is_hex: bool,
    /// The header of the signed time.
    time: Option<&'static str>,
    has_id: bool,
    /// Whether the sender has a key of ed25519, and we the public half of it.
    is_public: bool,
}

const SCHEMES: [Scheme; 7] = [
    Scheme {
        settings: "scheme: github",
        header: "X-Hub-Signature-256",
        prefix: "sha256=",
        between: None,
        is_hex: true,
        time: None,
        has_id: false,
        is_public: false,
    },
    Scheme {
        settings: "scheme: sentry, window: 5m",
        header: "Sentry-Hook-Signature",
        prefix: "",
        between: None,
        is_hex: true,
        time: None,
        has_id: false,
        is_public: false,
    },
    Scheme {
        settings: "scheme: grafana",
        header: "X-Grafana-Alerting-Signature",
        prefix: "",
        between: None,
        is_hex: true,
        time: None,
        has_id: false,
        is_public: false,
    },
    Scheme {
        settings: "scheme: grafana, timestamp_header: X-Signed-At",
        header: "X-Grafana-Alerting-Signature",
        prefix: "",
        between: None,
        is_hex: true,
        time: Some("X-Signed-At"),
        has_id: false,
        is_public: false,
    },
    Scheme {
        settings: "scheme: pagerduty, window: 5m",
        header: "X-PagerDuty-Signature",
        prefix: "v1=",
        between: Some(","),
        is_hex: true,
        time: None,
        has_id: false,
        is_public: false,
    },
    Scheme {
        settings: "scheme: standard-webhooks",
        header: "webhook-signature",
        prefix: "v1,",
        between: Some(" "),
        is_hex: false,
        time: Some("webhook-timestamp"),
        has_id: true,
        is_public: false,
    },
    Scheme {
        settings: "scheme: standard-webhooks",
        header: "webhook-signature",
        prefix: "v1a,",
        between: Some(" "),
        is_hex: false,
        time: Some("webhook-timestamp"),
        has_id: true,
        is_public: true,
    },
];

/// A message before it is signed, sent at some second after [`T0`].
#[derive(Clone, Debug)]
struct Message {
    id: &'static str,
    at: i64,
    body: String,
}

impl Message {
    fn new(name: &str) -> Message {
        Message { id: "msg_1", at: 0, body: format!(r#"{{"name":"{name}"}}"#) }
    }
}

type Headers = Vec<(String, String)>;

/// A key of ed25519, made from a secret.
fn key_pair(secret: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&Sha256::digest(secret.as_bytes())).unwrap()
}

fn public_key(secret: &str) -> String {
    format!("whpk_{}", BASE64.encode(key_pair(secret).public_key()))
}

impl Scheme {
    fn setup(self) -> Setup {
        let keys = if self.is_public {
            format!(r#"public_key: ["{}", "{}"]"#, public_key(NEW), public_key(OLD))
        } else {
            format!(r#"secret: ["{NEW}", "{OLD}"]"#)
        };
        Setup::new(&format!(
            r#"
sources:
  - name: hooks
    format: generic
    signature: {{ {}, {keys} }}
    map: {{ labels: {{ alertname: "{{{{ body.name }}}}" }}, status: "{{{{ body.status | default('firing') }}}}" }}
"#,
            self.settings
        ))
    }

    fn signature(self, secret: &str, message: &Message) -> String {
        if self.is_public {
            let content = format!("{}.{}.{}", message.id, T0.0 / 1_000 + message.at, message.body);
            return format!("{}{}", self.prefix, BASE64.encode(key_pair(secret).sign(content.as_bytes())));
        }
        let key = if self.is_hex { secret.as_bytes().to_vec() } else { BASE64.decode(secret).unwrap_or_else(|_| vec![1; 24]) };
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        let seconds = T0.0 / 1_000 + message.at;
        if self.has_id {
            mac.update(format!("{}.{seconds}.", message.id).as_bytes());
        } else if self.time.is_some() {
            mac.update(format!("{seconds}:").as_bytes());
        }
        mac.update(message.body.as_bytes());
        let bytes = mac.finalize().into_bytes();
        if !self.is_hex {
            return format!("{}{}", self.prefix, BASE64.encode(bytes));
        }
        bytes.iter().fold(self.prefix.to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn headers(self, signature: String, message: &Message) -> Headers {
        let mut headers = vec![(self.header.to_owned(), signature)];
        if let Some(name) = self.time {
            headers.push((name.to_owned(), (T0.0 / 1_000 + message.at).to_string()));
        }
        if self.has_id {
            headers.push(("webhook-id".to_owned(), message.id.to_owned()));
        }
        headers
    }

    fn signed(self, secret: &str, message: &Message) -> Headers {
        self.headers(self.signature(secret, message), message)
    }
}

/// Sends a message that arrives at a second after [`T0`].
fn send(setup: &Setup, at: i64, headers: &Headers, body: &str) -> Reply {
    setup.engine.set_now(T0 + Millis::seconds(at));
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    setup.send(PATH, &headers, body.as_bytes())
}

fn refusals(setup: &Setup) -> BTreeSet<String> {
    let metrics = String::from_utf8(setup.metrics.expose()).unwrap();
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("quell_requests_rejected_total{reason=\""));
    lines.map(|line| line.split('"').next().unwrap().to_owned()).collect()
}

/// What is done, how; whether the message is good for a scheme then; else, as what it may be counted.
type Row = (&'static str, fn(Scheme, &Message) -> (Headers, String), fn(Scheme) -> bool, &'static [&'static str]);

/// Row by row: what is done to a message that is good, whether it is taken then, and as what it is counted if not.
#[test]
fn only_what_is_rightly_signed_passes() {
    let rows: &[Row] = &[
        ("nothing", |s, m| (s.signed(NEW, m), m.body.clone()), |_| true, &[]),
        ("signed with the old secret", |s, m| (s.signed(OLD, m), m.body.clone()), |_| true, &[]),
        ("no header", |_, m| (Headers::new(), m.body.clone()), |_| false, &["unsigned"]),
        ("an empty signature", |s, m| (s.headers(String::new(), m), m.body.clone()), |_| false, &["unsigned", "signature"]),
        ("nothing but the prefix", |s, m| (s.headers(s.prefix.into(), m), m.body.clone()), |_| false, &["unsigned", "signature"]),
        ("signed with a wrong secret", |s, m| (s.signed(WRONG, m), m.body.clone()), |_| false, &["signature"]),
        (
            "cut off",
            |s, m| {
                let whole = s.signature(NEW, m);
                (s.headers(whole[..whole.len() - 4].to_owned(), m), m.body.clone())
            },
            |_| false,
            &["signature"],
        ),
        (
            "longer",
            |s, m| {
                (
                    s.headers(if s.is_hex { format!("{}00", s.signature(NEW, m)) } else { s.signature(NEW, m) + "AAAA" }, m),
                    m.body.clone(),
                )
            },
            |_| false,
            &["signature", "unsigned"],
        ),
        ("right over another body", |s, m| (s.signed(NEW, m), m.body.replace('"', "\" ")), |_| false, &["signature"]),
        ("right over less of the body", |s, m| (s.signed(NEW, m), format!("{} ", m.body)), |_| false, &["signature"]),
        (
            "the header twice",
            |s, m| {
                let mut headers = s.signed(NEW, m);
                headers.push(headers[0].clone());
                (headers, m.body.clone())
            },
            |_| false,
            &["unsigned"],
        ),
        (
            "another version",
            |s, m| {
                let signature = s.signature(NEW, m);
                (s.headers(format!("v2{}", &signature[s.prefix.len().min(2)..]), m), m.body.clone())
            },
            |_| false,
            &["unsigned"],
        ),
        (
            "two, the old secret's last",
            |s, m| {
                let two = [s.signature(WRONG, m), s.signature(OLD, m)];
                (s.headers(two.join(s.between.unwrap_or(",")), m), m.body.clone())
            },
            |s| s.between.is_some(),
            &["unsigned"],
        ),
        (
            "two, with another version before",
            |s, m| {
                let two = ["v9,0000".replace(',', if s.is_hex { "=" } else { "," }), s.signature(NEW, m)];
                (s.headers(two.join(s.between.unwrap_or(",")), m), m.body.clone())
            },
            |s| s.between.is_some(),
            &["unsigned"],
        ),
        (
            "more than anybody rotates",
            |s, m| (s.headers([(); 9].map(|()| s.signature(NEW, m)).join(s.between.unwrap_or(",")), m), m.body.clone()),
            |_| false,
            &["unsigned"],
        ),
        (
            "digits in capitals",
            |s, m| {
                let signature = s.signature(NEW, m);
                (s.headers(format!("{}{}", s.prefix, signature[s.prefix.len()..].to_uppercase()), m), m.body.clone())
            },
            |s| s.is_hex,
            &["signature", "unsigned"],
        ),
        (
            "the prefix in capitals",
            |s, m| {
                let signature = s.signature(NEW, m);
                let prefix = if s.prefix.is_empty() { "V1=".to_owned() } else { s.prefix.to_uppercase() };
                (s.headers(format!("{prefix}{}", &signature[s.prefix.len()..]), m), m.body.clone())
            },
            |_| false,
            &["unsigned"],
        ),
        ("spaces around", |s, m| (s.headers(format!("  {}\t ", s.signature(NEW, m)), m), m.body.clone()), |_| true, &[]),
        (
            "spaces inside",
            |s, m| {
                let signature = s.signature(NEW, m);
                let (head, tail) = signature.split_at(signature.len() - 6);
                (s.headers(format!("{head} {tail}"), m), m.body.clone())
            },
            |_| false,
            &["unsigned", "signature"],
        ),
        (
            "another scheme's",
            |s, m| {
                let other = SCHEMES.into_iter().find(|other| other.header != s.header).unwrap();
                (other.signed(NEW, m), m.body.clone())
            },
            |_| false,
            &["unsigned"],
        ),
        (
            "sent as long ago as may be",
            |s, m| {
                let m = Message { at: -300, ..m.clone() };
                (s.signed(NEW, &m), m.body)
            },
            |_| true,
            &[],
        ),
        (
            "sent too long ago",
            |s, m| {
                let m = Message { at: -301, ..m.clone() };
                (s.signed(NEW, &m), m.body)
            },
            |s| s.time.is_none(),
            &["stale"],
        ),
        (
            "sent in the future",
            |s, m| {
                let m = Message { at: 301, ..m.clone() };
                (s.signed(NEW, &m), m.body)
            },
            |s| s.time.is_none(),
            &["stale"],
        ),
        (
            "another time than the signed one",
            |s, m| (s.headers(s.signature(NEW, &Message { at: 1, ..m.clone() }), m), m.body.clone()),
            |s| s.time.is_none(),
            &["signature"],
        ),
        (
            "a time that is none",
            |s, m| {
                let mut headers = s.signed(NEW, m);
                headers.iter_mut().skip(1).for_each(|(_, value)| *value = "soon".to_owned());
                (headers, m.body.clone())
            },
            |s| s.time.is_none(),
            &["unsigned"],
        ),
        (
            "another id than the signed one",
            |s, m| (s.headers(s.signature(NEW, m), &Message { id: "msg_2", ..m.clone() }), m.body.clone()),
            |s| !s.has_id,
            &["signature"],
        ),
        (
            "an id with a full stop",
            |s, m| {
                let m = Message { id: "msg.1", ..m.clone() };
                (s.signed(NEW, &m), m.body)
            },
            |s| !s.has_id,
            &["unsigned"],
        ),
    ];
    let mut answers = BTreeSet::new();
    for scheme in SCHEMES {
        for (row, change, is_good, reasons) in rows {
            let setup = scheme.setup();
            let (headers, body) = change(scheme, &Message::new("A"));
            let (status, text) = send(&setup, 0, &headers, &body);
            let place = format!("{}: {row}: {text}", scheme.settings);
            if is_good(scheme) {
                assert_eq!((status, setup.counts("hooks"), refusals(&setup)), (200, [1, 0, 1, 0], BTreeSet::new()), "{place}");
            } else {
                assert_eq!((status, setup.counts("hooks")), (401, [0; 4]), "{place}");
                let counted = refusals(&setup);
                assert!(
                    counted.len() == 1 && counted.iter().all(|reason| reasons.contains(&reason.as_str())),
                    "{place}: {counted:?}"
                );
                answers.insert(text);
            }
        }
    }
    assert_eq!(answers.len(), 1, "a stranger learns what was wrong: {answers:?}");
}

/// What came before comes again: the same bytes, with the other secret's signature, and as a sender that tries again sends it.
#[test]
fn what_came_before_is_not_taken_again() {
    for scheme in SCHEMES {
        let setup = scheme.setup();
        let message = Message::new("A");
        let first = scheme.signed(NEW, &message);
        assert_eq!(send(&setup, 0, &first, &message.body).0, 200, "{}", scheme.settings);
        // The alert ends meanwhile, so that the message would be news again.
        let end = Message { id: "msg_2", body: r#"{"name":"A","status":"resolved"}"#.to_owned(), ..message.clone() };
        assert_eq!(send(&setup, 10, &scheme.signed(NEW, &end), &end.body).0, 200);

        let replays = [(20, NEW), (20, OLD), (299, NEW), (300, NEW)];
        for (at, secret) in replays {
            let (status, text) = send(&setup, at, &scheme.signed(secret, &message), &message.body);
            assert_eq!(status, 401, "{} at {at}: {text}", scheme.settings);
        }
        assert_eq!(refusals(&setup).into_iter().collect::<Vec<_>>(), ["replayed"], "{}", scheme.settings);
        assert_eq!(setup.counts("hooks"), [2, 0, 2, 0], "{}", scheme.settings);

        // Sent again with the time of this attempt: by the id it is the one that was taken, and nothing is done. Where there
        // is no id, it is another message, and what it says is news.
        let again = Message { at: 200, ..message.clone() };
        let (status, text) = send(&setup, 200, &scheme.signed(NEW, &again), &again.body);
        let (expected, counts) = match (scheme.time, scheme.has_id) {
            (_, true) => (200, [2, 0, 2, 0]),
            (Some(_), false) => (200, [3, 0, 3, 0]),
            (None, _) => (401, [2, 0, 2, 0]),
        };
        assert_eq!((status, setup.counts("hooks")), (expected, counts), "{}: {text}", scheme.settings);
        if scheme.has_id {
            assert!(text.contains(r#""accepted":0"#), "{text}");
            let metrics = String::from_utf8(setup.metrics.expose()).unwrap();
            assert!(metrics.contains(r#"quell_source_messages_total{kind="again",source="hooks"} 1"#), "{metrics}");
        }

        // Without a signed time nobody can tell for ever; the window is how long it is certain.
        let (status, _) = send(&setup, 301, &first, &message.body);
        assert_eq!(status, if scheme.time.is_none() { 200 } else { 401 }, "{}", scheme.settings);
    }
}

#[test]
fn what_was_not_taken_may_come_again() {
    let scheme = SCHEMES[0];
    let setup = scheme.setup();
    let message = Message::new("A");
    let headers = scheme.signed(NEW, &message);
    *setup.engine.failure.lock().unwrap() = Some(SubmitError::Storage("disk full".into()));
    assert_eq!(send(&setup, 0, &headers, &message.body).0, 503);
    *setup.engine.failure.lock().unwrap() = None;
    assert_eq!(send(&setup, 1, &headers, &message.body).0, 200);
    assert_eq!(send(&setup, 2, &headers, &message.body).0, 401);
    // A body that is refused as a whole is none that was taken.
    let message = Message { body: "{".to_owned(), ..message };
    for _ in 0..2 {
        assert_eq!(send(&setup, 3, &scheme.signed(NEW, &message), &message.body).0, 400);
    }
}

#[test]
fn tokens_come_in_many_ways() {
    let setup = Setup::new(
        r"
sources:
  - { name: hooks, format: alertmanager, token: [new-token, old-token], token_header: X-Honeycomb-Webhook-Token }
  - { name: both, format: alertmanager, token: new-token, signature: { scheme: github, secret: s } }
",
    );
    let body = r#"{"version":"4","alerts":[]}"#;
    let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
    let cases = [
        ("", Vec::<(&str, String)>::new(), 401),
        ("", vec![("authorization", "Bearer new-token".into())], 200),
        ("", vec![("authorization", "bearer  old-token ".into())], 200),
        ("", vec![("authorization", "Bearer new-toke".into())], 401),
        ("", vec![("authorization", "Bearer new-token2".into())], 401),
        ("", vec![("authorization", "Bearer NEW-TOKEN".into())], 401),
        ("", vec![("authorization", "new-token".into())], 401),
        ("", vec![("authorization", "Digest new-token".into())], 401),
        ("", vec![("authorization", basic("anybody:new-token"))], 200),
        ("", vec![("authorization", basic("new-token:"))], 401),
        ("", vec![("authorization", "Basic new-token".into())], 401),
        ("", vec![("authorization", "Bearer new-token".into()), ("authorization", "Bearer new-token".into())], 401),
        ("", vec![("x-honeycomb-webhook-token", "old-token".into())], 200),
        ("", vec![("x-honeycomb-webhook-token", "other".into())], 401),
        // The header that the source names is asked first, and a wrong one is not made good by another.
        ("", vec![("x-honeycomb-webhook-token", "other".into()), ("authorization", "Bearer new-token".into())], 401),
        ("", vec![("x-honeycomb-webhook-token", "new-token".into()), ("x-honeycomb-webhook-token", "new-token".into())], 401),
        ("/new-token", vec![], 200),
        ("/new%2Dtoken", vec![], 200),
        ("/other", vec![("authorization", "Bearer new-token".into())], 401),
        ("/", vec![], 401),
    ];
    for (path, headers, expected) in cases {
        let given: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let (status, text) = setup.send(&format!("{PATH}{path}"), &given, body.as_bytes());
        assert_eq!(status, expected, "{path} {headers:?}: {text}");
    }
    // Where a source asks for two things, both must be there.
    let message = Message { body: body.to_owned(), ..Message::new("") };
    let signed = SCHEMES[0].headers(SCHEMES[0].signature("s", &message), &message);
    let signed = (signed[0].0.as_str(), signed[0].1.as_str());
    let token = ("authorization", "Bearer new-token");
    for (headers, expected) in [(vec![signed], 401), (vec![token], 401), (vec![signed, token], 200)] {
        assert_eq!(setup.send("/v1/ingest/both", &headers, body.as_bytes()).0, expected, "{headers:?}");
    }
}

/// A public key is known to everybody, so it must never pass as a secret; and each kind of signature needs a key of its kind.
#[test]
fn a_public_key_checks_its_own_kind_of_signatures_only() {
    let [shared, public] = [SCHEMES[5], SCHEMES[6]];
    let map = r#"map: { labels: { alertname: "{{ body.name }}" } }"#;
    let source = |keys: &str| {
        Setup::new(&format!(
            "sources: [{{ name: hooks, format: generic, {map}, signature: {{ scheme: standard-webhooks, {keys} }} }}]"
        ))
    };
    let public_only = format!("public_key: {}", public_key(NEW));
    let both = format!("secret: {OLD}, {public_only}");
    let shared_only = format!("secret: {OLD}");
    let message = Message::new("A");
    let of = |scheme: Scheme, secret: &str| scheme.signature(secret, &message);
    // What somebody makes who knows the public key.
    let forged = of(shared, public_key(NEW).trim_start_matches("whpk_"));
    let renamed = |signature: String, from: &str, to: &str| signature.replacen(from, to, 1);
    // (the source's keys, signatures, whether the message is taken)
    let rows = [
        (&public_only, of(public, NEW), true),
        (&public_only, of(public, OLD), false),
        (&public_only, of(shared, OLD), false),
        (&public_only, forged.clone(), false),
        (&public_only, renamed(forged.clone(), "v1,", "v1a,"), false),
        (&public_only, renamed(of(public, NEW), "v1a,", "v1,"), false),
        (&both, of(public, NEW), true),
        (&both, of(shared, OLD), true),
        (&both, format!("{} {}", of(shared, WRONG), of(public, NEW)), true),
        (&both, format!("{} {}", of(public, WRONG), of(shared, OLD)), true),
        (&both, format!("{} {}", of(public, WRONG), of(shared, WRONG)), false),
        (&both, forged.clone(), false),
        (&shared_only, of(public, NEW), false),
        (&shared_only, format!("{} {}", of(public, WRONG), of(shared, OLD)), true),
        (&shared_only, forged, false),
    ];
    for (keys, signatures, is_taken) in rows {
        let (status, text) = send(&source(keys), 0, &public.headers(signatures.clone(), &message), &message.body);
        assert_eq!(status, if is_taken { 200 } else { 401 }, "{keys}: {signatures}: {text}");
    }
}

/// Path, headers, body, status.
type InBody<'a> = (&'a str, &'a [(&'a str, String)], String, u16);

/// StatusCake sends a digest of its account's key with each form, and can do nothing else.
#[test]
fn a_token_may_come_in_the_body() {
    let folder = super::tools::FOLDER;
    let samples: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{folder}/signatures.json")).unwrap()).unwrap();
    let of_statuscake = |it: &&serde_json::Value| it["file"] == "statuscake/firing.form";
    let sample = samples["signatures"].as_array().unwrap().iter().find(of_statuscake).unwrap();
    let digest = sample["expected_token"].as_str().unwrap();
    let form = std::fs::read_to_string(format!("{folder}/statuscake/firing.form")).unwrap();
    assert!(form.contains(digest));
    let setup = Setup::new(&format!(
        "
sources:
  - {{ name: cake, format: statuscake, token: [{digest}, old-digest], token_field: Token }}
  - {{ name: jobs, format: generic, token: {digest}, token_field: auth.key, map: {{ labels: {{ alertname: x }} }} }}
"
    ));
    let json = |token: &str| format!(r#"{{"auth":{{"key":"{token}"}}}}"#);
    let bearer = [("authorization", format!("Bearer {digest}"))];
    let rows: Vec<InBody<'_>> = vec![
        ("cake", &[], form.clone(), 202),
        ("cake", &[], form.replace(digest, "old-digest"), 202),
        ("cake", &[], form.replace(digest, &digest.replace('2', "3")), 401),
        ("cake", &[], form.replace(digest, &digest.to_uppercase()), 401),
        ("cake", &[], form.replace(digest, &digest[..31]), 401),
        ("cake", &[], form.replace(digest, ""), 401),
        ("cake", &[], form.replace("Token=", "Tokens="), 401),
        ("cake", &[], form.replace("Token=", "token="), 401),
        ("cake", &[], "{".to_owned(), 401),
        ("cake", &[], String::new(), 401),
        // Where another place has one, that counts, also a wrong one.
        ("cake", &bearer, form.replace(digest, "none"), 202),
        ("cake/wrong", &[], form.clone(), 401),
        ("jobs", &[], json(digest), 200),
        ("jobs", &[], json("another"), 401),
        ("jobs", &[], format!(r#"{{"key":"{digest}"}}"#), 401),
    ];
    for (path, headers, body, expected) in rows {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, text) = setup.send(&format!("/v1/ingest/{path}"), &headers, body.as_bytes());
        assert_eq!(status, expected, "{path} {body}: {text}");
    }
    assert_eq!(refusals(&setup), BTreeSet::from(["unauthorized".to_owned()]));
}

/// The digests over the sample messages, as their senders make them.
#[test]
fn sample_messages_are_rightly_signed() {
    let folder = super::tools::FOLDER;
    let text = std::fs::read_to_string(format!("{folder}/signatures.json")).unwrap();
    let samples: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut seen = 0;
    for sample in samples["signatures"].as_array().unwrap() {
        let (Some(headers), Some(secret)) = (sample["headers"].as_object(), sample["secret"].as_str()) else { continue };
        let file = sample["file"].as_str().unwrap();
        let timed = headers.contains_key("X-Grafana-Alerting-Timestamp");
        let settings = match file.split('/').next().unwrap() {
            "grafana" if timed => "format: grafana, signature: { timestamp_header: X-Grafana-Alerting-Timestamp, ",
            "grafana" => "format: grafana, signature: { ",
            "sentry" => "format: sentry, signature: { ",
            // It is a receiver's answer, which no source reads: what is looked at is the signature.
            _ => "format: generic, map: { labels: { alertname: x } }, signature: { scheme: pagerduty, ",
        };
        let body = std::fs::read(format!("{folder}/{file}")).unwrap();
        let given: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
        for (secret, expected) in [(secret, 200..=202), ("another", 401..=401)] {
            let setup = Setup::new(&format!("sources: [{{ name: hooks, {settings} secret: {secret} }} }}]"));
            setup.engine.set_now(crate::model::Time(1_778_751_918_000));
            let (status, text) = setup.send(PATH, &given, &body);
            assert!(expected.contains(&status), "{file} with {secret}: {status} {text}");
        }
        seen += 1;
    }
    assert_eq!(seen, 12);
}

/// CloudEvents' handshake: who may post is told so, with the rate that was asked for or less; nothing that the question names
/// is called.
#[test]
fn the_handshake_of_cloudevents_asks_for_what_can_be_given() {
    let setup = Setup::new(
        r"
sources:
  - { name: open, format: cloudevents }
  - { name: token, format: cloudevents, token: t }
  - { name: signed, format: cloudevents, signature: { scheme: standard-webhooks, secret: bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3 } }
  - { name: other, format: grafana }
  - { name: listed, format: cloudevents, handshake: { origins: [eventgrid.azure.net, Events.Example.com], rate: 100 } }
  - { name: slow, format: cloudevents, handshake: { rate: 60 } }
",
    );
    let stranger = ("webhook-request-origin", "events.example.com.evil");
    let (origin, rate) = (("webhook-request-origin", "events.example.com"), ("webhook-request-rate", "120"));
    let callback = ("webhook-request-callback", "https://events.example.com/confirm?id=1");
    let rows = [
        ("open", vec![origin, rate], 200, Some("events.example.com"), Some("120")),
        ("open", vec![origin], 200, Some("events.example.com"), Some("*")),
        ("open", vec![origin, callback], 200, Some("events.example.com"), Some("*")),
        // Not a handshake, then: what is allowed here.
        ("open", vec![], 200, None, None),
        ("token", vec![origin], 401, None, None),
        ("token/t", vec![origin], 200, Some("events.example.com"), Some("*")),
        // There is nothing to sign yet; each message must be.
        ("signed", vec![origin], 200, Some("events.example.com"), Some("*")),
        ("other", vec![origin], 405, None, None),
        ("listed", vec![origin, rate], 200, Some("events.example.com"), Some("100")),
        ("listed", vec![origin, ("webhook-request-rate", "50")], 200, Some("events.example.com"), Some("50")),
        ("listed", vec![origin], 200, Some("events.example.com"), Some("100")),
        ("listed", vec![stranger, rate], 403, None, None),
        ("listed", vec![("webhook-request-origin", "")], 403, None, None),
        ("listed", vec![("webhook-request-origin", "*")], 403, None, None),
        ("slow", vec![stranger], 200, Some("events.example.com.evil"), Some("60")),
        // A rate that is none is no wish.
        ("open", vec![origin, ("webhook-request-rate", "0")], 200, Some("events.example.com"), Some("*")),
        ("open", vec![origin, ("webhook-request-rate", "many")], 200, Some("events.example.com"), Some("*")),
    ];
    for (path, headers, status, allowed_origin, allowed_rate) in rows {
        let (given, answer) = setup.exchange(&hyper::Method::OPTIONS, &format!("/v1/ingest/{path}"), &headers, b"");
        let header = |name: &str| answer.get(name).map(|value| value.to_str().unwrap());
        let said = (given.0, header("webhook-allowed-origin"), header("webhook-allowed-rate"));
        assert_eq!(said, (status, allowed_origin, allowed_rate), "{path} {headers:?}: {}", given.1);
        assert_eq!(header("allow"), (status == 200).then_some("POST"), "{path} {headers:?}");
    }
    assert!(setup.amazon.asked.lock().unwrap().is_empty());
}

//! Messages that cannot be mapped: what is kept and answered, and what trying them again does and does not do.

use super::{Setup, T0, block_on};
use crate::ingest::intake::{Again, Intake};
use crate::model::{AlertStatus, Millis};
use crate::runtime::SubmitError;
use crate::runtime::sources::{Replayed, Sources};

/// A mapping that wants a name for the host which nobody sends, and one that is right.
const WRONG: &str = r#"
sources:
  - name: jobs
    format: generic
    token: "a token of jobs"
    map:
      each: body.events
      labels: { alertname: "{{ item.job }}", host: "{{ item.hostname }}" }
      status: "{{ item.state }}"
      resolve_after: 2h
  - { name: kuma, format: uptime-kuma }
  - { name: am, format: alertmanager }
"#;

fn right() -> String {
    WRONG.replace("item.hostname", "item.host | default('')")
}

const PATH: &str = "/v1/ingest/jobs/a%20token%20of%20jobs";

/// `job/state host`, several by comma.
fn events(words: &str) -> String {
    let event = |word: &str| {
        let (job, rest) = word.trim().split_once('/').unwrap();
        let (state, host) = rest.split_once(' ').unwrap();
        let name = if host.starts_with('+') { "hostname" } else { "host" };
        format!(r#"{{"job":"{job}","state":"{state}","{name}":"{}"}}"#, host.trim_start_matches('+'))
    };
    format!(r#"{{"events":[{}]}}"#, words.split(',').map(event).collect::<Vec<_>>().join(","))
}

fn ids(setup: &Setup) -> Vec<String> {
    setup.state.rejects().into_iter().map(|it| it.id).collect()
}

/// Tries all of them again, so many seconds after [`T0`].
fn replay(setup: &Setup, seconds: i64) -> Vec<Replayed> {
    setup.engine.set_now(T0 + Millis::seconds(seconds));
    let replayed = block_on(setup.state.replay(ids(setup))).unwrap();
    replayed.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn what_cannot_be_mapped_is_kept_before_it_is_answered() {
    let setup = Setup::new(WRONG);
    // (source's path, body, status, part of the answer, how many are kept)
    let cases = [
        (PATH, events("a/firing x"), 202, r#""kept":"1800000000000-0000""#, 1),
        (PATH, events("a/firing x"), 202, r#""kept":"1800000000000-0000""#, 1),
        (PATH, events("a/firing +x, b/firing y"), 202, r#""accepted":1,"kept":"1800000000000-0001","new":1"#, 2),
        (PATH, r#"{"jobs":[]}"#.to_owned(), 202, "there is no list at body.events", 3),
        ("/v1/ingest/kuma", r#"{"heartbeat":{"status":1}}"#.to_owned(), 202, r#""kept":"#, 4),
        ("/v1/ingest/kuma", "no JSON".to_owned(), 202, r#""kept":"#, 5),
        // A mapping cannot make anything of these: their senders are told.
        (PATH, "no JSON".to_owned(), 400, "unreadable", 5),
        (PATH, String::new(), 422, "empty_body", 5),
        ("/v1/ingest/am", r#"{"alerts":[{"status":"odd"}]}"#.to_owned(), 200, r#""rejected":[{"#, 5),
        ("/v1/ingest/am", "{}".to_owned(), 400, "unreadable", 5),
        ("/v1/ingest/jobs", events("a/firing x"), 401, "unauthorized", 5),
    ];
    for (path, body, status, part, kept) in cases {
        let (got, text) = setup.post(0, path, &body);
        assert!(got == status && text.contains(part), "{body}: {got} {text}");
        assert_eq!(ids(&setup).len(), kept, "{body}");
    }
    let first = &setup.state.rejects()[0];
    assert_eq!((first.times, &*first.error), (2, "map.labels.host: undefined value"));
    assert_eq!(setup.metric(r#"quell_rejects{source="jobs"}"#).as_deref(), Some("3"));
    assert_eq!(setup.metric(r#"quell_rejects_kept_total{source="jobs"}"#).as_deref(), Some("4"));
    let [received, repeats, new, rejected] = setup.counts("jobs");
    assert_eq!((received, repeats, new, rejected), (5, 0, 1, 4));
}

#[test]
fn a_mapping_that_was_mended_takes_what_was_kept() {
    let mut setup = Setup::new(WRONG);
    setup.post(0, PATH, &events("a/firing x"));
    setup.post(10, PATH, &events("b/firing +y, c/firing z"));
    assert_eq!(setup.known(), [r#"{alertname="b", host="y"} firing from 10 expires 7210"#]);
    let still = Replayed::Stays { error: "map.labels.host: undefined value".into() };
    assert_eq!(replay(&setup, 20), [still.clone(), still]);
    assert_eq!(setup.counts("jobs"), [3, 0, 1, 2], "what failed again is not counted again");

    setup.restart(&right());
    let taken = Replayed::Taken { new: 1, repeats: 0 };
    assert_eq!(replay(&setup, 3_600), [taken.clone(), taken]);
    let expected = [
        r#"{alertname="a", host="x"} firing from 0 expires 7200"#,
        r#"{alertname="b", host="y"} firing from 10 expires 7210"#,
        r#"{alertname="c", host="z"} firing from 10 expires 7210"#,
    ];
    assert_eq!(setup.known(), expected, "as of their arrival, and what was taken then is left alone");
    assert_eq!((ids(&setup), setup.counts("jobs")), (Vec::new(), [2, 0, 2, 0]));
    assert_eq!(block_on(setup.state.replay(vec!["1-1".into()])).unwrap(), [("1-1".into(), Replayed::Unknown)]);
    assert_eq!(setup.metric(r#"quell_rejects_replayed_total{outcome="taken",source="jobs"}"#).as_deref(), Some("2"));
    assert_eq!(setup.metric(r#"quell_rejects{source="jobs"}"#).as_deref(), Some("0"));
}

/// What came while the mapping was wrong, what came when it was right, and what fires after all was tried again.
#[test]
fn nothing_is_raised_that_is_over() {
    type Case<'a> = (&'a [&'a str], &'a [&'a str], i64, &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        (&["a/firing x"], &[], 600, &["a"]),
        // Fired anew and ended since then.
        (&["a/firing x"], &["a/firing x", "a/resolved x"], 600, &[]),
        (&["a/firing x"], &["a/firing x"], 600, &["a"]),
        // The end was kept, too.
        (&["a/firing x", "a/resolved x"], &[], 600, &[]),
        (&["a/firing x, b/firing x", "a/resolved x"], &[], 600, &["b"]),
        (&["a/firing x", "a/resolved x", "a/firing x, z/firing x"], &[], 600, &["a", "z"]),
        // An old end does not end what began since then.
        (&["a/resolved x"], &["a/firing x"], 600, &["a"]),
        // Its end could be mapped, and was the first that was heard of it.
        (&["a/firing x, b/firing x"], &["a/resolved x"], 600, &["b"]),
        // Would have ended by time.
        (&["a/firing x"], &[], 7_200, &[]),
    ];
    for (wrong, good, after, expected) in cases {
        let mut setup = Setup::new(WRONG);
        for (second, words) in (0..).zip(wrong) {
            setup.post(second, PATH, &events(words));
        }
        assert_eq!(ids(&setup).len(), wrong.len());
        setup.restart(&right());
        for (second, words) in (100..).zip(good) {
            assert_eq!(setup.post(second, PATH, &events(words)).0, 200);
        }
        block_on(setup.state.write_if_new(String::new()));
        setup.restart(&right());
        block_on(setup.state.look(Millis::ZERO));
        let replayed = replay(&setup, after);
        assert!(replayed.iter().all(|it| matches!(it, Replayed::Taken { .. })), "{wrong:?} {good:?}: {replayed:?}");
        let firing = setup.engine.live.alerts(|entry| entry.record.status == AlertStatus::Firing);
        let mut names: Vec<String> = firing.iter().map(|entry| entry.record.alert.labels.get("alertname").to_owned()).collect();
        names.sort();
        assert_eq!(names, expected, "{wrong:?} {good:?} after {after}");
        setup.engine.set_now(setup.engine.now() + Millis::minutes(15));
        block_on(setup.state.look(Millis::ZERO));
        assert!(setup.state.sources().iter().all(|source| source.watched.ends().iter().count() == 0), "of no use any more");
        assert_eq!(ids(&setup), Vec::<String>::new());
    }
}

const RULES: &str = "
escalate:
  - name: page
    steps: [{ notify: [pager] }]
";

/// The process ends between taking a message and letting go of it: it is tried twice, and pages once.
#[test]
fn a_message_that_is_tried_twice_pages_once() {
    let mut setup = Setup::with_rules(WRONG, RULES, T0);
    setup.post(0, PATH, &events("a/firing x"));
    let path = setup.folder.path().join("rejects").join(format!("{}.reject", ids(&setup)[0]));
    let file = std::fs::read(&path).unwrap();
    for (second, expected) in [(60, Replayed::Taken { new: 1, repeats: 0 }), (120, Replayed::Taken { new: 0, repeats: 1 })] {
        std::fs::write(&path, &file).unwrap();
        setup.restart(&right());
        assert_eq!(replay(&setup, second), [expected]);
        assert!(!path.exists());
        assert_eq!((setup.engine.live.incidents().len(), setup.engine.live.notifications().len()), (1, 1));
    }
    // Its end, said the ordinary way; then once more.
    assert_eq!(setup.post(180, PATH, &events("a/resolved x")).0, 200);
    let before = setup.engine.live.notifications().len();
    std::fs::write(&path, &file).unwrap();
    setup.restart(&right());
    assert_eq!(replay(&setup, 240), [Replayed::Taken { new: 0, repeats: 1 }]);
    assert_eq!((setup.engine.live.firing(), setup.engine.live.notifications().len()), (0, before));
}

#[test]
fn one_that_has_no_key_gets_the_same_each_time() {
    let setup = Setup::new(WRONG);
    let source = &setup.state.sources()[1];
    let over = setup.engine.live.set();
    let again = Again { id: "5-0", arrived: T0, failed: &[0], alerts: 1, over: &over };
    let limits = &setup.state.limits;
    let key = || Intake::new(&setup.engine.live, source, limits, T0).again(&again).fresh_key(3);
    assert_eq!((key(), key()), ("5-0/3".to_owned(), "5-0/3".to_owned()));
    let fresh = || Intake::new(&setup.engine.live, source, limits, T0).fresh_key(3);
    assert_ne!(fresh(), fresh());
}

#[test]
fn what_cannot_be_kept_is_not_acknowledged() {
    let long = events(&format!("a/firing {}", "x".repeat(200)));
    let (status, text) = Setup::new(&format!("{WRONG}limits: {{ reject_bytes: 200 }}")).post(0, PATH, &long);
    assert!(status == 413 && text.contains("too large to be kept"), "{status} {text}");
    let setup = Setup::new(WRONG);
    // A file where the folder should be.
    std::fs::write(setup.folder.path().join("rejects"), "").unwrap();
    let (status, text) = setup.post(0, PATH, &events("a/firing x, b/firing +y"));
    assert!(status == 503 && text.contains("could not be stored"), "{status} {text}");
    assert_eq!(setup.known(), Vec::<String>::new(), "nothing of it is taken: its sender says all of it again");
}

#[test]
fn what_the_log_does_not_take_stays() {
    let mut setup = Setup::new(WRONG);
    setup.post(0, PATH, &events("a/firing x"));
    setup.restart(&right());
    *setup.engine.failure.lock().unwrap() = Some(SubmitError::Storage("full".into()));
    let error = block_on(setup.state.replay(ids(&setup))).unwrap_err();
    assert_eq!(error.to_string(), "the log takes nothing: full");
    *setup.engine.failure.lock().unwrap() = None;
    assert_eq!(replay(&setup, 60), [Replayed::Taken { new: 1, repeats: 0 }]);
}

#[test]
fn the_oldest_falls_out_and_that_is_counted() {
    let setup = Setup::new(&format!("{WRONG}limits: {{ rejects: 2 }}"));
    for host in ["x", "y", "z"] {
        setup.post(0, PATH, &events(&format!("a/firing {host}")));
    }
    assert_eq!(ids(&setup), ["1800000000000-0001", "1800000000000-0002"]);
    assert_eq!(setup.metric(r#"quell_rejects_surplus_total{source="jobs"}"#).as_deref(), Some("1"));
    let gone = block_on(setup.state.discard(ids(&setup))).unwrap();
    assert_eq!((gone.len(), ids(&setup).len()), (2, 0));
}

#[test]
fn a_source_that_is_gone_leaves_its_messages() {
    let mut setup = Setup::new(WRONG);
    setup.post(0, PATH, r#"{"events":[{"job":"a token of jobs"}]}"#);
    let id = ids(&setup)[0].clone();
    assert_eq!(block_on(setup.state.body(id.clone())).unwrap().unwrap(), r#"{"events":[{"job":"[masked]"}]}"#);
    setup.restart("sources: []");
    assert_eq!(replay(&setup, 60), [Replayed::Stays { error: "there is no source `jobs` any more".into() }]);
    setup.restart(&WRONG.replace("each: body.events", "each: body.jobs"));
    assert_eq!(replay(&setup, 60), [Replayed::Stays { error: "there is no list at body.jobs".into() }]);
    assert_eq!(setup.state.rejects()[0].error, "there is no list at body.jobs", "the list says what is wrong now");
}

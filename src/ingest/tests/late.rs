//! Ends that come before their beginnings, as tables: what each sender says when, and what it is taken for.

use super::reload::reload;
use super::tools::samples;
use super::{Setup, T0, block_on};
use crate::config::Tool;
use crate::model::{Millis, Time};
use crate::runtime::SubmitError;
use crate::runtime::sources::{Replayed, Sources};

const SOURCES: &str = r#"
sources:
  - { name: am, format: alertmanager }
  - { name: other, format: alertmanager }
  - { name: nagios, format: nagios }
  - { name: newrelic, format: newrelic }
  - { name: ce, format: cloudevents }
  - { name: pd, format: pagerduty-events-v2 }
  - { name: zabbix, format: zabbix }
  - name: jobs
    format: generic
    map:
      labels: { alertname: "{{ body.job }}" }
      status: "{{ body.state }}"
      starts_at: "{{ body.since }}"
      ends_at: "{{ body.until }}"
"#;

/// What a sender says: whether it fires, since when, and the moment of the word, each where it says that.
type Word = (bool, Option<i64>, Option<i64>);

const LATE: &str = "late";
const REPEAT: &str = "repeat";
const NEW: &str = "new";

fn at(seconds: i64) -> Time {
    T0 + Millis::seconds(seconds)
}

/// The word in the form of its source.
fn body(source: &str, (fires, since, moment): Word) -> String {
    let text = |seconds: Option<i64>| seconds.map_or(String::new(), |seconds| at(seconds).to_rfc3339());
    let number = |seconds: Option<i64>| seconds.map_or("null".to_owned(), |seconds| at(seconds).0.to_string());
    let state = if fires { "firing" } else { "resolved" };
    match source {
        "am" | "other" => format!(r#"{{"alerts":[{}]}}"#, member((fires, since, moment))),
        "prometheus" => format!("[{}]", member((fires, since, moment))),
        "jobs" => {
            format!(r#"{{"job":"A","state":"{state}","since":"{}","until":"{}"}}"#, text(since), text(moment))
        }
        "nagios" => {
            let (kind, word) = if fires { ("PROBLEM", "CRITICAL") } else { ("RECOVERY", "OK") };
            let timet = moment.map_or(String::new(), |seconds| (at(seconds).0 / 1_000).to_string());
            format!(
                r#"{{"NOTIFICATIONTYPE":"{kind}","HOSTNAME":"h","SERVICEDESC":"A","SERVICESTATE":"{word}","TIMET":"{timet}"}}"#
            )
        }
        "newrelic" => {
            let word = if fires { "ACTIVATED" } else { "CLOSED" };
            let (created, updated) = (number(since), number(moment));
            format!(r#"{{"id":"1","title":"A","priority":"HIGH","state":"{word}","createdAt":{created},"updatedAt":{updated}}}"#)
        }
        "ce" => event((fires, since, moment)),
        "pd" if fires => {
            let payload = format!(r#"{{"summary":"A","source":"h","severity":"error","timestamp":"{}"}}"#, text(moment));
            format!(r#"{{"routing_key":"k","event_action":"trigger","dedup_key":"d","payload":{payload}}}"#)
        }
        "pd" => r#"{"routing_key":"k","event_action":"resolve","dedup_key":"d"}"#.to_owned(),
        "zabbix" => format!(r#"{{"event_id":"1","event_name":"A","event_value":"{}"}}"#, u8::from(fires)),
        other => panic!("{other}"),
    }
}

/// One of Alertmanager's; its status is nothing to who looks at the end.
fn member((fires, since, moment): Word) -> String {
    let state = if fires { "firing" } else { "resolved" };
    let time = |name: &str, seconds: Option<i64>| {
        seconds.map_or(String::new(), |seconds| format!(r#","{name}":"{}""#, at(seconds).to_rfc3339()))
    };
    format!(r#"{{"status":"{state}","labels":{{"alertname":"A"}}{}{}}}"#, time("startsAt", since), time("endsAt", moment))
}

/// One of CloudEvents', which have one time.
fn event((fires, _, moment): Word) -> String {
    let kind = if fires { "a.firing" } else { "a.resolved" };
    let time = moment.map_or(String::new(), |seconds| format!(r#","time":"{}""#, at(seconds).to_rfc3339()));
    format!(r#"{{"specversion":"1.0","id":"1","source":"s","subject":"A","type":"{kind}"{time},"data":{{}}}}"#)
}

fn post(setup: &Setup, seconds: i64, source: &str, body: &str) -> u16 {
    let path = if source == "prometheus" { "/api/v2/alerts".to_owned() } else { format!("/v1/ingest/{source}") };
    let json = if source == "ce" { "application/cloudevents+json" } else { "application/json" };
    setup.engine.set_now(at(seconds));
    setup.send(&path, &[("content-type", json)], body.as_bytes()).0
}

/// How many of a source's were late, repeats and new.
fn taken(setup: &Setup, source: &str) -> [u64; 3] {
    let late =
        setup.metric(&format!(r#"quell_alerts_late_total{{source="{source}"}}"#)).map_or(0, |count| count.parse().unwrap());
    let [received, repeats, new, rejected] = setup.counts(source);
    assert_eq!((received, rejected), (repeats + new, 0));
    [late, repeats, new]
}

/// What a post was taken for.
fn outcome(before: [u64; 3], after: [u64; 3]) -> &'static str {
    match [0, 1, 2].map(|i| after[i] - before[i]) {
        [1, 1, 0] => LATE,
        [0, 1, 0] => REPEAT,
        [0, 0, 1] => NEW,
        other => panic!("{other:?}"),
    }
}

/// One alert over time. Each step: when, whose, the word, what it is.
#[test]
fn an_end_before_its_beginning() {
    type Step = (i64, &'static str, Word, &'static str);
    let end = (false, Some(0), Some(50));
    let beginning = (true, Some(0), None);
    let cases: &[(&str, &[Step])] = &[
        ("late by seconds", &[(60, "am", end, REPEAT), (65, "am", beginning, LATE)]),
        ("as often as it is said", &[(60, "am", end, REPEAT), (65, "am", beginning, LATE), (600, "am", beginning, LATE)]),
        ("a newer occurrence", &[(60, "am", end, REPEAT), (65, "am", (true, Some(55), None), NEW)]),
        (
            "a newer occurrence, and then the old one",
            &[
                (60, "am", end, REPEAT),
                (65, "am", (true, Some(55), None), NEW),
                (66, "am", beginning, REPEAT),
                (70, "am", (false, Some(55), Some(69)), NEW),
                (71, "am", beginning, REPEAT),
            ],
        ),
        // What the sender says to have begun within what is over is no word on that occurrence.
        ("another beginning", &[(60, "am", end, REPEAT), (65, "am", (true, Some(10), None), NEW)]),
        ("nobody dates the beginning", &[(60, "am", end, REPEAT), (65, "am", (true, None, None), NEW)]),
        // Its sender's clock may be ahead of ours, which is all that there is to compare.
        (
            "nobody dates the beginning, and the end is to come",
            &[(60, "am", (false, Some(100), Some(110)), REPEAT), (65, "am", (true, None, None), NEW)],
        ),
        ("nobody dates the end", &[(60, "am", (false, None, None), REPEAT), (65, "am", beginning, NEW)]),
        ("an end without a beginning", &[(60, "am", (false, None, Some(50)), REPEAT), (65, "am", beginning, LATE)]),
        (
            "behind an end without a beginning",
            &[(60, "am", (false, None, Some(50)), REPEAT), (65, "am", (true, Some(51), None), NEW)],
        ),
        ("when its time is over", &[(60, "am", end, REPEAT), (960, "am", beginning, LATE), (961, "am", beginning, NEW)]),
        ("ended twice", &[(60, "am", end, REPEAT), (120, "am", end, REPEAT), (1_020, "am", beginning, LATE)]),
        ("another source, which says it for itself", &[(60, "am", end, REPEAT), (65, "other", beginning, NEW)]),
        // Its ends say when they were, again and again; what it says to fire later does.
        (
            "where the end decides",
            &[
                (60, "prometheus", end, REPEAT),
                (65, "prometheus", (true, Some(0), Some(40)), REPEAT),
                (66, "prometheus", (true, Some(0), Some(300)), NEW),
            ],
        ),
        ("Prometheus' end, Alertmanager's beginning", &[(60, "prometheus", end, REPEAT), (65, "am", beginning, NEW)]),
    ];
    for (name, steps) in cases {
        let setup = Setup::new(SOURCES);
        for (seconds, source, word, expected) in *steps {
            let before = taken(&setup, source);
            assert!(post(&setup, *seconds, source, &body(source, *word)) < 300, "{name} at {seconds}");
            assert_eq!(outcome(before, taken(&setup, source)), *expected, "{name} at {seconds}");
        }
    }
}

/// An end, a late beginning, and a new occurrence, in the forms of those who send messages: whether the late one is known.
#[test]
fn what_is_late_is_known_where_senders_date_both() {
    let cases =
        [("am", true), ("jobs", true), ("nagios", true), ("newrelic", true), ("ce", true), ("pd", false), ("zabbix", false)];
    for (source, is_known) in cases {
        for (since, expected) in [(0, if is_known { LATE } else { NEW }), (55, NEW)] {
            let setup = Setup::new(SOURCES);
            post(&setup, 60, source, &body(source, (false, Some(0), Some(50))));
            // Those who say one time only say the moment of each word.
            post(&setup, 65, source, &body(source, (true, Some(since), Some(since))));
            assert_eq!(outcome([0, 1, 0], taken(&setup, source)), expected, "{source} since {since}");
        }
    }
}

#[test]
fn in_one_request_the_order_does_not_matter() {
    let (end, old, new) = ((false, Some(0), Some(50)), (true, Some(0), Some(0)), (true, Some(55), Some(55)));
    let cases: [(&[Word], [u64; 3]); 4] =
        [(&[end, old], [1, 2, 0]), (&[end, old, new], [1, 2, 1]), (&[end, new], [0, 1, 1]), (&[old, end], [0, 0, 2])];
    for (words, expected) in cases {
        let members = words.iter().map(|word| member(*word)).collect::<Vec<_>>().join(",");
        let events = words.iter().map(|word| event(*word)).collect::<Vec<_>>().join(",");
        for (source, body) in [("am", format!(r#"{{"alerts":[{members}]}}"#)), ("ce", format!("[{events}]"))] {
            let setup = Setup::new(SOURCES);
            assert!(post(&setup, 60, source, &body) < 300);
            assert_eq!(taken(&setup, source), expected, "{source}: {words:?}");
        }
    }
}

/// How it comes to be: no room for the beginning, and its sender tries again when the end has been said, for which there was
/// none either; it is remembered all the same.
#[test]
fn what_found_no_room_and_is_over_is_not_raised() {
    let setup = Setup::new(SOURCES);
    let (beginning, end) = (body("nagios", (true, None, Some(0))), body("nagios", (false, None, Some(20))));
    *setup.engine.failure.lock().unwrap() = Some(SubmitError::Overloaded);
    assert_eq!(post(&setup, 1, "nagios", &beginning), 429);
    assert_eq!(post(&setup, 21, "nagios", &end), 429);
    *setup.engine.failure.lock().unwrap() = None;
    assert_eq!(post(&setup, 31, "nagios", &beginning), 202);
    assert_eq!(post(&setup, 41, "nagios", &end), 202);
    assert_eq!((setup.counts("nagios"), setup.known()), ([4, 2, 0, 2], Vec::new()));
}

/// A mapping that is mended while running: its sources forget nothing, and kept messages are judged by their senders' times.
#[test]
fn a_kept_message_may_be_late_as_well() {
    for (since, expected) in [(0, Replayed::Taken { new: 0, repeats: 1 }), (55, Replayed::Taken { new: 1, repeats: 0 })] {
        let setup = Setup::new(SOURCES);
        assert_eq!(post(&setup, 60, "jobs", &body("jobs", (false, Some(0), Some(50)))), 200);
        let beginning = body("jobs", (true, Some(since), None)).replace("\"job\"", "\"task\"");
        assert_eq!(post(&setup, 65, "jobs", &beginning), 202);
        reload(&setup, 70, &SOURCES.replace("body.job }}", "body.job | default(body.task) }}")).unwrap();
        let ids = setup.state.rejects().into_iter().map(|it| it.id).collect();
        // However much later: it counts as of its arrival.
        setup.engine.set_now(at(7_200));
        assert_eq!(block_on(setup.state.replay(ids)).unwrap().remove(0).1, expected, "{since}");
    }
}

/// In memory only, unless messages are kept, whose beginnings they may end.
#[test]
fn a_restart_forgets_the_ends() {
    let mut setup = Setup::new(SOURCES);
    post(&setup, 60, "jobs", &body("jobs", (false, Some(0), Some(50))));
    let text = block_on(setup.state.write_if_new(String::new()));
    assert!(!text.contains(r#""ends":{""#), "{text}");
    setup.restart(SOURCES);
    post(&setup, 65, "jobs", &body("jobs", (true, Some(0), None)));
    assert_eq!(taken(&setup, "jobs"), [0, 0, 1]);
}

/// Time passes, and the table is empty again. Nobody asks for Prometheus' at all.
#[test]
fn ends_take_no_room_for_longer_than_they_are_asked_for() {
    let setup = Setup::new(SOURCES);
    post(&setup, 60, "prometheus", &body("prometheus", (false, Some(0), Some(50))));
    post(&setup, 60, "jobs", &body("jobs", (false, Some(0), Some(50))));
    let count = || {
        block_on(setup.state.look(Millis::ZERO));
        setup.state.sources().iter().map(|source| source.watched.ends().iter().count()).sum::<usize>()
    };
    for (seconds, expected) in [(61, 1), (960, 1), (961, 0)] {
        setup.engine.set_now(at(seconds));
        assert_eq!(count(), expected, "{seconds}");
    }
}

/// Each tool's own samples, the end before the beginning: what its page, and the table of all of them, say.
#[test]
fn the_samples_of_the_tools_with_their_ends_first() {
    let arrival = Time::parse_rfc3339("2026-05-14T11:00:00Z").unwrap();
    let names: Vec<String> = Tool::ALL.iter().map(|tool| format!("{{ name: {0}, format: {0} }}", tool.name())).collect();
    let samples = samples();
    let (mut known, mut raised) = (Vec::new(), Vec::new());
    for end in samples.iter().filter(|sample| sample.outcome == "alerts" && sample.file.contains("resolved.")) {
        let file = end.file.replace("resolved.", "firing.");
        let Some(beginning) = samples.iter().find(|sample| sample.file == file) else { continue };
        let setup = Setup::new(&format!("sources: [{}]", names.join(", ")));
        for (seconds, sample) in [(0, end), (5, beginning)] {
            setup.engine.set_now(arrival + Millis::seconds(seconds));
            let ours = format!("/v1/ingest/{}", sample.tool.name());
            // A close of Opsgenie's is about what its path says.
            let path = sample.expected["path"].as_str().filter(|path| path.starts_with("/v2/alerts/")).unwrap_or(&ours);
            let headers: Vec<(&str, &str)> = sample.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let (status, text) = setup.send(path, &headers, sample.body.as_bytes());
            assert!(status < 300, "{}: {text}", sample.file);
        }
        let name = file.replace("/firing.json", "").replace("/firing.form", "").replace("-firing.json", "");
        match (taken(&setup, end.tool.name()), setup.engine.live.firing()) {
            ([late, _, 0], 0) if late > 0 => known.push(name),
            ([0, _, new], firing) if new > 0 && firing > 0 => raised.push(name),
            other => panic!("{name}: {other:?}"),
        }
    }
    known.sort();
    raised.sort();
    assert_eq!((known, raised), (KNOWN.map(str::to_owned).into(), RAISED.map(str::to_owned).into()));
}

/// Those whose late beginning is known for what it is.
const KNOWN: [&str; 17] = [
    "azure-monitor",
    "checkmk",
    "cloudevents",
    "cloudwatch",
    "datadog",
    "dynatrace",
    "elastic",
    "gcp-monitoring",
    "grafana",
    "icinga2",
    "icinga2/event-stream",
    "nagios",
    "netdata",
    "newrelic",
    "pingdom",
    "sentry/metric-alert",
    "uptime-kuma",
];

/// Those whose ends have no time.
const RAISED: [&str; 9] = [
    "honeycomb",
    "librenms",
    "netdata/reachability",
    "opsgenie",
    "pagerduty-events-v2",
    "prtg",
    "sentry",
    "statuscake",
    "zabbix",
];

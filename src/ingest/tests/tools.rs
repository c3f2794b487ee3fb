//! Every sample message of every tool, against what its manifest says of it, and against the readings kept as golden.

use std::collections::BTreeMap;
use std::fmt::Write;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::Setup;
use crate::config::{Config, Tool};
use crate::ingest::format::{self, Event, Fault, Key, Reading, opsgenie};
use crate::model::{Severity, Time};

pub(super) const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/payloads");

/// One file of the manifest.
pub(super) struct Sample {
    pub(super) file: String,
    pub(super) tool: Tool,
    pub(super) outcome: String,
    pub(super) expected: Value,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// The samples of tools, in the manifest's order.
pub(super) fn samples() -> Vec<Sample> {
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(format!("{FOLDER}/manifest.json")).unwrap()).unwrap();
    let sample = |expected: &Value| {
        let text = |name: &str| expected[name].as_str().unwrap().to_owned();
        let tool = Tool::ALL.into_iter().find(|tool| tool.name() == expected["tool"])?;
        let (file, whole) = (text("file"), std::fs::read_to_string(format!("{FOLDER}/{}", text("file"))).unwrap());
        let mut headers = vec![("content-type".to_owned(), text("content_type"))];
        headers.extend(
            expected["headers"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned())),
        );
        let body = match whole
            .split_once("\n\n")
            .filter(|_| expected["content_type"] == "application/json" && file.split('.').next_back() == Some("http"))
        {
            None => whole,
            Some((head, body)) => {
                headers.extend(
                    head.lines()
                        .filter_map(|line| line.split_once(": "))
                        .map(|(name, value)| (name.to_lowercase(), value.to_owned())),
                );
                body.to_owned()
            }
        };
        Some(Sample { file, tool, outcome: text("outcome"), expected: expected.clone(), headers, body })
    };
    manifest["files"].as_array().unwrap().iter().filter_map(sample).collect()
}

impl Sample {
    fn read(&self) -> Result<Reading<'_>, Fault> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        format::read(self.tool, &self.body, &headers, &Config::default().limits)
    }

    /// The events of the file; of a call whose path says which alert it is about, that one.
    fn events(&self) -> Vec<Event> {
        let path = self.expected["path"].as_str().and_then(|path| path.strip_prefix("/v2/alerts"));
        if let Some((rest, query)) = path.and_then(|path| path.split_once('?')) {
            let call = opsgenie::Call::of(rest, query, false, |part| part.replace("%2F", "/")).unwrap();
            return vec![call.event().unwrap()];
        }
        let reading = self.read().unwrap_or_else(|fault| panic!("{}: {fault:?}", self.file));
        reading.events.into_iter().map(|event| event.unwrap_or_else(|unmapped| panic!("{}: {unmapped:?}", self.file))).collect()
    }
}

/// Keys, states, severities, times and services are what the manifest says; keys are spelled as we like, and are equal
/// exactly where the manifest's are.
#[test]
fn messages_say_what_their_manifest_says() {
    let mut keys: BTreeMap<(Tool, String), String> = BTreeMap::new();
    let mut compared = 0;
    for sample in samples().iter().filter(|sample| ["alerts", "decoded", "fragment"].contains(&&*sample.outcome)) {
        let (events, expected) = (sample.events(), sample.expected["alerts"].as_array().unwrap());
        assert_eq!(events.len(), expected.len(), "{}", sample.file);
        for (event, expected) in events.iter().zip(expected) {
            let file = &sample.file;
            let labels = event.key == Key::Labels;
            match (expected["dedup_key"].as_str(), &event.key) {
                (Some(key), Key::Labels | Key::Said(_)) => {
                    let ours = if labels { format!("{:?}", event.labels) } else { format!("{:?}", event.key) };
                    let known = keys.entry((sample.tool, key.to_owned())).or_insert_with(|| ours.clone());
                    assert_eq!(*known, ours, "{file}");
                }
                (None, Key::Fresh) => {}
                (key, ours) => panic!("{file}: {key:?} is {ours:?}"),
            }
            compared += 1;
            assert_eq!(event.state.as_str(), expected["status"], "{file}");
            assert_eq!(event.severity.map(Severity::as_str), expected["severity"].as_str(), "{file}: severity");
            assert_eq!(event.at, expected["at"].as_str().map(|at| Time::parse_rfc3339(at).unwrap()), "{file}: at");
            let no_data =
                expected["no_data"] == true || expected["dedup_key"].as_str().is_some_and(|key| key.ends_with("/no-data"));
            assert_eq!(event.no_data, no_data, "{file}: no_data");
            assert_eq!(event.value("service"), expected["service"].as_str(), "{file}: service");
            let summary = event.annotations.iter().find(|(name, _)| name == "summary").map(|(_, value)| value.as_str());
            assert_eq!(summary, expected["title"].as_str(), "{file}: title");
            if let Some(host) = expected["host"].as_str() {
                assert_eq!(event.value("host"), Some(host), "{file}: host");
            }
            if !event.labels.is_empty() {
                assert!(event.value("alertname").is_some(), "{file}: alertname");
            }
        }
    }
    assert_eq!(compared, 85);
    let mut spelled: Vec<(Tool, String)> = keys.iter().map(|((tool, _), ours)| (*tool, ours.clone())).collect();
    let all = spelled.len();
    spelled.sort();
    spelled.dedup();
    assert_eq!(spelled.len(), all, "two keys of the manifest became one");
}

/// What each sample becomes, in full. `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn readings_are_golden() {
    let mut text = String::new();
    let is_message = |sample: &&Sample| ["alerts", "handshake", "change", "reject"].contains(&&*sample.outcome);
    for sample in samples().iter().filter(is_message).filter(|sample| sample.expected["method"] == "POST") {
        writeln!(text, "## {}", sample.file).unwrap();
        if sample.expected["path"].as_str().is_some_and(|path| path.contains('?')) {
            sample.events().iter().for_each(|event| write_event(&mut text, event));
            continue;
        }
        match sample.read() {
            Err(fault) => writeln!(text, "{fault:?}").unwrap(),
            Ok(reading) => {
                reading.asides.iter().for_each(|aside| writeln!(text, "{aside:?}").unwrap());
                reading.events.iter().for_each(|event| write_event(&mut text, event.as_ref().unwrap()));
                if reading.notes.placeholders() > 0 {
                    writeln!(text, "placeholders: {}", reading.notes.placeholders()).unwrap();
                }
                writeln!(text, "unused: {}", reading.unused().join(" ")).unwrap();
            }
        }
        text.push('\n');
    }
    let path = format!("{FOLDER}/readings.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == text, "readings.txt; UPDATE_GOLDEN=1 writes it anew");
}

fn write_event(text: &mut String, event: &Event) {
    let time = |time: Option<Time>| time.map_or("-".to_owned(), |time| time.to_string());
    let severity = event.severity.map_or("-", Severity::as_str);
    let no_data = if event.no_data { " no data" } else { "" };
    writeln!(
        text,
        "{}{no_data} {severity} at {} since {} {:?}",
        event.state.as_str(),
        time(event.at),
        time(event.since),
        event.key
    )
    .unwrap();
    event.labels.iter().for_each(|(name, value)| writeln!(text, "  {name}={value:?}").unwrap());
    event.annotations.iter().for_each(|(name, value)| writeln!(text, "  @{name}: {value:?}").unwrap());
    if !event.url.is_empty() {
        writeln!(text, "  {}", event.url).unwrap();
    }
}

/// Posted in the order of the manifest: each is answered as its tool expects, and what was received is new, a repeat or
/// rejected.
#[test]
fn messages_are_answered_as_their_tools_expect() {
    let names: Vec<String> = Tool::ALL.iter().map(|tool| format!("{{ name: {0}, format: {0} }}", tool.name())).collect();
    let setup = Setup::new(&format!("sources: [{}]", names.join(", ")));
    for sample in samples() {
        // Calls of Opsgenie have addresses of their own; signatures are looked at elsewhere; the rest is nobody's message.
        let is_call = sample.expected["path"].as_str().is_some_and(|path| path.contains('?'));
        let is_message = ["alerts", "handshake", "change", "reject"].contains(&&*sample.outcome);
        if is_call || !is_message || sample.file == "cloudwatch/invalid-signature.json" {
            continue;
        }
        let headers: Vec<(&str, &str)> = sample.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let method = hyper::Method::from_bytes(sample.expected["method"].as_str().unwrap().as_bytes()).unwrap();
        setup.engine.set_now(Time::parse_rfc3339("2026-05-14T11:00:00Z").unwrap());
        let path = format!("/v1/ingest/{}", sample.tool.name());
        let (status, text) = setup.request(&method, &path, &headers, sample.body.as_bytes());
        assert_eq!(u64::from(status), sample.expected["answer"].as_u64().unwrap(), "{}: {text}", sample.file);
    }
    for tool in Tool::ALL {
        let [received, repeats, new, rejected] = setup.counts(tool.name());
        assert_eq!((received, rejected), (repeats + new, 0), "{}", tool.name());
    }
    // A batch that says again what was said in two messages is nothing but repeats.
    assert_eq!(setup.counts("cloudevents"), [5, 3, 2, 0]);
}

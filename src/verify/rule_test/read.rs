//! A test file's text into tests, or all that is wrong with it, told as faults of rule files are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::pattern::{AlertPattern, IncidentPattern};
use super::{ActLine, AlertLine, Check, RulePath, RuleTest, TestFile, Word};
use crate::engine::Act;
use crate::model::incident::IncidentType;
use crate::model::{Alert, Fingerprint, IncidentId, Labels, Millis, Silence, SilenceId, Time};
use crate::ruleset::fields::Fields;
use crate::ruleset::load::document;
use crate::ruleset::report::Report;
use crate::ruleset::suggest::{listed, nearest};
use crate::ruleset::yaml::{Node, Value};
use crate::ruleset::{Code, Diagnostic, Limits, SourceFile};

/// 2026-01-05T00:00:00Z, a Monday.
const START: Time = Time(1_767_571_200_000);
/// A test lasts no longer: the engine looks around every few minutes of it.
const LASTS_MAX: Millis = Millis::hours(366 * 24);
/// Incidents or suppressed alerts that one expectation names.
const EXPECTED_MAX: usize = 1_000;
/// The source that alerts come from where a test does not say.
const SOURCE: &str = "prometheus";
/// Who acts where a test does not say.
const ACTOR: &str = "tester";
/// What a silence is made for.
const COMMENT: &str = "rule test";

/// Reads one test file. Beside it, where it can be used, stand its warnings.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn read(source: &SourceFile) -> Result<(TestFile, Vec<Diagnostic>), Vec<Diagnostic>> {
    let report = Report::new(&source.name, &source.text);
    let file = document(&report, Limits::default().file_bytes_max).and_then(|root| file(&source.name, &root, &report));
    let found = report.finish();
    match file {
        Some(file) if found.iter().all(|diagnostic| !diagnostic.code.is_error()) => Ok((file, found)),
        _ => Err(found),
    }
}

fn file(name: &str, root: &Node, report: &Report<'_>) -> Option<TestFile> {
    if root.value == Value::Null {
        report.add(Diagnostic::new(Code::Empty, 0..0, "a file without any test"));
        return Some(TestFile { name: name.to_owned(), rules: Vec::new(), tests: Vec::new() });
    }
    Fields::read(root, "a test file", report, |file| {
        let rules = file.words("rules");
        if file.is_empty_list("rules") {
            file.fault(Code::Missing, &file.key_span("rules"), "`rules` has no file", "leave it out for all files of the folder");
        }
        let rules = rules.iter().map(|word| RulePath { path: PathBuf::from(word.text), span: word.node.span.clone() }).collect();
        if file.is_empty_list("tests") {
            file.fault(Code::Empty, &file.key_span("tests"), "a file without any test", "");
        }
        let (mut tests, mut names) = (Vec::new(), BTreeMap::new());
        let node = file.need("tests");
        for item in node.map_or(&[][..], |node| file.as_list("tests", node)) {
            tests.extend(Fields::read(item, "a test", report, |fields| test(fields, &mut names)));
        }
        TestFile { name: name.to_owned(), rules, tests }
    })
}

fn test(fields: &mut Fields<'_>, names: &mut BTreeMap<String, u32>) -> RuleTest {
    let line = fields.report.map.line(fields.span().start);
    let name = fields.need_text("name");
    if let Some(name) = name
        && let Some(first) = names.insert(name.text.to_owned(), line)
    {
        let message = format!("there are two tests `{}`", name.text);
        fields.fault(Code::DuplicateName, &name.node.span, message, &format!("the first is in line {first}"));
    }
    let start = start(fields);
    let alerts = alerts(fields, start);
    let acts = acts(fields, start);
    let checks = checks(fields);
    RuleTest { name: name.map_or(String::new(), |name| name.text.to_owned()), line, start, alerts, acts, checks }
}

fn start(fields: &mut Fields<'_>) -> Time {
    let Some(written) = fields.text("start") else { return START };
    Time::parse_rfc3339(written.text).unwrap_or_else(|| {
        let message = format!("`{}` is no moment", written.text);
        fields.fault(Code::Range, &written.node.span, message, "write it as `2026-01-05T00:00:00Z`");
        START
    })
}

/// The entries of a list, each read with `read`; none where the key is not there.
fn entries<'a, T>(
    fields: &mut Fields<'a>,
    key: &'static str,
    what: &'static str,
    mut read: impl FnMut(&'a Node, &mut Fields<'a>) -> Option<T>,
) -> Vec<T> {
    let node = fields.get(key);
    let items = node.map_or(&[][..], |node| fields.as_list(key, node));
    items.iter().filter_map(|item| Fields::read(item, what, fields.report, |entry| read(item, entry)).flatten()).collect()
}

/// When something happens, from the test's start.
fn at(fields: &mut Fields<'_>) -> Option<Millis> {
    let node = fields.need("at")?;
    let at = fields.as_duration("at", node)?;
    if at > LASTS_MAX {
        fields.fault(Code::Range, &node.span, format!("a test lasts {LASTS_MAX} at most, and this is after {at}"), "");
    }
    Some(at)
}

/// The one of `keys` that is there; with several, or none, it says so.
fn one_key(fields: &Fields<'_>, what: &str, keys: &'static [&'static str]) -> Option<&'static str> {
    let present: Vec<&'static str> = keys.iter().copied().filter(|key| fields.has(key)).collect();
    match present[..] {
        [] => fields.fault(Code::Missing, &fields.span(), format!("{what} needs one of {}", listed(keys)), ""),
        [_, second, ..] => {
            let message = format!("{what} has one of {}; this one has {}", listed(keys), present.len());
            fields.fault(Code::Conflict, &fields.key_span(second), message, "make an entry for each");
        }
        [_] => {}
    }
    present.first().copied()
}

fn alerts(fields: &mut Fields<'_>, start: Time) -> Vec<AlertLine> {
    let read = |_: &Node, entry: &mut Fields<'_>| {
        let at = at(entry);
        let source = entry.word("source");
        let annotations = label_pairs(entry, "annotations");
        let [fires, resolves, stops] = ["labels", "resolve", "stop"].map(|key| labels(entry, key));
        let key = one_key(entry, "an alert's entry", &["labels", "resolve", "stop"])?;
        for extra in ["source", "annotations"] {
            if key != "labels" && entry.has(extra) {
                let message = format!("`{extra}` beside `{key}`");
                entry.fault(Code::Conflict, &entry.key_span(extra), message, "it belongs to the entry with `labels`");
            }
        }
        let (word, labels) = match key {
            "labels" => (Word::Fires, fires),
            "resolve" => (Word::Resolves, resolves),
            _ => (Word::Stops, stops),
        };
        let (at, labels) = (at?, labels?);
        let annotations = annotations.unwrap_or_default();
        let alert = Arc::new(Alert {
            fingerprint: labels.fingerprint(),
            labels,
            annotations: Labels::from_pairs(annotations.iter().map(|(name, value)| (&**name, &**value))).unwrap_or_default(),
            generator_url: "".into(),
            source: source.unwrap_or_else(|| SOURCE.into()),
            starts_at: start + at,
        });
        Some((entry.key_span(key), AlertLine { at, word, alert }))
    };
    let mut read = entries(fields, "alerts", "an alert's entry", read);
    report_ends_without_beginning(fields, &read);
    read.sort_by_key(|(_, line)| line.at);
    read.into_iter().map(|(_, line)| line).collect()
}

/// Most often the labels are not quite those of the alert that was meant.
fn report_ends_without_beginning(fields: &Fields<'_>, lines: &[(Range<usize>, AlertLine)]) {
    let mut begins: BTreeMap<Fingerprint, Millis> = BTreeMap::new();
    for (_, line) in lines.iter().filter(|(_, line)| line.word == Word::Fires) {
        let first = begins.entry(line.alert.fingerprint).or_insert(line.at);
        *first = line.at.min(*first);
    }
    for (span, line) in lines.iter().filter(|(_, line)| line.word != Word::Fires) {
        if begins.get(&line.alert.fingerprint).is_none_or(|first| *first > line.at) {
            let message = format!("no alert with exactly these labels has begun by {}", line.at);
            fields.fault(Code::Range, span, message, "repeat all labels of the entry in which it begins");
        }
    }
}

/// The labels of an alert; there must be some.
fn labels(fields: &mut Fields<'_>, key: &'static str) -> Option<Labels> {
    let pairs = label_pairs(fields, key)?;
    let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)));
    let labels = labels.filter(|labels| !labels.is_empty());
    if labels.is_none() {
        fields.fault(Code::Range, &fields.key_span(key), format!("`{key}` has no label, or too many"), "");
    }
    labels
}

/// Names and values of labels; `None` where the key is not there.
pub(super) fn label_pairs(fields: &mut Fields<'_>, key: &'static str) -> Option<Vec<(Arc<str>, Arc<str>)>> {
    let node = fields.get(key)?;
    Fields::read(node, "a set of labels", fields.report, |labels| {
        let entries = labels.all();
        let pair = |(name, value): &(crate::ruleset::yaml::Key, Node)| {
            Some((name.text.as_str().into(), labels.as_text(&name.text, value)?.text.into()))
        };
        entries.iter().filter_map(pair).collect()
    })
}

fn acts(fields: &mut Fields<'_>, start: Time) -> Vec<ActLine> {
    const KEYS: &[&str] =
        &["acknowledge", "assign", "comment", "resolve", "reopen", "close", "major", "normal", "silence", "beat"];
    let mut silences = 0;
    let mut acts = entries(fields, "acts", "an act", |_, entry| {
        let at = at(entry);
        let by = entry.word("by").unwrap_or_else(|| ACTOR.into());
        let key = one_key(entry, "an act", KEYS);
        // Asked for in any case, so that a second key is not unknown as well.
        let ids: Vec<Option<IncidentId>> =
            KEYS.iter().map(|key| if matches!(*key, "silence" | "beat") { None } else { incident_id(entry, key) }).collect();
        let id = ids.into_iter().flatten().next();
        // `to: ~` takes the assignment away.
        let nobody = key == Some("assign") && entry.is_null("to");
        if nobody {
            entry.ignore("to");
        }
        let to = if nobody { None } else { belongs(entry, "to", key == Some("assign")) };
        let why = matches!(key, Some("major" | "normal"));
        let text = belongs(entry, "text", key == Some("comment") || why);
        let silence = silence(entry, start + at.unwrap_or(Millis::ZERO), &by);
        let beat = entry.word("beat");
        let act = match key? {
            "acknowledge" => Act::Acknowledge(id?),
            "assign" if nobody => Act::Assign(id?, None),
            "assign" => Act::Assign(id?, Some(to?)),
            "comment" => Act::Comment(id?, text?),
            "resolve" => Act::Resolve(id?),
            "reopen" => Act::Reopen(id?),
            "close" => Act::Close(id?),
            "major" => Act::SetType(id?, IncidentType::Major, text?),
            "normal" => Act::SetType(id?, IncidentType::Normal, text?),
            "beat" => Act::Beat(beat?),
            _ => {
                silences += 1;
                Act::SetSilence(Silence { id: SilenceId(silences), ..silence? })
            }
        };
        Some(ActLine { at: at?, line: entry.report.map.line(entry.span().start), act, by })
    });
    acts.sort_by_key(|act| act.at);
    acts
}

/// A text that must be there where the act is the one that it belongs to, and may not be elsewhere.
fn belongs(entry: &mut Fields<'_>, key: &'static str, here: bool) -> Option<Arc<str>> {
    if here {
        return entry.need_text(key).map(|text| text.text.into());
    }
    let text = entry.word(key);
    if entry.has(key) {
        let (message, owner) = (
            format!("`{key}` does not belong to this act"),
            if key == "to" { "assign" } else { "comment`, `major` and `normal" },
        );
        entry.fault(Code::Conflict, &entry.key_span(key), message, &format!("it belongs to `{owner}`"));
    }
    text
}

fn silence(entry: &mut Fields<'_>, at: Time, by: &Arc<str>) -> Option<Silence> {
    let node = entry.get("silence")?;
    let read = Fields::read(node, "a silence", entry.report, |silence| {
        silence.need("match");
        let matchers = silence.matchers("match");
        if silence.is_empty_list("match") {
            silence.fault(Code::Missing, &silence.key_span("match"), "`match` has no matcher", "");
        }
        let node = silence.need("for")?;
        let length = silence.as_duration("for", node)?;
        if length == Millis::ZERO {
            silence.fault(Code::Range, &node.span, "a silence that ends when it begins", "");
        }
        Some(Silence {
            id: SilenceId(0),
            matchers,
            starts_at: at,
            ends_at: at + length,
            updated_at: at,
            created_by: by.clone(),
            comment: COMMENT.into(),
        })
    });
    read.flatten()
}

fn checks(fields: &mut Fields<'_>) -> Vec<Check> {
    fields.need("expect");
    if fields.is_empty_list("expect") {
        fields.fault(Code::Missing, &fields.key_span("expect"), "a test that expects nothing", "");
    }
    let mut earliest = Millis::ZERO;
    entries(fields, "expect", "an expectation", |node, entry| {
        let at = at(entry);
        if let Some(at) = at.filter(|at| *at < earliest) {
            let message = format!("an expectation at {at} behind one at {earliest}");
            entry.fault(Code::Range, &entry.key_span("at"), message, "put them in order of time");
        }
        earliest = at.unwrap_or(earliest).max(earliest);
        let incidents = listed_there(entry, "incidents")
            .then(|| entries(entry, "incidents", "an expected incident", |_, fields| Some(IncidentPattern::read(fields))));
        let notified = listed_there(entry, "notified").then(|| {
            let names: BTreeSet<Arc<str>> = entry.words("notified").iter().map(|word| word.text.into()).collect();
            names.into_iter().collect()
        });
        let suppressed = listed_there(entry, "suppressed")
            .then(|| entries(entry, "suppressed", "a suppressed alert", |node, fields| Some(AlertPattern::read(node, fields))));
        if ["incidents", "notified", "suppressed"].iter().all(|key| !entry.has(key)) {
            let message = "an expectation needs one of `incidents`, `notified`, `suppressed`";
            entry.fault(Code::Missing, &node.span, message, "write `incidents: []` where none should be open");
        }
        Some(Check { at: at?, line: entry.report.map.line(entry.span().start), incidents, notified, suppressed })
    })
}

/// Whether a key is there with a value: an empty list is an expectation, nothing at all is a fault.
fn listed_there(fields: &mut Fields<'_>, key: &'static str) -> bool {
    let node = fields.get(key);
    if let Some(Node { value: Value::List(items), .. }) = node
        && items.len() > EXPECTED_MAX
    {
        let message = format!("`{key}` has {} entries, but at most {EXPECTED_MAX} are allowed", items.len());
        fields.fault(Code::Limit, &fields.key_span(key), message, "");
    }
    node.is_some()
}

/// An incident's id; `None` where the key is not there.
pub(super) fn incident_id(fields: &mut Fields<'_>, key: &'static str) -> Option<IncidentId> {
    let written = fields.text(key)?;
    let id = IncidentId::parse(written.text);
    if id.is_none() {
        let hint = "incidents are `INC-1`, `INC-2` and so on, in order of opening";
        fields.fault(Code::Word, &written.node.span, format!("`{}` is no incident", written.text), hint);
    }
    id
}

/// One of some words; `None` where the key is not there.
pub(super) fn one_of(fields: &mut Fields<'_>, key: &'static str, words: &[&'static str]) -> Option<&'static str> {
    let written = fields.text(key)?;
    let known = words.iter().copied().find(|word| *word == written.text);
    if known.is_none() {
        let hint = match nearest(written.text, words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the words are {}", listed(words)),
        };
        fields.fault(Code::Word, &written.node.span, format!("`{}` is not known in `{key}`", written.text), &hint);
    }
    known
}

//! The schema and the loader say the same, as far as a schema can say it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::json_schema;
use crate::ruleset::{Code, Limits, SourceFile, load, yaml};

/// Every key of every rule, in rules that load. Built so that each may be taken out by itself.
const COMPLETE: &str = include_str!("../../../tests/golden/schema/complete.yaml");

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&json_schema()).unwrap()
}

fn value(node: &yaml::Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => Value::Bool(*value),
        yaml::Value::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(1.5)),
        yaml::Value::Text(text) => Value::String(text.clone()),
        yaml::Value::List(items) => items.iter().map(value).collect(),
        yaml::Value::Map(entries) => {
            entries.iter().map(|(key, node)| (key.text.clone(), value(node))).collect::<Map<_, _>>().into()
        }
    }
}

fn parsed(text: &str) -> Value {
    value(&yaml::parse(text).unwrap())
}

/// The errors that the loader has with a document, by code and words. Tables are as in the complete file.
fn errors(text: &str) -> Vec<(Code, String)> {
    let file = |name: &str, text: &str| SourceFile { name: name.to_owned(), text: text.to_owned() };
    let files = [file("a.yaml", text), file("owners.csv", "service,team\na,b\n")];
    let found = load(&files, None, Limits::default()).err().unwrap_or_default();
    found.into_iter().filter(|it| it.code.is_error()).map(|it| (it.code, it.message)).collect()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Fenced blocks of rules in a document.
fn blocks(document: &str) -> Vec<String> {
    let fences = ["```yaml rules\n", "```yaml right\n", "```yaml\n"];
    let of = |fence: &&str| {
        let blocks = document.split(fence).skip(1).filter_map(|rest| rest.split_once("\n```").map(|(block, _)| block.to_owned()));
        blocks.collect::<Vec<String>>()
    };
    fences.iter().flat_map(of).collect()
}

/// Every rule file and every example of rules in the repository, with its name.
fn examples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["rules", "docs", "tests/spec", "tests/golden/rules", "tests/golden/test", "benches", "src/cli/demo", "."] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(repository()).unwrap().display().to_string();
            let ends = |end: &str| name.ends_with(end);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            if ends(".md") {
                found.extend(blocks(&text).into_iter().map(|block| (name.clone(), block)));
            } else if ends(".yaml") && !ends(".test.yaml") {
                found.push((name, text));
            }
        }
    }
    found
}

#[test]
fn every_rule_file_and_every_example_is_accepted_and_what_has_strange_keys_is_not() {
    let validator = validator();
    let (mut accepted, mut refused) = (0, 0);
    for (name, text) in examples() {
        let Ok(node) = yaml::parse(&text) else { continue };
        let document = value(&node);
        let found = errors(&text);
        // Documents show other things in YAML, too; a table that is missing here is there in its folder.
        let is_rules = document.as_object().is_some_and(|it| it.keys().any(|key| json_schema()["properties"][key].is_object()));
        let unknown = found.iter().any(|(code, _)| *code == Code::UnknownKey);
        if is_rules && found.iter().all(|(code, _)| *code == Code::Table) {
            let why: Vec<String> = validator.iter_errors(&document).map(|it| format!("{}: {it}", it.instance_path())).collect();
            assert_eq!(why, [""; 0], "{name}:\n{text}");
            accepted += 1;
        } else if is_rules && unknown {
            assert!(!validator.is_valid(&document), "{name} has a key that the loader does not know:\n{text}");
            refused += 1;
        }
    }
    assert!(accepted >= 80 && refused >= 3, "accepted {accepted}, refused {refused}");
}

/// The places of all mappings in a document.
fn mappings(document: &Value, at: &str, found: &mut Vec<String>) {
    match document {
        Value::Object(entries) => {
            found.push(at.to_owned());
            for (key, value) in entries {
                mappings(value, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                mappings(item, &format!("{at}/{place}"), found);
            }
        }
        _ => {}
    }
}

/// The document with one mapping changed.
fn changed(document: &Value, at: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Value {
    let mut document = document.clone();
    change(document.pointer_mut(at).unwrap().as_object_mut().unwrap());
    document
}

#[test]
fn loader_and_schema_know_the_same_keys() {
    let (complete, validator) = (parsed(COMPLETE), validator());
    assert_eq!(errors(COMPLETE), []);
    assert!(validator.is_valid(&complete));
    let mut places = Vec::new();
    mappings(&complete, "", &mut places);
    assert!(places.len() > 25, "{places:?}");
    for at in &places {
        let strange = changed(&complete, at, |entries| drop(entries.insert("zzz".to_owned(), json!("a"))));
        let refused = !errors(&strange.to_string()).is_empty();
        assert_eq!(refused, !validator.is_valid(&strange), "a strange key in {at}");
        // Each key gone, one by one: what must be there must be there for both.
        let keys: Vec<String> = complete.pointer(at).unwrap().as_object().unwrap().keys().cloned().collect();
        for key in keys {
            let less = changed(&complete, at, |entries| drop(entries.remove(&key)));
            let found = errors(&less.to_string());
            assert_eq!(found.is_empty(), validator.is_valid(&less), "without {at}/{key}: {found:?}");
        }
    }
}

#[test]
fn every_key_of_the_schema_is_tried() {
    // The complete file would show nothing of a key that it has not.
    let schema = json_schema();
    let complete = COMPLETE.to_owned() + "\n";
    let mut keys = Vec::new();
    collect_keys(&schema, &mut keys);
    assert!(keys.len() > 40);
    let missing: Vec<&String> = keys.iter().filter(|key| !complete.contains(&format!("{key}:"))).collect();
    assert!(missing.is_empty(), "the complete file lacks {missing:?}");
}

fn collect_keys(schema: &Value, keys: &mut Vec<String>) {
    match schema {
        Value::Object(entries) => {
            if let Some(Value::Object(properties)) = entries.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            entries.values().for_each(|value| collect_keys(value, keys));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, keys)),
        _ => {}
    }
}

#[test]
fn keys_that_exclude_each_other_and_bounds_are_the_same() {
    let validator = validator();
    let correlate = |rest: &str| format!("correlate: [{{ name: a, {rest} }}]");
    let suppress = |rest: &str| format!("suppress: [{{ name: a, {rest} }}]");
    let escalate = |rest: &str| format!("escalate: [{{ name: a, {rest} }}]");
    let sequence = "sequence: [{ match: ['a=b'] }, { match: ['a=c'] }]";
    let rows = [
        correlate(sequence),
        correlate(&format!("{sequence}, within: 1m")),
        correlate(&format!("{sequence}, within: 1m, match: ['a=b']")),
        correlate(&format!("{sequence}, within: 1m, when: 'true'")),
        correlate(&format!("{sequence}, within: 1m, threshold: {{ count: 1, within: 1m }}")),
        correlate("within: 1m"),
        correlate("hold: true"),
        correlate("absent: { match: ['a=b'], for: 5m }, resolve_after: 1m"),
        correlate("absent: { match: [], for: 5m }"),
        correlate("topology: { hops: 2, within: 5m }, by: [a]"),
        correlate("topology: { hops: 4, within: 5m }"),
        correlate("topology: { hops: 5, within: 5m }"),
        correlate("topology: { hops: 0, within: 5m }"),
        correlate("threshold: { count: 0, within: 5m }"),
        correlate("threshold: { count: 100000, within: 5m, otherwise: drop }"),
        correlate("threshold: { count: 100001, within: 5m }"),
        correlate("threshold: { count: 1, within: 5m, otherwise: x }"),
        correlate("by: [a, a]"),
        correlate("by: ['']"),
        correlate("by: a"),
        correlate("by: [1]"),
        correlate("window: 10"),
        correlate("window: 1h30m"),
        correlate("window: 30m1h"),
        correlate("window: 10 minutes"),
        correlate("resolve_after: 0"),
        correlate("continue: maybe"),
        suppress("hold: 1m"),
        suppress("hold: 1m, when: 'labels.a == \"b\"'"),
        suppress("hold: 1m, match: []"),
        suppress("match: ['a=b']"),
        suppress("match: ['a=b'], hold: 1m, during: { from: '02:00', to: '03:00' }"),
        suppress("match: ['a=b'], during: { from: '02:00', to: '24:00' }"),
        suppress("match: ['a=b'], during: { from: '2:00', to: '24:00' }"),
        suppress("match: ['a=b'], during: { from: '02:00', to: '24:01' }"),
        suppress("match: ['a=b'], during: { days: [sun, monday], from: '02:00', to: '03:00' }"),
        suppress("match: ['a=b'], during: { days: [sonntag], from: '02:00', to: '03:00' }"),
        suppress("match: ['a=b'], inhibit: { source: ['a=b'], target: ['a=c'] }"),
        suppress("inhibit: { source: [], target: ['a=c'] }"),
        suppress("match: ['a=b'], flapping: { changes: 1, within: 5m, until_stable: 5m }"),
        suppress("match: ['a=b'], flapping: { changes: 100, within: 5m, until_stable: 5m }"),
        suppress("match: ['a=b'], flapping: { changes: 101, within: 5m, until_stable: 5m }"),
        "enrich: [{ name: a, set: { a: b }, table: owners.csv, on: [service] }]".to_owned(),
        "enrich: [{ name: a, set: {} }]".to_owned(),
        "enrich: [{ name: a, set: { a: 1 } }]".to_owned(),
        "enrich: [{ name: a, set: { a: b }, on: [service] }]".to_owned(),
        "enrich: [{ name: a, table: owners.csv }]".to_owned(),
        "enrich: [{ name: a }]".to_owned(),
        "classify: [{ name: a }]".to_owned(),
        "classify: [{ name: a, team: t }]".to_owned(),
        "prioritize: [{ name: a }]".to_owned(),
        "prioritize: [{ name: a, impact: 4 }]".to_owned(),
        "services: [{ name: a, tier: 6 }]".to_owned(),
        "services: [{ tier: 5 }]".to_owned(),
        "heartbeats: [{ name: a-b_c.1, every: 1m, grace: 0s }]".to_owned(),
        "heartbeats: [{ name: a/b, every: 1m }]".to_owned(),
        "heartbeats: [{ name: a }]".to_owned(),
        "heartbeats: [{ name: a, every: 1m, labels: { severity: low } }]".to_owned(),
        "heartbeats: [{ name: a, every: 1m, labels: { alertname: b } }]".to_owned(),
        "heartbeats: [{ name: a, every: 1m, labels: { tier: 1 } }]".to_owned(),
        escalate("steps: []"),
        escalate("steps: [{ notify: [] }]"),
        escalate("steps: [{ notify: [a] }, { notify: [b] }]"),
        escalate("steps: [{ notify: [a] }, { after: 5m, unless: acknowledged, notify: [b] }]"),
        escalate("steps: [{ notify: [a], unless: x }]"),
        escalate("steps: [{ notify: [a] }], repeat: never"),
        escalate("steps: [{ notify: [a] }], repeat: sometimes"),
        "correlate:".to_owned(),
        "correlate: []".to_owned(),
        "correlate: {}".to_owned(),
        "correlates: []".to_owned(),
        "[]".to_owned(),
        String::new(),
    ];
    for row in rows {
        let found = errors(&row);
        assert_eq!(validator.is_valid(&parsed(&row)), found.is_empty(), "{row}: {found:?}");
    }
}

#[test]
fn examples_are_found() {
    let names: Vec<String> = examples().into_iter().map(|(name, _)| name).collect();
    for wanted in ["README.md", "rules/node.yaml", "tests/spec/correlate.md", "docs/rules.md", "docs/example-rules.yaml"] {
        assert!(names.iter().any(|name| Path::new(name) == Path::new(wanted)), "{wanted} is not among them");
    }
}

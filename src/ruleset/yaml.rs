//! YAML text in, a tree of values with their places out. The only file that knows the YAML crate.
//!
//! Everything is read into one generic tree first, and the stages pick their keys from it: so one wrong key does not
//! hide the next, and each value keeps its place. Never gives a value a meaning.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    /// Bytes of the file. For a list or mapping: its first character.
    pub span: Range<usize>,
}

/// What YAML can say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing at all: `key:` or `~`.
    Null,
    Bool(bool),
    /// A number, as it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the file's order; keys may repeat.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    pub text: String,
    pub span: Range<usize>,
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(super) struct YamlFault {
    pub message: String,
    pub span: Range<usize>,
}

/// What is read of one text at most: nodes, and levels of nesting. Aliases count as what they stand for.
const NODES_MAX: usize = 2_000_000;
const DEPTH_MAX: usize = 24;

impl Value {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Reads a text that holds one document.
///
/// # Errors
/// The first fault of syntax, or the limit that was passed.
pub(super) fn parse(text: &str) -> Result<Node, YamlFault> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * NODES_MAX,
            max_nodes: NODES_MAX,
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(root) => Ok(node(root, text)),
        Err(error) => Err(fault(&error, text)),
    }
}

/// As the YAML crate hands it over, before places are turned into byte ranges.
enum Raw {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let span = range(raw.defined, text);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Number => Value::Number(text.get(span.clone()).unwrap_or_default().to_owned()),
        Raw::Text(value) => Value::Text(value),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, Spanned<Raw>)| {
                (Key { span: range(key.defined, text), text: key.value }, node(value, text))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node { value, span }
}

fn range(location: Location, text: &str) -> Range<usize> {
    let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
    let start = number(location.span().byte_offset()).unwrap_or(0).min(text.len());
    let end = start.saturating_add(number(location.span().byte_len()).unwrap_or(0)).min(text.len());
    if text.is_char_boundary(start) && text.is_char_boundary(end) { start..end } else { 0..0 }
}

fn fault(error: &serde_saphyr::Error, text: &str) -> YamlFault {
    let error = error.without_snippet();
    let span = error.location().map_or(0..0, |location| range(location, text));
    YamlFault { message: format!("{error} //// {error:?}"), span }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn probe() {
        for t in ["", "# x\n", "---\n", "a: 'x''y' # c\nb: \"q\\\"z\"\nc:\n  - n: 1\n    m: |\n      two\n      lines\n  - [a, 0x1f, 1.5, true, yes, ~]\nd: &k {x: 1}\ne: *k\nf: {<<: *k, z: 2}\na: 2\non: b\nné: ü\n", "a: [", "a: b: c", "\ta: b", "a:\n\t- b", "a: *x", "---\na: 1\n---\nb: 2\n", "a: &a [*a]", "a: 'x", "? [a]\n: b", "a: !!int x", "a: !foo x", "%YAML 3\n", "a: \u{0}", "x: y\n z: w", "a: @b", "a: `b", "a: 'job=~\"x\"', 'b'", "- a\nb: c"] {
            println!("=== {t:?}");
            match parse(t) { Ok(n) => show(&n, t, 0), Err(f) => println!("FAULT {:?} {:?} {}", f.span, t.get(f.span.clone()), f.message) }
        }
    }
    fn show(n: &Node, t: &str, d: usize) {
        let p = " ".repeat(d * 2);
        match &n.value {
            Value::List(l) => { println!("{p}list {:?} {:?}", n.span, &t[n.span.clone()]); for i in l { show(i, t, d + 1) } }
            Value::Map(m) => { println!("{p}map {:?} {:?}", n.span, &t[n.span.clone()]); for (k, v) in m { println!("{p} key {} {:?}", k.text, &t[k.span.clone()]); show(v, t, d + 1) } }
            v => println!("{p}{v:?} {:?} {:?}", n.span, &t[n.span.clone()]),
        }
    }
}

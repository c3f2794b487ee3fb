//! YAML text in, a tree of values with their places out. The only file that knows the YAML crate.
//!
//! Everything is read into one generic tree first, and the stages pick their keys from it: so one wrong key does not
//! hide the next, and each value keeps its place. Never gives a value a meaning.

use std::fmt;
use std::ops::Range;

use super::diagnostics::Code;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Spanned};

/// One value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub value: Value,
    /// Bytes of the file. For a list or mapping: its first character.
    pub span: Range<usize>,
}

/// What YAML can say.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
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
pub(crate) struct Key {
    pub text: String,
    pub span: Range<usize>,
}

/// Why a text is no YAML.
#[derive(Debug)]
pub(crate) struct YamlFault {
    /// Syntax or limit.
    pub code: Code,
    pub message: String,
    pub span: Range<usize>,
    /// What to do about it; may be empty.
    pub hint: &'static str,
}

/// What is read of one text at most: nodes, and levels of nesting. Aliases count as what they stand for.
const NODES_MAX: usize = 500_000;
const DEPTH_MAX: usize = 24;

impl Value {
    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
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
pub(crate) fn parse(text: &str) -> Result<Node, YamlFault> {
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
    let mut span = range(raw.defined, text);
    // A block text's place goes on to the next thing's indentation.
    span.end = span.start + text[span.clone()].trim_end().len();
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
    let span = error.location().map_or(0..0, |location| match range(location, text) {
        empty if empty.is_empty() => at_line_and_column(location.line(), location.column(), text),
        range => range,
    });
    let inner = match error {
        serde_saphyr::Error::AliasError { error, .. } => error.without_snippet(),
        other => other,
    };
    let (code, message, hint) = match inner {
        serde_saphyr::Error::Budget { breach: BudgetBreach::Documents { .. }, .. } => {
            (Code::Syntax, "a second document in one file".to_owned(), "make it a file of its own")
        }
        serde_saphyr::Error::Budget { .. }
        | serde_saphyr::Error::AliasReplayLimitExceeded { .. }
        | serde_saphyr::Error::AliasReplayStackDepthExceeded { .. }
        | serde_saphyr::Error::AliasExpansionLimitExceeded { .. } => {
            let message = "the file holds more than is read of one file, its aliases counted as what they stand for";
            (Code::Limit, message.to_owned(), "")
        }
        serde_saphyr::Error::RecursiveReferencesRequireWeakTypes { .. } => {
            (Code::Syntax, "an alias inside of what it stands for".to_owned(), "")
        }
        other => {
            let words = other.to_string();
            // The place is shown by itself.
            let message = words.split_once(" at line ").map_or(words.as_str(), |(message, _)| message).to_owned();
            let about_tabs = message.contains("tab");
            (Code::Syntax, message, if about_tabs { "indent with spaces" } else { "" })
        }
    };
    YamlFault { code, message, span, hint }
}

/// The character at a line and a column, both from 1; the last place of the file where there is none.
fn at_line_and_column(line: u64, column: u64, text: &str) -> Range<usize> {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).saturating_sub(1);
    let line_start = match number(line) {
        0 => 0,
        n => text.match_indices('\n').nth(n - 1).map_or(text.len(), |(newline, _)| newline + 1),
    };
    let line = text[line_start..].lines().next().unwrap_or_default();
    match line.char_indices().nth(number(column)) {
        Some((at, c)) => line_start + at..line_start + at + c.len_utf8(),
        None => line_start + line.len()..line_start + line.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text: each value with what stands at its place in the file.
    fn shown(node: &Node, text: &str) -> String {
        let at = |span: &Range<usize>| &text[span.clone()];
        match &node.value {
            Value::List(items) => format!("[{}]", items.iter().map(|item| shown(item, text)).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entry = |(key, value): &(Key, Node)| format!("{}<{}>: {}", key.text, at(&key.span), shown(value, text));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
            scalar => format!("{scalar:?}<{}>", at(&node.span)),
        }
    }

    #[test]
    fn values_keep_their_places() {
        let cases = [
            ("", "Null<>"),
            ("# x\n", "Null<>"),
            ("a: 'x''y' # c", r#"{a<a>: Text("x'y")<'x''y'>}"#),
            ("é: \"q\\\"z\"", r#"{é<é>: Text("q\"z")<"q\"z">}"#),
            ("- [a, 0x1f, 1.5, ~]", r#"[[Text("a")<a> Number("0x1f")<0x1f> Number("1.5")<1.5> Null<~>]]"#),
            ("[true, yes, '1']", r#"[Bool(true)<true> Text("yes")<yes> Text("1")<'1'>]"#),
            ("a: |\n  x\n  y\nb: 1", "{a<a>: Text(\"x\\ny\\n\")<x\n  y> b<b>: Number(\"1\")<1>}"),
            ("on: 1\non: 2", r#"{on<on>: Number("1")<1> on<on>: Number("2")<2>}"#),
            ("a: &k {x: 1}\nb: *k", r#"{a<a>: {x<x>: Number("1")<1>} b<b>: {x<x>: Number("1")<1>}}"#),
            ("- &k {x: 1}\n- {<<: *k, y: 2}", r#"[{x<x>: Number("1")<1>} {y<y>: Number("2")<2> x<x>: Number("1")<1>}]"#),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(&parse(text).unwrap(), text), expected, "{text}");
        }
    }

    #[test]
    fn faults_have_a_place_and_no_place_in_words() {
        for (text, place, message) in [
            ("a: [", 3..4, "unclosed bracket '['"),
            ("x: y\n z: w", 7..8, "mapping values are not allowed in this context"),
            ("é: *x", 4..5, "alias references unknown anchor"),
            ("a: 1\n---\nb: 2", 5..8, "a second document in one file"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.span, fault.message.as_str()), (place, message), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered(text in "[-a:\\[\\]{}&*!|>'\"%@#\n\t ,?é<]{0,40}") {
            let place = parse(&text).map_or_else(|fault| fault.span, |node| node.span);
            proptest::prop_assert!(text.get(place).is_some());
        }
    }
}

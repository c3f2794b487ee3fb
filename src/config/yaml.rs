//! The one place of this room that knows the YAML crate: text in, a tree of values out, each with its place.

use std::fmt;

use config::{Map, Value, ValueKind};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::ConfigError;

/// Levels of nesting. The deepest that means anything has five; each costs the reader some of the stack.
const DEPTH_MAX: usize = 16;

/// Reads a YAML document whose root is a map. Each value's origin is `<file>:<line>:<column>`.
///
/// # Errors
/// Text that is no YAML, has a key twice, or is no map.
pub(super) fn parse(file: &str, text: &str) -> Result<Map<String, Value>, ConfigError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Map::new());
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX, flow_nesting_limit: DEPTH_MAX },
    };
    let root: Spanned<Node> = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or_else(|| file.to_owned(), |at| format!("{file}:{}:{}", at.line(), at.column()));
        if matches!(error.without_snippet(), serde_saphyr::Error::Budget { .. }) {
            let message = format!("the file holds more than is read of a configuration, or is nested deeper than {DEPTH_MAX}");
            return ConfigError::new("yaml", message, &place);
        }
        ConfigError::new("yaml", what_is_wrong(&error.to_string()), &place)
    })?;
    match value(file, root).kind {
        ValueKind::Table(map) => Ok(map),
        _ => Err(ConfigError::new("yaml", "the file is no map of keys", file)),
    }
}

/// The crate draws the place into its text and gives advice for programmers; what is left of the first line is for people.
fn what_is_wrong(message: &str) -> &str {
    let line = message.lines().next().unwrap_or(message);
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let line = match line.split_once(": ") {
        Some((place, rest)) if place.starts_with("line ") => rest,
        _ => line,
    };
    line.split_once(", set DuplicateKeyPolicy").map_or(line, |(what, _)| what)
}

/// Any YAML value. Read by hand: serde's untagged enums lose the places.
enum Node {
    Scalar(ValueKind),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

fn value(file: &str, node: Spanned<Node>) -> Value {
    let origin = format!("{file}:{}:{}", node.referenced.line(), node.referenced.column());
    let kind = match node.value {
        Node::Scalar(kind) => kind,
        Node::List(items) => ValueKind::Array(items.into_iter().map(|item| value(file, item)).collect()),
        Node::Map(pairs) => ValueKind::Table(pairs.into_iter().map(|(key, node)| (key, value(file, node))).collect()),
    };
    Value::new(Some(&origin), kind)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(ValueKind::Boolean(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(ValueKind::I64(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(i64::try_from(value).map_or(ValueKind::U64(value), ValueKind::I64)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(ValueKind::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(ValueKind::String(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(ValueKind::Nil))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar(ValueKind::Nil))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(pair) = pairs.next_entry()? {
            map.push(pair);
        }
        Ok(Node::Map(map))
    }
}

//! Paths of the fields of a body, for saying which are there. `alerts[].labels` is the `labels` of any item of the list
//! `alerts`. A key that holds a dot or a bracket has no path. A text that was read as JSON has below it what it holds.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher};

use super::json::{Json, Kind, Says};
use crate::model::Keyed;

/// The paths of a body that something was made of. Keys that are the sender's own are none.
#[must_use]
pub fn used(body: &Json<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(body, &mut |path, value| {
        if value.is_used() {
            found.insert(path.to_owned());
        }
    });
    found
}

/// The paths below a body that nothing was made of, each item of a list by its number.
pub(super) fn unused(body: &Json<'_>) -> Vec<String> {
    let mut unused = Vec::new();
    collect(body, &mut String::new(), &mut unused);
    unused
}

fn collect(value: &Json<'_>, path: &mut String, unused: &mut Vec<String>) {
    if value.is_used() {
        return;
    }
    let length = path.len();
    let mut below = |step: String, value: &Json<'_>| {
        path.push_str(&step);
        collect(value, path, unused);
        path.truncate(length);
    };
    let dot = if length == 0 { "" } else { "." };
    match value.kind() {
        Kind::Map(pairs) => pairs.in_order().into_iter().for_each(|(key, value)| below(format!("{dot}{key}"), value)),
        Kind::List(items) => items.iter().enumerate().for_each(|(i, value)| below(format!("[{i}]"), value)),
        _ => unused.push(path.clone()),
    }
}

/// Calls `found` with each value below `body` and its path; what lies below keys that are the sender's own is left out.
fn walk(body: &Json<'_>, found: &mut dyn FnMut(&str, &Json<'_>)) {
    descend(body, &mut String::new(), found);
}

fn descend(value: &Json<'_>, path: &mut String, found: &mut dyn FnMut(&str, &Json<'_>)) {
    let length = path.len();
    if length > 0 {
        found(path, value);
    }
    let value = through(value);
    match value.kind() {
        _ if value.is_free() => {}
        Kind::Map(pairs) => {
            for (key, value) in pairs.in_order().into_iter().filter(|(key, _)| !key.contains(['.', '[', ']'])) {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                descend(value, path, found);
                path.truncate(length);
            }
        }
        Kind::List(items) => {
            path.push_str("[]");
            for item in items {
                descend(item, path, found);
            }
            path.truncate(length);
        }
        _ => {}
    }
}

/// What a text holds that was read as JSON; any other value as it is.
fn through<'a>(value: &'a Json<'a>) -> &'a Json<'a> {
    match value.kind() {
        Kind::Text(words) => words.inner().map_or(value, |inner| inner),
        _ => value,
    }
}

/// Whether something is said at a path: in one item of a list at least, and no variable that its tool did not replace.
#[must_use]
pub fn has(body: &Json<'_>, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let name = step.trim_end_matches("[]");
    let lists = (step.len() - name.len()) / 2;
    let value = if name.is_empty() { Some(body) } else { through(body).get(name) };
    value.is_some_and(|value| any(value, lists, &|value| rest.map_or_else(|| says_something(value), |rest| has(value, rest))))
}

/// Whether it holds for a value so many lists below.
fn any(value: &Json<'_>, lists: usize, holds: &dyn Fn(&Json<'_>) -> bool) -> bool {
    if lists == 0 {
        return holds(value);
    }
    through(value).as_list().is_some_and(|items| items.iter().any(|item| any(item, lists - 1, holds)))
}

fn says_something(value: &Json<'_>) -> bool {
    match value.kind() {
        Kind::Null => false,
        Kind::Text(words) => words.says() == Says::Something,
        Kind::List(items) => !items.is_empty(),
        Kind::Map(pairs) => !pairs.is_empty(),
        Kind::Bool(_) | Kind::Number(_) => true,
    }
}

/// A number that two bodies share which say something at the same paths, and of which the same was used: [`used`] and
/// [`has`] are the same for both, which is cheaper to know than to find out.
#[must_use]
pub fn shape(body: &Json<'_>) -> u64 {
    let mut hasher = Keyed::default().build_hasher();
    add(body, &mut hasher);
    hasher.finish()
}

fn add(value: &Json<'_>, hasher: &mut impl Hasher) {
    let inner = through(value);
    let (kind, count) = match inner.kind() {
        Kind::Map(pairs) => (1, pairs.len()),
        Kind::List(items) => (2, items.len()),
        _ => (0, 0),
    };
    let marks = [value.is_used(), inner.is_free(), says_something(value), !std::ptr::eq(inner, value)];
    let marks = marks.into_iter().fold(kind, |bits, mark| bits << 1 | u64::from(mark));
    hasher.write_u64((count as u64) << 8 | marks);
    match inner.kind() {
        Kind::Map(pairs) => {
            for (key, value) in pairs.all() {
                hasher.write_u64(key.len() as u64);
                hasher.write(key.as_bytes());
                add(value, hasher);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| add(item, hasher)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::format::{Field, Notes};

    #[test]
    fn paths_lead_to_what_is_said() {
        let text = r#"{
            "a": { "b": 0, "empty": " ", "null": null, "var": "$HOST", "c.d": 1 },
            "list": [{ "x": null }, { "x": "y", "in": [[], [{ "z": false }]] }],
            "none": []
        }"#;
        let body = Json::parse(text).unwrap();
        let mut found = Vec::new();
        let innermost = body.get("list").unwrap().as_list().unwrap()[1].get("in").unwrap().as_list().unwrap()[1].as_list();
        innermost.unwrap()[0].set_free();
        walk(&body, &mut |path, _| found.push(path.to_owned()));
        found.dedup();
        assert_eq!(
            found,
            [
                "a",
                "a.b",
                "a.empty",
                "a.null",
                "a.var",
                "list",
                "list[]",
                "list[].x",
                "list[]",
                "list[].in",
                "list[].in[]",
                "list[].in[][]",
                "list[].x",
                "none"
            ]
        );
        for (path, expected) in [
            ("a.b", true),
            ("a", true),
            ("a.empty", false),
            ("a.null", false),
            ("a.var", false),
            ("a.b.c", false),
            ("a[].b", false),
            ("list", true),
            ("list[].x", true),
            ("list[].in[][].z", true),
            ("list[].in[].z", false),
            ("list.x", false),
            ("none", false),
            ("none[].x", false),
            ("nowhere", false),
        ] {
            assert_eq!(has(&body, path), expected, "{path}");
        }
        assert!(has(&Json::parse(r#"[{"a":1}]"#).unwrap(), "[].a"), "a body that is a list");
    }

    #[test]
    fn texts_that_are_json_have_paths_as_far_as_they_were_read() {
        let text = r#"{"in":"{\"a\":[{\"b\":1}],\"c\":\"\"}","list":"[{\"x\":2}]","not":"{\"a\":1}"}"#;
        let body = Json::parse(text).unwrap();
        let notes = Notes::default();
        let field = Field::root(&body, &notes);
        let inner = field.inner("in", 4).unwrap();
        let read = (inner.list("a")[0].text("b"), field.inner("list", 4).unwrap().items()[0].text("x"));
        assert_eq!(read, (Some("1".to_owned()), Some("2".to_owned())));
        assert_eq!(Vec::from_iter(used(&body)), ["in", "in.a[].b", "list", "list[].x"]);
        for (path, expected) in
            [("in", true), ("in.a[].b", true), ("in.c", false), ("list[].x", true), ("list[].y", false), ("not.a", false)]
        {
            assert_eq!(has(&body, path), expected, "{path}");
        }
        assert_eq!(unused(&body), ["not"]);
        assert_eq!((field.inner("none", 4).unwrap_err().0, field.inner("in", 1).is_ok()), ("`none` is missing".to_owned(), true));
    }

    /// Whatever makes another answer to one of the questions makes another shape.
    #[test]
    fn a_shape_is_what_is_said_where() {
        let shape_of = |text: &str, path: Option<&str>| {
            let (body, notes) = (Json::parse(text).unwrap(), Notes::default());
            let field = Field::root(&body, &notes);
            path.map(|path| (field.text(path), field.pairs(path)));
            shape(&body)
        };
        let first = shape_of(r#"{"a":"x","b":{"c":1}}"#, Some("a"));
        for (text, path, is_same) in [
            (r#"{"a":"y","b":{"c":2}}"#, Some("a"), true),
            (r#"{ "a": "other", "b": {"c":true} }"#, Some("a"), true),
            (r#"{"a":"y","b":{"c":2}}"#, Some("b.c"), false),
            (r#"{"a":"y","b":{"c":2}}"#, Some("b"), false),
            (r#"{"a":"y","b":{"c":2}}"#, None, false),
            (r#"{"a":"","b":{"c":1}}"#, Some("a"), false),
            (r#"{"a":"$HOST","b":{"c":1}}"#, Some("a"), false),
            (r#"{"a":"x","b":{"c":null}}"#, Some("a"), false),
            (r#"{"a":"x","b":{"d":1}}"#, Some("a"), false),
            (r#"{"a":"x","b":{"c":1,"d":1}}"#, Some("a"), false),
            (r#"{"a":"x","b":[{"c":1}]}"#, Some("a"), false),
            (r#"{"a":"x","b":{},"c":1}"#, Some("a"), false),
        ] {
            assert_eq!(shape_of(text, path) == first, is_same, "{text} {path:?}");
        }
    }
}

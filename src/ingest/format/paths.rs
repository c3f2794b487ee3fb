//! Paths of the fields of a body, for saying which are there. `alerts[].labels` is the `labels` of any item of the list
//! `alerts`. A key that holds a dot or a bracket has no path.

use serde_json::Value;

use super::field::is_placeholder;

/// Calls `found` with each value below `body` and its path; what lies below a value that `is_free` is left out.
pub(super) fn walk(body: &Value, is_free: &dyn Fn(&Value) -> bool, found: &mut dyn FnMut(&str, &Value)) {
    descend(body, &mut String::new(), is_free, found);
}

fn descend(value: &Value, path: &mut String, is_free: &dyn Fn(&Value) -> bool, found: &mut dyn FnMut(&str, &Value)) {
    let length = path.len();
    if length > 0 {
        found(path, value);
    }
    match value {
        _ if is_free(value) => {}
        Value::Object(pairs) => {
            for (key, value) in pairs.iter().filter(|(key, _)| !key.contains(['.', '[', ']'])) {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                descend(value, path, is_free, found);
                path.truncate(length);
            }
        }
        Value::Array(items) => {
            path.push_str("[]");
            for item in items {
                descend(item, path, is_free, found);
            }
            path.truncate(length);
        }
        _ => {}
    }
}

/// Whether something is said at a path: in one item of a list at least, and no variable that its tool did not replace.
#[must_use]
pub fn has(body: &Value, path: &str) -> bool {
    let (step, rest) = path.split_once('.').map_or((path, None), |(step, rest)| (step, Some(rest)));
    let name = step.trim_end_matches("[]");
    let lists = (step.len() - name.len()) / 2;
    let value = if name.is_empty() { Some(body) } else { body.get(name) };
    value.is_some_and(|value| any(value, lists, &|value| rest.map_or_else(|| says_something(value), |rest| has(value, rest))))
}

/// Whether it holds for a value so many lists below.
fn any(value: &Value, lists: usize, holds: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        _ if lists == 0 => holds(value),
        Value::Array(items) => items.iter().any(|item| any(item, lists - 1, holds)),
        _ => false,
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty() && !is_placeholder(text.trim()),
        Value::Array(items) => !items.is_empty(),
        Value::Object(pairs) => !pairs.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_what_is_said() {
        let body = serde_json::json!({
            "a": { "b": 0, "empty": " ", "null": null, "var": "$HOST", "c.d": 1 },
            "list": [{ "x": null }, { "x": "y", "in": [[], [{ "z": false }]] }],
            "none": [],
        });
        let mut found = Vec::new();
        let free = |value: &Value| value.get("z").is_some();
        walk(&body, &free, &mut |path, _| found.push(path.to_owned()));
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
        assert!(has(&serde_json::json!([{ "a": 1 }]), "[].a"), "a body that is a list");
    }
}

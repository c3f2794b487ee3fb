//! The tree of a body against serde_json's own, which is what it stands for.

use serde_json::Value;

use super::tools::FOLDER;
use crate::ingest::format::Json;
use crate::ingest::format::json::Kind;

/// The same as a value of serde_json.
pub(in crate::ingest) fn as_serde_json(json: &Json<'_>) -> Value {
    match json.kind() {
        Kind::Null => Value::Null,
        Kind::Bool(flag) => Value::Bool(*flag),
        Kind::Number(number) => Value::Number(number.clone()),
        Kind::Text(words) => Value::from(words.as_str()),
        Kind::List(items) => items.iter().map(as_serde_json).collect(),
        Kind::Map(map) => {
            let pairs = map.in_order();
            assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "{pairs:?}");
            pairs.into_iter().map(|(key, value)| (key.to_owned(), as_serde_json(value))).collect()
        }
    }
}

/// What the tree makes of a text is what serde_json makes of it, error and all; also once it borrows nothing; and what is asked of it
/// by key is found.
pub(super) fn compare(text: &str) {
    let expected = serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
    let read = || Json::parse(text).map_err(|error| error.to_string());
    assert_eq!(read().map(|json| as_serde_json(&json)), expected, "{text:?}");
    assert_eq!(read().map(|json| as_serde_json(&json.into_owned())), expected, "{text:?}");
    if let (Ok(json), Ok(value)) = (read(), expected) {
        look_up(&json, &value);
    }
}

fn look_up(json: &Json<'_>, value: &Value) {
    assert_eq!((json.as_str(), json.as_list().map(<[Json<'_>]>::len)), (value.as_str(), value.as_array().map(Vec::len)));
    assert!(json.get("no such key").is_none());
    for (key, value) in value.as_object().into_iter().flatten() {
        look_up(json.get(key).unwrap_or_else(|| panic!("{key:?}")), value);
    }
    for (json, value) in json.as_list().into_iter().flatten().zip(value.as_array().into_iter().flatten()) {
        look_up(json, value);
    }
}

#[test]
fn payloads_are_the_same_tree() {
    let mut compared = 0;
    for folder in std::fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            compare(&text);
            // What requests have before their bodies is no JSON.
            if let Some((_, body)) = text.split_once("\n\n") {
                compare(body);
            }
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn what_is_seldom_written_is_the_same_tree() {
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deep_maps = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    let long: Vec<String> = (0..300).map(|n| format!(r#""k{}":{n}"#, n * 7 % 100)).collect();
    let texts = [
        "",
        " ",
        "null",
        "true",
        " 1 ",
        "\"\"",
        "[]",
        "{}",
        "[,]",
        "{,}",
        "[1,]",
        r#"{"a":1,}"#,
        r#"{"a"}"#,
        r#"{"a":}"#,
        "{a:1}",
        "0",
        "-0",
        "-0.0",
        "1.10",
        "1e2",
        "1E+2",
        "01",
        "1.",
        ".5",
        "+1",
        "9007199254740993",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "1e308",
        "1e309",
        "-1e309",
        "1e-400",
        "5e-324",
        "NaN",
        "Infinity",
        r#"{"b":1,"a":2}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":1,"b":2,"a":3,"a":4,"b":5}"#,
        r#"{"a":{"x":1},"a":{"y":2}}"#,
        r#"{"":1,"":2}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"\u00e9":1,"é":2,"e":3}"#,
        r#"{"A":1,"a":2,"Z":3}"#,
        r#""\ud83d\ude00""#,
        r#""\ud83d""#,
        r#""\ude00x""#,
        r#""\u0000""#,
        r#""\x""#,
        "\"\n\"",
        "\"\t\"",
        "\"a",
        r#""\"#,
        r#""a\tb\\c\/d""#,
        "\"\u{7f}\u{80}\u{10ffff}\"",
        "\u{feff}1",
        "[1] 2",
        "{} {}",
        "[1,[2,{\"a\":[null,false]}]]",
        "nul",
        "tru",
        "[\"a\" \"b\"]",
    ];
    for text in texts {
        compare(text);
    }
    for levels in [126, 127, 128, 129] {
        compare(&deep(levels));
        compare(&deep_maps(levels));
    }
    compare(&format!("{{{}}}", long.join(",")));
    // The one difference: to serde_json this key of its own stands for the text behind it.
    let own = r#"{"$serde_json::private::RawValue":"[1]"}"#;
    assert_eq!(Json::parse(own).unwrap().get("$serde_json::private::RawValue").and_then(Json::as_str), Some("[1]"));
}

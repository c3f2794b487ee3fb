//! From text to JSON, whatever the sender calls it: content types are wrong too often (JSON as `text/plain`, forms without
//! any) to be asked.

use std::borrow::Cow;

use super::Unmapped;
use super::json::Json;

/// Parts of one multipart body, and pairs of one form.
const PARTS_MAX: usize = 256;

/// JSON as it is; a form or a multipart body as a map of texts, of which one that is JSON stands for the whole (`data`,
/// as Uptime Kuma sends it).
pub(super) fn parse(text: &str, depth_max: usize) -> Result<Json<'_>, Unmapped> {
    let text = text.trim_start_matches('\u{feff}').trim();
    match text.as_bytes() {
        [] => Err(Unmapped("the body is empty".to_owned())),
        [b'{' | b'[', ..] => json(text, depth_max),
        [b'-', b'-', ..] => whole(multipart(text)?, depth_max),
        _ => whole(form(text)?, depth_max),
    }
}

/// JSON that is not too deep.
pub(super) fn json(text: &str, depth_max: usize) -> Result<Json<'_>, Unmapped> {
    // Most bodies have fewer brackets than that, and counting them is far quicker.
    if opened(text) > depth_max && depth(text) > depth_max {
        return Err(Unmapped(format!("the JSON is nested deeper than {depth_max}")));
    }
    Json::parse(text).map_err(|error| Unmapped(format!("the body is no JSON: {error}")))
}

/// The texts of a form, by their names.
type Texts = Vec<(Cow<'static, str>, Json<'static>)>;

fn whole(pairs: Texts, depth_max: usize) -> Result<Json<'static>, Unmapped> {
    let form = Json::map(pairs);
    for name in ["data", "payload"] {
        if let Some(text) = form.get(name).and_then(Json::as_str).filter(|text| text.starts_with('{')) {
            return json(text, depth_max).map(Json::into_owned);
        }
    }
    Ok(form)
}

/// `a=b&c=d`, with `+` and `%` as browsers write them.
fn form(text: &str) -> Result<Texts, Unmapped> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(PARTS_MAX).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(name).into(), Json::text(unescape(value)))
    });
    if !text.contains('=') || text.contains('\n') {
        return Err(Unmapped("the body is neither JSON nor a form".to_owned()));
    }
    Ok(pairs.collect())
}

/// The texts of a multipart body, by the names of its parts. Its first line is the boundary.
fn multipart(text: &str) -> Result<Texts, Unmapped> {
    let boundary = text.lines().next().unwrap_or_default().trim_end();
    let mut parts = Texts::new();
    for part in text.split(boundary).skip(1).take(PARTS_MAX) {
        let part = part.replace("\r\n", "\n");
        let Some((head, value)) = part.split_once("\n\n") else { continue };
        let name = head.split("name=\"").nth(1).and_then(|rest| rest.split('"').next());
        if let Some(name) = name {
            parts.push((name.to_owned().into(), Json::text(value.trim_end_matches('\n').to_owned())));
        }
    }
    if parts.is_empty() {
        return Err(Unmapped("the body is multipart and has no part with a name".to_owned()));
    }
    Ok(parts)
}

/// A part of a form without its `+` and `%`; a `%` that stands for nothing stays.
fn unescape(text: &str) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        bytes.push(code.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// How many brackets open. In pieces whose counts a byte holds, because then many bytes are looked at in one step.
fn opened(json: &str) -> usize {
    let is_one = |byte: &u8| u8::from(matches!(byte, b'{' | b'['));
    json.as_bytes().chunks(usize::from(u8::MAX)).map(|piece| usize::from(piece.iter().map(is_one).sum::<u8>())).sum()
}

/// How deep lists and maps are nested, by their brackets outside of strings.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::tests::json::as_serde_json;

    #[test]
    fn bodies_are_what_they_look_like() {
        let multi = "--x\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"a\":1}\r\n--x--\r\n";
        let parts =
            "--x\nContent-Disposition: form-data; name=\"a\"\n\nb\n--x\nContent-Disposition: form-data; name=\"c\"\n\nd\n--x--";
        let cases: [(&str, Result<&str, &str>); 12] = [
            (r#" {"a":1}"#, Ok(r#"{"a":1}"#)),
            ("\u{feff}[1]", Ok("[1]")),
            ("a=b+c&d=%2Fx%zz&e", Ok(r#"{"a":"b c","d":"/x%zz","e":""}"#)),
            ("data=%7B%22a%22%3A1%7D", Ok(r#"{"a":1}"#)),
            (multi, Ok(r#"{"a":1}"#)),
            (parts, Ok(r#"{"a":"b","c":"d"}"#)),
            ("", Err("the body is empty")),
            ("hello", Err("the body is neither JSON nor a form")),
            ("a = b\nc", Err("the body is neither JSON nor a form")),
            ("--x\r\n", Err("the body is multipart and has no part with a name")),
            (r#"{"rule":"a" b"}"#, Err("the body is no JSON: expected `,` or `}` at line 1 column 13")),
            ("[[[[[1]]]]]", Err("the JSON is nested deeper than 4")),
        ];
        for (text, expected) in cases {
            let parsed = parse(text, 4).map(|json| as_serde_json(&json).to_string()).map_err(|unmapped| unmapped.0);
            assert_eq!(parsed.as_deref().map_err(String::as_str), expected, "{text}");
        }
    }
}

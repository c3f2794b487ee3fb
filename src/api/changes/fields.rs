//! Fields of other tools' bodies as texts that fit: what is too long is cut and not refused, for nobody can mend it there.

use serde_json::Value;

use super::own::{NAME_BYTES_MAX, SUMMARY_BYTES_MAX, URL_BYTES_MAX};
use crate::model::Time;

/// A field by its path (`/deployment/id`): the first line of a text, or a number; `None` where there is neither.
pub(super) fn text(body: &Value, path: &str) -> Option<String> {
    let text = match body.pointer(path)? {
        Value::String(text) => text.trim().lines().next().unwrap_or_default().trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text.replace(char::is_control, " ")).filter(|text| !text.is_empty())
}

/// The first of several fields that is there.
pub(super) fn first(body: &Value, paths: &[&str]) -> Option<String> {
    paths.iter().find_map(|path| text(body, path))
}

/// A field that must be there.
pub(super) fn need(body: &Value, path: &str) -> Result<String, String> {
    text(body, path).ok_or_else(|| format!("{} is missing", path.trim_start_matches('/').replace('/', ".")))
}

/// A moment as RFC 3339, from that or from what GitLab writes: `2021-04-28 21:50:00 +0200`, `2016-08-12 15:23:28 UTC`.
pub(super) fn moment(body: &Value, path: &str) -> Option<String> {
    let written = text(body, path)?;
    let parts: Vec<&str> = written.split_whitespace().collect();
    let read = match parts[..] {
        [whole] => whole.to_owned(),
        [day, time] | [day, time, "UTC" | "Z"] => format!("{day}T{time}Z"),
        [day, time, zone] if zone.len() == 5 && zone.is_char_boundary(3) => {
            format!("{day}T{time}{}:{}", &zone[..3], &zone[3..])
        }
        _ => return None,
    };
    Time::parse_rfc3339(&read).map(Time::to_rfc3339)
}

/// The beginning of a commit's hash.
pub(super) fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

/// The text, cut where it is longer than a name may be.
pub(super) fn name(text: String) -> String {
    cut(text, NAME_BYTES_MAX)
}

pub(super) fn summary(text: String) -> String {
    cut(text, SUMMARY_BYTES_MAX)
}

/// A link; half of one is none.
pub(super) fn link(url: Option<String>) -> Option<String> {
    url.filter(|url| url.len() <= URL_BYTES_MAX)
}

fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - '…'.len_utf8()));
        text.push('…');
    }
    text
}

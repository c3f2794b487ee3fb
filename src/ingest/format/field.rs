//! Typed access to a body that is somebody else's: what is absent, null, empty or a placeholder that the tool left
//! standing is all the same, numbers are texts where texts are wanted, and what was looked at is remembered.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use super::json::{Json, Kind, Says};
use super::{Unmapped, body as bodies, moment};
use crate::model::Time;

/// What is noted while a body is read.
#[derive(Debug, Default)]
pub struct Notes {
    placeholders: Cell<u64>,
    unknown: RefCell<Vec<String>>,
}

impl Notes {
    /// How many fields held a placeholder instead of a value.
    #[must_use]
    pub fn placeholders(&self) -> u64 {
        self.placeholders.get()
    }

    /// The words for a severity that stand for none.
    #[must_use]
    pub fn unknown_severities(&self) -> Vec<String> {
        self.unknown.borrow().clone()
    }

    /// Counts them, also in fields that nothing is made of: a template that was pasted wrongly is wrong in all of them.
    pub(super) fn count_placeholders(&self, value: &Json<'_>) {
        match value.kind() {
            Kind::Text(words) if words.says() == Says::Placeholder => self.placeholders.set(self.placeholders.get() + 1),
            Kind::Map(pairs) => pairs.all().for_each(|(_, value)| self.count_placeholders(value)),
            Kind::List(items) => items.iter().for_each(|value| self.count_placeholders(value)),
            _ => {}
        }
    }

    pub(super) fn unknown_severity(&self, word: &str) {
        self.unknown.borrow_mut().push(word.to_owned());
    }
}

/// Texts of one map that are read.
const PAIRS_MAX: usize = 1_000;

/// One value of a body, which may not be there.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    value: Option<&'a Json<'a>>,
    notes: &'a Notes,
}

impl<'a> Field<'a> {
    /// A whole body.
    #[must_use]
    pub fn root(value: &'a Json<'a>, notes: &'a Notes) -> Field<'a> {
        Field { value: Some(value), notes }
    }

    /// The value at a path of keys with dots between.
    #[must_use]
    pub fn get(self, path: &str) -> Field<'a> {
        Field { value: self.value.and_then(|value| at(value, path)), notes: self.notes }
    }

    /// A text, number or flag as text, without the spaces around it.
    #[must_use]
    pub fn text(self, path: &str) -> Option<String> {
        self.get(path).as_text()
    }

    /// As [`Field::text`], of this value.
    #[must_use]
    pub fn as_text(self) -> Option<String> {
        self.said().map(Cow::into_owned)
    }

    /// As [`Field::as_text`], of the body where it says it as it is.
    fn said(self) -> Option<Cow<'a, str>> {
        let value = self.value?;
        let text = match value.kind() {
            Kind::Text(words) => (words.says() == Says::Something).then(|| Cow::Borrowed(words.as_str().trim())),
            Kind::Number(number) => Some(Cow::Owned(whole(number))),
            Kind::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
            Kind::Null | Kind::List(_) | Kind::Map(_) => return None,
        };
        value.use_up();
        text
    }

    /// What a text holds that is JSON itself.
    ///
    /// # Errors
    /// Where there is no text, and where it is no JSON or too deep.
    pub(super) fn inner(self, path: &str, depth_max: usize) -> Result<Field<'a>, Unmapped> {
        let field = self.get(path);
        field.said().ok_or_else(|| missing(path))?;
        let value = match field.value.map(Json::kind) {
            Some(Kind::Text(words)) => Some(words.inner_or(|text| bodies::json(text.trim(), depth_max))?),
            _ => None,
        };
        Ok(Field { value, notes: self.notes })
    }

    /// The first of some paths that has a text.
    #[must_use]
    pub fn first(self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| self.text(path))
    }

    /// A text without which there is no alert.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn need(self, path: &str) -> Result<String, Unmapped> {
        self.text(path).ok_or_else(|| missing(path))
    }

    /// A moment in any of the shapes that tools write. One that cannot be read is none.
    #[must_use]
    pub fn time(self, path: &str) -> Option<Time> {
        self.text(path).and_then(|text| moment::parse(&text))
    }

    /// A number.
    #[must_use]
    pub fn number(self, path: &str) -> Option<f64> {
        self.text(path)?.parse().ok()
    }

    /// The items of a list; none where there is no list.
    #[must_use]
    pub fn list(self, path: &str) -> Vec<Field<'a>> {
        self.get(path).items()
    }

    /// As [`Field::list`], of this value.
    #[must_use]
    pub fn items(self) -> Vec<Field<'a>> {
        let items = self.value.and_then(Json::as_list).unwrap_or_default().iter();
        items.map(|value| Field { value: Some(value), notes: self.notes }).collect()
    }

    /// The texts of a list.
    #[must_use]
    pub fn texts(self, path: &str) -> Vec<String> {
        self.list(path).into_iter().filter_map(Field::as_text).collect()
    }

    /// The texts of a map, by name; the first thousand, which is more than an alert may have. Who puts them together looks
    /// for doubles among those that are there already.
    #[must_use]
    pub fn pairs(self, path: &str) -> Vec<(String, String)> {
        let Some(value) = self.get(path).value else { return Vec::new() };
        let Kind::Map(pairs) = value.kind() else { return Vec::new() };
        value.set_free();
        let text = |(name, value): (&str, &'a Json<'a>)| {
            let text = Field { value: Some(value), notes: self.notes }.as_text()?;
            Some((name.to_owned(), text))
        };
        pairs.in_order().into_iter().filter_map(text).take(PAIRS_MAX).collect()
    }

    /// Whether anything but null is there.
    #[must_use]
    pub fn is_there(self, path: &str) -> bool {
        self.get(path).value.is_some_and(|value| !matches!(value.kind(), Kind::Null))
    }

    /// Whether this is a list.
    #[must_use]
    pub fn is_list(self) -> bool {
        self.value.is_some_and(|value| value.as_list().is_some())
    }

    /// What is noted while the body is read.
    #[must_use]
    pub fn notes(self) -> &'a Notes {
        self.notes
    }

    /// Says that something was made of this value, so that it is not reported as left out.
    pub(super) fn use_up(self) {
        if let Some(value) = self.value {
            value.use_up();
        }
    }
}

fn at<'a>(value: &'a Json<'a>, path: &str) -> Option<&'a Json<'a>> {
    // Paths are short: walking along one costs less than setting a search up.
    match path.as_bytes().iter().position(|byte| *byte == b'.') {
        None => value.get(path),
        Some(dot) => at(value.get(&path[..dot])?, &path[dot + 1..]),
    }
}

fn missing(path: &str) -> Unmapped {
    Unmapped(format!("`{path}` is missing"))
}

/// A number as people write it: some tools send `2.0` for a whole one. Ids beyond 2^53 stay exact.
fn whole(number: &serde_json::Number) -> String {
    let text = number.to_string();
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Whether a text is a variable that its tool did not replace: `$ALERT_ID`, `$host.name$`, `{EVENT.ID}`, `{$SITE.URL}`,
/// `{PID}`, `%lastvalue`, `{{ $alert->x }}`.
pub(super) fn is_placeholder(text: &str) -> bool {
    if !matches!(text.as_bytes(), [b'$' | b'%' | b'{', ..]) {
        return false;
    }
    let is_name = |name: &str, allowed: fn(char) -> bool| !name.is_empty() && name.chars().all(allowed);
    let inside = |open: &str, close: &str| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(name) = inside("$", "$") {
        return is_name(name, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
    }
    if let Some(name) = text.strip_prefix('$') {
        return is_name(name, |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    }
    if let Some(name) = text.strip_prefix('%') {
        return is_name(name, |c| c.is_ascii_lowercase());
    }
    if let Some(name) = inside("{{", "}}") {
        return !name.contains(['{', '}']);
    }
    let name = inside("{", "}").map(|name| name.strip_prefix('$').unwrap_or(name));
    name.is_some_and(|name| is_name(name, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_' || c == '#'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::format::paths;

    #[test]
    fn placeholders_are_absent_and_counted() {
        let cases = [
            ("$ALERT_ID", true),
            ("{EVENT.RECOVERY.ID}", true),
            ("{$ZABBIX.URL}", true),
            ("{PID}", true),
            ("$service.output$", true),
            ("$", false),
            ("$$", false),
            ("$5 and 6$", false),
            ("%lastvalue", true),
            ("{{ $alert->title }}", true),
            ("{{rule.id}}", true),
            ("$5", true),
            ("$5 more", false),
            ("98 %", false),
            ("{\"a\":1}", false),
            ("{a} and {b}", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(is_placeholder(text), expected, "{text}");
        }
    }

    #[test]
    fn large_maps_are_read_in_part() {
        let pairs: Vec<String> = (0..5_000).map(|n| format!(r#""k{n}":"v""#)).collect();
        let text = format!(r#"{{"map":{{{}}}}}"#, pairs.join(","));
        let body = Json::parse(&text).unwrap();
        assert_eq!(Field::root(&body, &Notes::default()).pairs("map").len(), PAIRS_MAX);
        assert_eq!(paths::unused(&body).len(), 4_000);
    }

    #[test]
    fn ids_stay_exact_and_what_is_left_out_is_known() {
        let text = r#"{"id":8124467750316249001,"state":2.0,"x":{"y":[1,{"z":null}],"empty":""},"$":"$ID"}"#;
        let (body, notes) = (Json::parse(text).unwrap(), Notes::default());
        let field = Field::root(&body, &notes);
        assert_eq!(field.text("id").as_deref(), Some("8124467750316249001"));
        assert_eq!(field.text("state").as_deref(), Some("2"));
        assert_eq!((field.text("x.empty"), field.text("x.none"), field.text("$")), (None, None, None));
        notes.count_placeholders(&body);
        assert_eq!(notes.placeholders(), 1);
        assert_eq!(paths::unused(&body), ["x.y[0]", "x.y[1].z"]);
    }
}

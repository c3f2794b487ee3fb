//! Reading one map of the merged configuration: each key is asked for by name and type, what nobody asked for is an
//! error, and every fault is noted with its place instead of ending the reading.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;

use config::{Map, Value, ValueKind};

use super::{ConfigError, Secret, Warning};
use crate::model::{Labels, Millis};

/// Where faults and doubts are collected, and what secrets may be read from.
pub(super) struct Notes<'a> {
    pub(super) errors: RefCell<Vec<ConfigError>>,
    pub(super) warnings: RefCell<Vec<Warning>>,
    pub(super) env: &'a BTreeMap<String, String>,
}

impl Notes<'_> {
    pub(super) fn error(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    pub(super) fn warn(&self, warning: Warning) {
        self.warnings.borrow_mut().push(warning);
    }
}

/// One map of keys.
pub(super) struct Section<'a> {
    notes: &'a Notes<'a>,
    /// As people would write it: `limits`, `sources[2]`; empty for the root.
    path: String,
    pub(super) place: String,
    values: Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(notes: &'a Notes<'a>, values: Map<String, Value>) -> Section<'a> {
        Section { notes, path: String::new(), place: String::new(), values, asked: Vec::new() }
    }

    /// Notes every key that nobody asked for.
    pub(super) fn finish(mut self) {
        let mut unknown: Vec<(String, Value)> = self.values.drain().collect();
        unknown.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, value) in unknown {
            let error = ConfigError::new("unknown_key", format!("unknown key `{}`", self.path_of(&key)), origin(&value));
            self.notes.error(match closest(&key, &self.asked) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("known here: {}", self.asked.join(", "))),
            });
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?;
        self.as_text(key, value)
    }

    /// A key that must be there, read by `read`.
    pub(super) fn need<T>(&mut self, key: &'static str, read: fn(&mut Section<'a>, &'static str) -> Option<T>) -> Option<T> {
        if !self.has(key) {
            self.note("missing_key", key, "is missing", &self.place);
        }
        read(self, key)
    }

    pub(super) fn need_text(&mut self, key: &'static str) -> String {
        self.need(key, Section::text).unwrap_or_default()
    }

    /// A text that must be there and say something.
    pub(super) fn name(&mut self, key: &'static str) -> String {
        let place = self.place_of(key);
        let is_empty =
            self.values.get(key).is_some_and(|value| matches!(&value.kind, ValueKind::String(text) if text.trim().is_empty()));
        if is_empty {
            self.note("bad_value", key, "is empty", &place);
        }
        self.need_text(key)
    }

    /// A URL that must be there.
    pub(super) fn url(&mut self, key: &'static str) -> String {
        let place = self.place_of(key);
        let url = self.need_text(key);
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if !url.is_empty() && host.is_none_or(|host| host.is_empty() || host.starts_with('/')) {
            // The URL itself may hold a password.
            self.note("bad_value", key, "must begin with https:// or http:// and a host", &place);
        }
        url
    }

    /// Keys that could be here, for the advice on those that cannot.
    pub(super) fn know(&mut self, keys: &[&'static str]) {
        self.asked.extend(keys);
    }

    pub(super) fn need_secret(&mut self, key: &'static str) -> Secret {
        self.need(key, Section::secret).unwrap_or_else(|| Secret::new(""))
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.parse(key, "true or false")
    }

    pub(super) fn address(&mut self, key: &'static str) -> Option<SocketAddr> {
        self.parse(key, "an address with a port, such as 127.0.0.1:9093")
    }

    /// Whether the key is there and nobody asked for it yet.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// A whole number.
    pub(super) fn count<T: FromStr>(&mut self, key: &'static str) -> Option<T> {
        self.parse(key, "a whole number")
    }

    /// A whole number above 0.
    pub(super) fn number<T: FromStr + PartialEq + Default>(&mut self, key: &'static str) -> Option<T> {
        let place = self.values.get(key).map(|value| origin(value).to_owned())?;
        let number: T = self.count(key)?;
        if number == T::default() {
            self.note("bad_value", key, "must be above 0", &place);
            return None;
        }
        Some(number)
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Millis> {
        let value = self.take(key)?;
        let place = origin(&value).to_owned();
        let text = match value.kind {
            // A number without a unit is not taken, and needs no quotes to be told so.
            ValueKind::I64(number) => number.to_string(),
            _ => self.as_text(key, value)?,
        };
        let length = Millis::parse(&text).filter(|length| *length > Millis::ZERO);
        if length.is_none() {
            self.note("bad_value", key, &format!("{text:?} is no length of time above 0, such as 90s, 5m or 1d12h"), &place);
        }
        length
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        let value = self.take(key)?;
        let place = origin(&value).to_owned();
        let text = self.as_text(key, value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.note("bad_value", key, &format!("{text:?} is none of {}", known.join(", ")), &place);
        }
        found
    }

    /// One of a few words, which must be there.
    pub(super) fn need_word<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)]) -> Option<T> {
        if !self.has(key) {
            self.note("missing_key", key, "is missing", &self.place);
        }
        self.word(key, words)
    }

    /// A value from a file or a variable; a plain one works and is warned of. Never part of a message.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        let value = self.take(key)?;
        self.as_secret(key, value)
    }

    /// One such value, or a list of some: the old one beside the new one while it is being changed.
    pub(super) fn secrets(&mut self, key: &'static str) -> Vec<Secret> {
        const MOST: usize = 8;
        let Some(value) = self.take(key) else { return Vec::new() };
        let place = origin(&value).to_owned();
        let ValueKind::Array(items) = value.kind else { return self.as_secret(key, value).into_iter().collect() };
        if items.is_empty() || items.len() > MOST {
            self.note("bad_value", key, &format!("must have 1 to {MOST} secrets, not {}", items.len()), &place);
        }
        let items = items.into_iter().enumerate();
        items.filter_map(|(i, item)| self.as_secret(&format!("{key}[{i}]"), item)).collect()
    }

    /// The text of a file that is no secret, by `{ file: … }`.
    pub(super) fn file(&mut self, key: &'static str) -> Option<String> {
        let mut section = self.section(key)?;
        let (place, path) = (section.place_of("file"), section.need_text("file"));
        let read = (!path.is_empty()).then(|| std::fs::read_to_string(&path));
        if let Some(Err(error)) = &read {
            section.note("unreadable", "file", &format!("cannot be read from {path}: {error}"), &place);
        }
        section.finish();
        read?.ok()
    }

    /// A map of keys.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'a>> {
        let value = self.take(key)?;
        self.as_section(key, value)
    }

    /// The maps of a list.
    pub(super) fn sections(&mut self, key: &'static str) -> Vec<Section<'a>> {
        let items = self.list(key).into_iter().enumerate();
        items.filter_map(|(i, item)| self.as_section(&format!("{key}[{i}]"), item)).collect()
    }

    /// A text, or a list of some.
    pub(super) fn one_or_more(&mut self, key: &'static str) -> Vec<String> {
        if self.values.get(key).is_some_and(|value| matches!(value.kind, ValueKind::Array(_))) {
            return self.texts(key);
        }
        self.text(key).into_iter().collect()
    }

    pub(super) fn texts(&mut self, key: &'static str) -> Vec<String> {
        let items = self.list(key).into_iter().enumerate();
        items.filter_map(|(i, item)| self.as_text(&format!("{key}[{i}]"), item)).collect()
    }

    /// A map of texts, in order of its keys.
    pub(super) fn pairs(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(section) = self.section(key) else { return Vec::new() };
        let sorted: BTreeMap<String, Value> = section.values.clone().into_iter().collect();
        sorted.into_iter().filter_map(|(name, value)| section.as_text(&name.clone(), value).map(|text| (name, text))).collect()
    }

    pub(super) fn labels(&mut self, key: &'static str) -> Labels {
        let place = self.place_of(key);
        let pairs = self.pairs(key);
        if pairs.iter().any(|(name, _)| name.is_empty()) {
            self.note("bad_value", key, "has a label without a name", &place);
        }
        Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))).unwrap_or_else(|| {
            self.note("bad_value", key, "is too long", &self.place);
            Labels::default()
        })
    }

    /// Refuses a key by name that is planned and does nothing yet.
    pub(super) fn unsupported(&mut self, key: &'static str) {
        if let Some(value) = self.values.remove(key) {
            self.note("unsupported", key, "is not supported yet", origin(&value));
        }
    }

    pub(super) fn place_of(&self, key: &str) -> String {
        self.values.get(key).map_or(&*self.place, origin).to_owned()
    }

    pub(super) fn note(&self, code: &'static str, key: &str, message: &str, place: &str) {
        self.notes.error(ConfigError::new(code, format!("`{}` {message}", self.path_of(key)), place));
    }

    fn as_secret(&self, key: &str, value: Value) -> Option<Secret> {
        let place = origin(&value).to_owned();
        let read = match value.kind {
            ValueKind::Table(values) => self.secret_from(key, &place, values)?,
            ValueKind::String(text) => {
                let message = format!("`{}` stands in the configuration in plain text", self.path_of(key));
                let hint = "write { file: … } or { env: … }, so that it can be kept apart";
                self.notes.warn(ConfigError::new("plain_secret", message, &place).hint(hint));
                text
            }
            _ => {
                self.note("wrong_type", key, "must be { file: … }, { env: … } or a text in quotes", &place);
                return None;
            }
        };
        if read.is_empty() {
            self.note("secret", key, "is empty", &place);
            return None;
        }
        Some(Secret::new(&read))
    }

    fn secret_from(&self, key: &str, place: &str, values: Map<String, Value>) -> Option<String> {
        let mut section =
            Section { notes: self.notes, path: self.path_of(key), place: place.to_owned(), values, asked: Vec::new() };
        let (file, variable) = (section.text("file"), section.text("env"));
        section.finish();
        match (file, variable) {
            (Some(file), None) => match std::fs::read_to_string(&file) {
                Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    self.note("secret", key, &format!("cannot be read from {file}: {error}"), place);
                    None
                }
            },
            (None, Some(variable)) => {
                let value = self.notes.env.get(&variable).cloned();
                if value.is_none() {
                    self.note("secret", key, &format!("wants the variable {variable}, which is not set"), place);
                }
                value
            }
            _ => {
                self.note("secret", key, "must have either `file` or `env`", place);
                None
            }
        }
    }

    fn list(&mut self, key: &'static str) -> Vec<Value> {
        match self.take(key) {
            None => Vec::new(),
            Some(Value { kind: ValueKind::Array(items), .. }) => items,
            Some(other) => {
                self.note("wrong_type", key, "must be a list", origin(&other));
                Vec::new()
            }
        }
    }

    fn parse<T: FromStr>(&mut self, key: &'static str, what: &str) -> Option<T> {
        let value = self.take(key)?;
        let place = origin(&value).to_owned();
        let parsed = match value.kind {
            ValueKind::Table(_) | ValueKind::Array(_) => None,
            scalar => scalar.to_string().parse().ok(),
        };
        if parsed.is_none() {
            self.note("wrong_type", key, &format!("must be {what}"), &place);
        }
        parsed
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.asked.push(key);
        let value = self.values.remove(key)?;
        if matches!(value.kind, ValueKind::Nil) {
            self.note("wrong_type", key, "has no value", origin(&value));
            return None;
        }
        Some(value)
    }

    fn as_text(&self, key: &str, value: Value) -> Option<String> {
        let place = origin(&value).to_owned();
        if let ValueKind::String(text) = value.kind {
            return Some(text);
        }
        // `0123` would lose its zero and `no` its spelling: only the writer knows what was meant.
        self.note("wrong_type", key, "must be a text; put it in quotes", &place);
        None
    }

    fn as_section(&self, key: &str, value: Value) -> Option<Section<'a>> {
        let place = origin(&value).to_owned();
        if let ValueKind::Table(values) = value.kind {
            return Some(Section { notes: self.notes, path: self.path_of(key), place, values, asked: Vec::new() });
        }
        self.note("wrong_type", key, "must be a map of keys", &place);
        None
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// Where a value was said. Empty for a map that several layers made, which no fault is about.
fn origin(value: &Value) -> &str {
    value.origin().unwrap_or_default()
}

/// The known word that `word` was probably meant to be: at most a third of its letters off.
fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = known.iter().map(|candidate| (distance(word, candidate), *candidate)).min()?;
    (near.0 <= word.chars().count().div_ceil(3)).then_some(near.1)
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            let next = change.min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

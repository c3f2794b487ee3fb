//! JSON as senders write it, read without copying what need not be copied.
//!
//! Labels and annotations stay text here: of a repeat, only their hash is ever needed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use super::{general, plain};

/// A string that lies in the body itself wherever it has no escapes. (`Cow` alone would always copy inside a list.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// JSON that stays text.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub text: &'a str,
    /// Which of [`Found`] are its strings: from, to.
    pub(super) strings: Option<(usize, usize)>,
}

impl PartialEq for Raw<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Raw<'_> {}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw<'a>, D::Error> {
        <&RawValue>::deserialize(deserializer).map(|raw| Raw { text: raw.get(), strings: None })
    }
}

/// Where the strings of a list's maps stand, as far as reading the list has shown that.
#[derive(Debug, Default)]
pub struct Found<'a> {
    body: &'a str,
    strings: plain::Strings,
}

/// A map of strings that is still text.
#[derive(Clone, Copy, Debug)]
pub struct RawMap<'a> {
    pub text: &'a str,
    /// Its strings, where reading the list has found them.
    found: Option<plain::Map<'a>>,
}

impl Found<'_> {
    /// A map of this list.
    pub(super) fn map<'f>(&'f self, raw: Raw<'f>) -> RawMap<'f> {
        RawMap { text: raw.text, found: raw.strings.and_then(|(from, to)| self.strings.map(self.body, from, to)) }
    }
}

impl<'a> RawMap<'a> {
    /// The map `{}`.
    pub(super) const EMPTY: RawMap<'static> = RawMap { text: "{}", found: None };

    /// Its pairs, in the order they came, where they need no more reading than has been done; at most `max`.
    pub(super) fn borrowed(&self, max: usize) -> Option<plain::Borrowed<'a>> {
        self.found.and_then(|map| map.borrowed(max))
    }

    /// Its pairs, in the order they came.
    ///
    /// # Errors
    /// In words: text that is no such map, and maps of more than `max` entries.
    pub fn pairs(&self, max: usize) -> Result<Vec<(Text<'a>, Text<'a>)>, String> {
        match self.found.and_then(|map| map.pairs(max)) {
            Some(pairs) => Ok(pairs),
            None => general::pairs(self.text, max),
        }
    }
}

/// One alert as Prometheus posts it and as Alertmanager's webhook carries it. Unknown keys are ignored.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireAlert<'a> {
    #[serde(borrow)]
    pub labels: Option<Raw<'a>>,
    #[serde(borrow)]
    pub annotations: Option<Raw<'a>>,
    #[serde(borrow)]
    pub starts_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub ends_at: Option<Text<'a>>,
    #[serde(borrow, rename = "generatorURL")]
    pub generator_url: Option<Text<'a>>,
    /// In the webhook only.
    #[serde(borrow)]
    pub status: Option<Text<'a>>,
}

/// Why a body as a whole came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// No JSON, or not of the format's shape.
    Unreadable(String),
    /// More alerts than one request may have.
    TooMany,
}

/// A message without the better part of what it quotes: faults in JSON quote what they found, whatever its length.
#[must_use]
pub fn shorten(mut message: String) -> String {
    const MESSAGE_BYTES: usize = 300;
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
        message.push('…');
    }
    message
}

/// The alerts of a list, each read or with what is wrong with it, and where their strings are.
pub type Alerts<'a> = (Vec<Result<WireAlert<'a>, String>>, Found<'a>);

/// Reads a list of alerts. An item that is not of an alert's shape costs that item only.
///
/// # Errors
/// Text that is no JSON list, and lists longer than `max`.
pub fn read_list(text: &str, max: usize) -> Result<Alerts<'_>, BodyFault> {
    if let Some((alerts, strings)) = plain::alerts(text, max) {
        return Ok((alerts.into_iter().map(Ok).collect(), Found { body: text, strings }));
    }
    // Nearly every list is whole, and then each alert is scanned once. What is wrong with which is asked only when
    // something is.
    let alerts = match general::list::<WireAlert<'_>>(text, max) {
        Ok(alerts) => alerts.into_iter().map(Ok).collect(),
        Err(BodyFault::TooMany) => return Err(BodyFault::TooMany),
        Err(BodyFault::Unreadable(_)) => {
            let items = general::list::<&RawValue>(text, max)?;
            items.into_iter().map(|item| serde_json::from_str(item.get()).map_err(|error| error.to_string())).collect()
        }
    };
    Ok((alerts, Found::default()))
}
